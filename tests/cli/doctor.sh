# doctor.sh - what is wrong with the folder, and clearing it.
. "$(dirname "$0")/lib"

# to_do: the findings that are left to do.
to_do() {
    "$TONG" doctor | grep -E '^(repairable|needs you): '
}

"$TONG" create good
"$TONG" send good x
# A machine may have findings of its own (little memory, a removal at log-out), so look at the folder.
is 'a good folder has no finding' "$(to_do | grep -c -F "$TONG_DIR")" 0

# A mailbox of a process that was killed.
"$TONG" hold dead &
pid=$!
soon field_is dead owner process
kill -KILL "$pid"
wait "$pid" 2>/dev/null
"$TONG" doctor --repair >/dev/null
is 'what the dead left is cleared' "$(find "$TONG_DIR" -name 'dead*' | wc -l)" 0
t 'what lives is left alone' 0 x '' "$TONG" receive good --timeout 5

echo junk >"$TONG_DIR/foreign"
t 'a foreign file is found' 1 '*foreign*' '' "$TONG" doctor
is 'it needs the user' "$(to_do | grep -c '^needs you: .*foreign')" 1
t 'and is not touched' 1 '*' '' "$TONG" doctor --repair
is 'it is still there' "$(cat "$TONG_DIR/foreign")" junk
rm "$TONG_DIR/foreign"
t 'a word too many' 2 '' 'tong: doctor: now is one word too many; *' "$TONG" doctor now
after_kills
finish
