/* token.pml - the right to take from a mailbox: one word {life id of the holder, waiters, PENDING}, stolen from the dead.
 *
 * Run:      spin -a token.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m200000
 * Switches: -DCRASHES=1 (0, 2)   -DNP=3 or 4 processes   -DJOINERS=1: so many of them come without a slot
 *           -DKERNEL_ALL  a death wakes everybody on the life word. With CRASHES=2 the rest is right only so: the
 *                         kernel wakes one, and if that one dies before it wakes the others only the back-stop helps.
 * Mutants (each must fail): -DM_LOSE_W (a thief clears the waiters bit)   -DM_NO_PASS_ON (the one woken by a life word
 *           does not wake the others)   -DM_NO_LIFE (who waits for the token does not watch its holder)
 *           -DM_NOPEND (a release does nothing when the token is held)   -DM_UNLOCK (unlock does not look at PENDING)
 *           -DM_THIEF (a thief clears PENDING and collects nothing)   -DM_NOFENCE (none between RELEASED and the look at
 *           the token)   -DM_SLOT_FIRST (a joiner takes its slot without the token)
 *           -DM_REUSE (a joiner has the life id of a dead one: the id must never be given twice)
 *           -DCRASHES=2 without KERNEL_ALL (the hole named above)
 *
 * Words     tok  {id + 1 of the holder, 0 free; tw waiters; tp PENDING}: compare-and-swap by receivers
 *           slot[i]  id + 1 of its receiver: written under the token    rel[p]  an entry of p is RELEASED: p's until
 *           collected, then the holder's    dead[p]  life word, written by the kernel
 * Memory    rel passes through a store buffer of one entry; every other shared word is changed by atomic operations, or
 *           under the token, which orders it.
 * Death     at any step; what was stored arrives; then the kernel wakes ONE waiter of the life word. No timers.
 * Checked   two living processes never hold the token at once; two living ones never have one slot; at the end nobody sleeps,
 *           and what was released is collected, unless the token lies with a dead one (whoever comes next collects).
 */
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef NP
#define NP 3
#endif
#ifndef JOINERS
#define JOINERS 1
#endif
#define FIRST_JOINER (NP - JOINERS)
#define NSLOT FIRST_JOINER
#define NONE 9

byte tok; bit tw, tp;           /* one 64-bit word */
byte slot[NP];
bit rel[NP], relb[NP], told[NP];
bit dead[NP], fin[NP], asl[NP], in[NP];
byte watch[NP], left = CRASHES;

#if NP == 4
#define EACH(X) X(0) X(1) X(2) X(3)
#define ANY_IN(p) (p != 0 && in[0] && !dead[0] || p != 1 && in[1] && !dead[1] || p != 2 && in[2] && !dead[2] || p != 3 && in[3] && !dead[3])
#else
#define EACH(X) X(0) X(1) X(2)
#define ANY_IN(p) (p != 0 && in[0] && !dead[0] || p != 1 && in[1] && !dead[1] || p != 2 && in[2] && !dead[2])
#endif
#ifdef M_REUSE                  /* the last process says the id of process 0 */
#define ID(p) ((p) == NP - 1 -> 0 : (p))
#else
#define ID(p) (p)
#endif

#define WAKE_TOKEN(q) asl[q] = 0;
#define WAKE_LIFE(q) if :: asl[q] && watch[q] == x -> asl[q] = 0 :: else fi;
#define COLLECT(q) if :: rel[q] -> rel[q] = 0 :: else fi;
#ifdef M_NOFENCE
inline drain(p) { if :: relb[p] -> rel[p] = 1; relb[p] = 0 :: else fi }
#else
inline drain(p) { skip }
#endif
inline collect() { atomic { drain(me); EACH(COLLECT) } }
inline enter() { assert(!ANY_IN(me)); in[me] = 1 }

/* got: the token is mine. once: leave with got = 0 if a living one holds it */
inline lock() {
    do
    :: atomic { h = tok; w = tw; p = tp };
       if
       :: h == 0 ->
            atomic { drain(me);
                if :: tok == 0 -> tok = ID(me) + 1; got = 1; enter() :: else -> got = 0 fi };
            if :: got -> break :: else fi
       :: h != 0 && dead[h - 1] ->
            atomic { drain(me);
                if
                :: tok == h && tw == w && tp == p -> tok = ID(me) + 1; tp = 0; got = 1; enter();
#ifdef M_LOSE_W
                    tw = 0
#endif
                :: else -> got = 0
                fi };
            if
            :: got ->
#ifndef M_THIEF
                collect();
#endif
                break
            :: else
            fi
       :: else ->
            atomic { drain(me);
                if :: tok == h && tw == w && tp == p -> tw = 1; w = 1; got = 1 :: else -> got = 0 fi };
            if
            :: got ->
                got = 0; x = h - 1;
#ifdef M_NO_LIFE
                atomic { if :: tok == h && tw == w && tp == p -> asl[me] = 1; watch[me] = NONE :: else fi };
#else
                atomic { if :: tok == h && tw == w && tp == p && !dead[x] -> asl[me] = 1; watch[me] = x :: else fi };
#endif
                (!asl[me]);
#ifndef M_NO_PASS_ON
                if :: dead[x] -> atomic { EACH(WAKE_LIFE) } :: else fi
#endif
            :: else
            fi
       fi
    od;
    atomic { h = 0; w = 0; p = 0; got = 0; x = 0 }
}

