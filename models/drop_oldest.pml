/* drop_oldest.pml - full = drop-oldest: the sender moves OLDEST past its victim and overwrites; the receiver copies and looks at OLDEST again.
 *
 * Run:   spin -a drop_oldest.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m2000000
 * Switches: N=5 messages, K=2 places, RKILL=1 deaths of the receiver (succeeded by the next holder of the token).
 * Mutants, each must fail: M_NOFENCE_S (no store-store order between OLDEST and the overwriting)  M_NORECHECK  M_EARLY (OLDEST read before the copy: the
 *          load-load order missing)  M_TWOWORDS (next and dropped in two words, the receiver dies between)  M_LATE (OLDEST after the overwriting)
 *
 * Memory: weaker than TSO: two buffered stores to different words may arrive in either order unless a release fence lies between them.
 * Death: at any step; stores already executed arrive (else more than the one in hand could come again).
 * Words: TAIL, OLDEST, A(i), B(i) (sender; a record is two words so that a torn copy shows); NEXT (receiver: {next, dropped} in one 64-bit word).
 */
#ifndef N
#define N 5
#endif
#ifndef K
#define K 2
#endif
#ifndef RKILL
#define RKILL 1
#endif
#define S 0
#define R 1
#define P 2
#define TAIL 0
#define OLDEST 1
#define NEXT 2                   /* next*16 + dropped */
#define DROPPED 3                /* M_TWOWORDS only */
#define A(i) (4+(i)%K)
#define B(i) (4+K+(i)%K)
byte mem[4+2*K];
byte a0[P], v0[P], a1[P], v1[P], bn[P];   /* store buffers: two entries, first in, first out */
#define LD(p,a) ((bn[p]==2 && a1[p]==(a)) -> v1[p] : ((bn[p]>0 && a0[p]==(a)) -> v0[p] : mem[a]))
#define FENCED(p) (bn[p]==0)
inline ST(p,a,v) { atomic { bn[p]<2 -> if :: bn[p]==0 -> a0[p]=a; v0[p]=v :: else -> a1[p]=a; v1[p]=v fi; bn[p]++ } }
inline drain(p)  { mem[a0[p]]=v0[p]; a0[p]=a1[p]; v0[p]=v1[p]; a1[p]=0; v1[p]=0; bn[p]--; if :: bn[p]==0 -> a0[p]=0; v0[p]=0 :: else fi }
inline second(p) { mem[a1[p]]=v1[p]; a1[p]=0; v1[p]=0; bn[p]-- }     /* the younger store overtakes */
byte life[P], rkills, delivered;

active proctype hardware() {
end: do
  :: atomic { bn[0]>0 -> drain(0) }
  :: atomic { bn[1]>0 -> drain(1) }
  :: atomic { bn[0]==2 && a0[0]!=a1[0] -> second(0) }
  :: atomic { bn[1]==2 && a0[1]!=a1[1] -> second(1) }
  od }
active proctype killer() {
end: do
  :: atomic { rkills<RKILL && life[R]%2==0 -> rkills++;
       do :: bn[R]>0 -> drain(R) :: bn[R]==0 -> break od; bn[R]=0; a0[R]=0; v0[R]=0; a1[R]=0; v1[R]=0; life[R]++ }
  od }

active proctype sender() {
  byte n, oldest;
  do
  :: n<N ->
     if :: n-oldest>=K ->
#ifndef M_LATE
           oldest++; ST(S,OLDEST,oldest);
#ifndef M_NOFENCE_S
           FENCED(S);
#endif
#endif
        :: else fi;
     ST(S,A(n),n+1); ST(S,B(n),n+1);
#ifdef M_LATE
     if :: n-oldest>=K -> FENCED(S); oldest++; ST(S,OLDEST,oldest) :: else fi;
#endif
     FENCED(S);                  /* release: record before commit */
     n++; ST(S,TAIL,n)
  :: else -> break
  od }

active proctype receiver() {
  byte next, dropped, a, b, o, t;
  do
  :: {
#ifndef M_TWOWORDS
     next=LD(R,NEXT)/16; dropped=LD(R,NEXT)%16;
#else
     next=LD(R,NEXT)/16; dropped=LD(R,DROPPED);
#endif
     do
     :: next<N ->
        t=LD(R,TAIL);
        if :: t>next -> skip :: else -> LD(R,TAIL)>next fi; t=0;
#ifdef M_EARLY
        o=LD(R,OLDEST);
#endif
        a=LD(R,A(next)); b=LD(R,B(next));
#ifndef M_NORECHECK
#ifndef M_EARLY
        o=LD(R,OLDEST);
#endif
#endif
        if
        :: o>next -> dropped=dropped+(o-next); next=o
        :: else -> assert(a==next+1 && b==next+1); delivered++; next++
        fi; a=0; b=0; o=0;
#ifndef M_TWOWORDS
        ST(R,NEXT,next*16+dropped)
#else
        ST(R,DROPPED,dropped); ST(R,NEXT,next*16)
#endif
     :: else -> break
     od;
     FENCED(R);
     /* delivered + dropped = sent; a death may repeat the message in hand and no more */
     assert(delivered+dropped>=N && delivered+dropped<=N+rkills);
     break
     } unless { life[R]%2==1 };
     atomic { next=0; dropped=0; a=0; b=0; o=0; t=0; life[R]++ }
  od }
