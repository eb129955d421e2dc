# give.sh - another owner for a mailbox; what its receivers and its holder are told.
. "$(dirname "$0")/lib"

usage='"tong help give" shows how'
t 'a name' 2 '' "tong: give: the NAME is missing; $usage" "$TONG" give
t 'to whom' 2 '' "tong: give: to whom is missing; say a PROCESS, or --system, $usage" "$TONG" give box
t 'one of them' 2 '' "tong: give: a PROCESS and --system exclude each other; $usage" \
    "$TONG" give box worker --system
t 'and no more' 2 '' 'tong: give: x is one word too many; *' "$TONG" give box worker x
t 'a mailbox that is not there' 4 '' 'tong: give box: no such name; "tong ls" shows *' \
    "$TONG" give box --system
"$TONG" create box
"$TONG" create other
t 'a process that is not there' 4 '' \
    'tong: give worker: no such name; a process goes by the name of a mailbox that it owns, "tong ls -l" shows them under OWNER' \
    "$TONG" give box worker
t 'a mailbox of the system is no process' 1 '' \
    'tong: give box: other belongs to the system and is no process; name a mailbox that a process owns, *' \
    "$TONG" give box other
t 'a name that cannot be' 2 '' 'tong: give .x: *; a name has 1 to 127 of *' "$TONG" give box .x
t 'to the system, whose it is' 0 '' '' "$TONG" give box --system

# To a process: its receivers may not any more, senders notice nothing, it ends with its process.
"$TONG" hold worker &
worker=$!
soon field_is worker owner process
"$TONG" receive box 2>"$work/rerr" &
pid=$!
soon field_is box receivers-asleep 1
t 'to a process' 0 '' '' "$TONG" give box worker
ended "$pid" 1 'ends who waits to receive'
t 'with the reason' 0 \
    'tong: receive box: only its owner may do this; it was given to another process while it was open here, which is its only receiver now; "tong stat" shows owner-pid' \
    '' cat "$work/rerr"
is 'who it is' "$(field box owner) $(field box owner-pid)" "process $worker"
t 'others do not receive' 1 '' 'tong: receive box: only its owner may do this; another process owns it *' \
    "$TONG" receive box
t 'others send' 0 '' '' "$TONG" send box x
kill -KILL "$worker"
wait "$worker" 2>/dev/null
t 'it ends with its process' 4 '' '*' "$TONG" stat box

# Away from who holds it.
"$TONG" hold inbox --lines >"$work/got" 2>"$work/rerr" &
pid=$!
soon field_is inbox owner process
"$TONG" send inbox one
soon grep -q one "$work/got"
t 'a held mailbox to the system' 0 '' '' "$TONG" give inbox --system
"$TONG" send inbox two
soon grep -q two "$work/got"
is 'its process may go on' "$(field inbox owner) $(field inbox receivers)" 'system 1'
kill -TERM "$pid"
ended "$pid" 143 'until it ends'
"$TONG" send inbox three
t 'the mailbox stays' 0 'three' '' "$TONG" receive inbox --timeout 5
"$TONG" rm inbox

"$TONG" hold worker &
worker=$!
"$TONG" hold inbox 2>"$work/rerr" &
pid=$!
soon field_is worker owner process
soon field_is inbox receivers-asleep 1
t 'a held mailbox to another process' 0 '' '' "$TONG" give inbox worker
ended "$pid" 1 'ends its holder'
t 'which says why' 0 \
    'tong: hold inbox: only its owner may do this; it was given to another process while it was open here, *' \
    '' cat "$work/rerr"
is 'and does not end the mailbox' "$(field inbox owner-pid)" "$worker"

"$TONG" hold third -- cat >"$work/got" 2>"$work/rerr" &
pid=$!
soon field_is third receivers-asleep 1
"$TONG" send third last
"$TONG" give third worker
ended "$pid" 1 'a holder with a command'
is 'lets it end with what it has' "$(cat "$work/got")" last
t 'and says why, too' 0 'tong: hold third: only its owner may do this; it was given *' '' cat "$work/rerr"
kill -TERM "$worker"
ended "$worker" 143 'the process ends'
t 'and all that it was given' 0 other '' "$TONG" ls
after_kills
finish
