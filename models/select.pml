/* select.pml - sleepers that ask for some messages only, beside those that take whatever comes: who is rung, TURN, tickets, life words.
 *
 * Messages have a tag: 1, 2, or 3, which nobody asks for. A receiver asks for 1 or for 2, or takes whatever comes (0). How a message is
 * passed over is not here (claims.pml, -DPASS): whoever holds the token may take any message that is its to take.
 *
 * Run:      spin -a select.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m500000
 * Switches: -DNR=2 or 3 receivers   -DM=2 messages   -DCRASHES=1   -DWHO=r only role r dies (NR is the sender)
 *           -DW0=1, -DW1=0, -DW2=2  what receiver r asks for   -DN0=1, -DN1, -DN2 receive calls of r
 *           -DQUEUED         each receiver calls when the one before it sleeps (a smaller search)
 *           -DLATER          receiver JOIN comes when 1 sleeps, the sender begins when all do
 *           -DKEYS           delivery by key: nobody asks; tags 1 and 2 are keys, 3 is none (-DW0=0 -DW2=0)
 *           -DGIVE_UP=r      receiver r may time out at any moment     -DJOIN=r  receiver r opens the mailbox during the run
 * Mutants (each must fail): -DNR=2 with -DM_NOFENCE_S  -DM_NOFENCE_R  -DM_NO_WATCH; -DM_NO_TELL (who was rung for another's message
 *           tells nobody); -DM_NO_TELL_LEAVE (who leaves the queue tells nobody but whom TURN names); -DM_TELL_ONE (it tells only the
 *           first that takes whatever comes); -DM_NO_SECOND (nobody looks whether one of the others watches who is rung)
 *           with -DKEYS: -DM_NO_PLACE (who takes does not get the place)  -DM_KEEP (a dead one keeps its places)
 *
 * Words     as in queue.pml; own[k]  the receiver that has key k; under the token
 *           selecting  sleepers that ask: counted here from the tickets
 * Rule      A message that a sleeper asks for is left to it; of several to the one that has waited longest. Of the others the lowest
 *           ticket takes, and who just comes takes when more is there for it than such sleepers.
 * Memory    as in queue.pml.   Death  at any step; the kernel wakes ONE watcher. No timers, no back-stop.
 *           By key: a key is its who took its first message, until it is reaped; what is nobody's is for the lowest ticket.
 * Checked   at the end no living receiver sleeps while a promised message waits that is its to take; no key at two living receivers.
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
#ifndef W0
#define W0 1
#endif
#ifndef W1
#define W1 0
#endif
#ifndef W2
#define W2 2
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
#define ASKS(r) ((r) == 0 -> W0 : ((r) == 1 -> W1 : W2))
#define S NR
#define NONE 9

byte tag[M];                    /* of a message, once it is sent */
bit gone[M];                    /* taken */
byte pub, pubp; bit pubpend;
byte prom;
byte turn = NONE, turn_ep, turnp, turnp_ep; bit turnpend;
byte ticket[NR], tctr, bell[NR];
bit joined[NR]; byte joins, knows[NR], came[NR];
byte holder = NONE;
bit dead[NR + 1], fin[NR + 1], asl[NR];
byte watch[NR];                 /* whose life words: bits */
byte left = CRASHES;
#ifdef KEYS
byte own[4] = NONE, last[4] = NONE;
#endif

