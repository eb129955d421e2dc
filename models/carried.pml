/* carried.pml - a mailbox whose messages a queue of the kernel carries: counted messages, one in hand, bodies, deaths.
 *
 * Run:   spin -a carried.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m100000
 *        Assertions, and invalid end states: who waits for a thing that never comes. `final` looks when nothing moves any more.
 * Switches: S=1 senders, each with a link  M=2 messages of each  CAP=1 rooms  SPARE=1 places more in the queue
 *        CRASHES=1 deaths (WHO=p: only of p; senders 0.., receivers S..)   PRIO: a sender's last message overtakes the others
 *        BODIES: messages are long   COPY: claims are not modelled   CLAIM: nothing but claims
 * Mutants (each must fail):
 *        M_TAKE     an uncounted message is taken whether its sender lives or not
 *        M_NO_AGAIN the sender's life is not asked for again behind `next`    M_NOFENCE no fence between the two
 *        M_NEXT_FIRST who gives a dead one's room back reads `next` before it sees the death
 *        M_NO_SECOND a sender is found gone: what it counted last is not looked at again   M_NO_LAST the same behind `next`
 *        M_EARLY    a message that overtook counted ones is handed out before it is counted (-DPRIO)
 *        M_NO_INTENT no word says what `next` becomes      M_ENTRIES_FIRST a thief looks at the claims before that word
 *        M_PUT_FIRST the record is put before its body (-DBODIES)   M_UNLINK a claim's body goes before it is finished
 *        M_NEXT_FIRST_OUT `next` counts a message before the stage is empty, and no intent says so
 *        M_NO_RING  who finds no place in the queue rings nobody   M_NO_GET who was woken asks the queue only if something is counted
 *
 * The token is token.pml's, room room.pml's, sleeping queue.pml's and bell.pml's: here it is one holder that may die, a count,
 * and guards. What a receiver stores is read by the next holder, which the token orders, but for `next`, which who gives room
 * back reads at any time: it passes through a store buffer.
 */
#ifndef S
#define S 1
#endif
#ifndef M
#define M 2
#endif
#ifndef CAP
#define CAP 1
#endif
#ifndef SPARE
#define SPARE 1
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#define NR 2
#define N (S*M)
#define ID(l,m) ((l)*M+(m))

/* The queue: within a priority in the order of coming. */
#define QUEUE (CAP+SPARE)
chan low = [QUEUE] of { byte, byte, bit };
chan high = [QUEUE] of { byte, byte, bit };
#define WAITING (len(low)+len(high))
bit rung;                        /* a sender that has room found no place, and rang whoever sleeps */

/* a link, written by its sender */
byte tail[S];                    /* messages that it has counted */
bit gone[S], dead[S];            /* it closed its link, or died */
#define LIVES(l) (!gone[l] && !dead[l])
bit body[N];                     /* the file of that message is there */
/* room: taken, and handed back unused */
byte got[S], back[S];
#define USED(l) (got[l]-back[l])

/* the box and the stage, written by who has the token */
byte token;                      /* its holder + 1, 0 free */
byte next[S];                    /* messages handed out */
byte done[S];                    /* and finished: their room is free */
bit magic; byte sl, sm; bit sb;  /* a record in hand: link, number, whether all but its head is in a body */
byte ival, il;                   /* intent: next of il is about to be ival; 0 none */
/* the claim of a receiver */
#define FREE 0
#define CLAIMED 1
#define RELEASED 2
#define RETURNED 3
byte es[NR], el[NR], en[NR], em[NR];   /* state; link, place (next at its hand-out), number of the message */
bit rdead[NR];
/* the store of `next` that has not arrived yet */
bit pend[NR]; byte pl[NR], pv[NR];
#define NX(l) ((pend[me] && pl[me]==(l)) -> pv[me] : next[l])
#define FENCED (!pend[me])
#define ST_NEXT(l,v) atomic { !pend[me] -> pend[me]=1; pl[me]=(l); pv[me]=(v) }
inline arrive(r) { next[pl[r]]=pv[r]; pend[r]=0; pl[r]=0; pv[r]=0 }

/* ghosts */
bit promised[N], fin[N];         /* its send returned; it was consumed */
byte handed[S];                  /* left the stage as messages */
byte kills; bit receiver_died;

