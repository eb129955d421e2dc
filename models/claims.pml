/* claims.pml - take, done out of order, return, death of a receiver, collect, copying receive, a newcomer in a dead one's slot.
 *
 * Run:      spin -a claims.pml && gcc -O2 -DCOLLAPSE -DSAFETY -o pan pan.c && ./pan -m400000
 * Switches: -DMAXD=1  handed out more often than that: to the dead letters (which have room or not), or set aside (PARKED)
 *           -DRETRIES=1 (with MAXD) collects that try those set aside again   -DSPARE (with MAXD) a slot that nobody has, to move them to
 *           -DCRASHES=2 (default 1; 0 = exactly once is checked)   -DNMSG=3  -DCAP=2  -DRETURNS=1  -DNEWCOMER  -DCOPYRET
 *           -DRESCAN  release rings nobody: the holder unlocks, fences and scans for RELEASED (default: PENDING bit in the token)
 *           -DWEAK    stores without release may drain out of order
 *           -DPASS    a receiver may pass over the next message: it lies RETURNED, with 0 deliveries; -DPASSES=1 so often
 * Mutants (each must fail, quickest with -DNMSG=2 -DCAP=1): -DM_NEXT_FIRST (next before the entry)  -DM_HEAD_FIRST (head before next)
 *           -DM_VOID (an entry with seq >= next is left)  -DM_SERVE_FIRST (a thief serves before it has repaired)
 *           -DM_FREE_FIRST (a moved entry is freed before its copy is written)  -DM_DONE_INC (done is added up, not recomputed)
 *           -DM_NOPEND (release does nothing when the token is held)  -DRESCAN -DM_NOFENCE  -DRESCAN -DM_NORESCAN
 *           -DNEWCOMER -DM_JOIN (a newcomer takes a slot without repairing it)  -DNEWCOMER -DM_ZERO (a newcomer clears its slot)
 *           -DM_NODEATH (nobody looks when a receiver has died)
 *
 *           with -DMAXD=1: -DM_SENT_PARKED (sent, and set aside all the same)  -DM_RELEASE_FIRST (finished, then sent)
 *           -DM_NO_CLAIM (set aside at once, sent from there)  -DM_PARKED_DONE (one set aside counts as finished)
 *           -DSPARE -DM_PARKED_DUP (one set aside elsewhere does not count as elsewhere)  -DSPARE -DM_AWAY_FREE (the old entry first)
 *
 *           with -DPASS: -DM_PASS_BACK (the entry is a returned one before next moves)
 *           -DPASS -DSPARE -DM_BACK_DUP (a returned one of a dead slot that lies elsewhere too stays)
 *
 * Words    tail      sender    messages published; cell[seq % CELLS] payload
 *          next      holder    first seq never handed out;  head  holder  everything before may be overwritten;  done  holder  finished
 *          eseq[i], est[i]     two entries in slot 0, one in slot 1; est = state + 8 * deliveries in one word
 *                    the slot's receiver writes est while CLAIMED (RELEASED, RETURNED, PARKED), the holder otherwise
 *          token     CAS       0 free, process + 1 held, + 8 PENDING: somebody released while it was held
 * Memory   TSO: one-entry store buffer a process (two with -DWEAK), drained by fence and CAS and at death. Loads in order.
 * Waiting  is polling on exactly what a bell would tell: a new message, a returned entry, a death; NOT on RELEASED entries.
 */
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef NMSG
#define NMSG 3
#endif
#ifndef RETURNS
#define RETURNS 1
#endif
#ifndef CAP
#define CAP 2
#endif
#define CELLS CAP
#define NP 4            /* 0,1 receivers in slots 0,1; 2 newcomer into a dead one's slot; 3 sender */
#ifdef SPARE
#define NE 5            /* entry i belongs to slot i/2: slot 0 has two, slot 1 one, and the spare one entry 4 */
#define SP 4
#else
#define NE 3
#endif
#ifndef RETRIES
#define RETRIES 1
#endif
#ifdef PASS
#ifndef PASSES
#define PASSES 1
#endif
#endif

