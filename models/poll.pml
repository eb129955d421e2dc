/* poll.pml - receivers that wait in an event loop: armed slots, one FIFO each, who rings once an arm, a level that is true.
 *
 * Run:      spin -a poll.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m500000
 * Switches: -DNS=1 or 2 senders of one user   -DM=n messages a sender   -DNR=1 or 2 receivers   -DCRASHES=0 or 1
 *           -DWHO=r only role r dies (receivers 0.., then senders)   -DCLAIM receiver 0 claims its first message and keeps it
 *           -DONE    a receiver takes one message and goes back to its loop, not all that are there
 *           -DJOIN   receiver 0 opens the mailbox during the run
 *           -DSTRICT nobody is overtaken while it rings: then a readable descriptor has a message (with -DNR=1 -DCRASHES=0)
 * Mutants (each must fail): -DM_NOFENCE_S  -DM_NOFENCE_R (one of the two fences)   -DM_ARMS_FIRST (arms before armed)
 *           -DM_NOTE_LATE (the note is the value of arms behind the look at the slots)
 *           -DM_DRAIN_LATE (the FIFO is emptied behind the look)  -DM_NO_HELP (one that rings is believed to end it, dead or not)
 *           -DM_NO_TAKEN -DSTRICT (who finds its message taken rings nevertheless)   -DM_NOTE_TAKEN (and notes it as rung)
 *           -DM_NO_DISARM -DSTRICT (rung while it looks: a late byte)   -DM_NO_RECHECK -DSTRICT (the ringer does not look again)
 *           -DNR=2 -DCLAIM -DWHO=0 -DM_NO_PIDFD (armed ones do not watch the others)
 *           -DNR=2 -DCLAIM -DJOIN -DWHO=0 -DM_NO_JOIN_RING (one that joins does not ring the armed)
 *           -DONE -DM_NO_RAISE (what is left of several messages is told by nobody)
 *
 * Words     pub    committed messages, bits; their senders     taken, est  under the token
 *           armed[r] {epoch, 0 not}  of receiver r     arms  last epoch given; under the token, behind armed
 *           word[r]  in the bell file of the senders' user: 2 * epoch while somebody rings for it, + 1 when it is rung
 *           fifo[r]  bytes in the FIFO of receiver r: anybody adds, r takes out     note  of each ringer, private
 * Memory    pub, armed and arms pass through buffers that drain at any time; a store with its fence is one step.
 * Death     at any step. Whoever has the dead one's pidfd in its loop is told, until it has taken it out.
 * Checked   at the end no living receiver waits in its loop while a promised message, or a claim of a dead one, is there;
 *           with STRICT, that a receiver whose descriptor was readable finds a message.
 */
#ifndef NS
#define NS 1
#endif
#ifndef M
#define M 2
#endif
#ifndef NR
#define NR 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define NONE 9
#define RINGING(e) ((e) * 2)
#define RUNG(e) ((e) * 2 + 1)
#define S0 NR
#define ROLES (NR + NS)

byte pub, taken, prom;                      /* bits, one a message */
byte pubp[NS]; bit pubpend[NS];
byte arms, armed[NR], armsp, armedp[NR]; bit armspend;
bit armedpend[NR];
byte word[NR], fifo[NR];
byte holder = NONE, joins;
bit joined[NR], knows[NR * 2], keeps[NR];   /* knows[r * 2 + q]: r has the pidfd of q */
byte est;                                   /* the claimed message of receiver 0, a bit; 0 none */
bit back;                                   /* it is RETURNED */
bit dead[ROLES], fin[ROLES], waits[NR];
byte left = CRASHES;

#define AVAIL ((pub & (255 - taken)) != 0 || back)
#define UNREAPED(q) (joined[q] && dead[q])
#if NR == 2
#define OTHER(r) (1 - (r))
#ifdef M_NO_PIDFD
#define TOLD(r) false
#else
#define TOLD(r) (knows[(r) * 2 + OTHER(r)] && dead[OTHER(r)])
#endif
#else
#define TOLD(r) false
#endif
#define READABLE(r) (fifo[r] > 0 || TOLD(r))

