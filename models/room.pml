/* room.pml - exact capacity of a mailbox: one compare-and-swap word that names its last user; blocked senders in a queue.
 *
 * Run:   spin -a room.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m3000000
 *        Assertions and invalid end states are the properties (a sender asleep for ever is an invalid end state).
 * Switches: CAP=1  S=2 or 3 senders  MSG=1 messages each (MSG1 of the others than sender 0)  KILL=1 deaths of senders (WHO=l: only of sender l)  RKILL=0 deaths of the token holder
 *        HEIR (a dead sender's link is taken over)   NONBLOCK (sender 0 sends with timeout 0)
 * Mutants (each must fail): default with -DM_NOHELP -DM_NOFENCE_R -DM_NOWATCH -DM_NOVOID
 *        -DM_TAIL_ONLY (a reclaimer trusts the dead link's tail)  -DM_NO_DONE (it trusts the record behind tail
 *        alone)  -DM_DONE_FIRST (it reads done before that record);   -DRKILL=1 -DKILL=0 with -DM_NORING -DM_NOSUM
 *        -DS=3 -DKILL=0 -DM_NONUDGE;   -DMSG=2 -DKILL=0 with -DM_NOFENCE_Q -DM_NOFENCE_E
 *        -DMSG=2 -DMSG1=1 -DM_SHORT_ANY (the short way is taken whoever took last)
 *        -DM_NOREVAL is not seen to fail with two senders.
 *
 * Memory: TSO. Plain stores pass through a two-entry FIFO per process; locked operations, fences and system calls need it empty.
 * Death: at any step; any prefix of the buffered stores arrives, then the life word changes and the kernel wakes ONE waiter on it.
 */
#ifndef CAP
#define CAP 1
#endif
#ifndef S
#define S 2
#endif
#ifndef MSG
#define MSG 1
#endif
#ifndef KILL
#define KILL 1
#endif
#ifndef RKILL
#define RKILL 0
#endif
#ifndef MSG1
#define MSG1 MSG                 /* of the others than sender 0 */
#endif
#define QUOTA(l) ((l)==0 -> MSG : MSG1)
#define R S                      /* the token holder's number */
#define P (S+1)

/* plain shared words */
#define COMM(l)   (l)            /* records of link l with their commit word set. Writer: its sender */
#define TICKET(l) (S+(l))        /* place in the queue of blocked senders, 0 none. Writer: its sender */
#define DONE(l)   (2*S+(l))      /* finished messages of link l (next = done here). Writer: token holder */
#define TOTAL     (3*S)          /* sum of DONE. Writer: token holder */
#define TAIL(l)   (3*S+1+(l))    /* the link's own number of committed messages, stored after the commit. Writer: its sender */
byte mem[4*S+1];
byte a0[P], v0[P], a1[P], v1[P], bn[P];   /* store buffers */
#define LD(p,a) ((bn[p]==2 && a1[p]==(a)) -> v1[p] : ((bn[p]>0 && a0[p]==(a)) -> v0[p] : mem[a]))
#define FENCED(p) (bn[p]==0)
inline ST(p,a,v) { atomic { bn[p]<2 -> if :: bn[p]==0 -> a0[p]=a; v0[p]=v :: else -> a1[p]=a; v1[p]=v fi; bn[p]++ } }
inline drain(p)  { mem[a0[p]]=v0[p]; a0[p]=a1[p]; v0[p]=v1[p]; a1[p]=0; v1[p]=0; bn[p]--; if :: bn[p]==0 -> a0[p]=0; v0[p]=0 :: else fi; check_room() }
inline drop(p)   { bn[p]=0; a0[p]=0; v0[p]=0; a1[p]=0; v1[p]=0 }

/* words changed by locked operations only */
byte Ct, Cn, Cl; bit Ck;         /* the room word, 64 bits: total taken, link of the last operation, its n, its kind (0 take, 1 hand back) */
byte got[S], back[S];            /* per link: rooms ever taken / handed back unused; only rise; any sender may raise them */
byte want, bell, nudge[S], next_ticket;
byte life[P];                    /* even: alive, odd: dead */
/* sleepers */
bool asleep[S], on_bell[S]; byte on_life[S], woken_by[S];
byte kills, rkills; bool ended[S];

