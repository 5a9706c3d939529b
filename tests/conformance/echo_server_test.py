"""Drives ws_echo_server through every case, over TCP and AF_UNIX.

    echo_server_test.py WS_ECHO_SERVER
"""

import pathlib
import sys
import tempfile

from case import Run
from cases_handshake import requests, run_request, slow_cases
from report import Report, all_cases, program
from wire import open_as_client

HANDSHAKE_S = 1


def main():
    report = Report("echo server")
    cases = list(all_cases())
    with tempfile.TemporaryDirectory(prefix="stratwire-") as folder:
        path = pathlib.Path(folder) / "echo.sock"
        with program(sys.argv[1], "--unix", path, "--handshake-ms", HANDSHAKE_S * 1000) as server:
            port = int(server.stdout.readline())
            for where, address in (("tcp", ("127.0.0.1", port)), ("unix", path)):
                for case in cases:
                    line = open_as_client(address)
                    report.add(Run(case, line).verdict(), where)
                    line.close()
                for case in requests():
                    report.check(case, lambda: run_request(address, case), where)
                for case, run in slow_cases(address, limit_s=HANDSHAKE_S + 2):
                    report.check(case, run, where)
    report.finish(at_least=600)


if __name__ == "__main__":
    main()
