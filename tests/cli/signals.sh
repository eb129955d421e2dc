# signals.sh - stop signals end the tool cleanly, with 128 and their number.
. "$(dirname "$0")/lib"
# Jobs of their own group: SIGINT is ignored in those that a script puts into the background.
set -m

"$TONG" create box --capacity 1
for signal in INT TERM HUP; do
    code=$((128 + $(kill -l $signal)))
    "$TONG" receive box --output "$work/none" 2>"$work/err" &
    pid=$!
    soon field_is box receivers-asleep 1
    kill -$signal "$pid"
    ended "$pid" "$code" "SIG$signal ends a waiting receiver with $code"
    is "SIG$signal is no error to report" "$(cat "$work/err")" ''
    holds "SIG$signal leaves no empty output" test ! -e "$work/none"
    is "SIG$signal leaves no receiver" "$(field box receivers)" 0

    "$TONG" send box full
    "$TONG" send box more 2>"$work/err" &
    pid=$!
    soon field_is box senders-blocked 1
    kill -$signal "$pid"
    ended "$pid" "$code" "SIG$signal ends a waiting sender with $code"
    is "SIG$signal is no error of send" "$(cat "$work/err")" ''
    t "SIG$signal: the message that waited was not sent" 0 full '' "$TONG" receive box --timeout 5
    is "SIG$signal: nothing more" "$(field box waiting)" 0

    "$TONG" hold held &
    pid=$!
    soon field_is held owner process
    kill -$signal "$pid"
    ended "$pid" "$code" "SIG$signal ends hold with $code"
    t "SIG$signal: its mailbox is gone" 4 '' '*' "$TONG" stat held
done

# Blocked in a read or write, not in the library.
mkfifo "$work/in" "$work/out-pipe"
exec 7<>"$work/in" 8<>"$work/out-pipe"
"$TONG" send box <"$work/in" &
pid=$!
printf x >&7
soon grep -q 'pipe' "/proc/$pid/wchan" || soon test -d "/proc/$pid"
kill -INT "$pid"
ended "$pid" 130 'SIGINT while standard input is read'
is 'sends nothing' "$(field box waiting)" 0
head -c 4000000 /dev/urandom >"$work/big"
"$TONG" send box --file "$work/big"
"$TONG" receive box >"$work/out-pipe" &
pid=$!
soon field_is box claimed 1
kill -INT "$pid"
ended "$pid" 130 'SIGINT while standard output is written'
"$TONG" receive box --timeout 5 --output "$work/got"
same 'gives the message back, whole' "$work/big" "$work/got"

trap '' INT
"$TONG" receive box >"$work/got" &
pid=$!
soon field_is box receivers-asleep 1
kill -INT "$pid"
"$TONG" send box still
ended "$pid" 0 'a signal that was ignored from the start stays ignored'
is 'and the message comes' "$(cat "$work/got")" still
trap - INT
finish