#if NR == 3
#define EACH(X) X(0) X(1) X(2)
#define ALL(X) X(0) X(1) X(2)      /* EACH inside EACH */
#define ANY_OF(X, a, b) (X(0, a, b) || X(1, a, b) || X(2, a, b))
#define TAKERS (TAKER(0) + TAKER(1) + TAKER(2))
#define SELECTING (ASKER(0) || ASKER(1) || ASKER(2))
#define UNREAPED (joined[0] && dead[0] || joined[1] && dead[1] || joined[2] && dead[2])
#else
#define EACH(X) X(0) X(1)
#define ALL(X) X(0) X(1)
#define ANY_OF(X, a, b) (X(0, a, b) || X(1, a, b))
#define TAKERS (TAKER(0) + TAKER(1))
#define SELECTING (ASKER(0) || ASKER(1))
#define UNREAPED (joined[0] && dead[0] || joined[1] && dead[1])
#endif
#define LIVE(q) (ticket[q] != 0)        /* the dead count until they are reaped */
#define ASKER(q) (LIVE(q) && ASKS(q) != 0)
#define TAKER(q) (LIVE(q) && ASKS(q) == 0)
#ifdef KEYS
#define LOW(q, v, m) ((q) != (v) && LIVE(q) && (!LIVE(v) || ticket[q] < ticket[v]))
#define FREE_ONE(m) ((m) < pub && !gone[m] && own[tag[m]] == NONE)
#if M == 1
#define FREE_ONES FREE_ONE(0)
#elif M == 2
#define FREE_ONES (FREE_ONE(0) + FREE_ONE(1))
#else
#define FREE_ONES (FREE_ONE(0) + FREE_ONE(1) + FREE_ONE(2))
#endif
#define TAKES_ANY(v) (!ANY_OF(LOW, v, 0) || (!LIVE(v) && FREE_ONES > TAKERS))
#define IS_HIS(v, m) ((m) < pub && !gone[m] && (own[tag[m]] == (v) || (own[tag[m]] == NONE && TAKES_ANY(v))))
#define TELLS true
#else
#define TELLS SELECTING
/* another one, q, asks for message m and comes before v */
#define BEFORE(q, v, m) ((q) != (v) && LIVE(q) && ASKS(q) == tag[m] && (ASKS(v) == 0 || !LIVE(v) || ticket[q] < ticket[v]))
#define IS_LEFT(v, m) ANY_OF(BEFORE, v, m)
#define IS_HIS(v, m) ((m) < pub && !gone[m] && (ASKS(v) == 0 || ASKS(v) == tag[m]) && !IS_LEFT(v, m))
#endif
#if M == 1
#define COUNT(v) IS_HIS(v, 0)
#elif M == 2
#define COUNT(v) (IS_HIS(v, 0) + IS_HIS(v, 1))
#else
#define COUNT(v) (IS_HIS(v, 0) + IS_HIS(v, 1) + IS_HIS(v, 2))
#endif
#define LOWER(q) if :: TAKER(q) && (c == NONE || ticket[q] < ticket[c]) -> c = q :: else fi;
#define FIRST(q) if :: ASKER(q) && (h == NONE || ticket[q] < ticket[h]) -> h = q :: else fi;
#define KNOWS(q) if :: q != o && LIVE(q) -> if :: knows[q] >= came[o] -> ok = 1 :: else -> p = q fi :: else fi;
#define OTHERS(q) if :: q != r && joined[q] -> w = w | (1 << q) :: else fi;
#define LOST(q) ((w & (1 << q)) && dead[q])
#if NR == 3
#define ANY_LOST (LOST(0) || LOST(1) || LOST(2))
#else
#define ANY_LOST (LOST(0) || LOST(1))
#endif
#define WAKE_LIFE(q) if :: asl[q] && (watch[q] & (1 << d)) -> asl[q] = 0; watch[q] = 0 :: else fi;
#define PASS_ON(q) if :: LOST(q) -> d = q; ALL(WAKE_LIFE) :: else fi;

