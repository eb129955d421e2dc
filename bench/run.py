#!/usr/bin/env python3
"""run.py - run the programs of bench/peers, all interleaved, and write what they measured as JSON.

    run.py --bin FOLDER --out FILE [--rounds N] [--ms N] [--only REGEX] [--quick] [--list]

A cell is one peer in one mode, at one size, doing one thing. Each cell has a base: the bare way of the machine
that does the same. A round goes through all cells, base, cell, base, cell, base: a ratio counts only
when the bases before and behind it agree within 10 %. Rounds go on until every cell has enough ratios or
three times as many were tried. The figure is the median of the ratios that count, with their spread.
"""
import argparse
import grp
import json
import os
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

AGREE = 1.10
LINE_TRIPS = 1000000

# Peer: the modes measured. The first decides which base it is held against.
PEERS = {
    "tong": ["default", "poll", "in-place"],
    "raw-ring": ["poll", "block"],
    "boost-spsc": ["poll"],
    "ck_ring": ["poll"],
    "openmpi": ["poll"],
    "mpich": ["poll"],
    "iceoryx": ["poll", "block"],
    "boost-mq": ["poll", "block"],
    "posix-mq": ["block", "poll"],
    "pipe": ["block"],
    "unix-seqpacket": ["block"],
    "zeromq": ["block"],
    "nng": ["block"],
    "nanomsg": ["block"],
    "sd-bus": ["block"],
    "cyclonedds": ["block"],
    "redis": ["block"],
    "nats": ["block"],
}
SIZES = [64, 1024, 65536, 1048576]
MORE_SIZES = [8, 8192, 262144, 4194304, 67108864]
MORE_PEERS = {"tong": ["default", "poll", "in-place"], "raw-ring": ["poll"], "pipe": ["block"],
              "unix-seqpacket": ["block"]}


class Cell:
    def __init__(self, peer, what, size, mode, one_cpu=False, rest_us=0, base=None, fenced=False):
        self.peer, self.what, self.size, self.mode = peer, what, size, mode
        self.one_cpu, self.rest_us, self.base, self.fenced = one_cpu, rest_us, base, fenced
        self.ratios, self.samples, self.tried = [], [], 0
        self.skipped = None

    @property
    def key(self):
        parts = [self.peer, self.mode, self.what, str(self.size)]
        if self.one_cpu:
            parts.append("one-cpu")
        if self.rest_us:
            parts.append("rested")
        if self.fenced:
            parts.append("fenced")
        return " ".join(parts)


def base_of(what, size, mode, one_cpu=False, rest_us=0):
    """What the machine does at best for the same: its cell, without a base of its own."""
    if what == "rate":
        return Cell("raw-ring", "rate", size, "poll")
    if mode == "block" or one_cpu or rest_us:
        return Cell("raw-futex", "trip", 64, "block", one_cpu, rest_us)
    if size <= 4096:
        return Cell("raw-line", "trip", 64, "poll")
    return Cell("raw-copy", "trip", size, "poll")


def cells():
    found = []
    def add(peer, what, size, mode, one_cpu=False, rest_us=0):
        base = base_of(what, size, mode, one_cpu, rest_us)
        cell = Cell(peer, what, size, mode, one_cpu, rest_us, base)
        if cell.key != base.key:
            found.append(cell)
    for size in SIZES:
        for what in ("trip", "rate"):
            for peer, modes in PEERS.items():
                for mode in modes:
                    add(peer, what, size, mode)
    for size in MORE_SIZES:
        for what in ("trip", "rate"):
            for peer, modes in MORE_PEERS.items():
                for mode in modes:
                    add(peer, what, size, mode)
    for peer in PEERS:
        blocking = "default" if peer == "tong" else "block"
        if blocking in PEERS[peer]:
            add(peer, "trip", 64, blocking, one_cpu=True)
            add(peer, "trip", 64, blocking, rest_us=500)
    # What may sleep must publish, fence, and look: the base that does so, too.
    found.append(Cell("tong", "rate", 64, "default", base=Cell("raw-ring", "rate", 64, "fence"), fenced=True))
    return found


QUICK = [
    ("tong", "trip", 8, "default"), ("tong", "trip", 64, "default"), ("tong", "trip", 64, "poll"),
    ("tong", "trip", 64, "default", True), ("tong", "trip", 64, "default", False, 500),
    ("tong", "trip", 1024, "default"), ("tong", "trip", 65536, "default"),
    ("tong", "trip", 1048576, "default"), ("tong", "trip", 1048576, "in-place"),
    ("tong", "rate", 64, "default"), ("tong", "rate", 65536, "default"),
    ("tong", "rate", 1048576, "default"),
]


SHM = "/dev/shm"


