"""Drives ws_echo_server through every case, over TCP and AF_UNIX.

    echo_server_test.py WS_ECHO_SERVER
"""

import pathlib
import sys
import tempfile

from case import Run
from report import Report, all_cases, program
from wire import open_as_client


def main():
    report = Report("echo server")
    cases = list(all_cases())
    with tempfile.TemporaryDirectory(prefix="stratwire-") as folder:
        path = pathlib.Path(folder) / "echo.sock"
        with program(sys.argv[1], "--unix", path, "--handshake-ms", 500) as server:
            port = int(server.stdout.readline())
            for where, address in (("tcp", ("127.0.0.1", port)), ("unix", path)):
                for case in cases:
                    line = open_as_client(address)
                    report.add(Run(case, line).verdict(), where)
                    line.close()
    report.finish(at_least=600)


if __name__ == "__main__":
    main()
