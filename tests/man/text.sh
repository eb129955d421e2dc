#!/bin/bash
# The manual is complete and says what tong.h and the command say: every function with its arguments, every
# macro that begins a struct, every verb and option; and mandoc finds nothing to complain of.
. "$(dirname "$0")/lib.sh"

# Prototypes of tong.h: "type name(argument, argument)" a line.
of_the_header() {
    awk '/^TONG_API / { inside = 1; line = "" }
        inside { line = line " " $0 }
        inside && /;/ { print line; inside = 0 }' "$header" |
        sed 's/TONG_API //; s/;.*//; s/  */ /g; s/^ //; s/ \*\([a-z_]*(\)/ * \1/; s/\* \([a-z_]*(\)/*\1/' | sort
}

# Those of the pages, out of .Ft and .Fn.
of_the_pages() {
    awk '/^\.Ft / { sub(/^\.Ft /, ""); type = $0; next }
        /^\.Fn / && type != "" {
            sub(/^\.Fn /, "")
            name = $1
            sub(/^[^ ]* /, "")
            gsub(/" "/, ", "); gsub(/"/, "")
            print type (type ~ /\*$/ ? "" : " ") name "(" $0 ")"
            type = ""
        }' "$pages"/*.3 | sort
}

every_function_is_described_as_it_is() {
    of_the_header >"$scratch/header"
    of_the_pages >"$scratch/pages"
    [ "$(wc -l <"$scratch/header")" -gt 30 ] && diff "$scratch/header" "$scratch/pages"
}

# The name of a page is the first function in it; the others become links to it.
every_name_is_of_a_function_of_the_page() {
    local page
    for page in "$pages"/*.3; do
        diff <(sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([a-z_]*\).*/\1/p' "$page" | sort) \
            <(sed -n 's/^\.Fn \(tong_[a-z_]*\) ".*/\1/p' "$page" | sort) || return 1
        [ "$(sed -n 's/^\.Nm \([a-z_]*\).*/\1/p' "$page" | head -n 1)" = "$(basename "$page" .3)" ] || return 1
    done
}

every_begin_of_a_struct_is_named() {
    local macro
    for macro in $(sed -n 's/^#define \(TONG_[A-Z_]*_INIT\).*/\1/p' "$header"); do
        grep -qw "$macro" "$pages"/*.3 || echo "not in section 3: $macro"
    done >"$scratch/unnamed"
    cat "$scratch/unnamed"
    [ ! -s "$scratch/unnamed" ]
}

every_verb_is_described() {
    local verb
    for verb in $("$TONG" complete '' | cut -f 1); do
        grep -qE "^\.(Ss|Nm) .*\b(tong|tong Cm) $verb\b" "$pages/tong.1" || echo "not in tong.1: $verb"
    done >"$scratch/missing"
    cat "$scratch/missing"
    [ ! -s "$scratch/missing" ]
}

# verb: the options of its help stand somewhere in the page.
every_option_is_described() {
    local option
    for option in $(for verb in $("$TONG" complete '' | cut -f 1); do
        "$TONG" help "$verb" | sed -n 's/^  --\([a-z-]*\).*/\1/p'
    done | sort -u); do
        grep -qE "[- ]-$option\b" "$pages/tong.1" || echo "not in tong.1: --$option"
    done >"$scratch/missing"
    cat "$scratch/missing"
    [ ! -s "$scratch/missing" ]
}

every_page_that_is_named_is_there() {
    local name section
    sed -n 's/^\.Xr \([a-z_]*\) \([0-9]\).*/\1 \2/p' "$pages"/* | grep '^tong' | sort -u |
        while read -r name section; do
            [ -e "$pages/$name.$section" ] || grep -q "^\.Nm $name\b" "$pages"/*."$section" ||
                echo "no page $name($section)"
        done >"$scratch/missing"
    cat "$scratch/missing"
    [ ! -s "$scratch/missing" ]
}

mandoc_finds_nothing() {
    mandoc -T lint -W warning "$pages"/*.[1-8] && mandoc -T utf8 "$pages"/*.[1-8] >/dev/null
}

for name in every_function_is_described_as_it_is every_name_is_of_a_function_of_the_page \
    every_begin_of_a_struct_is_named every_verb_is_described every_option_is_described \
    every_page_that_is_named_is_there; do
    check $name $name
done
if command -v mandoc >/dev/null; then
    check mandoc_finds_nothing mandoc_finds_nothing
else
    echo 'ok - mandoc_finds_nothing # SKIP mandoc is not installed'
fi
exit $failed
