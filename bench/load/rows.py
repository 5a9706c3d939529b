"""The rows of the load bench and the servers that can stand in them (bench/README.md)."""

import dataclasses
import os
import shlex
import shutil
import subprocess

SUBSCRIBERS = (10, 100, 1000, 10_000)
OFFERED = (1, 16, 64, 256)
# The shortest message that JSON has in a channel is 73 bytes.
SIZES = (73, 159, 512, 2048, 8192, 16_384)
CHANNELS = (1, 20, 200, 2000, 10_000)
OURS = ("stratwire", "stratwire_threads", "stratwire_2_io")
KINDS = ("fan-out", "channels", "size", "rate", "unix", "round-trip", "idle")
# Keys of a result that say that a stream was broken.
BROKEN = ("lost", "disordered", "not_ours", "starved", "disconnected")
# What is of interest in the middle of its noise needs that long.
LATENCY_WINDOW_S = 0.8


class WrongUsage(Exception):
    """What was asked for can't be had, and the cure."""


@dataclasses.dataclass(frozen=True)
class Row:
    """What is measured: the same for every server that stands in it."""

    name: str
    kind: str
    servers: tuple
    floor: str
    connections: int
    k: int = 1
    rate: float = 0
    channels: int = 1
    per_connection: int = 1
    message_bytes: int = 159
    unix: bool = False
    quick: bool = False
    # Whether `./dev bench --check` measures it, with stratwire and the floor alone.
    check: bool = False

    @property
    def mode(self):
        return {"idle": "idle", "round-trip": "round_trip"}.get(self.kind, "fan_out")

    @property
    def is_latency(self):
        return self.kind in ("rate", "round-trip")

    @property
    def window_min_s(self):
        """Several turns, at deliveries per second that peers reach at large K too."""
        turns, per_s = 4, 5e6
        if self.is_latency:
            return LATENCY_WINDOW_S
        return turns * self.connections * self.per_connection / self.channels * self.k / per_s

    def environment(self, port, unix_path):
        # A round trip has nothing published; servers that publish from their loop only spin.
        rate = 1e-6 if self.kind == "round-trip" else self.rate
        settings = {"BENCH_PORT": port, "BENCH_K": self.k, "BENCH_RATE": rate,
                    "BENCH_CHANNELS": self.channels, "BENCH_SUBSCRIBERS": self.connections,
                    "BENCH_BYTES": self.message_bytes}
        if self.kind == "round-trip":
            settings["BENCH_SPIN"] = 1
        if self.unix:
            settings["BENCH_UNIX"] = unix_path
        return {**os.environ, **{name: str(value) for name, value in settings.items()}}


@dataclasses.dataclass(frozen=True)
class Server:
    """A program to be measured. `{port}` in its command is replaced."""

    name: str
    command: tuple
    protocol: str = "websocket"
    subprotocol: str = ""
    subscribe: str = ""
    needs: str = ""  # A program or file, and the package that has it.
    package: str = ""
    # Whether it must be told to go to answer round trips (servers that do all in one loop).
    goes_for_round_trips: bool = True

    @property
    def missing(self):
        """Why it can't stand in the run, or nothing."""
        if self.needs and not (shutil.which(self.needs) or os.path.exists(self.needs)):
            return f"{self.needs} is not there" + (
                f" (apt-get install {self.package}, then build again)" if self.package else "")
        return ""


def rows():
    """Every row; those of a quick run are marked."""
    return [*fan_out_rows(), *other_rows()]


