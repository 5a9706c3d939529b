#!/usr/bin/python3
"""Measures stratwire's server, bare floors and peers in one run, round by round, and writes one JSON.

1. Every measurement is a server on one core and the generator on another: start the server, connect,
   subscribe, `go`, warm up, count for a window, end both.
2. A round is every row with every server; servers take turns at being first. Rounds, not
   measurements, are repeated, so that a disturbance does not hit one server alone.
3. The figure of a row is the median of the rounds, the spread their smallest and largest; the ratio
   to the floor is formed within each round.

Exit codes: 0 measured; 1 a stream of stratwire's was broken (a message lost without a word, or out
of order), a program of ours failed, or the generator does not notice what it must; 2 wrong usage, said
before anything is measured.
"""

import argparse
import dataclasses
import datetime
import json
import os
import queue
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "bench", "driver"))

import figures  # noqa: E402
import machine  # noqa: E402
import results  # noqa: E402
import rows as plan  # noqa: E402

QUICK_S = 120
FULL_S = 600
# Beside warm-up and window, measured: starting, connecting, ending.
OVERHEAD_S = 0.35
OVERHEAD_S_PER_CONNECTION = 0.00015
START_S_MAX = 15
END_S_MAX = 3


class Failed(Exception):
    """A measurement that did not come about, and why."""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def prefer_session(nice):
    """Where the kernel weighs sessions, not processes (autogroup), a nice value alone does nothing."""
    os.setsid()
    try:
        with open("/proc/self/autogroup", "w", encoding="ascii") as group:
            group.write(str(nice))
    except OSError:
        pass


class Process:
    """A child with lines on standard output, on one core."""

    def __init__(self, command, cpu, nice, env=None):
        def prepare():
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            if nice:
                os.nice(nice)
                prefer_session(nice)

        self.errors = tempfile.TemporaryFile()
        try:
            self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                          stderr=self.errors, env=env, text=True, preexec_fn=prepare)
        except (OSError, subprocess.SubprocessError) as wrong:
            self.errors.close()
            why = wrong if isinstance(wrong, OSError) else f"no core {cpu} or no nice {nice} for it"
            raise Failed(f"can't be started: {why}") from None
        self.lines = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.put(line.strip())
        self.lines.put(None)

    def line(self, timeout):
        """The next line, or None at the end."""
        try:
            return self.lines.get(timeout=timeout)
        except queue.Empty:
            raise Failed("said nothing for too long") from None

    def wait_for(self, text, timeout):
        while (line := self.line(timeout)) != text:
            if line is None:
                raise Failed(self.error_text() or f"ended before '{text}'")

    def say(self, text):
        try:
            self.child.stdin.write(text + "\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace").strip()[-300:]

    def end(self):
        """Ends its standard input, then the process; its last line."""
        try:
            self.child.stdin.close()
        except BrokenPipeError:
            pass
        last = None
        deadline = time.monotonic() + END_S_MAX
        try:
            while (line := self.line(max(0.01, deadline - time.monotonic()))) is not None:
                last = line
        except Failed:
            self.child.kill()
        self.child.wait()
        self.errors.close()
        return last


def descendants(pid):
    """The process and its children, as a broker is one of its publisher."""
    found = [pid]
    for parent in found:
        try:
            with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as children:
                found += [int(child) for child in children.read().split()]
        except OSError:
            pass
    return found


