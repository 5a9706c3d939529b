"""Section 6: UTF-8 in text messages: whole, in fragments, cut inside code points, and every kind of wrong
(the sequences are those of Markus Kuhn's stress test, as Autobahn's suite has them)."""

from case import EARLY, Case, echo, text
from wire import CONTINUATION, TEXT, Frame

INVALID_PAYLOAD = 1007
HELLO = "Hello-µ@ßöäüàá-UTF-8!!".encode()
KOSME = "κόσμε".encode()

# Each group: what it is about, valid or not, the sequences.
GROUPS = (
    (5, "valid text", True, (KOSME, HELLO, "a\x00b".encode(), "𝄞 clef".encode(), "\ufeffBOM".encode())),
    (6, "first bytes of a text", None, tuple(KOSME[:count] for count in range(1, len(KOSME) + 1))),
    (7, "first sequence of a length", True, (b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80")),
    (8, "first sequence of 5 and 6 bytes", False, (b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80")),
    (9, "last sequence of a length", True, (b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf")),
    (10, "last sequence of 4, 5 and 6 bytes", False,
     (b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf")),
    (11, "neighbours of what is not allowed", None,
     (b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf", b"\xf4\x90\x80\x80")),
    (12, "continuation bytes alone", False,
     (b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80", b"\x80\xbf\x80\xbf", b"\x80\xbf\x80\xbf\x80",
      b"\x80\xbf\x80\xbf\x80\xbf", bytes(range(0x80, 0xc0)))),
    (13, "first bytes alone, a blank behind each", False,
     tuple(b"".join(bytes((first, 0x20)) for first in firsts)
           for firsts in (range(0xc0, 0xe0), range(0xe0, 0xf0), range(0xf0, 0xf8), range(0xf8, 0xfc),
                          range(0xfc, 0xfe)))),
    (14, "last byte missing", False,
     (b"\xc0", b"\xe0\x80", b"\xf0\x80\x80", b"\xf8\x80\x80\x80", b"\xfc\x80\x80\x80\x80", b"\xdf",
      b"\xef\xbf", b"\xf7\xbf\xbf", b"\xfb\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf")),
    (15, "incomplete ones behind one another", False,
     (b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xfc\x80\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf"
      b"\xfd\xbf\xbf\xbf\xbf",)),
    (16, "bytes that never occur", False, (b"\xfe", b"\xff", b"\xfe\xfe\xff\xff")),
    (17, "longer forms of '/'", False,
     (b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf",
      b"\xfc\x80\x80\x80\x80\xaf")),
    (18, "longest of the longer forms", False,
     (b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf",
      b"\xfc\x83\xbf\xbf\xbf\xbf")),
    (19, "longer forms of NUL", False,
     (b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80",
      b"\xfc\x80\x80\x80\x80\x80")),
    (20, "surrogates alone", False,
     (b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80",
      b"\xed\xbe\x80", b"\xed\xbf\xbf")),
    (21, "surrogates in pairs", False,
     tuple(high + low for high in (b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf")
           for low in (b"\xed\xb0\x80", b"\xed\xbf\xbf"))),
    (22, "non-characters", True,
     tuple(chr(plane << 16 | low).encode() for plane in range(17) for low in (0xfffe, 0xffff))),
    (23, "specials", True,
     tuple(chr(code).encode() for code in range(0xfff9, 0x10000))),
)


def is_valid(sequence):
    try:
        sequence.decode()
    except UnicodeDecodeError:
        return False
    return True


def fragments(payload, cuts):
    """One text message, cut at these places."""
    edges = [0, *cuts, len(payload)]
    pieces = [payload[start:end] for start, end in zip(edges, edges[1:])]
    return tuple(Frame(CONTINUATION if i else TEXT, piece, i == len(pieces) - 1)
                 for i, piece in enumerate(pieces))


def octets(payload):
    return fragments(payload, range(1, len(payload)))


def zero_length():
    yield Case("6.1.1", "empty text", (text(""),), (("text", b""),))
    yield Case("6.1.2", "three empty fragments", fragments(b"", (0, 0)), (("text", b""),))
    yield Case("6.1.3", "text between two empty fragments",
               (text("", fin=False), Frame(CONTINUATION, b"middle frame payload", False),
                Frame(CONTINUATION, b"")), (("text", b"middle frame payload"),))


def valid_and_cut():
    whole = (("text", HELLO),)
    yield Case("6.2.1", "valid text", (text(HELLO),), whole)
    yield Case("6.2.2", "cut between code points", fragments(HELLO, (8,)), whole)
    yield Case("6.2.3", "a fragment for each byte", octets(HELLO), whole)
    yield Case("6.2.4", "a fragment for each byte of another", octets(KOSME), (("text", KOSME),))
    for index, cut in enumerate(range(1, len(HELLO)), 5):
        yield Case(f"6.2.{index}", f"cut behind byte {cut}", fragments(HELLO, (cut,)), whole,
                   writes="frames")
    yield Case("6.2.60", "4-byte sequences, cut in each place, a byte in a write",
               octets("𝄞𝄞".encode()), (("text", "𝄞𝄞".encode()),), writes=1)
    for index, offset in enumerate(range(33)):
        payload = b"a" * offset + KOSME + b"b" * (70 - offset)
        yield Case(f"6.2.{61 + index}", f"sequences at byte {offset} of ASCII", (text(payload),),
                   (("text", payload),))


BAD = KOSME + b"\xed\xa0\x80" + b"edited"


def invalid_and_cut():
    yield Case("6.3.1", "invalid text", (text(BAD),), (), INVALID_PAYLOAD)
    yield Case("6.3.2", "a fragment for each byte", octets(BAD), (), INVALID_PAYLOAD)
    over = KOSME + b"\xf4\x90\x80\x80" + b"edited"
    start = len(KOSME)
    for index, cut in enumerate((start, start + 2), 1):
        first, *_ = fragments(over, (cut,))
        bad = Frame(CONTINUATION, over[cut:start + 4], False)
        yield Case(f"6.4.{index}", "invalid in the second of three fragments, the third comes late",
                   (first, bad, EARLY, Frame(CONTINUATION, over[start + 4:])), (), INVALID_PAYLOAD)
    yield Case("6.4.3", "invalid in the middle of a frame whose rest comes late",
               (text(over, declared=len(over) + 40), EARLY, b"*" * 40), (), INVALID_PAYLOAD)
    yield Case("6.4.4", "the same, in its last fragment",
               (text("a", fin=False), Frame(CONTINUATION, over, declared=len(over) + 40), EARLY,
                b"*" * 40), (), INVALID_PAYLOAD)
    yield Case("6.4.5", "ends inside a code point, in its last fragment",
               fragments(KOSME[:-1], (4,)), (), INVALID_PAYLOAD)
    yield Case("6.4.6", "ends inside a code point, an empty fragment behind",
               fragments(KOSME[:-1], (len(KOSME) - 1,)), (), INVALID_PAYLOAD)
    yield Case("6.4.7", "a good text, then a bad one", (text(HELLO), text(BAD)),
               (("text", HELLO),), INVALID_PAYLOAD)
    yield Case("6.4.8", "a code point that goes on in the next message",
               (text(KOSME[:-1]), text(KOSME[-1:])), (), INVALID_PAYLOAD)
    yield Case("6.4.9", "the same bytes in a binary message",
               (Frame(0x2, BAD),), (("binary", BAD),))
    for index, offset in enumerate(range(33), 10):
        payload = b"a" * offset + b"\xed\xa0\x80" + b"b" * (70 - offset)
        yield Case(f"6.4.{index}", f"a surrogate at byte {offset} of ASCII", (text(payload),), (),
                   INVALID_PAYLOAD)


def groups():
    for group, about, valid, sequences in GROUPS:
        for index, sequence in enumerate(sequences, 1):
            good = is_valid(sequence)
            assert valid is None or good == valid, (group, index)
            label = f"{about}: {sequence[:12].hex(' ')}"
            events, close = ((("text", sequence),), None) if good else ((), INVALID_PAYLOAD)
            # Whole, and cut inside: each piece alone may look right.
            yield Case(f"6.{group}.{index}", label, (text(sequence),), events, close)
            if len(sequence) > 1:
                yield Case(f"6.{group}.{index}f", f"{label}, a fragment for each byte",
                           octets(sequence), events, close)


def cases():
    for part in (zero_length, valid_and_cut, invalid_and_cut, groups):
        yield from part()
