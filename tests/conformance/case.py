"""One case: what is sent, what must come back, and how to find out."""

import dataclasses

from wire import BINARY, CLOSE, PING, PONG, TEXT, Frame, WrongFrame, close_frame

OK, NON_STRICT, FAILED = "OK", "NON-STRICT", "FAILED"
NOTHING_CAME = "nothing more comes"
# The connection ends without a close frame.
NO_CLOSE = 1006
# How long a peer may take that could know before the end of a frame that its text is wrong.
EARLY_S = 0.1

# Items of Case.send beside frames and bytes.
EARLY = object()  # From here on a peer that checks each byte can answer; others wait for the frame's end.
HALF_CLOSE = object()  # The tester sends no more.


@dataclasses.dataclass(frozen=True)
class Case:
    number: str  # As in Autobahn's suite, where it has this case.
    about: str
    send: tuple  # Of frames, bytes and the items above.
    events: tuple = ()  # ("text" | "binary" | "pong", payload), in order.
    # The code that the peer must close with; None: all was right, the tester ends with 1000.
    close: int = None
    writes: object = "whole"  # "whole", "frames" (one write each), or bytes in one write.
    rounds: int = 1  # So many times, each after the answer to the last.
    also_legal: tuple = ()  # Other (events, close), which count as NON-STRICT.

    def frames(self):
        return [item for item in self.send if isinstance(item, Frame)]

    @property
    def is_clean(self):
        """Nothing in it breaks a rule."""
        return self.close is None


def text(payload, **more):
    return Frame(TEXT, payload.encode() if isinstance(payload, str) else payload, **more)


def binary(payload, **more):
    return Frame(BINARY, payload, **more)


def ping(payload=b""):
    return Frame(PING, payload)


def pong(payload=b""):
    return Frame(PONG, payload)


def echo(frame):
    """The event that answers it."""
    return {TEXT: "text", BINARY: "binary", PING: "pong"}[frame.opcode], frame.payload


class Verdict:
    def __init__(self, case, result, why=""):
        self.case = case
        self.result = result
        self.why = why


def writes_of(case, by_client):
    """What goes out in one write each."""
    pieces = []
    for item in case.send:
        if item in (EARLY, HALF_CLOSE):
            pieces.append(item)
        else:
            data = item.encode(by_client) if isinstance(item, Frame) else item
            if pieces and isinstance(pieces[-1], bytearray) and case.writes != "frames":
                pieces[-1] += data
            else:
                pieces.append(bytearray(data))
    for piece in pieces:
        if isinstance(piece, bytearray) and isinstance(case.writes, int):
            yield from (piece[at:at + case.writes] for at in range(0, len(piece), case.writes))
        else:
            yield piece


class Run:
    """One case on one upgraded line."""

    def __init__(self, case, line):
        self.case = case
        self.line = line
        self.events = []
        self.close = None
        self.reason = ""
        self.early = False

    def read(self, count):
        """Until so many events or the peer's close; False when something else comes."""
        while len(self.events) < count and self.close is None:
            self.take(self.line.event())

    def take(self, event):
        if event is None:
            raise TimeoutError(NOTHING_CAME)
        if event[0] == "close":
            self.close = event[1] if event[1] is not None else "without code"
            self.reason = event[2]
        elif event[0] in ("end", "reset"):
            self.close = NO_CLOSE
        else:
            self.events.append(event)

    def send(self):
        chopped = self.case.writes != "whole"
        for piece in writes_of(self.case, self.line.by_client):
            if piece is HALF_CLOSE:
                self.line.half_close()
            elif piece is not EARLY:
                self.line.send(bytes(piece), wait_until_read=chopped)
            elif self.close is None:
                event = self.line.event(EARLY_S)
                if event is not None:
                    self.early = True
                    self.take(event)

    def play(self):
        case = self.case
        for done in range(case.rounds):
            self.send()
            self.read((done + 1) * len(case.events))
        sent_close = any(frame.opcode == CLOSE for frame in case.frames())
        if case.close is None and self.close is None:
            self.line.send(close_frame(1000).encode(self.line.by_client))
            sent_close = True
        while self.close is None:
            self.take(self.line.event())
        if self.close == NO_CLOSE:
            return
        if not sent_close:
            self.line.send(close_frame(self.close if isinstance(self.close, int) else None)
                           .encode(self.line.by_client))
        if not self.line.by_client:
            self.line.half_close()  # RFC 6455 7.1.1: the server ends the connection.
        event = self.line.event()
        if event != ("end",):
            raise WrongFrame(f"after the close came {event}, not the end of the connection")

    def verdict(self):
        case = self.case
        try:
            self.play()
        except (WrongFrame, TimeoutError, UnicodeDecodeError) as error:
            return Verdict(case, FAILED, f"{error}; {self.seen()}")
        got = tuple(self.events), self.close
        asked_early = EARLY in case.send
        if got == (case.events * case.rounds, 1000 if case.close is None else case.close):
            return Verdict(case, OK if self.early or not asked_early else NON_STRICT)
        if got in case.also_legal:
            return Verdict(case, NON_STRICT)
        wanted = describe(case.events * case.rounds, case.close or 1000)
        return Verdict(case, FAILED, f"wanted {wanted}; {self.seen()}")

    def seen(self):
        reason = f" ({self.reason})" if self.reason else ""
        return f"got {describe(self.events, self.close)}{reason}"


def describe(events, close):
    words = [f"{kind} {payload[:24]!r}" + (f"... of {len(payload)}" if len(payload) > 24 else "")
             for kind, payload in events[:8]]
    if len(events) > 8:
        words.append(f"{len(events) - 8} more")
    words.append("no close" if close is None else f"close {close}")
    return ", ".join(words)
