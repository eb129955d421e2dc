# create.sh - tong create: every option, what may not be, what is there already.
. "$(dirname "$0")/lib"

# options_give NAME WANT OPTION...: a mailbox made with the options shows WANT in `tong stat`.
options_give() {
    og_name=$1 og_want=$2
    shift 2
    if ! "$TONG" create box "$@"; then
        not_ok "$og_name" "it is not made"
        return
    fi
    is "$og_name" "$("$TONG" stat box | awk -v want="$og_want" '
        BEGIN { n = split(want, w) }
        { for (i = 1; i <= n; i++) { split(w[i], kv, "="); if ($1 == kv[1]) seen[i] = $1 "=" $2 } }
        END { for (i = 1; i <= n; i++) printf "%s%s", (i > 1 ? " " : ""), seen[i] }')" "$og_want"
    "$TONG" rm box
}

t 'create says nothing' 0 '' '' "$TONG" create plain
is 'the defaults' "$("$TONG" stat plain | grep -v -E '^(id|bytes|links|owner-uid) ' | tr -s ' ')" \
    'name plain
carrier shm
delivery first-come
owner system
full block
capacity unbounded
link-capacity 1024
message-size 0
max-bytes 268435456
by-priority no
max-deliveries unbounded
dead-letter -
mode 0600
owner-pid 0
senders 0
senders-blocked 0
receivers 0
receivers-asleep 0
claimed 0
waiting 0
sent 0
done 0
dropped 0
redelivered 0
set-aside 0
dead-letters 0
expired 0
deaths 0
backstop-finds 0'
is 'the owner is this user' "$(field plain owner-uid)" "$(id -u)"
t 'creating it again with the same options is no failure' 0 '' '' "$TONG" create plain
t 'but with --excl it is' 1 '' \
    'tong: create plain: the name exists already, or exists with other options; *tong rm plain*' \
    "$TONG" create plain --excl
t 'options that differ are named' 1 '' \
    'tong: create plain: it is there with other options, capacity is unbounded, not 3; *"tong rm plain"' \
    "$TONG" create plain --capacity 3
t 'a delivery that differs is named' 1 '' '*, delivery is first-come, not any; *' \
    "$TONG" create plain --delivery any
t 'a message size that differs is named' 1 '' '*, message-size is 0, not 16; *' \
    "$TONG" create plain --message-size 16
t 'a max-bytes that differs is named' 1 '' '*, max-bytes is 268435456, not 1048576; *' \
    "$TONG" create plain --max-bytes 1M
t 'a link capacity that differs is named' 1 '' '*, link-capacity is 1024, not 5; *' \
    "$TONG" create plain --link-capacity 5
t 'a full policy that differs is named' 1 '' '*, full is block, not drop-newest; *' \
    "$TONG" create plain --full drop-newest
t 'a limit of deliveries that differs is named' 1 '' '*, max-deliveries is unbounded, not 3; *' \
    "$TONG" create plain --max-deliveries 3
"$TONG" create three --max-deliveries 3 --dead-letter plain
t 'a dead-letter mailbox that differs is named' 1 '' '*, dead-letter is plain, not none; *' \
    "$TONG" create three --max-deliveries 3
"$TONG" rm three
t 'the mailbox is as it was' 0 'unbounded' '' field plain capacity
"$TONG" rm plain

options_give 'a capacity' 'capacity=3' --capacity 3
options_give 'rendezvous' 'capacity=0' --capacity 0
options_give 'the largest capacity' 'capacity=8388607' --capacity 8388607
options_give 'unbounded means each sender, too' 'capacity=unbounded link-capacity=unbounded' \
    --capacity unbounded
options_give 'unbounded with a limit for each sender' 'capacity=unbounded link-capacity=7' \
    --capacity unbounded --link-capacity 7