inline drain_s(i) { if :: pubpend[i] -> pub = pub | pubp[i]; pubpend[i] = 0 :: else fi }
inline drain_armed(r) { if :: armedpend[r] -> armed[r] = armedp[r]; armedpend[r] = 0 :: else fi }
inline drain_arms() { if :: armspend -> arms = armsp; armspend = 0 :: else fi }

/* one that rings receiver q: any sender, or who holds the token */
inline ring(q) {
    do
    :: true ->
        e = armed[q];
        if :: e == 0 -> break :: else fi;
#ifndef M_NO_TAKEN
        if :: mine != 0 && (taken & mine) != 0 -> over = 1; break :: else fi;
#endif
        atomic {
            w = word[q];
            if
            :: w == RUNG(e) -> w = 0; e = 0; break
#ifdef M_NO_HELP
            :: w == RINGING(e) -> w = 0; e = 0; break
#else
            :: w == RINGING(e)
#endif
            :: w != RINGING(e) && w != RUNG(e) -> word[q] = RINGING(e)
            fi };
#ifndef M_NO_RECHECK
        if
        :: armed[q] != e -> atomic { if :: word[q] == RINGING(e) -> word[q] = RUNG(e) :: else fi }; goto_again = 1
        :: else -> goto_again = 0
        fi;
#endif
        if
        :: goto_again -> goto_again = 0
        :: else ->
            fifo[q]++;
            atomic { if :: word[q] == RINGING(e) -> word[q] = RUNG(e) :: else fi; w = 0; e = 0 };
            break
        fi
    od
}
inline ring_all() {
    over = 0;
    a = arms;
    ring(0);
#if NR == 2
    ring(1);
#endif
#ifdef M_NOTE_LATE
    a = arms;
#endif
    atomic {
        if
#ifndef M_NOTE_TAKEN
        :: over
#else
        :: false
#endif
        :: else -> note = a
        fi; a = 0; over = 0; e = 0 }
}

proctype Sender(byte i) {
    byte n, e, w, a, note, mine; bit goto_again, over;
    {
    do
    :: n == M -> break
    :: n < M ->
        atomic { mine = 1 << (i * M + n); pubp[i] = mine; pubpend[i] = 1; n++;
#ifndef M_NOFENCE_S
            drain_s(i)
#endif
        };
        if
        :: arms != note -> ring_all()
        :: else
        fi;
        atomic { drain_s(i); prom = prom | (1 << (i * M + n - 1)); fin[S0 + i] = (n == M) }
    od
    } unless { dead[S0 + i] }
}

inline lock() {
    atomic { (holder == NONE || dead[holder]) -> holder = r };
    reap()
}
/* token held: the claim of a dead one goes back, and whoever is armed is rung */
inline reap() {
#if NR == 2
    if
    :: UNREAPED(OTHER(r)) ->
        atomic { if :: OTHER(r) == 0 && est != 0 -> back = 1 :: else fi; joined[OTHER(r)] = 0 };
        ring(r)
    :: else
    fi
#else
    skip
#endif
}
inline take() {
    atomic {
        if
        :: back -> back = 0; est = 0
        :: else ->
            m = 1;
            do
            :: (pub & m) != 0 && (taken & m) == 0 -> break
            :: else -> m = m * 2
            od;
            taken = taken | m;
#ifdef CLAIM
            if :: r == 0 && !keeps[0] -> est = m; keeps[0] = 1 :: else fi
#endif
        fi; m = 0 }
}

