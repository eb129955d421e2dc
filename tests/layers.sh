#!/bin/bash
# layers.sh [ROOT] - refuse what breaks the structure of the source tree.
#
# Floors, from the ground up; a file in src/ may include its own floor and those below it:
#
#     base 0   region 1   link 2   mailbox 3   carrier 4   api 5
#
#   - tools/, bench/, examples/ see <tong/tong.h>, system headers and their own folder.
#   - tests/ the same, and tests/kit/; tests/crash/, tests/fail/, tests/fuzz/, tests/step/ and src/**/*_test.[ch] also internal headers.
#   - x.c includes its own x.h first (without one, the header of its folder), so that the header is
#     proven to stand alone; then system headers, then tong's.
#   - A file has at most 800 lines, the public header 2000, for it is one; a function at most 60, from its
#     brace to its brace.
#
# One line for each fault, FILE:LINE: what; exit 1 if there is any.
set -u
export LC_ALL=C

cd "${1:-$(dirname "$0")/..}" || exit 1
folders=()
for folder in include src tools bench examples tests; do
    [ -d "$folder" ] && folders+=("$folder")
done
if [ ${#folders[@]} -eq 0 ]; then
    echo "layers: nothing to look at in $PWD" >&2
    exit 1
fi
mapfile -t files < <(find "${folders[@]}" -type f \( -name '*.c' -o -name '*.h' \) | sort)
mapfile -t scripts < <(find "${folders[@]}" scripts models cmake -type f \
    ! -name '*.c' ! -name '*.h' 2>/dev/null | sort)

# The names first, one on a line, so that the program knows which headers there are.
printf '%s\n' "${files[@]}" | awk '
function fault(what) {
    printf "%s:%d: %s\n", FILENAME, FNR, what
    faults++
}

# The folder of a path, "" without one.
function folder_of(path) {
    return match(path, /.*\//) ? substr(path, 1, RLENGTH - 1) : ""
}

# A source of src/, by its path under src/: its floor, or -1.
function floor_of(path,    first) {
    first = path
    sub(/\/.*/, "", first)
    return (first in floor) ? floor[first] : -1
}

function look_at_src(header,    mine, its) {
    if (is_test && ("tests/kit/" header) in there) {
        return
    }
    if (header == "tong/tong.h") {
        return
    }
    if (!(("src/" header) in there)) {
        fault("includes \"" header "\", which is no header of src/; name it with its folder")
        return
    }
    mine = floor_of(substr(FILENAME, 5))
    its = floor_of(header)
    if (mine < 0) {
        fault("lies on no floor: src/ holds base region link mailbox carrier api")
    } else if (its > mine) {
        fault("includes \"" header "\", floor " its ", from floor " mine " below it")
    }
}

function look_at_outside(header) {
    if ((here "/" header) in there && header !~ /\.\./) {
        return
    }
    if (FILENAME ~ /^tests\// && ("tests/kit/" header) in there) {
        return
    }
    if (FILENAME ~ /^tests\/(crash|fail|fuzz|step)\// && ("src/" header) in there) {
        return
    }
    if (FILENAME ~ /^tests\/fuzz\// && ("tools/tong/" header) in there) {
        return
    }
    if (("src/" header) in there) {
        fault("includes \"" header "\", an internal header; only <tong/tong.h> is to be seen here")
    } else {
        fault("includes \"" header "\", which is not in its own folder")
    }
}

function look_at_angle(header) {
    if (header ~ /^tong\// && header != "tong/tong.h") {
        fault("includes <" header ">; the only public header is <tong/tong.h>")
    } else if (floor_of(header) >= 0) {
        fault("includes <" header ">, an internal header in angle brackets")
    }
}

function look_at_order(header, quoted,    ours) {
    n_includes++
    if (own != "" && n_includes == 1 && header != own && (here "/" header) != own_path) {
        fault("includes " header " first; its own header " own " comes first")
    }
    if (quoted && n_includes == 1) {
        return
    }
    ours = quoted || header ~ /^tong\//
    if (ours) {
        after_ours = header
    } else if (after_ours != "" && header !~ /^cmocka/) {
        fault("includes <" header "> after " after_ours "; system headers come before tong'"'"'s")
    }
}

function begin_file() {
    here = folder_of(FILENAME)
    is_test = FILENAME ~ /_test\.[ch]$/
    n_includes = 0
    after_ours = ""
    body = 0
    own = ""
    own_path = FILENAME
    if (!is_test && sub(/\.c$/, ".h", own_path) && own_path in there) {
        own = own_path
        sub(/^src\//, "", own)
        sub(/^include\//, "", own)
    }
}

BEGIN {
    n = split("base region link mailbox carrier api", name, " ")
    for (i = 1; i <= n; i++) {
        floor[name[i]] = i - 1
    }
}

FILENAME == "-" { there[$0] = 1; next }
FNR == 1 { begin_file() }
FNR == 801 && FILENAME != "include/tong/tong.h" { fault("has more than 800 lines") }
FNR == 2001 { fault("has more than 2000 lines") }

/^#[ \t]*include[ \t]/ {
    quoted = $0 ~ /^#[ \t]*include[ \t]*"/
    header = $0
    sub(/^#[ \t]*include[ \t]*["<]/, "", header)
    sub(/[">].*/, "", header)
    look_at_order(header, quoted)
    if (!quoted) {
        look_at_angle(header)
    } else if (FILENAME ~ /^src\//) {
        look_at_src(header)
    } else if (FILENAME !~ /^include\//) {
        look_at_outside(header)
    } else {
        fault("includes \"" header "\"; the public header stands alone")
    }
}

/^[A-Za-z_].*\(/ { title = $0 }
/^\{/ { body = FNR }
/^\}/ {
    if (body > 0 && FNR - body + 1 > 60) {
        sub(/\(.*/, "", title)
        sub(/.*[ *]/, "", title)
        fault("function " title " has " (FNR - body + 1) " lines, at most 60")
    }
    body = 0
}
END { exit faults > 0 }
' - "${files[@]}"
result=$?

for script in ${scripts[@]+"${scripts[@]}"}; do
    lines=$(wc -l <"$script")
    if [ "$lines" -gt 800 ]; then
        echo "$script:801: has more than 800 lines"
        result=1
    fi
done
[ $result -ne 0 ] || echo "layers: ${#files[@]} files, all in order"
exit $result
