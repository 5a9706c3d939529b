"""stratwire pub: lines from standard input to the readers of a channel."""

import json
import subprocess
import unittest

from programs import Program, Server, run

LOST, USAGE, REFUSED = 1, 2, 4
PRICE = ('{"type":"PriceUpdate","input_mint":"USDC","output_mint":"SOL","price":142.25,'
         '"volume":18446744073709551615,"timestamp":-5}')
ACCOUNT = '{"type":"AccountUpdate","pubkey":"9xQ","lamports":18446744073709551615,"slot":1,"timestamp":2}'


class Publish(unittest.TestCase):
    def setUp(self):
        self.server = Server("--allow-publish")
        self.addCleanup(self.server.stop)

    def reader(self, count, codec="json", channel="trades:X"):
        reader = Program("stratwire", "sub", self.server.url, channel, "--count", count, "--codec",
                         codec)
        self.addCleanup(reader.stop)
        reader.wait_for_line("connected to")
        return reader

    def messages(self, reader):
        self.assertEqual(reader.finish(), 0, reader.transcript())
        return [json.loads(line) for line in reader.out]

    def test_every_kind_of_line(self):
        lines = [PRICE, ACCOUNT, '{"type":"Event","event":"Trade","data":{"side":"buy","n":[1,2.5,null]}}',
                 '{"type":"other","x":"\\u00e9 \\" }"}', '"text"', "17", '{"a":{"type":"PriceUpdate"}}', "[]"]
        for codec in ("json", "msgpack"):
            for reading in ("json", "msgpack"):
                with self.subTest(codec=codec, reading=reading):
                    reader = self.reader(len(lines), reading)
                    program = run("stratwire", "pub", self.server.url, "trades:X", "--codec", codec,
                                  "--event", "note", input="\n".join(lines) + "\n\n  \n")
                    self.assertEqual(program.code, 0, program.transcript())
                    self.check_kinds(self.messages(reader))

    def check_kinds(self, messages):
        keys = ("ch", "seq", "epoch", "received_at")
        bodies = [{key: value for key, value in message.items() if key not in keys}
                  for message in messages]
        self.assertEqual(bodies[:2], [json.loads(PRICE), json.loads(ACCOUNT)])
        self.assertEqual(bodies[2], {"type": "Event", "event": "Trade",
                                     "data": {"side": "buy", "n": [1, 2.5, None]}})
        self.assertEqual([body["data"] for body in bodies[3:]],
                         [{"type": "other", "x": 'é " }'}, "text", 17,
                          {"a": {"type": "PriceUpdate"}}, []])
        self.assertEqual({body["event"] for body in bodies[3:]}, {"note"})

    def test_many_lines_arrive_in_order(self):
        reader = self.reader(20_000, "msgpack")
        program = run("stratwire", "pub", self.server.url, "trades:X",
                      input="".join(f"{i}\n" for i in range(20_000)))
        self.assertEqual(program.code, 0, program.transcript())
        self.assertEqual([message["data"] for message in self.messages(reader)],
                         list(range(20_000)))

    def test_a_line_is_published_when_it_is_written(self):
        reader = self.reader(1)
        with Program("stratwire", "pub", self.server.url, "trades:X",
                     stdin=subprocess.PIPE) as program:
            program.write("1\n")
            self.assertEqual(self.messages(reader)[0]["data"], 1)
            program.process.stdin.close()
            self.assertEqual(program.finish(), 0, program.transcript())
            self.assertEqual(program.err[-1], "stratwire: 1 line published, 0 bad")

    def test_the_last_line_needs_no_line_end(self):
        reader = self.reader(2)
        program = run("stratwire", "pub", self.server.url, "trades:X", input="1\n2")
        self.assertEqual(program.code, 0, program.transcript())
        self.assertEqual([message["data"] for message in self.messages(reader)], [1, 2])

    def test_bad_lines_are_named_and_the_others_go_on(self):
        reader = self.reader(3)
        lines = ["1", "{", "2", '{"type":"PriceUpdate","price":1}', '{"a":1} x',
                 '{"type":"AccountUpdate","pubkey":"x","lamports":-1,"slot":1,"timestamp":2}', "NaN",
                 '"' + "x" * 2_000_000 + '"', "3"]
        program = run("stratwire", "pub", self.server.url, "trades:X", input="\n".join(lines))
        self.assertEqual(program.code, LOST, program.transcript())
        self.assertEqual([message["data"] for message in self.messages(reader)], [1, 2, 3])
        write = "; see stratwire pub --help for what a line may be"
        for number, says in (
                (2, "the input ends inside a value (truncated, byte 2)" + write),
                (4, "member 'input_mint': a member that the protocol requires is not there (missing_member)" + write),
                (5, "something follows the message (trailing_bytes, byte 9)" + write),
                (6, "member 'lamports': a number does not fit the type that the protocol gives it (out_of_range, "
                    "byte 49)" + write),
                (7, "no valid JSON from here on (syntax, byte 1)" + write),
                (8, "longer than 1048576 bytes; split it, or publish less of it")):
            self.assertEqual(program.err.count(f"stratwire: line {number}: {says}"), 1,
                             program.transcript())
        self.assertEqual(program.err[-1], "stratwire: 3 lines published, 6 bad")

    def test_a_line_too_long_for_the_server_harms_no_other(self):
        reader = self.reader(2)
        lines = ["1", '"' + "x" * 100_000 + '"', "3"]
        program = run("stratwire", "pub", self.server.url, "trades:X", input="\n".join(lines))
        self.assertEqual(program.code, LOST, program.transcript())
        self.assertIn("line 2: not published: too_large", "\n".join(program.err))
        self.assertEqual([message["data"] for message in self.messages(reader)], [1, 3])

    def test_no_lines_at_all(self):
        program = run("stratwire", "pub", self.server.url, "trades:X", input="")
        self.assertEqual(program.code, 0, program.transcript())

    def test_a_channel_that_is_none(self):
        for name in ("a b", "x" * 200, "prices:*"):
            program = run("stratwire", "pub", self.server.url, name, input="1\n")
            self.assertEqual(program.code, USAGE, program.transcript())
            self.assertIn("invalid_channel_name", "\n".join(program.err))


class Refusal(unittest.TestCase):
    def test_a_server_that_was_not_told_to_trust(self):
        with Server() as server:
            program = run("stratwire", "pub", server.url, "trades:X", input="1\n2\n")
            self.assertEqual(program.code, REFUSED, program.transcript())
            self.assertIn("publish_not_allowed", "\n".join(program.err))
            self.assertIn("--allow-publish", "\n".join(program.err))


if __name__ == "__main__":
    unittest.main()
