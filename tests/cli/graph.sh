# graph.sh - who talks to whom, and where a circle of waiting stands.
. "$(dirname "$0")/lib"

# arrows: what leads where in $work/text, the names of programs left out.
arrows() {
    sed -n 's/^    \("[^"]*" -> "[^"]*"\) \[label="\([^"]*\)".*/\1 \2/p' "$work/text"
}

# drawn: the text is there, and Graphviz takes it, where it is installed.
drawn() {
    "$TONG" graph >"$work/text" || return 1
    ! command -v dot >/dev/null || dot -Tsvg -o "$work/svg" "$work/text"
}

t 'nothing to draw' 0 'digraph tong {*}' '' "$TONG" graph
is 'no arrow in it' "$(grep -c -e '->' "$work/out")" 0

"$TONG" create jobs --capacity 3
"$TONG" create meet --capacity 0
"$TONG" send jobs 1
"$TONG" send jobs 2
"$TONG" receive quiet --no-create 2>/dev/null
"$TONG" create quiet
"$TONG" receive quiet >/dev/null &
asleep=$!
soon field_is quiet receivers-asleep 1
holds 'a graph is drawn' drawn
is 'with what waits' "$(sed -n 's/.*\(label="jobs.*\)".*/\1/p' "$work/text")" 'label="jobs\n2 of 3 waiting'
is 'and rendezvous' "$(sed -n 's/.*\(label="meet.*\)".*/\1/p' "$work/text")" 'label="meet\nrendezvous'
is 'a link that was closed, and a receiver' "$(arrows)" '"process:0" -> "shm:jobs" 2 waiting
"shm:quiet" -> "process:1" asleep'
is 'the receiver is a process with a program' "$(sed -n 's/.*"process:1".*\(label=.*\)\]/\1/p' "$work/text" | head -n 1)" \
    "label=\"pid $asleep\\n$(tr -d '\n' <"/proc/$asleep/comm")\""

"$TONG" send jobs 3
"$TONG" send jobs 4 &
blocked=$!
soon field_is jobs senders-blocked 1
"$TONG" send meet x &
offers=$!
soon field_is meet senders-blocked 1
holds 'with who is blocked' drawn
holds 'in a full mailbox' grep -q -e '-> "shm:jobs" \[label="[0-9]* waiting\\nblocked"' "$work/text"
holds 'and in a rendezvous' grep -q -e '-> "shm:meet" \[label="blocked"' "$work/text"
is 'nothing of it is a circle' "$(grep -c -e 'circle' -e c0392b "$work/text")" 0
"$TONG" receive jobs --count 4 >/dev/null
"$TONG" receive meet >/dev/null
"$TONG" send quiet x
ended "$blocked" 0 'looking disturbs nobody'
ended "$offers" 0 'nor a rendezvous'
ended "$asleep" 0 'nor a receiver'

"$TONG" receive quiet --ack --exec 'kill -9 $PPID' 2>/dev/null &
victim=$!
soon field_is quiet receivers-asleep 1
"$TONG" send quiet x
wait "$victim" 2>/dev/null
holds 'with a dead one' drawn
is 'marked' "$(grep -c "pid $victim.ndead" "$work/text")" 1
is 'and what it holds' "$(grep -c -e '"shm:quiet" -> "process:[0-9]*" \[label="1 claimed" style=dashed' "$work/text")" 1
for box in jobs meet quiet; do "$TONG" rm "$box"; done

circle=$(dirname "$TONG")/../tests/cli/circle
if [ -x "$circle" ]; then
    for n in 1 3; do
        mkfifo "$work/in"
        "$circle" $n <"$work/in" >"$work/said" &
        pid=$!
        exec 9>"$work/in"
        soon grep -q full "$work/said"
        for i in $(seq 0 $((n - 1))); do soon field_is "circle.$i" senders-blocked 1; done
        holds "a circle of $n is drawn" drawn
        is 'in red, every arrow of it' "$(grep -e '->' "$work/text" | grep -c 'color="#c0392b"')" $((2 * n))
        is 'the title names its processes' "$(sed -n 's/.*label="circle of waiting: pid \(.*\)"/\1/p' "$work/text" | tr ',' '\n' | grep -c .)" $n
        exec 9>&-
        ended "$pid" 0 'the circle ends'
        rm "$work/in"
        for i in $(seq 0 $((n - 1))); do "$TONG" rm "circle.$i"; done
    done
else
    skip 'a circle' 'tests/cli/circle was not built'
fi

# Two that name each other, and one that is gone.
"$TONG" receive --as Q --from P >/dev/null &
q=$!
soon field_is Q owner process
"$TONG" send --as R --to Q 'not now'
holds 'a link between processes is drawn' drawn
is 'which way it goes' "$(grep -o '"shm:Q" -> "shm:R".*' "$work/text")" \
    '"shm:Q" -> "shm:R" [constraint=false style=dotted dir=back label="Q <-> R"]'
is 'one that is gone is grey' "$(grep -c '"shm:R" \[shape=plain fontcolor="#999999" label="R"\]' "$work/text")" 1
"$TONG" send --as P --to Q x
ended "$q" 0 'nobody was disturbed'

"$TONG" create jobs
if command -v dot >/dev/null; then
    t '--svg has Graphviz draw it' 0 '' '' "$TONG" graph --svg "$work/talk.svg"
    holds 'a picture' grep -q '<svg' "$work/talk.svg"
    t 'where it cannot be written' 1 '' '*tong: graph: --svg *none/talk.svg: dot ended with *' \
        "$TONG" graph --svg "$work/none/talk.svg"
else
    skip '--svg' 'Graphviz is not installed'
fi
t 'without Graphviz' 1 '' 'tong: graph: --svg: dot was not found; install the package graphviz, *' \
    env PATH="$work" "$TONG" graph --svg "$work/other.svg"
holds 'nothing is written' test ! -e "$work/other.svg"
mkdir -m 0700 "$TONG_DIR/broken"
: >"$TONG_DIR/broken/box"
t 'what cannot be looked at is said' 1 'digraph*"shm:jobs"*}' 'tong: graph broken: *' "$TONG" graph
rm -r "$TONG_DIR/broken"
t 'a word too many' 2 '' 'tong: graph: *' "$TONG" graph jobs
after_kills
finish
