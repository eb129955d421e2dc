/* queue.pml - several receivers, first come first served: tickets, TURN, one bell a receiver, life words, claims held by others.
 *
 * Run:      spin -a queue.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m500000
 * Switches: -DNR=2 or 3 receivers   -DM=2 messages   -DCRASHES=1   -DWHO=r only role r dies (NR is the sender)
 *           -DK0, -DK1, -DK2=c  what receiver r does with its message: 0 copies it, 1 claims and finishes it,
 *                    2 claims and keeps it for ever, 3 claims and returns it   -DN0=1, -DN1, -DN2 receive calls of r
 *           -DQUEUED         each receiver calls when the one before it sleeps (a smaller search)
 *           -DBUSY2          receiver 2 calls first and has its message (K2=2) before 0 and then 1 go to sleep
 *           -DGIVE_UP=r      receiver r may time out at any moment     -DJOIN=r  receiver r opens the mailbox during the run
 *           -DORDER          receiver 2 calls only when receiver 0 sleeps (first-come: 0 is served before)
 *           -DANY            the policy `any`: who finds a message takes it, tickets or not
 * Mutants (each must fail): -DNR=2 with -DM_NOFENCE_S  -DM_NOFENCE_R  -DM_NO_WATCH  -DM_NO_HANDOVER  -DM_SAME_EPOCH;
 *           -DM=1 -DQUEUED -DWHO=0 -DGIVE_UP=1 -DM_REAP_TICKET (a dead slot that TURN names is not taken out of the queue);
 *           -DM=1 -DORDER -DCRASHES=0 -DANY (`any` is no first-come);
 *           -DBUSY2 -DK2=2 -DWHO=2 with -DM_PRED (only the first watches everybody: who becomes first asleep does not)
 *           and -DM_SKIP_DEAD (a receiver that died after this hold's repair is left out of the list);
 *           -DNR=2 -DM=1 -DK1=2 -DWHO=1 -DM_HEAD_PRED (everybody watches its predecessor only);
 *           -DNR=2 -DM=1 -DK1=3 -DCRASHES=0 -DM_NO_RETURN_RING (a returned message is told to nobody)
 * Variants that pass with one death: -DM_NO_PASS_ON -DM_NO_JOIN_NUDGE -DM_NO_KNOWS (what each is for: README.md)
 *
 * Words     pub  committed; its sender     next  taken; under the token     TURN {slot, epoch}  one word; token holder
 *           ticket[r], knows[r] (value of joins when r made its watch list)  of receiver r; under the token
 *           joins  receivers that ever came; under the token    est[r]  its entry: 0 FREE 1 CLAIMED 2 RETURNED
 *           bell[r]  added to by senders and receivers   dead[r]  life word
 * Rule      A sleeper takes when no living ticket is lower; an arriving receiver takes when more messages wait than living
 *           sleepers. A sleeper watches the life word of every receiver that is not reaped.
 * Memory    pub and TURN pass through buffers that drain at any time; a store with its fence is one step (the buffers work in the
 *           NOFENCE mutants). Words under the token need none. The token itself: token.pml. A thief wakes all who
 *           watch the life word of the dead holder.
 * Death     at any step; the kernel wakes ONE watcher of a life word, and that one all others. No timers, no back-stop.
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
bit joined[NR]; byte joins, knows[NR];
byte holder = NONE;
bit dead[NR + 1], fin[NR + 1], asl[NR], busy[NR];
byte watch[NR];                 /* whose life words: bits */
byte left = CRASHES, got[NR];

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
#define LOWER(q) if :: LIVE(q) && (h == NONE || ticket[q] < ticket[h]) -> h = q :: else fi;
#define BELOW(q) if :: LIVE(q) && ticket[q] < ticket[r] && (p == NONE || ticket[q] > ticket[p]) -> p = q :: else fi;
#ifdef M_SKIP_DEAD
#define OTHERS(q) if :: q != r && joined[q] && !dead[q] -> w = w | (1 << q) :: else fi;
#else                           /* those not reaped, dead or not: the sleep is refused if one of them is dead */
#define OTHERS(q) if :: q != r && joined[q] -> w = w | (1 << q) :: else fi;
#endif
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
inline lowest() { h = NONE; EACH(LOWER) }

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
        got[r]++; mine = 1; if :: KIND(r) != 0 -> assert(est[r] == 0); est[r] = CLAIMED :: else fi }
}
/* token held: slot q leaves the queue, or is taken out of it */
inline leave(q) {
    ticket[q] = 0;
    if
    :: turn == q ->
        atomic { lowest() };
        store_turn(h);
        if
#ifndef M_NO_HANDOVER
#ifndef M_NO_KNOWS
        :: h != NONE && (AVAIL > 0 || knows[h] != joins) -> ring(h)
#else
        :: h != NONE && AVAIL > 0 -> ring(h)
#endif
#endif
        :: else
        fi
    :: else
    fi
}
/* token held: what the dead left */
inline reap_all() {
    x = 0; any = 0;
    do
    :: x < NR ->
        if
        :: joined[x] && dead[x] ->
            if :: est[x] == CLAIMED -> est[x] = RETURNED :: else fi;
            if
#ifdef M_REAP_TICKET
            :: ticket[x] != 0 -> leave(x)
#else
            :: ticket[x] != 0 || turn == x -> leave(x)
#endif
            :: else
            fi;
            atomic { joined[x] = 0; any = 1; d = x; EACH(WAKE_LIFE) d = 0 }
        :: else
        fi;
        x++
    :: else -> break
    od;
    if
    :: any -> atomic { lowest() }; if :: h != NONE -> ring(h) :: else fi
    :: else
    fi;
    atomic { x = 0; any = 0; h = 0 }
}
#ifdef ANY
#define OURTURN true
#else
#define OURTURN ((h == r && ticket[r] != 0) || (ticket[r] == 0 && AVAIL > SLEEPERS))
#endif

