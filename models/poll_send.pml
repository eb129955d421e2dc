/* poll_send.pml - a sender in an event loop: one descriptor over a FIFO and the deaths of two receivers, who free its room and ring it.
 *
 * Run:      spin -a poll_send.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m500000
 * Switches: -DN=3 messages   -DCAP=1 room   -DCRASHES=1 a receiver may die at any step
 * Mutants (each must fail): -DM_NOFENCE_S (`waits`, then the look for room)  -DM_NOFENCE_R (done, then `waits`)  -DM_NO_LIFE (deaths are
 *           not watched)  -DM_NO_AGAIN (found armed, `begun` is not looked behind)  -DM_NO_BEGUN (the sender does not wait for a byte that
 *           has begun)  -DM_DRAIN_LATE (armed, then emptied)  -DM_NO_ROOM (rung without a look at whether there is room)
 *
 * Left out   -DM_BELIEVE (one that has only begun is believed), -DM_NOTE_KEPT (who steals the token keeps its note, and does not ring):
 *           they pass, for the death is told by a descriptor
 *
 * Words     SENT, ARMED, WAITS  the sender's   DONE, RUNG  the holder's   FIFO bytes; DEAD the descriptors of the dead are readable
 * Memory    SENT, ARMED and WAITS, and DONE and RUNG, wait in a buffer and drain at any time; a fence, an atomic add or a system call
 *           drains all of that process.
 * Death     drains; the kernel makes the descriptor of it readable. Whoever takes the token then rings without condition.
 * Checked   a readable descriptor means room, but once for each death and each ring of who took a dead one's token; at the end all
 *           messages are sent.
 */
#ifndef N
#define N 3
#endif
#ifndef CAP
#define CAP 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define BEGUN(e) (2 * (e))
#define ENDED(e) (2 * (e) + 1)

byte SENT, DONE, ARMED, WAITS, RUNG, FIFO;
byte vDONE, vRUNG, vWAITS, vARMED; bit pDONE, pRUNG, pWAITS, pARMED; /* buffers */
byte token, bufof; /* whose buffer DONE and RUNG are */
byte dead[2], told[2]; bit killed, doomed[2]; byte excuses;

inline drain_r() { if :: pDONE -> DONE = vDONE; pDONE = 0 :: else fi; if :: pRUNG -> RUNG = vRUNG; pRUNG = 0 :: else fi }
inline drain_s() { if :: pARMED -> ARMED = vARMED; pARMED = 0 :: else fi; if :: pWAITS -> WAITS = vWAITS; pWAITS = 0 :: else fi }
#define MY_DONE (pDONE -> vDONE : DONE)
#ifdef M_NO_ROOM
#define RR true
#else
#define RR (SENT - MY_DONE < CAP)
#endif
#define MY_RUNG (pRUNG -> vRUNG : RUNG)

proctype Receiver(byte me) {
    byte note, w, e; bit again, stolen;
    {
    do
    :: DONE < N && SENT > DONE ->
        atomic { (token == 0 || dead[token - 1]) -> stolen = (token != 0); token = me + 1 };
#ifndef M_NOTE_KEPT
        if :: stolen -> note = 255; excuses++ :: else fi;
#endif
        atomic { if :: SENT > MY_DONE -> vDONE = MY_DONE + 1; pDONE = 1 :: else fi };
#ifndef M_NOFENCE_R
        atomic { drain_r() };
#endif
        w = WAITS;
        if
        :: w != note ->
            note = w;
            do
            :: e = ARMED;
               if
#ifndef M_NO_ROOM
               :: e != 0 && !(SENT - MY_DONE < CAP) -> note = w - 1; break
#endif
               :: e == 0 -> break
#ifdef M_BELIEVE
               :: e != 0 && RR && (MY_RUNG == ENDED(e) || MY_RUNG == BEGUN(e)) -> break
               :: e != 0 && RR && MY_RUNG != ENDED(e) && MY_RUNG != BEGUN(e)
#else
               :: e != 0 && RR && MY_RUNG == ENDED(e) -> break
               :: e != 0 && RR && MY_RUNG != ENDED(e)
#endif
               fi;
               atomic { vRUNG = BEGUN(e); pRUNG = 1 };
               atomic { drain_r() };
#ifdef M_NO_AGAIN
               again = 0;
#else
               again = (ARMED != e);
#endif
               if
               :: again -> atomic { vRUNG = ENDED(e); pRUNG = 1 }
               :: !again ->
                   atomic { drain_r(); FIFO++ };
                   atomic { vRUNG = ENDED(e); pRUNG = 1 };
                   break
               fi
            od
        :: else
        fi;
        atomic { drain_r(); token = 0 } /* an exchange */
    :: DONE == N -> break
    od;
    false
    } unless {
        atomic { doomed[me] -> drain_r(); dead[me] = 1; told[me] = 1 }
    }
}

active proctype Buffers() {
    do
    :: atomic { pDONE -> DONE = vDONE; pDONE = 0 }
    :: atomic { pRUNG -> RUNG = vRUNG; pRUNG = 0 }
    :: atomic { pARMED -> ARMED = vARMED; pARMED = 0 }
    :: atomic { pWAITS && !pARMED -> WAITS = vWAITS; pWAITS = 0 }
    od
}

#ifdef M_NO_LIFE
#define READABLE (FIFO > 0)
#else
#define READABLE (FIFO > 0 || told[0] || told[1])
#endif
#define ROOM (SENT - DONE < CAP)

active proctype Sender() {
    byte epoch, own, armed, was; bit up;
    FIFO = 1; own = 1; /* there is room when it is made */
    do
    :: SENT < N && READABLE ->
        if
        :: ROOM -> SENT++
        :: !ROOM ->
            atomic { assert(excuses > 0); excuses-- }
        fi;
        /* settle */
        if
        :: ROOM ->
            up = (own > 0 || (armed != 0 && RUNG == ENDED(armed)));
            if :: !up -> FIFO++; own++ :: else fi
        :: !ROOM ->
            was = armed;
            if
            :: was != 0 -> atomic { ARMED = 0; pARMED = 0; drain_s() } /* and a fence */
            :: else
            fi;
#ifndef M_DRAIN_LATE
            up = (FIFO > own);
            FIFO = 0;
            if
#ifndef M_NO_BEGUN
            :: was != 0 && !up && RUNG == BEGUN(was) ->
                /* its byte, or its death (then for a while only) */
                (FIFO > 0 || RUNG != BEGUN(was) || token == 0 || dead[token - 1]); FIFO = 0
#endif
            :: else
            fi;
            if :: was != 0 && !up && RUNG == ENDED(was) -> FIFO = 0 :: else fi;
            own = 0;
#endif
            told[0] = 0; told[1] = 0;
            epoch++;
            atomic { vARMED = epoch; pARMED = 1; armed = epoch };
            atomic { vWAITS = WAITS + 1; pWAITS = 1 };
#ifndef M_NOFENCE_S
            atomic { drain_s() };
#endif
            if :: ROOM -> FIFO++; own++ :: else fi;
#ifdef M_DRAIN_LATE
            FIFO = 0; own = 0
#endif
        fi
    :: SENT == N -> break
    od
}

active proctype Death() { if :: CRASHES -> killed = 1; excuses++; if :: doomed[0] = 1 :: doomed[1] = 1 fi :: skip fi }
init { atomic { run Receiver(0); run Receiver(1) } }
active proctype Judge() { timeout; assert(SENT == N) }
