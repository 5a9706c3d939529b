"""Help, versions and wrong arguments of the programs."""

import unittest

from programs import run

USAGE = 2


class Help(unittest.TestCase):
    def test_programs_explain_themselves(self):
        for name, arguments, words in (
                ("stratwire-server", [], ["--replay", "--lane-bytes", "WS_PORT", "Exit codes",
                                          "--allow-publish", "Example"]),
                ("stratwire", [], ["sub", "pub", "chaos", "Exit codes"]),
                ("stratwire", ["sub"], ["--codec", "--stats", "--exit-on-close", "Exit codes"]),
                ("stratwire", ["pub"], ["--event", "PriceUpdate", "--allow-publish", "Exit codes"]),
                ("example_live_table", [], ["--channels", "--seconds", "Exit codes"])):
            with self.subTest(name=name, arguments=arguments):
                program = run(name, *arguments, "--help")
                self.assertEqual(program.code, 0, program.transcript())
                for word in words:
                    self.assertIn(word, "\n".join(program.out))
                self.assertEqual(program.err, [])

    def test_versions(self):
        for name in ("stratwire", "stratwire-server"):
            program = run(name, "--version")
            self.assertEqual(program.code, 0)
            self.assertRegex(program.out[0], rf"^{name} \d+\.\d+\.\d+$")


class WrongArguments(unittest.TestCase):
    def check(self, name, *arguments, says):
        """One line on stderr that names the input and the cure; nothing on stdout; exit code 2."""
        program = run(name, *arguments)
        self.assertEqual(program.code, USAGE, program.transcript())
        self.assertEqual(program.out, [], program.transcript())
        self.assertEqual(len(program.err), 1, program.transcript())
        self.assertTrue(program.err[0].startswith(name.removeprefix("example_") + ": "),
                        program.err[0])
        for word in says:
            self.assertIn(word, program.err[0])

    def test_tool(self):
        url = "ws://127.0.0.1:1"
        self.check("stratwire", says=["--help"])
        self.check("stratwire", "subscribe", says=["--help"])
        self.check("stratwire", "sub", says=["URL", "--help"])
        self.check("stratwire", "sub", url, says=["CHANNEL", "--help"])
        self.check("stratwire", "sub", url, "a:b", "--codec", "xml", says=["--codec", "xml", "json"])
        self.check("stratwire", "sub", url, "a:b", "--count", "many", says=["--count", "many"])
        for count in ("0", "-1", "1.5", "18446744073709551616"):
            self.check("stratwire", "sub", url, "a:b", "--count", count,
                       says=[f"--count: '{count}' is not a whole number from 1 on"])
        for seconds in ("-1", "nan", "1s"):
            self.check("stratwire", "sub", url, "a:b", "--seconds", seconds,
                       says=[f"--seconds: '{seconds}' is not a number of seconds from 0 on"])
        for point in ("prices:A", "prices:A@1", "prices:A@1:x", "@1:2", "prices:A@1:2:3@", "a@b:1:2"):
            self.check("stratwire", "sub", url, "a:b", "--since", point,
                       says=["--since", f"'{point}' is not CHANNEL@EPOCH:SEQ"])
        for point in ("b:b@1:2", "a:*@1:2"):
            self.check("stratwire", "sub", url, "a:b", "c:*", "--since", point,
                       says=["--since", f"'{point.partition('@')[0]}'"])
        self.check("stratwire", "sub", url, "a:b", "--also", "http://x", says=["http", "ws://"])
        self.check("stratwire", "sub", url, "a:b", "--retry", "-1",
                   says=["--retry: '-1' is not a whole number from 0 on"])
        self.check("stratwire", "sub", url, "a:b", "--nonsense", says=["--nonsense", "--help"])
        self.check("stratwire", "pub", url, says=["CHANNEL"])
        self.check("stratwire", "frob", url, says=["'frob'", "--help"])

    def test_server(self):
        for arguments, says in (
                (["--nonsense"], ["--nonsense", "--help"]),
                (["--port", "99999"], ["--port", "'99999'", "0 to 65535", "--port 8080"]),
                (["--port", "http"], ["--port", "'http'"]),
                (["--lane-bytes", "4MB"], ["--lane-bytes", "'4MB'", "--lane-bytes 4194304"]),
                (["--io-threads", "0"], [": --io-threads is 0", "1..8"]),
                (["--io-threads", "1000"], [": --io-threads is 1000", "1..8"]),
                (["--lane-bytes", "1"], [": --lane-bytes is 1", "65536.."]),
                (["--heartbeat-interval", "1ms"], [": --heartbeat-interval is 1 ms", "50.."]),
                (["--kinds", "a b"], [": --kinds has 'a b'"]),
                (["--stall", "1ms"], [": --stall is 1 ms", "10.."]),
                (["--channel-log-messages", "2000000"], [": --channel-log-messages is 2000000"]),
                (["--policies", "prices=keep"], ["--policies", "'prices=keep'", "conflate"]),
                (["--policies", "prices"], ["--policies", "without '='"]),
                (["--drain-alternatives", ",".join(["ws://x"] * 17)],
                 ["--drain-alternatives", "more than 16"]),
                (["--drain-alternatives", "ws://x:1", "--drain-go-away-deadline", "0"],
                 ["--drain-go-away-deadline leaves no time", "--drain-alternatives", "--drain-go-away-deadline 5s"]),
                (["--drain-alternatives", "ws://x:1", "--drain-timeout", "0s"],
                 ["--drain-timeout leaves no time", "--drain-alternatives", "--drain-timeout 10s"]),
                (["--speed", "2"], ["--speed", "--demo or --replay", "leave it out"]),
                (["--wait-subscribers", "1"], ["--wait-subscribers", "--demo or --replay"]),
                (["--exit-at-end"], ["--exit-at-end", "--demo or --replay"]),
                (["--epoch", "now"], ["--epoch", "'now'", "0 to 9007199254740992"]),
                (["--epoch", "9007199254740993"], ["--epoch", "0 to 9007199254740992"]),
                (["--seed", "1"], ["--seed", "add --demo, "]),
                (["--rate", "1", "--replay", "x.csv"], ["--rate", "not for --replay"]),
                (["--waiting", "sleep"], ["--waiting", "'sleep'", "park, yield, spin"]),
                (["--handshake-timeout", "soon"], ["--handshake-timeout", "'soon'", "250ms"]),
                (["--log-level", "loud"], ["--log-level", "'loud'", "debug"]),
                (["--kinds", "prices,,trades"], ["--kinds", "empty"]),
                (["--rate", "0"], ["--rate", "--speed 0"]),
                (["--rate", "1e300"], ["--rate", "0.001 to 1e9"]),
                (["--speed", "nan"], ["--speed", "'nan'"]),
                (["--speed", "1e-300"], ["--speed", "0.001 to 1e6"]),
                (["--drain-alternatives", "10.0.0.2"], ["--drain-alternatives", "'10.0.0.2'"]),
                (["--demo", "--replay", "x.csv"], ["--demo", "--replay"]),
                (["--host", ""], ["--host", "empty"])):
            with self.subTest(arguments=arguments):
                self.check("stratwire-server", *arguments, says=says)

    def test_live_table(self):
        self.check("example_live_table", "--url", says=["--url"])
        self.check("example_live_table", "--codec", "xml", says=["--codec", "xml"])
        self.check("example_live_table", "--seconds", "0", says=["--seconds"])
        self.check("example_live_table", "--nonsense", "1", says=["--nonsense", "--help"])
        self.check("example_live_table", "--url", "localhost:80", says=["localhost:80", "ws://"])


if __name__ == "__main__":
    unittest.main()
