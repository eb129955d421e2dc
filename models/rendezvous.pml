/* rendezvous.pml - capacity 0: offer, grant, withdraw, verdict.
 *
 * Run:      spin -a rendezvous.pml && gcc -O2 -DCOLLAPSE -DSAFETY -o pan pan.c && ./pan -m200000
 * Switches: -DCRASHES=2       two deaths (default 1)   -DNA=1 -DNB=1 (offers of A, of its successor; default 2, 1)
 *           -DWEAK            stores without release may drain out of order (2-entry buffer)
 *           -DSTOP, pan -E    one receiver may be stopped (SIGSTOP) anywhere: only inside the window may it delay a time-out
 * Mutants (each must fail): -DM_NOFENCE_R  -DM_NOFENCE_S  -DM_WEQ (withdrawn == s instead of >= s)
 *           -DM_THIEF_BLIND (a thief refuses without looking at the verdict)
 *           -DM_NOVOID (a thief leaves the dead holder's void entry)  -DM_NOTAKEOVER (a successor does not settle the open offer)
 *           -DM_NODEAD with -DCRASHES=2 -DNA=1 -DNB=0 (the sender does not look at the granter's life word)  -DM_NOREREAD (does not read the verdict after the death)
 *           -DM_TOKEN with -DSTOP -DNA=1 -DNB=1 and pan -E (looks at the token's holder instead of the granter)
 *           -DM_RELAX with -DWEAK (verdict stored without release)
 *
 * Words    offer     sender   {offer number s, place p}; numbers only grow; a withdrawn offer's place is used again
 *          cell[p]   sender   payload
 *          withdrawn sender   highest offer number withdrawn
 *          grant     holder   {offer number being decided, granter}, 0 none
 *          verdict   holder   {s, TAKEN or REFUSED}: the point of decision; there is no separate `next` at capacity 0
 *          entry[r]  holder r {s, p} claimed by receiver r, 0 free
 *          token     atomic   0 free, r+1 held by r
 * Memory   TSO: one-entry store buffer a process (two with -DWEAK); fence and CAS wait for it to drain; a killed process's buffered stores drain or vanish
 *          (before its death can be seen). Loads are in order.
 * Waiting  is polling here (bells have a model of their own); a time-out may strike at any moment.
 */
#ifndef CRASHES
#define CRASHES 1
#endif
#define NP 4            /* 0,1 receivers; 2 sender A; 3 successor B */
#ifndef NA
#define NA 2            /* offers of A */
#define NB 1            /* offers of B */
#endif
#define MAXS 5

#ifdef WEAK
#define SB 2
#else
#define SB 1
#endif
#define OFFER 0
#define WITHDRAWN 1
#define GRANT 2
#define VERDICT 3
#define ENTRY 4         /* 4,5 */
#define CELL 6          /* 6.. */
byte mem[10];
chan sb[NP] = [SB] of { byte, byte, bit };
byte token;
bit kill[NP], dead[NP], fin[NP];
byte ncrash;
bit stop[NP], halted[2], inwin[2];
byte nstop;

/* ghosts */
byte delivered[MAXS];
bit marked[MAXS];
byte result[MAXS];      /* 0 not returned, 1 success, 2 timed out */

#define ST(a,v)  sb[me]!(a),(v),0       /* relaxed store */
#define STR(a,v) sb[me]!(a),(v),1       /* release store */
#define FENCE    empty(sb[me])
#ifdef M_NODEAD
#define GONE false
#else
#define GONE (t!=0 && dead[t-1])
#endif
#ifdef M_TOKEN
#define MORE || token!=t
#else
#define MORE
#endif
#define TAKEN(s)   ((s)*2+1)
#define REFUSED(s) ((s)*2)

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
	:: atomic { ncrash<CRASHES && !dead[0] && !kill[0] -> kill[0]=1; ncrash++ }
	:: atomic { ncrash<CRASHES && !dead[1] && !kill[1] -> kill[1]=1; ncrash++ }
	:: atomic { ncrash<CRASHES && !fin[2] && !kill[2] -> kill[2]=1; ncrash++ }
