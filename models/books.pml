/* books.pml - delivery to everyone: a sender sleeps for room on one of several books, and wakes those who wait in theirs.
 *
 * Run:      spin -a books.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -m2000000
 * Switches: N=3 messages, K=1 places; KILL=1 deaths of receivers; -DLEAVE: receiver 1 leaves when it likes; -DJOIN: receiver 1 comes
 *           when it likes, and nobody dies.
 * Mutants, each must fail: M_ANY (behind the fence it is not asked whether the one it watches still holds it up)  M_NOFENCE_R (receiver:
 *           none between done and waits)  M_NOFENCE_S (sender: none between waits and its second look)  M_BELL_LATE (the bell is read
 *           behind that look)  M_NO_LIFE (its life is not watched)  M_NO_LEAVE_RING (who leaves rings nobody)  M_NOFENCE_T (receiver:
 *           none between TURN and its look)  M_NOFENCE_C (sender: none behind the commit)  M_NO_ARRIVALS (the list is made once)
 *           M_COUNT_FIRST (who joins counts itself before it has the slot)  M_LIST_FIRST (arrivals is read behind the list)
 *
 * Memory: TSO, one-entry store buffers; locked operations empty them. Death of a receiver: at any step, its store arrives or not. The
 * sender does not die (takeover.pml). What may be written over is everyone.pml's.
 * Words: TAIL, WAITS (sender); ROOM, ARRIVALS (added to); of receiver r: OWNER, DONE, TURN (its own), BELL (of its row, it adds), RING (of
 * its sleep, the sender adds).
 */
#ifndef N
#define N 3
#endif
#ifndef K
#define K 1
#endif
#ifndef KILL
#define KILL 1
#endif
#define S 2
#define P 3
#define TAIL 0
#define WAITS 1
#define ROOM 2
#define ARRIVALS 3
#define OWNER(r) (4+(r))
#define DONE(r) (6+(r))
#define TURN(r) (8+(r))
#define BELL(r) (10+(r))
#define RING(r) (12+(r))
byte mem[14];
byte ba[P], bv[P]; bool bn[P];
#define LD(p,a) ((bn[p] && ba[p]==(a)) -> bv[p] : mem[a])
inline ST(p,a,v) { atomic { !bn[p] -> bn[p]=1; ba[p]=a; bv[p]=v } }
#define FENCED(p) (!bn[p])
inline ADD(p,a) { atomic { !bn[p] -> mem[a]++ } }   /* a locked operation */
inline drain(p) { mem[ba[p]]=bv[p]; bn[p]=0; ba[p]=0; bv[p]=0 }
bool dead[2]; byte kills;
bool finished;

active proctype hardware() {
end: do
  :: atomic { bn[0] -> drain(0) }
  :: atomic { bn[1] -> drain(1) }
  :: atomic { bn[2] -> drain(2) }
  od }

#ifndef JOIN
active proctype killer() {
end: do
  :: atomic { kills<KILL && !dead[0] -> kills++; if :: bn[0] -> drain(0) :: bn[0] -> bn[0]=0; ba[0]=0; bv[0]=0 :: else fi; dead[0]=1 }
  :: atomic { kills<KILL && !dead[1] -> kills++; if :: bn[1] -> drain(1) :: bn[1] -> bn[1]=0; ba[1]=0; bv[1]=0 :: else fi; dead[1]=1 }
  od }
#endif

/* The living with the fewest finished: slow (2 nobody), low. */
inline reach() {
  slow=2; low=n; r=0;
  do
  :: r<2 ->
     if :: LD(S,OWNER(r))==1 && !dead[r] ->
           d=LD(S,DONE(r));
           if :: slow==2 || d<low -> slow=r; low=d :: else fi
        :: else fi;
     r++
  :: else -> break
  od; r=0; d=0 }

