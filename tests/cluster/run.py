#!/usr/bin/env python3
"""run.py - mailboxes on a cluster of NATS servers, while servers, links and receivers fail.

    run.py --build FOLDER [--kills N] [--only PART,...] [--alone] [--keep]

    kills     the leader of the mailbox's stream is killed with SIGKILL, N times (20), and started again
    frozen    one of three servers is stopped and goes on, the leader and another one
    minority  two of three are stopped: nothing is promised, and nothing is delivered late
    cut       two sites, 65 ms apart: the link is cut for 10 s and restored
    holder    a receiver is killed with a message in hand: when another one has it
    owner     the process whose mailbox it is is killed: when a sender that is blocked there, and who waits for a reply, know
    forming   a mailbox is made, with three copies, while the servers are starting
    sizes     0 B to 20 MiB, whole and in order; TONG_TEST_GIB=1: 1 GiB, too
    --alone   one server instead of three, for holder, owner and sizes; nothing is timed

Numbered messages flow meanwhile. Of each part there is one line, "ok - ..." or "not ok - ...", and what was seen:
messages acknowledged, lost of these, delivered again without saying so (deliveries 1), delivered although their
send had answered -ETIMEDOUT. None of the last three may be.
"""
import argparse
import collections
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PATIENCE = 60  # seconds that an event may take
DELAY_MS = 65


def say(text):
    print(text, flush=True)


def wait_for(what, condition, patience=PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.02)
    raise TimeoutError(what)


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


# ------------------------------------------------------------------ servers


