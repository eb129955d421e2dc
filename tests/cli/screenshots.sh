# screenshots.sh - ./scripts/screenshots still makes the pictures of README.md, and they show what they are for.
. "$(dirname "$0")/lib"

source=$(dirname "$0")/../..
build=$(dirname "$(dirname "$(realpath "$TONG")")")
for need in script python3; do
    command -v $need >/dev/null || { skip 'the pictures' "$need is not installed"; finish; }
done
if [ ! -x "$build/tests/cli/circle" ]; then
    skip 'the pictures' 'tests/cli/circle was not built'
    finish
fi
if "$TONG" top 2>&1 </dev/null | grep -q 'without a terminal view'; then
    skip 'the pictures' 'this tong was built without ncurses'
    finish
fi

# shows FILE WORD...: a picture that is whole, and has these words in it.
cat >"$work/shows.py" <<'END'
import sys
import xml.etree.ElementTree as tree
text = " ".join(tree.parse(sys.argv[1]).getroot().itertext())
missing = [word for word in sys.argv[2:] if word not in text]
print("missing:", missing) if missing else None
sys.exit(bool(missing))
END
shows() {
    python3 "$work/shows.py" "$@"
}

mkdir "$work/pictures"
t 'they are made' 0 '*top.svg*tour.svg*' '*' "$source/scripts/screenshots" "$build" "$work/pictures"
top="$work/pictures/top.svg"
holds 'tong top' shows "$top" 'tong top ' 'MAILBOX' 'orders' 'frames' 'circle.0' '2 in a circle of waiting' 'who waits for whom' \
    'greeter' 'shop' 'q quit  s sort: waiting'
holds 'in red, what waits in a circle' grep -q 'fill="#c0392b".*circle\.1' "$top"
holds 'the tour' shows "$work/pictures/tour.svg" '3.2.6  Three processes share a mailbox' 'EBUSY' 'tong_options.delivery'
if [ -e "$work/pictures/graph.svg" ]; then
    holds 'the graph' shows "$work/pictures/graph.svg" 'orders' 'circle of waiting'
else
    skip 'the graph' 'Graphviz is not installed'
fi
for picture in top graph tour; do
    holds "README.md shows $picture.svg" grep -q "](docs/$picture.svg)" "$source/README.md"
    holds "which is there" shows "$source/docs/$picture.svg"
done
after_kills
finish
