/* give.pml - whose the mailbox is: a give, the owner's death, its close, newcomers, a remover, sleepers.
 *
 * Run:      spin -a give.pml && gcc -O2 -DSAFETY -DCOLLAPSE -o pan pan.c && ./pan -E -m1000000
 * Switches: -DCRASHES=1 (default; 0, 2: a sleeper is then killed in no run, for the two deaths of README.md)
 *           -DGOWN     the owner itself gives (default: another process of the user)
 *           -DSYS      the system owns it at first, R is a receiver with a life of its own (default: R is a thread of the owner A)
 *           -DGIVES=2 -DTO=0|1|3   a second give, by the same giver: to the system, back to A, to a third one C
 *           -DACLOSE   A closes the handle that made the mailbox       -DBOPEN   B opens, accepts, closes; with TO=3, C does
 *           -DEND=1    a newcomer finds out and clears away       -DEND=2    a remover       -DTWO   a second blocked sender   -DONE   no R
 *           -DNOWRITE  S may not write the box: a sender of another user
 * Mutants:  M_LOOK_FIRST     the giver looks at the owner's life before CHANGING only
 *           M_NO_FENCE       no fence between CHANGING and that look
 *           M_OWNER_FIRST    the owner is stored before CHANGING            M_NO_WAKE     nobody is rung behind CHANGING
 *           M_NO_NAP         who reads CHANGING sleeps as ever              M_TOLD        -EOWNERDEAD is told while CHANGING
 *           M_NAP_LATE       whether it is CHANGING is asked once more behind the check
 *           M_NO_ASK         the state and the owner are not asked again behind a death
 *           M_CACHE          a state with CHANGING is taken for known       M_STALE       the sleeper watches the owner it knew before its bells
 *           M_NO_LOCK        who ends a giving does not take the lock     M_END_BLIND   nor does a remover
 *           M_CLOSE          the close of a handle that owned it once ends it
 *           M_WORD           accepted is a word of its own, emptied before the owner is stored
 *           M_KEEP           the new owner's word keeps the old one's mark of acceptance
 *           M_NO_END         a dead giver's CHANGING is not ended before the next mark
 *           M_NO_MARK        the end is stored and told without a mark   M_VIEW        a newcomer does not ask again behind a death
 *           M_NO_PASS_ON     who is woken by a death does not wake the others
 *
 * Words     state    {changes, CHANGING, ALIVE REMOVED GONE}; with the kernel's lock held only
 *           owner    {record, ACCEPTED}; giver, lock held: the record; its owner: CAS sets the mark
 *           bell     rung[p]: it was added to since p read it; then FUTEX_WAKE: two steps, and one bell a sleeper
 * Kernel    a death frees the lock and marks the life word in either order, and wakes one sleeper of that word
 * Memory    TSO for the giver, which stores more than once between two system calls; all others fence behind each store
 * A nap     of 1 ms is a wait for what it would see: another state, or the lock free.
 */
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef GIVES
#define GIVES 1
#endif
#ifndef TO
#define TO 0
#endif
#ifndef END
#define END 0
#endif
#define A 1
#define B 2
#define C 3
#define G 4
#define S 5             /* sleepers are 5, 6, 7 */
#define R 6
#define S2 7
#define E 8
#define NP 9
#ifdef SYS
#define FIRST 0
#define RLIFE R
#else
#define FIRST (A+ACC)
#define RLIFE A
#endif
#ifdef GOWN
#define GLIFE A
#else
#define GLIFE G
#endif

#define STATE 0
#define OWNER 1
#define ACCW 2          /* M_WORD only */
#define ALIVE 0
#define REMOVED 1
#define GONE 2
#define CHANGING 4
#define CHANGE 8
#define ACC 16
#define NONE 255
#define kind(w) ((w)%4)
#define changing(w) (((w)/4)%2)
#define settled(w) ((w)-CHANGING+CHANGE)
#define marked(w) ((w)+CHANGING*(1-changing(w)))

byte mem[3];
chan sb = [1] of { byte, byte };      /* the giver's: nobody else stores twice before a fence */
byte lock;              /* record + 1 of who holds it */
byte watch[NP];
bit rung[NP];          /* its bell is another than it read */
bit asleep[NP], woken[NP], napping[NP];
bit kill[NP], dead[NP], fin[NP];
byte ncrash;
byte who;               /* ghost: who stored the last end, and whether it might */
bit told;               /* ghost: -EOWNERDEAD was told */

#define STR(a,v) sb!(a),(v)
#define FENCE    empty(sb)
#define alive_owner(w) (((w)%ACC)==0 || !dead[(w)%ACC])