def fan_out_rows():
    for subscribers in SUBSCRIBERS:
        for k in OFFERED:
            # At the ends, what is between says it already.
            if k == 256 and subscribers in (10, 10_000):
                continue
            servers = ["floor_log", "stratwire", "uws"]
            if k in (1, 64):
                servers.insert(2, "stratwire_threads")
            if k == 1:
                servers.insert(0, "floor_send")
            if k == 16:
                servers += ["beast", "ws", "lws"]
            # What they do in a turn must be short against the window.
            if k == (16 if subscribers == 10_000 else 64):
                servers += ["redis", "nats"]
            if k == 64 and subscribers in (100, 1000):
                servers.append("stratwire_2_io")
            middle = subscribers in (100, 1000)
            yield Row(f"fan-out {subscribers} subscribers, K={k}", "fan-out", tuple(servers),
                      "floor_log", subscribers, k=k, quick=middle and k in (1, 16, 64),
                      check=(middle and k in (1, 64)) or (subscribers == 10_000 and k == 16))
    for k in (1, 16, 64):
        yield Row(f"fan-out 1 subscriber, K={k}", "fan-out", ("floor_log", "stratwire"), "floor_log",
                  1, k=k)


def channel_rows():
    """6 frames for each connection and turn, however many channels there are."""
    for channels in CHANNELS:
        each = min(20, channels)
        k = max(6, 64 * channels // 200)
        peers = ("stratwire_threads", "uws", "redis", "nats") if channels == 200 else ()
        yield Row(f"1000 subscribers, each {each} of {channels} channel{'s' * (channels > 1)}, K={k}",
                  "channels", ("floor_log", "stratwire", *peers), "floor_log", 1000, k=k,
                  channels=channels, per_connection=each, quick=channels == 200, check=channels == 200)


def other_rows():
    yield from channel_rows()
    for size in SIZES:
        servers = ("floor_log", "stratwire", *(("uws",) if size >= 159 else ()))
        yield Row(f"100 subscribers, {size} bytes, K=16", "size", servers, "floor_log", 100, k=16,
                  message_bytes=size)
    ours = ("stratwire", "stratwire_threads")
    for subscribers, rate in ((100, 2000), (1000, 50)):
        yield Row(f"{subscribers} subscribers x {rate}/s", "rate",
                  ("floor_log", *ours, "uws", "beast", "ws", "lws"), "floor_log",
                  subscribers, rate=rate, quick=subscribers == 100, check=True)
    for k in (1, 16):
        yield Row(f"AF_UNIX, 1000 subscribers, K={k}", "unix", ("floor_log", *ours, "uws"),
                  "floor_log", 1000, k=k, unix=True, quick=k == 16, check=k == 16)
    yield Row("round trip, spinning", "round-trip", ("floor_echo", *ours, "uws", "beast", "ws"),
              "floor_echo", 1, quick=True, check=True)
    yield Row("10000 idle connections", "idle",
              ("floor_log", *ours, "uws", "beast", "ws", "lws", "redis", "nats"), "floor_log",
              10_000, quick=True, check=True)


def servers(programs):
    """By name, from the folder of built programs."""
    def built(name):
        return os.path.join(programs, name)

    here = os.path.dirname(os.path.abspath(__file__))
    names = "{names}"
    all_servers = [
        Server("floor_send", (built("bench_load_floor"), "send")),
        Server("floor_log", (built("bench_load_floor"), "log")),
        Server("floor_echo", (built("bench_load_floor"), "echo"), goes_for_round_trips=False),
        Server("stratwire", (built("bench_load_server"), "loop"), subprotocol="stratwire.v1.json",
               goes_for_round_trips=False),
        Server("stratwire_threads", (built("bench_load_server"), "threads"),
               subprotocol="stratwire.v1.json", goes_for_round_trips=False),
        Server("stratwire_2_io", (built("bench_load_server"), "threads", "2"),
               subprotocol="stratwire.v1.json", goes_for_round_trips=False),
        Server("beast", (built("bench_load_beast"),)),
        Server("lws", (built("bench_load_lws"),), needs=built("bench_load_lws"),
               package="libwebsockets-dev"),
        Server("ws", ("node", os.path.join(here, "peers", "ws.js")),
               needs="/usr/share/nodejs/ws/package.json", package="node-ws"),
        Server("redis", (built("bench_load_broker"), "redis", "redis-server", "--port", "{port}",
                         "--bind", "127.0.0.1", "--save", "", "--maxclients", "15000"),
               protocol="resp", subscribe="SUBSCRIBE " + names, needs="redis-server",
               package="redis-server"),
        Server("nats", (built("bench_load_broker"), "nats", "nats-server", "-a", "127.0.0.1", "-p",
                        "{port}"),
               protocol="nats", subscribe=names, needs="nats-server", package="nats-server"),
    ]
    return {server.name: server for server in all_servers}


def is_ours(name):
    """What must not fail: stratwire, and the floors that its ratios stand on."""
    return name in OURS or name.startswith("floor_")


def is_broken(result):
    """Whether a reader did not get what it was there for, or something else."""
    return any(result[key] for key in BROKEN)


def stream_broken(measurements):
    """Whether one of stratwire's was; what peers lose is a remark of their row."""
    return any(is_broken(m["result"]) for m in measurements if m["name"] in OURS)


# ---- What stands in the run for an option


def peers_of(texts):
    """Servers by name, of the texts of --peer."""
    found = {}
    for text in texts:
        name, _, command = text.partition("=")
        try:
            words = tuple(shlex.split(command))
        except ValueError as wrong:
            raise WrongUsage(f"--peer takes NAME=COMMAND, not '{text}': {wrong}") from None
        if not name or not words:
            raise WrongUsage(f"--peer takes NAME=COMMAND, not '{text}'")
        if "peer:" + name in found:
            raise WrongUsage(f"--peer has {name} twice: give each a name of its own")
        found["peer:" + name] = Server("peer:" + name, words)
    return found


def check_checkout(checkout):
    """Whether it looks like uWebSockets with its uSockets."""
    if not os.path.isfile(os.path.join(checkout, "src", "App.h")):
        raise WrongUsage(f"--uws takes a checkout of uWebSockets; there is no src/App.h in '{checkout}'")
    if not os.path.isdir(os.path.join(checkout, "uSockets", "src")):
        raise WrongUsage(f"--uws: there is no uSockets/src in '{checkout}'; "
                         f"'git -C {shlex.quote(checkout)} submodule update --init uSockets' brings it")


def build_uws(checkout, into):
    """Compiles peers/uws.cpp with a checkout of uWebSockets (with its uSockets)."""
    check_checkout(checkout)
    try:
        return compile_uws(os.path.abspath(checkout), into)
    except OSError as wrong:
        raise WrongUsage(f"--uws can't be compiled: {wrong}") from None
    except subprocess.CalledProcessError as wrong:
        raise WrongUsage(f"--uws: '{checkout}' does not compile, {wrong.cmd[0]} says above why; "
                         "uSockets must be of the commit that its uWebSockets names") from None


def compile_uws(checkout, into):
    here = os.path.dirname(os.path.abspath(__file__))
    sockets = os.path.join(checkout, "uSockets", "src")
    sources = [os.path.join(folder, name) for folder in (sockets, os.path.join(sockets, "eventing"))
               for name in sorted(os.listdir(folder)) if name.endswith(".c")]
    objects = os.path.join(into, "uws")
    os.makedirs(objects, exist_ok=True)
    subprocess.run(["cc", "-O3", "-DLIBUS_NO_SSL", "-I", sockets, "-c", *sources], cwd=objects,
                   check=True)
    program = os.path.join(into, "bench_load_uws")
    subprocess.run(["c++", "-std=c++20", "-O3", "-DUWS_NO_ZLIB", "-DLIBUS_NO_SSL",
                    "-I", os.path.join(checkout, "src"), "-I", sockets,
                    os.path.join(here, "peers", "uws.cpp"),
                    *(os.path.join(objects, name) for name in sorted(os.listdir(objects))),
                    "-o", program, "-pthread"], check=True)
    return Server("uws", (program,))
