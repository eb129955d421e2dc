# json.sh - --json of receive, ls, stat, region and doctor.
. "$(dirname "$0")/lib"

"$TONG" create box --capacity 3
if ! "$TONG" stat box --json >/dev/null 2>&1; then
    for command in 'stat box' 'ls' 'receive box' 'doctor' 'region ls'; do
        # shellcheck disable=SC2086
        t "without jansson --json is refused: $command" 1 '' \
            'tong: *: --json: this tong was built without JSON; build it again with jansson *' \
            "$TONG" $command --json
    done
    skip json 'the command was built without jansson'
    finish
fi

t 'stat --json is one object on one line' 0 '{"name":"box","carrier":"shm","id":"*","capacity":3,*}' '' \
    "$TONG" stat box --json
is 'on one line' "$(wc -l <"$work/out")" 1
t 'a number without a limit is null' 0 '*"capacity":null,"link_capacity":1024,*' '' \
    sh -c '"$TONG" create free && "$TONG" stat free --json'
t 'ls --json has an object a line' 0 '{"name":"box",*}
{"name":"free",*}' '' "$TONG" ls --json

"$TONG" send box 'häuser "quoted" \ and
newline'
t 'text is text' 0 '*"data":"häuser \\"quoted\\" \\\\ and\\nnewline"}' '' \
    "$TONG" receive box --json --timeout 5
printf 'a\0b' | "$TONG" send box
t 'a NUL byte is text, too' 0 '*"len":3,"data":"a\\u0000b"}' '' "$TONG" receive box --json --timeout 5
printf '\377\376' | "$TONG" send box
t 'what is not UTF-8 is base64, two bytes' 0 '*"data_base64":"//4="}' '' \
    "$TONG" receive box --json --timeout 5
printf '\377\376\375' | "$TONG" send box
t 'three bytes' 0 '*"data_base64":"//79"}' '' "$TONG" receive box --json --timeout 5
printf '\377' | "$TONG" send box
t 'one byte' 0 '*"data_base64":"/w=="}' '' "$TONG" receive box --json --timeout 5
"$TONG" send box ''
t 'an empty message' 0 '*"len":0,"data":""}' '' "$TONG" receive box --json --timeout 5
"$TONG" send box x
t 'who sent it stands there' 0 \
    "{\"mailbox\":\"box\",\"sequence\":*,\"deliveries\":1,\"uid\":$(id -u),\"gid\":$(id -g),\"pid\":*,\"uid_verified\":true,\"len\":1,\"data\":\"x\"}" \
    '' "$TONG" receive box --json --timeout 5
"$TONG" send box one
"$TONG" send box two
t 'an object a line' 0 '{*"data":"one"}
{*"data":"two"}' '' "$TONG" receive box --json --count 2 --timeout 5

"$TONG" create dead
"$TONG" create jobs --max-deliveries 2 --dead-letter dead
t 'stat --json has the limit of deliveries' 0 \
    '*"max_deliveries":2,"dead_letter":"dead",*"set_aside":0,"dead_letters":0,"expired":0,*' '' \
    "$TONG" stat jobs --json
t 'which is null where there is none' 0 '*"max_deliveries":null,"dead_letter":null,*' '' \
    "$TONG" stat dead --json
"$TONG" send jobs poison
"$TONG" receive jobs --count 2 --ack --exec false 2>/dev/null
t 'a message handed out too often is moved' 3 '' '*' "$TONG" receive jobs --json --timeout 0
t 'a dead letter says where it comes from' 0 \
    "{\"mailbox\":\"dead\",\"sequence\":0,\"deliveries\":1,*,\"uid_verified\":true,\"origin_mailbox\":\"jobs\",\"origin_id\":\"$(field jobs id)\",\"origin_sequence\":0,\"origin_deliveries\":2,\"origin_uid\":$(id -u),\"origin_pid\":*,\"len\":6,\"data\":\"poison\"}" \
    '' "$TONG" receive dead --json --timeout 5

"$TONG" region create shelf --size 8K
t 'region ls --json' 0 '{"name":"shelf","size":8192,*,"locked":false}' '' "$TONG" region ls --json
t 'region stat --json' 0 '{"name":"shelf","size":8192,*,"owner":"system",*,"mode":"0600",*}' '' \
    "$TONG" region stat shelf --json
"$TONG" doctor --json >"$work/doctor"
is 'doctor --json has objects only' "$(grep -c -v '^{"severity":"[a-z ]*","what":".*","why":".*","what_to_do":".*"}$' "$work/doctor")" 0
finish
