# metrics.sh - `tong metrics` prints OpenMetrics text, with the numbers of `tong stat`.
. "$(dirname "$0")/lib"

# The rules of the format, as far as this text uses it: says what breaks them, line by line.
cat >"$work/check.awk" <<'END'
function bad(why) { print FNR ": " why ": " $0; wrong = 1 }
function family_of(sample) {
    if (type == "counter") { if (sub(/_total$/, "", sample)) return sample; return "?" }
    if (type == "info") { if (sub(/_info$/, "", sample)) return sample; return "?" }
    return sample
}
ended { bad("behind the end") }
/^# EOF$/ { ended = 1; next }
/^# TYPE [a-z_]+ (counter|gauge|info)$/ {
    if ($3 in families) bad("a family comes twice")
    families[$3] = 1
    family = $3; type = $4; helped = sampled = 0
    next
}
/^# UNIT [a-z_]+ [a-z]+$/ {
    if ($3 != family || sampled) bad("not in its family")
    if (substr(family, length(family) - length($4)) != "_" $4) bad("the name does not end in the unit")
    next
}
/^# HELP [a-z_]+ [^\\]+$/ {
    if ($3 != family || helped || sampled) bad("not in its family")
    helped = 1
    next
}
/^[a-z_]+\{[a-z_]+="([^"\\]|\\["\\n])*"(,[a-z_]+="([^"\\]|\\["\\n])*")*\} ([0-9]+|\+Inf)$/ {
    name = $0; sub(/\{.*/, "", name)
    if (family_of(name) != family) bad("a sample outside of its family")
    if (type == "info" && $NF != 1) bad("info is not 1")
    key = $0; sub(/ [^ ]*$/, "", key)
    if (key in samples) bad("a sample comes twice")
    samples[key] = 1
    sampled = 1
    next
}
{ bad("no line of the format") }
END { if (!ended) { print "no end"; wrong = 1 } exit wrong }
END

# fits NAME: the text in $work/text keeps the rules.
fits() {
    is "$1" "$(awk -f "$work/check.awk" "$work/text" 2>&1 | head -n 5)" ''
}

# sample FAMILY MAILBOX: its value.
sample() {
    sed -n "s/^$1{name=\"$2\",carrier=\"shm\"} //p" "$work/text"
}

t 'a folder that is not there' 0 '# TYPE tong_mailbox info*# EOF' '' \
    env TONG_DIR="$work/none" "$TONG" metrics
cp "$work/out" "$work/text"
fits 'keeps the format'
is 'with no sample in it' "$(grep -c -v '^#' "$work/text")" 0

"$TONG" create dead
"$TONG" create jobs --capacity 9 --max-deliveries 2 --dead-letter dead --delivery any
"$TONG" create full --link-capacity 2 --full drop-newest
"$TONG" create quiet
"$TONG" region create shelf --size 8K
for i in 1 2 3 4 5; do "$TONG" send jobs "$i"; done
"$TONG" receive jobs --count 2 --timeout 5 >/dev/null
"$TONG" receive jobs --count 2 --timeout 5 --ack --exec false 2>/dev/null
"$TONG" receive jobs --timeout 5 >/dev/null
printf 'a\nb\nc\nd\n' | "$TONG" send full --lines 2>/dev/null
"$TONG" receive quiet >/dev/null &
pid=$!
soon field_is quiet receivers-asleep 1

t 'mailboxes and regions' 0 '*# EOF' '' "$TONG" metrics
cp "$work/out" "$work/text"
fits 'keep the format'
is 'something was dropped, and something died' "$(sample tong_dropped_messages full) $(sample tong_dead_letter_messages_total jobs)" '2 1'

seen=
for box in dead jobs full quiet; do
    while read -r family name; do
        number=$(field "$box" "$name" | sed 's/unbounded/+Inf/')
        [ "$(sample "$family" "$box")" = "$number" ] ||
            seen="$seen$box $family $(sample "$family" "$box"), stat says $number$nl"
    done <<'END'
tong_done_messages_total done
tong_redelivered_messages_total redelivered
tong_dead_letter_messages_total dead-letters
tong_expired_messages_total expired
tong_receiver_deaths_total deaths
tong_sent_messages sent
tong_dropped_messages dropped
tong_backstop_finds backstop-finds
tong_waiting_messages waiting
tong_claimed_messages claimed
tong_set_aside_messages set-aside
tong_capacity_messages capacity
tong_link_capacity_messages link-capacity
tong_memory_bytes bytes
tong_memory_limit_bytes max-bytes
tong_links links
tong_senders senders
tong_senders_blocked senders-blocked
tong_receivers receivers
tong_receivers_asleep receivers-asleep
END
done
is 'the numbers are those of tong stat' "$seen" ''
is 'no family is left out of this test' \
    "$(grep -c '^# TYPE tong_[a-z_]* [cg]' "$work/text") $(grep -c '^[^#].*name="jobs"' "$work/text")" '23 21'
is 'what a mailbox is stands in its labels' "$(grep '_info{name="jobs"' "$work/text")" \
    "tong_mailbox_info{name=\"jobs\",carrier=\"shm\",id=\"$(field jobs id)\",delivery=\"any\",owner=\"system\",full=\"block\"} 1"
is 'regions, too' "$(sample tong_region_size_bytes shelf) $(sample tong_region_locked shelf)" '8192 0'

# ---- by HTTP
# ask REQUEST: the answer, as it comes.
ask() {
    exec 7<>"/dev/tcp/127.0.0.1/$port" && printf '%b' "$1" >&7 && tr -d '\r' <&7 >"$work/answer"
    exec 7>&-
}
"$TONG" metrics --listen 127.0.0.1:0 >"$work/where" 2>"$work/err" &
server=$!
soon grep -q metrics "$work/where"
port=$(sed 's/.*:\([0-9]*\)\/metrics/\1/' "$work/where")
ask 'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'
is 'it answers' "$(head -n 1 "$work/answer")" 'HTTP/1.1 200 OK'
is 'in the type of the format' "$(grep -c '^Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8$' "$work/answer")" 1
sed '1,/^$/d' "$work/answer" >"$work/text"
fits 'with a text that keeps the format'
is 'of the mailboxes' "$(sample tong_waiting_messages full)" 2
ask 'GET /other HTTP/1.1\r\n\r\n'
is 'another page is not there' "$(head -n 1 "$work/answer")" 'HTTP/1.1 404 Not Found'
ask 'POST /metrics HTTP/1.1\r\n\r\n'
is 'nor is anything to be posted' "$(head -n 1 "$work/answer")" 'HTTP/1.1 404 Not Found'
ask 'GET / HTTP/1.0\n\n'
is 'the next one is answered, too' "$(tail -n 1 "$work/answer")" '# EOF'
# One that says it letter by letter does not keep the others waiting: 20 s are its own.
: >"$work/letters"
(
    exec 6<>"/dev/tcp/127.0.0.1/$port"
    for i in $(seq 100); do
        printf x >&6 || break
        echo >>"$work/letters"
        sleep 0.2
    done
) 2>/dev/null &
slow=$!
soon test -s "$work/letters"
ask 'GET / HTTP/1.0\n\n'
is 'another one is answered' "$(tail -n 1 "$work/answer")" '# EOF'
holds 'before a slow one has said it all' test "$(wc -l <"$work/letters")" -lt 90
kill "$slow" 2>/dev/null
wait "$slow" 2>/dev/null
t 'an address that is taken' 1 '' 'tong: metrics: *' "$TONG" metrics --listen "$port"
kill -TERM "$server"
ended "$server" 143 'it ends when it is asked to'
t 'no address' 2 '' 'tong: metrics: --listen: here is no address;*' "$TONG" metrics --listen here
t 'no port' 2 '' 'tong: metrics: --listen: *' "$TONG" metrics --listen 127.0.0.1:70000

"$TONG" send quiet x
ended "$pid" 0 'looking took nothing away'
t 'no word is wanted' 2 '' 'tong: metrics: *' "$TONG" metrics jobs
mkdir -m 0700 "$TONG_DIR/broken"
: >"$TONG_DIR/broken/box"
t 'what cannot be looked at is said and hides nothing' 1 '*name="jobs"*# EOF' \
    'tong: metrics broken: *' "$TONG" metrics
rm -r "$TONG_DIR/broken"
t 'a full disk is told' 1 '' 'tong: metrics: standard output: *' sh -c '"$TONG" metrics >/dev/full'
finish
