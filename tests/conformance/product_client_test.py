"""A fuzzing server that `stratwire sub` subscribes to, over TCP in JSON and over AF_UNIX in MessagePack.

    product_client_test.py STRATWIRE

Each case has a client of its own. It connects and subscribes, the case is played, and then it must come
back, subscribe again and print what it is sent; a code that means "stop" ends it instead.
"""

import concurrent.futures
import dataclasses
import json
import pathlib
import socket
import subprocess
import sys
import tempfile

from case import FAILED, Case, Run, Verdict, text
from cases_handshake import end_response, responses, run_response
from cases_utf8 import fragments, octets
from product import FRAGMENTS_MAX, JSON, MSGPACK, POLICY, TOO_BIG, first_limit
from report import Report, all_cases
from wire import (BINARY, CONTINUATION, DEADLINE_S, TEXT, Frame, Line, WrongFrame, close_frame, fields,
                  upgrade_response)

MESSAGE_BYTES_MAX = 1 << 20
# After a violation a client drops what still comes beside its next try, not in a hurry: these cases
# go on before they have sent more than that.
SENT_BYTES_MAX = MESSAGE_BYTES_MAX + (1 << 17)
CHANNEL = "prices:A"
EPOCH = 77
# Clients wait between two tries, up to 100 ms, so that several can take their time together.
CLIENTS = 6
STOP_CODES = range(4000, 4100)
LOST = 1  # The exit code of a client that could not hand over everything.
# More pongs than this client keeps for a peer that does not read; RFC 6455 5.5.3 asks for the last only.
TOO_MANY_PINGS = "H.7.22"


def adapted(case):
    """A client answers pings; what it can't read it counts."""
    close = 1000 if case.close == "without code" else case.close
    events = tuple(event for event in case.events if event[0] == "pong")
    if sum(len(frame.payload) for frame in case.frames()) > SENT_BYTES_MAX:
        return None
    beyond = first_limit(case.frames(), MESSAGE_BYTES_MAX) if case.events or close in (None, TOO_BIG) else None
    if beyond is not None:
        if sum(frame.opcode != CONTINUATION for frame in case.frames()) > 1:
            return None
        events, close = (), beyond
    return dataclasses.replace(case, events=events, close=close)


def case_messages(original, case):
    """The events that stand for messages which reached the client whole."""
    return original.events if case.close == original.close or original.close == "without code" else ()


def limits():
    """This client's own limits, from both sides."""
    mib = b"x" * MESSAGE_BYTES_MAX
    yield Case("P.1", "a text of 1 MiB", (text(mib),), (("text", mib),))
    yield Case("P.2", "a text of 1 MiB and a byte", (text("", declared=MESSAGE_BYTES_MAX + 1),), (), TOO_BIG)
    yield Case("P.3", "1 MiB in two fragments", fragments(mib, (1000,)), (("text", mib),))
    yield Case("P.4", "1 MiB in two fragments, a byte in the third",
               (*fragments(mib, (1000,))[:1], Frame(CONTINUATION, mib[1000:], False),
                Frame(CONTINUATION, b"", declared=1)), (), TOO_BIG)
    many = b"y" * FRAGMENTS_MAX
    yield Case("P.5", "1024 fragments", octets(many), (("text", many),))
    yield Case("P.6", "1025 fragments", octets(many + b"y"), (), POLICY)


class Json:
    subprotocol = JSON
    option = "json"
    opcode = TEXT

    @staticmethod
    def subscribed_to(payload):
        """Id and channels of a Subscribe; None for other messages."""
        message = json.loads(payload)
        return (message["id"], message["channels"]) if message["type"] == "Subscribe" else None

    @staticmethod
    def messages(request_id=1):
        """What a server says first, and one message of the channel."""
        return [json.dumps(message).encode() for message in (
            {"type": "Welcome", "client_id": 1, "epoch": EPOCH, "heartbeat_ms": 60_000,
             "message_bytes_max": 65536, "channels_max": 10, "timestamp": 0},
            {"type": "Subscribed", "id": request_id, "results": [
                {"channel": CHANNEL, "code": "ok", "message": "", "epoch": EPOCH, "head": 0}]},
            {"type": "PriceUpdate", "ch": CHANNEL, "seq": 1, "input_mint": "USDC", "output_mint": "SOL",
             "price": 1.5, "volume": 2, "timestamp": 3})]


def packed(value):
    """As much MessagePack as a server needs here."""
    if isinstance(value, list):
        return bytes((0x90 | len(value),)) + b"".join(map(packed, value))
    if isinstance(value, str):
        return bytes((0xa0 | len(value),)) + value.encode()
    return b"\xce" + value.to_bytes(4, "big")


class Msgpack:
    subprotocol = MSGPACK
    option = "msgpack"
    opcode = BINARY

    @staticmethod
    def subscribed_to(payload):
        # [5, id as u64, [names], ...]
        if payload[0] & 0xf0 != 0x90 or payload[1] != 5:
            return None
        names = [CHANNEL] if packed([CHANNEL]) in payload else payload
        number, = [payload[2]] if payload[2] < 0x80 else [int.from_bytes(payload[3:11], "big")]
        return number, names

    @staticmethod
    def messages(request_id=1):
        return [packed(message) for message in (
            [10, 1, EPOCH, 60_000, 65536, 10, 0],
            [11, request_id, [[CHANNEL, "ok", "", EPOCH, 0]]],
            [1, 1, 1, 2, 3, CHANNEL, "USDC", "SOL"])]


