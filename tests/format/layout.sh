#!/bin/bash
# docs/format.md tells the truth: every field of every shared struct, and every constant of the
# format, stands in its tables with the offset, size or value that the compiler gives it, and nothing
# else stands there. The fields are read from the layout headers, so a new one cannot be forgotten.
#
#   layout.sh SOURCE [CC]
source=${1:?the source tree}
. "$source/tests/kit/check.sh"

cc=${2:-${CC:-cc}}
document=$source/docs/format.md
headers=(region/region_layout.h link/link_layout.h mailbox/box_layout.h carrier/unix/layout.h)
# Parts of the format that other headers hold.
others=(TG_LINKS_MAX TG_TOKEN_WAITERS TG_TOKEN_PENDING TG_TOKEN_FLAGS)

# The layout headers without their comments.
bare_headers() {
    local header
    for header in "${headers[@]}"; do
        cat "$source/src/$header"
    done | awk '
        {
            line = $0
            out = ""
            while (line != "") {
                if (inside) {
                    at = index(line, "*/")
                    if (at == 0) { line = "" } else { line = substr(line, at + 2); inside = 0 }
                } else {
                    at = index(line, "/*")
                    if (at == 0) { out = out line; line = "" }
                    else { out = out substr(line, 1, at - 1); line = substr(line, at + 2); inside = 1 }
                }
            }
            print out
        }'
}

# "FIELD struct name" for each field, "PART ..." for one of an array of structs, "STRUCT struct".
fields() {
    awk '
        /^struct [a-z_]+ \{/ { name = $2; print "STRUCT " name; depth = 1; next }
        depth == 1 && /^\};/ { depth = 0; next }
        depth == 1 && /^ +struct \{/ { depth = 2; n = 0; next }
        depth == 2 && /\}/ {
            field = $0; sub(/.*\} */, "", field); sub(/[[;].*/, "", field)
            print "FIELD " name " " field
            for (i = 0; i < n; i++) { print "PART " name " " field "[0]." part[i] }
            depth = 1; next
        }
        depth > 0 && /;/ {
            field = $0; sub(/;.*/, "", field); sub(/\[.*/, "", field); sub(/.* /, "", field)
            if (depth == 2) { part[n++] = field } else { print "FIELD " name " " field }
        }' "$scratch/bare"
}

# The constants: object-like macros and the members of enums.
constants() {
    awk '
        /^#define TG_[A-Z_0-9]+ / && $3 !~ /^"/ { print $2 }
        /^enum / { inside = 1; next }
        /^\};/ { inside = 0 }
        inside && /TG_/ { print $1 }' "$scratch/bare" | sed 's/,$//' | grep -v '_H$'
    printf '%s\n' "${others[@]}"
}

program() {
    printf '#include <stdio.h>\n#include "mailbox/box_layout.h"\n'
    printf '#include "carrier/unix/layout.h"\n'
    printf '#include "region/region_layout.h"\nint main(void)\n{\n'
    while read -r kind struct field; do
        case $kind in
        STRUCT)
            printf 'printf("struct %s | %%zu\\n", sizeof(struct %s));\n' "$struct" "$struct"
            ;;
        *)
            printf 'printf("%s | %%zu | %%zu | %s\\n", offsetof(struct %s, %s), ' \
                "$struct" "$field" "$struct" "$field"
            printf 'sizeof(((struct %s *)0)->%s));\n' "$struct" "$field"
            ;;
        esac
    done
    constants | while read -r name; do
        printf 'printf("%s | %%#llx\\n", (unsigned long long)(%s));\n' "$name" "$name"
    done
    printf 'return 0;\n}\n'
}

# What the document says, in the same words. A struct begins with a heading that names it and its
# size; a constant is a row that begins with its name.
from_document() {
    awk -F ' *\\| *' '
        /^#+ .*`struct [a-z_]+`, [0-9]+ bytes/ {
            name = $0; sub(/.*`struct /, "", name); sub(/`.*/, "", name)
            size = $0; sub(/.*`, /, "", size); sub(/ bytes.*/, "", size)
            print "struct " name " | " size; next
        }
        /^#/ { name = "" }
        name != "" && $2 ~ /^[0-9]+$/ {
            field = $4; gsub(/`/, "", field)
            print name " | " $2 " | " $3 " | " field
        }
        $2 ~ /^`TG_[A-Z_0-9]+`$/ { gsub(/`/, "", $2); gsub(/`/, "", $3); print "C " $2 " " $3 }
        ' "$document" | while read -r first second third rest; do
        if [ "$first" = C ]; then
            printf '%s | %#x\n' "$second" "$third"
        else
            echo "$first $second $third $rest" | sed 's/ *$//'
        fi
    done
}

# What the compiler put between or behind the fields, as rows of their own: it must be named, too.
padding() {
    awk -F ' [|] ' '
        function gap(from, to) { if (from != to) { print name " | " from " | " to - from " | padding" } }
        /^struct / { if (name != "") { gap(at, size) }; name = substr($1, 8); size = $2; at = 0; next }
        NF == 4 && $4 !~ /\./ { gap(at, $2); at = $2 + $3 }
        END { gap(at, size) }' "$scratch/headers"
}

the_program_builds() {
    "$cc" -std=c11 -D_GNU_SOURCE -I"$source/src" -I"$source/include" -o "$scratch/layout" \
        "$scratch/layout.c" && "$scratch/layout" >"$scratch/headers" &&
        [ "$(grep -c '^struct ' "$scratch/headers")" -ge 10 ]
}

# "-": the document says so, ">": the headers do.
the_document_agrees() {
    from_document | sort >"$scratch/said"
    { cat "$scratch/headers"; padding; } | sort | diff --old-line-format='docs/format.md:  %L' \
        --new-line-format='layout headers:  %L' --unchanged-line-format= "$scratch/said" -
}

bare_headers >"$scratch/bare"
fields | program >"$scratch/layout.c"
check the_layout_headers_build the_program_builds
[ $failed = 0 ] || exit 1
check the_document_says_what_the_headers_say the_document_agrees

# The asserted offsets hold for a 32-bit program, too. Where the C library for one is not installed, its
# headers do: all they lack is an empty list of stubs.
mkdir -p "$scratch/include/gnu"
: >"$scratch/include/gnu/stubs-32.h"
multiarch=$("$cc" -print-multiarch 2>/dev/null)
narrow=("$cc" -std=c11 -D_GNU_SOURCE -m32 -march=i686 -Wno-psabi -fsyntax-only -I"$source/src" -I"$source/include"
    -isystem "$scratch/include" -isystem "/usr/include/$multiarch")
for header in "${headers[@]}"; do
    echo "#include \"$header\""
done >"$scratch/narrow.c"
printf '#include <stdatomic.h>\n#include <stdint.h>\n%s\n' \
    '_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "");' >"$scratch/probe.c"
if "${narrow[@]}" "$scratch/probe.c" >/dev/null 2>&1; then
    check a_32_bit_program_has_the_same_layout "${narrow[@]}" "$scratch/narrow.c"
else
    echo "ok - a_32_bit_program_has_the_same_layout # SKIP $cc has no lock-free 64-bit words for 32-bit programs here"
fi
exit $failed