#ifdef BUSY2
#define START(r) ((r) == 2 || ((r) == 0 && (est[2] || dead[2] || fin[2] || asl[2])) || ((r) == 1 && (asl[0] || dead[0] || fin[0])))
#else
#ifdef QUEUED
#define START(r) ((r) == 0 || asl[(r) - 1] || dead[(r) - 1] || fin[(r) - 1])
#else
#ifdef ORDER
#define START(r) ((r) != 2 || asl[0] || dead[0] || fin[0])
#else
#define START(r) true
#endif
#endif
#endif

proctype Receiver(byte r; byte calls) {
    byte h, p, d, s, w, x; bit ok, any, mine, timed_out;
    {
    if
    :: r == JOIN ->
        lock();
        atomic { joined[r] = 1; joins++; lowest() };
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
        atomic { lowest() };
        if
        :: AVAIL > 0 && OURTURN -> take()
        :: else ->      /* nothing for me: has somebody died? */
            if
            :: UNREAPED ->
                reap_all();
                atomic { lowest() };
                if :: AVAIL > 0 && OURTURN -> take() :: else fi
            :: else
            fi
        fi;
        if
        :: mine -> mine = 0; leave(r); unlock(); goto have
        :: else
        fi;
        if :: ticket[r] == 0 -> atomic { tctr++; ticket[r] = tctr } :: else fi;
        s = bell[r];
#ifdef M_NO_WATCH
        w = 0;
#else
#ifdef M_SKIP_DEAD
        atomic { w = 0; EACH(OTHERS) };
#else
        if :: UNREAPED -> unlock(); goto again :: else fi;
        atomic { w = 0; EACH(OTHERS) };
#endif
#endif
        knows[r] = joins;
        atomic { lowest(); p = NONE; EACH(BELOW) };
        if
        :: h == r ->
            store_turn(r);
            if :: AVAIL > 0 -> unlock(); goto again :: else fi
#ifdef M_HEAD_PRED
            ; w = 0
#endif
        :: else ->
            if :: AVAIL > 0 -> ring(h) :: else fi
#if defined(M_PRED) || defined(M_HEAD_PRED)
            ; w = (p != NONE -> 1 << p : 0)
#endif
        fi;
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

proctype Sender() {
    byte i, note, t, e;
    {
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
#ifdef ORDER
        assert(M > 1 || got[2] == 0 || dead[0]);
#endif
        assert(fin[S] || dead[S])
    }
}
