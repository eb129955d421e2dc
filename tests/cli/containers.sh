# containers.sh - the commands of docs/containers.md, run as they stand there as far as this machine can.
#
# The blocks marked sh run in a mount namespace with a /dev/shm, an /etc and users of their own. Of the lines that
# begin with "docker" without a daemon only this is seen: docker understands them.
. "$(dirname "$0")/lib"

page=$(dirname "$0")/../../docs/containers.md

# blocks LANGUAGE: the lines of all its blocks.
blocks() {
    awk -v mark="$1" '$0 == "```" mark { on = 1; next } /^```/ { on = 0 } on' "$page"
}

blocks sh >"$work/sh"
holds 'the page has commands' test -s "$work/sh"

run_page() {
    mkdir "$work/etc" "$work/bin" || return
    cp "$TONG" "$work/bin/tong" && cp -a /etc/. "$work/etc" || return
    chmod 0755 "$work" "$work/bin"
    # What is mounted goes with the namespace, and /tmp of the test stays where it is.
    unshare --mount --propagation private bash -euc '
        mount --bind "$1/etc" /etc
        mount -t tmpfs -o mode=1777,size=64m tmpfs /dev/shm
        useradd --no-create-home ann
        useradd --no-create-home bob
        PATH=$1/bin:$PATH
        . "$1/sh"
        id -u bob >"$1/bob"
    ' run "$work" >"$work/page.out" 2>"$work/page.err"
}

if [ "$(id -u)" -ne 0 ]; then
    skip 'the commands of the page run' 'only root can'
elif ! unshare --mount --pid --fork --ipc --net --uts true 2>/dev/null; then
    skip 'the commands of the page run' 'unshare is refused'
elif ! command -v useradd runuser >/dev/null; then
    skip 'the commands of the page run' 'no useradd or no runuser'
elif ! "$TONG" ls --json >/dev/null 2>&1; then
    skip 'the commands of the page run' 'the command was built without jansson, and the page uses --json'
elif run_page; then
    ok 'the commands of the page run'
    is 'what was sent from inside is received' "$(head -c 11 "$work/page.out")" 'from inside'
    json=$(tail -n 1 "$work/page.out")
    case $json in
    *"\"uid\":$(cat "$work/bob"),"*'"uid_verified":true'*'"from bob"'*) ok 'bob is shown' ;;
    *) not_ok 'bob is shown' "$json" ;;
    esac
else
    not_ok 'the commands of the page run' "$(cat "$work/page.err")"
fi

# The client reads the whole line before it looks for a daemon; there is none at this address.
understood() {
    DOCKER_HOST=unix://$work/nobody.sock bash -c "$1" >"$work/docker" 2>&1
    grep -qi 'cannot connect\|connection refused\|no such file\|is the docker daemon running' "$work/docker"
}

blocks console | grep '^docker ' >"$work/lines"
if ! command -v docker >/dev/null; then
    skip 'docker understands the lines of the page' 'docker is not installed'
elif ! understood 'docker run --rm image true' || understood 'docker run --no-such-option image true'; then
    skip 'docker understands the lines of the page' 'this client does not tell'
else
    bad=
    while read -r line; do
        understood "${line//IMAGE/image}" || bad="$bad$line: $(cat "$work/docker")$nl"
    done <"$work/lines"
    is 'docker understands the lines of the page' "$bad" ''
fi
after_kills
finish