class ClientRun(Run):
    """Reads past the client's own messages."""

    def take(self, event):
        if not event or event[0] not in ("text", "binary"):
            super().take(event)


class Client:
    """One run of `stratwire sub`, and the server that it talks to."""

    def __init__(self, program, speaks, folder):
        self.speaks = speaks
        if speaks is Json:
            self.listener = socket.create_server(("127.0.0.1", 0))
            url = f"ws://127.0.0.1:{self.listener.getsockname()[1]}"
        else:
            self.folder = tempfile.TemporaryDirectory(dir=folder)
            path = f"{self.folder.name}/s"
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen()
            url = f"ws+unix://{path}"
        self.listener.settimeout(DEADLINE_S)
        self.process = subprocess.Popen(
            [program, "sub", url, CHANNEL, "--codec", speaks.option, "--retry", "0", "--count", "1"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.process.kill()
        self.process.communicate()

    def accept(self):
        """A line whose upgrade was asked for, and the request."""
        peer, _ = self.listener.accept()
        line = Line(peer, by_client=False)
        request = line.head()
        if self.speaks.subprotocol not in fields(request)[1].get("sec-websocket-protocol", ""):
            raise WrongFrame("the subprotocol was not offered")
        return line, request

    def open(self):
        line, request = self.accept()
        line.send(upgrade_response(request, self.speaks.subprotocol))
        self.welcome(line)
        return line

    def welcome(self, line):
        self.send(line, self.speaks.messages()[0])
        while True:
            event = line.event()
            kind, payload = event[0], event[-1]
            if kind not in ("text", "binary", "ping"):
                raise WrongFrame(f"instead of a Subscribe came {event}")
            if kind in ("text", "binary") and (channels := self.speaks.subscribed_to(payload)):
                self.request_id, names = channels
                if names != [CHANNEL]:
                    raise WrongFrame(f"subscribed to {names}")
                return

    def send(self, line, payload):
        line.send(Frame(self.speaks.opcode, payload).encode(False))

    def comes_back(self, code):
        """Nothing, or why it failed: it connects, subscribes, takes a message and ends with that code."""
        line = self.open()
        for payload in self.speaks.messages(self.request_id)[1:]:
            self.send(line, payload)
        while (event := line.event())[0] in ("text", "binary", "ping"):
            pass
        line.send(close_frame(1000).encode(False))
        line.close()
        out, err = self.process.communicate(timeout=DEADLINE_S)
        if self.process.returncode != code or f'"ch":"{CHANNEL}","seq":1,' not in out:
            return f"exit code {self.process.returncode}, out {out!r}, err {err!r}"
        return None if event[:2] == ("close", 1000) else f"the client ended with {event}"

    def stops(self):
        _, err = self.process.communicate(timeout=DEADLINE_S)
        return None if self.process.returncode != 0 and err else "the client did not say why it stopped"


def play(program, speaks, folder, pair):
    """The verdict of one case."""
    original, case = pair
    # A message that can't be read is lost, and the client says so.
    code = LOST if any(kind != "pong" for kind, _ in case_messages(original, case)) else 0
    with Client(program, speaks, folder) as client:
        line = client.open()
        verdict = ClientRun(case, line).verdict()
        line.close()
        if verdict.result == FAILED:
            return verdict
        why = client.stops() if case.close in STOP_CODES else client.comes_back(code)
        return Verdict(case, FAILED, f"after the case: {why}") if why else verdict


def play_response(program, speaks, folder, case):
    """A case that is about the upgrade."""
    with Client(program, speaks, folder) as client:
        line, request = client.accept()
        why = run_response(line, request, case, speaks.subprotocol)
        if not why and case.taken:
            end_response(line)
        line.close()
        if not why:
            # Some answers say that asking again is of no use.
            why = client.stops() if ends_it(case, client) else client.comes_back(0)
        return Verdict(case, FAILED if why else "OK", why)


def ends_it(case, client):
    """The client went, instead of trying again."""
    if case.taken:
        return False
    client.listener.settimeout(0.02)
    while client.process.poll() is None:
        try:
            peer, _ = client.listener.accept()
        except TimeoutError:
            continue
        peer.close()  # One try more, and another one comes.
        break
    client.listener.settimeout(DEADLINE_S)
    return client.process.poll() is not None


def run_safely(case, run):
    try:
        return run()
    except (OSError, subprocess.TimeoutExpired, WrongFrame, ValueError) as error:
        return Verdict(case, FAILED, f"{type(error).__name__}: {error}")


def main():
    report = Report("stratwire sub")
    pairs = [(case, wanted) for case in (*all_cases(), *limits())
             if (wanted := adapted(case)) is not None]
    answers = [case for case in responses() if case.number != TOO_MANY_PINGS]
    with tempfile.TemporaryDirectory(prefix="stratwire-") as folder, \
            concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        for speaks in (Json, Msgpack):
            jobs = [*((play, pair[1], pair) for pair in pairs),
                    *((play_response, case, case) for case in answers)]
            for verdict in pool.map(lambda job: run_safely(job[1], lambda: job[0](
                    sys.argv[1], speaks, folder, job[2])), jobs):
                report.add(verdict, speaks.option)
    report.finish(at_least=1000)


if __name__ == "__main__":
    main()
