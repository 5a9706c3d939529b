"""Section 7: closing handshakes, codes, reasons, what comes behind a close, half-closed lines."""

from case import HALF_CLOSE, NO_CLOSE, Case, binary, echo, ping, text
from wire import CLOSE, CONTINUATION, Frame, close_frame

PROTOCOL_ERROR, INVALID_PAYLOAD = 1002, 1007
VALID_CODES = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000,
               4999)
INVALID_CODES = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)


def behind_a_close():
    hello = text("Hello World!")
    close = close_frame(1000)
    yield Case("7.1.1", "a message, then close", (hello, close), (echo(hello),), 1000)
    yield Case("7.1.2", "two closes", (close, close), (), 1000)
    yield Case("7.1.3", "a ping behind the close", (close, ping(b"late")), (), 1000)
    yield Case("7.1.4", "a text behind the close", (close, hello), (), 1000)
    yield Case("7.1.5", "close inside a fragmented message, the rest behind it",
               (text("fragment1", fin=False), close, Frame(CONTINUATION, b"fragment2")), (), 1000)
    large = text(b"BAsd7&jh23" * 26214)
    yield Case("7.1.6", "256 KiB, a text, close, a ping", (large, hello, close, ping()),
               (echo(large), echo(hello)), 1000)
    yield Case("7.1.7", "what is no frame behind the close", (close, b"\xff" * 300), (), 1000)
    yield Case("7.1.8", "1 MiB behind the close", (close, binary(b"\x00" * (1 << 20))), (), 1000)
    yield Case("7.1.9", "1 MiB behind a violation",
               (Frame(3, b""), binary(b"\x00" * (1 << 20))), (), PROTOCOL_ERROR)
    yield Case("7.1.10", "a second violation behind the first, a write for each frame",
               (Frame(3, b""), text("", rsv=7)), (), PROTOCOL_ERROR, writes="frames")


def payloads():
    yield Case("7.3.1", "close without payload", (Frame(CLOSE),), (), "without code")
    yield Case("7.3.2", "close with one byte", (Frame(CLOSE, b"a"),), (), PROTOCOL_ERROR)
    yield Case("7.3.3", "close with a code", (close_frame(1000),), (), 1000)
    yield Case("7.3.4", "close with a reason", (close_frame(1000, b"Hello World!"),), (), 1000)
    yield Case("7.3.5", "close with a reason of 123 bytes", (close_frame(1000, b"*" * 123),), (), 1000)
    yield Case("7.3.6", "close with a reason of 124 bytes", (close_frame(1000, b"*" * 124),), (),
               PROTOCOL_ERROR)
    yield Case("7.3.7", "close with a reason, a byte in a write",
               (close_frame(1001, b"Hello World!"),), (), 1001, writes=1)
    yield Case("7.3.8", "close without FIN", (Frame(CLOSE, b"\x03\xe8", False),), (), PROTOCOL_ERROR)
    yield Case("7.3.9", "close of 65536 bytes", (close_frame(1000, b"*" * 65534),), (),
               PROTOCOL_ERROR)
    bad = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64"
    yield Case("7.5.1", "close with a reason that is no UTF-8", (close_frame(1000, bad),), (),
               INVALID_PAYLOAD)
    yield Case("7.5.2", "close with a reason that is cut inside a code point",
               (close_frame(1000, "κ".encode()[:1]),), (), INVALID_PAYLOAD)
    longest = ("κ" * 61).encode() + b"."
    yield Case("7.5.3", "close with 123 bytes of UTF-8", (close_frame(1000, longest),), (), 1000)


def codes():
    for index, code in enumerate(VALID_CODES, 1):
        yield Case(f"7.7.{index}", f"close with {code}", (close_frame(code),), (), code)
    for index, code in enumerate(INVALID_CODES, 1):
        yield Case(f"7.9.{index}", f"close with {code}, which nobody may send", (close_frame(code),), (),
                   PROTOCOL_ERROR)


def half_closed():
    hello = text("Hello World!")
    yield Case("7.11.1", "a message, then the end of the line without a close", (hello, HALF_CLOSE),
               (echo(hello),), NO_CLOSE)
    yield Case("7.11.2", "the end of the line inside a frame",
               (hello, text("x", declared=100), HALF_CLOSE), (echo(hello),), NO_CLOSE)
    yield Case("7.11.3", "the end of the line inside a fragmented message",
               (text("fragment1", fin=False), HALF_CLOSE), (), NO_CLOSE)
    yield Case("7.11.4", "close, then the end of the line at once", (close_frame(1000), HALF_CLOSE), (),
               1000)
    yield Case("7.11.5", "a violation, then the end of the line at once", (Frame(3, b""), HALF_CLOSE),
               (), PROTOCOL_ERROR)


def cases():
    for part in (behind_a_close, payloads, codes, half_closed):
        yield from part()