#ifdef WEAK
#define SB 2
#else
#define SB 1
#endif
#define FREE 0
#define CLAIMED 1
#define RELEASED 2
#define RETURNED 3
#define PARKED 4
#define D 8             /* one delivery more */

#define TOKEN 0
#define TAIL 1
#define NEXT 2
#define HEAD 3
#define DONE 4
#define CELL 5          /* 5,6 */
#define ESEQ 7          /* 7..11 */
#define EST 12          /* 12..16 */
#define PEND 8
byte mem[17];
chan sb[NP] = [SB] of { byte, byte, bit };
byte owner[3];          /* slot -> process + 1; written under the token */
bit kill[NP], dead[NP], fin[NP];
byte ncrash, ndead, nret, nretry, npass;

/* ghosts */
byte got[NMSG], finished[NMSG];
byte letters[NMSG];      /* copies in the dead-letter mailbox */
bit gone[NMSG];          /* finished as such */
bit hand[NMSG];         /* copied by a receiver that died before its call returned */

#define ST(a,v)  sb[me]!(a),(v),0
#define STR(a,v) sb[me]!(a),(v),1
#define FENCE    empty(sb[me])
#define state(i) (mem[EST+(i)]%D)
#define deliv(i) (mem[EST+(i)]/D)
#ifdef SPARE
#define any(s) (state(0)==s || state(1)==s || state(2)==s || state(4)==s)
#define parked ((state(0)==PARKED)+(state(1)==PARKED)+(state(2)==PARKED)+(state(4)==PARKED))
#define same4(i) same(i,4)
#define hides4(m) hides(4,m)
#else
#define any(s) (state(0)==s || state(1)==s || state(2)==s)
#define parked ((state(0)==PARKED)+(state(1)==PARKED)+(state(2)==PARKED))
#define same4(i) false
#define hides4(m) false
#endif
#define anyret any(RETURNED)
#define anyrel any(RELEASED)
#define hides(k,m) (state(k)==PARKED && mem[ESEQ+(k)]==(m))
#define is_parked(m) (hides(0,m) || hides(1,m) || hides(2,m) || hides4(m))
#define tokfree (mem[TOKEN]==0 || dead[(mem[TOKEN]%PEND)-1])
#ifdef M_PARKED_DUP
#define waits(k) (state(k)==RETURNED)
#else
#define waits(k) (state(k)==RETURNED || state(k)==PARKED)
#endif
#define same(i,k) ((i)!=k && waits(k) && mem[ESEQ+k]==mem[ESEQ+(i)])
#ifdef M_BACK_DUP
#define moved(i) (state(i)==PARKED)
#else
#define moved(i) (state(i)==PARKED || state(i)==RETURNED)
#endif
#define dup(i) (same(i,0) || same(i,1) || same(i,2) || same4(i))
#ifdef PASS
#define moves(i) (state(i)==PARKED || state(i)==RETURNED)
#else
#define moves(i) (state(i)==PARKED)
#endif
#define orphan(i) (owner[(i)/2]!=0 && dead[owner[(i)/2]-1])

active proctype memory() {
	byte a, v, a2, v2; bit r, r2; byte i;
end:	do
	:: atomic { nempty(sb[0]) -> sb[0]?a,v,r; mem[a]=v; a=0; v=0; r=0 }
	:: atomic { nempty(sb[1]) -> sb[1]?a,v,r; mem[a]=v; a=0; v=0; r=0 }
	:: atomic { nempty(sb[2]) -> sb[2]?a,v,r; mem[a]=v; a=0; v=0; r=0 }
	:: atomic { nempty(sb[3]) -> sb[3]?a,v,r; mem[a]=v; a=0; v=0; r=0 }
#ifdef WEAK
	:: atomic { (len(sb[0])==2) -> i=0; goto ooo }
	:: atomic { (len(sb[1])==2) -> i=1; goto ooo }
	:: atomic { (len(sb[2])==2) -> i=2; goto ooo }
	:: atomic { (len(sb[3])==2) -> i=3;
ooo:		sb[i]?a,v,r; sb[i]?a2,v2,r2;
		if
		:: !r2 && a!=a2 -> mem[a2]=v2; sb[i]!a,v,r
		:: else -> sb[i]!a,v,r; sb[i]!a2,v2,r2
		fi; a=0; v=0; r=0; a2=0; v2=0; r2=0; i=0 }
#endif
	od
}

