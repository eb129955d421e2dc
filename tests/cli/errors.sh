# errors.sh - bad names, foreign and damaged files, no permission, no memory, unsafe folders: every
# line names the mailbox, the cause and the way out.
. "$(dirname "$0")/lib"

name_rule='a name has 1 to 127 of A-Z a-z 0-9 . _ - and begins with none of . and -'
long=$(printf '%0127d' 0)

for name in .. . .hidden a/b /a 'a b' 'a*' hällo; do
    # What is shown of a name: quoted and escaped where it has to be.
    case $name in
    'a b') shown='"a b"' ;;
    hällo) shown='"h\xc3\xa4llo"' ;;
    *) shown=$name ;;
    esac
    for command in 'create' 'send' 'receive' 'stat' 'rm' 'hold'; do
        "$TONG" "$command" "$name" </dev/null >"$work/out" 2>"$work/err"
        code=$?
        is "$command refuses the name $name" "$code $(cat "$work/err")" \
            "2 tong: $command $shown: an argument that cannot be; $name_rule"
    done
done
is 'an empty name' "$("$TONG" create '' 2>&1)" \
    "tong: create \"\": an argument that cannot be; $name_rule"
is 'a name that begins with a hyphen' "$("$TONG" create -- -a 2>&1)" \
    "tong: create -a: an argument that cannot be; $name_rule"
t 'a name of 128 characters' 2 '' \
    'tong: create 0*0: the name is too long; take a name of at most 127 characters' \
    "$TONG" create "${long}0"
t 'a name of 127 is good' 0 '' '' "$TONG" create "$long"
t 'for messages, too' 0 'x' '' sh -c '"$TONG" send "$0" x && "$TONG" receive "$0"' "$long"
"$TONG" rm "$long"
t 'all characters that may be' 0 '' '' "$TONG" create A_z.0-9
"$TONG" rm A_z.0-9
t 'a carrier nobody knows' 2 '' 'tong: create pigeon:a: an argument that cannot be; *' \
    "$TONG" create pigeon:a
t 'a server that is not there' 1 '' 'tong: create nats://127.0.0.1:1/a: no server answers there*' \
    "$TONG" create nats://127.0.0.1:1/a
t 'the carrier may be named' 0 'x' '' sh -c '"$TONG" send shm:box x && "$TONG" receive box'
"$TONG" rm shm:box
t 'nothing was made of what was refused' 0 '' '' "$TONG" ls

# Foreign and damaged files.
echo junk >"$TONG_DIR/foreign"
mkdir -m 0700 "$TONG_DIR/hollow"
damaged='foreign or damaged bytes, or another version; "tong doctor" says which file, "tong rm * takes the mailbox away'
"$TONG" create good
t 'a foreign file' 1 '' "tong: send foreign: $damaged" "$TONG" send foreign x
t 'is not received from' 1 '' "tong: receive foreign: $damaged" "$TONG" receive foreign
t 'nor looked at' 1 '' "tong: stat foreign: $damaged" "$TONG" stat foreign
t 'nor overwritten' 0 junk '' cat "$TONG_DIR/foreign"
t 'ls shows the others all the same' 1 '*good*' '*tong: ls foreign: *' "$TONG" ls
rm "$TONG_DIR/foreign"
rmdir "$TONG_DIR/hollow"

# damage NAME COMMAND...: makes a mailbox with a message, does that to its box, and looks.
damage() {
    d_name=$1
    shift
    "$TONG" send box x
    (cd "$TONG_DIR/box" && "$@") || not_ok "$d_name" "could not do it"
    for command in 'send box y' 'receive box --timeout 1' 'stat box' 'create box'; do
        # shellcheck disable=SC2086
        t "$d_name: $command" 1 '' "tong: ${command%% *} box: $damaged" "$TONG" $command
    done
    t "$d_name: rm takes it away" 0 '' '' "$TONG" rm box
    t "$d_name: and the name is free" 0 'new' '' \
        sh -c '"$TONG" send box new && "$TONG" receive box --timeout 5'
    "$TONG" rm box
}
damage 'an empty box' truncate -s 0 box
damage 'a truncated box' truncate -s 100 box
damage 'foreign bytes in the box' dd if=/dev/urandom of=box bs=64 count=1 conv=notrunc status=none
damage 'another format version' sh -c 'printf "\377" | dd of=box bs=1 seek=4 conv=notrunc status=none'
damage 'a box of zeroes' sh -c 's=$(stat -c %s box); truncate -s 0 box; truncate -s "$s" box'
damage 'a box that is a link' sh -c 'mv box ../../elsewhere-$$; ln -s ../../elsewhere-$$ box'
rm -f "${TONG_DIR%/*}"/elsewhere-*

# Permission.
if [ "$(id -u)" -eq 0 ]; then
    if ! setpriv --reuid 65534 --regid 65534 --clear-groups true 2>/dev/null; then
        skip permission 'setpriv cannot become another user here'
    else
        cp "$TONG" "$work/tong"
        chmod 755 "$work" "$work/tong"
        other() {
            setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
        }
        "$TONG" create private
        t 'another user may not enter the folder' 1 '' \
            'tong: send private: no permission, or the folder is not safe to use; "tong doctor" looks at the folder *' \
            other "$work/tong" send private x --no-create
        t 'nor list it' 1 '' 'tong: ls: no permission, or the folder is not safe to use; *' \
            other "$work/tong" ls
        mkdir -m 0700 "$work/theirs"
        chown 65534:65534 "$work/theirs"
        t 'a folder of their own is theirs' 0 '' '' \
            env TONG_DIR="$work/theirs" setpriv --reuid 65534 --regid 65534 --clear-groups \
            "$work/tong" create mine
        t 'and nobody uses a folder of another user, not even root' 1 '' \
            'tong: create box: no permission, or the folder is not safe to use; *' \
            env TONG_DIR="$work/theirs" "$TONG" create box
    fi