#if S>2
#define SUM(x) (x(0)+x(1)+x(2))
#else
#define SUM(x) (x(0)+x(1))
#endif
#define MSENT(l) mem[COMM(l)]
#define MDONE(l) mem[DONE(l)]
/* rooms of living senders and messages, as of this instant (ghost) */
#define TAKEN(l) ((Cl==l && Ck==0) -> Cn : got[l])
#define GIVEN(l) ((Cl==l && Ck==1) -> Cn : back[l])
#define OCC(l)   ((life[l]%2==0) -> TAKEN(l)-GIVEN(l) : MSENT(l))
inline check_room() { assert(SUM(MSENT) - SUM(MDONE) <= CAP) }

inline hw(p) { atomic { bn[p]>0 -> drain(p) } }
active proctype hardware() {
end: do
  :: atomic { bn[0]>0 -> drain(0) }
  :: atomic { bn[1]>0 -> drain(1) }
  :: atomic { bn[2]>0 -> drain(2) }
#if S>2
  :: atomic { bn[3]>0 -> drain(3) }
#endif
  od }

#define WATCHES(w,p) (asleep[w] && (on_life[w] & (1<<(p))))
inline get_up(w,why) { asleep[w]=false; on_bell[w]=false; on_life[w]=0; woken_by[w]=why }
inline die(p) {
  do :: bn[p]>0 -> drain(p) :: break od; drop(p);
  if :: p!=R -> get_up(p,0) :: else fi;
  life[p]++;
  if :: WATCHES(0,p) -> get_up(0,p+1)
     :: WATCHES(1,p) -> get_up(1,p+1)
#if S>2
     :: WATCHES(2,p) -> get_up(2,p+1)
     :: !WATCHES(0,p) && !WATCHES(1,p) && !WATCHES(2,p) -> skip
#else
     :: !WATCHES(0,p) && !WATCHES(1,p) -> skip
#endif
  fi }
active proctype killer() {
end: do
  :: atomic { kills<KILL && life[0]%2==0 && !ended[0] -> kills++; die(0) }
#ifndef WHO
  :: atomic { kills<KILL && life[1]%2==0 && !ended[1] -> kills++; die(1) }
#endif
#if S>2
  :: atomic { kills<KILL && life[2]%2==0 && !ended[2] -> kills++; die(2) }
#endif
  :: atomic { rkills<RKILL && life[R]%2==0 -> rkills++; die(R) }
  od }

/* Raise the per-link word that the last operation on the room word left behind. cl, cn, ck: the word as read. Locked. */
inline help() {
#ifndef M_NOHELP
  if :: atomic { FENCED(me) && ck==0 -> if :: got[cl]<cn -> got[cl]=cn :: else fi }
     :: atomic { FENCED(me) && ck==1 -> if :: back[cl]<cn -> back[cl]=cn :: else fi }
  fi
#else
  skip
#endif
}
inline read_C() { d_step { ct=Ct; cn=Cn; cl=Cl; ck=Ck } }
#define SAME (ct==Ct && cn==Cn && cl==Cl && ck==Ck)
/* Unused rooms of link x, the word c having been helped: exact for a dead link as long as c stands. */
/* The record behind tail counts when it is committed; a finished one may lie in memory that was given back and reads as nothing,
 * so `done` is looked at after it. */
#define COMMITTED(x, t) (LD(me,COMM(x))>(t) && LD(me,DONE(x))<=(t))
inline unused(x) {
  h=LD(me,TAIL(x));
#ifdef M_DONE_FIRST
  d2=LD(me,DONE(x));
#endif
#ifndef M_TAIL_ONLY
  if :: COMMITTED(x,h) -> h++ :: else fi;
#endif
#ifndef M_NO_DONE
#ifndef M_DONE_FIRST
  d2=LD(me,DONE(x));
#endif
  if :: d2>h -> h=d2 :: else fi;
#endif
  h=got[x]-back[x]-h; d2=0 }

