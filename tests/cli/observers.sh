# observers.sh - who only looks changes no byte, opens nothing for writing and wakes nobody: it cannot cost those who
# are looked at anything but the processor it runs on.
. "$(dirname "$0")/lib"

# Everything that can be looked at: a backlog, a full mailbox and who waits there, a sleeping receiver, a claim, a
# rendezvous that is offered, a mailbox of a process, a dead one's links, a region.
"$TONG" create jobs
"$TONG" send jobs one
"$TONG" send jobs two
"$TONG" create full --capacity 1
"$TONG" send full x
"$TONG" send full y 2>/dev/null &
blocked=$!
"$TONG" create meet --capacity 0
"$TONG" send meet z 2>/dev/null &
offers=$!
"$TONG" create quiet
"$TONG" receive quiet >/dev/null &
asleep=$!
"$TONG" hold mine >/dev/null &
holder=$!
"$TONG" region create board --size 8K
"$TONG" create held
mkfifo "$work/go"
"$TONG" send held job
"$TONG" receive held --ack --exec "cat '$work/go'" >/dev/null &
claims=$!
soon field_is full senders-blocked 1
soon field_is meet senders-blocked 1
soon field_is quiet receivers-asleep 1
soon field_is mine owner process
soon field_is held claimed 1

# The parties stop meanwhile: asleep they look by themselves now and then, and count it.
stopped() {
    local pid
    for pid in $parties; do
        [ "$(sed 's/.*) //; s/ .*//' "/proc/$pid/stat")" = T ] || return 1
    done
}
parties="$blocked $offers $asleep $holder $claims"
# shellcheck disable=SC2086
kill -STOP $parties
soon stopped

# Every byte of the folder, and when each file was written last.
everything() {
    find "$TONG_DIR" -type f -printf '%P %s %T@\n' -exec cksum {} + | sort
}

# The commands that look, a line each.
looks() {
    cat <<'END_OF_LOOKS'
ls
stat jobs
stat mine
top --once --every 0
top quiet --once --every 0
graph
metrics
tap jobs --count 2
region ls
region stat board
complete send
END_OF_LOOKS
}

everything >"$work/before"
for i in 1 2 3; do
    while read -r line; do
        # shellcheck disable=SC2086
        "$TONG" $line >"$work/said" 2>&1 </dev/null
        [ $? -lt 2 ] || not_ok "tong $line" "$(tail -n 2 "$work/said")"
    done < <(looks)
done
everything >"$work/after"
holds 'there are files to look at' test "$(wc -l <"$work/before")" -ge 20
same 'thirty looks change no byte of any file' "$work/before" "$work/after"

# What of a trace would be a change, or reach somebody: a file of the folder opened or mapped for writing, a name made or
# taken away, a sleeper woken, a signal.
touches() {
    grep -E 'O_(WRONLY|RDWR|CREAT|TRUNC)|PROT_WRITE.*MAP_SHARED|^[0-9]* *(unlinkat|renameat2?|mkdirat|fchmod|ftruncate|fallocate|pwrite64|mq_[a-z]*send|kill|tgkill)\(|FUTEX_WAKE' \
        "$work/trace" | grep -v -e '"/dev/null"' -e 'FUTEX_WAKE_PRIVATE' -e 'signal(0|, 0)'
}

if command -v strace >/dev/null && strace -o /dev/null true 2>/dev/null; then
    while read -r line; do
        # shellcheck disable=SC2086
        strace -f -o "$work/trace" "$TONG" $line >/dev/null 2>&1 </dev/null
        is "tong $line reaches nobody" "$(touches)" ''
    done < <(looks)
    strace -f -o "$work/trace" "$TONG" send jobs x >/dev/null 2>&1
    holds 'who sends is seen to write' test -n "$(touches)"
else
    skip 'no system call of theirs reaches anybody' 'strace may not trace here'
fi

# shellcheck disable=SC2086
kill -CONT $parties
"$TONG" receive full --count 2 >/dev/null
"$TONG" receive meet >/dev/null
"$TONG" send quiet x
echo go >"$work/go"
ended "$blocked" 0 'who was looked at goes on: a sender'
ended "$offers" 0 'an offer'
ended "$asleep" 0 'a receiver'
kill -TERM $holder $claims 2>/dev/null
wait
finish
