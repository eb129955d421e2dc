# top.sh - `tong top`: how full, how fast, who waits for whom; as text, as JSON, and on a terminal.
. "$(dirname "$0")/lib"

source=$(dirname "$0")/../..
circle=$(dirname "$TONG")/../tests/cli/circle

# row FILE WORD: the line that begins with it, with single spaces.
row() {
    sed -n "s/  */ /g; s/^ //; /^$2 /p" "$1"
}

t 'an empty folder' 0 '0 mailboxes, 0 processes*no mailbox yet; tong create NAME makes one' '' \
    env TONG_DIR="$work/none" "$TONG" top --once --every 0
"$TONG" create jobs --capacity 3
"$TONG" create meet --capacity 0
"$TONG" create quiet --capacity unbounded --link-capacity unbounded
for i in 1 2; do "$TONG" send jobs "$i"; done

t 'mailboxes' 0 '3 mailboxes, 0 processes*' '' "$TONG" top --once --every 0
is 'one a line' "$(row "$work/out" jobs)" 'jobs 2 3 - - 0 0 0 0 0 0 0 32.0 KiB'
is 'the fullest first, then by name' "$(sed -n '3,5s/ .*//p' "$work/out" | tr '\n' ' ')" 'jobs meet quiet '
is 'without a limit' "$(row "$work/out" quiet | cut -d ' ' -f 2-4)" '0 no limit'
is 'nobody waits' "$(grep -c 'who waits' "$work/out")" 0
t 'by name' 0 '*jobs*meet*quiet*' '' "$TONG" top --once --every 0 --sort name
t 'the other way round' 0 '*quiet*meet*jobs*' '' "$TONG" top --once --every 0 --sort name --reverse
t 'those with a text in their names' 0 '*quiet*' '' "$TONG" top --once --every 0 --filter ui
is 'and no other' "$(grep -c -e jobs -e meet "$work/out")" 0
t 'none has it' 0 '*no mailbox with such a name' '' "$TONG" top --once --every 0 --filter zzz
for column in $("$TONG" complete top --sort ''); do
    "$TONG" top --once --every 0 --sort "$column" >/dev/null || echo "$column"
done >"$work/bad"
is 'every column orders' "$(cat "$work/bad")" ''

"$TONG" send jobs 3
"$TONG" send jobs 4 &
blocked=$!
"$TONG" send meet x &
offers=$!
"$TONG" receive quiet >/dev/null &
asleep=$!
soon field_is jobs senders-blocked 1
soon field_is meet senders-blocked 1
soon field_is quiet receivers-asleep 1
t 'who waits' 0 '3 mailboxes, 3 processes*who waits for whom*' '' "$TONG" top --once --every 0.01
is 'for room' "$(row "$work/out" $blocked | sed 's/[0-9.]* s /S /')" "$blocked tong room jobs S nobody is there"
is 'for a receiver' "$(row "$work/out" $offers | sed 's/[0-9.]* s /S /')" "$offers tong a receiver meet S nobody is there"
is 'for a message' "$(row "$work/out" $asleep | sed 's/[0-9.]* s /S /')" "$asleep tong a message quiet S nobody is there"
"$TONG" receive jobs --ack --exec "read x; echo \$x >>'$work/took'; cat '$work/go' >/dev/null" --count 4 2>/dev/null &
worker=$!
mkfifo "$work/go"
soon field_is jobs claimed 1
t 'one mailbox' 0 '*capacity         3 *links            1*' '' "$TONG" top jobs --once --every 0
is 'with its senders' "$(row "$work/out" sender | cut -d ' ' -f 1-6)" "sender 0 $blocked tong $(id -u) asleep"
is 'its receivers' "$(row "$work/out" receiver)" "receiver 0 $worker tong $(id -u) awake 1"
is 'and for whom it is' "$(row "$work/out" $blocked | sed 's/.* s //')" "$worker"
t 'with its carrier in front' 0 '*capacity         3 *' '' "$TONG" top shm:jobs --once --every 0
for i in 1 2 3 4; do
    soon grep -q $i "$work/took" && : >"$work/go"
done
ended "$blocked" 0 'looking disturbs no sender'
ended "$worker" 0 'nor a receiver'
"$TONG" receive meet >/dev/null
ended "$offers" 0 'nor a rendezvous'