active proctype sender() {
  byte n, low, slow, r, d, room, bell, held, seen, a;
  bool list[2]; byte note[2];
  do
  :: n<N ->
     do
     :: reach();
        if :: slow==2 || n-low<K -> break :: else fi;
        /* asleep for room */
        room=LD(S,ROOM);
        reach(); held=slow;
        if :: held==2 -> goto again :: else fi;
#ifndef M_BELL_LATE
        bell=LD(S,BELL(held));
#endif
#ifndef M_NOFENCE_S
        ADD(S,WAITS);
#else
        a=LD(S,WAITS); ST(S,WAITS,a+1); a=0;
#endif
        reach();
        if :: slow==2 || n-low<K -> goto again :: else fi;
#ifndef M_ANY
        if :: slow!=held -> goto again :: else fi;
#endif
#ifdef M_BELL_LATE
        bell=LD(S,BELL(held));
#endif
        if
        :: LD(S,BELL(held))!=bell
        :: LD(S,ROOM)!=room
#ifndef M_NO_LIFE
        :: dead[held]
#endif
        fi;
again:  room=0; bell=0; held=0; low=0; slow=0
     od;
     room=0; bell=0; held=0; low=0; slow=0;
     n++; ST(S,TAIL,n);
     /* tell those who wait */
#ifndef M_NOFENCE_C
     FENCED(S);
#endif
#ifdef M_LIST_FIRST
     if :: LD(S,ARRIVALS)!=seen -> list[0]=(LD(S,OWNER(0))==1); list[1]=(LD(S,OWNER(1))==1); seen=LD(S,ARRIVALS) :: else fi;
#else
#ifdef M_NO_ARRIVALS
     if :: seen==0 -> seen=1; list[0]=(LD(S,OWNER(0))==1); list[1]=(LD(S,OWNER(1))==1) :: else fi;
#else
     a=LD(S,ARRIVALS);
     if :: a!=seen -> seen=a; list[0]=(LD(S,OWNER(0))==1); list[1]=(LD(S,OWNER(1))==1) :: else fi;
     a=0;
#endif
#endif
     r=0;
     do
     :: r<2 ->
        if :: list[r] ->
              a=LD(S,TURN(r));
              if :: a!=0 && a!=note[r] -> note[r]=a; ADD(S,RING(r)) :: else fi; a=0
           :: else fi;
        r++
     :: else -> break
     od; r=0
  :: else -> break
  od;
  finished=1 }

proctype receiver(byte me; bool comes) {
  byte head, w, note, s, turn;
  {
  if
  :: comes ->
#ifdef M_COUNT_FIRST
     ADD(me,ARRIVALS); head=LD(me,TAIL); ST(me,DONE(me),head); ST(me,OWNER(me),1);
#else
     head=LD(me,TAIL); ST(me,DONE(me),head); ST(me,OWNER(me),1); ADD(me,ARRIVALS);
#endif
     FENCED(me);
     ADD(me,ROOM)
  :: else
  fi;
  do
  :: head<N ->
     if
     :: LD(me,TAIL)>head
     :: LD(me,TAIL)<=head ->
        /* asleep for a message */
        s=LD(me,RING(me));
        turn++; ST(me,TURN(me),turn);
#ifndef M_NOFENCE_T
        FENCED(me);
#endif
        if
        :: LD(me,TAIL)>head
        :: else -> LD(me,RING(me))!=s
        fi;
        s=0;
        goto next
#ifdef LEAVE
     :: me==1 -> break
#endif
     fi;
     head++; ST(me,DONE(me),head);
#ifndef M_NOFENCE_R
     FENCED(me);
#endif
     w=LD(me,WAITS);
     if :: w!=note -> note=w; ADD(me,BELL(me)) :: else fi; w=0;
next: skip
  :: else -> break
  od;
#ifdef LEAVE
  if :: me==1 -> ST(me,OWNER(me),0); FENCED(me);
#ifndef M_NO_LEAVE_RING
        ADD(me,ROOM)
#endif
     :: else fi
#endif
  } unless { dead[me] }
}

init { atomic {
  mem[OWNER(0)]=1; mem[ARRIVALS]=1; run receiver(0,0);
#ifdef JOIN
  run receiver(1,1)
#else
  mem[OWNER(1)]=1; run receiver(1,0)
#endif
  } }