active proctype killer() {
	do
	:: atomic { ncrash<CRASHES && !kill[0] && !fin[0] -> kill[0]=1; ncrash++ }
	:: atomic { ncrash<CRASHES && !kill[1] && !fin[1] -> kill[1]=1; ncrash++ }
	:: break
	od
}

inline die() {          /* entering the kernel drains the buffer; then the death is visible */
	do
	:: len(sb[me])>0 -> sb[me]?a,v,r; mem[a]=v
	:: else -> break
	od;
	a=0; v=0; r=0; dead[me]=1; ndead++
}

/* Under the token: the dead ones' claims. Each step one store, so a repairer that dies is repaired in turn. */
inline repair() {
	i=0;
	do
	:: atomic { i<NE ->
		do      /* over what needs no store */
		:: i<NE && !(orphan(i) && (state(i)==CLAIMED || (moved(i) && dup(i)))) -> i++
		:: else -> break
		od;
		if
		:: i<NE && (mem[ESEQ+i]>=mem[NEXT] || dup(i)) ->     /* never handed out, or its holder died while moving it */
#ifndef M_VOID
			STR(EST+i, FREE);
#endif
			i++
		:: i<NE && !(mem[ESEQ+i]>=mem[NEXT] || dup(i)) -> STR(EST+i, RETURNED+D*(deliv(i)==0 -> 0 : deliv(i)+1)); i++
		:: else
		fi }
	:: else -> break
	od; i=0; FENCE          /* so that this process reads its own stores below; a real one keeps them in registers */
}

#ifdef M_PARKED_DONE
#define PARKED_COUNTS false
#else
#define PARKED_COUNTS true
#endif

/* Under the token, after repair: head and done are computed afresh, never added up. The scan reads entries between stores as one step. */
inline collect() {
	i=0; lo=mem[NEXT]; un=0;
	do
	:: atomic { i<NE ->
		do
		:: i<NE && state(i)==FREE -> i++
		:: i<NE && (state(i)==CLAIMED || state(i)==RETURNED || (state(i)==PARKED && PARKED_COUNTS)) -> un++;
			if :: mem[ESEQ+i]<lo -> lo=mem[ESEQ+i] :: else fi; i++
		:: i<NE && state(i)==PARKED && !PARKED_COUNTS -> i++
		:: i<NE && state(i)==RELEASED -> break
		:: i>=NE -> break
		od;
		if
		:: i<NE -> STR(EST+i, FREE); i++
#ifdef M_DONE_INC
			; w=1
#endif
		:: else
		fi }
#ifdef M_DONE_INC
		; if :: w -> FENCE; STR(DONE, mem[DONE]+1); w=0 :: else fi
#endif
	:: else -> break
	od;
	STR(HEAD, lo);
#ifndef M_DONE_INC
	STR(DONE, mem[NEXT]-un);
#endif
	FENCE;                  /* before the blocked sender's sleep word is looked at (bell) */
	i=0; lo=0; un=0
#ifdef MAXD
	; if
	:: atomic { any(PARKED) && nretry<RETRIES -> nretry++ };
		do
		:: atomic { i<NE && state(i)==PARKED -> STR(EST+i, RETURNED+D*deliv(i)); i++ }
		:: i<NE && state(i)!=PARKED -> i++
		:: i>=NE -> break
		od;
		FENCE; i=0
	:: true
	fi
#endif
}

inline unlock() {
#ifdef RESCAN
	do
	:: STR(TOKEN, 0);
#ifndef M_NOFENCE
	   FENCE;
#endif
#ifdef M_NORESCAN
	   break
#endif
	   if
	   :: anyrel ->
		if
		:: atomic { FENCE && mem[TOKEN]==0 -> mem[TOKEN]=me+1 }; collect()
		:: mem[TOKEN]!=0 -> break
		fi
	   :: else -> break
	   fi
	od
#else
	do
	:: atomic { FENCE && mem[TOKEN]==me+1 -> mem[TOKEN]=0 }; break
	:: atomic { FENCE && mem[TOKEN]==me+1+PEND -> mem[TOKEN]=me+1 }; collect()
	od
#endif
}