inline store(a, v) {
	assert(!((a)==OWNER && told));                          /* -EOWNERDEAD is for ever */
	assert(!((a)==STATE && told && kind(v)==REMOVED));
	assert(!((a)==STATE && kind(v)==GONE && kind(mem[STATE])==ALIVE) || (!alive_owner(mem[OWNER])) || who==mem[OWNER]%ACC);
	mem[a]=v
}

active proctype memory() {
	byte a, v;
end:	do
	:: atomic { nempty(sb) -> sb?a,v; store(a,v); a=0; v=0 }
	od
}

active proctype killer() {
	do
	:: atomic { ncrash<CRASHES && !kill[A] -> kill[A]=1; ncrash++ }
	:: atomic { ncrash<CRASHES && !kill[B] -> kill[B]=1; ncrash++ }
#if GIVES>1 && TO==3
	:: atomic { ncrash<CRASHES && !kill[C] -> kill[C]=1; ncrash++ }
#endif
#ifndef GOWN
	:: atomic { ncrash<CRASHES && !kill[G] && !fin[G] -> kill[G]=1; ncrash++ }
#endif
#if CRASHES<2
	:: atomic { ncrash<CRASHES && !kill[S] && !fin[S] -> kill[S]=1; ncrash++ }
#ifdef SYS
	:: atomic { ncrash<CRASHES && !kill[R] && !fin[R] -> kill[R]=1; ncrash++ }
#endif
#endif
#if END>0
	:: atomic { ncrash<CRASHES && !kill[E] && !fin[E] -> kill[E]=1; ncrash++ }
#endif
	:: break
	od
}

/* The life word of l: marked, and one of its sleepers woken. */
inline mark(l) {
	atomic {
		dead[l]=1;
		if
		:: asleep[S] && watch[S]==l -> woken[S]=1
		:: asleep[R] && watch[R]==l -> woken[R]=1
		:: asleep[S2] && watch[S2]==l -> woken[S2]=1
		:: else
		fi
	}
}

inline die(l) {
	atomic { (me!=G || FENCE) -> fin[me]=1; asleep[me]=0; woken[me]=0; napping[me]=0 };
	if
	:: mark(l); if :: lock==me+1 -> lock=0 :: else fi
	:: lock==me+1 -> lock=0; mark(l)
	fi
}

inline lockit()   { atomic { lock==0 -> lock=me+1 } }
inline unlockit() { lock=0 }

inline ring(p) {
	rung[p]=1;
	atomic { if :: asleep[p] -> woken[p]=1 :: else fi }
}

inline ring_all() {
	ring(S)
#ifndef ONE
	; ring(R)
#endif
#ifdef TWO
	; ring(S2)
#endif
}

/* Lock held: whatever changes it, marks it first, so that everybody naps while it is being told. A dead one's mark is
 * ended before, so that the word differs for those who could not end it. */
inline begin_change() {
#ifndef M_NO_END
	if :: changing(mem[STATE]) -> mem[STATE]=settled(mem[STATE]) :: else fi;
#endif
#ifndef M_NO_MARK
	mem[STATE]=marked(mem[STATE]);
#endif
	ring_all()
}

inline end_it(f) { atomic { who=(f==GONE -> me : 0); store(STATE, f) } }

inline die_sleeper() {
	if
	:: kill[me] -> die(me)
	:: else -> atomic { fin[me]=1; asleep[me]=0; woken[me]=0; napping[me]=0; if :: lock==me+1 -> lock=0 :: else fi }
	fi
}

#ifdef M_TOLD
#define SURE true
#else
#define SURE (s==seen)
#endif
#define FORBIDDEN (receives && o!=0 && o!=mine)

