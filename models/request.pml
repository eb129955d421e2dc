/* request.pml - a caller waits for its reply, and learns it when nobody will answer: two servers that come, take the request by a
 * claim or a copy, reply, give it back, finish it without a reply, leave, or die.
 *
 * Run:      spin -a request.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m500000
 * Switches: -DAGAIN=1 it is handed out again after a death   -DCRASHES=2 servers that may die   -DRETURNS=2 how often it is given back
 * Mutants (each must fail): -DM_END_FIRST (the entry ends, then the reply is sent)  -DM_LOOK_FIRST (the caller looks for the reply, then
 *           for the request)  -DM_ONE_LOOK (one look over the slots is believed)  -DM_NO_COUNT (two looks are, whatever came back)
 *           -DM_NO_RING (finished without a reply, nobody is told)  -DM_BELL_LATE (the bell is read behind the list of lives)
 *           -DM_NO_LIFE (lives are not watched)  -DM_NEXT_FIRST (copied out: `next`, then the entry)
 *           -DM_JOIN_QUIET (who comes does not ring)  -DM_NOFENCE_S, -DM_NOFENCE_C (reply; TURN: see bell.pml)
 *
 * Words     NEXT  the request is handed out; holder   E[i]  entry of slot i   OWN[i]  slot i has a receiver
 *           RED  messages that came back   ROOM  bell of the mailbox   REPLY, TURN, BELL  of the mailbox for replies, as in bell.pml
 * Memory    REPLY and TURN wait in a buffer and drain at any time; a fence, an atomic add or a system call drains all of that process.
 * Death     drains; the kernel wakes who sleeps on its life word. Whoever has the token repairs. No timers.
 * Checked   the caller ends with -EOWNERDEAD only if nobody has the request, nobody will be handed it, and no reply is there; at the end
 *           it does not sleep beside a promised reply, or when nobody has the request.
 */
#ifndef AGAIN
#define AGAIN 0
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef RETURNS
#define RETURNS 2
#endif
#define NS 2
#ifdef M_NO_LIFE
#define WATCHES 0
#define LIVE true
#else
#define WATCHES 1
#define LIVE ((!lives[0] || alive[0]) && (!lives[1] || alive[1]))
#endif
#define FREE 0
#define CLAIMED 1
#define ANSWERING 2
#define RETURNED 3
#define LEFT 4

bit NEXT, OWN[NS], alive[NS], has[NS], REPLY, pend_reply, replied;
byte E[NS], RED, ROOM, BELL, TURN, pv_turn; bit pend_turn;
byte token, killed; /* token: server + 1 */
bit asleep, on_life[NS], told, ok, gone[NS], doomed[NS];
byte returns;

inline ring_room() { ROOM++; asleep = 0 }
inline ring_caller() { BELL++; asleep = 0 }
#define TOKEN_FREE (token == 0 || !alive[token - 1])

/* Ground truth, for the assertions. */
#define WILL_BE_HANDED (NEXT == 0 || E[0] == RETURNED || E[1] == RETURNED || (AGAIN && (E[0] == LEFT || E[1] == LEFT)))
#define IN_HAND ((has[0] && alive[0]) || (has[1] && alive[1]))
#define DEAD_CLAIM (AGAIN && ((!alive[0] && E[0] == CLAIMED) || (!alive[1] && E[1] == CLAIMED)))

/* The token is held: what a dead one had. Each store is a step, and can be done again. */
inline repair(j) {
    if
    :: OWN[j] && !alive[j] ->
        if
        :: E[j] == CLAIMED && NEXT -> RED++; E[j] = LEFT
        :: E[j] == CLAIMED && !NEXT -> E[j] = FREE
        :: E[j] == ANSWERING -> E[j] = FREE
        :: else
        fi;
        OWN[j] = 0; due = 1
    :: else
    fi
}

inline lock(me) { atomic { TOKEN_FREE -> token = me + 1 }; due = 0; repair(1 - me) }
inline unlock() { if :: due -> atomic { ring_room() } :: else fi; token = 0 }

