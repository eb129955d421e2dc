/* everyone.pml - delivery to everyone on one link: one head per receiver slot; the sender reuses space only behind the slowest living one.
 *
 * Run:   spin -a everyone.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m2000000
 * Switches: N=5 messages, K=2 places, KILL=2 deaths of receivers; a slot whose receiver died is taken again by a newcomer.
 *           -DNOHEIR: a dead receiver stays without a successor (needed to see M_NOLIVE).
 *           -DOLDEST: who joins begins at the oldest that is kept (TONG_FROM_OLDEST), not behind the newest.
 * Mutants, each must fail: M_NOFENCE_S (sender: no fence between oldest and the second minimum)  M_NOFENCE_J (joiner: none between its head and
 *          reading oldest)  M_ONEMIN (no second minimum)  M_NOREREAD (joiner does not read oldest)  M_NOLIVE (a dead slot counts)  M_LATE (oldest
 *          stored after the second minimum)  M_CACHEOLDEST (the sender trusts oldest instead of the second minimum)  M_BACK (oldest may go back)
 *
 * Memory: TSO. Death of a receiver: at any step, any prefix of its stores arrives. The sender does not die here (takeover.pml).
 * Not modelled: the sleep of the blocked sender (it simply waits until the slowest living head moves or its owner dies): books.pml.
 * Words: TAIL, OLDEST, CELL(i) (sender); HEAD(r), OWNER(r) (0 free, 1 taken; the slot's receiver). A slot's owner is alive while life[r] is even.
 */
#ifndef N
#define N 5
#endif
#ifndef K
#define K 2
#endif
#ifndef KILL
#define KILL 2
#endif
#define S 2                      /* the sender's number */
#define P 3
#define TAIL 0
#define OLDEST 1
#define HEAD(r) (2+(r))
#define OWNER(r) (4+(r))
#define CELL(i) (6+(i)%K)
byte mem[6+K];
byte a0[P], v0[P], a1[P], v1[P], bn[P];   /* store buffers: two entries, first in, first out */
#define LD(p,a) ((bn[p]==2 && a1[p]==(a)) -> v1[p] : ((bn[p]>0 && a0[p]==(a)) -> v0[p] : mem[a]))
#define FENCED(p) (bn[p]==0)
inline ST(p,a,v) { atomic { bn[p]<2 -> if :: bn[p]==0 -> a0[p]=a; v0[p]=v :: else -> a1[p]=a; v1[p]=v fi; bn[p]++ } }
inline drain(p)  { mem[a0[p]]=v0[p]; a0[p]=a1[p]; v0[p]=v1[p]; a1[p]=0; v1[p]=0; bn[p]--; if :: bn[p]==0 -> a0[p]=0; v0[p]=0 :: else fi }
byte life[2]; byte kills;

active proctype hardware() {
end: do
  :: atomic { bn[0]>0 -> drain(0) }
  :: atomic { bn[1]>0 -> drain(1) }
  :: atomic { bn[2]>0 -> drain(2) }
  od }
inline die(p) { do :: bn[p]>0 -> drain(p) :: break od; bn[p]=0; a0[p]=0; v0[p]=0; a1[p]=0; v1[p]=0; life[p]++ }
active proctype killer() {
end: do
  :: atomic { kills<KILL && life[0]%2==0 -> kills++; die(0) }
  :: atomic { kills<KILL && life[1]%2==0 -> kills++; die(1) }
  od }

/* low: the lowest head of a living receiver, at most top */
inline minimum(top) {
  low=top; r=0;
  do
  :: r<2 ->
     o=LD(S,OWNER(r));
     h=LD(S,HEAD(r));
#ifndef M_NOLIVE
     if :: o==1 && life[r]%2==0 && h<low -> low=h :: else fi;
#else
     if :: o==1 && h<low -> low=h :: else fi;
#endif
     r++
  :: else -> break
  od; r=0; h=0; o=0 }
#ifndef M_NOLIVE
#define HOLDS(r) (mem[OWNER(r)]==1 && life[r]%2==0 && mem[HEAD(r)]<=limit)
#else
#define HOLDS(r) (mem[OWNER(r)]==1 && mem[HEAD(r)]<=limit)
#endif

active proctype sender() {
  byte n, low, first, r, o, h, limit, shown;   /* private. limit: everything below may be overwritten; shown: what OLDEST holds */
  do
  :: n<N ->
     do
     :: n-limit<K -> break
     :: else ->
        !HOLDS(0) && !HOLDS(1);  /* asleep until the slowest moves or dies */
        minimum(n); first=low;
#ifndef M_LATE
#ifndef M_BACK
        if :: first>shown -> shown=first; ST(S,OLDEST,first) :: else -> first=shown fi;     /* OLDEST never goes back */
#else
        ST(S,OLDEST,first);
#endif
#endif
#ifndef M_NOFENCE_S
        FENCED(S);
#endif
#ifndef M_ONEMIN
        minimum(first);          /* only this one counts */
#endif
#ifdef M_LATE
        ST(S,OLDEST,first);
#endif
#ifdef M_CACHEOLDEST
        low=first;
#endif
        if :: low>limit -> limit=low :: else fi;
        low=0; first=0
     od;
     ST(S,CELL(n),n+1); n++; ST(S,TAIL,n)
  :: else -> break
  od }

proctype receiver(byte me) {
  byte head, t, o, c;
  do
  :: {
     /* join at the end of what is there */
#ifdef OLDEST
     head=LD(me,OLDEST);
#else
     head=LD(me,TAIL);
#endif
     ST(me,HEAD(me),head);
     ST(me,OWNER(me),1);
#ifndef M_NOREREAD
     do
     ::
#ifndef M_NOFENCE_J
        FENCED(me);
#endif
        o=LD(me,OLDEST);
        if :: o>head -> head=o; ST(me,HEAD(me),head) :: else -> break fi
     od; o=0;
#endif
     do
     :: head<N ->
        t=LD(me,TAIL); 
        if :: head<t -> skip :: else -> (LD(me,TAIL)>head) fi; t=0;
        c=LD(me,CELL(head)); assert(c==head+1); c=0;
        head++; ST(me,HEAD(me),head)
     :: else -> break
     od;
     break
     } unless { life[me]%2==1 };
#ifdef NOHEIR
     break
#else
     atomic { head=0; t=0; o=0; c=0; life[me]++ }     /* a newcomer takes the slot */
#endif
  od }
init { atomic { run receiver(0); run receiver(1) } }
