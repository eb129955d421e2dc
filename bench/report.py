#!/usr/bin/env python3
"""report.py - docs/performance.md, its plots, and the table of README.md, from bench/results.

    report.py                  writes them
    report.py --goals PROGRAM  the measures of a program of bench/ that the table of goals shows, with | between
    report.py --goals          the cells of bench/run.py that it shows, as a pattern
    report.py --check FILE     which rows are beyond their limits; exit 1 if one is

Nothing in them is written by hand but the sentences here. gnuplot draws the plots; without it they stay as
they were.
"""
import json
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TITLES = {
    "raw-ring": "bare ring", "raw-line": "two cache lines", "raw-copy": "one raw copy", "raw-futex": "bare futex",
    "boost-spsc": "Boost lockfree spsc", "boost-mq": "Boost message_queue", "openmpi": "Open MPI",
    "mpich": "MPICH", "posix-mq": "POSIX mq", "pipe": "pipe", "unix-seqpacket": "Unix seqpacket",
    "zeromq": "ZeroMQ", "cyclonedds": "Cyclone DDS", "redis": "Redis", "nats": "NATS",
}
MODES = {"poll": "polls", "block": "sleeps", "default": "spins briefly, then sleeps", "in-place": "in place"}
SIZES = [64, 1024, 65536, 1048576]
MORE_DECISIONS = ("0015", "0031", "0032", "0033", "0035")  # on speed, named below the goals


def load(name):
    with open(os.path.join(ROOT, "bench", "results", name)) as f:
        return json.load(f)


def title(peer):
    return TITLES.get(peer, peer)