class Bench:
    """One run."""

    def __init__(self, options, servers, rows):
        self.options = options
        self.servers = servers
        self.rows = rows
        self.folder = tempfile.TemporaryDirectory(prefix="bench-load-")

    def client_command(self, row, server, port, pids, window_s):
        o = self.options
        command = [os.path.join(o.programs, "bench_load_client"), "--mode", row.mode,
                   "--connections", row.connections, "--channels", row.channels, "--per-connection",
                   row.per_connection, "--window", window_s, "--warmup", o.warmup, "--seed", o.seed,
                   "--protocol", server.protocol, "--watch", ",".join(map(str, pids))]
        command += ["--unix", self.unix_path()] if row.unix else ["--port", port]
        if server.subprotocol:
            command += ["--subprotocol", server.subprotocol]
        if server.subscribe:
            command += ["--subscribe", server.subscribe]
        if row.is_latency:
            command += ["--spin", "--latency"]
        return [str(part) for part in command]

    def unix_path(self):
        return os.path.join(self.folder.name, "socket")

    def measure(self, row, server, window_s):
        """One measurement: what the generator says, what the server says."""
        window_s = max(window_s, row.window_min_s)
        port = free_port()
        if os.path.exists(self.unix_path()):
            os.unlink(self.unix_path())
        environment = row.environment(port, self.unix_path())
        environment["NODE_PATH"] = "/usr/share/nodejs"
        command = [part.replace("{port}", str(port)) for part in server.command]
        o = self.options
        program = Process(command, o.server_cpu, o.nice, environment)
        client = None
        try:
            program.wait_for("ready", START_S_MAX)
            pids = descendants(program.child.pid)
            client = Process(self.client_command(row, server, port, pids, window_s), o.client_cpu,
                             o.nice)
            patience = START_S_MAX * 4 + window_s
            if row.mode != "idle":
                client.wait_for("subscribed", patience)
                if row.mode != "round_trip" or server.goes_for_round_trips:
                    program.say("go")
            line = client.line(patience)
            if line is None:
                raise Failed(client.error_text() or "the generator said nothing")
            result = json.loads(line)
        finally:
            if client is not None:
                client.end()
            said = program.end()
        if row.mode == "idle":
            used = result["memory_after"] - result["memory_before"]
            result["memory_per_connection"] = used / row.connections
        return result, json.loads(said) if said and said.startswith("{") else {}

    def run(self):
        """Every measurement of every round."""
        measurements, failures = [], []
        window_s = self.window()
        begin = time.monotonic()
        for number in range(self.options.rounds):
            for row in self.rows:
                names = [name for name in row_servers(row, self.servers)]
                turn = number % len(names)
                for name in names[turn:] + names[:turn]:
                    try:
                        result, said = self.measure(row, self.servers[name], window_s)
                    except (Failed, json.JSONDecodeError) as failed:
                        failures.append({"row": row.name, "name": name, "round": number,
                                         "why": str(failed)})
                        print(f"  {row.name}, {name}: failed: {failed}", flush=True)
                        continue
                    measurement = {**dataclasses.asdict(row), "row": row.name, "name": name,
                                   "round": number, "load": os.getloadavg()[0], "result": result,
                                   "server": said}
                    for key in ("servers", "quick", "check"):
                        del measurement[key]
                    measurements.append(measurement)
                    show(measurement)
            print(f"- round {number + 1} of {self.options.rounds} done after "
                  f"{time.monotonic() - begin:.0f} s", flush=True)
        return measurements, failures

    def window(self):
        """So long that all rounds fit into the budget."""
        o = self.options
        if o.window:
            return o.window

        def round_s(window_s):
            return sum(len(row_servers(row, self.servers)) *
                       (OVERHEAD_S + OVERHEAD_S_PER_CONNECTION * row.connections + o.warmup +
                        max(window_s, row.window_min_s)) for row in self.rows)

        windows = [hundredths / 100 for hundredths in range(30, 301)]
        return max((w for w in windows if round_s(w) * o.rounds <= o.budget), default=windows[0])


def row_servers(row, servers):
    # Scaling is measured with stratwire and the floor alone, and has messages of its own.
    extra = [name for name in servers if name.startswith("peer:") and "uws" in row.servers]
    return [name for name in row.servers if name in servers] + extra


def show(measurement):
    value, unit, _ = figures.value_of(measurement["kind"], measurement["result"])
    text = f"  {measurement['row']}, {measurement['name']}: {results.text_of(value)} {unit}"
    found = figures.remarks(measurement)
    print(text + (f" ({'; '.join(found)})" if found else ""), flush=True)


# ---- The raw file


def circumstances(options, window_s):
    return {**machine.circumstances(os.path.join(options.programs, os.pardir, os.pardir),
                                    shlex.join(["bench/load/run.py", *sys.argv[1:]])),
            "rounds": options.rounds, "window_s": window_s, "warmup_s": options.warmup,
            "server_cpu": options.server_cpu, "client_cpu": options.client_cpu, "nice": options.nice,
            "seed": options.seed}


