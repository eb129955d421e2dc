/* bell.pml - sleeping and waking between one receiver and two senders, in both directions, with room counted by link.
 *
 * Run:      spin -a bell.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m500000
 * Switches: -DCAP=1 link_capacity   -DN0=2 -DN1=1 messages of each sender   -DCRASHES=1   -DWHO=r only role r may die
 *           (0, 1 senders, 2 receiver)   -DNEWFILE  the successor of a dead sender comes with a new link file (when the old
 *           one is drained): its count of sleeps begins again
 *           -DFULL   each link begins with one message, of a sender that never rang for it, and the receiver asleep
 *           -DNOHEIR  nobody succeeds the dead
 * Mutants (each must fail): -DN1=0 -DCRASHES=0 with -DM_NOFENCE_S (sender, after its commit)  -DM_NOFENCE_R (receiver, after
 *           TURN)  -DM_NOFENCE_FREE (receiver, after it freed room)  -DM_NOFENCE_WAITS (sender, after it counted its sleep)
 *           -DM_CHECK_FIRST (sender looks for room, then counts);
 *           -DCRASHES=0 with -DM_SAME_EPOCH  -DM_NO_CHANGE (a ring that changes no word);   -DWHO=0 with -DM_SHARED_NOTE;
 *           -DFULL -DN1=0 -DWHO=2 -DNOHEIR -DM_NO_LIFE_WATCH (a blocked sender does not watch the receiver)
 *           -DFULL -DN1=2 -DWHO=2 -DNOHEIR -DM_NO_PASS_ON (the sender woken by a life word wakes no other)
 *           -DFULL -DN0=4 -DN1=0 -DWHO=0 -DNEWFILE -DM_ROW_NOTE (the receiver's note outlives the link file)
 *           -DFULL -DN1=0 -DCRASHES=0 -DM_NO_BLOCKED_RING (a blocked sender does not ring)
 * Variants that pass: -DM_NO_JOIN_RING -DM_NO_TAKEOVER_RING
 *
 * Words     PUB(l)  committed; sender    DONE(l)  finished; receiver    WAITS(l)  sleeps for room begun; sender, its own link file
 *           TURN    epoch of the sleeping receiver (its slot is 0)      BELL  of that slot: added to by senders
 *           ROW(l)  bell of the row; receiver    ROOM  header: added to by a receiver that joins or steals
 * Memory    a plain store waits in a buffer of one store a word and drains at any time, in any order between words; a fence, an atomic
 *           add or a system call drains all. Loads are in order. A store with its fence behind is one step.
 * Death     up to CRASHES roles at any step; what they stored drains; a successor comes or not. A receiver's life word wakes ONE. No timers.
 * Checked   at the end nobody sleeps who has something to do: no receiver with a promised message, no sender with room, no sender
 *           behind a message of its own link that an idle receiver has not noticed.
 */
#ifndef CAP
#define CAP 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef N0
#define N0 2
#endif
#ifndef N1
#define N1 1
#endif
#define N_OF(r) ((r) == 0 -> N0 : N1)
#define PUB(l) (l)
#define WAITS(l) (2 + (l))
#define DONE(l) (4 + (l))
#define TURN 6
#define BELL 7
#define ROW(l) (8 + (l))
#define ROOM 10
#define NW 11
#define NP 3

byte mem[NW], pv[NW]; bit pend[NW];
bit asl[NP], onlife[NP];
byte rlife; bit ralive = 1;     /* the receiver's life: number, alive or not */
bit dead[NP], buried[NP], gone[NP], fin[NP];
byte file[2];                   /* which link file it is */
byte commits[2], prom[2], taken[2];
byte snote, left = CRASHES;

