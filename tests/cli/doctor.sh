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
# ---- each thing it looks at
t 'no folder yet' 0 "information: $work/none: there is no mailbox yet*nothing to do" '' env TONG_DIR="$work/none" "$TONG" doctor
chmod 0777 "$TONG_DIR"
t 'a folder that others may write' 1 "needs you: $TONG_DIR: not safe to use: *; remove it or its permissions, or set TONG_DIR *" '' \
    "$TONG" doctor
chmod 0700 "$TONG_DIR"
mkdir -m 0700 "$TONG_DIR/broken"
: >"$TONG_DIR/broken/box"
t 'a damaged mailbox' 1 '*needs you: broken: not a mailbox of this version, or damaged; tong rm removes it*' '' "$TONG" doctor
t 'is left to its user' 1 '*needs you: broken: *' '' "$TONG" doctor --repair
t 'with the command it names' 0 '' '' "$TONG" rm broken

# What the dead leave: a link with nothing in it, a receiver with a claim, a mailbox and a region of a process.
"$TONG" create left
"$TONG" hold gone >/dev/null &
owner=$!
"$TONG" receive left --ack --exec 'kill -9 $PPID' 2>/dev/null &
receiver=$!
soon field_is gone owner process
soon field_is left receivers-asleep 1
"$TONG" send left job
wait "$receiver" 2>/dev/null
seq 100000000 | "$TONG" send left --lines &
sender=$!
soon field_is left senders-blocked 1
kill -KILL "$sender"
wait "$sender" 2>/dev/null
kill -KILL "$owner" # the last: whoever comes by takes what it had away
wait "$owner" 2>/dev/null
"$TONG" doctor >"$work/found"
is 'the dead owner is found' "$(grep -c '^repairable: gone: its owner is dead; tong doctor --repair removes it$' "$work/found")" 1
is 'and records of the dead' "$(grep -c '^repairable: \.life: records: [0-9]* left behind by processes that are dead; ' "$work/found")" 1
"$TONG" doctor --repair >"$work/found"
is 'it is repaired' "$(grep -c '^repaired: gone: its owner is dead$' "$work/found")" 1
is 'what was sent is there still' "$("$TONG" receive left --timeout 5)" job
is 'and then there is nothing more of it' "$(to_do | grep -c -e gone -e left -e .life)" 0
t 'where all is well it says so' 0 '*nothing to do' '' "$TONG" doctor
if "$TONG" ls --json >/dev/null 2>&1; then
    mkdir -m 0700 "$TONG_DIR/broken"
    : >"$TONG_DIR/broken/box"
    t 'for programs' 1 '*{"severity":"needs you","what":"broken","why":"not a mailbox*","what_to_do":"tong rm removes it"}*' '' \
        "$TONG" doctor --json
    "$TONG" rm broken
else
    skip 'for programs' 'this tong was built without jansson'
fi

# Its memory, and what is removed at log-out: in a name space of its own, which only root gets everywhere.
if unshare -m true 2>/dev/null; then
    mkdir "$work/small" "$work/logout"
    t 'little memory' 1 "*needs you: $work/small: [0-3] MiB are free for messages; remove mailboxes, or make *" '' \
        unshare -m sh -c 'mount -t tmpfs -o size=3m,mode=0700 none "$1" && TONG_DIR=$1 exec "$0" doctor' "$TONG" "$work/small"
    t 'enough of it' 0 "*information: $work/small: [0-9]* MiB are free for messages*nothing to do" '' \
        unshare -m sh -c 'mount -t tmpfs -o size=64m,mode=0700 none "$1" && TONG_DIR=$1 exec "$0" doctor' "$TONG" "$work/small"
    # as_user LOGIND-CONF COMMAND...: as a plain user of a machine with systemd.
    cat >"$work/as_user" <<'END'
mount -t tmpfs none /run && mkdir -p /run/systemd/system && mount -t tmpfs none /etc/systemd || exit 9
printf '[Login]\n%s\n' "$2" >/etc/systemd/logind.conf
mount -t tmpfs -o mode=1777 none /dev/shm || exit 9
mkdir -m 0700 /dev/shm/mine && chown 12345:12345 /dev/shm/mine
exec setpriv --reuid 12345 --regid 12345 --clear-groups env TONG_DIR=/dev/shm/mine "$1" doctor
END
    cp "$(realpath "$TONG")" "$work/tong" && chmod 0755 "$work" "$work/tong"
    if [ -d /etc/systemd ] && command -v setpriv >/dev/null; then
        t 'what log-out removes' 0 '*information: /dev/shm/mine: systemd-logind may delete *(RemoveIPC=yes); set RemoveIPC=no *' '' \
            unshare -m sh "$work/as_user" "$work/tong" '#RemoveIPC=yes'
        t 'and that it does not' 0 '*nothing to do' '' unshare -m sh "$work/as_user" "$work/tong" 'RemoveIPC=no'
        is 'then nothing of it is said' "$(grep -c RemoveIPC "$work/out")" 0
    else
        skip 'what log-out removes' 'there is no setpriv, or no /etc/systemd to play with'
    fi
else
    skip 'memory and log-out' 'no name space of its own may be made here'
fi
t 'a word too many' 2 '' 'tong: doctor: now is one word too many; *' "$TONG" doctor now
after_kills
finish
