/* choice.pml - several receivers that sleep, and a policy that chooses which of them is first: `chosen`, TURN, tickets, life words.
 *
 * The policy is any policy: it may choose whomever it likes, as often as it is asked. What is checked holds whatever it chooses.
 *
 * Run:      spin -a choice.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m500000
 * Switches: -DNR=2 or 3 receivers   -DM=2 messages   -DCRASHES=1   -DWHO=r only role r dies (NR is the sender)
 *           -DK0, -DK1, -DK2=c  what receiver r does with its message: 0 copies it, 1 claims and finishes it,
 *                    2 claims and keeps it for ever, 3 claims and returns it   -DN0=1, -DN1, -DN2 receive calls of r
 *           -DQUEUED         each receiver calls when the one before it sleeps (a smaller search)
 *           -DLATER          receiver JOIN comes when 1 sleeps, the sender begins when all do
 *           -DGIVE_UP=r      receiver r may time out at any moment     -DJOIN=r  receiver r opens the mailbox during the run
 *           -DNEVER          who comes while others sleep always stands in the queue first (least-loaded, with more claims)
 *           -DAGAIN          the choice is made anew at every look (by claims)
 * Mutants (each must fail): -DNR=2 with -DM_NOFENCE_S  -DM_NOFENCE_R  -DM_NO_WATCH  -DM_NO_APPOINT (who leaves rings nobody);
 *           -DNR=2 -DM_KEEP (a choice stands though the one chosen has left the queue);
 *           -DM_NO_MOVE (who enters and chooses another leaves TURN as it is);
 *           -DQUEUED -DLATER -DJOIN=2 -DK0=2 -DWHO=2 -DM_NO_SECOND (nobody looks whether one of the others watches the first)
 *
 * Words     as in queue.pml; chosen  a slot, valid while it has a ticket; under the token
 *           came[r]  value of joins when r came; under the token
 * Rule      A sleeper takes when it is the one chosen; an arriving receiver takes when more messages wait than living sleepers.
 *           A choice is made by who enters, among all, and by whoever finds none that is valid.
 * Memory    as in queue.pml.   Death  at any step; the kernel wakes ONE watcher. No timers, no back-stop.
 * Checked   at the end no living receiver sleeps while a promised message, a returned one, or a claim of a dead one waits.
 */
#ifndef NR
#define NR 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef M
#define M 2
#endif
#ifndef K0
#define K0 0
#endif
#ifndef K1
#define K1 0
#endif
#ifndef K2
#define K2 0
#endif
#ifndef N0
#define N0 1
#endif
#ifndef N1
#define N1 1
#endif
#ifndef N2
#define N2 1
#endif
#ifndef JOIN
#define JOIN 7
#endif
#define KIND(r) ((r) == 0 -> K0 : ((r) == 1 -> K1 : K2))
#define S NR
#define NONE 9
#define CLAIMED 1
#define RETURNED 2

byte pub, pubp; bit pubpend;
byte next, prom;
byte turn = NONE, turn_ep, turnp, turnp_ep; bit turnpend;
byte ticket[NR], tctr, est[NR], bell[NR];
bit joined[NR]; byte joins, knows[NR], came[NR], chosen = NONE;
byte holder = NONE;
bit dead[NR + 1], fin[NR + 1], asl[NR], busy[NR];
byte watch[NR];                 /* whose life words: bits */
byte left = CRASHES;

#if NR == 3
#define EACH(X) X(0) X(1) X(2)
#define ALL(X) X(0) X(1) X(2)      /* EACH inside EACH */
#define RET ((est[0] == RETURNED) + (est[1] == RETURNED) + (est[2] == RETURNED))
#define SLEEPERS (LIVE(0) + LIVE(1) + LIVE(2))
#define UNREAPED (joined[0] && dead[0] || joined[1] && dead[1] || joined[2] && dead[2])
#else
#define EACH(X) X(0) X(1)
#define ALL(X) X(0) X(1)
#define RET ((est[0] == RETURNED) + (est[1] == RETURNED))
#define SLEEPERS (LIVE(0) + LIVE(1))
#define UNREAPED (joined[0] && dead[0] || joined[1] && dead[1])
#endif
#define LIVE(q) (ticket[q] != 0)        /* the dead count until they are reaped */
#define AVAIL (pub - next + RET)
#define PICK(q) :: LIVE(q) -> h = q
#define KNOWS(q) if :: q != h && LIVE(q) -> if :: knows[q] >= came[h] -> ok = 1 :: else -> p = q fi :: else fi;
#define OTHERS(q) if :: q != r && joined[q] -> w = w | (1 << q) :: else fi;
#define LOST(q) ((w & (1 << q)) && dead[q])
#if NR == 3
#define ANY_LOST (LOST(0) || LOST(1) || LOST(2))
#else
#define ANY_LOST (LOST(0) || LOST(1))
#endif
#define WAKE_LIFE(q) if :: asl[q] && (watch[q] & (1 << d)) -> asl[q] = 0; watch[q] = 0 :: else fi;
#define GIVE(q) if :: !ok && est[q] == RETURNED -> est[q] = 0; ok = 1 :: else fi;
#define PASS_ON(q) if :: LOST(q) -> d = q; ALL(WAKE_LIFE) :: else fi;

