"""Drives stratwire-server through the cases, over TCP and AF_UNIX, in each of its three protocols.

    product_server_test.py STRATWIRE_SERVER

It echoes nothing. In plain JSON what it can't read is dropped in silence; in the native protocols every
message gets one answer, in order: an Error, for those of the cases, which are no messages of ours. So the
same cases can be used, with other events expected.
"""

import dataclasses
import json
import pathlib
import sys
import tempfile
import time

from case import EARLY, Case, Run, text
from cases_handshake import requests, run_request, slow_cases
from cases_utf8 import GROUPS, fragments, is_valid, octets
from product import JSON, MSGPACK, TOO_BIG, first_limit
from report import Report, all_cases, program
from wire import CONTINUATION, DEADLINE_S, open_as_client

KIND_OF = {None: "text", JSON: "text", MSGPACK: "binary"}
MESSAGE_BYTES_MAX = 65536
HANDSHAKE_S = 1
UNSUPPORTED = 1003
# In the place of a message's answer: an Error, whatever it says.
ERROR = b"an Error"
ERROR_TYPE = 17  # Of an Error in MessagePack.


def adapted(case, protocol):
    """What this server must do in this case; None where it says nothing about it."""
    events, close = [], case.close
    for kind, payload in case.events:
        if kind == "pong":
            events.append((kind, payload))
        elif kind != KIND_OF[protocol]:
            close = UNSUPPORTED  # Text where binary is spoken; the first ends the connection.
            break
        elif protocol is not None:
            events.append((kind, ERROR))
    if close == UNSUPPORTED and (case.rounds > 1 or EARLY in case.send):
        return None
    if close == "without code":
        close = 1000
    beyond = first_limit(case.frames(), MESSAGE_BYTES_MAX) if case.events or close in (None, TOO_BIG) else None
    if beyond is not None:
        if sum(frame.opcode != CONTINUATION for frame in case.frames()) > 1:
            return None
        events, close = [], beyond
    return dataclasses.replace(case, events=tuple(events), close=close)


class ProductRun(Run):
    """Reads past Welcome; an Error is an Error."""

    def __init__(self, case, line, protocol):
        super().__init__(case, line)
        self.protocol = protocol
        self.welcome = protocol is None

    def take(self, event):
        if event and event[0] in ("text", "binary"):
            if not self.welcome:
                self.welcome = True
                return
            # MessagePack: an array that begins with the type's number.
            is_error = (json.loads(event[1])["type"] == "Error" if self.protocol == JSON
                        else event[1][1] == ERROR_TYPE)
            event = event[0], ERROR if is_error else event[1]
        super().take(event)


def subscribe_cases():
    """UTF-8 inside messages of ours: a channel name that is none is answered, not hung up on."""
    start, end = b'{"type":"Subscribe","id":1,"channels":["prices:', b'"]}'
    for group, about, _, sequences in GROUPS:
        for index, sequence in enumerate(sequences, 1):
            if any(byte < 0x20 or byte == 0x22 for byte in sequence):
                continue
            payload = start + sequence + end
            good = is_valid(sequence)
            for way, frames in (("", (text(payload),)), ("f", octets(payload)),
                                ("c", fragments(payload, (len(start) + 1,)))):
                yield Case(f"S.{group}.{index}{way}", f"Subscribe with {about}", frames,
                           (("text", b"Subscribed"),) if good else (), None if good else 1007)


class SubscribeRun(ProductRun):
    def take(self, event):
        if event and event[0] == "text" and self.welcome:
            message = json.loads(event[1])
            event = "text", message["type"].encode()
            if message.get("id") != 1:
                event = "text", b"an answer to something else"
            return Run.take(self, event)
        return super().take(event)


def wait_for(path, process):
    deadline = time.monotonic() + DEADLINE_S
    while not (path.exists() and path.read_text()):
        if process.poll() is not None or time.monotonic() > deadline:
            raise SystemExit("FAILED: the server does not listen")
        time.sleep(0.001)
    return int(path.read_text())


def main():
    report = Report("stratwire-server")
    with tempfile.TemporaryDirectory(prefix="stratwire-") as name:
        folder = pathlib.Path(name)
        path = folder / "server.sock"
        with program(sys.argv[1], "--port", 0, "--port-file", folder / "port", "--unix-path", path,
                     "--handshake-timeout", f"{HANDSHAKE_S}s", "--heartbeat-interval", "3600s",
                     "--log-level", "error") as server:
            port = wait_for(folder / "port", server)
            for where, address in (("tcp", ("127.0.0.1", port)), ("unix", path)):
                drive(report, where, address)
    report.finish(at_least=3000)


def drive(report, where, address):
    for protocol in (None, JSON, MSGPACK):
        for case in all_cases():
            wanted = adapted(case, protocol)
            if wanted is not None:
                line = open_as_client(address, subprotocol=protocol)
                report.add(ProductRun(wanted, line, protocol).verdict(), f"{where} {protocol}")
                line.close()
    for case in subscribe_cases():
        line = open_as_client(address, subprotocol=JSON)
        report.add(SubscribeRun(case, line, JSON).verdict(), where)
        line.close()
    for case in requests():
        report.check(case, lambda: run_request(address, case), where)
    for case, run in slow_cases(address, limit_s=HANDSHAKE_S + 2):
        report.check(case, run, where)


if __name__ == "__main__":
    main()