proctype Receiver(byte r) {
    byte e, w, m, mine; bit there, first, goto_again, got, over, own;
    {
#ifdef JOIN
    if
    :: r == 0 ->
        lock();
        atomic { joined[r] = 1; joins++ };
#ifndef M_NO_JOIN_RING
        ring(OTHER(r));
#endif
        atomic { drain_armed(r); holder = NONE }
    :: else
    fi;
#endif
    goto settle;            /* tong_fd */
loop:
    atomic { waits[r] = 1; READABLE(r) -> waits[r] = 0; first = 1 };
receive:
    lock();
    if
    :: AVAIL -> take(); got = 1
    :: else -> got = 0
    fi;
    atomic { holder = NONE;
#ifdef STRICT
        assert(got || !first);
#endif
        first = 0; there = AVAIL };
    if
    :: got && there ->      /* more is there: the level stays */
#ifndef M_NO_RAISE
        if :: fifo[r] == 0 -> fifo[r]++; own = 1 :: else fi;
#endif
        goto again
    :: else
    fi;
settle:
    e = armed[r];
    if      /* armed, nothing taken since, and nobody rang: nothing to do */
    :: !got && e != 0 && word[r] != RINGING(e) && word[r] != RUNG(e) && fifo[r] == 0 && !TOLD(r) -> goto again
    :: else
    fi;
#ifndef M_NO_DISARM
    armed[r] = 0;           /* and the fence */
#endif
    /* who is ringing is waited for, but not for ever */
#ifdef STRICT
    e == 0 || word[r] != RINGING(e) || fifo[r] > own;
#endif
#ifndef M_DRAIN_LATE
    atomic { fifo[r] = 0; own = 0 };
#endif
    lock();
#if NR == 2
    knows[r * 2 + OTHER(r)] = joined[OTHER(r)];
#endif
#ifdef M_ARMS_FIRST
    atomic { armsp = arms + 1; armspend = 1; drain_arms() };
    atomic { armed[r] = arms };
#else
    atomic { drain_arms(); armedp[r] = arms + 1; armedpend[r] = 1; 
#ifndef M_NOFENCE_R
        drain_armed(r)
#endif
    };
    atomic { armsp = arms + 1; armspend = 1;
#ifndef M_NOFENCE_R
        drain_arms()
#endif
    };
#endif
    there = AVAIL;
    atomic { drain_armed(r); drain_arms(); holder = NONE; e = 0 };
#ifdef M_DRAIN_LATE
    atomic { fifo[r] = 0; own = 0 };
#endif
    if
    :: there -> there = 0; goto receive_more
    :: else -> goto loop
    fi;
again:
#ifdef ONE
    if :: got -> got = 0; goto loop :: else fi;
#endif
    if :: got -> got = 0; goto receive :: else -> goto loop fi;
receive_more:
#ifdef ONE
#ifndef M_NO_RAISE
    if :: fifo[r] == 0 -> fifo[r]++; own = 1 :: else fi;     /* it is there for the next call */
#endif
    goto loop
#else
    goto receive
#endif
    } unless { dead[r] }
}

active proctype Drainer() {
end: do
    :: atomic { pubpend[0] -> drain_s(0) }
#if NS == 2
    :: atomic { pubpend[1] -> drain_s(1) }
#endif
    :: atomic { armedpend[0] -> drain_armed(0) }
#if NR == 2
    :: atomic { armedpend[1] -> drain_armed(1) }
    :: atomic { armspend && !armedpend[0] && !armedpend[1] -> drain_arms() }
#else
    :: atomic { armspend && !armedpend[0] -> drain_arms() }
#endif
    od
}

#ifdef WHO
#define MAY(x) ((x) == WHO && !dead[x] && !fin[x])
#else
#define MAY(x) (!dead[x] && !fin[x])
#endif
proctype Crash() {
    byte x;
end: do
    :: left = 0; break
    :: left > 0 -> atomic {
        if
        :: MAY(0) -> x = 0
        :: MAY(1) -> x = 1
#if NR + NS > 2
        :: MAY(2) -> x = 2
#endif
#if NR + NS > 3
        :: MAY(3) -> x = 3
#endif
        fi;
        left--; dead[x] = 1;
        if
        :: x >= NR -> drain_s(x - NR)
        :: else -> waits[x] = 0; drain_armed(x); if :: holder == x -> drain_arms() :: else fi
        fi; x = 0 }
    od
}

#if NR == 2
#define STRANDED (est != 0 && (back || dead[0]))
#else
#define STRANDED false
#endif
#define OVER(r) assert(dead[r] || waits[r]); assert(dead[r] || !(prom & (255 - taken)) && !STRANDED);
init {
#ifndef JOIN
    joined[0] = 1;
#endif
    atomic {
#if NR == 2
        joined[1] = 1;
        run Receiver(1);
#endif
        run Receiver(0); run Sender(0);
#if NS == 2
        run Sender(1);
#endif
        run Crash() };
end: timeout;
    d_step {
        OVER(0)
#if NR == 2
        OVER(1)
#endif
        assert(holder == NONE || dead[holder]) }
}
