#!/bin/bash
# scripts/demo-network: two sites, in namespaces where these may be made and on loopback ports; what it shows, and that
# nothing of it is left.
. "$(dirname "$0")/lib"
. "$(dirname "$0")/nats_server"

nats_find || finish
demo=$(cd "$(dirname "$0")/../.." && pwd)/scripts/demo-network
build=${TONG%/bin/tong}
if [ ! -x "$build/tests/cluster/slow_link" ]; then
    skip 'everything' 'this build has no slow_link'
    finish
fi
chat='*seoul | ben: good evening from San Francisco*sf    | ada: good morning from Seoul*'
jobs='*12 jobs, each done once: * in seoul, * in sf'
namespaces() {
    ip netns list 2>/dev/null | grep -Ec '^(seoul|sf)' || true
}

t 'on loopback ports' 0 "two servers on loopback ports*$chat$jobs" '' \
    env TMPDIR="$work" "$demo" --loopback --delay 5 --build "$build"
before=$(namespaces)
if [ "$(id -u)" -eq 0 ] && ip netns add "tong-$$" 2>/dev/null; then
    ip netns del "tong-$$"
    t 'in two namespaces' 0 "two network namespaces, seoul*, and a link of 5 ms each way*$chat$jobs" '' \
        env TMPDIR="$work" "$demo" --delay 5 --build "$build"
    is 'they are taken down' "$(namespaces)" "$before"
else
    skip 'in two namespaces' 'they may not be made'
fi
is 'no file is left' "$(ls "$work" | grep -c tong-network)" 0
t 'an option it has not' 2 '*' '' "$demo" --dance
finish