def write(path, run, measurements, failures):
    """One measurement a line, so that versions can be compared."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"run": ' + json.dumps(run) + ',\n"failures": ' + json.dumps(failures))
        file.write(',\n"measurements": [\n' + ",\n".join(map(json.dumps, measurements)) + "\n]}\n")


# ---- The command line


def parse(arguments):
    parser = argparse.ArgumentParser(description="Where stratwire's server stands: floors, peers, one JSON.")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help=f"a few rows, about {QUICK_S} s (default)")
    size.add_argument("--check", action="store_true",
                      help=f"the rows that guard, stratwire and floors alone, about {QUICK_S} s")
    size.add_argument("--full", action="store_true", help=f"all rows, about {FULL_S} s")
    parser.add_argument("--budget", type=float, help="seconds that all rounds may take")
    parser.add_argument("--rounds", type=int, help="default 2, with --full and --check 3")
    parser.add_argument("--window", type=float, help="seconds counted in a measurement; default: what fits")
    parser.add_argument("--warmup", type=float, default=0.2)
    parser.add_argument("--rows", help="a regular expression: only rows whose name it finds")
    parser.add_argument("--servers", help="names with commas between them: only these, and the floors")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=COMMAND",
                        help="put a server of your own into every row")
    parser.add_argument("--uws", metavar="CHECKOUT", help="compile and measure uWebSockets too")
    parser.add_argument("--programs", default=os.path.join(ROOT, "build-bench", "bench", "load"))
    parser.add_argument("--out", help="JSON file; default bench/results/load-TIME.json")
    parser.add_argument("--no-table", action="store_true", help="whoever reads the JSON makes one")
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--client-cpu", type=int, default=1)
    parser.add_argument("--nice", type=int, default=0, help="of both, negative for root on a shared machine")
    parser.add_argument("--seed", type=int, default=1, help="of the random channels")
    parser.add_argument("--list", action="store_true", help="only name the rows and servers")
    options = parser.parse_args(arguments)
    if options.rounds is None:
        options.rounds = 3 if options.full or options.check else 2
    if options.budget is None:
        options.budget = FULL_S if options.full else QUICK_S
    if (os.cpu_count() or 1) < 2:
        print("only one core: server and generator share it, the figures say little", file=sys.stderr)
        options.server_cpu = options.client_cpu = None
    try:
        refuse_wrong(options)
    except plan.WrongUsage as wrong:
        parser.error(str(wrong))
    return options


def refuse_wrong(options):
    """What can be known to be wrong before anything is compiled or measured."""
    if options.rounds < 1:
        raise plan.WrongUsage("--rounds is 1 at least")
    for name, seconds in (("budget", options.budget), ("window", options.window)):
        if seconds is not None and not seconds > 0:
            raise plan.WrongUsage(f"--{name} is more than 0 seconds")
    if options.uws is not None:
        plan.check_checkout(options.uws)
    known = [*plan.servers(options.programs), *["uws"] * (options.uws is not None),
             *plan.peers_of(options.peer)]
    for name in options.servers.split(",") if options.servers else ():
        if name not in known:
            raise plan.WrongUsage(f"--servers has no '{name}'; it has: {', '.join(known)}" +
                                  " (uws with --uws CHECKOUT)" * (name == "uws"))
    try:
        found = rows_of(options)
    except re.error as wrong:
        raise plan.WrongUsage(f"--rows '{options.rows}' is no regular expression: {wrong}") from None
    if not found:
        raise plan.WrongUsage(f"--rows '{options.rows}' finds no row; --list --full names them" +
                              ", --list --check those that guard" * options.check)
    for name, cpu in (("server", options.server_cpu), ("client", options.client_cpu)):
        if cpu is not None and not is_usable(cpu):
            there = " ".join(str(each) for each in range(os.cpu_count()) if is_usable(each))
            raise plan.WrongUsage(f"--{name}-cpu: there is no core {cpu} here to run on; there are: {there}")


def is_usable(cpu):
    """Only the kernel knows: a container may have some of the cores alone."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {cpu})
    except (OSError, ValueError, OverflowError):
        return False
    os.sched_setaffinity(0, before)
    return True


def rows_of(options):
    return [row for row in plan.rows()
            if (row.check if options.check else options.full or options.rows or row.quick)
            and (not options.rows or re.search(options.rows, row.name))]


def servers_of(options):
    """Those that can run here; says which can't."""
    servers = plan.servers(options.programs)
    if options.uws is not None:
        servers["uws"] = plan.build_uws(options.uws, options.programs)
    servers.update(plan.peers_of(options.peer))
    if options.check:
        options.servers = "stratwire"
    if options.servers:
        wanted = options.servers.split(",")
        servers = {name: server for name, server in servers.items()
                   if name in wanted or name.startswith(("floor_", "peer:"))}
    for name, server in list(servers.items()):
        if server.missing:
            print(f"- {name} is left out: {server.missing}")
            del servers[name]
    return servers


def end_by_signal(*_):
    """As Ctrl-C does: what was started is ended on the way out."""
    raise KeyboardInterrupt


def exit_code(measurements, failures):
    return 1 if plan.stream_broken(measurements) or any(plan.is_ours(f["name"]) for f in failures) else 0


def main(arguments):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end_by_signal)
    # Where Debian puts servers; not in everybody's path.
    os.environ["PATH"] += ":/usr/sbin"
    options = parse(arguments)
    if not shutil.which(os.path.join(options.programs, "bench_load_client")):
        print(f"no programs in {options.programs}: cmake --preset bench && cmake --build --preset bench "
              "--target bench_load", file=sys.stderr)
        return 2
    try:
        servers = servers_of(options)
    except plan.WrongUsage as wrong:
        print(f"run.py: {wrong}", file=sys.stderr)
        return 2
    chosen = [row for row in rows_of(options) if row_servers(row, servers)]
    if options.list:
        for row in chosen:
            print(f"{row.name}: {', '.join(row_servers(row, servers))}")
        return 0
    # A generator that does not notice a loss would measure nothing.
    if subprocess.run([sys.executable, "-B", os.path.join(HERE, "generator_test.py"), options.programs],
                      check=False).returncode != 0:
        return 1
    bench = Bench(options, servers, chosen)
    run = circumstances(options, bench.window())
    print(f"- {len(chosen)} rows, {options.rounds} rounds, windows of {bench.window()} s", flush=True)
    measurements, failures = bench.run()
    stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    path = options.out or os.path.join(ROOT, "bench", "results", f"load-{stamp}.json")
    write(os.path.abspath(path), run, measurements, failures)
    if not options.no_table:
        print("\n".join(results.table_lines(results.cells(figures.summarize(measurements)))))
        print(f"- written to {path}; bench/report/report.py {path} makes a page of it")
    return exit_code(measurements, failures)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
