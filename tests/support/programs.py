"""The programs of this project as a user runs them: started, watched and ended by tests.

STRATWIRE_BIN in the environment is the folder of the programs. Everything is waited for by what can be
seen (a line, a file, an end), with a deadline, never by sleeping for long enough.
"""

import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.request

BIN = pathlib.Path(os.environ["STRATWIRE_BIN"])
# Far beyond what anything takes: on a busy machine, under a sanitizer.
DEADLINE_S = 60


class Program:
    """One run of a program; its lines can be waited for while it runs."""

    def __init__(self, name, *arguments, stdin=subprocess.DEVNULL, env=None):
        surroundings = {key: value for key, value in os.environ.items()
                        if not key.startswith("WS_") and key not in ("PORT", "LOG_LEVEL")}
        self.process = subprocess.Popen(
            [BIN / name, *map(str, arguments)], stdin=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=surroundings | (env or {}))
        self.out = []
        self.err = []
        self._news = queue.Queue()
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True)
                         for pair in ((self.process.stdout, self.out),
                                      (self.process.stderr, self.err))]
        for reader in self._readers:
            reader.start()

    def _read(self, stream, lines):
        for line in stream:
            lines.append(line.decode(errors="replace").rstrip("\n"))
            self._news.put(None)
        self._news.put(None)

    def wait_for_line(self, pattern, lines=None):
        """The first line of stderr (or of `lines`) that the pattern is found in."""
        lines = self.err if lines is None else lines
        deadline = time.monotonic() + DEADLINE_S
        seen = 0
        while True:
            ended = not any(reader.is_alive() for reader in self._readers)
            for line in lines[seen:]:
                seen += 1
                if re.search(pattern, line):
                    return line
            if ended or time.monotonic() > deadline:
                raise AssertionError(f"no line with {pattern!r} came;\n{self.transcript()}")
            try:
                self._news.get(timeout=0.2)
            except queue.Empty:
                pass

    def write(self, text):
        self.process.stdin.write(text.encode() if isinstance(text, str) else text)
        self.process.stdin.flush()

    def signal(self, which):
        self.process.send_signal(which)

    def finish(self):
        """Waits for the end; returns the exit code."""
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"did not end by itself;\n{self.transcript()}") from None
        for reader in self._readers:
            reader.join(DEADLINE_S)
        return self.process.returncode

    def stop(self):
        """For clean-up: ends it whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(DEADLINE_S)
        for reader in self._readers:
            reader.join(DEADLINE_S)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                if stream:
                    stream.close()
            except BrokenPipeError:
                pass  # It ended before it read all of its input.

    def transcript(self):
        return "\n".join([f"$ {' '.join(map(str, self.process.args))}",
                          *("out: " + line for line in self.out[-40:]),
                          *("err: " + line for line in self.err[-40:]),
                          f"exit code {self.process.poll()}"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


class Server(Program):
    """stratwire-server on a free port, listening once this exists."""

    def __init__(self, *arguments, port=0, env=None):
        self.folder = tempfile.TemporaryDirectory(prefix="stratwire-")
        self.port_file = pathlib.Path(self.folder.name) / "port"
        super().__init__("stratwire-server", "--port", port, "--port-file", self.port_file,
                         *arguments, env=env)
        self.port = self._wait_for_port()
        self.url = f"ws://127.0.0.1:{self.port}"

    def _wait_for_port(self):
        deadline = time.monotonic() + DEADLINE_S
        while not self.port_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.finish()
                raise AssertionError(f"the server does not listen;\n{self.transcript()}")
            time.sleep(0.001)
        return int(self.port_file.read_text())

    def end(self):
        """SIGTERM, then the end; returns the exit code."""
        self.signal(signal.SIGTERM)
        return self.finish()

    def stop(self):
        super().stop()
        self.folder.cleanup()


def run(name, *arguments, input=None, env=None):
    """Runs a program to its end."""
    program = Program(name, *arguments, env=env,
                      stdin=subprocess.DEVNULL if input is None else subprocess.PIPE)
    with program:
        if input is not None:
            try:
                program.write(input)
                program.process.stdin.close()
            except BrokenPipeError:
                pass  # It ended before it read everything.
        program.code = program.finish()
    return program


def summary_of(program):
    """What `stratwire sub --stats` said."""
    return json.loads(program.out[-1])


def stats(server):
    """What the server says of itself under /stats."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/stats", timeout=DEADLINE_S) as page:
        return json.load(page)


def wait_until(holds):
    """Until the condition, which is looked at again and again, holds."""
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        if time.monotonic() > deadline:
            raise AssertionError("what was waited for has not come")
        time.sleep(0.002)


HEADER = "offset_ns,venue,symbol,kind,price,size,exchange_time_ns"


def ticks(count, venues=3, symbols=5):
    """Rows of a recording: every one different, so that none can stand for another."""
    return [f"{i * 1000},venue{i % venues},SYM-{i % symbols},{('trade', 'bid', 'ask')[i % 3]},"
            f"{100 + i * 0.25},{i % 7}.29,{1_600_000_000_000_000_000 + i}" for i in range(count)]


def write_csv(path, rows, header=HEADER):
    path.write_text("\n".join([header, *rows]) + "\n")
    return path
