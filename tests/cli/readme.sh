# readme.sh - the commands of README.md under "When a worker fails" do what it says there.
. "$(dirname "$0")/lib"

readme=$(dirname "$0")/../../README.md
if ! "$TONG" ls --json >/dev/null 2>&1; then
    skip 'the commands of README.md' 'the command was built without jansson'
    finish
fi
mkdir "$work/bin"
ln -s "$(realpath "$TONG")" "$work/bin/tong"
PATH=$work/bin:$PATH
cp "$readme" "$work/README.md"
cd "$work" || exit 1
# Each line as it stands; what stays in the background is waited for before the next one needs it.
awk '/^## / { inside = /When a worker fails/ } /^```/ { block = inside && !block; next } block' \
    README.md >lines
holds 'they are there' test "$(wc -l <lines)" -ge 8
while read -r line; do
    eval "$line" >>out 2>>err || not_ok "$line" "$(tail -n 1 err)"
    case $line in
    printf*) printf '#!/bin/sh\nread -r n\necho "$n" >>tried\n[ "$n" -ne 7 ]\n' >work ;; # that it can be counted
    *' hold '*) soon field_is shift2 owner process ;;
    *' receive jobs '*) soon field_is jobs receivers-asleep 1 ;;
    esac
done <lines
is 'the job that failed is a dead letter' "$(grep -c '"origin_mailbox":"jobs".*"data":"7"' out)" 1
is 'after three times' "$(grep -c '^7$' tried)" 3
is 'the other process has the mailbox' "$(field jobs owner) $(field jobs owner-pid)" "process $!"
soon grep -q 'it was given to another process' err
is 'the worker was told' "$(grep -c '^tong: receive jobs: only its owner may do this; ' err)" 1
kill -TERM $!
wait
t 'the mailbox ends with it' 0 failed '' tong ls

workers=$(dirname "$(realpath bin/tong)")/examples/workers
if [ -x "$workers" ]; then
    t 'the example says what became of the jobs' 0 \
        '*12 jobs: 11 done; job 7 is a dead letter, it was handed out 3 times*' '' "$workers"
    t 'and leaves no mailbox' 0 failed '' tong ls
else
    skip 'the example' 'examples were not built'
fi
after_kills
finish