#ifdef STOP
	:: atomic { nstop==0 && !dead[0] && !kill[0] -> stop[0]=1; nstop++ }
	:: atomic { nstop==0 && !dead[1] && !kill[1] -> stop[1]=1; nstop++ }
#endif
	:: break
	od
}

inline die() {          /* buffered stores drain in order up to any point, the rest vanishes; then the death is visible */
	do
	:: len(sb[me])>0 -> sb[me]?a,v,r; mem[a]=v
	:: len(sb[me])>0 -> do :: len(sb[me])>0 -> sb[me]?a,v,r :: else -> break od; break
	:: len(sb[me])==0 -> break
	od;
	a=0; v=0; r=0;
	dead[me]=1
}

inline deliver(s, p, again) {
	atomic {
		assert(mem[CELL+p]==s);                 /* never another message's bytes */
		assert(result[s]!=2);                   /* a timed-out send is never delivered */
		assert(delivered[s]==0 || again);       /* twice only with the mark */
		delivered[s]++
	}
}

proctype receiver(byte me) {
	byte o, s, p, w, vd, e, d, a, v; bit r;
	{
	do
	:: atomic { /* take or steal the token; CAS drains my buffer */
		((token==0 && mem[OFFER]/4 > mem[VERDICT]/2) || (token!=0 && token!=me+1 && dead[token-1])
		   || (token==0 && ((dead[0] && mem[ENTRY]!=0) || (dead[1] && mem[ENTRY+1]!=0)))) && empty(sb[me]) ->
		token=me+1 }
	   /* 1. entries of the dead: void ones are freed, valid ones delivered again, before any new verdict */
	   d = 1-me;
	   if
#ifndef M_NOVOID
	   :: dead[d] && mem[ENTRY+d]!=0 ->
		e = mem[ENTRY+d]; vd = mem[VERDICT];
		if
		:: (vd/2 > e/4 || vd==TAKEN(e/4)) ->
			ST(ENTRY+me, e); STR(ENTRY+d, 0);
			deliver(e/4, e%4, 1);
			STR(ENTRY+me, 0)
		:: else -> STR(ENTRY+d, 0)
		fi
#else
	   :: dead[d] && mem[ENTRY+d]!=0 && (mem[VERDICT]/2 > mem[ENTRY+d]/4 || mem[VERDICT]==TAKEN(mem[ENTRY+d]/4)) ->
		e = mem[ENTRY+d];
		ST(ENTRY+me, e); STR(ENTRY+d, 0);
		deliver(e/4, e%4, 1);
		STR(ENTRY+me, 0)
#endif
	   :: else
	   fi;
	   e=0; vd=0;
	   /* 2. the open offer */
	   o = mem[OFFER]; s = o/4; p = o%4;
	   if
#ifdef M_THIEF_BLIND
	   :: mem[GRANT]/2==s && s>0 && dead[d] ->
		STR(GRANT, 0); FENCE; w = mem[WITHDRAWN];
		if :: w>=s -> STR(VERDICT, REFUSED(s)) :: else fi
#endif
	   :: s > mem[VERDICT]/2 ->
		if
		:: inwin[me]=1; STR(GRANT, s*2+me);
#ifndef M_NOFENCE_R
		   FENCE;
#endif
		   w = mem[WITHDRAWN];
		   if
#ifdef M_WEQ
		   :: w==s -> STR(VERDICT, REFUSED(s)); inwin[me]=0
#else
		   :: w>=s -> STR(VERDICT, REFUSED(s)); inwin[me]=0
#endif
		   :: else ->
			ST(ENTRY+me, o);
#ifdef M_RELAX
			ST(VERDICT, TAKEN(s));
#else
			STR(VERDICT, TAKEN(s));
#endif
			FENCE;          /* before the sender's sleep word is looked at (bell) */
			inwin[me]=0;
			deliver(s, p, 0);
			STR(ENTRY+me, 0)
		   fi
		:: /* not for me (buffer too small, another's tag): close a dead one's grant, leave the offer open */
		   mem[GRANT]/2==s -> inwin[me]=1; STR(GRANT, 0); FENCE; w = mem[WITHDRAWN];
		   if :: w>=s -> STR(VERDICT, REFUSED(s)) :: else fi; inwin[me]=0
		fi
	   :: else
	   fi;
	   o=0; s=0; p=0; w=0; d=0;
	   FENCE; token=0       /* release store; drained here for brevity */
	:: ((fin[2]||dead[2]) && fin[3] && mem[OFFER]/4 <= mem[VERDICT]/2
	   && !(dead[1-me] && (token==2-me || mem[ENTRY+1-me]!=0)) && (token==0 || token==me+1)) -> break
	od;
	fin[me]=1
	} unless {
		if
		:: atomic { kill[me] -> die() }
		:: stop[me] -> halted[me]=1;
endstop:		false           /* alive, never scheduled again; its buffer drains */
		fi
	}
}

