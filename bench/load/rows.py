"""The rows of the load bench and the servers that can stand in them (bench/README.md)."""

import dataclasses
import os
import shutil
import subprocess

SUBSCRIBERS = (10, 100, 1000, 10_000)
OFFERED = (1, 16, 64, 256)
SIZES = (159, 512, 2048, 8192)
OURS = ("stratwire", "stratwire_threads")
KINDS = ("fan-out", "channels", "size", "rate", "unix", "round-trip", "idle")


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
        return turns * self.connections * self.k / per_s if self.mode == "fan_out" else 0

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
            servers = ["floor_log", *OURS, "uws"]
            if k == 1:
                servers.insert(0, "floor_send")
            if k == 16:
                servers += ["beast", "ws", "lws"]
            # What they do in a turn must be short against the window.
            if k == (16 if subscribers == 10_000 else 64):
                servers += ["redis", "nats"]
            yield Row(f"fan-out {subscribers} subscribers, K={k}", "fan-out", tuple(servers),
                      "floor_log", subscribers, k=k,
                      quick=subscribers in (100, 1000) and k in (1, 16, 64))


def other_rows():
    yield Row("1000 subscribers, each 20 of 200 channels, K=64", "channels",
              ("floor_log", *OURS, "uws", "redis", "nats"), "floor_log", 1000, k=64,
              channels=200, per_connection=20, quick=True)
    for size in SIZES:
        yield Row(f"100 subscribers, {size} bytes, K=16", "size", ("floor_log", *OURS, "uws"),
                  "floor_log", 100, k=16, message_bytes=size)
    for subscribers, rate in ((100, 2000), (1000, 50)):
        yield Row(f"{subscribers} subscribers x {rate}/s", "rate",
                  ("floor_log", *OURS, "uws", "beast", "ws", "lws"), "floor_log",
                  subscribers, rate=rate, quick=subscribers == 100)
    for k in (1, 16):
        yield Row(f"AF_UNIX, 1000 subscribers, K={k}", "unix", ("floor_log", *OURS, "uws"),
                  "floor_log", 1000, k=k, unix=True, quick=k == 16)
    yield Row("round trip, spinning", "round-trip", ("floor_echo", *OURS, "uws", "beast", "ws"),
              "floor_echo", 1, quick=True)
    yield Row("10000 idle connections", "idle",
              ("floor_log", *OURS, "uws", "beast", "ws", "lws", "redis", "nats"), "floor_log",
              10_000, quick=True)


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


def build_uws(checkout, into):
    """Compiles peers/uws.cpp with a checkout of uWebSockets (with its uSockets)."""
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