else
    skip 'permission of another user' 'only root can become another user'
    "$TONG" send box x
    chmod 0000 "$TONG_DIR/box/box"
    t 'a box that may not be opened' 1 '' 'tong: send box: no permission, *; "tong doctor" *' \
        "$TONG" send box y
    chmod 0600 "$TONG_DIR/box/box"
    "$TONG" rm box
    t 'a folder of another user' 1 '' 'tong: create box: no permission, *' \
        env TONG_DIR=/usr "$TONG" create box
fi

# The folder.
mkdir -m 0700 "$work/real"
ln -s real "$work/link"
unsafe='no permission, or the folder is not safe to use; "tong doctor" looks at the folder and says what is wrong'
t 'a folder that is a symbolic link' 1 '' "tong: create box: $unsafe" \
    env TONG_DIR="$work/link" "$TONG" create box
t 'doctor says so' 1 '*'"$work/link"'*' '' env TONG_DIR="$work/link" "$TONG" doctor
holds 'nothing was made behind it' rmdir "$work/real"
mkdir -m 0777 "$work/open"
chmod 0777 "$work/open"
t 'a folder that others may write to' 1 '' "tong: create box: $unsafe" \
    env TONG_DIR="$work/open" "$TONG" create box
t 'doctor names it' 1 '*'"$work/open"'*' '' env TONG_DIR="$work/open" "$TONG" doctor
: >"$work/file"
t 'a folder that is a file' 1 '' "tong: create box: $unsafe" \
    env TONG_DIR="$work/file" "$TONG" create box
t 'a mode for others in a folder of one user' 1 '' \
    'tong: create box: no permission, *; a --mode for others needs a folder that others may enter, *' \
    "$TONG" create box --mode 0660
t 'a folder that is not there is made' 0 x '' \
    env TONG_DIR="$work/made" sh -c '"$TONG" send box x; "$TONG" receive box'
is 'for this user alone' "$(stat -c %a "$work/made")" 700

# Limits.
t 'no descriptors left' 1 '' \
    'tong: send box: the process has no file descriptor left; raise the limit of open files ("ulimit -n")' \
    sh -c 'exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n 4; exec "$TONG" send box x'
is 'sends nothing' "$(field box waiting)" ''
head -c 20000000 /dev/zero >"$work/big"
t 'no memory' 1 '' \
    'tong: send box: the process or the system has no memory left; end other programs, or raise the limit ("ulimit -v")' \
    sh -c 'ulimit -v 20000; exec "$TONG" send box --file "$0"' "$work/big"
is 'sends nothing, too' "$(field box waiting)" 0
t 'with memory it goes' 0 '' '' "$TONG" send box --file "$work/big"
"$TONG" rm box
"$TONG" create small --max-bytes 1M
head -c 2000000 /dev/urandom >"$work/big"
t 'more than max-bytes' 1 '' \
    'tong: send small: no memory left for messages: max_bytes or the file system is full; 1.9 MiB more do not fit, it holds * of max-bytes 1.0 MiB; receive what waits, or make it with more --max-bytes' \
    "$TONG" send small --file "$work/big"
is 'is not sent in part' "$(field small waiting)" 0
t 'the mailbox works on' 0 x '' sh -c '"$TONG" send small x && "$TONG" receive small --timeout 5'

# A full file system, in a mount name space of our own.
cat >"$work/full" <<'END'
mount -t tmpfs -o size=1m,mode=0700 tmpfs "$1" 2>/dev/null || exit 77
TONG_DIR=$1
export TONG_DIR
head -c 100000 /dev/urandom >"$2"
"$TONG" create box --capacity unbounded || exit 1
n=0
while "$TONG" send box --file "$2" 2>"$3"; do
    n=$((n + 1))
    [ "$n" -lt 100 ] || exit 1
done
echo "$n were sent"
cat "$3" >&2
while [ "$n" -gt 0 ]; do
    "$TONG" receive box --timeout 5 | cmp - "$2" || exit 1
    n=$((n - 1))
done
"$TONG" send box --file "$2" || exit 1
"$TONG" region create big --size 900K 2>&1 | sed 's/^/region: /'
END
mkdir -m 0700 "$work/tmpfs"
if [ "$(id -u)" -eq 0 ]; then
    own_mounts='unshare -m'
else
    own_mounts='unshare -rm'
fi
# shellcheck disable=SC2086
$own_mounts sh "$work/full" "$work/tmpfs" "$work/one" "$work/why" >"$work/full-out" 2>"$work/full-err"
code=$?
if [ "$code" -eq 77 ] || ! $own_mounts true 2>/dev/null; then
    skip 'a full file system' 'no file system can be mounted here'
else
    is 'a full file system is an error, never a signal, and loses nothing' "$code" 0
    t 'the line says how much is left' 0 \
        "tong: send box: no memory left for messages: *; the memory of $work/tmpfs has * left; receive what waits, or remove mailboxes" \
        '' cat "$work/full-err"
    t 'for a region, too' 0 '*were sent
region: tong: region big: no memory left *' '' cat "$work/full-out"
fi
finish