/* res: 1 took a room, 0 full at the instant done_total was read. busy: links of living senders with unused rooms. */
inline take(me) {
  do
  :: res=2;
     /* The short way: the word names my own count, which it goes on to carry. */
     if :: read_C();
#ifdef M_SHORT_ANY
           d=LD(me,TOTAL);
           if :: ct-d<CAP -> mine=got[me]+1;
#else
           if :: cl==me && ck==0 -> d=LD(me,TOTAL); mine=cn+1 :: else -> d=0; ct=CAP fi;
           if :: ct-d<CAP ->
#endif
                 atomic { FENCED(me) -> if :: SAME -> Ct++; Cn=mine; Cl=me; Ck=0; res=1 :: else fi }
              :: else
           fi
        :: true
     fi;
     if :: res==1 -> break :: else fi;
     read_C(); help();
     atomic { d = LD(me,TOTAL); full_then = (SUM(OCC)-mem[TOTAL] >= CAP) }
     if
     :: ct-d<CAP ->
        mine = got[me]+1;
        atomic { FENCED(me) -> if :: SAME -> Ct++; Cn=mine; Cl=me; Ck=0; res=1 :: else -> res=2 fi };
        if :: res==1 -> break :: else fi
     :: else ->
        /* look for rooms of the dead */
        x=0; busy=0; res=0;
        do
        :: x<S ->
           lf=life[x];
           if :: x!=me -> unused(x) :: else fi;
           if
           :: x!=me && h>0 && lf%2==1 ->
#ifndef M_NOVOID
              atomic { FENCED(me) -> if :: SAME -> Ct=ct-h; Cn=back[x]+h; Cl=x; Ck=1; assert(got[x]-Cn>=mem[COMM(x)]) :: else fi }; h=0;
              res=2; break
#else
              h=0; x++
#endif
           :: x!=me && h>0 && lf%2==0 -> h=0; busy = busy | (1<<x); x++
           :: else -> h=0; x++
           fi
        :: else -> break
        od; x=0; lf=0;
#ifndef M_NOREVAL
        if :: res==0 && SAME -> break :: else fi
#else
        if :: res==0 -> break :: else fi
#endif
     fi
  od; ct=0;cn=0;cl=0;ck=0;d=0;mine=0 }

/* pred: the last living sender before me in the queue (P: none); succ: the first living one behind me */
inline neighbours(me, t) {
  x=0; pred=P; succ=P; pt=0; st=0;
  do
  :: x<S ->
     atomic { lf=life[x] };
     atomic { tx=LD(me,TICKET(x)) };
     if :: x!=me && tx>0 && lf%2==0 && tx<t && tx>pt -> pred=x; pt=tx; plf=lf
        :: x!=me && tx>0 && lf%2==0 && tx>t && (st==0 || tx<st) -> succ=x; st=tx
        :: else fi;
     x++
  :: else -> break
  od; x=0; pt=0; st=0; tx=0; lf=0 }

inline wake_all_life(q) { atomic { i=0; do :: i<S -> if :: WATCHES(i,q) -> get_up(i,0) :: else fi; i++ :: else -> break od; i=0 } }

inline leave(me) {               /* leave the queue and hand my place on */
  t2=ticket; ST(me,TICKET(me),0); ticket=0;
#ifndef M_NOFENCE_Q
  FENCED(me);
#endif
  neighbours(me,t2); t2=0;
#ifndef M_NONUDGE
  if :: succ<P -> atomic { FENCED(me) -> nudge[succ]++; if :: asleep[succ] -> get_up(succ,0) :: else fi } :: else fi;
#endif
  succ=P; pred=P; plf=0 }