inline drain_s() { if :: pubpend -> pub = pubp; pubpend = 0 :: else fi }
inline drain_r() { if :: turnpend -> turn = turnp; turn_ep = turnp_ep; turnpend = 0 :: else fi }
/* c: the one that takes whatever comes next; h: whom TURN names */
inline first() {
    c = NONE; EACH(LOWER) h = NONE;
    EACH(FIRST)
    if :: h == NONE -> h = c :: else fi
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
inline unlock() { atomic { drain_r(); assert(holder == r); holder = NONE; h = 0; c = 0; o = 0; p = 0; s = 0; w = 0; ok = 0 } }
inline store_turn(who) {
    atomic { drain_r(); turnp = who; turnp_ep = turn_ep + 1; turnpend = 1;
#ifndef M_NOFENCE_R
        drain_r()
#endif
    }
}
inline ring(q) { atomic { drain_r(); bell[q]++ }; atomic { if :: asl[q] -> asl[q] = 0; watch[q] = 0 :: else fi } }
#ifdef KEYS
#define GIVE(m) if :: m < M && !mine && IS_HIS(r, m) -> y = m + 1; mine = 1 :: else fi;
#define LAST(t) (last[t] == NONE || last[t] == r || dead[last[t]])
#else
#define GIVE(m) if :: m < M && !mine && IS_HIS(r, m) -> gone[m] = 1; mine = 1 :: else fi;
#endif
inline take() {
    atomic {
        GIVE(0)
#if M > 1
        GIVE(1)
#endif
#if M > 2
        GIVE(2)
#endif
        assert(mine) }
#ifdef KEYS
#ifndef M_NO_PLACE
    ; if :: tag[y - 1] != 3 -> own[tag[y - 1]] = r :: else fi
#endif
    ; atomic { y--; assert(tag[y] == 3 || LAST(tag[y])); last[tag[y]] = r; gone[y] = 1; y = 0 }
#endif
}
/* one of the others must watch o */
inline have_watched() {
#ifndef M_NO_SECOND
    if
    :: o != NONE ->
        atomic { ok = 0; p = NONE; EACH(KNOWS) };
        if :: !ok && p != NONE -> ring(p) :: else fi;
        atomic { ok = 0; p = 0 }
    :: else
    fi;
#endif
    o = 0
}
/* another one, or nobody, is first */
inline appoint() {
    store_turn(h);
    if
    :: h != NONE && (COUNT(h) > 0 || knows[h] != joins) -> ring(h)
    :: else
    fi
}
#ifdef M_TELL_ONE
#define TO_TELL(q) (LIVE(q) && (q) == c)
#else
#ifdef KEYS
#define TO_TELL(q) LIVE(q)
#else
#define TO_TELL(q) (LIVE(q) && ((q) == c || ASKS(q) != 0))
#endif
#endif
/* while some ask: whoever something is there for, but one */
inline tell_all(but) {
#ifdef M_NO_TELL
    skip
#else
    if
    :: TELLS ->
        y = 0;
        do
        :: y < NR ->
            if
            :: TO_TELL(y) && y != but && COUNT(y) > 0 -> ring(y); o = y; have_watched()
            :: else
            fi;
            y++
        :: else -> break
        od;
        y = 0
    :: else
    fi
#endif
}
/* token held: slot q leaves the queue, or is taken out of it */
inline leave(q) {
    ticket[q] = 0;
    atomic { first() };
    if :: turn != h -> appoint() :: else fi;
    atomic { o = h }; have_watched();
#ifndef M_NO_TELL_LEAVE
    tell_all(q)
#endif
}
/* token held: what the dead left */
inline reap_all() {
    x = 0; any = 0;
    do
    :: x < NR ->
        if
        :: joined[x] && dead[x] ->
#if defined(KEYS) && !defined(M_KEEP)
            if :: own[1] == x -> own[1] = NONE :: else fi;
            if :: own[2] == x -> own[2] = NONE :: else fi;
#endif
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
    atomic { x = 0; any = 0; h = 0; c = 0 }
}
#ifdef KEYS
#define OURTURN true
#else
#define OURTURN (ASKS(r) != 0 || (c == r && LIVE(r)) || (!LIVE(r) && COUNT(r) > TAKERS))
#endif

#ifdef QUEUED
#define START(r) ((r) == 0 || asl[(r) - 1] || dead[(r) - 1] || fin[(r) - 1])
#else
#define START(r) true
#endif

proctype Receiver(byte r; byte calls) {
    byte h, c, o, p, d, s, w, x, y; bit ok, any, mine, timed_out;
    {
    if
    :: r == JOIN ->
#ifdef LATER
        (asl[1] || dead[1] || fin[1]);
#endif
        lock();
        atomic { joined[r] = 1; joins++; came[r] = joins; first() };
        if :: h != NONE -> ring(h) :: else fi;
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
        :: COUNT(r) > 0 && OURTURN -> take()
        :: else ->      /* nothing for me: has somebody died? */
            if
            :: UNREAPED ->
                reap_all();
                atomic { first() };
                if :: COUNT(r) > 0 && OURTURN -> take() :: else fi
            :: else
            fi
        fi;
        if
        :: mine && ticket[r] != 0 -> mine = 0; leave(r); unlock(); goto call
        :: mine && ticket[r] == 0 -> mine = 0; unlock(); goto call
        :: else
        fi;
        if :: ticket[r] == 0 -> atomic { tctr++; ticket[r] = tctr } :: else fi;
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
            if :: COUNT(r) > 0 -> unlock(); goto again :: else fi
        :: else ->
            if
            :: turn != h -> appoint()
            :: turn == h && COUNT(h) > 0 -> ring(h)
            :: else
            fi
        fi;
        atomic { o = h }; have_watched();
        tell_all(r);
        atomic { drain_r(); assert(holder == r); holder = NONE; h = 0; c = 0; p = 0 };
        atomic { if :: bell[r] == s && !ANY_LOST -> asl[r] = 1; watch[r] = w :: else fi };
        if
        :: !asl[r]
#ifdef GIVE_UP
        :: atomic { r == GIVE_UP && asl[r] -> asl[r] = 0; watch[r] = 0 }; timed_out = 1
#endif
        fi;
        atomic { EACH(PASS_ON) d = 0; w = 0; s = 0 };
#ifdef GIVE_UP
        if
        :: timed_out -> timed_out = 0; lock(); leave(r); unlock(); goto call
        :: else
        fi;
#endif
        goto again
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
        if :: tag[i] = 1 :: tag[i] = 2 :: tag[i] = 3 fi;
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

/* a message that waits keeps nobody asleep who asks for it, and nobody who takes whatever comes, unless one asleep asks for it */
#ifdef KEYS
#define HIS(q, m) ((m) < prom && !gone[m] && (own[tag[m]] == (q) || own[tag[m]] == NONE || dead[own[tag[m]]]))
#else
#define TAGGED(q, m, n) (asl[q] && !dead[q] && ASKS(q) == tag[m])
#define HIS(q, m) ((m) < prom && !gone[m] && (ASKS(q) == tag[m] || (ASKS(q) == 0 && !ANY_OF(TAGGED, m, 0))))
#endif
#if M == 1
#define WAITING(q) HIS(q, 0)
#elif M == 2
#define WAITING(q) (HIS(q, 0) || HIS(q, 1))
#else
#define WAITING(q) (HIS(q, 0) || HIS(q, 1) || HIS(q, 2))
#endif
#define OVER(q) assert(!asl[q] || dead[q] || !WAITING(q)); assert(fin[q] || dead[q] || asl[q]);
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