proctype Server(byte me) {
    bit due, copies; byte j;
    {
    lock(me);
    OWN[me] = 1;
#ifndef M_JOIN_QUIET
    due = 1;
#endif
    unlock();
    do
    :: !has[me] ->
        lock(me);
        if
        :: NEXT == 0 ->
            if :: copies = 0 :: copies = 1 fi;
#ifdef M_NEXT_FIRST
            atomic { NEXT = 1; has[me] = 1 };
            E[me] = (copies -> ANSWERING : CLAIMED)
#else
            E[me] = (copies -> ANSWERING : CLAIMED);
            atomic { NEXT = 1; has[me] = 1 }
#endif
        :: NEXT == 1 && (E[me] == RETURNED || (E[me] == LEFT && AGAIN)) -> atomic { E[me] = CLAIMED; has[me] = 1 }; copies = 0
        :: NEXT == 1 && (E[1 - me] == RETURNED || (E[1 - me] == LEFT && AGAIN)) ->
            atomic { E[me] = CLAIMED; has[me] = 1 };
            E[1 - me] = FREE; copies = 0
        :: NEXT == 1 && E[1 - me] == LEFT && !AGAIN -> E[1 - me] = FREE; due = 1
        :: else
        fi;
        unlock();
        if :: !has[me] -> break :: else fi
    :: has[me] ->
        if
        :: /* reply */
#ifdef M_END_FIRST
            atomic { E[me] = FREE; has[me] = 0 };
#endif
            atomic { pend_reply = 1;
#ifndef M_NOFENCE_S
                REPLY = 1; pend_reply = 0
#endif
            };
            if
            :: TURN != 0 -> atomic { if :: pend_reply -> REPLY = 1; pend_reply = 0 :: else fi; ring_caller() }
            :: else
            fi;
            replied = 1;
#ifndef M_END_FIRST
            atomic { E[me] = FREE; has[me] = 0 };
#endif
            break
        :: !copies && returns < RETURNS -> /* give it back */
            returns++;
            RED++;
            atomic { E[me] = RETURNED; has[me] = 0 }
        :: /* finish it without a reply */
            atomic { E[me] = FREE; has[me] = 0 };
#ifndef M_NO_RING
            atomic { ring_room() };
#endif
            break
        :: /* leave */
            lock(me);
            if
            :: copies -> atomic { E[me] = FREE; has[me] = 0 }
            :: else -> RED++; atomic { E[me] = LEFT; has[me] = 0 }
            fi;
            OWN[me] = 0; due = 1;
            unlock();
            break
        fi
    od;
    gone[me] = 1;
    false
    } unless {
        atomic { doomed[me] -> if :: pend_reply && has[me] -> REPLY = 1; pend_reply = 0 :: else fi;
            alive[me] = 0; if :: on_life[me] -> asleep = 0 :: else fi }
    }
}

active proctype Buffers() {
    do
    :: atomic { pend_reply -> REPLY = 1; pend_reply = 0 }
    :: atomic { pend_turn -> TURN = pv_turn; pend_turn = 0 }
    od
}

/* What one look over the slots finds: 0 nowhere, 1 left, 2 waits or held. */
inline look_in(i) {
    atomic {
        if
        :: E[i] == CLAIMED && (alive[i] || AGAIN) -> f = 2
        :: E[i] == CLAIMED && !alive[i] && !AGAIN && f == 0 -> f = 1
        :: E[i] == ANSWERING && alive[i] -> f = 2
        :: E[i] == RETURNED || (E[i] == LEFT && AGAIN) -> f = 2
        :: E[i] == LEFT && !AGAIN && f == 0 -> f = 1
        :: else
        fi
    }
}
inline find() {
    f = 0;
    if
    :: NEXT == 0 -> f = 2
    :: else ->
        do
        :: r0 = RED;
           look_in(0); look_in(1);
#ifndef M_ONE_LOOK
           if :: f < 2 -> look_in(0); look_in(1) :: else fi;
#ifdef M_NO_COUNT
           break
#else
           if :: f < 2 && RED != r0 -> f = 0 :: else -> break fi
#endif
#else
           break
#endif
        od
    fi
}

active proctype Caller() {
    byte f, r0, b, rb, epoch; bit got, lives[NS];
    do
    ::
#ifdef M_LOOK_FIRST
        got = REPLY; find();
#else
        find(); got = REPLY;
#endif
        if
        :: got -> ok = 1; break
        :: !got && f < 2 ->
            atomic { assert(!REPLY && !IN_HAND && !WILL_BE_HANDED && !DEAD_CLAIM); told = 1 };
            break
        :: else ->
            b = BELL;
            epoch++;
            atomic { pv_turn = epoch; pend_turn = 1 };
#ifndef M_NOFENCE_C
            atomic { TURN = pv_turn; pend_turn = 0 };
#endif
            got = REPLY;
            if
            :: got
            :: !got ->
#ifndef M_BELL_LATE
                rb = ROOM;
#endif
                atomic { lives[0] = OWN[0] && alive[0]; lives[1] = OWN[1] && alive[1] };
#ifdef M_BELL_LATE
                rb = ROOM;
#endif
                find();
                if
                :: f < 2
                :: else ->
                    atomic {
                        if :: pend_turn -> TURN = pv_turn; pend_turn = 0 :: else fi;
                        if
                        :: BELL == b && ROOM == rb && LIVE ->
                            asleep = 1; on_life[0] = WATCHES && lives[0]; on_life[1] = WATCHES && lives[1]
                        :: else
                        fi
                    };
                    atomic { !asleep -> on_life[0] = 0; on_life[1] = 0 }
                fi
            fi
        fi
    od
}

active proctype Death() {
    do
    :: killed < CRASHES -> killed++; if :: doomed[0] = 1 :: doomed[1] = 1 fi
    :: break
    od
}

init { atomic { alive[0] = 1; alive[1] = 1; run Server(0); run Server(1) } }

active proctype Judge() {
    timeout;
    assert(ok || told ||
        (asleep && !replied && (IN_HAND || WILL_BE_HANDED || DEAD_CLAIM)))
}