active proctype hardware() {
end: do
  :: atomic { pend[0] -> arrive(0) }
  :: atomic { pend[1] -> arrive(1) }
  od }

#ifdef WHO
#define MAY_DIE(p) (kills<CRASHES && WHO==(p))
#else
#define MAY_DIE(p) (kills<CRASHES)
#endif
active proctype killer() {
end: do
  :: atomic { MAY_DIE(0) && LIVES(0) -> kills++; dead[0]=1 }
#if S>1
  :: atomic { MAY_DIE(1) && LIVES(1) -> kills++; dead[1]=1 }
#endif
  :: atomic { MAY_DIE(S) && !rdead[0] && !rdead[1] -> kills++; receiver_died=1; if :: pend[0] -> arrive(0) :: else fi; rdead[0]=1 }
  :: atomic { MAY_DIE(S+1) && !rdead[0] && !rdead[1] -> kills++; receiver_died=1; if :: pend[1] -> arrive(1) :: else fi; rdead[1]=1 }
  od }

/* ---- a sender */

#if S>1
#define DONE_TOTAL (done[0]+done[1])
#define USED_TOTAL (USED(0)+USED(1))
#else
#define DONE_TOTAL done[0]
#define USED_TOTAL USED(0)
#endif

inline make_body() {
#ifdef BODIES
  body[ID(me,m)]=1
#else
  skip
#endif
}
inline put() {                   /* one system call; what fills the queue though there is room will be thrown away */
#ifdef BODIES
  b=1;
#endif
#ifndef M_NO_RING
  do
  :: atomic { WAITING==QUEUE && !rung && rings<2 -> rung=1; rings++ }   /* once more, for who was woken may die */
  :: atomic { WAITING<QUEUE -> break }
  od;
#endif
  atomic { WAITING<QUEUE ->
    rings=0;
#ifdef PRIO
    if :: m==M-1 -> high!me,m,b :: else -> low!me,m,b fi
#else
    low!me,m,b
#endif
  } }

proctype sender(byte me) {
  byte m, rings; bit b;
  { do
    :: m<M ->
       atomic { USED_TOTAL-DONE_TOTAL<CAP -> got[me]++ };
#ifndef M_PUT_FIRST
       make_body(); put();
#else
       put(); make_body();
#endif
       tail[me]=m+1;
       promised[ID(me,m)]=1;     /* behind a fence, or the call of the ring */
       m++
    :: else -> break
    od;
    gone[me]=1
  } unless { dead[me] } }

/* Somebody finds the mailbox full: the room that a dead one took and did not use goes back (room.c, sent_of_dead). */
active proctype reclaimer() {
  byte l, s, n;
  do
  :: true ->
end: if
     :: atomic { USED(0)>tail[0] && USED(0)>next[0] -> l=0 }
#if S>1
     :: atomic { USED(1)>tail[1] && USED(1)>next[1] -> l=1 }
#endif
     fi;
#ifdef M_NEXT_FIRST
     n=next[l];
#endif
     if
     :: dead[l] ->
        s=tail[l];
#ifndef M_NEXT_FIRST
        n=next[l];
#endif
        if :: n>s -> s=n :: else fi;
        atomic {
          if :: USED(l)>s ->
                back[l]=got[l]-s;
                assert(USED(l)>=tail[l]);
                assert(USED(l)>=handed[l])
             :: else fi;
          s=0; n=0; l=0 }
     :: atomic { !dead[l] && gone[l] -> s=0; n=0; l=0 }
     fi
  od }

/* ---- a receiver */

#define IS_OUT(r,l) (es[r]!=FREE && el[r]==(l) && en[r]<NX(l))
inline recount(l) { atomic { FENCED -> done[l] = NX(l)-(IS_OUT(0,l) -> 1 : 0)-(IS_OUT(1,l) -> 1 : 0) } }

