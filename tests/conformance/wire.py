"""RFC 6455 frames, right and wrong ones, and the tester's end of a connection. Nothing of what is tested
is used here; python's standard library is all there is."""

import base64
import dataclasses
import fcntl
import hashlib
import random
import select
import socket
import struct
import termios
import time

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NAMES = {TEXT: "text", BINARY: "binary", PING: "ping", PONG: "pong"}
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
# Far beyond what anything takes: on a busy machine, under a sanitizer.
DEADLINE_S = 20
READ_BYTES = 1 << 18

_masks = random.Random(6455)


def masked(payload, key):
    count = len(payload)
    pattern = (key * (count // 4 + 1))[:count]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(count, "big")


@dataclasses.dataclass(frozen=True)
class Frame:
    opcode: int
    payload: bytes = b""
    fin: bool = True
    rsv: int = 0
    flip_mask: bool = False  # Masked where it must not be, or the other way round.
    length_form: int = None  # 0, 2 or 8 bytes of length; None: the shortest that fits.
    declared: int = None  # The length in the header, where it is not that of the payload.

    def encode(self, by_client):
        length = len(self.payload) if self.declared is None else self.declared
        form = self.length_form
        if form is None:
            form = 0 if length < 126 else 2 if length < 65536 else 8
        mask_bit = 0x80 if by_client != self.flip_mask else 0
        head = struct.pack("!BB", (0x80 if self.fin else 0) | self.rsv << 4 | self.opcode,
                           mask_bit | (length if form == 0 else 126 if form == 2 else 127))
        head += b"" if form == 0 else struct.pack("!H" if form == 2 else "!Q", length)
        if not mask_bit:
            return head + self.payload
        key = _masks.randbytes(4)
        return head + key + masked(self.payload, key)


def close_frame(code=None, reason=b""):
    return Frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


class WrongFrame(Exception):
    """What the peer sent breaks RFC 6455."""


def connect(address):
    """To (host, port) or to the path of a socket file."""
    if isinstance(address, tuple):
        peer = socket.create_connection(address, DEADLINE_S)
    else:
        peer = socket.socket(socket.AF_UNIX)
        peer.settimeout(DEADLINE_S)
        peer.connect(str(address))
    return peer


class Line:
    """The tester's end: sends while it reads, and looks closely at what comes."""

    def __init__(self, peer, by_client):
        self.peer = peer
        self.by_client = by_client  # The tester plays the client.
        self.is_unix = peer.family == socket.AF_UNIX
        if not self.is_unix:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setblocking(False)
        self.unsent = memoryview(b"")
        self.unread = bytearray()
        self.ended = None  # "end" or "reset", once the peer's end was read.
        self.fragments = None

    def close(self):
        self.peer.close()

    def _pump(self, deadline, also_write):
        """Moves bytes; False once the time is over."""
        write = also_write and len(self.unsent) > 0
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        readable, writable, _ = select.select([] if self.ended else [self.peer],
                                              [self.peer] if write else [], [], remaining)
        if writable:
            try:
                self.unsent = self.unsent[self.peer.send(self.unsent):]
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                self.unsent = memoryview(b"")  # It takes no more; what it said can still be read.
        if readable:
            try:
                data = self.peer.recv(READ_BYTES)
                self.unread += data
                self.ended = None if data else "end"
            except ConnectionResetError:
                self.ended = "reset"
        return True

    def send(self, data, wait_until_read=False):
        """Sends all of it, reading meanwhile; on AF_UNIX it can wait until the peer has read it."""
        deadline = time.monotonic() + DEADLINE_S
        self.unsent = memoryview(data)
        while self.unsent:
            if not self._pump(deadline, also_write=True):
                raise TimeoutError("the peer reads nothing")
        count = bytearray(4)
        while wait_until_read and self.is_unix and not self.ended:
            fcntl.ioctl(self.peer, termios.TIOCOUTQ, count)
            if not any(count):
                break
            if time.monotonic() > deadline:
                raise TimeoutError("the peer reads nothing")

    def half_close(self):
        try:
            self.peer.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # The peer was quicker.

    def head(self):
        """The HTTP head that comes first, or what there is of it when the peer ends."""
        deadline = time.monotonic() + DEADLINE_S
        while b"\r\n\r\n" not in self.unread and not self.ended:
            if not self._pump(deadline, also_write=False):
                raise TimeoutError("no HTTP head")
        end = self.unread.find(b"\r\n\r\n")
        end = len(self.unread) if end < 0 else end + 4
        head = bytes(self.unread[:end])
        del self.unread[:end]
        return head

    def rest(self):
        """Everything up to the peer's end."""
        deadline = time.monotonic() + DEADLINE_S
        while not self.ended:
            if not self._pump(deadline, also_write=False):
                raise TimeoutError("the peer does not end the connection")
        return bytes(self.unread)

    def event(self, patience=DEADLINE_S):
        """The next of ("text" | "binary" | "ping" | "pong", payload), ("close", code, reason), ("end",),
        ("reset",); None when nothing came for so long."""
        deadline = time.monotonic() + patience
        while True:
            frame = self._frame()
            if frame is not None:
                event = self._take(frame)
                if event is not None:
                    return event
                continue
            if self.ended:
                if self.unread:
                    raise WrongFrame(f"the peer ended inside a frame ({len(self.unread)} bytes)")
                return (self.ended,)
            if not self._pump(deadline, also_write=False):
                return None

    def _frame(self):
        data = self.unread
        if len(data) < 2:
            return None
        first, second = data[0], data[1]
        length, at = second & 0x7F, 2
        if length >= 126:
            at = 4 if length == 126 else 10
            if len(data) < at:
                return None
            shortest = 126 if length == 126 else 65536
            length = int.from_bytes(data[2:at], "big")
            if length < shortest or length >> 63:
                raise WrongFrame(f"length {length} in a form of {at - 2} bytes")
        if first & 0x70:
            raise WrongFrame("reserved bit set")
        if bool(second & 0x80) == self.by_client:
            raise WrongFrame("masked by a server" if self.by_client else "not masked by a client")
        if second & 0x80:
            at += 4
        if len(data) < at + length:
            return None
        payload = bytes(data[at:at + length])
        if second & 0x80:
            payload = masked(payload, bytes(data[at - 4:at]))
        del data[:at + length]
        return Frame(first & 0xF, payload, bool(first & 0x80))

    def _take(self, frame):
        if frame.opcode in (CLOSE, PING, PONG):
            if not frame.fin or len(frame.payload) > 125:
                raise WrongFrame("control frame fragmented or too long")
            if frame.opcode != CLOSE:
                return NAMES[frame.opcode], frame.payload
            if not frame.payload:
                return "close", None, ""
            return "close", int.from_bytes(frame.payload[:2], "big"), frame.payload[2:].decode()
        if frame.opcode not in (CONTINUATION, TEXT, BINARY):
            raise WrongFrame(f"opcode {frame.opcode}")
        if (frame.opcode == CONTINUATION) != (self.fragments is not None):
            raise WrongFrame("fragments out of order")
        if frame.opcode != CONTINUATION:
            self.fragments = frame.opcode, []
        opcode, pieces = self.fragments
        pieces.append(frame.payload)
        if not frame.fin:
            return None
        self.fragments = None
        payload = b"".join(pieces)
        if opcode == TEXT:
            payload.decode()
        return NAMES[opcode], payload


# ---- The upgrade, for cases that are about what follows it


def upgrade_request(target="/", subprotocol=None, key=b"dGhlIHNhbXBsZSBub25jZQ=="):
    offer = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (f"GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key.decode()}\r\n"
            f"{offer}\r\n").encode()


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def fields(head):
    """The start line and the fields of an HTTP head; names in lower case."""
    start, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return start, {name.strip().lower(): value.strip() for name, _, value in pairs}


def check_upgraded(head, subprotocol=None, key=b"dGhlIHNhbXBsZSBub25jZQ=="):
    start, got = fields(head)
    wanted = {"upgrade": "websocket", "connection": "upgrade",
              "sec-websocket-accept": accept_of(key).decode()}
    if subprotocol:
        wanted["sec-websocket-protocol"] = subprotocol
    elif "sec-websocket-protocol" in got:
        raise WrongFrame("a subprotocol that was not offered")
    if not start.startswith("HTTP/1.1 101"):
        raise WrongFrame(f"not upgraded: {start!r}")
    for name, value in wanted.items():
        if got.get(name, "").lower() != value.lower():
            raise WrongFrame(f"{name}: {got.get(name)!r} instead of {value!r}")
    if "sec-websocket-extensions" in got:
        raise WrongFrame("an extension that was not offered")


def upgrade_response(request, subprotocol=None):
    _, got = fields(request)
    chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol else ""
    return (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_of(got["sec-websocket-key"].encode()) + b"\r\n"
            + chosen.encode() + b"\r\n")


def open_as_client(address, target="/", subprotocol=None, behind=b""):
    """An upgraded line to a server; `behind` goes out in the same write as the request."""
    line = Line(connect(address), by_client=True)
    line.send(upgrade_request(target, subprotocol) + behind)
    check_upgraded(line.head(), subprotocol)
    return line
