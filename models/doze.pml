/* doze.pml - a receiver that is alone sleeps in the queue of the kernel, the token in its hand. Not in the code: docs/decisions/0042.
 *
 * Run:   spin -a doze.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *        Assertions, and invalid end states: who waits for a thing that never comes. `final` looks when nothing moves any more.
 * Switches: M=2 messages   CAP=1 places in the queue that are the mailbox's, and one more   CRASHES=1 deaths of the one that dozes
 *        ENDS=1 somebody ends the mailbox   JOINS=1 another receiver comes
 * Mutants (each must fail):
 *        M_NOFENCE  `dozes` is not fenced before the last look      M_NO_LOOK  nobody looks at the token and the bell behind it
 *        M_NO_WAKE  who wants the token puts no record              M_NO_WAKE_END who rings the bell puts none
 *        M_LOOK_FIRST who rings looks at `dozes` before it rings    M_NO_STAGE a thief does not look at what is in hand
 *
 * What is carried.pml's is not here: a message is counted with its put. The token is token.pml's: WAITERS is set by a
 * compare-and-swap, and its sleepers are woken by an unlock or by the holder's death.
 */
#ifndef M
#define M 2
#endif
#ifndef CAP
#define CAP 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef ENDS
#define ENDS 1
#endif
#ifndef JOINS
#define JOINS 1
#endif
#define NOBODYS 0
#define A_MESSAGE 1

chan queue = [CAP+1] of { byte };
byte room = CAP;                 /* free ones; exact */
bit token_free = 1; byte holder; bit waiters;
bit dozes, pend;                 /* the word; its store has not arrived yet */
#define FENCED (!pend)
bit magic;                       /* a message in hand */
byte bell;                       /* of the one that dozes */
bit ended, joined, dead;
byte got, sent;
bit told;                        /* the end, to a living receiver */

active proctype hardware() {
end: do
  :: atomic { pend -> dozes=1; pend=0 }
  od }

active proctype killer() {
#if CRASHES>0
end: atomic { !dead -> dead=1; if :: pend -> dozes=1; pend=0 :: else fi }
#else
  skip
#endif
}

active proctype sender() {
  byte m;
  do
  :: m<M && !ended ->
     atomic { room>0 || ended; if :: room>0 -> room-- :: else -> goto out fi };
     if :: atomic { nfull(queue) -> queue!A_MESSAGE } :: atomic { full(queue) && ended -> room++; goto out } fi;   /* who finds no place waits: it is woken by who gets */
     sent++; m++
  :: m==M || ended -> break
  od;
out: skip }

/* A record that is nobody's. Full: the queue is not empty, so nobody sleeps in it. */
inline wake() {
  if
  :: dozes -> if :: atomic { nfull(queue) -> queue!NOBODYS } :: full(queue) fi
  :: else
  fi }

inline finish() { atomic { magic=0; got++; room++ } }

/* ---- the one that dozes: process 3 */
proctype dozer() {
  byte b, r;
  { do
    :: true ->
       /* the token, if somebody else has it: asleep for it */
       atomic { token_free -> token_free=0; holder=1 };
       if :: ended -> told=1; break :: else fi;
       if :: magic -> finish() :: else fi;
       if
       :: joined -> atomic { token_free=1; waiters=0 };   /* not alone: it sleeps on its bell, which is queue.pml's */
end1:     nempty(queue) || magic || ended
       :: else ->
          b=bell;
          pend=1;                /* dozes = me */
#ifndef M_NOFENCE
          FENCED;
#endif
          if
#ifndef M_NO_LOOK
          :: waiters || bell!=b || ended
#endif
          ::
#ifndef M_NO_LOOK
             !(waiters || bell!=b || ended) ->
#else
             true ->
#endif
end2:        atomic { queue?r -> if :: r==A_MESSAGE -> magic=1 :: else fi }
          fi;
          atomic { FENCED -> dozes=0 };
          if :: magic -> finish() :: else fi;
          atomic { token_free=1; waiters=0 }
       fi
    od;
    atomic { token_free=1; waiters=0 }
  } unless { dead } }

/* ---- who comes: a thief, if the holder is dead */
inline lock(me) {
  do
  :: atomic { token_free -> token_free=0; holder=me } -> break
  :: atomic { !token_free && holder==1 && dead -> holder=me } -> dozes=0; break
  :: atomic { !token_free && !(holder==1 && dead) && !waiters -> waiters=1 };
#ifndef M_NO_WAKE
     wake();
#endif
     token_free || !waiters || (holder==1 && dead)
  od }

proctype joiner() {
  byte r;
#if JOINS>0
  lock(2);
  joined=1;
  atomic { token_free=1; waiters=0 };
  do
  :: true ->
end1: nempty(queue) || magic || ended;
     lock(2);
     if
     :: ended -> told=1; break
     :: else ->
#ifdef M_NO_STAGE
        magic=0;
#endif
        if :: atomic { !magic && nempty(queue) -> queue?r; if :: r==A_MESSAGE -> magic=1 :: else fi } :: atomic { magic || empty(queue) } fi;
        if :: magic -> finish() :: else fi
     fi;
     atomic { token_free=1; waiters=0 }
  od;
  atomic { token_free=1; waiters=0 }
#else
  skip
#endif
}

proctype ender() {
  bit d;
#if ENDS>0
#ifdef M_LOOK_FIRST
  d=dozes;
#endif
  ended=1;
  bell++;                        /* an atomic add: a fence */
#ifndef M_LOOK_FIRST
  d=dozes;
#endif
#ifndef M_NO_WAKE_END
  if :: d -> if :: atomic { nfull(queue) -> queue!NOBODYS } :: full(queue) fi :: else fi
#endif
#else
  skip
#endif
}

active proctype final() {
  timeout ->
  assert(!magic || ended || (dead && !JOINS));
  assert(got==sent || ended || (dead && !JOINS));
  assert(sent==M || ended || (dead && !JOINS));
  assert(!ended || told || (dead && !JOINS));
  assert(token_free || (holder==1 && (dead || !ended && !waiters)))
}

init { atomic { run dozer(); run joiner(); run ender() } }
