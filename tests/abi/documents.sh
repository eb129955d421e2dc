#!/bin/bash
# The documents lead somewhere: every relative link is a file, every script they name can be run.
. "$(dirname "$0")/lib.sh"

documents() {
    find "$ABI_SOURCE" -maxdepth 1 -name '*.md'
    find "$ABI_SOURCE/docs" -name '*.md' 2>/dev/null
}

every_link_leads_to_a_file() {
    local document target
    while read -r document; do
        grep -oE '\]\([^)#]+' "$document" | sed 's/^](//' | grep -vE '^(https?|mailto):' |
            while read -r target; do
                [ -e "$(dirname "$document")/$target" ] || echo "${document#"$ABI_SOURCE/"}: $target"
            done
    done < <(documents) >"$scratch/broken"
    cat "$scratch/broken"
    [ ! -s "$scratch/broken" ]
}

every_named_script_can_be_run() {
    local script n=0
    for script in $(documents | xargs grep -ohE '\./scripts/[a-z-]+' | sort -u); do
        n=$((n + 1))
        [ -x "$ABI_SOURCE/$script" ] || { echo "not there: $script"; return 1; }
    done
    [ $n -ge 2 ]
}

check every_link_leads_to_a_file every_link_leads_to_a_file
check every_named_script_can_be_run every_named_script_can_be_run
exit $failed
