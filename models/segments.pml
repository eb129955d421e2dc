/* segments.pml - a link's chain of segments: jumps, memory given back by the receivers, used again by the sender; deaths on both sides.
 *
 * Run:      spin -a segments.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m500000
 * Switches: -DN=4 messages   -DREC=1 records a segment holds before its jump   -DNSEG=3 places for segments   -DCRASHES=1 (2)
 *           -DWHO=r  only role r may die (0, 1 receivers, 2 sender, who is succeeded)   -DNCLAIM  receivers only copy
 * Mutants (each must fail): -DM_PUNCH_LATE (head first, then the memory is given back)   -DM_STALE_HEAD (a holder leaves from the
 *           head it remembers)   -DM_WALK_MEMORY (the way to the next segment stands in the memory given back)
 *           -DM_HEAD_NEXT (head passes a claim)   -DM_USE_EARLY (the sender takes `next` for head)   -DM_NO_ALLOC (a segment is
 *           filled again without being reserved)   -DM_NEXT_LATE (the holder leaves before it stores next)   -DM_HINT (a look at
 *           the remembered place without the token)   -DM_JUMP_FIRST (jump committed before the new segment is empty)   -DM_BACK_EARLY (a sender that is refused memory
 *           gives back what `next` has left);
 *           with -DWHO=2: -DM_STRICT (successor trusts `tail` over a `next` with the same number)   -DM_NO_REREAD (it does not
 *           read next again after the walk)   -DM_TAIL_ONLY (it does not look at next at all)
 *
 * Words     commit, data of each record, table of segments {next}, tail: the sender's      next, head: the token holder's
 *           tail, next and head are each ONE word {number, place}. Segments but the first are one-shot: who moves the head out of
 *           one gives its memory back (alloc = 0, all zero) BEFORE it stores head, or leaves it to the sender with the
 *           old records in it; the sender reserves what is not there, and, refused, gives back
 *           what was left to it: one-shot segments outside of the chain from head to tail, as it last saw it.
 * Memory    stores arrive in the order of the program (their buffers: takeover.pml); each step may be the last one of its process.
 * Token     stolen from the dead (token.pml); claims of the dead are handed on (claims.pml).
 * Checked   nobody reads or writes memory that is not there (in a full file system that is SIGBUS); a record is what was sent when
 *           it is delivered and still when its claim ends; the order; at the end all is delivered, unless both receivers died.
 */
#ifndef N
#define N 4
#endif
#ifndef REC
#define REC 1
#endif
#ifndef NSEG
#define NSEG 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define JUMP 2
#define NONE 9
#define AT(s, k) ((s) * (REC + 1) + (k))
byte commit[NSEG * (REC + 1)], data[NSEG * (REC + 1)], onward[NSEG * (REC + 1)];
bit alloc[NSEG];
byte follow[NSEG];              /* table: segment + 1 the chain goes on with */
byte tq, ts, tk;                /* tail */
byte nq, ns, nk;                /* next */
byte hq, hs, hk;                /* head */
bit est[2]; byte eq[2], es[2], ek[2];   /* the entry of each receiver */
byte holder = NONE;
bit dead[3], fin[3]; byte left = CRASHES;
byte delivered, finished;       /* ghosts: numbers handed out; messages ever finished, bits */

#define ONESHOT(s) ((s) != 0)
/* all of it in one step, as the kernel does: a killed call has happened or not */
inline punch(s) { atomic { alloc[s] = 0; kk = 0; do :: kk <= REC -> commit[AT(s, kk)] = 0; data[AT(s, kk)] = 0; onward[AT(s, kk)] = 0; kk++ :: else -> break od; kk = 0 } }

inline lock() { atomic { (holder == NONE || (holder < 2 && dead[holder])) -> holder = r } }