inline deliver(s, d) {
	atomic {
		assert(mem[CELL+(s)%CELLS]==(s)+1);
		assert(got[s]==0 || d>1);               /* again only with the mark */
		assert(finished[s]==0 || d>1);
		assert(!is_parked(s));
#ifdef MAXD
		assert(d<=MAXD);
#endif
		got[s]++
	}
}

inline finish(s) {
	atomic {
		assert(mem[CELL+(s)%CELLS]==(s)+1);         /* untouched while it was claimed */
		finished[s]++
	}
}

/* after RELEASED or RETURNED: the room must come free without me if I cannot have the token */
inline tell() {
	FENCE;
	do
	:: atomic { FENCE && tokfree -> mem[TOKEN]=me+1 }; repair(); collect(); unlock(); break
#ifdef RESCAN
	:: !tokfree -> break
#else
#ifdef M_NOPEND
	:: !tokfree -> break
#else
	:: atomic { FENCE && !tokfree && mem[TOKEN]<PEND -> mem[TOKEN]=mem[TOKEN]+PEND }; break
	:: !tokfree && mem[TOKEN]>=PEND -> break
#endif
#endif
	od
}

proctype receiver(byte me) {
	byte slot, i, j, lo, un, s, d, seen, moving, a, v; bit w, r;
	byte mine[2];           /* private: 0 none, else seq + 1, of entry slot*2+k */
	{
	if
	:: me==2 ->             /* newcomer: joins a dead one's slot under the token */
		if
		:: atomic { ndead>0 && FENCE && tokfree -> mem[TOKEN]=me+1 }
		:: fin[3] && ndead==0 && fin[0] && fin[1] -> goto out
		fi;
		slot = (dead[0] -> 0 : 1);
		seen=ndead;             /* before the repair: a death during it must be looked at again */
#ifndef M_JOIN
		repair();
#endif
		owner[slot]=me+1;
#ifdef M_ZERO
		ST(EST+slot*2, FREE); ST(EST+slot*2+1, FREE); FENCE;
#endif
		collect(); unlock()
	:: else -> slot=me
	fi;
	do
	/* take: in place, or by copy */
	:: (mine[0]==0 || (slot==0 && mine[1]==0)) && (mem[NEXT]<mem[TAIL] || anyret
#ifndef M_NODEATH
	     || ndead>seen
#endif
	     ) ->
		if
		:: atomic { FENCE && tokfree -> mem[TOKEN]=me+1 }
		:: !(mem[NEXT]<mem[TAIL] || anyret || ndead>seen) -> goto again
		fi;
#ifndef M_SERVE_FIRST
		seen=ndead; repair();
		if :: seen>0 -> collect() :: else fi;
#endif
		/* a free entry of mine: j */
		if
		:: state(slot*2)==FREE -> j=0
		:: slot==0 && state(0)!=FREE && state(1)==FREE -> j=1
		:: else -> j=2
		fi;
#ifdef SPARE
		if      /* those set aside must not use up the entries */
		:: j==2 && state(SP)==FREE && (anyret || mem[NEXT]<mem[TAIL]) && (moves(slot*2) || (slot==0 && moves(1))) ->
			j=(moves(slot*2) -> 0 : 1);
			w=j; un=mem[EST+slot*2+w];
#ifdef M_AWAY_FREE
			STR(EST+slot*2+w, FREE);
#endif
			ST(ESEQ+SP, mem[ESEQ+slot*2+w]); STR(EST+SP, un);
#ifndef M_AWAY_FREE
			STR(EST+slot*2+w, FREE);
#endif
			FENCE; w=0; un=0
		:: else
		fi;
#endif
		if
		:: anyret -> /* served first; deliveries go along */
			i=0;
			do :: state(i)!=RETURNED -> i++ :: else -> break od;
			s=mem[ESEQ+i]; d=(deliv(i)==0 -> 1 : deliv(i));         /* passed over: its first */
#ifdef MAXD
			if
			:: d<=MAXD -> skip
			:: d>MAXD && j==2 && i/2!=slot -> STR(EST+i, PARKED+D*d); d=0; goto served       /* no entry for it */
			:: d>MAXD && (j<2 || i/2==slot) ->
#ifdef M_NO_CLAIM
				STR(EST+i, PARKED+D*d); moving=i+1; goto served
#else
				moving=1
#endif
			fi;
#endif
			if
			:: i/2==slot -> STR(EST+i, CLAIMED+D*d); mine[i%2]=s+1
			:: i/2!=slot && j<2 ->
#ifdef M_FREE_FIRST
				STR(EST+i, FREE);
#endif
				ST(ESEQ+slot*2+j, s); STR(EST+slot*2+j, CLAIMED+D*d);
#ifndef M_FREE_FIRST
				STR(EST+i, FREE);
#endif
				mine[j]=s+1
#ifdef COPYRET
			:: /* copying receive of a returned message: copy, then FREE where it lies; no entry of mine */
				assert(mem[CELL+(s)%CELLS]==s+1);
				hand[s]=1; STR(EST+i, FREE); FENCE; collect();
				atomic { assert((got[s]==0 && finished[s]==0) || d>1); got[s]++; finished[s]++; hand[s]=0; d=0 }
#else
			:: else -> d=0; moving=0
#endif
			fi;
served:			i=0
		:: !anyret && mem[NEXT]<mem[TAIL] ->
			if
			:: j<2 -> /* claim: entry, then next */
				s=mem[NEXT]; d=1;
#ifdef M_NEXT_FIRST
				STR(NEXT, s+1);
#endif
				ST(ESEQ+slot*2+j, s); STR(EST+slot*2+j, CLAIMED+D);
#ifndef M_NEXT_FIRST
				STR(NEXT, s+1);
#endif
				mine[j]=s+1
#ifdef PASS
			:: atomic { j<2 && npass<PASSES -> npass++ };        /* passed over: an entry that nobody was handed */
				s=mem[NEXT];
#ifdef M_PASS_BACK
				ST(ESEQ+slot*2+j, s); STR(EST+slot*2+j, RETURNED); STR(NEXT, s+1);
#else
				ST(ESEQ+slot*2+j, s); STR(EST+slot*2+j, CLAIMED); STR(NEXT, s+1); STR(EST+slot*2+j, RETURNED);
#endif
				s=0
#endif
			:: /* copying receive: copy, next; no entry, whether or not others are outstanding */
				s=mem[NEXT]; assert(mem[CELL+(s)%CELLS]==(s)+1);
				w=(mem[HEAD]==s);
				hand[s]=1;
#ifdef M_HEAD_FIRST
				if :: w -> STR(HEAD, s+1); STR(DONE, s+1) :: else fi;
#endif
				STR(NEXT, s+1);
				if
				:: w -> STR(HEAD, s+1); STR(DONE, s+1)
				:: else -> w=0; FENCE; collect()
				fi; w=0;
				atomic { assert(got[s]==0 && finished[s]==0); got[s]++; finished[s]++; hand[s]=0 }
			fi
		:: else
		fi;
#ifdef M_SERVE_FIRST
		seen=ndead; FENCE; repair();
#endif
		unlock();
		if
#ifdef MAXD
		:: moving>0 ->          /* a claim that is not shown to anybody: its end is that of a letter */
#ifdef M_NO_CLAIM
			j=moving-1
#else
			j=(mine[0]==s+1 -> slot*2 : slot*2+1); mine[j%2]=0
#endif
#ifdef M_RELEASE_FIRST
			; STR(EST+j, RELEASED+D*d); tell()
#endif
			;
			if
			:: atomic { true -> letters[s]++; assert(letters[s]<=1+ndead) };
#ifdef M_SENT_PARKED
				STR(EST+j, PARKED+D*d)
#else
#ifndef M_RELEASE_FIRST
				atomic { assert(mem[CELL+(s)%CELLS]==(s)+1); gone[s]=1; STR(EST+j, RELEASED+D*d) }
#endif
#endif
#ifndef M_RELEASE_FIRST
			:: true ->
#ifndef M_NO_CLAIM
				STR(EST+j, PARKED+D*d)
#endif
#endif
			fi;
			s=0; d=0; j=0; moving=0;
			tell()
#endif
		:: moving==0 && d>0 -> deliver(s, d)
		:: moving==0 && d==0
		fi;
again:		s=0; d=0; j=0; i=0
	/* done, any order */
	:: mine[0]>0 -> finish(mine[0]-1); mine[0]=0; STR(EST+slot*2, RELEASED+D*deliv(slot*2)); tell()
	:: mine[1]>0 -> finish(mine[1]-1); mine[1]=0; STR(EST+slot*2+1, RELEASED+D*deliv(slot*2+1)); tell()
	/* return: in my own slot, one store */
	:: atomic { mine[0]>0 && nret<RETURNS -> nret++ }; mine[0]=0; STR(EST+slot*2, RETURNED+D*(deliv(slot*2)+1)); tell()
#ifdef MAXD
	/* its back-stop, now and then */
	:: fin[3] && any(PARKED) && nretry<RETRIES && tokfree -> seen=ndead; atomic { FENCE && tokfree -> mem[TOKEN]=me+1 }; repair(); collect(); unlock()
	:: fin[3] && mem[DONE]+parked==mem[TAIL] && mine[0]==0 && mine[1]==0 && (!anyret) && ndead==seen && mem[TOKEN]==0 && (nretry==RETRIES || parked==0) -> break
#else
	:: fin[3] && mem[DONE]==mem[TAIL] && mine[0]==0 && mine[1]==0 && (!anyret) && ndead==seen -> break
#endif
	od;
	FENCE;
out:	fin[me]=1
	} unless { atomic { kill[me] -> die() } }
}