/* a life word among those watched has changed already: FUTEX_WAITV compares them all */
#define DEAD1(x) ((busy & (1<<x)) && life[x]%2==1)
#if S>2
#define DEADNOW (DEAD1(0)||DEAD1(1)||DEAD1(2))
#else
#define DEADNOW (DEAD1(0)||DEAD1(1))
#endif
proctype sender(byte me) {
  byte ct,cn,cl,d,d2,mine,x,lf,h,busy,pred=P,succ=P,pt,st,tx,plf,i,t2,ticket,s,b,k; byte res; bit ck; bool full_then;
  do                             /* one turn = one life of the link's sender */
  :: {
#ifdef HEIR
     if :: life[me]>0 ->         /* take-over: hand back what the dead one held, leave its place in the queue */
        do :: read_C(); help(); unused(me);
              if :: h==0 -> if :: SAME -> break :: else fi
                 :: else -> atomic { FENCED(me) -> if :: SAME -> Ct=ct-h; Cn=back[me]+h; Cl=me; Ck=1; assert(got[me]-Cn>=mem[COMM(me)]) :: else fi }
              fi
        od; h=0; k=LD(me,TAIL(me));
        if :: COMMITTED(me,k) -> k++ :: else fi;
        if :: LD(me,DONE(me))>k -> k=LD(me,DONE(me)) :: else fi;
        ST(me,TAIL(me),k); ticket=LD(me,TICKET(me)); leave(me);
        :: else fi;
#endif
     k=LD(me,TAIL(me));
     do
     :: k<QUOTA(me) ->
        take(me);
        if
        :: res==0 ->
#ifdef NONBLOCK
           if :: me==0 -> assert(full_then); break :: else fi;
#endif
           /* queue up, once */
           if :: ticket==0 -> atomic { FENCED(me) -> next_ticket++; ticket=next_ticket }; ST(me,TICKET(me),ticket) :: else fi;
           s=nudge[me]; b=bell;
#ifndef M_NOFENCE_E
           FENCED(me);                    /* pairs with the fence in leave */
#endif
           neighbours(me,ticket);
           if :: pred<P ->
                 /* somebody is before me: wait for him alone */
                 if :: atomic { FENCED(me) && nudge[me]==s && life[pred]==plf -> asleep[me]=true; on_bell[me]=false; on_life[me]=(1<<pred) }
                    :: FENCED(me) && !(nudge[me]==s && life[pred]==plf)
                 fi
              :: else ->
                 atomic { FENCED(me) -> want++ };
                 take(me);
                 if :: res==1 -> goto have :: else fi;
#ifdef M_NOWATCH
                 busy=0;
#endif
                 if :: atomic { FENCED(me) && nudge[me]==s && bell==b && !DEADNOW -> asleep[me]=true; on_bell[me]=true; on_life[me]=busy }
                    :: FENCED(me) && !(nudge[me]==s && bell==b && !DEADNOW)
                 fi
           fi;
           s=0; b=0; busy=0; plf=0;
           !asleep[me];
           if :: woken_by[me]>0 -> wake_all_life(woken_by[me]-1); woken_by[me]=0 :: else fi;
           pred=P; succ=P
        :: else ->
have:      s=0; b=0; busy=0; plf=0; pred=P; succ=P;
           k++; ST(me,COMM(me),k); ST(me,TAIL(me),k);
           if :: ticket>0 -> leave(me) :: else fi
        fi
     :: else -> break
     od;
     atomic { FENCED(me) -> ended[me]=true };
     break
     } unless { life[me]%2==1 }
#ifdef HEIR
     ; atomic { ct=0;cn=0;cl=0;d=0;d2=0;mine=0;x=0;lf=0;h=0;busy=0;pred=P;succ=P;pt=0;st=0;tx=0;plf=0;i=0;t2=0;ticket=0;s=0;b=0;k=0;res=0;ck=0; life[me]++ }
#else
     ; break
#endif
  od }

inline ring() { atomic { FENCED(R) -> bell++; i=0; do :: i<S -> if :: asleep[i] && on_bell[i] -> get_up(i,0) :: else fi; i++ :: else -> break od; i=0 } }

proctype receiver() {
  byte l, n, i, w, rung, dt;
  do
  :: {
     if :: life[R]>0 ->          /* successor: correct the sum, ring once whatever was noted */
#ifndef M_NOSUM
           n = LD(R,DONE(0))+LD(R,DONE(1));
#if S>2
           n = n+LD(R,DONE(2));
#endif
           ST(R,TOTAL,n); FENCED(R);
#endif
#ifndef M_NORING
           ring()
#endif
        :: else fi;
     do
     :: true ->
end:    if
        :: atomic { LD(R,COMM(0))>LD(R,DONE(0)) -> l=0 }
        :: atomic { LD(R,COMM(1))>LD(R,DONE(1)) -> l=1 }
#if S>2
        :: atomic { LD(R,COMM(2))>LD(R,DONE(2)) -> l=2 }
#endif
        fi;
        n=LD(R,DONE(l))+1; ST(R,DONE(l),n); n=0;
        dt=LD(R,TOTAL)+1; ST(R,TOTAL,dt); dt=0; l=0;
#ifndef M_NOFENCE_R
        FENCED(R);
#endif
        w=want;
        if :: w!=rung -> rung=w; ring() :: else fi; w=0
     od
     } unless { life[R]%2==1 };
     atomic { l=0;n=0;i=0;w=0;rung=0;dt=0; life[R]++ }
  od }

init { atomic { run sender(0); run sender(1);
#if S>2
  run sender(2);
#endif
  run receiver() } }