inline drain_s() { if :: pubpend -> pub = pubp; pubpend = 0 :: else fi }
inline drain_r() { if :: turnpend -> turn = turnp; turn_ep = turnp_ep; turnpend = 0 :: else fi }
#define NOBODY (SLEEPERS == 0)
/* whomever the policy likes */
inline choose() { if EACH(PICK) :: NOBODY -> h = NONE fi; chosen = h }
inline first() {
#ifdef AGAIN
    choose()
#else
#ifdef M_KEEP
    if :: chosen != NONE -> h = chosen :: else -> choose() fi
#else
    if :: chosen != NONE && LIVE(chosen) -> h = chosen :: else -> choose() fi
#endif
#endif
}

/* stolen from a dead holder: those who watch it are woken; the caller repairs */
inline lock() {
    atomic { (holder == NONE || dead[holder]) ->
        ok = (holder != NONE);
        if :: ok -> d = holder; EACH(WAKE_LIFE) :: else fi;
        holder = r; d = 0 };
    if :: ok -> reap_all() :: else fi;
    ok = 0
}
inline unlock() { atomic { drain_r(); assert(holder == r); holder = NONE; h = 0; p = 0; s = 0; w = 0; ok = 0 } }
inline store_turn(who) {
    atomic { drain_r(); turnp = who;
#ifdef M_SAME_EPOCH
        turnp_ep = 1;
#else
        turnp_ep = turn_ep + 1;
#endif
        turnpend = 1;
#ifndef M_NOFENCE_R
        drain_r()
#endif
    }
}
inline ring(q) { atomic { drain_r(); bell[q]++ }; atomic { if :: asl[q] -> asl[q] = 0; watch[q] = 0 :: else fi } }
inline take() {
    atomic { assert(AVAIL > 0); ok = 0; EACH(GIVE)
        if :: ok -> ok = 0 :: else -> next++ fi;
        mine = 1; if :: KIND(r) != 0 -> assert(est[r] == 0); est[r] = CLAIMED :: else fi }
}
/* another one, or nobody, is first */
inline appoint() {
    store_turn(h);
    if
    :: h != NONE && (AVAIL > 0 || knows[h] != joins) -> ring(h)
    :: else
    fi
}
/* one of the others must watch the first */
inline have_watched() {
    if
#ifndef M_NO_SECOND
    :: h != NONE ->
        atomic { ok = 0; p = NONE; EACH(KNOWS) };
        if :: !ok && p != NONE -> ring(p) :: else fi;
        atomic { ok = 0; p = 0 }
#endif
    :: else
    fi
}
/* token held: slot q leaves the queue, or is taken out of it */
inline leave(q) {
    ticket[q] = 0;
#ifndef M_NO_APPOINT
    atomic { first() };
    if :: turn != h -> appoint() :: else fi;
    have_watched()
#else
    if :: turn == q -> store_turn(NONE) :: else fi
#endif
}
/* token held: what the dead left */
inline reap_all() {
    x = 0; any = 0;
    do
    :: x < NR ->
        if
        :: joined[x] && dead[x] ->
            if :: est[x] == CLAIMED -> est[x] = RETURNED :: else fi;
            leave(x);
            atomic { joined[x] = 0; any = 1; d = x; EACH(WAKE_LIFE) d = 0 }
        :: else
        fi;
        x++
    :: else -> break
    od;
    if
    :: any -> atomic { first() }; if :: h != NONE -> ring(h) :: else fi
    :: else
    fi;
    atomic { x = 0; any = 0; h = 0 }
}
#ifdef NEVER
#define OURTURN ((h == r && ticket[r] != 0) || (ticket[r] == 0 && SLEEPERS == 0))
#else
#define OURTURN ((h == r && ticket[r] != 0) || (ticket[r] == 0 && AVAIL > SLEEPERS))
#endif

#ifdef QUEUED
#define START(r) ((r) == 0 || asl[(r) - 1] || dead[(r) - 1] || fin[(r) - 1] || busy[(r) - 1])
#else
#define START(r) true
#endif