inline unlock() {
    do
    :: atomic { h = tok; w = tw; p = tp };
       assert(h == ID(me) + 1);
#ifndef M_UNLOCK
       if
       :: p ->
            atomic { drain(me); if :: tw == w -> tp = 0; got = 1 :: else -> got = 0 fi };
            if :: got -> got = 0; collect() :: else fi
       :: else ->
#endif
            atomic { drain(me);
                if :: tok == h && tw == w && tp == p -> tok = 0; tw = 0; tp = 0; got = 1; in[me] = 0 :: else -> got = 0 fi };
            if :: got -> break :: else fi
#ifndef M_UNLOCK
       fi
#endif
    od;
    if :: w -> atomic { EACH(WAKE_TOKEN) } :: else fi;
    atomic { h = 0; w = 0; p = 0; got = 0 }
}

/* a store with its fence right behind is one step */
#ifdef M_NOFENCE
inline release() { relb[me] = 1 }
#else
inline release() { rel[me] = 1 }
#endif
/* after a release, without the token: somebody must collect */
inline tell() {
    do
    :: atomic { h = tok; w = tw; p = tp };
       if
       :: h == 0 || dead[h - 1] -> lock(); collect(); unlock(); break
#ifndef M_NOPEND
       :: else ->
            if
            :: p -> break
            :: else ->
                atomic { drain(me); if :: tok == h && tw == w && tp == p -> tp = 1; got = 1 :: else -> got = 0 fi };
                if :: got -> got = 0; break :: else fi
            fi
#else
       :: else -> break
#endif
       fi
    od;
    atomic { h = 0; w = 0; p = 0; told[me] = 1 }
}

#define SEEK(s) if :: mine == NONE && s < NSLOT && (slot[s] == 0 || dead[slot[s] - 1]) -> mine = s :: else fi;
#define ALONE(s) assert(mine == s || s >= NSLOT || slot[s] == 0 || slot[s] != me + 1);

proctype Process(byte me) {
    byte h, x, mine = NONE; bit w, p, got;
    {
    if
    :: me >= FIRST_JOINER ->
#ifdef M_REUSE
        (dead[0] || fin[0]);                 /* it has the id because the other is gone */
        if :: fin[0] -> goto out :: else -> dead[0] = 0 fi;
#endif
#ifdef M_SLOT_FIRST
        atomic { EACH(SEEK) };
        if :: mine == NONE -> goto out :: else fi;
        slot[mine] = me + 1;
        lock(); collect()
#else
        lock(); collect();
        atomic { EACH(SEEK) };
        if :: mine == NONE -> unlock(); goto out :: else fi;
        slot[mine] = me + 1
#endif
        ; unlock()
    :: else -> mine = me
    fi;
    assert(slot[mine] == me + 1);
    if
    :: me < FIRST_JOINER -> release(); tell(); if :: me == 0 -> lock(); unlock() :: else fi
    :: else
    fi;
    assert(slot[mine] == me + 1);
out: atomic { fin[me] = 1; mine = 0 }
    } unless { dead[me] && !fin[me] }
}

#ifdef M_NOFENCE
active proctype Drainer() {
#define DRAIN(q) :: atomic { relb[q] -> drain(q) }
end: do
    EACH(DRAIN)
    od
}
#endif

proctype Crash() {
    byte x;
#define DIE(q) :: !dead[q] && !fin[q] -> x = q
#define WAKE_ONE(q) :: asl[q] && watch[q] == x -> asl[q] = 0
end: do
    :: left = 0; break
    :: left > 0 -> atomic {
        if EACH(DIE) fi;
        left--; drain(x); dead[x] = 1; asl[x] = 0;
#ifdef KERNEL_ALL
        EACH(WAKE_LIFE)
#else
        if EACH(WAKE_ONE) :: else fi
#endif
        }
    od
}

#define RUN(q) slot[q] = (q < NSLOT -> q + 1 : 0); run Process(q);
#define OVER(q) assert(!asl[q]); assert(fin[q] || dead[q]); assert(!(rel[q] && told[q]) || tok != 0);
init {
    atomic { EACH(RUN) run Crash() };
end: timeout;
    d_step {
        EACH(OVER)
        assert(tok == 0 || dead[tok - 1])
    }
}
