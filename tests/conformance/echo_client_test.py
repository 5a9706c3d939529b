"""A fuzzing server that leads ws_echo_client through every case, over TCP and AF_UNIX.

    echo_client_test.py WS_ECHO_CLIENT
"""

import pathlib
import socket
import subprocess
import sys
import tempfile
import urllib.parse

from case import FAILED, Run
from cases_handshake import Response, end_response, responses, run_response
from report import Report, all_cases
from wire import DEADLINE_S, TEXT, Frame, Line, WrongFrame, close_frame, fields, upgrade_response


def listen(path=None):
    if path is None:
        return socket.create_server(("127.0.0.1", 0))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


class FuzzingServer:
    """What Autobahn's fuzzing server is to its clients."""

    def __init__(self, listener, cases, report, where):
        listener.settimeout(DEADLINE_S)
        self.listener = listener
        self.cases = cases
        self.report = report
        self.where = where

    def accept(self):
        """An upgraded line, and what it asked for."""
        peer, _ = self.listener.accept()
        line = Line(peer, by_client=False)
        request = line.head()
        target = urllib.parse.urlsplit(fields(request)[0].split(" ")[1])
        return line, request, target.path, urllib.parse.parse_qs(target.query)

    def tell(self, line, words):
        """One message and an orderly close."""
        if words:
            line.send(Frame(TEXT, words.encode()).encode(False))
        line.send(close_frame(1000).encode(False))
        if line.event() != ("close", 1000, ""):
            raise WrongFrame("the close was not answered with 1000")
        line.half_close()
        if line.event() != ("end",):
            raise WrongFrame("the client does not end the connection")
        line.close()

    def answer(self, line, request, case):
        """A case that is about the upgrade; nothing, or why it failed."""
        try:
            why = run_response(line, request, case)
            if case.taken and not why:
                end_response(line)
            return why
        finally:
            line.close()

    def serve(self):
        """Until the client asks for its report."""
        while True:
            line, request, path, query = self.accept()
            case = self.cases[int(query["case"][0]) - 1] if path == "/runCase" else None
            if isinstance(case, Response):
                self.report.check(case, lambda: self.answer(line, request, case), self.where)
                continue
            line.send(upgrade_response(request))
            if path == "/getCaseCount":
                self.tell(line, str(len(self.cases)))
            elif path == "/runCase":
                self.report.add(Run(case, line).verdict(), self.where)
                line.close()
            elif path == "/updateReports":
                self.tell(line, "")
                return
            else:
                raise WrongFrame(f"asked for {path!r}")


def main():
    report = Report("echo client")
    cases = [*all_cases(), *responses()]
    with tempfile.TemporaryDirectory(prefix="stratwire-") as folder:
        path = pathlib.Path(folder) / "fuzz.sock"
        for where, listener in (("tcp", listen()), ("unix", listen(path))):
            url = (f"ws+unix://{path}" if where == "unix"
                   else f"ws://127.0.0.1:{listener.getsockname()[1]}")
            with listener, subprocess.Popen([sys.argv[1], url, "echo"]) as client:
                try:
                    FuzzingServer(listener, cases, report, where).serve()
                    code = client.wait(DEADLINE_S)
                finally:
                    client.kill()
                if code != 0:
                    print(f"FAILED: the client ended with exit code {code}")
                    report.counts[FAILED] += 1
    report.finish(at_least=600)


if __name__ == "__main__":
    main()