options_give 'a link capacity' 'link-capacity=5' --link-capacity 5
options_give 'an unbounded link capacity' 'link-capacity=unbounded' --link-capacity unbounded
options_give 'a message size' 'message-size=64' --message-size 64
options_give 'max-bytes in G' 'max-bytes=1073741824' --max-bytes 1G
options_give 'max-bytes in M' 'max-bytes=3145728' --max-bytes=3M
options_give 'max-bytes in K' 'max-bytes=524288' --max-bytes 512K
options_give 'delivery any' 'delivery=any' --delivery any
options_give 'delivery exclusive' 'delivery=exclusive' --delivery exclusive
options_give 'delivery round-robin' 'delivery=round-robin' --delivery round-robin
options_give 'delivery random' 'delivery=random' --delivery random
options_give 'delivery own:fair' 'delivery=own:fair' --delivery own:fair
options_give 'delivery least-loaded' 'delivery=least-loaded' --delivery least-loaded
options_give 'delivery by-key' 'delivery=by-key' --delivery by-key
options_give 'delivery everyone' 'delivery=everyone' --delivery everyone
options_give 'drop-newest' 'full=drop-newest' --full drop-newest
options_give 'drop-oldest' 'full=drop-oldest' --full drop-oldest
options_give 'order by priority' 'by-priority=yes' --by-priority
options_give 'a mode' 'mode=0600' --mode 600
options_give 'a limit of deliveries' 'max-deliveries=5 dead-letter=-' --max-deliveries 5
"$TONG" create failed
options_give 'the largest, and a dead-letter mailbox' 'max-deliveries=65534 dead-letter=failed' \
    --max-deliveries 65534 --dead-letter failed
"$TONG" rm failed
options_give 'options before the name' 'capacity=4' --capacity=4 --

t 'a capacity that is no number' 2 '' \
    'tong: create: --capacity: many cannot be; say 0 to 8388607, or unbounded, "tong help create" *' \
    "$TONG" create box --capacity many
t 'a capacity that is too much' 2 '' '*--capacity: 8388608 cannot be; say 0 to 8388607*' \
    "$TONG" create box --capacity 8388608
t 'a capacity below zero' 2 '' '*--capacity: -1 cannot be; *' "$TONG" create box --capacity=-1
t 'a link capacity of zero' 2 '' '*--link-capacity: 0 cannot be; say 1 to *' \
    "$TONG" create box --link-capacity 0
t 'a message size that is too much' 2 '' '*--message-size: 4G is too much; at most 4294967295*' \
    "$TONG" create box --message-size 4G
t 'a size that is no number' 2 '' '*--max-bytes: 5X is not a number; say 10, or 4K, 64M, 2G*' \
    "$TONG" create box --max-bytes 5X
t 'an unknown delivery' 2 '' '*--delivery: there is no fair; say one of first-come, any, exclusive, round-robin, random, least-loaded, by-key, everyone*' \
    "$TONG" create box --delivery fair
t 'a policy that cannot be' 2 '' '*--delivery: .x is no name of a policy; a name has 1 to 63 of *' \
    "$TONG" create box --delivery own:.x
t 'an unknown full policy' 2 '' '*--full: there is no explode; say one of block, drop-newest, drop-oldest*' \
    "$TONG" create box --full explode
t 'a mode that is none' 2 '' '*--mode: 0688 is not a mode; say 0600 or 0660*' \
    "$TONG" create box --mode 0688
t 'a mode without its user' 2 '' '*--mode: 0400 is not a mode; say 0600 or 0660*' \
    "$TONG" create box --mode 0400
t 'a mode that lets run' 2 '' '*--mode: 0700 is not a mode; say 0600 or 0660*' \
    "$TONG" create box --mode 0700
t 'no delivery at all' 2 '' '*--max-deliveries: 0 is no delivery; say 1 or more*' \
    "$TONG" create box --max-deliveries 0
t 'too many deliveries' 2 '' '*--max-deliveries: 65535 is too much; at most 65534*' \
    "$TONG" create box --max-deliveries 65535
t 'dead letters without a limit' 2 '' '*--dead-letter needs --max-deliveries; say how often *' \
    "$TONG" create box --dead-letter failed
t 'a mailbox as its own dead letters' 2 '' '*--dead-letter: box cannot be its own; *' \
    "$TONG" create box --max-deliveries 2 --dead-letter box
t 'dead letters to no name' 2 '' '*--dead-letter: .x is no name of a mailbox; *' \
    "$TONG" create box --max-deliveries 2 --dead-letter .x
t 'dead letters to a name with a carrier' 2 '' '*--dead-letter: shm:x is no name of a mailbox; *' \
    "$TONG" create box --max-deliveries 2 --dead-letter shm:x
t 'no memory at all' 2 '' '*--max-bytes: 0 is no memory; say 1M or more*' \
    "$TONG" create box --max-bytes 0
t 'nothing was made by what was refused' 0 '' '' "$TONG" ls
finish
