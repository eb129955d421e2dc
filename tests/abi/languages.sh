#!/bin/bash
# A page in Korean, X.ko.md beside X.md, says the same as that one: the same headings by level, blocks of code,
# commands and names between backticks, figures, rows of tables, links and pictures.
. "$(dirname "$0")/lib.sh"

# What of a page does not depend on the language, one thing a line, for each part under its heading.
facts() { # PAGE
    awk '
        /^```/ { block = !block; print "block " $0; next }
        block { print "code " $0; next }
        /^#/ { level = $1; sub(/[^#].*/, "", level); part++; print part " heading " level }
        { text[part] = text[part] "\n" $0 }
        /^\|/ { rows[part]++ }
        END {
            for (p = 0; p <= part; p++) {
                print p " rows " rows[p] + 0
                rest = text[p]
                while (match(rest, /`[^`]*`/)) {
                    word = substr(rest, RSTART + 1, RLENGTH - 2)
                    gsub(/[ \n]+/, " ", word)
                    print p " code " word | sorted
                    rest = substr(rest, 1, RSTART - 1) " " substr(rest, RSTART + RLENGTH)
                }
                while (match(rest, /\]\([^)]*\)/)) {
                    word = substr(rest, RSTART + 2, RLENGTH - 3)
                    sub(/\.ko\.md/, ".md", word)
                    print p " link " word | sorted
                    rest = substr(rest, 1, RSTART - 1) " " substr(rest, RSTART + RLENGTH)
                }
                while (match(rest, /[0-9]+([.,][0-9]+)*/)) {
                    print p " figure " substr(rest, RSTART, RLENGTH) | sorted
                    rest = substr(rest, 1, RSTART - 1) " " substr(rest, RSTART + RLENGTH)
                }
            }
        }' sorted="sort -k 1n -k 2" "$1"
}

pages() {
    find "$ABI_SOURCE" -maxdepth 2 -name '*.ko.md' -not -path '*/build/*' | sort
}

says_the_same() { # KOREAN
    facts "${1%.ko.md}.md" >"$scratch/english"
    facts "$1" >"$scratch/korean"
    [ "$(wc -l <"$scratch/english")" -gt 50 ] || { echo 'hardly anything to compare'; return 1; }
    # A number that is a word in English may be a figure in Korean; none may be missing, or another one.
    diff <(grep -v '^[0-9]* figure ' "$scratch/english") <(grep -v '^[0-9]* figure ' "$scratch/korean") &&
        ! comm -23 <(grep '^[0-9]* figure ' "$scratch/english" | sort) \
            <(grep '^[0-9]* figure ' "$scratch/korean" | sort) | grep .
}

there_are_pages() {
    [ "$(pages | wc -l)" -ge 1 ]
}

check there_are_pages there_are_pages
for page in $(pages); do
    check "$(basename "$page" .ko.md)_says_the_same_in_korean" says_the_same "$page"
done
exit $failed
