# completion.sh - what a shell offers while a command line of tong is typed.
. "$(dirname "$0")/lib"

cd "$(dirname "$0")/../.." || exit 1
folder=packaging/completion
mkdir "$work/bin"
ln -s "$(realpath "$TONG")" "$work/bin/tong"
PATH=$work/bin:$PATH
tab='	'

"$TONG" create jam
"$TONG" create jobs
"$TONG" send jobs x
"$TONG" region create board --size 4K
"$TONG" hold mine >"$work/hold" 2>&1 &
holder=$!
soon field_is mine owner process

# offers NAME CANDIDATES WORD...: what the command answers, without what it says about it.
offers() {
    o_name=$1 o_wanted=$2
    shift 2
    is "$o_name" "$("$TONG" complete "$@" | cut -f 1 | tr '\n' ' ')" "${o_wanted:+$o_wanted }"
}

# ---- the command

is 'every command is offered' "$("$TONG" complete '' | cut -f 1 | sort | tr '\n' ' ')" \
    "$("$TONG" help | awk '$1 == "tong" && NF > 2 && $2 !~ /:$/ { print $2 }' | grep -v '^[0-9]' | sort | tr '\n' ' ')"
t 'with what it does' 0 "stat${tab}show what a mailbox is and what it holds" '' "$TONG" complete sta
offers 'the options without a command' '--help --version' --
offers 'mailboxes to send to' 'jam jobs mine' send ''
t 'with what they hold' 0 "jobs${tab}1 waiting, 0 senders, 0 receivers" '' "$TONG" complete receive jo
offers 'one name only' '' send jobs ''
offers 'a name with its carrier' 'shm:jam shm:jobs' stat shm:j
offers 'a name for help' 'stat' help sta
offers 'none for a new mailbox' '' create ''
offers 'each mailbox once' 'jam mine' rm jobs ''
offers 'what can be given' 'jam jobs mine' give ''
offers 'only to processes' 'mine' give jobs ''
offers 'verbs of region' 'create ls stat read write rm' region ''
offers 'regions' 'board' region stat ''
offers 'none for a new region' '' region create ''
offers 'options of the verb' '--offset --length --help' region read board --
offers 'and no other' '--json --help' region ls -
offers 'options by their beginning' '--delivery --dead-letter' create x --de
offers 'each option once' '--delivery' create x --dead-letter jam --de
offers 'also one with its value in it' '--delivery' create --dead-letter=jam x --de
offers 'words of an option' 'block' create x --full b
offers 'behind its =' '--full=block' create x --full=b
offers 'every delivery there is' "$("$TONG" help create | sed -n 's/.*--delivery.*message: //; T; s/, or .*//p' | tr -d ,)" \
    create x --delivery ''
offers 'mailboxes as a value' 'jam jobs mine' create x --dead-letter ''
offers 'files are the business of the shell' ':files' send x --file ''
offers 'and programs' ':commands' receive x --exec ''
offers 'a program to run' ':commands' hold x -- ''
offers 'and its files' ':files' hold x -- cat ''
offers 'a text has no candidates' '' send jobs -- --ti
offers 'nothing for a number' '' send x --timeout ''
offers 'nothing for an unknown command' '' frobnicate ''
offers 'an unknown option is passed over' 'jam jobs' send --frobnicate j
t 'without words it is as with an empty one' 0 "$("$TONG" complete '')" '' "$TONG" complete
t 'it is not in the help' 2 '' 'tong: complete: there is no such command;*' "$TONG" help complete
t 'a closed output is a failure' 1 '' 'tong: complete: standard output: No space left on device' \
    sh -c '"$TONG" complete "" >/dev/full'
t 'a folder that may not be used has no mailboxes' 0 '' '' env TONG_DIR=/proc/none "$TONG" complete send ''

# A command that works on a mailbox that is there offers the mailboxes.
for command in $("$TONG" complete '' | cut -f 1); do
    case $command in create | hold) continue ;; esac
    "$TONG" help "$command" | grep -q "^usage: tong $command NAME" || continue
    offers "$command offers the mailboxes" 'jam jobs mine' "$command" ''
