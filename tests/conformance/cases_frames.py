"""Sections 1 to 5: sizes, pings and pongs, reserved bits, reserved opcodes, fragments."""

from case import Case, binary, echo, ping, pong, text
from wire import CLOSE, CONTINUATION, PING, PONG, TEXT, BINARY, Frame, close_frame

PROTOCOL_ERROR = 1002
SIZES = (0, 125, 126, 127, 128, 65535, 65536)
FORMS = {0: "7 bits", 2: "16 bits", 8: "64 bits"}


def more(payload, fin=False):
    return Frame(CONTINUATION, payload.encode(), fin)


def last(payload):
    return more(payload, True)


def section_1():
    """Sizes, in one write and in many."""
    for group, (make, name) in enumerate(((text, "text"), (binary, "binary")), 1):
        fill = b"*" if make is text else b"\xfe"
        for index, size in enumerate(SIZES, 1):
            frame = make(fill * size)
            yield Case(f"1.{group}.{index}", f"{name} of {size} bytes", (frame,), (echo(frame),))
        frame = make(fill * 65536)
        yield Case(f"1.{group}.8", f"{name} of 65536 bytes, 997 in a write", (frame,),
                   (echo(frame),), writes=997)
        frame = make(fill * 128)
        yield Case(f"1.{group}.9", f"{name} of 128 bytes, one in a write", (frame,), (echo(frame),),
                   writes=1)
        frames = tuple(make(fill * size) for size in SIZES * 3)
        yield Case(f"1.{group}.10", f"{name} of all sizes behind one another, 4093 in a write",
                   frames, tuple(map(echo, frames)), writes=4093)
    yield from length_forms()


def length_forms():
    """RFC 6455 5.2: the shortest form, the top bit 0, masked by clients only."""
    for index, (size, form) in enumerate(((0, 2), (125, 2), (0, 8), (125, 8), (126, 8),
                                          (65535, 8)), 1):
        yield Case(f"1.3.{index}", f"{size} bytes in a length of {FORMS[form]}",
                   (text("first"), text(b"*" * size, length_form=form)), (("text", b"first"),),
                   PROTOCOL_ERROR)
    yield Case("1.3.7", "a length with its top bit set",
               (text("", length_form=8, declared=1 << 63),), (), PROTOCOL_ERROR)
    yield Case("1.3.8", "a length of 2^63-1", (text("", length_form=8, declared=(1 << 63) - 1),), (),
               1009)
    yield Case("1.3.9", "masked by a server or not masked by a client",
               (text("first"), text("second", flip_mask=True)), (("text", b"first"),), PROTOCOL_ERROR)
    yield Case("1.3.10", "the same with a ping", (Frame(PING, b"x", flip_mask=True),), (),
               PROTOCOL_ERROR)
    yield Case("1.3.11", "the same with a fragment",
               (text("a", fin=False), Frame(CONTINUATION, b"b", flip_mask=True)), (), PROTOCOL_ERROR)
    yield Case("1.3.12", "the same with a close", (Frame(CLOSE, b"\x03\xe8", flip_mask=True),), (),
               PROTOCOL_ERROR)