proctype Receiver(byte r; byte calls) {
    byte h, p, d, s, w, x; bit ok, any, mine, timed_out;
    {
    if
    :: r == JOIN ->
#ifdef LATER
        (asl[1] || dead[1] || fin[1]);
#endif
        lock();
        atomic { joined[r] = 1; joins++; came[r] = joins; first() };
#ifndef M_NO_JOIN_NUDGE
        if :: h != NONE -> ring(h) :: else fi;
#endif
        unlock()
    :: else
    fi;
call:
    do
    :: atomic { calls == 0 -> fin[r] = 1 }; break
    :: atomic { calls > 0 && START(r) -> calls-- };
again:  lock();
        atomic { first() };
        if
        :: AVAIL > 0 && OURTURN -> take()
        :: else ->      /* nothing for me: has somebody died? */
            if
            :: UNREAPED ->
                reap_all();
                atomic { first() };
                if :: AVAIL > 0 && OURTURN -> take() :: else fi
            :: else
            fi
        fi;
        if
        :: mine -> mine = 0; leave(r); unlock(); goto have
        :: else
        fi;
        if :: ticket[r] == 0 -> atomic { tctr++; ticket[r] = tctr }; atomic { choose() } :: else fi;
        s = bell[r];
#ifdef M_NO_WATCH
        w = 0;
#else
        if :: UNREAPED -> unlock(); goto again :: else fi;
        atomic { w = 0; EACH(OTHERS) };
#endif
        knows[r] = joins;
        atomic { first() };
        if
        :: h == r ->
            store_turn(r);
            if :: AVAIL > 0 -> unlock(); goto again :: else fi
        :: else ->
            if
#ifndef M_NO_MOVE
            :: turn != h -> appoint()
            :: turn == h && AVAIL > 0 -> ring(h)
#endif
            :: else
            fi
        fi;
        have_watched();
        atomic { drain_r(); assert(holder == r); holder = NONE; h = 0; p = 0 };
        atomic { if :: bell[r] == s && !ANY_LOST -> asl[r] = 1; watch[r] = w :: else fi };
        if
        :: !asl[r]
#ifdef GIVE_UP
        :: atomic { r == GIVE_UP && asl[r] -> asl[r] = 0; watch[r] = 0 }; timed_out = 1
#endif
        fi;
#ifndef M_NO_PASS_ON
        atomic { EACH(PASS_ON) d = 0; w = 0; s = 0 };
#endif
#ifdef GIVE_UP
        if
        :: timed_out -> timed_out = 0; lock(); leave(r); unlock(); goto call
        :: else
        fi;
#endif
        goto again;
have:   if
        :: est[r] == CLAIMED && KIND(r) == 1 -> est[r] = 0
        :: est[r] == CLAIMED && KIND(r) == 2 -> atomic { busy[r] = 1; h = 0; calls = 0 }; false
        :: est[r] == CLAIMED && KIND(r) == 3 ->
            est[r] = RETURNED;          /* and the fence */
#ifndef M_NO_RETURN_RING
            h = turn;
            if :: h != NONE -> ring(h) :: else fi;
#endif
            h = 0
        :: else
        fi
    od
    } unless { dead[r] }
}

#define ASLEEP(q) && (asl[q] || dead[q])
proctype Sender() {
    byte i, note, t, e;
    {
#ifdef LATER
    true EACH(ASLEEP);
#endif
    do
    :: i == M -> break
    :: i < M ->
        atomic { i++; pubp = i; pubpend = 1;
#ifndef M_NOFENCE_S
            drain_s()
#endif
        };
        atomic { t = turn; e = turn_ep };
        if
        :: t != NONE && e != note ->
            atomic { note = e; drain_s(); bell[t]++ };
            atomic { if :: asl[t] -> asl[t] = 0; watch[t] = 0 :: else fi }
        :: else
        fi;
        atomic { prom = i; t = 0; e = 0; fin[S] = (i == M) }
    od
    } unless { dead[S] }
}

active proctype Drainer() {
end: do
    :: atomic { pubpend -> drain_s() }
    :: atomic { turnpend -> drain_r() }
    od
}

#ifdef WHO
#define MAY(x) ((x) == WHO && !dead[x] && !fin[x])
#else
#define MAY(x) (!dead[x] && !fin[x])
#endif
proctype Crash() {
    byte x;
#define DIE(q) :: MAY(q) -> x = q
#define WAKE_ONE(q) :: asl[q] && (watch[q] & (1 << x)) -> asl[q] = 0; watch[q] = 0
end: do
    :: left = 0; break
    :: left > 0 -> atomic {
        if EACH(DIE) :: MAY(S) -> x = S fi;
        left--; dead[x] = 1;
        if
        :: x == S -> drain_s()
        :: else ->
            asl[x] = 0; watch[x] = 0; if :: holder == x -> drain_r() :: else fi;
            if EACH(WAKE_ONE) :: else fi
        fi; x = 0 }
    od
}

#define STRANDED(q) (est[q] == RETURNED || dead[q] && est[q] == CLAIMED)
#if NR == 3
#define WAITING (next < prom || STRANDED(0) || STRANDED(1) || STRANDED(2))
#else
#define WAITING (next < prom || STRANDED(0) || STRANDED(1))
#endif
#define OVER(q) assert(!asl[q] || dead[q] || !WAITING); assert(fin[q] || dead[q] || asl[q] || busy[q]);
#define INIT(q) joined[q] = (q != JOIN);
init {
    atomic { EACH(INIT) run Receiver(0, N0); run Receiver(1, N1);
#if NR == 3
        run Receiver(2, N2);
#endif
        run Sender(); run Crash() };
end: timeout;
    d_step {
        EACH(OVER)
        assert(holder == NONE || dead[holder]);
        assert(fin[S] || dead[S])
    }
}