/* Is offer s decided? Called after withdrawn = s; out: 1 success, 2 timed out */
inline settle(s) {
	do
	:: g = mem[GRANT]; vd = mem[VERDICT];   /* in this order */
	   if
	   :: vd==TAKEN(s) -> out=1; break
	   :: vd==REFUSED(s) -> out=2; break
	   :: else ->
		if
		:: g/2!=s -> out=2; break
		:: else ->
#ifdef M_TOKEN
			t = token;
#else
			t = g%2+1;      /* the granter, not the token's holder */
#endif
			if
#ifndef M_NODEAD
			:: GONE ->
#ifndef M_NOREREAD
				vd = mem[VERDICT];
				if :: vd==TAKEN(s) -> out=1 :: else -> out=2 fi;
#else
				out=2;
#endif
				break
#endif
			:: else -> /* poll again when something changed */
				(mem[GRANT]!=g || mem[VERDICT]/2==s || GONE MORE
#ifdef STOP
				 || timeout) ;
				if
				:: !(mem[GRANT]!=g || mem[VERDICT]/2==s || GONE MORE) ->
					assert((halted[0] && inwin[0]) || (halted[1] && inwin[1]));
					out=3; break
				:: else
				fi
#else
				 )
#endif
			fi
		fi
	   fi
	od;
	g=0; vd=0; t=0
}

inline send() {
	s++;
	ST(CELL+pos, s); STR(OFFER, s*4+pos); FENCE;    /* fence: bell */
	if
	:: (mem[VERDICT]==TAKEN(s)) -> out=1
	:: /* the time is over */
	   STR(WITHDRAWN, s);
#ifndef M_NOFENCE_S
	   FENCE;
#endif
	   settle(s)
	fi;
	atomic {
		if
		:: out==1 -> result[s]=1; pos++
		:: out==2 -> assert(delivered[s]==0); result[s]=2       /* its place is used again */
		:: out==3 -> skip
		fi
	}
}

proctype sender(byte me) {
	byte s, pos, n, g, vd, t, out, o, a, v; bit r;
	{
	if
	:: me==3 -> (dead[2] || fin[2]);        /* successor: only after the death or the close */
		o = mem[OFFER]; s = o/4; pos = o%4;
		if
#ifndef M_NOTAKEOVER
		:: s > mem[VERDICT]/2 -> STR(WITHDRAWN, s); FENCE; settle(s); if :: out==1 -> pos++ :: else fi
#endif
		:: else -> if :: s>0 && mem[VERDICT]==TAKEN(s) -> pos++ :: else fi
		fi
	:: else
	fi;
	do
	:: out!=3 && n < ((me==2) -> NA : NB) -> out=0; send(); n++
	:: else -> break
	od;
	FENCE;
	fin[me]=1
	} unless { atomic { kill[me] -> die() } }
}

init {
	atomic { run receiver(0); run receiver(1); run sender(2); run sender(3) }
	/* the end: every promise kept */
endwait: (fin[3] && (fin[2]||dead[2]) && (fin[0]||dead[0]) && (fin[1]||dead[1]));
	byte i = 1;
	do
	:: i<MAXS ->
		assert(!(result[i]==1 && delivered[i]==0 && (fin[0]||fin[1])));
		assert(!(delivered[i]>1 && !dead[0] && !dead[1]));
		i++
	:: else -> break
	od
}