def section_2():
    """Pings and pongs."""
    binary_payload = bytes((0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff))
    longest = b"\xfe" * 125
    yield Case("2.1", "empty ping", (ping(),), (("pong", b""),))
    yield Case("2.2", "ping with a text", (ping(b"Hello, world!"),), (("pong", b"Hello, world!"),))
    yield Case("2.3", "ping with what is no UTF-8", (ping(binary_payload),),
               (("pong", binary_payload),))
    yield Case("2.4", "ping of 125 bytes", (ping(longest),), (("pong", longest),))
    yield Case("2.5", "ping of 126 bytes", (ping(longest + b"."),), (), PROTOCOL_ERROR)
    yield Case("2.6", "ping of 125 bytes, one in a write", (ping(longest),), (("pong", longest),),
               writes=1)
    yield Case("2.7", "empty pong that nobody asked for", (pong(),))
    yield Case("2.8", "pong that nobody asked for", (pong(b"unsolicited"),))
    yield Case("2.9", "pong that nobody asked for, then a ping", (pong(b"unsolicited"), ping(b"x")),
               (("pong", b"x"),))
    pings = tuple(ping(f"payload-{i}".encode()) for i in range(10))
    pongs = tuple(map(echo, pings))
    yield Case("2.10", "ten pings", pings, pongs)
    yield Case("2.11", "ten pings, a byte in a write", pings, pongs, writes=1)
    yield Case("2.12", "pong of 125 bytes", (pong(longest),))
    yield Case("2.13", "pong of 126 bytes", (pong(longest + b"."),), (), PROTOCOL_ERROR)
    yield Case("2.14", "ping of 65536 bytes", (ping(b"*" * 65536),), (), PROTOCOL_ERROR)
    yield Case("2.15", "ping with a 16-bit length of 125", (Frame(PING, longest, length_form=2),), (),
               PROTOCOL_ERROR)
    frames = (text("one"), ping(b"two"), binary(b"three"), pong(b"four"), ping(b"five"))
    yield Case("2.16", "messages, pings and pongs mixed", frames,
               tuple(echo(frame) for frame in frames if frame.opcode != PONG))
    thousand = tuple(ping(str(i).encode()) for i in range(1000))
    yield Case("2.17", "a thousand pings in one write", thousand, tuple(map(echo, thousand)))


def section_3():
    """Reserved bits, of extensions that nobody agreed on."""
    hello = text("Hello, world!")
    first = (echo(hello),)
    wrong = {rsv: text("Hello, world!", rsv=rsv) for rsv in range(8)}
    yield Case("3.1", "text with RSV 1", (wrong[1],), (), PROTOCOL_ERROR)
    yield Case("3.2", "text with RSV 2 after a good one", (hello, wrong[2], ping()), first,
               PROTOCOL_ERROR)
    yield Case("3.3", "text with RSV 3, a write for each frame", (hello, wrong[3], ping()), first,
               PROTOCOL_ERROR, writes="frames")
    yield Case("3.4", "text with RSV 4, a write for each byte", (hello, wrong[4], ping()), first,
               PROTOCOL_ERROR, writes=1)
    yield Case("3.5", "binary with RSV 5", (Frame(BINARY, b"\x00\xff", rsv=5),), (), PROTOCOL_ERROR)
    yield Case("3.6", "ping with RSV 6", (Frame(PING, b"Hello", rsv=6),), (), PROTOCOL_ERROR)
    yield Case("3.7", "close with RSV 7", (Frame(CLOSE, b"\x03\xe8", rsv=7),), (), PROTOCOL_ERROR)
    yield Case("3.8", "pong with RSV 4", (Frame(PONG, b"", rsv=4),), (), PROTOCOL_ERROR)
    yield Case("3.9", "last fragment with RSV 1",
               (text("a", fin=False), Frame(CONTINUATION, b"b", rsv=1)), (), PROTOCOL_ERROR)


def section_4():
    """Reserved opcodes."""
    hello = text("Hello, world!")
    for group, opcodes in enumerate(((3, 4, 5, 6, 7), (11, 12, 13, 14, 15)), 1):
        for index, opcode in enumerate(opcodes, 1):
            before = (hello,) if index >= 3 else ()
            payload = b"reserved opcode" if index in (2, 4, 5) else b""
            yield Case(f"4.{group}.{index}", f"opcode {opcode}",
                       (*before, Frame(opcode, payload), ping()), tuple(map(echo, before)),
                       PROTOCOL_ERROR, writes={3: "frames", 5: 1}.get(index, "whole"))
    for index, opcode in enumerate((3, 7, 11, 15), 1):
        yield Case(f"4.3.{index}", f"opcode {opcode} inside a fragmented message",
                   (text("a", fin=False), Frame(opcode, b"x"), last("b")), (), PROTOCOL_ERROR)


