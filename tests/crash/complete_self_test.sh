#!/bin/bash
# Whether tests/crash/complete can refuse: a table, a header and a report of its own, and one thing
# wrong at a time.
set -u
here=$(cd "$(dirname "$0")" && pwd) || exit 1
scratch=$(mktemp -d "${TMPDIR:-/tmp}/tong-complete.XXXXXX") || exit 1
trap 'rm -rf "$scratch"' EXIT
failed=0

begin() {
    cat >"$scratch/header" <<'END'
TONG_API int tong_send(tong_mailbox *box, const void *data, size_t len, int64_t timeout_ns);
TONG_API ssize_t tong_receive(tong_mailbox *box, void *buf, size_t size, int64_t timeout_ns);
TONG_API const char *tong_strerror(int error);
END
    cat >"$scratch/table" <<'END'
# comment
tong_send    | sender   | points, steps
tong_receive | receiver | points
- tong_strerror | a table
END
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' >"$scratch/report" \
        tong_send sender points 10 10 0.5 \
        tong_send sender steps 900 900 2.5 \
        tong_receive receiver points 6 6 0.25
}

# expect CODE TEXT NAME [OPTION...]: what complete says of what lies there.
expect() {
    local code=$1 text=$2 name=$3
    shift 3
    "$here/complete" --table "$scratch/table" --header "$scratch/header" "$@" \
        "$scratch/report" >"$scratch/out" 2>&1
    if [ $? -eq "$code" ] && grep -qF -- "$text" "$scratch/out"; then
        echo "ok - $name"
    else
        echo "not ok - $name"
        sed 's/^/    /' "$scratch/out"
        failed=1
    fi
}

begin
expect 0 '3 passed, 0 failed' 'a complete report passes'
begin
sed -i '/tong_receive/d' "$scratch/report"
expect 1 'missing: tong_receive | receiver | points' 'a missing pair fails'
begin
sed -i '/steps/d' "$scratch/report"
expect 1 'missing: tong_send | sender | steps' 'a missing kind fails'
expect 0 'left out: steps' 'a kind that a machine cannot do may be left out' --may-lack steps
begin
sed -i 's/^tong_send .*points, steps/&\ntong_send | other | steps/' "$scratch/table"
expect 1 'missing: tong_send | other | steps' 'one line of a kind asks for all of it' --may-lack steps
begin
sed -i 's/10\t10/10\t0/' "$scratch/report"
expect 1 'nobody was killed: tong_send | sender | points' 'a pair without a kill fails'
begin
printf 'tong_send\tnobody\tpoints\t1\t1\t0\n' >>"$scratch/report"
expect 1 'not in the table: tong_send | nobody | points' 'a pair that is not in the table fails'
begin
echo 'TONG_API int tong_new(tong_mailbox *box);' >>"$scratch/header"
expect 1 'a call without a line in the table: tong_new' 'a call in no line fails'
begin
echo 'tong_gone | role | points' >>"$scratch/table"
expect 1 'not a call of the header: tong_gone' 'a line of a call that is none fails'
begin
echo '- tong_send | says so' >>"$scratch/table"
expect 1 'said to touch nothing: tong_send' 'a call cannot be in both lists'
begin
echo 'nonsense' >>"$scratch/report"
expect 1 'in the report: "nonsense"' 'a line that cannot be read fails'
begin
rm "$scratch/report"
expect 1 'cannot be read' 'no report fails'
exit $failed