proctype sender(byte me) {
	byte s, k, n, a, v; bit r;
	do
	:: s<NMSG ->
		if
		:: (s-mem[HEAD]<CELLS && s-mem[DONE]<CAP) ->
			atomic { n=0; k=0; do :: k<s -> if :: finished[k]==0 && hand[k]==0 && gone[k]==0 -> n++ :: else fi; k++ :: else -> break od;
				assert(n<CAP); n=0; k=0 };
			ST(CELL+(s)%CELLS, s+1); STR(TAIL, s+1); s++
		:: (dead[0] && dead[1] && fin[2]) -> break
#ifdef MAXD
		:: parked>0 -> break    /* it takes the room of one: who sends gives up, or waits for a retry */
#endif
		fi
	:: else -> break
	od;
	FENCE; fin[me]=1
}

init {
	owner[0]=1; owner[1]=2;
	atomic { run receiver(0); run receiver(1); run sender(3);
#ifdef NEWCOMER
		run receiver(2)
#else
		fin[2]=1
#endif
	}
	(fin[3] && (fin[0]||dead[0]) && (fin[1]||dead[1]) && fin[2]);
	byte i, n, lo=255;
	if
	:: (fin[0] || fin[1]
#ifdef NEWCOMER
		|| fin[2]
#endif
		) -> skip               /* somebody lived: everything promised is finished and nothing leaks */
	:: else -> goto done
	fi;
	do
	:: i<mem[TAIL] ->
		assert(finished[i]>=1 || hand[i] || letters[i]>0 || is_parked(i));
		assert(ncrash>0 || finished[i]+letters[i]+is_parked(i)==1);
		n=n+is_parked(i);
		lo=(is_parked(i) && i<lo -> i : lo);
		i++
	:: else -> break
	od;
	lo=(lo<mem[TAIL] -> lo : mem[TAIL]);
	assert(parked==n && mem[HEAD]==lo && mem[DONE]==mem[TAIL]-n && mem[NEXT]==mem[TAIL]);
	assert(!any(CLAIMED) && !any(RETURNED));
done:	skip
}