/* token held, next stored: head anew, and the memory behind it */
inline collect() {
    atomic { lq = nq; ls = ns; lk = nk;
#ifndef M_HEAD_NEXT
        if :: est[0] && eq[0] < lq -> lq = eq[0]; ls = es[0]; lk = ek[0] :: else fi;
        if :: est[1] && eq[1] < lq -> lq = eq[1]; ls = es[1]; lk = ek[1] :: else fi
#endif
    };
#ifdef M_STALE_HEAD
    at = myhead;
#else
    at = hs;
#endif
#ifdef M_PUNCH_LATE
    from = at;
    atomic { hq = lq; hs = ls; hk = lk };
    at = from;
#endif
    do
    :: at != ls ->
#ifdef M_WALK_MEMORY
        assert(alloc[at]); to = onward[AT(at, REC)];
#else
        to = follow[at];
#endif
        assert(to != 0);
        if :: ONESHOT(at) -> punch(at) :: true fi;      /* or its memory is left to the sender, as it is */
        at = to - 1
    :: else -> break
    od;
#ifndef M_PUNCH_LATE
    atomic { hq = lq; hs = ls; hk = lk };
#endif
    atomic { myhead = ls; at = 0; to = 0; lq = 0; ls = 0; lk = 0 }
}
#define MORE (alloc[ns] && commit[AT(ns, nk)] != 0)
#define ORPHAN (est[1 - r] && dead[1 - r])
#define UNSETTLED (hs != ns && !est[0] && !est[1])
proctype Receiver(byte r) {
    byte at, to, from, kk, lq, ls, lk, myhead, cs, ck, c;
    {
    do
    :: MORE || ORPHAN || est[r] || UNSETTLED ->
#ifdef M_HINT
        atomic { assert(alloc[cs]); c = commit[AT(cs, ck)]; c = 0 };
#endif
        lock();
        if
        :: !est[r] && ORPHAN ->
            atomic { est[r] = 1; eq[r] = eq[1 - r]; es[r] = es[1 - r]; ek[r] = ek[1 - r]; est[1 - r] = 0 }
        :: else ->
            assert(alloc[ns]);
            c = commit[AT(ns, nk)];
            if
            :: c == JUMP ->
#ifdef M_NEXT_LATE
                lq = nq; ls = follow[ns] - 1; lk = 0; at = hs;
                if
                :: !est[0] && !est[1] ->
                    do
                    :: at != ls -> to = follow[at]; if :: ONESHOT(at) -> punch(at) :: else fi; at = to - 1
                    :: else -> break
                    od
                :: else
                fi;
#endif
                atomic { ns = follow[ns] - 1; nk = 0 }
            :: c == 1 ->
                atomic { assert(data[AT(ns, nk)] == nq + 1);
                    if :: nq == delivered -> delivered++ :: else -> assert(nq < delivered) fi };
                if
                :: atomic { finished = finished | (1 << nq); nq++; nk++ }       /* copied */
#ifndef NCLAIM
                :: atomic { !est[r] -> est[r] = 1; eq[r] = nq; es[r] = ns; ek[r] = nk; nq++; nk++ }
#endif
                fi
            :: else
            fi
        fi;
        c = 0;
        collect();
        atomic { assert(holder == r); holder = NONE; cs = ns; ck = nk }
    :: est[r] ->        /* done: in any order with the above; no token */
        atomic { assert(alloc[es[r]] && data[AT(es[r], ek[r])] == eq[r] + 1); finished = finished | (1 << eq[r]); est[r] = 0 }
    :: nq == N && !est[0] && !est[1] && fin[2] -> break
    od;
    fin[r] = 1
    } unless { dead[r] }
}