inline flush(w) { if :: pend[w] -> mem[w] = pv[w]; pend[w] = 0 :: else fi }
inline drain(r) {
    if
    :: r < 2 -> flush(PUB(r)); flush(WAITS(r))
    :: else -> flush(DONE(0)); flush(DONE(1)); flush(TURN)
    fi
}
inline add(r, w) { atomic { drain(r); mem[w]++ } }
#define UP(q) asl[q] = 0; onlife[q] = 0
/* the receiver sleeps on BELL; a sender on its row's bell, ROOM and the receiver's life word */
inline ring_receiver(r) {
#ifndef M_NO_CHANGE
    add(r, BELL);
#endif
    atomic { UP(2) }
}
inline ring_row(l) { add(2, ROW(l)); atomic { UP(l) } }
inline ring_all() { add(2, ROOM); atomic { UP(0); UP(1) } }
#define ROOMLEFT(r) (mine - mem[DONE(r)] < CAP)

proctype Sender(byte r; bit successor) {
    byte note, e, v, w, mine, life; bit seen;
    {
    atomic { mine = mem[PUB(r)] };
#ifdef NEWFILE
    if
    :: successor && mine == mem[DONE(r)] -> atomic { file[r]++; mem[WAITS(r)] = 0; pend[WAITS(r)] = 0 }
    :: else
    fi;
#endif
#ifndef M_NO_TAKEOVER_RING
    if :: successor -> ring_receiver(r) :: else fi;
#endif
    do
    :: atomic { mine == N_OF(r) -> fin[r] = 1 }; break
    :: atomic { mine < N_OF(r) && ROOMLEFT(r) ->
            assert(commits[r] - mem[DONE(r)] < CAP);
            mine++; commits[r]++; drain(r);
#ifdef M_NOFENCE_S
            pv[PUB(r)] = mine; pend[PUB(r)] = 1
#else
            mem[PUB(r)] = mine
#endif
        };
        atomic { e = mem[TURN];
#ifdef M_SHARED_NOTE
            note = snote
#endif
        };
        if
        :: e != 0 && e != note -> note = e;
#ifdef M_SHARED_NOTE
            snote = e;
#endif
            ring_receiver(r)
        :: else
        fi;
        atomic { e = 0; prom[r] = mine }
    :: atomic { mine < N_OF(r) && !ROOMLEFT(r) -> v = mem[ROW(r)]; w = mem[ROOM] };
        atomic { seen = ralive; life = rlife };
#ifdef M_CHECK_FIRST
        if
        :: ROOMLEFT(r)
        :: else ->
#endif
#ifdef M_NOFENCE_WAITS
        atomic { pv[WAITS(r)] = (pend[WAITS(r)] -> pv[WAITS(r)] : mem[WAITS(r)]) + 1; pend[WAITS(r)] = 1 };
#else
        atomic { drain(r); mem[WAITS(r)]++ };
#endif
        if
#ifndef M_CHECK_FIRST
        :: ROOMLEFT(r)
#endif
        :: else ->
#ifdef M_NOFENCE_WAITS          /* the ring would be a fence too late: leave it out to see the first one missing */
            if :: mem[TURN] != 0 -> atomic { mem[BELL]++; UP(2) } :: else fi;
#else
#ifndef M_NO_BLOCKED_RING
            ring_receiver(r);
#endif
#endif
            atomic {
#ifndef M_NOFENCE_WAITS
                drain(r);
#endif
                if
                :: mem[ROW(r)] == v && mem[ROOM] == w && !(seen && (!ralive || life != rlife)) ->
                    asl[r] = 1;
#ifndef M_NO_LIFE_WATCH
                    onlife[r] = seen
#endif
                :: else
                fi };
            (!asl[r]);
#ifndef M_NO_PASS_ON
            if :: seen && (!ralive || life != rlife) -> atomic { if :: onlife[0] -> UP(0) :: else fi; if :: onlife[1] -> UP(1) :: else fi } :: else fi
#endif
        fi
#ifdef M_CHECK_FIRST
        fi
#endif
        ; atomic { v = 0; w = 0; seen = 0; life = 0 }
    od
    } unless { atomic { dead[r] -> buried[r] = 1 } }
}

