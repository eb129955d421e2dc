/* linkfile.pml - one name link.N: made, taken over, left, removed and made again; the box's row about it; deaths anywhere.
 *
 * Run:      spin -a linkfile.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m500000
 * Switches: -DCRASHES=1   -DMSG=1 messages of each of two senders   -DNR=1 receivers (2)   -DSWEEP  somebody clears away what is left
 *           -DWHO=p only process p dies (0, 1 senders; 2 who clears; 3, 4 receivers)
 * Mutants (each must fail): -DSWEEP with -DM_NO_NLINK (who gets the lock does not ask whether the file still has its name)
 *           -DM_NO_RECHECK (nor whether it is still left)   -DM_NO_DRAIN (removes what is not drained)   -DM_UNLINK_FIRST (name
 *           first, GONE after: receivers never let go)   -DM_OWNER_FIRST (owner 0 and unlocked before GONE)
 *           -DM_TRUST_TAIL (drained by the dead one's tail alone)   -DM_NO_SENT (who removes does not write the last number down);
 *           default with -DM_NO_AGAIN (first number not read again when the name is there)   -DM_NO_TELL (receivers are not told);
 *           -DNR=2 with -DM_NO_ROWCHECK (a receiver uses a row without asking whose it is)
 *
 * Words     name  the directory entry: which file, 0 none      state[f] USED or GONE, owner[f] process + 1 or 0, first[f], tail[f], comm[f]
 *           (records with their commit word set): the file's sender, at a change of hands who holds flock[f]
 *           flock[f]  the kernel's lock: goes with its holder      links  links ever made or taken over, atomic add
 *           rid, next, done: the row; token holder       sent  the row's word in the room file; its sender
 * Memory    each store arrives at once (between the steps here lie system calls); each step may be the last one.
 * Numbers   go on over all files of the name: message s is the s-th ever committed under it.
 * Checked   no committed message is lost or comes twice or out of order; no two living owners of a file; a new file begins with the number
 *           behind the last one's; the row's words are used only with the file they are about.
 */
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef MSG
#define MSG 1
#endif
#ifndef NR
#define NR 1
#endif
#define NF 7
#define GONE 1
#define NONE 9
#define W 2                     /* who clears away */
byte name, nfiles;              /* files are 1.. */
bit state[NF]; byte owner[NF], first[NF], tail[NF], comm[NF], flock[NF];
byte links, rid, next, done, sent;
byte holder = NONE;
bit dead[5], fin[5]; byte left = CRASHES;
byte total, delivered;          /* ghosts: ever committed, ever consumed */

#define ISLEFT(f) (owner[f] == 0 || dead[owner[f] - 1])
#define LOCKFREE(f) (flock[f] == 0 || dead[flock[f] - 1])

/* f, locked by me, is left: its last number, into q. The walk over committed records. */
inline walk(f) {
    q = tail[f];
#ifndef M_TRUST_TAIL
    do :: atomic { comm[f] > q -> q++ } :: else -> break od
#endif
}
/* what the box says of file f: its head, into h */
inline place(f) {
    if
    :: rid == f -> h = done
    :: else -> h = first[f]
    fi
}
/* by name: whatever file has it */
inline unlink(f) { atomic { assert(name == f); name = 0 } }
inline make_gone(f) {
    assert(comm[f] == delivered || first[f] == comm[f]);        /* drained, or never used */
#ifndef M_NO_SENT
    if :: q > sent -> sent = q :: else fi;
#endif
#ifdef M_UNLINK_FIRST
    unlink(f);
    state[f] = GONE; owner[f] = 0
#else
#ifdef M_OWNER_FIRST
    owner[f] = 0; flock[f] = 0; state[f] = GONE;
#else
    state[f] = GONE; owner[f] = 0;
#endif
    unlink(f)
#endif
}

/* open_left: f is locked and left, or f = 0 */
inline open_left() {
    f = name;
    if
    :: f != 0 && ISLEFT(f) ->
        atomic { if :: LOCKFREE(f) -> flock[f] = me + 1 :: else -> f = 0 fi };
        if
        :: f == 0
#ifndef M_NO_NLINK
        :: f != 0 && name != f -> flock[f] = 0; f = 0
#endif
#ifndef M_NO_RECHECK
#ifndef M_NO_NLINK
        :: f != 0 && name == f && !ISLEFT(f) -> flock[f] = 0; f = 0
#else
        :: f != 0 && !ISLEFT(f) -> flock[f] = 0; f = 0
#endif
#endif
        :: else
        fi
    :: else -> f = 0
    fi
}

