# tour.sh - `tong tour`: every step does what it tells, in both languages, and leaves nothing.
. "$(dirname "$0")/lib"

source=$(dirname "$0")/../..
mkdir "$work/t"
TMPDIR=$work/t
export TMPDIR
esc=$(printf '\033')
"$TONG" create keep

# parts LINE FILE: what stands behind that word at the foot of each step.
parts() {
    sed -n "s/^  $1 //p" "$2"
}

t 'all of it, in a pipe' 0 '1  Overview*3.2.7  Whose is the mailbox?*' '' "$TONG" tour
cp "$work/out" "$work/en"
t 'in Korean' 0 '1  개요*3.2.7  메일박스의 소유권*' '' "$TONG" tour --ko
cp "$work/out" "$work/ko"
t 'in Korean where the language is' 0 '3.2  명명*' '' env LC_ALL=ko_KR.UTF-8 "$TONG" tour 3.2
is 'no colour in a pipe' "$(grep -c "$esc" "$work/en" "$work/ko" | cut -d : -f 2 | tr '\n' ' ')" '0 0 '
is 'nothing failed in it' "$(grep -c '!!' "$work/en" "$work/ko" | cut -d : -f 2 | tr '\n' ' ')" '0 0 '
parts command "$work/en" >"$work/commands"
parts call "$work/en" >"$work/calls"
parts example "$work/en" >"$work/examples"
is 'a step for each heading of the textbook' "$(wc -l <"$work/commands")" 19
parts 명령 "$work/ko" | cmp - "$work/commands" && parts 함수 "$work/ko" | cmp - "$work/calls" &&
    parts 예제 "$work/ko" | cmp - "$work/examples"
is 'both languages name the same' $? 0

# What it names is there.
missing=
for word in $(grep -o 'tong [a-z]*' "$work/commands" | sed 's/tong //' | sort -u); do
    "$TONG" help "$word" >/dev/null 2>&1 || missing="$missing $word"
done
is 'every command there is' "$missing" ''
missing=
for word in $(grep -oE '(tong_|TONG_)[A-Za-z_]+' "$work/calls" | sort -u); do
    grep -q "$word" "$source/include/tong/tong.h" || missing="$missing $word"
done
is 'every call' "$missing" ''
missing=
for word in $(tr -d , <"$work/examples" | tr ' ' '\n' | sort -u); do
    [ -f "$source/examples/$word.c" ] || missing="$missing $word"
done
is 'every example' "$missing" ''

# One step alone. What is different each time: pids and addresses, and who of two is faster.
steps=$("$TONG" tour nonsense 2>&1 | sed -n 's/.*say one of \(.*\), "tong help.*/\1/p' | tr -d ,)
is 'the steps are known by their numbers' "$(echo "$steps" | wc -w)" 19
for step in $steps; do
    "$TONG" tour "$step" >"$work/one" 2>&1
    code=$?
    head=$(sed -n 1p "$work/one")
    is "step $step alone" "$code $(grep -c '^  command ' "$work/one") $(tail -n 5 "$work/one")" \
        "0 1 $(awk -v head="$head" '$0 == head { inside = 1 } inside { print } inside && /^$/ { exit }' "$work/en" | tail -n 5)"
done

# shows STEP PATTERN: a line of its picture.
shows() {
    "$TONG" tour "$1" | grep -e "$2" >/dev/null
}
holds 'who has no room waits' shows bounded 'P --4--> \[A\]   there is room'
"$TONG" tour 2.1 >"$work/one"
is 'all items go through, and never are all slots in use' \
    "$(grep -c 'P + [1-6]  |' "$work/one") $(grep -c 'C - [1-6]  |' "$work/one") $(grep -c '|####|' "$work/one")" '6 6 0'
holds 'a consumer waits' shows problem 'EAGAIN, now C waits'
holds 'a fixed size is kept' shows 3 '"abcdefgh"--| \[fixed\]      -EMSGSIZE'
holds 'who renames itself is not found' shows 3.2.3 'P --"2"--| Q    -ENOENT'
holds 'a link joins two' shows 3.2.6 'EBUSY'
is 'in turn' "$("$TONG" tour 3.2.6 | sed -n 's/.*\[C\] --.*--> //p' | tr '\n' ' ' | sed 's/^\(P[23]\) \(P[23]\) \1 \2 $/in turn/')" 'in turn'
holds 'the death of an owner ends its mailbox' shows 3.2.7 'ended with its process: -ENOENT'

is 'nothing is left' "$(ls "$work/t")" ''
is 'nor touched' "$("$TONG" ls)" keep
t 'no such step' 2 '' 'tong: tour: there is no step 9; say one of 1, 1.1,*' "$TONG" tour 9
t 'a word too many' 2 '' 'tong: tour: *' "$TONG" tour 1 2
t 'a reader that goes' 1 '' '*' sh -c '"$TONG" tour >/dev/full'

if script -qec true /dev/null >/dev/null 2>&1; then
    holds 'colour on a terminal' test "$(script -qec '"$TONG" tour 3.1' /dev/null </dev/null | grep -c "$esc")" -gt 3
    is 'but not with NO_COLOR' "$(NO_COLOR=1 script -qec '"$TONG" tour 3.1' /dev/null </dev/null | grep -c "$esc")" 0
    # shellcheck disable=SC2016
    script -qfec 'echo $$ >"'"$work"'/pid"; exec "$TONG" tour' "$work/seen" </dev/null >/dev/null 2>&1 &
    viewer=$!
    soon grep -q 'Overview' "$work/seen"
    kill -TERM "$(cat "$work/pid")"
    ended "$viewer" 143 'it ends when it is asked to'
    is 'and leaves nothing' "$(ls "$work/t")" ''
else
    skip terminal 'script(1) does not run here'
fi
finish