/* A blocked sender, or a receiver that waits; mine is the record of its process. seen and o are the handle's copy. */
proctype sleeper(byte me; byte mine; bit receives; bit maywrite) {
	byte s, seen, o=FIRST%ACC; 	{
	skip;
sleep:
#ifdef M_STALE
	watch[me]=(o==mine -> 0 : o);
#endif
	rung[me]=0;
check:	atomic { s=mem[STATE];
		if
		:: s==seen -> goto look
		:: s!=seen && kind(s)!=ALIVE -> goto ended
		:: s!=seen && kind(s)==ALIVE && !changing(s) -> goto owner
		:: else -> skip         /* CHANGING */
		fi };
	if      /* the lock may be held by another such for a moment: a try can always fail */
#ifdef M_NO_LOCK
	:: atomic { true -> s=mem[STATE];
#else
	:: atomic { lock==0 -> s=mem[STATE];
#endif
		if
		:: kind(s)!=ALIVE -> goto ended
		:: kind(s)==ALIVE && changing(s) && maywrite -> s=settled(s); mem[STATE]=s
		:: else -> skip
		fi;
		o=mem[OWNER]%ACC; seen=s; goto look }
	:: atomic { true -> s=mem[STATE]; if :: kind(s)!=ALIVE -> goto ended :: else fi }
	fi;
owner:	atomic { o=mem[OWNER]%ACC;
#ifndef M_CACHE
		if :: !changing(s) -> seen=s :: else fi
#else
		seen=s
#endif
	};
look:	atomic {
		if
		:: FORBIDDEN -> goto ended      /* -EPERM */
		:: !FORBIDDEN && o!=0 && o!=mine && dead[o] && SURE -> skip
		:: else -> goto prepare
		fi };
#ifndef M_NO_ASK
	atomic { if :: mem[STATE]!=s -> goto check :: else fi };
#endif
	atomic { told=1; assert(!alive_owner(mem[OWNER]) || kind(mem[STATE])!=ALIVE); goto ended };
prepare:
	atomic {
#ifndef M_STALE
		watch[me]=(o==mine -> 0 : o);
#endif
#ifdef M_NO_NAP
		s=0
#else
#ifdef M_NAP_LATE
		s=changing(mem[STATE])
#else
		s=(mem[STATE]!=seen)
#endif
#endif
	};
	atomic {
		if
		:: !rung[me] && (watch[me]==0 || !dead[watch[me]]) -> asleep[me]=1; napping[me]=s; s=0
		:: else -> watch[me]=0; s=0; goto sleep
		fi
	};
	atomic { (woken[me] || (napping[me] && (lock==0 || !changing(mem[STATE])))) -> woken[me]=0; asleep[me]=0; napping[me]=0;
		if :: watch[me]==0 || !dead[watch[me]] -> watch[me]=0; goto sleep :: else fi };
#ifndef M_NO_PASS_ON
	atomic {
		if :: asleep[S] && watch[S]==watch[me] -> woken[S]=1 :: else fi;
		if :: asleep[R] && watch[R]==watch[me] -> woken[R]=1 :: else fi;
		if :: asleep[S2] && watch[S2]==watch[me] -> woken[S2]=1 :: else fi };
#endif
	atomic { watch[me]=0; goto sleep };
ended:	atomic { fin[me]=1; watch[me]=0; o=0; s=0; seen=0; rung[me]=0 }
	} unless { atomic { (kill[me] || (mine==A && me!=A && dead[A])) -> skip }; die_sleeper() }
}

proctype giver() {
	byte me=G, n, to, o, w;
	{
	do
	:: n<GIVES ->
		to=(n==0 -> B : TO);
		lockit();
		w=mem[STATE]; o=mem[OWNER];
		if
		:: kind(w)!=ALIVE -> unlockit(); break
#ifdef M_LOOK_FIRST
		:: kind(w)==ALIVE && !alive_owner(o) -> unlockit(); break
		:: kind(w)==ALIVE && alive_owner(o) ->
#else
		:: else ->
#endif
#ifdef M_OWNER_FIRST
			STR(OWNER, to); FENCE;
#endif
#ifndef M_NO_END
			if :: changing(w) -> w=settled(w); STR(STATE, w); FENCE :: else fi;
#endif
			STR(STATE, marked(w));
#ifndef M_NO_FENCE
			FENCE;
#endif
#ifndef M_NO_WAKE
			ring_all();
#endif
#ifndef M_LOOK_FIRST
			if
			:: !alive_owner(o) -> end_it(GONE); unlockit(); break
			:: else
			fi;
#endif
#ifdef M_WORD
			STR(ACCW, 0);
#endif
#ifndef M_OWNER_FIRST
#ifdef M_KEEP
			STR(OWNER, to+(mem[OWNER]/ACC)*ACC);
#else
			STR(OWNER, to);
#endif
#endif
			w=marked(w); STR(STATE, settled(w)); w=0; o=0;
			FENCE; unlockit()
		fi;
		n++
	:: else -> break
	od;
	fin[me]=1
	} unless { atomic { kill[GLIFE] -> skip }; die(GLIFE) }
}

/* A handle of process me that receives: owns it if it is the first of an owner. Its close ends the mailbox. */
proctype party(byte me; bit first) {
	byte o, w; bit owns, open_;
	{
	owns=first;
#ifdef BOPEN
	if
	:: !first ->
		(mem[OWNER]%ACC==me && kind(mem[STATE])==ALIVE);
#ifdef M_WORD
		if :: atomic { mem[ACCW]==0 -> mem[ACCW]=me; owns=1 } :: mem[ACCW]!=0 fi;
#else
		if ::  atomic { mem[OWNER]==me -> mem[OWNER]=me+ACC; owns=1 } :: mem[OWNER]!=me fi;
#endif
		open_=1
	:: else
	fi;
#endif
	if      /* it lives on, or closes */
#ifdef ACLOSE
	:: first -> lockit(); goto close_
#endif
#ifdef BOPEN
	:: !first && open_ -> lockit();
#endif
#if defined(ACLOSE) || defined(BOPEN)
close_:		w=mem[STATE]; o=mem[OWNER];
#ifdef M_CLOSE
		if :: owns && kind(w)==ALIVE -> begin_change(); end_it(GONE) :: else fi;
#else
#ifdef M_WORD
		if :: owns && kind(w)==ALIVE && o%ACC==me && mem[ACCW]==me -> begin_change(); end_it(GONE) :: else fi;
#else
		if :: owns && kind(w)==ALIVE && o==me+ACC -> begin_change(); end_it(GONE) :: else fi;
#endif
#endif
		/* The first handle of a process that owns it from then on is the one: nobody gave it twice to me. */
		assert(kind(mem[STATE])!=ALIVE || mem[OWNER]%ACC!=me || (TO==A && GIVES>1));
		unlockit(); w=0; o=0
#endif
	:: false
	fi;
	false
	} unless { atomic { kill[me] -> skip }; die(me) }
}

#if END>0
proctype ender() {
	byte me=E, s, o;
	{
#if END==1
	do      /* a newcomer: dead means dead, or look again */
	:: s=mem[STATE]; o=mem[OWNER]%ACC;
		if
		:: kind(s)!=ALIVE -> break
		:: kind(s)==ALIVE && (changing(s) || o==0 || !dead[o]) ->
			break                   /* it opens */
		:: else ->
#ifndef M_VIEW
			if
			:: mem[STATE]!=s || mem[OWNER]%ACC!=o -> skip
			:: else ->
#endif
				atomic { told=1; assert(!alive_owner(mem[OWNER]) || kind(mem[STATE])!=ALIVE) };
				lockit();
				o=mem[OWNER]%ACC;
				if :: kind(mem[STATE])==ALIVE && o!=0 && dead[o] -> begin_change(); end_it(GONE) :: else fi;
				unlockit();
				break
#ifndef M_VIEW
			fi
#endif
		fi
	od;
#else
#ifndef M_END_BLIND
	lockit();
#endif
	if
	:: kind(mem[STATE])==ALIVE ->
		begin_change();
		o=mem[OWNER];
		if :: alive_owner(o) -> end_it(REMOVED) :: else -> end_it(GONE) fi
	:: else
	fi;
#ifndef M_END_BLIND
	unlockit();
#endif
#endif
	s=0; o=0;
	fin[me]=1
	} unless { atomic { kill[me] -> skip }; die(me) }
}
#endif

#define right(p) (!asleep[p] || (kind(mem[STATE])==ALIVE && (!napping[p]) && alive_owner(mem[OWNER]) && (!changing(mem[STATE]) || maynap)))

init {
	bit maynap=1;
	mem[OWNER]=FIRST;
#ifdef M_WORD
	mem[ACCW]=FIRST%ACC;
#endif
	atomic {
		run giver();
#ifdef NOWRITE
		run sleeper(S, S, 0, 0);
#else
		run sleeper(S, S, 0, 1);
#endif
#ifndef ONE
		run sleeper(R, RLIFE, 1, 1);
#else
		fin[R]=1;
#endif
#ifdef TWO
		run sleeper(S2, S2, 0, 1);
#endif
#ifndef SYS
#ifndef GOWN
		run party(A, 1);
#endif
#endif
		run party(B, 0);
#if GIVES>1 && TO==3
		run party(C, 0);
#endif
#if END>0
		run ender();
#endif
	}
	timeout;                /* nothing moves any more: whoever sleeps does so rightly */
	assert(lock==0);
	assert(right(S) && right(R) && right(S2));
	assert(!asleep[R] || mem[OWNER]%ACC==0 || mem[OWNER]%ACC==RLIFE);
	assert(fin[G] && (fin[S] || asleep[S]) && (fin[R] || asleep[R]));
#if END>0
	assert(fin[E]);
#endif
#if END==2
	assert(kill[E] || kind(mem[STATE])!=ALIVE);     /* removed is removed */
#endif
	assert(GIVES>1 || mem[OWNER]%ACC==FIRST%ACC || mem[OWNER]%ACC==B)
}