inline set_intent(l,v) {
#ifndef M_NO_INTENT
#ifndef M_NEXT_FIRST_OUT
  atomic { il=l; ival=v }
#else
  skip
#endif
#else
  skip
#endif
}
inline clear_intent() { atomic { ival=0; il=0 } }
inline consume_it() { atomic { assert(!fin[ID(l,m)]); fin[ID(l,m)]=1 } }
/* The stage is empty from now on: it is handed out. */
inline empty_stage() { atomic { magic=0; sl=0; sm=0; sb=0; handed[l]++; assert(handed[l]<=USED(l)) } }
/* Nobody's message. */
inline throw_away() { again=1; if :: sb -> body[ID(l,m)]=0 :: else fi; atomic { assert(!promised[ID(l,m)]); magic=0; sl=0; sm=0; sb=0 } }

/* ok: it may be handed out, and next becomes nx+1; up: it is counted by next already */
inline count_it() {
  nx=NX(l); t=tail[l]; up=0;
  if
  :: t>m -> ok = (t>nx -> 1 : 0)
  :: t==m && t>=nx ->
     if
#ifdef M_TAKE
     :: true -> ok=1
#else
     :: !LIVES(l) ->
#ifndef M_NO_SECOND
        t=tail[l]; ok = ((t>m && t>nx) -> 1 : 0)
#else
        ok=0
#endif
     :: LIVES(l) ->
        set_intent(l,nx+1);
        ST_NEXT(l,nx+1);
#ifndef M_NOFENCE
        FENCED;
#endif
        up=1;
#ifdef M_NO_AGAIN
        ok=1
#else
        if
        :: LIVES(l) -> ok=1
        :: else ->
           ST_NEXT(l,nx); clear_intent(); up=0;
#ifndef M_NO_LAST
           t=tail[l]; ok = ((t>m && t>nx) -> 1 : 0)
#else
           ok=0
#endif
        fi
#endif
#endif
     fi
  :: else -> ok=0
  fi; t=0 }

inline hand_out() {
  set_intent(l,nx+1);
#ifdef M_NEXT_FIRST_OUT
  ST_NEXT(l,nx+1); empty_stage()
#else
  empty_stage();
  ST_NEXT(l,nx+1)
#endif
}

/* Of what is in the stage: its number is what it counted last, and counted ones are behind it (I7). */
#define OVERTAKES (tail[l]==m && tail[l]>NX(l))

#define DEAD_CLAIM(r) (rdead[r] && (es[r]==CLAIMED || es[r]==RELEASED))
#define BACK_CLAIM(r) (es[r]==RETURNED)
/* What a sleeper looks at are words: a tail past its next. What is in the queue besides was promised by nobody. */
#if S>1
#define COUNTED (tail[0]>next[0] || tail[1]>next[1])
#else
#define COUNTED (tail[0]>next[0])
#endif
#ifdef M_NO_GET
#define ASKS COUNTED
#else
#define ASKS true
#endif
#define WORK (magic || COUNTED || rung || ival>0 || DEAD_CLAIM(0) || DEAD_CLAIM(1) || BACK_CLAIM(0) || BACK_CLAIM(1))
#define OTHER (1-me)

inline lock() {
  if
  :: atomic { token==0 -> token=me+1 }
  :: atomic { token==OTHER+1 && rdead[OTHER] -> token=me+1 }
  fi }

inline end_intent() {            /* I1 */
  if
  :: ival>0 && !magic && next[il]+1==ival -> ST_NEXT(il,ival); clear_intent()
  :: ival>0 && magic && next[il]==ival -> ST_NEXT(il,ival-1); clear_intent()
  :: ival>0 && !(!magic && next[il]+1==ival) && !(magic && next[il]==ival) -> clear_intent()
  :: else
  fi; FENCED }

inline end_claim() {             /* of the dead; void while its place is not before next (I2) */
  if
  :: rdead[OTHER] && es[OTHER]==CLAIMED && en[OTHER]>=NX(el[OTHER]) -> es[OTHER]=FREE
  :: rdead[OTHER] && es[OTHER]==CLAIMED && en[OTHER]<NX(el[OTHER]) -> es[OTHER]=RETURNED
  :: rdead[OTHER] && es[OTHER]==RELEASED -> body[ID(el[OTHER],em[OTHER])]=0; es[OTHER]=FREE
  :: else
  fi }

inline repair() {
#ifndef M_ENTRIES_FIRST
  end_intent(); end_claim();
#else
  end_claim(); end_intent();
#endif
  recount(0);
#if S>1
  recount(1)
#endif
}