#ifdef M_USE_EARLY
#define HEADSEG ns
#else
#define HEADSEG hs
#endif
#define GONE(r) (dead[r] || fin[r])
#ifdef M_BACK_EARLY
#define BACKSEG ns
#else
#define BACKSEG hs
#endif
/* One call for each segment; t, which is to be filled, is not among them. */
inline give_back() {
    atomic { v = 0; x = BACKSEG; used[0] = 0; used[1] = 0; used[2] = 0;
        do :: used[x] = 1; if :: x == s -> break :: else -> x = follow[x] - 1 fi od; used[t] = 1; x = 0 };
    do
    :: x < NSEG -> if :: ONESHOT(x) && !used[x] -> punch(x) :: else fi; x++
    :: else -> break
    od;
    x = 0
}
/* used[s]: in the chain between head and the tail, as the sender knows it */
proctype Sender() {
    byte q, s, k, t, u, v, x, kk; bit used[NSEG]; bit changed;
    do
    :: {
    /* take-over; the first sender finds an empty link */
    do
    :: atomic { q = tq; s = ts; k = tk };
       atomic { u = nq; t = ns; v = nk;
#ifndef M_TAIL_ONLY
#ifdef M_STRICT
            if :: u > q -> q = u; s = t; k = v :: else fi
#else
            if :: u >= q -> q = u; s = t; k = v :: else fi
#endif
#endif
        };
        do      /* a hole reads as zeros */
        :: atomic { (commit[AT(s, k)] == 1) -> q++; k++ }
        :: atomic { (commit[AT(s, k)] == JUMP) -> s = follow[s] - 1; k = 0 }
        :: atomic { (commit[AT(s, k)] == 0) -> break }
        od;
#ifndef M_NO_REREAD
        if
        :: atomic { (u == nq && t == ns && v == nk) -> break }
        :: else
        fi
#else
        break
#endif
    od;
    atomic { used[0] = 0; used[1] = 0; used[2] = 0; x = hs };
    do      /* the chain from head to the tail */
    :: atomic { used[x] = 1;
        if :: x == s -> break :: else fi;
        assert(follow[x] != 0); x = follow[x] - 1 }
    od;
    atomic { tq = q; ts = s; tk = k; x = 0; u = 0; t = 0; v = 0 };
    do
    :: q < N ->
        if
        :: k == REC ->
            /* a segment nobody uses; those before the head's are free */
            do
            :: atomic {
                x = HEADSEG; v = x;
                t = 0;      /* walk my own chain */
                    used[0] = 0; used[1] = 0; used[2] = 0;
                    do :: used[x] = 1; if :: x == s -> break :: else -> x = follow[x] - 1 fi od;
                t = (!used[0] -> 0 : (!used[1] -> 1 : (!used[2] -> 2 : NONE))); x = 0 };
                if
                :: t != NONE -> v = 0; break
                :: else ->      /* asleep until the head moves (bell.pml) */
                    (HEADSEG != v || GONE(0) && GONE(1));
                    if :: HEADSEG == v -> goto out :: else fi
                fi
            od;
            if :: ONESHOT(t) && !alloc[t] -> give_back() :: true fi;
#ifndef M_NO_ALLOC
            if :: ONESHOT(t) -> alloc[t] = 1 :: else fi;
#endif
            follow[s] = t + 1; follow[t] = 0;
#ifdef M_JUMP_FIRST
            atomic { assert(alloc[s]); onward[AT(s, k)] = t + 1; commit[AT(s, k)] = JUMP };
#endif
            atomic { assert(alloc[t]); commit[AT(t, 0)] = 0 };
#ifndef M_JUMP_FIRST
            atomic { assert(alloc[s]); onward[AT(s, k)] = t + 1; commit[AT(s, k)] = JUMP };
#endif
            atomic { s = t; k = 0; t = 0 };
            atomic { tq = q; ts = s; tk = k }
        :: else
        fi;
        atomic { assert(alloc[s] && commit[AT(s, k)] == 0); data[AT(s, k)] = q + 1 };
        atomic { assert(alloc[s]); commit[AT(s, k + 1)] = 0 };
        atomic { assert(alloc[s]); commit[AT(s, k)] = 1; q++; k++ };
        atomic { tq = q; ts = s; tk = k }
    :: else -> break
    od;
out: atomic { fin[2] = 1; q = 0; s = 0; k = 0; t = 0 };
    break
    } unless { atomic { dead[2] -> dead[2] = 0; q = 0; s = 0; k = 0; t = 0; u = 0; v = 0; x = 0; used[0] = 0; used[1] = 0; used[2] = 0 } }
    od
}

#ifdef WHO
#define MAY(x) ((x) == WHO && !dead[x] && !fin[x])
#else
#define MAY(x) (!dead[x] && !fin[x])
#endif
active proctype Crash() {
end: do
    :: atomic { left > 0 && MAY(0) -> left--; dead[0] = 1 }
    :: atomic { left > 0 && MAY(1) -> left--; dead[1] = 1 }
    :: atomic { left > 0 && MAY(2) -> left--; dead[2] = 1 }
    :: left = 0; break
    od
}

init {
    atomic { alloc[0] = 1; run Receiver(0); run Receiver(1); run Sender() };
    (fin[2] && (fin[0] || dead[0]) && (fin[1] || dead[1]));
    d_step {
        assert((dead[0] && dead[1]) || (delivered == N && finished == (1 << N) - 1));
        assert(holder == NONE || dead[holder])
    }
}