done

# ---- bash: words are parted at = and :, as bash does it
cat >"$work/ask.bash" <<'END'
. "$1" || exit
complete -p tong >/dev/null || exit
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_tong tong "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\n' "${COMPREPLY[@]}"
END

# in_bash NAME CANDIDATES WORD...
in_bash() {
    b_name=$1 b_wanted=$2
    shift 2
    is "bash: $b_name" "$(bash "$work/ask.bash" "$folder/tong.bash" "$@" | sort -u | tr '\n' ' ')" "$b_wanted "
}

in_bash 'verbs' 'stat' tong sta
in_bash 'mailboxes' 'jam jobs' tong send j
in_bash 'options' '--dead-letter --delivery' tong create x --de
in_bash 'words of an option' 'any' tong create x --delivery a
in_bash 'behind its =' 'any' tong create x --delivery = a
in_bash 'right behind its =' \
    "$("$TONG" complete create x --full '' | sort | tr '\n' ' ' | sed 's/ $//')" tong create x --full =
in_bash 'a name with its carrier' 'jobs' tong stat shm : jo
in_bash 'files' 'README.md' tong send jobs --file README.m
in_bash 'programs' 'tong' tong receive jobs --exec tong
in_bash 'verbs and options of a command with verbs' '--mode' tong region create x --m

# ---- fish
if command -v fish >/dev/null; then
    in_fish() {
        is "fish: $1" "$(fish --no-config -c "source $folder/tong.fish; complete -C '$3'" |
            cut -f 1 | sort -u | tr '\n' ' ')" "$2 "
    }
    export XDG_CONFIG_HOME="$work" XDG_DATA_HOME="$work" XDG_CACHE_HOME="$work"
    in_fish 'verbs' 'stat' 'tong sta'
    in_fish 'mailboxes' 'jam jobs' 'tong send j'
    in_fish 'options' '--dead-letter --delivery' 'tong create x --de'
    in_fish 'behind its =' '--delivery=any' 'tong create x --delivery=a'
    in_fish 'files' 'README.md' 'tong send jobs --file README.m'
    in_fish 'programs' 'tong' 'tong receive jobs --exec tong'
else
    skip 'fish' 'it is not installed'
fi

# ---- zsh: typed at a prompt, as a user would; the tab key is pressed, and what then stands there is read
cat >"$work/ask.zsh" <<'END'
zmodload zsh/zpty
zpty shell "TERM=dumb zsh -f -i"
until_seen() {
    local piece
    seen=
    repeat 1000; do
        if zpty -r -t shell piece; then
            seen+=$piece
            [[ $seen != *$1* ]] || return 0
        else
            sleep 0.02
        fi
    done
    return 1
}
zpty -w -n shell "PS1=; COLUMNS=200; autoload -Uz compinit; fpath=($1 \$fpath); compinit -D -u; echo rea''dy"$'\r'
until_seen ready || { print -r -- "not ok - zsh: no prompt: $seen"; exit 1 }
bad=0
while IFS='|' read -r name line wanted; do
    zpty -w -n shell "$line"$'\t'
    if until_seen "$wanted"; then
        print -r -- "ok - zsh: $name"
    else
        print -r -- "not ok - zsh: $name: $seen"
        bad=1
    fi
    zpty -w -n shell $'\x15' # the line is erased
done
zpty -d shell
exit $bad
END
if command -v zsh >/dev/null; then
    zsh -f "$work/ask.zsh" "$PWD/$folder" <<'END' || failures=$((failures + 1))
a verb|tong sta|stat 
a mailbox|tong send jo|jobs 
options, with what they do|tong create x --de|who gets a message
behind its =|tong create x --delivery=a|=any 
a name with its carrier|tong stat shm:jo|shm:jobs 
files|tong send x --file README.m|README.md 
END
else
    skip 'zsh' 'it is not installed'
fi

kill -TERM $holder
wait
after_kills
finish