/* A claim of the dead is served first: its body is read, and it is finished. */
inline serve_back(r) {
  l=el[r]; m=em[r];
  assert(body[ID(l,m)]);
  consume_it(); es[r]=RELEASED;
  body[ID(l,m)]=0;
  es[r]=FREE; recount(l) }

inline copy() {
  if
  :: sb && !body[ID(l,m)] ->     /* read by one that died before it emptied the stage */
     assert(receiver_died);
     count_it();
     if :: ok -> consume_it(); hand_out(); recount(l); clear_intent() :: else -> throw_away() fi
  :: else ->
     count_it();
     if
     :: ok ->
        if :: sb -> body[ID(l,m)]=0 :: else fi;
        set_intent(l,nx+1);
        atomic { consume_it(); empty_stage() };   /* copied: whoever dies from here has received it */
        ST_NEXT(l,nx+1);
        recount(l); clear_intent()
     :: else -> throw_away()
     fi
  fi }

inline claim() {
  if :: !sb -> body[ID(l,m)]=1 :: else fi;
  count_it();
  if
  :: ok ->
     el[me]=l; en[me]=nx; em[me]=m; es[me]=CLAIMED;
     hand_out(); clear_intent(); mine=1
  :: else -> body[ID(l,m)]=0; throw_away()
  fi }

proctype receiver(byte me) {
  byte l, m, nx, t; bit ok, up, mine, early, again;
  { do
    :: true ->
end:   ((WORK || again) && token==0) || (token==OTHER+1 && rdead[OTHER]);   /* asleep it watches the holder's life */
       again=0; rung=0;
       lock();
       if :: rdead[OTHER] -> repair() :: else fi;
       if
       :: BACK_CLAIM(0) -> serve_back(0)
       :: !BACK_CLAIM(0) && BACK_CLAIM(1) -> serve_back(1)
       :: !BACK_CLAIM(0) && !BACK_CLAIM(1) ->
          if                     /* one system call: the kernel writes the record into the stage */
          :: atomic { !magic && len(high)>0 && ASKS -> high?sl,sm,sb; magic=1 }
          :: atomic { !magic && len(high)==0 && len(low)>0 && ASKS -> low?sl,sm,sb; magic=1 }
          :: else
          fi;
          if
          :: magic ->
             l=sl; m=sm;
#ifndef M_EARLY
             if :: OVERTAKES && LIVES(l) -> early=1 :: else fi;
             if :: !early && OVERTAKES -> throw_away() :: else fi;
#endif
             if
             :: early || !magic
             :: !early && magic ->
#ifndef CLAIM
                if
                :: copy()
#ifndef COPY
                :: atomic { !(sb && !body[ID(l,m)]) -> skip }; claim()
#endif
                fi
#else
                claim()
#endif
             fi
          :: else
          fi
       fi;
       atomic { FENCED -> token=0 };
       if
       :: early -> LIVES(l)==0 || tail[l]>m; early=0      /* it looks again */
       :: mine ->                /* done: one store, and then the holder collects */
#ifdef M_UNLINK
          body[ID(l,m)]=0;
#endif
          atomic { consume_it(); es[me]=RELEASED };
          lock();
          if :: rdead[OTHER] -> repair() :: else fi;
          body[ID(l,m)]=0;
          es[me]=FREE; recount(l);
          atomic { FENCED -> token=0 };
          mine=0
       :: else
       fi;
       l=0; m=0; nx=0; ok=0; up=0
    od
  } unless { rdead[me] } }

/* Nothing moves any more. */
active proctype final() {
  byte i;
  timeout ->
  assert(!magic && ival==0);
  i=0;
  do
  :: i<N -> assert(!promised[i] || fin[i]);
            assert(!promised[i] || !body[i] || receiver_died);   /* of a claim that was not made; it goes with the link */
            i++
  :: else -> break
  od;
  i=0;
  do
  :: i<S -> assert(next[i]==handed[i] && done[i]==next[i] && USED(i)==next[i] && next[i]>=tail[i]); i++
  :: else -> break
  od }

init { atomic { run sender(0);
#if S>1
  run sender(1);
#endif
  run receiver(0); run receiver(1) } }