def open_in_shm():
    """What somebody has open there, or mapped. Of other users' processes nothing is seen: theirs is not touched."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            names = [os.readlink(e.path) for e in os.scandir("/proc/%s/fd" % pid)]
            names.append(os.readlink("/proc/%s/cwd" % pid))
            with open("/proc/%s/maps" % pid) as f:
                names += [line.split(None, 5)[5].strip() for line in f if SHM in line]
        except OSError:
            continue  # gone meanwhile, or not ours
        found.update(n.split("/")[3] for n in names if n.startswith(SHM + "/"))
    return found


def sweep():
    """What killed programs left in /dev/shm: folders of peers, and the segments of iceoryx's daemon, one of which has the
    name of our group. What somebody has open stays, and so do files of others."""
    iceoryx = {"iceoryx_mgmt", grp.getgrgid(os.getegid()).gr_name}
    used = open_in_shm()
    for entry in list(os.scandir(SHM)):
        if entry.name in used or entry.stat(follow_symlinks=False).st_uid != os.geteuid():
            continue
        if entry.name.startswith("tong-peer-") and entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        elif entry.name in iceoryx and entry.is_file(follow_symlinks=False):
            os.unlink(entry.path)


class Runner:
    def __init__(self, args):
        self.args, self.missing = args, set()

    def command(self, cell):
        program = os.path.join(self.args.bin, "peer-" + cell.peer)
        if not os.path.exists(program):
            self.missing.add(cell.peer)
            return None
        args = [program, "--what", cell.what, "--size", str(cell.size), "--mode", cell.mode,
                "--ms", str(self.args.ms), "--count", str(LINE_TRIPS)]
        if cell.peer == "raw-line":
            args[args.index("--ms") + 1] = "2000"  # the count ends it
        cpus = self.args.cpus
        args += ["--cpus", "%d,%d" % (cpus[0], cpus[0] if cell.one_cpu else cpus[1])]
        if cell.rest_us:
            args += ["--rest-us", str(cell.rest_us)]
        if cell.peer == "openmpi":
            args = ["mpirun.openmpi", "--allow-run-as-root", "--bind-to", "none", "--mca",
                    "rmaps_base_oversubscribe", "1", "--mca", "mpi_yield_when_idle", "0", "-np", "2"] + args
        elif cell.peer == "mpich":
            args = ["mpiexec.mpich", "-np", "2"] + args
        return args

    def sample(self, cell):
        """Figures of both sides, merged; None: this cell is impossible."""
        command = self.command(cell)
        if command is None:
            return None
        env = dict(os.environ, OMPI_MCA_btl_base_warn_component_unused="0")
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=90, env=env)
        except subprocess.TimeoutExpired:
            cell.skipped = "did not end"
            return None
        merged = {}
        for line in done.stdout.splitlines():
            if not line.startswith('{"peer"'):
                continue
            figures = json.loads(line)
            if "skipped" in figures:
                cell.skipped = figures["skipped"]
                return None
            side = figures.pop("side")
            merged.update({k: v for k, v in figures.items() if k not in ("cpu_ns", "rss_kib", "pss_kib")})
            for k in ("cpu_ns", "rss_kib", "pss_kib"):
                merged["%s_%d" % (k, side)] = figures[k]
        if done.returncode != 0 or "typical_ns" not in merged:
            cell.skipped = (done.stderr.strip().splitlines() or ["exit %d" % done.returncode])[-1]
            return None
        return merged


def ns_of(cell, sample):
    """The median of many short batches: what else the machine does hardly shows in it. The mean is kept, too."""
    return sample["typical_ns"]


def ratio_of(cell, mine, base):
    """Round trips: time over time, smaller is better. Rates: speed over speed, larger is better."""
    return mine / base if cell.what == "trip" else base / mine


def lines_of(result):
    """JSON, a cell a line: short to look at and to compare."""
    head = {k: v for k, v in result.items() if k != "cells"}
    cells = ",\n".join("  " + json.dumps(c) for c in result["cells"])
    return json.dumps(head, indent=1)[:-2] + ',\n "cells": [\n' + cells + "\n ]\n}\n"


def write(args, runner, todo):
    """After each round: who breaks it off has what was measured until then."""
    if not args.out:
        return
    mine = {c.key: cell_json(c) for c in todo}
    kept = [mine.pop(c["key"], c) for c in args.before]
    result = dict(machine(), rounds=args.rounds, ms=args.ms, not_installed=sorted(runner.missing),
                  cells=kept + list(mine.values()))
    if args.note and kept:
        result["note"] = args.note
    with open(args.out + ".new", "w") as f:
        f.write(lines_of(result))
    os.replace(args.out + ".new", args.out)


def run(args, todo):
    runner = Runner(args)
    tried = 0
    begun = time.time()
    last_base, last_ns = None, None
    while tried < args.rounds * 2 and time.time() - begun < args.minutes * 60:
        tried += 1
        open_cells = [c for c in todo if c.skipped is None and len(c.ratios) < args.rounds]
        if not open_cells:
            break
        for i, cell in enumerate(open_cells):
            if last_base is None or last_base != cell.base.key:
                s = runner.sample(cell.base)
                last_ns = ns_of(cell.base, s) if s else None
            mine = runner.sample(cell)
            behind = runner.sample(cell.base)
            last_base = cell.base.key
            before, last_ns = last_ns, ns_of(cell.base, behind) if behind else None
            if mine is None:
                cell.skipped = cell.skipped or "not installed"
                continue
            cell.tried += 1
            cell.samples.append(mine)
            if before is None or last_ns is None:
                continue
            low, high = sorted((before, last_ns))
            if high <= low * AGREE:
                cell.ratios.append(ratio_of(cell, ns_of(cell, mine), (before + last_ns) / 2))
            if sys.stderr.isatty():
                sys.stderr.write("\r%4d s  round %d  %3d/%-3d  %-50s\033[K" % (
                    time.time() - begun, tried, i + 1, len(open_cells), cell.key))
        write(args, runner, todo)
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K")


def median_of(samples, key):
    values = [s[key] for s in samples if key in s]
    return statistics.median(values) if values else None


def cell_json(cell):
    out = {"key": cell.key, "peer": cell.peer, "mode": cell.mode, "what": cell.what, "size": cell.size,
           "one_cpu": cell.one_cpu, "rest_us": cell.rest_us, "fenced": cell.fenced, "base": cell.base.key,
           "n": len(cell.ratios), "tried": cell.tried}
    if cell.skipped:
        out["skipped"] = cell.skipped
    if cell.ratios:
        out["ratio"] = round(statistics.median(cell.ratios), 4)
        out["min"], out["max"] = round(min(cell.ratios), 4), round(max(cell.ratios), 4)
    if cell.samples:
        out["version"] = cell.samples[0].get("version", "")
        for key in ("typical_ns", "mean_ns", "ns", "p50_ns", "p99_ns", "p999_ns", "timed", "n", "lost", "cpu_ns_0", "cpu_ns_1",
                    "rss_kib_0", "rss_kib_1", "pss_kib_0", "pss_kib_1"):
            value = median_of(cell.samples, key)
            if value is not None:
                out["trips" if key == "n" else key] = value
    return out


def cpu_model():
    try:
        with open("/proc/cpuinfo") as f:
            return next((l.split(":", 1)[1].strip() for l in f if l.startswith("model name")), "")
    except OSError:
        return ""


def machine():
    return {"date": time.strftime("%Y-%m-%d", time.gmtime()), "kernel": platform.release(),
            "processor": cpu_model(), "cpus": os.cpu_count()}


def judge_quick(todo, limits):
    """Compare with the stated limits; lines of text and whether all are kept."""
    ok = True
    for cell in todo:
        limit = limits.get(cell.key)
        ratio = statistics.median(cell.ratios) if cell.ratios else None
        if cell.skipped or ratio is None:
            print("%-40s no figure: %s" % (cell.key, cell.skipped or "the bases never agreed within 10 %"))
            continue
        word, kept = "", True
        if limit is not None:
            kept = ratio <= limit if cell.what == "trip" else ratio >= limit
            word = "%s %.2f%s" % ("<=" if cell.what == "trip" else ">=", limit, "" if kept else "  BEYOND IT")
        print("%-40s %6.2f x %-28s (%.2f..%.2f, n %d)  %s" % (
            cell.key, ratio, cell.base.key, min(cell.ratios), max(cell.ratios), len(cell.ratios), word))
        ok = ok and kept
    return ok


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", required=True)
    p.add_argument("--out")
    p.add_argument("--rounds", type=int)
    p.add_argument("--ms", type=int)
    p.add_argument("--minutes", type=float, default=25, help="no round begins after that")
    p.add_argument("--only", default="", help="cells whose name it fits; the others keep what is in --out")
    p.add_argument("--quick", action="store_true")
    p.add_argument("--limits", help="JSON: cell -> ratio, for --quick")
    p.add_argument("--list", action="store_true")
    args = p.parse_args()
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        print("skipped: this machine has one CPU, the measures need two")
        return 77
    args.cpus = allowed[:2]
    args.rounds = args.rounds or (3 if args.quick else 7)
    args.ms = args.ms or (60 if args.quick else 80)
    if args.quick:
        todo = []
        for q in QUICK:
            c = Cell(*q)
            c.base = base_of(c.what, c.size, c.mode, c.one_cpu, c.rest_us)
            todo.append(c)
    else:
        todo = cells()
    todo = [c for c in todo if re.search(args.only, c.key)]
    if args.list:
        print("\n".join("%-40s : %s" % (c.key, c.base.key) for c in todo))
        return 0
    args.before, args.note = [], ""
    if args.only and args.out and os.path.exists(args.out):
        before = json.load(open(args.out))
        args.before = before["cells"]
        args.note = ("The goals' rows are of %s; what is not among them is of %s or before."
                     % (machine()["date"], before["date"]))
    # Ended from outside it clears away, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    sweep()
    try:
        run(args, todo)
    finally:
        sweep()
    if args.quick:
        limits = json.load(open(args.limits))["limits"] if args.limits else {}
        return 0 if judge_quick(todo, limits) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
