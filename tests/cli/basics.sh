# basics.sh - help, version, and what is no command line at all.
. "$(dirname "$0")/lib"

t 'tong alone shows the two commands that matter' 0 \
    'tong *: processes talk through mailboxes*tong receive hello*tong send hello "Hi there"*' '' "$TONG"
t 'help lists every command' 0 \
    '*create *hold *send *receive *ls *stat *rm *region *graph *metrics *tour *doctor *help *version *Exit: 0*' '' \
    "$TONG" help
t '--help is help' 0 'tong *tong create *' '' "$TONG" --help
t '-h is help' 0 'tong *tong create *' '' "$TONG" -h
t 'version is one line' 0 'tong [0-9]*.[0-9]*.[0-9]*' '' "$TONG" version
t '--version is version' 0 "$out" '' "$TONG" --version
t '-V is version' 0 "$out" '' "$TONG" -V

for command in $("$TONG" complete '' | cut -f 1); do
    t "help $command begins with two examples" 0 \
        "tong $command - *$nl$nl  *tong $command*$nl  *tong *usage: tong $command*" '' \
        "$TONG" help "$command"
    is "$command --help is the same" "$("$TONG" "$command" --help)" "$out"
    t "$command refuses an option it does not know" 2 '' \
        "tong: $command: there is no option --nonsense;*\"tong help $command\" shows how" \
        "$TONG" "$command" --nonsense
done

t 'an unknown command' 2 '' 'tong: frobnicate: there is no such command; "tong help" lists them all' \
    "$TONG" frobnicate
t 'a mistyped command is recognised' 2 '' \
    'tong: recieve: there is no such command; "tong receive" is like it' "$TONG" recieve
t 'help for an unknown command' 2 '' 'tong: frobnicate: there is no such command;*' \
    "$TONG" help frobnicate
t 'an unknown command is printed without its control bytes' 2 '' \
    'tong: "\\x1b\[31mx": there is no such command;*' "$TONG" "$(printf '\033[31mx')"

t 'a missing name' 2 '' 'tong: send: the NAME is missing; "tong help send" shows how' "$TONG" send
for command in create hold receive stat rm; do
    t "$command without a name" 2 '' "tong: $command: the NAME is missing; *" "$TONG" "$command"
done
t 'a word too many' 2 '' 'tong: stat: b is one word too many; *' "$TONG" stat a b
t 'a text of several words needs quotes' 2 '' \
    'tong: send: are is one word too many; put a text of several words in quotes, *' \
    "$TONG" send a how are you 
t 'an option without its value' 2 '' 'tong: receive: --count needs a value; *' \
    "$TONG" receive a --count
t 'an option given twice' 2 '' 'tong: receive: --count was given twice; *' \
    "$TONG" receive a --count 1 --count=2
t 'a switch with a value' 2 '' 'tong: receive: --follow takes no value; *' \
    "$TONG" receive a --follow=yes
t 'a text with a hyphen needs --' 2 '' \
    'tong: send: there is no option -5; put -- before a text that begins with a hyphen, *' \
    "$TONG" send a -5
t 'nothing was made by all this' 0 '' '' "$TONG" ls
t 'a closed output is a failure' 1 '' 'tong: help: standard output: No space left on device' \
    sh -c '"$TONG" help >/dev/full'
finish
