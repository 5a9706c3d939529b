"""Section 9: large messages, whole and in pieces, and a thousand round trips."""

from case import Case, binary, echo, text
from wire import BINARY, CONTINUATION, TEXT, Frame

KIB, MIB = 1 << 10, 1 << 20


def pieces(opcode, payload, size):
    starts = range(0, len(payload), size)
    return tuple(Frame(CONTINUATION if start else opcode, payload[start:start + size],
                       start + size >= len(payload)) for start in starts)


def cases():
    letters = b"BAsd7&jh23"
    fill = {TEXT: letters * (16 * MIB // len(letters) + 1), BINARY: bytes(range(256)) * (16 * MIB // 256)}
    for group, (make, opcode, name) in enumerate(((text, TEXT, "text"), (binary, BINARY, "binary")), 1):
        for index, size in enumerate((64 * KIB, 256 * KIB, MIB, 4 * MIB, 16 * MIB), 1):
            frame = make(fill[opcode][:size])
            yield Case(f"9.{group}.{index}", f"{name} of {size // KIB} KiB", (frame,), (echo(frame),))
        yield Case(f"9.{group}.6", f"{name} of 16 MiB and a byte, the limit",
                   (make(b"", declared=16 * MIB + 1),), (), 1009)
        payload = fill[opcode][:4 * MIB]
        yield Case(f"9.{group}.7", f"{name} in fragments whose sum is beyond the limit",
                   (Frame(opcode, fill[opcode][:16 * MIB], False),
                    Frame(CONTINUATION, b"", declared=1)), (), 1009)
        for index, size in enumerate((64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB), 1):
            yield Case(f"9.{2 + group}.{index}", f"{name} of 4 MiB in fragments of {size}",
                       pieces(opcode, payload, size), ((name, payload),))
        frame = make(fill[opcode][:MIB])
        for index, size in enumerate((1021, 4 * KIB, 64 * KIB), 1):
            yield Case(f"9.{4 + group}.{index}", f"{name} of 1 MiB, {size} in a write", (frame,),
                       (echo(frame),), writes=size)
        for index, size in enumerate((0, 16, 64, 256, KIB, 4 * KIB), 1):
            frame = make(fill[opcode][:size])
            yield Case(f"9.{6 + group}.{index}", f"200 round trips of {name} of {size}", (frame,),
                       (echo(frame),), rounds=200)