class Server:
    """A nats-server with a folder, ports and a configuration of its own."""

    def __init__(self, folder, name, port, config):
        self.folder, self.name, self.port, self.config = folder, name, port, config
        self.process = None
        os.makedirs(folder)

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def start(self):
        path = os.path.join(self.folder, "conf")
        with open(path, "w") as file:
            file.write(f'server_name: "{self.name}"\nlisten: "127.0.0.1:{self.port}"\n'
                       f'ping_interval: "1s"\nping_max: 2\n{self.config}\n')
        log = open(os.path.join(self.folder, "log"), "a")
        self.process = subprocess.Popen([PROGRAM, "-c", path], stdout=log, stderr=log)

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ask(self, subject, text=""):
        """A request of the JetStream API; None: no answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as link:
                link.sendall(f'CONNECT {{"verbose":false}}\r\nSUB _INBOX.run 1\r\nPUB {subject} _INBOX.run '
                             f"{len(text)}\r\n{text}\r\n".encode())
                file = link.makefile("rb")
                while line := file.readline():
                    if line.startswith(b"MSG "):
                        return json.loads(file.read(int(line.split()[-1])))
        except (OSError, ValueError):
            pass
        return None


class Cluster:
    """Three servers, each of which knows the others; or one."""

    def __init__(self, folder):
        self.n = 1 if ARGS.alone else 3
        ports = free_ports(2 * self.n)
        routes = ", ".join(f"nats://127.0.0.1:{p}" for p in ports[self.n:])
        self.servers = []
        for i in range(self.n):
            home = os.path.join(folder, f"n{i + 1}")
            config = f'jetstream {{ store_dir: "{home}/data", max_mem: 512M, max_file: 16G }}\n'
            if self.n > 1:
                config += f'cluster {{ name: "c", listen: "127.0.0.1:{ports[self.n + i]}", routes: [{routes}] }}'
            self.servers.append(Server(home, f"n{i + 1}", ports[i], config))

    @property
    def environment(self):
        return {"TONG_NATS_URL": ",".join(s.url for s in self.servers), "TONG_NATS_REPLICAS": str(self.n)}

    def start(self):
        for server in self.servers:
            server.start()
        wait_for("servers that are ready", self.is_ready)

    def is_ready(self):
        answer = self.servers[0].ask("$JS.API.STREAM.CREATE.ready",
                                     f'{{"name":"ready","subjects":["ready"],"num_replicas":{self.n}}}')
        return answer and "error" not in answer

    def state(self, stream):
        """What the leader of a stream says; None: there is none."""
        for server in self.servers:
            if server.process.poll() is None:
                answer = server.ask("$JS.API.STREAM.INFO." + stream)
                if answer and answer.get("cluster", {}).get("leader"):
                    return answer
        return None

    def leader(self, stream):
        answer = wait_for("a leader", lambda: self.state(stream))
        return next(s for s in self.servers if s.name == answer["cluster"]["leader"])

    def is_whole(self):
        """All streams have three copies, and none of them is behind."""
        answer = self.servers[0].ask("$JS.API.STREAM.NAMES")
        return bool(answer and answer.get("streams")) and all(self.has_copies(s) for s in answer["streams"])

    def has_copies(self, stream):
        answer = self.state(stream)
        replicas = answer["cluster"].get("replicas", []) if answer else []
        return len(replicas) == 2 and all(r["current"] and not r.get("offline") for r in replicas)

    def end(self):
        for server in self.servers:
            server.kill()


class Sites:
    """A server in seoul, one in sf, and the slow link between them."""

    def __init__(self, folder):
        seoul, leaf, sf = free_ports(3)
        self.link = subprocess.Popen([tool("slow_link"), "0", f"127.0.0.1:{leaf}", str(DELAY_MS)],
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        port = int(self.link.stdout.readline())
        home = os.path.join(folder, "seoul")
        self.seoul = Server(home, "seoul", seoul,
                            f'jetstream {{ store_dir: "{home}/data", domain: "seoul" }}\n'
                            f'leafnodes {{ listen: "127.0.0.1:{leaf}", advertise: "127.0.0.1:{port}" }}')
        home = os.path.join(folder, "sf")
        self.sf = Server(home, "sf", sf,
                         f'jetstream {{ store_dir: "{home}/data", domain: "sf" }}\n'
                         f'leafnodes {{ reconnect: 1, remotes: [ {{ url: "nats://127.0.0.1:{port}" }} ] }}')

    def at(self, server):
        return {"TONG_NATS_URL": server.url, "TONG_NATS_DOMAIN": "seoul"}

    def start(self):
        self.seoul.start()
        self.sf.start()
        wait_for("the sites to meet", lambda: self.sf.ask("$JS.seoul.API.INFO"))

    def end(self):
        self.link.kill()
        self.link.wait()
        self.seoul.kill()
        self.sf.kill()


# ------------------------------------------------------------------ who sends and receives


def tool(name):
    return os.path.join(ARGS.build, "tests", "cluster", name)


class Flow:
    """One program flow; what it says is read from a file."""

    def __init__(self, folder, environment, *words):
        self.path = tempfile.mktemp(dir=folder, prefix=words[0] + ".")
        self.process = subprocess.Popen([tool("flow"), *words], stdin=subprocess.PIPE,
                                        stdout=open(self.path, "w"), env={**os.environ, **environment})

    def lines(self):
        with open(self.path) as file:
            return [line.split() for line in file.read().splitlines(True) if line.endswith("\n")]

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)

    def kill(self):
        self.process.kill()
        self.process.wait()


class Traffic:
    """One sender and two receivers of a mailbox; what became of each message."""

    def __init__(self, folder, senders, receivers, name, *options):
        self.receivers = [Flow(folder, receivers, "receive", name) for _ in range(2)]
        self.sender = Flow(folder, senders, "send", name, "s", *options)

    def acknowledged(self):
        return [int(line[0]) for line in self.sender.lines() if line[1] == "0"]

    def acknowledged_after(self, wall_ms):
        """When a send that began after this time was first acknowledged."""
        for number, result, begin, end in self.sender.lines():
            if result == "0" and int(begin) >= wall_ms:
                return int(end)
        return None

    def received(self):
        """For each number: deliveries, as they were said."""
        found = collections.defaultdict(list)
        for receiver in self.receivers:
            for words in receiver.lines():
                if words[0] == "s":
                    found[int(words[1])].append(int(words[2]))
        return found

    def end(self):
        """Everything is sent and received: whether it is good, and what was seen."""
        self.sender.end()
        acknowledged = set(self.acknowledged())
        try:
            wait_for("all that was acknowledged", lambda: acknowledged <= set(self.received()))
        except TimeoutError:
            pass
        # What must not come has time to come.
        time.sleep(6)
        for receiver in self.receivers:
            receiver.end()
        return self.judge(acknowledged)

    def judge(self, acknowledged):
        sent = self.sender.lines()
        received = self.received()
        late = [int(line[0]) for line in sent if line[1] == "ETIMEDOUT" and int(line[0]) in received]
        results = collections.Counter(line[1] for line in sent)
        lost = acknowledged - set(received)
        unmarked = [n for n, all_of_it in received.items() if all_of_it.count(1) > 1]
        again = sum(len(all_of_it) - 1 for all_of_it in received.values())
        damaged = sum(words[0] == "damaged" for r in self.receivers for words in r.lines())
        others = ", ".join(f"{n} {name}" for name, n in sorted(results.items()) if name != "0")
        text = (f"{len(sent)} sent, {len(acknowledged)} acknowledged, {len(lost)} of these lost, {again} came again, "
                f"{len(unmarked)} of these unmarked, {len(late)} after their deadline, {damaged} damaged"
                + (f"; {others}" if others else ""))
        if lost or unmarked or late:
            text += f"\n#   lost {sorted(lost)[:10]} unmarked {sorted(unmarked)[:10]} late {late[:10]}"
        good = acknowledged and not lost and not late and not damaged and not unmarked
        return bool(good), text


# ------------------------------------------------------------------ parts


def now_ms():
    return int(time.time() * 1000)


def run_tong(environment, *words):
    """What the command printed; "" also if it failed."""
    return subprocess.run([os.path.join(ARGS.build, "bin", "tong"), *words], capture_output=True, text=True,
                          env={**os.environ, **environment}).stdout


def stream_of(name, environment):
    return "tong_" + json.loads(run_tong(environment, "stat", name, "--json"))["id"]


def outage(traffic, from_ms):
    return wait_for("a send to be acknowledged", lambda: traffic.acknowledged_after(from_ms)) - from_ms


def begin_traffic(folder, cluster, name, *options):
    traffic = Traffic(folder, cluster.environment, cluster.environment, name, *options)
    wait_for("traffic", lambda: len(traffic.received()) > 20)
    stream = stream_of(name, cluster.environment)
    wait_for("three replicas", cluster.is_whole)
    return traffic, stream


def part_kills(folder, cluster):
    traffic, stream = begin_traffic(folder, cluster, "nats:kills", "--pause", "5")
    times = []
    for _ in range(ARGS.kills):
        leader = cluster.leader(stream)
        seen = now_ms()
        leader.kill()
        times.append(outage(traffic, seen))
        leader.start()
        wait_for("three replicas", cluster.is_whole)
    good, text = traffic.end()
    times.sort()
    return good, (f"{len(times)} leaders killed; a send was acknowledged again after {times[0]} ms at the least, "
                  f"{statistics.median(times):.0f} ms in the middle, {times[-1]} ms at the most; {text}")


def part_frozen(folder, cluster):
    traffic, stream = begin_traffic(folder, cluster, "nats:frozen", "--pause", "5", "--timeout", "3000")
    times = []
    for of_leader in (True, False):
        leader = cluster.leader(stream)
        victim = leader if of_leader else next(s for s in cluster.servers if s is not leader)
        seen = now_ms()
        victim.stop()
        times.append(outage(traffic, seen))
        time.sleep(10)  # so long it is stopped: what is tested is a time, not an event
        victim.go_on()
        wait_for("three replicas", cluster.is_whole)
    good, text = traffic.end()
    return good, f"acknowledged again {times[0]} ms after the leader froze, {times[1]} ms after another one; {text}"


def part_minority(folder, cluster):
    traffic, stream = begin_traffic(folder, cluster, "nats:minority", "--pause", "5", "--timeout", "3000")
    leader = cluster.leader(stream)
    victims = [s for s in cluster.servers if s is not leader]
    for victim in victims:
        victim.stop()
    frozen = now_ms()
    time.sleep(15)  # so long, as above
    acknowledged = traffic.acknowledged_after(frozen + 1000)
    for victim in victims:
        victim.go_on()
    thawed = now_ms()
    back = outage(traffic, thawed)
    wait_for("three replicas", cluster.is_whole)
    good, text = traffic.end()
    if acknowledged is not None and acknowledged < thawed:
        good, text = False, "acknowledged by one server of three; " + text
    return good, f"two of three stopped for 15 s; acknowledged again {back} ms after they went on; {text}"


def part_cut(folder, _):
    sites = Sites(folder)
    sites.start()
    try:
        traffic = Traffic(folder, sites.at(sites.sf), sites.at(sites.seoul), "nats:cut", "--pause", "5",
                          "--timeout", "3000")
        wait_for("traffic", lambda: len(traffic.received()) > 5)
        sites.link.send_signal(signal.SIGUSR1)
        time.sleep(10)  # so long it is cut
        sites.link.send_signal(signal.SIGUSR2)
        back = outage(traffic, now_ms())
        wait_for("traffic", lambda: len(traffic.received()) > 20)
        good, text = traffic.end()
    finally:
        sites.end()
    return good, f"acknowledged again {back} ms after the link was restored; {text}"


def part_holder(folder, cluster):
    times = []
    for i in range(5):
        name = f"nats:holder{i}"
        holder = Flow(folder, cluster.environment, "hold", name)
        Flow(folder, cluster.environment, "send", name, "s", "--count", "1").process.wait(PATIENCE)
        wait_for("a message in hand", holder.lines)
        receiver = Flow(folder, cluster.environment, "receive", name)
        wait_for("a receiver that waits", lambda: receivers_of(name, cluster) == 2)
        seen = now_ms()
        holder.kill()
        line = wait_for("the message", lambda: [x for x in receiver.lines() if x[0] == "s"])[0]
        times.append(int(line[3]) - seen)
        receiver.end()
        if int(line[2]) < 2:
            return False, "it came again unmarked"
    return ARGS.alone or max(times) < 1000, "in the hands of another receiver after " + ", ".join(f"{t} ms" for t in times)


def part_owner(folder, cluster):
    times = {"send": [], "call": []}
    for i in range(5):
        for kind in times:
            name = f"nats:owner{kind}{i}"
            owner = Flow(folder, cluster.environment, "own", name)
            wait_for("an owner", owner.lines)
            if kind == "call":
                waits = Flow(folder, cluster.environment, "call", name)
                wait_for("a request in its hands", lambda: len(owner.lines()) > 1)
            else:
                waits = Flow(folder, cluster.environment, "send", name, "s", "--count", "3")
                wait_for("a sender that is blocked", lambda: blocked_at(name, cluster) == 1)
            seen = now_ms()
            owner.kill()
            waits.process.wait(PATIENCE)
            line = waits.lines()[-1]
            if line[1] != "EOWNERDEAD":
                return False, f"{kind}: {waits.lines()}"
            times[kind].append(int(line[3]) - seen)
    said = "; ".join(f"{'a blocked sender' if kind == 'send' else 'who waits for a reply'} knew after "
                     + ", ".join(f"{t} ms" for t in all_of_it) for kind, all_of_it in times.items())
    return ARGS.alone or max(times["send"] + times["call"]) < 1000, said


def part_forming(folder, _):
    cluster = Cluster(folder)
    begun = now_ms()
    try:
        for server in cluster.servers:
            server.start()
        # Nobody listens yet: that is another matter.
        wait_for("a server that listens", lambda: all(listens(server.port) for server in cluster.servers))
        made = subprocess.run([os.path.join(ARGS.build, "bin", "tong"), "create", "nats:forming"], capture_output=True,
                              text=True, env={**os.environ, **cluster.environment})
    finally:
        cluster.end()
    return made.returncode == 0, f"made {now_ms() - begun} ms after three servers were started {made.stderr.strip()}".strip()


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def blocked_at(name, cluster):
    out = run_tong(cluster.environment, "stat", name, "--json")
    return json.loads(out)["senders_blocked"] if out else 0


def receivers_of(name, cluster):
    out = run_tong(cluster.environment, "stat", name, "--json")
    return json.loads(out)["receivers"] if out else 0


def part_sizes(folder, cluster):
    mib = 1 << 20
    sizes = [0, 1, mib - 1, mib, mib + 1, 20 * mib] + ([1 << 30] if os.environ.get("TONG_TEST_GIB") else [])
    said = []
    for size in sizes:
        name = f"nats:size{size}"
        count = 3 if size < 100 * mib else 1
        if size > 100 * mib:
            run_tong(cluster.environment, "create", name, "--max-bytes", str(3 * size))
        receiver = Flow(folder, cluster.environment, "receive", name)
        senders = [Flow(folder, cluster.environment, "send", name, tag, "--size", str(size), "--count", str(count))
                   for tag in "ab"]
        for sender in senders:
            sender.process.wait(10 * PATIENCE)
            if [line[1] for line in sender.lines()] != ["0"] * count:
                return False, f"{size} bytes: {sender.lines()}"
        lines = wait_for(f"{2 * count} messages of {size} bytes",
                         lambda: receiver.lines() if len(receiver.lines()) >= 2 * count else None, 10 * PATIENCE)
        receiver.end()
        numbers = [[int(x[1]) for x in lines if x[0] == tag] for tag in "ab"]
        if any(x[0] in ("damaged", "error") or int(x[-1]) != size for x in lines) or (
                size > 20 and numbers != [list(range(count))] * 2):
            return False, f"{size} bytes: {lines}"
        said.append(str(size))
    return True, "whole, and in the order of their sender: " + ", ".join(said) + " bytes"


PARTS = {"sizes": part_sizes, "holder": part_holder, "owner": part_owner, "forming": part_forming,
         "kills": part_kills, "frozen": part_frozen,
         "minority": part_minority, "cut": part_cut}


def run_part(name, folder):
    home = os.path.join(folder, name)
    os.makedirs(home)
    cluster = None if name in ("cut", "forming") else Cluster(home)
    if name not in ("cut", "forming"):
        cluster.start()
    try:
        return PARTS[name](home, cluster)
    except TimeoutError as error:
        return False, f"{error}: not within {PATIENCE} s"
    finally:
        if name not in ("cut", "forming"):
            cluster.end()


def main():
    folder = tempfile.mkdtemp(prefix="tong-cluster.", dir=os.environ.get("TMPDIR", "/tmp"))
    failed = 0
    try:
        for name in PARTS:
            if ARGS.only and name not in ARGS.only.split(","):
                continue
            begun = time.monotonic()
            good, text = run_part(name, folder)
            failed += not good
            say(f"{'ok' if good else 'not ok'} - {name}: {text} ({time.monotonic() - begun:.0f} s)")
    finally:
        if ARGS.keep or failed:
            say(f"# what the servers said is in {folder}")
        else:
            shutil.rmtree(folder)
    return 1 if failed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--build", required=True)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--only")
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--keep", action="store_true")
    ARGS = parser.parse_args()
    PROGRAM = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin")
    if not PROGRAM:
        print("skipped: nats-server is not installed", file=sys.stderr)
        sys.exit(77)
    sys.exit(main())