proctype Sender(byte me) {
    byte f, q, h, n;
    {
    /* a link: one that was left, or a new one */
    do
    :: name != 0 && ISLEFT(name) ->
        open_left();
        if
        :: f != 0 && state[f] == GONE -> unlink(f); flock[f] = 0; f = 0
        :: f != 0 && state[f] != GONE ->
            walk(f); tail[f] = q;
            atomic { assert(ISLEFT(f)); owner[f] = me + 1 };
            flock[f] = 0; break
        :: else
        fi
    :: name == 0 ->
        q = sent;
        atomic { nfiles++; f = nfiles; assert(f < NF); state[f] = 0; owner[f] = me + 1; first[f] = q; tail[f] = q; comm[f] = q };
        atomic { if :: name == 0 -> name = f
            :: else -> owner[f] = 0; first[f] = 0; tail[f] = 0; comm[f] = 0; if :: nfiles == f -> nfiles-- :: else fi; f = 0 fi };
        if
        :: f != 0 ->
#ifndef M_NO_AGAIN
            h = sent;
            if
            :: h != q -> atomic { LOCKFREE(f) -> flock[f] = me + 1 }; make_gone(f); flock[f] = 0; f = 0
            :: else -> break
            fi
#else
            break
#endif
        :: else
        fi
    od;
    h = 0;
    sent = q;
#ifndef M_NO_TELL
    links++;
#endif
    do
    :: n < MSG -> atomic { n++; assert(q == total); q++; comm[f] = q; total++ };
        tail[f] = q; sent = q
    :: else -> break
    od;
    /* close */
    atomic { LOCKFREE(f) -> flock[f] = me + 1 };
    place(f);
    if
#ifdef M_NO_DRAIN
    :: name == f -> make_gone(f)
#else
    :: name == f && h == q -> make_gone(f)
#endif
    :: else -> owner[f] = 0
    fi;
    flock[f] = 0;
    atomic { fin[me] = 1; f = 0; q = 0; h = 0; n = 0 }
    } unless { dead[me] }
}

/* Sees a left link, at any moment, and removes it if it is drained. */
proctype Sweeper(byte me) {
    byte f, q, h, n;
    {
    do
    :: n < 1 && !(fin[0] && fin[1] && name == 0) ->
        n++;
        (name != 0 && ISLEFT(name) || (fin[0] || dead[0]) && (fin[1] || dead[1]));
        open_left();
        if
        :: f != 0 && state[f] == GONE -> unlink(f); flock[f] = 0
        :: f != 0 && state[f] != GONE ->
            place(f); walk(f); tail[f] = q; owner[f] = 0;
            if :: h == q -> make_gone(f) :: else fi;
            flock[f] = 0
        :: else
        fi;
        f = 0; q = 0; h = 0
    :: else -> break
    od;
    fin[me] = 1
    } unless { dead[me] }
}

inline set_row() {
    if
    :: rid != at ->
        rid = 0; next = first[at]; done = first[at]; rid = at
    :: else
    fi
}
inline refresh() {
    seen = links;
    if :: at != 0 && state[at] == GONE -> at = 0 :: else fi;
    f = name;
    if :: f != 0 && at == 0 -> at = f; set_row() :: else fi;
    f = 0
}
#define SETTLED ((fin[0] || dead[0]) && (fin[1] || dead[1]) && (fin[W] || dead[W]))
#define STALE (links != seen)
#ifdef M_NO_ROWCHECK
#define OTHERROW false
#else
#define OTHERROW (at != 0 && rid != at)
#endif
/* its file, as mapped, shows a record behind the row's place */
#define THERE (at != 0 && comm[at] > next)
proctype Receiver(byte me) {
    byte at, seen, f; bit ok;
    {
    seen = NONE;                /* who joins reads the folder */
    do
    :: STALE || OTHERROW || THERE || (holder != NONE && dead[holder]) ->
        atomic { (holder == NONE || dead[holder]) -> ok = (holder != NONE); holder = me };
        if :: ok || STALE || OTHERROW -> refresh() :: else fi;
        ok = 0;
        if
        :: at != 0 && !OTHERROW ->
            if
            :: comm[at] > next ->
                atomic { assert(rid == at); assert(next == delivered && next >= first[at]); next++; delivered++ };
                done = next
            :: comm[at] <= next && done != next -> done = next       /* a dead holder's */
            :: else
            fi
        :: else
        fi;
        holder = NONE
    :: SETTLED && !STALE && !OTHERROW && !THERE && !(holder != NONE && dead[holder]) -> break
    od;
    atomic { fin[me] = 1; at = 0 }
    } unless { dead[me] }
}

#ifdef WHO
#define MAY(p) ((p) == WHO && !dead[p] && !fin[p])
#else
#define MAY(p) (!dead[p] && !fin[p])
#endif
#define DIE(p) :: atomic { left > 0 && MAY(p) -> left--; dead[p] = 1 }
active proctype Crash() {
end: do
    DIE(0) DIE(1) DIE(2) DIE(3)
#if NR == 2
    DIE(4)
#endif
    :: left = 0; break
    od
}
/* a second receiver comes when it likes; with one only, its death leaves nobody: then nothing is asked */
init {
    atomic {
        run Sender(0); run Sender(1); run Receiver(3);
#if NR == 2
        run Receiver(4);
#else
        fin[4] = 1;
#endif
#ifdef SWEEP
        run Sweeper(W)
#else
        fin[W] = 1
#endif
    };
    (SETTLED && (fin[3] || dead[3]) && (fin[4] || dead[4]));
    d_step {
        assert(delivered == total || dead[3] && (NR == 1 || dead[4]));
        /* a file left with the name still there has everything delivered or can be taken over */
        assert(name == 0 || dead[0] || dead[1] || dead[2] || dead[3] || dead[4] || ISLEFT(name))
    }
}
