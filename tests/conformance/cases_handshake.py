"""The upgrade of RFC 6455 section 4: requests for servers, responses for clients, right and wrong ones."""

import dataclasses
import time

from case import ping, text
from wire import (DEADLINE_S, Line, WrongFrame, accept_of, check_upgraded, close_frame, connect, fields,
                  upgrade_request, upgrade_response)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HEAD_BYTES_MAX = 8192
UPGRADED = 101


@dataclasses.dataclass(frozen=True)
class Request:
    """What is sent to a server, and the HTTP status that answers it."""
    number: str
    about: str
    head: bytes
    status: int
    behind: bytes = b""  # In the same write as the head.
    byte_by_byte: bool = False
    events: tuple = ()  # That come first, of what was sent behind the head.
    close: int = None  # The server closes with this code, because of what was behind the head.


def request(start="GET / HTTP/1.1", without=(), **changed):
    """The ordinary request with some fields left out, changed (a list: several of them) or added."""
    values = {"Host": "localhost", "Upgrade": "websocket", "Connection": "Upgrade",
              "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY.decode()}
    for name, value in changed.items():
        values[name.replace("_", "-")] = value
    lines = [start]
    for name, value in values.items():
        if name not in without:
            lines += [f"{name}: {one}" for one in (value if isinstance(value, list) else [value])]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def padded(size):
    """A request of exactly so many bytes."""
    bare = len(request(X_Fill=""))
    return request(X_Fill="x" * (size - bare))


def good_requests():
    yield Request("H.1.1", "ordinary", request(), UPGRADED)
    yield Request("H.1.2", "field names in lower case", request().replace(b"Sec-WebSocket", b"sec-websocket")
                  .replace(b"Host", b"host").replace(b"Connection:", b"connection:"), UPGRADED)
    yield Request("H.1.3", "Connection: keep-alive, Upgrade",
                  request(Connection="keep-alive, Upgrade"), UPGRADED)
    yield Request("H.1.4", "Upgrade: WebSocket", request(Upgrade="WebSocket"), UPGRADED)
    yield Request("H.1.5", "a byte in a write", request(), UPGRADED, byte_by_byte=True)
    yield Request("H.1.6", "a path and a query", request("GET /chat?a=1&b=%20 HTTP/1.1"), UPGRADED)
    yield Request("H.1.7", "Origin, cookies, other fields",
                  request(Origin="http://example.com", Cookie="a=b; c=d", X_Other="yes"), UPGRADED)
    yield Request("H.1.8", "permessage-deflate is offered, and not taken",
                  request(Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"), UPGRADED)
    yield Request("H.1.9", "an absolute target", request("GET http://localhost/chat HTTP/1.1"), UPGRADED)
    yield Request("H.1.10", "Content-Length: 0", request(Content_Length="0"), UPGRADED)
    yield Request("H.1.11", "no blank behind the colons", request().replace(b": ", b":"), UPGRADED)
    yield Request("H.1.12", "another key", request(Sec_WebSocket_Key="AAAAAAAAAAAAAAAAAAAAAA=="), UPGRADED)
    # RFC 4648 3.5 lets a decoder refuse it; it is 16 bytes all the same.
    yield Request("H.1.15", "a key with bits behind its end",
                  request(Sec_WebSocket_Key="dGhlIHNhbXBsZSBub25jZR=="), UPGRADED)
    yield Request("H.1.13", "Upgrade names two, websocket among them", request(Upgrade="h2c, websocket"),
                  UPGRADED)
    yield Request("H.1.14", "Connection in two fields",
                  request(Connection=["keep-alive", "Upgrade"]), UPGRADED)


def wrong_fields():
    """(about, head, status)"""
    for name in ("Host", "Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key"):
        yield f"no {name}", request(without=(name,)), 400
        yield f"an empty {name}", request(**{name: ""}), (None if name == "Host" else
                                                          426 if "Version" in name else 400)
    for name in ("Host", "Upgrade", "Sec-WebSocket-Version", "Sec-WebSocket-Key"):
        value = {"Host": "localhost", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
                 "Sec-WebSocket-Key": KEY.decode()}[name]
        yield f"{name} twice", request(**{name: [value, value]}), 400
    yield "two different keys", request(Sec_WebSocket_Key=[KEY.decode(), "AAAAAAAAAAAAAAAAAAAAAA=="]), 400
    yield "Upgrade: h2c", request(Upgrade="h2c"), 400
    yield "Connection: close", request(Connection="close"), 400
    for key, about in (("dGhlIHNhbXBsZSBub25j", "of 15 bytes"), ("dGhlIHNhbXBsZSBub25jZWU=", "of 17 bytes"),
                       ("dGhlIHNhbXBsZSBub25jZQ", "without padding"), ("!" * 22 + "==", "no base64"),
                       ("dGhlIHNhbXBs ZSBub25jZQ==", "with a blank in it")):
        yield f"a key {about}", request(Sec_WebSocket_Key=key), 400
    for version in ("8", "12", "14", "013", "13, 8", "x", "-13"):
        yield f"version {version}", request(Sec_WebSocket_Version=version), 426
    for protocols, about in (("a,,b", "an empty name"), ("a b", "a blank in a name"), ("chat, chat", "one twice"),
                             ('"chat"', "quotes"), ("", "nothing")):
        yield f"subprotocols with {about}", request(Sec_WebSocket_Protocol=protocols), 400
    yield "Content-Length: 5", request(Content_Length="5"), 400
    yield "Content-Length: -1", request(Content_Length="-1"), 400
    yield "Transfer-Encoding: chunked", request(Transfer_Encoding="chunked"), 400


def wrong_lines():
    """(about, head, status)"""
    for method in ("POST", "PUT", "HEAD", "OPTIONS"):
        yield f"method {method}", request(f"{method} / HTTP/1.1"), 405
    yield "HTTP/1.0", request("GET / HTTP/1.0"), 400
    yield "HTTP/2.0", request("GET / HTTP/2.0"), 400
    yield "no version", request("GET /"), 400
    yield "a version and a half", request("GET / HTTP/1.15"), 400
    yield "two targets", request("GET / / HTTP/1.1"), 400
    yield "a target without slash", request("GET chat HTTP/1.1"), 400
    yield "a fragment in the target", request("GET /chat#part HTTP/1.1"), 400
    yield "a control character in the target", request("GET /ch\x01at HTTP/1.1"), 400
    yield "a field without colon", request().replace(b"Upgrade: ", b"Upgrade ", 1), 400
    yield "a blank before the colon", request().replace(b"Host:", b"Host :"), 400
    yield "a NUL in a field", request(X_Other="a\x00b"), 400
    yield "a carriage return in a field", request(X_Other="a\rb"), 400
    yield "lines that end with LF", request().replace(b"\r\n", b"\n"), 400
    yield "one line that ends with LF", request().replace(b"Host: localhost\r\n", b"Host: localhost\n"), 400
    yield "no HTTP", b"\x00\x01\x02\x03\r\n\r\n", 400
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x55" * 300, 400
    yield "HTTP/2's preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400
    yield "a frame where the request should be", ping(b"x" * 100).encode(True), 400


def bad_requests():
    for group, source in ((2, wrong_fields), (3, wrong_lines)):
        for index, (about, head, status) in enumerate(source(), 1):
            if status is not None:
                yield Request(f"H.{group}.{index}", about, head, status)
                # What still comes must not be answered again, nor reset the answer away.
                yield Request(f"H.{group}.{index}b", f"{about}, 64 KiB behind it", head, status,
                              behind=b"GET / HTTP/1.1\r\n\r\n" + b"x" * 65536)


def limits():
    yield Request("H.4.1", "a head of 8192 bytes", padded(HEAD_BYTES_MAX), UPGRADED)
    yield Request("H.4.2", "a head of 8193 bytes", padded(HEAD_BYTES_MAX + 1), 431)
    yield Request("H.4.3", "a head of 1 MiB", padded(1 << 20), 431)
    yield Request("H.4.4", "a line of 1 MiB that never ends", b"GET /" + b"x" * (1 << 20), 431)
    many = "".join(f"\r\nX-{i}: y" for i in range(500))
    yield Request("H.4.5", "500 fields", request("GET / HTTP/1.1" + many), UPGRADED)
    yield Request("H.4.6", "20000 fields", request("GET / HTTP/1.1" + many * 40), 431)


def frames_behind():
    """What comes in the same segment as the request. Events are those of an echo server."""
    def sent(*frames):
        return b"".join(frame.encode(True) for frame in frames)

    yield Request("H.5.1", "a ping behind the request", request(), UPGRADED, sent(ping(b"early")),
                  events=(("pong", b"early"),))
    yield Request("H.5.2", "100 pings behind the request", request(), UPGRADED, sent(ping(b"early")) * 100,
                  events=(("pong", b"early"),) * 100)
    yield Request("H.5.3", "pings beyond a read behind the request", request(), UPGRADED,
                  sent(ping(b"*" * 125)) * 2500, events=(("pong", b"*" * 125),) * 2500)
    yield Request("H.5.4", "a close behind the request", request(), UPGRADED, sent(close_frame(1001)),
                  close=1001)
    yield Request("H.5.5", "a violation behind the request", request(), UPGRADED,
                  sent(ping(b"x"), text("x", rsv=1)), events=(("pong", b"x"),), close=1002)
    yield Request("H.5.6", "a ping behind a head of 8192 bytes", padded(HEAD_BYTES_MAX), UPGRADED,
                  sent(ping(b"early")), events=(("pong", b"early"),))


def requests():
    for part in (good_requests, bad_requests, limits, frames_behind):
        yield from part()


def run_request(address, case):
    """Nothing, or why it failed."""
    line = Line(connect(address), by_client=True)
    try:
        data = case.head + case.behind
        for at in range(0, len(data), 1 if case.byte_by_byte else len(data)):
            line.send(data[at:at + 1] if case.byte_by_byte else data, wait_until_read=case.byte_by_byte)
        head = line.head()
        start, got = fields(head)
        if not start.startswith(f"HTTP/1.1 {case.status} "):
            return f"wanted {case.status}, got {start!r}"
        if case.status != UPGRADED:
            return check_refusal(line, got, case)
        key = fields(case.head)[1].get("sec-websocket-key").encode()
        check_upgraded(head, key=key)
        return check_events(line, case)
    finally:
        line.close()


def check_refusal(line, got, case):
    body = line.rest()
    if line.ended != "end":
        return f"the refusal ends with a {line.ended}"
    wanted = 0 if case.head.startswith(b"HEAD ") else int(got.get("content-length", -1))
    if len(body) != wanted:
        return f"{len(body)} bytes behind the head instead of {wanted}: {body[:80]!r}"
    if case.status == 426 and got.get("sec-websocket-version") != "13":
        return "426 does not name version 13"
    return None


def check_events(line, case):
    for wanted in case.events:
        event = line.event()
        if event != wanted:
            return f"wanted {wanted}, got {event}"
    if case.close is None:
        line.send(ping(b"alive").encode(True) + close_frame(1000).encode(True))
        if (event := line.event()) != ("pong", b"alive"):
            return f"wanted a pong, got {event}"
    if (event := line.event())[:2] != ("close", case.close or 1000):
        return f"wanted close {case.close or 1000}, got {event}"
    if (event := line.event()) != ("end",):
        return f"wanted the end, got {event}"
    return None


# ---- Peers that take their time


def run_silent(address, first, trickle, limit_s):
    """A client that sends `first`, then nothing, or a byte again and again; is hung up on in time."""
    line = Line(connect(address), by_client=True)
    try:
        line.send(first)
        started = time.monotonic()
        for byte in trickle:
            if line.event(0.02) is not None or time.monotonic() - started > DEADLINE_S:
                break
            line.send(bytes((byte,)))
        line.rest()
        took = time.monotonic() - started
        return None if took < limit_s else f"hung up after {took:.1f} s only"
    finally:
        line.close()


SLOW = (("H.6.1", "a client that says nothing", b"", b""),
        ("H.6.2", "a client that stops inside a line", b"GET / HT", b""),
        ("H.6.3", "a client that stops before the empty line", upgrade_request()[:-2], b""),
        ("H.6.4", "a client that sends a byte now and then", b"GET /", b"x" * 4000))


def slow_cases(address, limit_s):
    """(case, what runs it)"""
    for number, about, first, trickle in SLOW:
        yield (Request(number, about, first, 0),
               lambda first=first, trickle=trickle: run_silent(address, first, trickle, limit_s))


# ---- Responses, for clients


@dataclasses.dataclass(frozen=True)
class Response:
    """How a server answers an upgrade, and whether the client may take it."""
    number: str
    about: str
    make: object  # request -> response
    taken: bool = False
    behind: tuple = ()  # Frames in the same write.
    byte_by_byte: bool = False


def edited(*changes):
    """The right response with pieces replaced."""
    def make(asked):
        data = upgrade_response(asked)
        for old, new in changes:
            if old not in data:
                raise ValueError(f"{old!r} is not in the response")
            data = data.replace(old, new)
        return data
    return make


def accept_field(change):
    """The right response with another Sec-WebSocket-Accept."""
    def make(asked):
        right = accept_of(fields(asked)[1]["sec-websocket-key"].encode())
        return upgrade_response(asked).replace(b"Sec-WebSocket-Accept: " + right, change(right))
    return make


def added(line):
    return edited((b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n"))


def good_responses():
    yield "ordinary", upgrade_response
    yield "another reason phrase", edited((b"Switching Protocols", b"Web Socket Protocol Handshake"))
    yield "no reason phrase", edited((b"101 Switching Protocols", b"101 "))
    yield "field names in lower case", edited((b"Sec-WebSocket-Accept", b"sec-websocket-accept"),
                                              (b"Upgrade:", b"upgrade:"), (b"Connection:", b"connection:"))
    yield "values in other cases", edited((b": websocket", b": WebSocket"), (b": Upgrade", b": UPGRADE"))
    yield "Connection: keep-alive, Upgrade", edited((b": Upgrade", b": keep-alive, Upgrade"))
    yield "other fields", added(b"Server: x\r\nDate: now\r\nX-Other: y")
    yield "a head of 8000 bytes", added(b"X-Fill: " + b"x" * 7800)


def bad_responses():
    yield "no Upgrade", edited((b"Upgrade: websocket\r\n", b""))
    yield "Upgrade: h2c", edited((b": websocket", b": h2c"))
    yield "no Connection", edited((b"Connection: Upgrade\r\n", b""))
    yield "Connection: close", edited((b"Connection: Upgrade", b"Connection: close"))
    yield "no Accept", accept_field(lambda right: b"X-Other: y")
    yield "an empty Accept", accept_field(lambda right: b"Sec-WebSocket-Accept:")
    yield "the key as Accept", edited_key()
    yield "Accept in lower case", accept_field(lambda right: b"Sec-WebSocket-Accept: " + right.lower())
    yield "Accept twice", accept_field(lambda right: (b"Sec-WebSocket-Accept: " + right + b"\r\n") * 2 + b"X: y")
    yield "Accept and more", accept_field(lambda right: b"Sec-WebSocket-Accept: " + right + b"x")
    yield "a subprotocol that was not offered", added(b"Sec-WebSocket-Protocol: mqtt")
    yield "two subprotocols", added(b"Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b")
    yield "an extension that was not offered", added(b"Sec-WebSocket-Extensions: permessage-deflate")
    for status in (b"100", b"200", b"204", b"302", b"400", b"401", b"404", b"426", b"500", b"503"):
        yield f"status {status.decode()}", edited((b"101 Switching Protocols", status + b" Other"),
                                                  (b"\r\n\r\n", b"\r\nContent-Length: 0\r\n\r\n"))
    yield "HTTP/1.0", edited((b"HTTP/1.1", b"HTTP/1.0"))
    yield "HTTP/2.0", edited((b"HTTP/1.1", b"HTTP/2.0"))
    yield "lines that end with LF", edited((b"\r\n", b"\n"))
    yield "a field without colon", added(b"what is this")
    yield "no HTTP", lambda asked: b"\x00\x01\x02 hello\r\n\r\n"
    yield "a frame at once", lambda asked: text("hello").encode(False)
    yield "a head of 20000 bytes", added(b"X-Fill: " + b"x" * 20000)
    yield "nothing", lambda asked: b""
    yield "half a response", lambda asked: upgrade_response(asked)[:60]
    yield "no empty line", lambda asked: upgrade_response(asked)[:-2]


def edited_key():
    return lambda asked: upgrade_response(asked).replace(
        accept_of(fields(asked)[1]["sec-websocket-key"].encode()),
        fields(asked)[1]["sec-websocket-key"].encode())


def responses():
    for index, (about, make) in enumerate(good_responses(), 1):
        yield Response(f"H.7.{index}", about, make, taken=True)
    yield Response("H.7.20", "a byte in a write", upgrade_response, taken=True, byte_by_byte=True)
    yield Response("H.7.21", "a ping in the same write", upgrade_response, taken=True, behind=(ping(b"early"),))
    yield Response("H.7.22", "300 KB of pings in the same write", upgrade_response, taken=True,
                   behind=(ping(b"*" * 100),) * 3000)
    for index, (about, make) in enumerate(bad_responses(), 1):
        yield Response(f"H.8.{index}", about, make)


def run_response(line, asked, case, subprotocol=None):
    """Answers the request that was read; nothing, or why the case failed. A client that takes the
    response is left open, with `alive` answered."""
    # A client that wrongly takes a response shows it by a pong.
    behind = case.behind if case.taken else (ping(b"taken"),)
    data = case.make(asked) + b"".join(frame.encode(False) for frame in behind)
    if subprotocol:
        data = data.replace(b"\r\n", f"\r\nSec-WebSocket-Protocol: {subprotocol}\r\n".encode(), 1)
    for at in range(0, len(data), 1 if case.byte_by_byte else max(1, len(data))):
        line.send(data[at:at + 1] if case.byte_by_byte else data, wait_until_read=case.byte_by_byte)
    if not case.taken:
        line.half_close()
        said = line.rest()
        return f"the client went on: {said[:40]!r}" if said else None
    line.send(ping(b"alive").encode(False))
    for frame in (*case.behind, ping(b"alive")):
        event = line.event()
        while event[0] in ("text", "binary"):  # A client's own messages may come first.
            event = line.event()
        if event != ("pong", frame.payload):
            return f"wanted {('pong', frame.payload)}, got {event}"
    return None


def end_response(line):
    """The orderly end of a line whose response was taken."""
    line.send(close_frame(1000).encode(False))
    event = line.event()
    while event[0] in ("text", "binary"):
        event = line.event()
    if event[:2] != ("close", 1000):
        raise WrongFrame(f"wanted close 1000, got {event}")
    line.half_close()
    line.rest()
