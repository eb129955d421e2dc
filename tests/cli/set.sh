# set.sh - another policy while a mailbox is used; what those who wait are told.
. "$(dirname "$0")/lib"

usage='"tong help set" shows how'
t 'a name' 2 '' "tong: set: the NAME is missing; $usage" "$TONG" set
t 'what to change' 2 '' "tong: set: what to change is missing; say --delivery P, $usage" "$TONG" set box
t 'a policy that is none' 2 '' '*--delivery: there is no fair; say one of first-come, *' \
    "$TONG" set box --delivery fair
t 'a mailbox that is not there' 4 '' 'tong: set box: no such name; "tong ls" shows *' \
    "$TONG" set box --delivery any
"$TONG" create box
t 'round-robin' 0 '' '' "$TONG" set box --delivery round-robin
is 'it is' "$(field box delivery)" round-robin
t 'one of your own' 0 '' '' "$TONG" set box --delivery own:fair
is 'it is, by its name' "$(field box delivery)" own:fair
t 'which the command does not know' 1 '' 'tong: receive box: its delivery policy is not registered in this process*' \
    "$TONG" receive box
t 'and first-come again' 0 '' '' "$TONG" set box --delivery first-come

# Two wait; made exclusive, the second one is told.
"$TONG" receive box >"$work/first" &
first=$!
soon field_is box receivers-asleep 1
"$TONG" receive box >"$work/second" 2>"$work/told" &
second=$!
soon field_is box receivers-asleep 2
t 'exclusive, while two wait' 0 '' '' "$TONG" set box --delivery exclusive
wait "$second"
is 'the second one ends with 1' $? 1
is 'and says why' "$(grep -c 'receive box: taken: by its one receiver' "$work/told")" 1
t 'the first one waits on' 0 '' '' "$TONG" send box letter
wait "$first"
is 'and gets the message' "$(cat "$work/first")" letter

# Of a process that one alone may.
"$TONG" hold mine &
holder=$!
soon field_is mine owner process
t 'of a process that one alone may' 1 '' \
    'tong: set mine: only its owner may do this; its user may change it; where a process owns it, *' \
    "$TONG" set mine --delivery any
kill "$holder"
wait "$holder"
finish
