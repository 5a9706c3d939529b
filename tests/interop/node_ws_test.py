"""npm's ws as a client of our server and as a server for our client, in both codecs (ws_peer.js)."""

import json
import os
import pathlib
import subprocess
import unittest

from programs import Server, run

NODE = os.environ["STRATWIRE_NODE"]
PEER = pathlib.Path(__file__).with_name("ws_peer.js")


class NodeWs(unittest.TestCase):
    def test_as_a_client_of_our_server(self):
        with Server("--demo", "--rate", 5_000) as server:
            for codec in ("json", "msgpack"):
                with self.subTest(codec=codec):
                    done = subprocess.run([NODE, PEER, "client", server.url, codec],
                                          capture_output=True, text=True, timeout=60, check=False)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    result = json.loads(done.stdout)
                    self.assertEqual(result["code"], 1000)
                    first = result["seen"][0]
                    self.assertEqual(result["seen"], list(range(first, first + 100)))

    def test_as_a_server_for_our_client(self):
        for codec in ("json", "msgpack"):
            with self.subTest(codec=codec), \
                    subprocess.Popen([NODE, PEER, "server", codec], stdout=subprocess.PIPE,
                                     text=True) as peer:
                try:
                    url = peer.stdout.readline().strip()
                    program = run("stratwire", "sub", url, "prices:X", "--codec", codec,
                                  "--exit-on-close")
                    self.assertEqual(program.code, 0, program.transcript())
                    self.assertEqual([json.loads(line)["seq"] for line in program.out],
                                     list(range(1, 101)))
                finally:
                    peer.kill()


if __name__ == "__main__":
    unittest.main()