def section_5():
    """Fragments, and control frames between them."""
    both = (text("fragment1", fin=False), last("fragment2"))
    joined = (("text", b"fragment1fragment2"),)
    yield Case("5.1", "ping in two fragments", (Frame(PING, b"a", False), last("b")), (),
               PROTOCOL_ERROR)
    yield Case("5.2", "pong in two fragments", (Frame(PONG, b"a", False), last("b")), (),
               PROTOCOL_ERROR)
    ways = ("whole", "frames", 1)
    for index, writes in enumerate(ways):
        yield Case(f"5.{3 + index}", f"text in two fragments ({writes})", both, joined, writes=writes)
        yield Case(f"5.{6 + index}", f"a ping between two fragments ({writes})",
                   (both[0], ping(b"ping payload"), both[1]), (("pong", b"ping payload"), *joined),
                   writes=writes)
        for first, fin in ((9, True), (12, False)):
            yield Case(f"5.{first + index}", f"nothing to continue, FIN {int(fin)} ({writes})",
                       (more("non-continuation payload", fin), text("Hello, world!")), (),
                       PROTOCOL_ERROR, writes=writes)
    yield Case("5.15", "nothing to continue, after a fragmented message",
               (*both, more("fragment3"), text("fragment4")), joined, PROTOCOL_ERROR)
    yield Case("5.16", "continuation, text, continuation, twice",
               (more("fragment1"), text("fragment2", fin=False), last("fragment3")) * 2, (),
               PROTOCOL_ERROR)
    yield Case("5.17", "the same with FIN in the first",
               (last("fragment1"), text("fragment2", fin=False), last("fragment3")) * 2, (),
               PROTOCOL_ERROR)
    yield Case("5.18", "a text inside a fragmented text", (both[0], text("fragment2")), (),
               PROTOCOL_ERROR)
    yield Case("5.19", "five fragments, pings between them", long_message(),
               (("pong", b"pong 1"), ("pong", b"pong 2"),
                ("text", b"fragment1fragment2fragment3fragment4fragment5")))
    yield Case("5.20", "the same, a write for each frame", long_message(),
               (("pong", b"pong 1"), ("pong", b"pong 2"),
                ("text", b"fragment1fragment2fragment3fragment4fragment5")), writes="frames")
    yield from section_5_of_ours()


def long_message():
    return (text("fragment1", fin=False), more("fragment2"), ping(b"pong 1"), more("fragment3"),
            more("fragment4"), ping(b"pong 2"), last("fragment5"))


def section_5_of_ours():
    yield Case("5.21", "a binary inside a fragmented text", (text("a", fin=False), binary(b"b")), (),
               PROTOCOL_ERROR)
    yield Case("5.22", "a second first fragment", (text("a", fin=False), text("b", fin=False)), (),
               PROTOCOL_ERROR)
    yield Case("5.23", "empty fragments",
               (text("", fin=False), more(""), more("x"), more(""), last("")), (("text", b"x"),))
    octets = tuple(more(chr(97 + i % 26)) for i in range(126))
    yield Case("5.24", "a byte in each of 128 fragments, a ping behind each",
               (text(">", fin=False), *(item for one in octets for item in (one, ping(one.payload))),
                last("<")),
               (*(("pong", one.payload) for one in octets),
                ("text", b">" + b"".join(one.payload for one in octets) + b"<")))
    yield Case("5.25", "close between fragments",
               (text("a", fin=False), close_frame(1000, b"enough"), last("b")), (), 1000)
    frames = (binary(b"\x00\xff", fin=False), pong(b"none asked"), last("!"), text("behind"))
    yield Case("5.26", "binary in two fragments, a pong between, a text behind", frames,
               (("binary", b"\x00\xff!"), ("text", b"behind")))
    yield Case("5.27", "two fragmented messages behind one another",
               (text("a", fin=False), last("b"), Frame(BINARY, b"c", False), last("d")),
               (("text", b"ab"), ("binary", b"cd")), writes=1)
    yield Case("5.28", "a first fragment and a close",
               (Frame(TEXT, b"never ended", False), close_frame(1001)), (), 1001)


def cases():
    for section in (section_1, section_2, section_3, section_4, section_5):
        yield from section()