# Between two looks.
"$TONG" send quiet x
wait "$asleep"
t 'no rates where nothing moves' 0 '*' '' "$TONG" top --once --every 0.02 --filter quiet
is 'are 0' "$(row "$work/out" quiet | cut -d ' ' -f 5-6)" '0 0'
yes | "$TONG" send quiet --lines &
sender=$!
"$TONG" receive quiet --follow >/dev/null &
receiver=$!
t 'rates where something does' 0 '*' '' "$TONG" top --once --every 0.3 --filter quiet
is 'are not' "$(row "$work/out" quiet | awk '{ print ($5 != "0"), ($6 != "0") }')" '1 1'
kill "$sender" "$receiver"
wait "$sender" "$receiver"

if [ -x "$circle" ]; then
    mkfifo "$work/in"
    "$circle" 2 <"$work/in" >"$work/said" &
    pid=$!
    exec 9>"$work/in"
    soon grep -q full "$work/said"
    for i in 0 1; do soon field_is "circle.$i" senders-blocked 1; done
    t 'a circle is told' 0 '*, 2 in a circle of waiting*' '' "$TONG" top --once --every 0
    is 'and who is in it' "$(grep -c ' room  *circle\.[01] ' "$work/out")" 2
fi

if "$TONG" stat jobs --json >/dev/null 2>&1; then
    t 'for programs' 0 '{"kind":"mailbox"*' '' "$TONG" top --json --every 0
    is 'an object a line' "$(cut -c 1-9 <"$work/out" | sort -u)" '{"kind":"'
    is 'of each mailbox' "$(grep '"kind":"mailbox"' "$work/out" | sed 's/.*"name":"\([^"]*\)".*/\1/' | grep -v circle | tr '\n' ' ')" 'jobs meet quiet '
    is 'the first look knows no rates' "$(grep -c '"in_per_second":null' "$work/out")" "$(grep -c '"kind":"mailbox"' "$work/out")"
    "$TONG" receive jobs >/dev/null &
    sleeper=$!
    soon field_is jobs receivers-asleep 1
    t 'one of them' 0 '{"kind":"mailbox"*' '' "$TONG" top jobs --json --every 0.02
    is 'its parties' "$(grep '"kind":"receiver"' "$work/out" | cut -d , -f 2-7)" \
        "\"mailbox\":\"jobs\",\"number\":0,\"pid\":$sleeper,\"program\":\"tong\",\"uid\":$(id -u),\"alive\":true"
    is 'who waits' "$(grep '"kind":"wait"' "$work/out" | sed 's/_ms":[0-9]*/_ms":N/')" \
        "{\"kind\":\"wait\",\"mailbox\":\"jobs\",\"pid\":$sleeper,\"for\":\"message\",\"from\":null,\"since_ms\":N,\"in_circle\":false}"
    "$TONG" send jobs x
    wait "$sleeper"
    if [ -x "$circle" ]; then
        "$TONG" top --json --every 0 --filter circle >"$work/out"
        is 'who waits for whom in a circle' \
            "$(sed -n 's/.*"kind":"wait".*"pid":\([0-9]*\),"for":"room","from":\([0-9]*\),.*"in_circle":true}/\1 \2 \2 \1/p' "$work/out" | sort -u | wc -l)" 2
    fi
    "$TONG" receive --as Q --count 2 >"$work/heard" &
    named=$!
    "$TONG" send --as P --to Q one
    soon grep -q one "$work/heard"
    t 'processes that name each other' 0 '*' '' "$TONG" top --json --every 0 --filter Q
    is 'are mailboxes' "$(grep -c '"kind":"mailbox","name":"Q"' "$work/out")" 1
    "$TONG" send --as P --to Q two
    wait "$named"
else
    skip '--json' 'this tong was built without jansson'
fi
if [ -x "$circle" ]; then
    exec 9>&-
    ended "$pid" 0 'the circle ends'
    for i in 0 1; do "$TONG" rm "circle.$i"; done
fi

mkdir -m 0700 "$TONG_DIR/broken"
: >"$TONG_DIR/broken/box"
t 'what cannot be looked at is said' 1 '*1 that cannot be looked at*jobs*' 'tong: top broken: *' "$TONG" top --once --every 0
rm -r "$TONG_DIR/broken"
t 'no such mailbox' 4 '' 'tong: top none: *' "$TONG" top none --once
t 'no such column' 2 '' 'tong: top: --sort: there is no size; say one of waiting, *' "$TONG" top --sort size
t 'no time' 2 '' 'tong: top: --every: x is not a time;*' "$TONG" top --once --every x
t 'not both' 2 '' 'tong: top: *' "$TONG" top --once --json
t 'a word too many' 2 '' 'tong: top: *' "$TONG" top jobs meet
t 'no terminal' 1 '' 'tong: top: *--once*' sh -c '"$TONG" top </dev/null'
t 'a full disk is told' 1 '' 'tong: top: standard output: *' sh -c '"$TONG" top --once --every 0 >/dev/full'

# ---- on a terminal
if ! script -qec true /dev/null >/dev/null 2>&1; then
    skip terminal 'script(1) does not run here'
    finish
fi
if "$TONG" top 2>&1 </dev/null | grep -q 'without a terminal view'; then
    t 'without ncurses it says which package' 1 '' 'tong: top: *libncurses-dev*' "$TONG" top
    finish
fi
if ! command -v python3 >/dev/null; then
    skip 'the screen' 'python3 is not installed'
    finish
fi

# sees TEXT, or lacks TEXT: on the screen just now.
screen() {
    "$source/scripts/terminal-picture" --text --rows 20 --columns 100 --last-of 'q quit' <"$work/seen"
}
sees() {
    screen | grep -q -e "$1"
}
lacks() {
    screen | grep -q 'q quit' && ! screen | grep -q -e "$1"
}
# key TEXT SEEN NAME: after the keys that stands there.
key() {
    printf '%b' "$1" >&8
    holds "$3" soon sees "$2"
}

mkfifo "$work/keys"
# shellcheck disable=SC2016
TERM=xterm NO_COLOR='' script -qfec 'stty rows 20 cols 100; echo $$ >"'"$work"'/pid"; exec "$TONG" top --every 0.1' /dev/null \
    <"$work/keys" >"$work/seen" 2>&1 &
viewer=$!
exec 8>"$work/keys"
for i in 1 2; do "$TONG" send jobs "$i"; done
holds 'it draws mailboxes' soon sees '^jobs  *2  *3 '
holds 'and keys' sees '^q quit  s sort: waiting  r reverse  / filter: all  Enter details'
"$TONG" receive jobs >/dev/null
holds 'again and again' soon sees '^jobs  *1  *3 '
key s 'sort: name' 's takes the next column'
holds 'in that order' soon sees '^jobs'
key r 'reversed' 'r turns it round'
is 'in that order' "$(screen | sed -n '3,5s/ .*//p' | tr '\n' ' ')" 'quiet meet jobs '
key '/me' 'filter: me_' 'a filter is typed'
key '\r' '/ filter: me  Enter' 'and taken'
holds 'the others are gone' soon lacks '^jobs'
key '/\033' 'filter: all' 'Esc shows all again'
key 'j\r' '^name  *meet ' 'Enter shows the details of the one below the first'
holds 'with keys of its own' sees 'Esc back'
key '\033' '^jobs' 'Esc goes back'
key p '(paused)' 'p stops it'
key p 'every 0.1 s ' 'and goes on'
key - 'every 0.2 s' '- is slower'
"$TONG" rm meet
holds 'what is removed goes' soon lacks '^meet'
key q '' 'q'
ended "$viewer" 0 'ends it'
exec 8>&-

# shellcheck disable=SC2016
TERM=xterm script -qfec 'stty rows 20 cols 100; echo $$ >"'"$work"'/pid"; exec "$TONG" top jobs' /dev/null </dev/null >"$work/seen" 2>&1 &
viewer=$!
holds 'one mailbox' soon sees '^name  *jobs '
kill -TERM "$(cat "$work/pid")"
ended "$viewer" 143 'it ends when it is asked to'
is 'and leaves the terminal as it was' "$(tail -c 40 "$work/seen" | grep -c '1049l')" 1
t 'a terminal nobody can draw on' 1 '*TERM says no terminal*' '' sh -c 'TERM=none script -qec "\"$TONG\" top" /dev/null </dev/null'
after_kills
finish
