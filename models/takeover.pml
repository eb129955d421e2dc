/* takeover.pml - one link: commit words, zeroed next header, tail as a lower bound, reuse of drained places; the sender dies and is succeeded.
 *
 * Run:   spin -a takeover.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m2000000
 * Options: N=5 messages, G=2 segments of 2 places each, KILL=2 deaths of the sender, RKILL=1 deaths of the receiver.
 * Mutants, each must fail: M_NOZERO (the next header is not zeroed)  M_ZEROLATE (zeroed after the commit)  M_TAILFIRST (tail before the commit)
 *          M_NOWALK (the successor trusts tail)  M_HEADEARLY (a claimed place counts as free)  M_NOHEAD (the sender does not look at head)
 *          M_COMMITFIRST (commit before the payload)
 *
 * Memory: TSO. Death: at any step, any prefix of the stores arrives. The kernel's lock on the link gives it to one successor after the death.
 * Words: COMMIT(i), DATA(i), TAIL (sender); NEXT, HEAD (receiver). The receiver may hold claims (up to 2) and finish them in any order.
 * A place is a record; the record after the last one of a segment is the first of the next segment (the jump is part of the walk).
 * Promised: a message whose send returned. The one in hand of a dead sender may be there or not, never twice, never invented.
 */
#ifndef N
#define N 5
#endif
#ifndef G
#define G 2
#endif
#ifndef KILL
#define KILL 2
#endif
#ifndef RKILL
#define RKILL 1
#endif
#define S 0
#define R 1
#define P 2
#define PLACES (2*G)
#define TAIL 0
#define NEXT 1
#define HEAD 2
#define COMMIT(i) (3+(i)%PLACES)
#define DATA(i) (3+PLACES+(i)%PLACES)
byte mem[3+2*PLACES];
byte a0[P], v0[P], a1[P], v1[P], bn[P];   /* store buffers: two entries, first in, first out */
#define LD(p,a) ((bn[p]==2 && a1[p]==(a)) -> v1[p] : ((bn[p]>0 && a0[p]==(a)) -> v0[p] : mem[a]))
#define FENCED(p) (bn[p]==0)
inline ST(p,a,v) { atomic { bn[p]<2 -> if :: bn[p]==0 -> a0[p]=a; v0[p]=v :: else -> a1[p]=a; v1[p]=v fi; bn[p]++ } }
inline drain(p)  { mem[a0[p]]=v0[p]; a0[p]=a1[p]; v0[p]=v1[p]; a1[p]=0; v1[p]=0; bn[p]--; if :: bn[p]==0 -> a0[p]=0; v0[p]=0 :: else fi }
byte life[P], kills, rkills;
byte promised;                   /* ghost: number of sends that returned; message m carries m+1 */
byte delivered;                  /* ghost: the last message delivered for the first time */

active proctype hardware() {
end: do
  :: atomic { bn[0]>0 -> drain(0) }
  :: atomic { bn[1]>0 -> drain(1) }
  od }
inline die(p) { do :: bn[p]>0 -> drain(p) :: break od; bn[p]=0; a0[p]=0; v0[p]=0; a1[p]=0; v1[p]=0; life[p]++ }
active proctype killer() {
end: do
  :: atomic { kills<KILL && life[S]%2==0 -> kills++; die(S) }
  :: atomic { rkills<RKILL && life[R]%2==0 -> rkills++; die(R) }
  od }

active proctype sender() {
  byte n;
  do
  :: {
     /* take-over: tail is a lower bound, walk on over committed records */
     n=LD(S,TAIL);
#ifndef M_NOWALK
     do :: atomic { LD(S,COMMIT(n))==1 } -> n++; assert(n-LD(S,HEAD)<=PLACES) :: LD(S,COMMIT(n))!=1 -> break od;
#endif
     atomic { FENCED(S); assert(n>=promised) };        /* nothing promised is lost */
     ST(S,TAIL,n);
     do
     :: n<N ->
        /* the place of n and the header behind it must be free: a segment is used again when head has left it wholly */
#ifndef M_NOHEAD
        (n+1)/2 - LD(S,HEAD)/2 < G;
#endif
        assert(LD(S,COMMIT(n))==0);         /* never over a committed record */
#ifdef M_COMMITFIRST
        ST(S,COMMIT(n),1);
#endif
        ST(S,DATA(n),n+1);
#ifndef M_NOZERO
#ifndef M_ZEROLATE
        ST(S,COMMIT(n+1),0);
#endif
#endif
#ifdef M_TAILFIRST
        ST(S,TAIL,n+1);
#endif
        ST(S,COMMIT(n),1);
#ifdef M_ZEROLATE
        ST(S,COMMIT(n+1),0);
#endif
        n++; 
        ST(S,TAIL,n);
        atomic { FENCED(S) -> if :: n>promised -> promised=n :: else fi }
     :: else -> break
     od;
     break
     } unless { life[S]%2==1 };
     atomic { n=0; life[S]++ }
  od }

active proctype receiver() {
  byte next, c, lo; byte open;   /* open: bit i: message next-1-i is claimed and not done; at most the last two */
  do
  :: {
     next=LD(R,HEAD);            /* successor: what was claimed by the dead is delivered again */
     ST(R,NEXT,next); open=0;
     do
     :: atomic { next<N && (open&2)==0 && LD(R,COMMIT(next))==1 } ->   /* take */
        c=LD(R,DATA(next)); assert(c==next+1);
        atomic { if :: c>delivered -> assert(c==delivered+1); delivered=c :: else fi }; c=0;
        next++; open=((open<<1)|1)&3; ST(R,NEXT,next);
#ifdef M_HEADEARLY
        ST(R,HEAD,next)
#endif
     :: atomic { (open&1)!=0 -> c=0 }; goto done          /* finish one claim, in any order; it is read once more first */
     :: atomic { (open&2)!=0 -> c=1 }; 
done:   lo=LD(R,DATA(next-1-c)); assert(lo==next-c); lo=0;
        if :: c==0 -> open=open&2 :: else -> open=open&1 fi; c=0;
#ifndef M_HEADEARLY
        if :: (open&2)!=0 -> lo=next-2 :: (open&2)==0 && (open&1)!=0 -> lo=next-1 :: open==0 -> lo=next fi;
        ST(R,HEAD,lo); lo=0
#endif
     :: next==N && open==0 -> break
     od;
     atomic { FENCED(R) -> assert(delivered==N) };
     break
     } unless { life[R]%2==1 };
     atomic { next=0; c=0; lo=0; open=0; life[R]++ }
  od }