def size_name(size):
    for unit, n in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if size >= n:
            return "%d %s" % (size // n, unit)
    return "%d B" % size


def number(x):
    if x is None:
        return ""
    if x >= 100:
        return "%.0f" % x
    return "%.1f" % x if x >= 10 else "%.2f" % x


def time_name(ns):
    if ns is None:
        return ""
    for unit, n in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= n:
            return "%s %s" % (number(ns / n), unit)
    return "%.0f ns" % ns


def spread(c):
    if "ratio" not in c:
        return "none counted"
    return "%s (%s to %s)" % (number(c["ratio"]), number(c["min"]), number(c["max"]))


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(str(x) for x in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


# Work of the goals, its goal, and where its figure stands: a cell of peers.json or a measure of modes.json.
GOALS = [
    ("round trip 8 B, polling", "<=", 1.25, "tong poll trip 8", "two cache lines"),
    ("round trip 64 B, polling", "<=", 1.25, "tong poll trip 64", "two cache lines"),
    ("round trip 64 B, default mode, two processors", "<=", 1.35, "tong default trip 64", "two cache lines"),
    ("round trip 64 B, default mode, one processor", "<=", 1.15, "tong default trip 64 one-cpu", "bare futex"),
    ("round trip 64 B, asleep", "<=", 1.1, "tong default trip 64 rested", "bare futex"),
    ("round trip 1 KiB", "<=", 2.2, "tong default trip 1024", "two cache lines"),
    ("round trip 64 KiB", "<=", 0.8, "tong default trip 65536", "raw copy in and out"),
    ("round trip 1 MiB", "<=", 0.7, "tong default trip 1048576", "raw copy in and out"),
    ("round trip 1 MiB, in place", "<=", 0.5, "tong in-place trip 1048576", "raw copy in and out"),
    ("rate 64 B, one by one", ">=", 0.5, "tong default rate 64 fenced", "bare ring with the fence"),
    ("the same", "", None, "tong default rate 64", "bare ring without it"),
    ("rate 64 B, 32 at once", ">=", 0.8, "64 B 32 at once : plain ring, 32 at once", "bare ring, 32 at once"),
    ("rate 64 KiB, copying", ">=", 0.9, "tong default rate 65536", "memcpy in and out"),
    ("rate 1 MiB, copying", ">=", 0.9, "tong default rate 1048576", "memcpy in and out"),
    ("rate 1 MiB, in place", ">=", 0.95, "tong in-place rate 1048576", "memcpy in and out"),
    ("64 senders, 32 at once", ">=", 10, "64 senders, 32 at once : shared ring of 1024, waking each",
     "shared compare-and-swap ring"),
    ("512 senders, 32 at once", ">=", 10, "512 senders, 32 at once : shared ring of 1024, waking each",
     "shared compare-and-swap ring"),
    ("64 senders, 32 at once", ">=", 0.5, "64 senders, 32 at once : 1 sender, 32 at once", "one sender"),
    ("512 senders, 32 at once", ">=", 0.5, "512 senders, 32 at once : 1 sender, 32 at once", "one sender"),
    ("512 attached, 1 sends", ">=", 0.8, "512 attached, 1 sends : 1 attached", "1 attached"),
    ("capacity 1024, 1 sender", ">=", 0.9, "1 sender, capacity 1024 : link_capacity 1024", "link_capacity 1024"),
    ("capacity 1024, 8 senders", ">=", 0.7, "8 senders, capacity 1024 : link_capacity 1024", "link_capacity 1024"),
    ("4 receivers, first-come, claims", ">=", 0.5, "4 receivers claim, first-come : 1 receiver claims",
     "one receiver"),
    ("unbounded, no backlog, 64 B", ">=", 0.95, "unbounded : link_capacity 1024, no backlog, 64 B", "bounded"),
    ("unbounded, 1 GiB waits, 1 KiB", ">=", 0.5, "unbounded, 1 GiB waits : link_capacity 1024, 1 KiB", "bounded"),
    ("unbounded, 1 GiB waits, 64 B", ">=", 0.5, "unbounded, 1 GiB waits : link_capacity 1024, 64 B", "bounded"),
    ("the same, 1 KiB", "", None, "unbounded, 1 GiB waits : full ring of 1 GiB, 1 KiB", "bare ring of 1 GiB, full"),
    ("the same, 64 B", "", None, "unbounded, 1 GiB waits : full ring of 1 GiB, 64 B", "bare ring of 1 GiB, full"),
    ("the same, 1 KiB", "", None, "unbounded, 1 GiB waits : new pages, 1 KiB", "pages that are new each time"),
    ("open, first message, close", "<=", 3, "open, first message, close : a Unix socket's", "Unix socket"),
    ("process open, first message, close", "<=", 3, "process open, first message, close : a bound Unix socket's",
     "bound Unix socket"),
    ("a link after its first message", "<=", 12, "a link after its first message", "KiB"),
    ("two processes that talk, resident", "<=", 4, "two processes that talk, resident memory", "MiB"),
    ("one-shot `tong send`", "<=", 2, "create, N x tong send : N x /bin/true", "/bin/true"),
]


# Where the measures of modes.json come from: the first word that fits.
PROGRAMS = [("unbounded", "rate"), ("64 B 32 at once", "rate"), ("512 attached", "crowd"), ("receivers claim", "crowd"),
            ("sender", "senders"), ("tong send", "oneshot"), ("", "setup")]


def is_cell(key):
    return key.startswith("tong ")


def program_of(key):
    return next(program for word, program in PROGRAMS if word in key)


def print_goals(program):
    keys = [key for _, _, _, key, _ in GOALS]
    if program is None:
        print("|".join("^%s$" % re.escape(key) for key in keys if is_cell(key)))
    else:
        print("|".join(key for key in keys if not is_cell(key) and program_of(key) == program))


def check(path):
    """Rows that were measured steadily, against what bench/limits.json allows. Exit code."""
    with open(path) as f:
        limits = json.load(f)["measures"]
    figures = {m["measure"]: m for m in load("modes.json")["measures"] if "measure" in m}
    beyond = 0
    for work, sense, _, key, _ in GOALS:
        f, limit = figures.get(key), limits.get(key)
        if f is None or limit is None or "ratio" not in f or not is_steady(f):
            continue
        if f["ratio"] > limit if sense == "<=" else f["ratio"] < limit:
            print("%s: %.2f, the limit is %s %g" % (work, f["ratio"], sense, limit))
            beyond = 1
    return beyond


def is_steady(f):
    """At least three ratios, within a factor of two. A value that is no ratio always is."""
    return "value" in f or (f.get("n", 0) >= 3 and f["max"] <= 2 * f["min"])


def goal_words(sense, goal):
    return "" if goal is None else "%s %g" % (sense.replace("<=", "≤").replace(">=", "≥"), goal)


def verdict_of(f, value, sense, goal):
    if not is_steady(f):
        return "unsteady"
    if goal is None:
        return ""
    return "reached" if (value <= goal if sense == "<=" else value >= goal) else "**missed**"


def goal_rows(figures):
    """A row without a goal shows what the machine itself does."""
    rows = []
    for work, sense, goal, key, beside in GOALS:
        f = figures.get(key)
        if f is None:
            rows.append([work, beside, "not measured", "", goal_words(sense, goal), ""])
            continue
        value = f.get("ratio") if "value" not in f else f["value"]
        n = f.get("n", "")
        counted = value is not None and ("value" in f or n)
        verdict = verdict_of(f, value, sense, goal) if counted else ""
        shown = number(f["value"]) if "value" in f else spread(f) if counted else "none counted"
        rows.append([work, beside, shown, n, goal_words(sense, goal), verdict])
    return rows


def is_ordinary(c):
    return not c["one_cpu"] and not c["rest_us"] and not c.get("fenced")


def trips_64(cells):
    rows = [c for c in cells if c["what"] == "trip" and c["size"] == 64 and is_ordinary(c) and "p50_ns" in c]
    return sorted(rows, key=lambda c: c["p50_ns"])


def trip_table(cells):
    return table(
        ["system", "mode", "ratio to its base", "base", "n", "p50", "p99", "p99.9", "trips timed", "CPU per trip, both"],
        [[title(c["peer"]), MODES[c["mode"]], spread(c), title(c["base"].split()[0]), c["n"], time_name(c["p50_ns"]),
          time_name(c["p99_ns"]), time_name(c["p999_ns"]), "%d" % c["timed"],
          time_name(c.get("cpu_ns_0", 0) + c.get("cpu_ns_1", 0))] for c in trips_64(cells)])


def by_size(cells, what):
    found = {(c["peer"], c["mode"], c["size"]): c for c in cells
             if c["what"] == what and is_ordinary(c)}
    names = []
    for c in cells:
        if c["what"] == what and (c["peer"], c["mode"]) not in names:
            names.append((c["peer"], c["mode"]))
    rows = []
    for peer, mode in names:
        row = [title(peer), MODES[mode]]
        for size in SIZES:
            c = found.get((peer, mode, size))
            row.append(spread(c) if c and "ratio" in c else "" if c is None or "skipped" in c else "none counted")
        if any(row[2:]):
            rows.append(row)
    return table(["system", "mode"] + [size_name(s) for s in SIZES], rows)


def special_table(cells):
    rows = []
    for c in cells:
        if (c["one_cpu"] or c["rest_us"]) and "p50_ns" in c:
            where = "one processor" if c["one_cpu"] else "after a rest of %g ms" % (c["rest_us"] / 1000)
            rows.append([where, title(c["peer"]), spread(c), c["n"], time_name(c["p50_ns"]), time_name(c["p99_ns"])])
    return table(["where", "system", "ratio to the bare futex", "n", "p50", "p99"], sorted(rows, key=lambda r: r[0]))


def memory_table(cells):
    rows = []
    for c in trips_64(cells):
        if not c["peer"].startswith("raw-") and "rss_kib_0" in c and "rss_kib_1" in c:
            rows.append([title(c["peer"]), MODES[c["mode"]], "%.1f" % ((c["rss_kib_0"] + c["rss_kib_1"]) / 1024),
                         "%.1f" % ((c["pss_kib_0"] + c["pss_kib_1"]) / 1024)])
    return table(["system", "mode", "resident, MiB, both", "proportional, MiB, both"], rows)


# ------------------------------------------------------------------ plots

def plot(name, commands):
    if not shutil.which("gnuplot"):
        return
    path = os.path.join(ROOT, "docs", name)
    text = ("set terminal svg noenhanced size 900,520 font 'sans,13' background 'white'\nset output '%s'\n"
            "set grid\n" % path) + commands
    subprocess.run(["gnuplot"], input=text, text=True, check=True)


def plot_trips(cells):
    rows = trips_64(cells)
    if not rows:
        return
    data = "".join('"%s, %s" %g %d\n' % (title(c["peer"]), MODES[c["mode"]].split(",")[0].replace("spins briefly", "default"),
                                        c["p50_ns"] / 1000, 2 if c["peer"] == "tong" else 1) for c in rows)
    plot("performance_trip.svg", "$d << E\n%sE\nset title 'Round trip of 64 B, median: tong in orange'\n"
         "set ylabel 'µs (logarithmic)'\nset logscale y\nset style fill solid\nset boxwidth 0.7\n"
         "set xtics rotate by -50 scale 0\nset yrange [0.05:*]\nunset key\nset bmargin 11\nset rmargin 6\n"
         "plot $d using 0:2:($3==2?0xd95f02:0x7f8fa6):xtic(1) with boxes lc rgb variable\n" % data)


def plot_sizes(cells, what, name, heading, ylabel, convert):
    lines = {}
    for c in cells:
        key = "typical_ns"
        if c["what"] == what and is_ordinary(c) and key in c:
            lines.setdefault((c["peer"], c["mode"]), []).append((c["size"], convert(c)))
    blocks, plots = [], []
    for i, ((peer, mode), points) in enumerate(sorted(lines.items(), key=lambda x: x[0][0] != "tong")):
        if len(points) < 2:
            continue
        blocks.append("$d%d << E\n%sE\n" % (i, "".join("%d %g\n" % p for p in sorted(points))))
        look = "lw 4" if peer == "tong" else "lw 1"
        plots.append("$d%d with linespoints %s title '%s, %s'" % (
            i, look, title(peer), MODES[mode].split(",")[0].replace("spins briefly", "default")))
    if plots:
        plot(name, "".join(blocks) + "set title '%s'\nset xlabel 'bytes of a message'\nset ylabel '%s'\n"
             "set logscale xy\nset key outside right font ',9'\nset xtics format '%%.0s%%c'\nplot %s\n"
             % (heading, ylabel, ", ".join(plots)))


# ------------------------------------------------------------------ documents

def everyone_table(figures):
    sizes = ("64 B", "4 KiB", "64 KiB", "1 MiB")
    what = [("to one receiver", "a message to 1 receiver"), ("each receiver more", "each receiver more")]
    rows = []
    for text, key in what:
        values = [figures.get("everyone, %s: %s" % (size, key)) for size in sizes]
        rows.append([text] + ["not measured" if v is None else "%.0f" % v["value"] for v in values])
    return table(["message"] + list(sizes), rows)


PAGE = """# How fast tong is

<!-- Made by bench/report.py from bench/results: change that, not this. -->

What another machine would say differs; a ratio to what the same machine can do at all differs less. So every
figure here is a ratio, and the absolute times beside it are of this machine alone: {processor},
{cpus} virtual processors, Linux {kernel}, {date}.

    ./scripts/bench            # installs the other systems, measures all, writes this page
    ./scripts/bench --table    # the table of goals alone, in less than 20 minutes
    ./scripts/bench --quick    # the most important ratios of tong in two minutes
    tong bench                 # tong and your own machine, nothing else

**How.** One harness (`bench/peers/main.c`) and one program for each system; two processes pinned to two
processors. A round goes through all cells in turn, each between two runs of its base; a ratio counts only when
those two agree within 10 %. Shown is the median of the ratios that counted (at least {rounds} were wanted), with the smallest
and the largest. A figure is the median of many batches of about 30 µs in one sample (of rates: of 1024 messages), so
that what else the machine does hardly shows in it; the means stand in `bench/results/peers.json`, too. The base of small round
trips is *two cache lines*, each with one writer, and `pause`, up to 1,000,000 round trips; of long ones *one raw copy* in and out of shared memory, each way; of those that
sleep a *bare futex*; of rates a *bare ring* with one sender and one receiver that copies in and out, spins, and
knows nothing else; *with the fence* it looks, behind each message and behind each place it frees, whether the other side
sleeps. Messages are copied in and copied out by every system, but where it says "in place". Percentiles are
of single round trips with a clock around each (their number is in the table), which adds about 25 ns.

{quiet}
## Goals

{goals}
*Unsteady*: fewer than three ratios counted, or they lay further apart than a factor of two. What was tried for those that are
missed, with numbers, is in [decisions/](decisions/): the round trip in
[0018](decisions/0018-the-round-trip.md), long messages in [0030](decisions/0030-long-messages-in-turn.md){more}.

## Round trip of 64 bytes

![Round trips of 64 bytes](performance_trip.svg)

{trips}
## Round trips by size

Ratio to two cache lines up to 4 KiB and to one raw copy above, or to the bare futex for those that sleep. Smaller is
better.

![Round trips by size](performance_trip_size.svg)

{trip_sizes}
## One way, as fast as it goes

Ratio to the bare ring of the same size, 64 messages deep or 8 MiB. Larger is better.

![Rates by size](performance_rate_size.svg)

{rate_sizes}
## To everyone, in place

What a message costs that one process writes in place and each of n receivers claims and is done with, and what each receiver
more adds to it; ns. Nobody copies, so what it adds hardly grows with the message. `build/release/bin/bench/everyone` measures it alone
(`--quick`: in half a minute).

{everyone}
## On one processor, and the first message after a rest

{special}
## Memory

Of both processes together, during round trips of 64 bytes, the harness included (about 1.5 MiB each, a table for
percentiles among it).

{memory}
"""


def replace_in_readme(text):
    """In both languages: the figures are the same, and so are the words around them."""
    for name in ("README.md", "README.ko.md"):
        replace_in_page(os.path.join(ROOT, name), text)


def replace_in_page(path, text):
    with open(path) as f:
        readme = f.read()
    begin, end = "<!-- bench: made by bench/report.py -->\n", "<!-- /bench -->\n"
    if begin not in readme:
        return
    new = re.sub(re.escape(begin) + ".*?" + re.escape(end), lambda _: begin + text + end, readme, flags=re.S)
    with open(path, "w") as f:
        f.write(new)


def readme_part(peers, rows, quiet):
    keep = [r[:4] for r in rows if r[5] in ("reached", "**missed**") and r[3] != ""]
    return ("\nRatios to what the same machine can do at all ({processor}, {cpus} virtual processors, {date}; medians, lowest "
            "and\nhighest of n rounds that count). Everything, with other systems beside it: "
            "[docs/performance.md](docs/performance.md).\n\n".format(**peers)
            + (quiet + "\n" if quiet else "") + table(["what", "beside", "ratio", "n"], keep)
            + "\n![Round trips of 64 bytes, tong and others](docs/performance_trip.svg)\n\n")


def quietness(modes):
    """What else ran, as the measuring programs saw it."""
    others = [m["others_percent"] for m in modes["measures"] if "others_percent" in m]
    if not others or max(others) < 5:
        return ""
    return ("**The machine was not quiet** when this was measured: other programs used %.0f to %.0f %% of its processors. Ratios of "
            "medians bear\nthat, those of means (many senders, several receivers, set-up) less; what no two equal bases stood "
            "around says so.\n" % (min(others), max(others)))


def note_of(peers):
    """What whoever kept these results has to say of them: "note" in peers.json."""
    return "\n" + peers["note"] + "\n" if "note" in peers else ""


def main():
    if sys.argv[1:2] == ["--goals"]:
        print_goals(sys.argv[2] if len(sys.argv) > 2 else None)
        return 0
    if sys.argv[1:2] == ["--check"]:
        return check(sys.argv[2])
    peers, modes = load("peers.json"), load("modes.json")
    cells = peers["cells"]
    figures = {c["key"]: c for c in cells}
    figures.update({m["measure"]: m for m in modes["measures"] if "measure" in m})
    rows = goal_rows(figures)
    more = "".join(", [%s](decisions/%s)" % (name[:4], name)
                   for name in sorted(os.listdir(os.path.join(ROOT, "docs", "decisions"))) if name[:4] in MORE_DECISIONS)
    page = PAGE.format(
        processor=peers["processor"], cpus=peers["cpus"], kernel=peers["kernel"], date=peers["date"],
        rounds=peers["rounds"], more=more, quiet=quietness(modes) + note_of(peers),
        goals=table(["work", "beside", "ratio", "n", "goal", ""], rows), trips=trip_table(cells),
        trip_sizes=by_size(cells, "trip"), rate_sizes=by_size(cells, "rate"), special=special_table(cells),
        memory=memory_table(cells), everyone=everyone_table(figures))
    with open(os.path.join(ROOT, "docs", "performance.md"), "w") as f:
        f.write(page)
    plot_trips(cells)
    plot_sizes(cells, "trip", "performance_trip_size.svg", "Round trip by size", "µs",
               lambda c: c["typical_ns"] / 1000)
    plot_sizes(cells, "rate", "performance_rate_size.svg", "One way by size", "GB/s",
               lambda c: c["size"] / c["typical_ns"])
    replace_in_readme(readme_part(peers, rows, quietness(modes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