/* finish a message of link l, ring for room */
inline finish(l, t, note, id) {
    atomic { t++; taken[l]++; drain(2);
#ifdef M_NOFENCE_FREE
        pv[DONE(l)] = t; pend[DONE(l)] = 1
#else
        mem[DONE(l)] = t
#endif
    };
    atomic { e = mem[WAITS(l)];
#ifndef M_ROW_NOTE
        if :: file[l] != id -> id = file[l]; note = 0 :: else fi;
#endif
        ok = (e != note); note = e; e = 0 };
    if :: ok -> ring_row(l) :: else fi;
    ok = 0
}

proctype Receiver(bit successor) {
    byte n0, n1, f0, f1, e, s, ep, t0, t1; bit ok;
    {
    atomic { t0 = mem[DONE(0)]; t1 = mem[DONE(1)]; ep = mem[TURN] };
#ifdef FULL
    if :: !successor -> (!asl[2]) :: else fi;
#endif
#ifndef M_NO_JOIN_RING
    if :: successor -> ring_all() :: else fi;
#endif
    do
    :: mem[PUB(0)] > t0 -> finish(0, t0, n0, f0)
    :: mem[PUB(1)] > t1 -> finish(1, t1, n1, f1)
    :: atomic { else -> s = mem[BELL];
#ifdef M_SAME_EPOCH
            ep = 1;
#else
            ep++;
#endif
#ifdef M_NOFENCE_R
            pv[TURN] = ep; pend[TURN] = 1 };
#else
            drain(2); mem[TURN] = ep };
#endif
        if
        :: mem[PUB(0)] > t0
        :: else ->
            if
            :: mem[PUB(1)] > t1
            :: else -> atomic { drain(2); if :: mem[BELL] == s -> asl[2] = 1 :: else fi }; (!asl[2])
            fi
        fi;
        s = 0
    od
    } unless { atomic { dead[2] -> buried[2] = 1 } }
}

active proctype Drainer() {
#define DRAIN(w) :: atomic { pend[w] -> flush(w) }
end: do
    DRAIN(0) DRAIN(1) DRAIN(2) DRAIN(3) DRAIN(4) DRAIN(5) DRAIN(6)
    od
}

#ifdef WHO
#define MAY(x) ((x) == WHO && !dead[x] && !gone[x] && !fin[x] && !(fin[0] && fin[1]))
#else
#define MAY(x) (!dead[x] && !gone[x] && !fin[x] && !(fin[0] && fin[1]))
#endif
#define DIE(q) :: MAY(q) -> x = q
proctype Crash() {
    byte x;
end: do
    :: left = 0; break
    :: atomic { left > 0 -> if DIE(0) DIE(1) DIE(2) fi;
            left--; dead[x] = 1; UP(x); drain(x);
            if
            :: x == 2 -> ralive = 0; if :: onlife[0] -> UP(0) :: onlife[1] -> UP(1) :: else fi
            :: else
            fi };
        if
#ifndef NOHEIR
        :: atomic { buried[x] -> buried[x] = 0; dead[x] = 0;
                if :: x < 2 -> run Sender(x, 1) :: else -> rlife++; ralive = 1; run Receiver(1) fi; x = 0 }
#endif
        :: atomic { buried[x] -> gone[x] = 1; x = 0 }
        fi
    od
}

init {
    atomic {
#ifdef FULL
        mem[PUB(0)] = 1; commits[0] = 1;
        if :: N1 > 0 -> mem[PUB(1)] = 1; commits[1] = 1 :: else fi;
        mem[TURN] = 1; asl[2] = 1;
#endif
        run Sender(0, 0); run Sender(1, 0); run Receiver(0); run Crash() };
end: timeout;
    d_step {
        assert(mem[PUB(0)] == commits[0] && mem[PUB(1)] == commits[1]);
        /* room, and a blocked sender */
        assert(!(asl[0] && mem[PUB(0)] - mem[DONE(0)] < CAP) && !(asl[1] && mem[PUB(1)] - mem[DONE(1)] < CAP));
        if
        :: !gone[2] ->
            assert(asl[2]);
            assert(prom[0] <= taken[0] && prom[1] <= taken[1]);
            assert(!asl[0] && !asl[1]);
            assert((fin[0] || gone[0]) && (fin[1] || gone[1]))
        :: else
        fi
    }
}
