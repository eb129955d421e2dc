/* from.pml - a receiver that waits for one process's messages alone, while another one's come and that one takes another name,
 * goes or dies.
 *
 * Run:      spin -a from.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m500000
 * Switches: -DNP=2 -DNR=2 messages of P and of R   -DCRASHES=1 P may die at any step   -DGOES=1 P ends or renames its mailbox at last
 * Mutants (each must fail): -DM_NOFENCE_S (P, after its commit)  -DM_NOFENCE_R (Q, after TURN)  -DM_SAME_EPOCH (woken by R, it sleeps
 *           with the epoch it had)  -DM_NO_LIFE (P's life word is not watched)  -DM_NO_BELL (P's bell is not)
 *           -DM_BELL_LATE (the bell is read behind the look at P's state)  -DM_RING_FIRST (P rings, then stores its end)
 *           -DM_END_LATE (Q reads P's end behind the look for its messages)
 *
 * Words     PUBP, PUBR  committed; each sender   TURN  epoch of sleeping Q; Q   BELL  of Q: added to by P and R
 *           STATE  P's end or new name: state, owner or `renames` of its box; P   PBELL  the bell `room` of its box: added to by P
 * Memory    as in bell.pml: a plain store waits in a buffer and drains at any time; a fence, an atomic add or a system call drains all.
 * Death     what P stored drains; the kernel wakes who sleeps on its life word. No timers.
 * Checked   Q does not end before everything P committed is taken; at the end it does not sleep beside a promised message, P's death,
 *           end or new name.
 */
#ifndef NP
#define NP 2
#endif
#ifndef NR
#define NR 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef GOES
#define GOES 1
#endif
#define PUBP 0
#define PUBR 1
#define TURN 2
#define BELL 3
#define STATE 4
#define PBELL 5
#define NW 6

#ifdef M_NO_BELL
#define WATCHES_BELL 0
#define SAME_BELL true
#else
#define WATCHES_BELL 1
#define SAME_BELL (mem[PBELL] == pb)
#endif
#ifdef M_NO_LIFE
#define WATCHES_LIFE 0
#define LIVES true
#else
#define WATCHES_LIFE 1
#define LIVES palive
#endif

byte mem[NW], pv[NW]; bit pend[NW];
bit asleep, on_life, on_bell, palive = 1, qend;
bit killed; byte prom, taken;

inline flush(w) { if :: pend[w] -> mem[w] = pv[w]; pend[w] = 0 :: else fi }
inline drain_p() { flush(PUBP); flush(STATE) }
/* ring Q: an atomic add and a system call */
inline ring_q() { atomic { mem[BELL]++; asleep = 0 } }

active proctype P() {
    byte mine, note, e;
    {
    do
    :: mine < NP ->
        atomic { mine++;
#ifdef M_NOFENCE_S
            pv[PUBP] = mine; pend[PUBP] = 1
#else
            mem[PUBP] = mine
#endif
        };
        atomic { e = mem[TURN] };
        if
        :: e != 0 && e != note -> note = e; atomic { drain_p(); mem[BELL]++; asleep = 0 }
        :: else
        fi;
        prom = mine
    :: mine == NP -> break
    od;
    if
    :: GOES ->
#ifdef M_RING_FIRST
        atomic { mem[PBELL]++; if :: on_bell -> asleep = 0 :: else fi };
        mem[STATE] = 1
#else
        atomic { pv[STATE] = 1; pend[STATE] = 1 };
        atomic { drain_p(); mem[PBELL]++; if :: on_bell -> asleep = 0 :: else fi }
#endif
    :: !GOES
    fi;
    false /* it lives on */
    } unless {
        atomic { killed -> drain_p(); palive = 0; if :: on_life -> asleep = 0 :: else fi }
    }
}

active proctype R() {
    byte mine, note, e;
    do
    :: mine < NR ->
        atomic { mine++; mem[PUBR] = mine };
        atomic { e = mem[TURN] };
        if
        :: e != 0 && e != note -> note = e; ring_q()
        :: else
        fi
    :: mine == NR -> break
    od
}

active proctype Buffers() {
    do
    :: atomic { pend[PUBP] -> flush(PUBP) }
    :: atomic { pend[STATE] -> flush(STATE) }
    :: atomic { pend[TURN] -> flush(TURN) }
    od
}

active proctype Q() {
    byte epoch, b, pb; bit end, look;
    do
    :: atomic { end = (mem[STATE] != 0 || !palive) };
#ifdef M_END_LATE
        atomic { look = mem[PUBP] > taken };
        atomic { end = (mem[STATE] != 0 || !palive) };
#else
        atomic { look = mem[PUBP] > taken };
#endif
        if
        :: look -> taken++
        :: !look && end ->
            atomic { assert(taken == mem[PUBP]); qend = 1 };
            break
        :: !look && !end ->
            b = mem[BELL];
            atomic {
#ifdef M_SAME_EPOCH
                epoch = 1;
#else
                epoch++;
#endif
                pv[TURN] = epoch; pend[TURN] = 1
            };
#ifndef M_NOFENCE_R
            atomic { flush(TURN) };
#endif
            atomic { look = mem[PUBP] > taken };
            if
            :: look
            :: !look ->
#ifdef M_BELL_LATE
                atomic { end = (mem[STATE] != 0 || !palive) };
                pb = mem[PBELL];
#else
                pb = mem[PBELL];
                atomic { end = (mem[STATE] != 0 || !palive) };
#endif
                if
                :: end
                :: !end ->
                    /* the kernel compares all words and sleeps in one step */
                    atomic {
                        flush(TURN);
                        if
                        :: mem[BELL] == b && SAME_BELL && LIVES ->
                            asleep = 1; on_bell = WATCHES_BELL; on_life = WATCHES_LIFE
                        :: else
                        fi
                    };
                    atomic { !asleep -> on_bell = 0; on_life = 0 }
                fi
            fi
        fi
    od
}

active proctype Death() { if :: CRASHES -> killed = 1 :: skip fi }

active proctype Judge() {
    timeout;
    assert(qend || (asleep && taken >= prom && palive && mem[STATE] == 0))
}
