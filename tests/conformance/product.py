"""What the cases that were written for echo ends need to know of stratwire's own programs."""

from wire import BINARY, CONTINUATION, TEXT

JSON, MSGPACK = "stratwire.v1.json", "stratwire.v1.msgpack"
FRAGMENTS_MAX = 1024
TOO_BIG, POLICY = 1009, 1008


def first_limit(frames, message_bytes_max):
    """The close code that the limits of one message ask for, the first that is reached; None for none."""
    size = count = 0
    for frame in frames:
        if frame.opcode in (TEXT, BINARY):
            size = count = 0
        if frame.opcode in (TEXT, BINARY, CONTINUATION):
            size += max(len(frame.payload), frame.declared or 0)
            count += 1
        if count > FRAGMENTS_MAX:
            return POLICY
        if size > message_bytes_max:
            return TOO_BIG
    return None
