"""Debian's python3-websockets as a client of our server and as a server for our client, in both codecs,
written from PROTOCOL.md alone."""

import asyncio
import contextlib
import json
import pathlib
import tempfile
import threading
import unittest

import msgpack
import websockets

from programs import Server, run

JSON, MSGPACK = "stratwire.v1.json", "stratwire.v1.msgpack"
# Type ids of the MessagePack form.
PRICE_UPDATE, SUBSCRIBE, WELCOME, SUBSCRIBED, PUBLISH, PUBLISHED = 1, 5, 10, 11, 13, 14
REFUSED, NOT_CONNECTED = 4, 3
GOING_AWAY, TOO_BIG = 1001, 1009
DEADLINE_S = 60
MESSAGE_BYTES_MAX = 1 << 20  # kClientMessageBytesMax of limits.hpp


def run_async(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, DEADLINE_S))


class ClientOfOurServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="stratwire-")
        cls.socket = pathlib.Path(cls.folder.name) / "server.sock"
        cls.server = Server("--demo", "--rate", 5_000, "--unix-path", cls.socket, "--allow-publish")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.folder.cleanup()

    def connect(self, *subprotocols):
        return websockets.connect(self.server.url, subprotocols=subprotocols or None)

    @staticmethod
    async def next_of(client, type_name):
        """The next message of that type, past heartbeats and data."""
        while True:
            message = json.loads(await client.recv())
            if message["type"] == type_name:
                return message

    def test_json(self):
        async def talk():
            async with self.connect("chat", JSON) as client:
                self.assertEqual(client.subprotocol, JSON)
                welcome = json.loads(await client.recv())
                self.assertEqual(welcome["type"], "Welcome")
                await self.subscribe_and_read(client, welcome["epoch"])
        run_async(talk())

    async def subscribe_and_read(self, client, epoch):
        await client.send('{"type":"Subscribe","channels":["prices:SOL-USDC"],"id":7}')
        answer = json.loads(await client.recv())
        self.assertEqual((answer["type"], answer["id"]), ("Subscribed", 7))
        (result,) = answer["results"]
        self.assertEqual((result["channel"], result["code"], result["epoch"]),
                         ("prices:SOL-USDC", "ok", epoch))
        for seq in range(result["head"] + 1, result["head"] + 101):
            text = await client.recv()
            message = json.loads(text)
            self.assertIsInstance(text, str)
            self.assertEqual((message["type"], message["ch"], message["seq"]),
                             ("PriceUpdate", "prices:SOL-USDC", seq))
            self.assertEqual((message["input_mint"], message["output_mint"]), ("USDC", "SOL"))

    def test_json_over_a_unix_socket(self):
        async def talk():
            async with websockets.unix_connect(str(self.socket), "ws://localhost/",
                                               subprotocols=[JSON]) as client:
                welcome = json.loads(await client.recv())
                await self.subscribe_and_read(client, welcome["epoch"])
        run_async(talk())

    def test_msgpack(self):
        async def talk():
            async with self.connect(MSGPACK) as client:
                self.assertEqual(client.subprotocol, MSGPACK)
                welcome = msgpack.unpackb(await client.recv())
                self.assertEqual(welcome[0], WELCOME)
                # A map with the names of the JSON form is as good as an array.
                await client.send(msgpack.packb({"type": "Subscribe",
                                                 "channels": ["prices:SOL-USDC"], "id": 7}))
                answer = msgpack.unpackb(await client.recv())
                self.assertEqual(answer[:2], [SUBSCRIBED, 7])
                ((channel, code, _, epoch, head, *_),) = answer[2]
                self.assertEqual((channel, code, epoch), ("prices:SOL-USDC", "ok", welcome[2]))
                for seq in range(head + 1, head + 101):
                    message = msgpack.unpackb(await client.recv())
                    self.assertEqual(message[:2], [PRICE_UPDATE, seq])
                    self.assertIsInstance(message[2], float)
                    self.assertEqual(message[5:], ["prices:SOL-USDC", "USDC", "SOL"])
        run_async(talk())

    def test_no_subprotocol_gets_data_and_nothing_else(self):
        async def talk():
            async with self.connect() as client:
                self.assertIsNone(client.subprotocol)
                await client.send('{"type":"Subscribe","channels":["prices:*","weather:rain"]}')
                await client.send('{"type":"Nonsense"}')
                types = {json.loads(await client.recv())["type"] for _ in range(500)}
                self.assertEqual(types, {"PriceUpdate"})
        run_async(talk())

    def test_unknown_subprotocols_are_refused_with_both_lists(self):
        async def talk():
            with self.assertRaises(websockets.InvalidStatusCode) as refusal:
                async with self.connect("chat", "mqtt"):
                    pass
            self.assertEqual(refusal.exception.status_code, 400)
        run_async(talk())

    def test_fragments_pings_and_an_orderly_close(self):
        async def talk():
            async with self.connect(JSON) as client:
                text = '{"type":"Subscribe","channels":["prices:SOL-USDC"]}'
                await client.send([text[:5], "", text[5:20], text[20:]])
                await self.next_of(client, "PriceUpdate")
                await (await client.ping(b"are you there"))
                await client.close(1000)
                self.assertEqual(client.close_code, 1000)
        run_async(talk())

    def test_what_can_not_be_read_gets_an_error_and_the_connection_goes_on(self):
        async def talk():
            async with self.connect(JSON) as client:
                for bad, code in (('{"type":"Nonsense"}', "unknown_message_type"),
                                  ('{"type":"Subscribe"}', "missing_member"),
                                  ('{"type":', None), ("[1,2]", None), ("", None)):
                    await client.send(bad)
                    error = await self.next_of(client, "Error")
                    self.assertIn("message", error)
                    if code:
                        self.assertEqual(error["code"], code, bad)
                await client.send('{"type":"Ping","t1":5}')
                self.assertEqual((await self.next_of(client, "Pong"))["t1"], 5)
        run_async(talk())

    def test_a_message_beyond_the_limit_closes_with_1009(self):
        async def talk():
            async with self.connect(JSON) as client:
                await client.send("x" * 70_000)
                with self.assertRaises(websockets.ConnectionClosed):
                    while True:
                        await client.recv()
                self.assertEqual(client.close_code, TOO_BIG)
        run_async(talk())

    def test_publish(self):
        async def talk():
            async with self.connect(JSON) as reader, self.connect(MSGPACK) as writer:
                await reader.send('{"type":"Subscribe","channels":["trades:X"],"id":1}')
                await self.next_of(reader, "Subscribed")
                await writer.recv()
                await writer.send(msgpack.packb(
                    {"type": "Publish", "id": 9, "channel": "trades:X",
                     "message": {"type": "Event", "event": "Trade", "data": {"n": 2**64 - 1}}}))
                answer = msgpack.unpackb(await writer.recv())
                self.assertEqual(answer[:3], [PUBLISHED, 9, "ok"])
                event = await self.next_of(reader, "Event")
                self.assertEqual((event["ch"], event["event"], event["data"]),
                                 ("trades:X", "Trade", {"n": 2**64 - 1}))
        run_async(talk())

    def test_ten_thousand_channels_are_refused_by_name(self):
        async def talk():
            async with self.connect(JSON) as client:
                names = ["prices:" + str(i) for i in range(4_000)]
                await client.send(json.dumps({"type": "Subscribe", "channels": names, "id": 3}))
                text = ""
                while "too_many_channels" not in text:
                    text = await client.recv()
                self.assertIn("1024", text)
                await client.send('{"type":"Ping","t1":5}')
                await self.next_of(client, "Pong")
        run_async(talk())


class PeerServer:
    """A server made with websockets: speaks the protocol as far as a test needs it."""

    def __init__(self, handler, **settings):
        async def serve_one(client):
            # A client that has what it came for may leave in the middle of anything.
            with contextlib.suppress(websockets.ConnectionClosed):
                await handler(client)
        self.handler = serve_one
        self.settings = settings
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_until_complete, args=(self._serve(),))

    async def _serve(self):
        self.stop = asyncio.Event()
        async with websockets.serve(self.handler, "127.0.0.1", 0, **self.settings) as server:
            self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            self.ready.set()
            await self.stop.wait()

    def __enter__(self):
        self.ready = threading.Event()
        self.thread.start()
        self.ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.stop.set)
        self.thread.join()
        self.loop.close()


EPOCH = 77


def pack(codec, message):
    """A message in its JSON form, or as the MessagePack array of the same."""
    return json.dumps(message) if codec == "json" else msgpack.packb(list(message.values()))


def welcome(codec):
    return pack(codec, {"type": "Welcome" if codec == "json" else WELCOME, "client_id": 1,
                        "epoch": EPOCH, "heartbeat_ms": 1000, "message_bytes_max": 65536,
                        "channels_max": 10, "timestamp": 0})


def subscribed(codec, request_id, channel):
    result = {"channel": channel, "code": "ok", "message": "", "epoch": EPOCH, "head": 0}
    return pack(codec, {"type": "Subscribed" if codec == "json" else SUBSCRIBED, "id": request_id,
                        "results": [result if codec == "json" else list(result.values())]})


def price(codec, channel, seq):
    # Integers where floats are due, and narrow ones, as other encoders write them.
    if codec == "msgpack":
        return msgpack.packb([PRICE_UPDATE, seq, seq, 12, 0, channel, "USDC", "SOL", "extra"])
    return json.dumps({"new": {"a": [1]}, "timestamp": 0, "volume": 12, "price": seq,
                       "output_mint": "SOL", "input_mint": "USDC", "seq": seq, "ch": channel,
                       "type": "PriceUpdate"}, indent=1)


async def requests(client, codec):
    """(type, id, rest) of what the client sends, Hello and Ping left out."""
    async for text in client:
        if codec == "json":
            message = json.loads(text)
            kind, number = message["type"], message.get("id")
        else:
            message = msgpack.unpackb(text)
            kind = {SUBSCRIBE: "Subscribe", PUBLISH: "Publish"}.get(message[0], "")
            number = message[1] if len(message) > 1 else None
        if kind in ("Subscribe", "Publish"):
            yield kind, number, message


class ServerOfOurClient(unittest.TestCase):
    def serve_prices(self, codec, count):
        async def handler(client):
            await client.send(welcome(codec))
            async for _, number, message in requests(client, codec):
                channel = (message["channels"] if codec == "json" else message[2])[0]
                await client.send(subscribed(codec, number, channel))
                break
            for seq in range(1, count + 1):
                message = price(codec, channel, seq)
                if seq % 7 == 0:  # In fragments, an empty one among them.
                    await client.send([message[:3], message[:0], message[3:]])
                else:
                    await client.send(message)
                if seq % 50 == 0:
                    await (await client.ping())
            await client.close(GOING_AWAY)
        return handler

    def test_subscribe(self):
        for codec, subprotocol in (("json", JSON), ("msgpack", MSGPACK)):
            with self.subTest(codec=codec), \
                    PeerServer(self.serve_prices(codec, 500), subprotocols=[subprotocol]) as server:
                program = run("stratwire", "sub", server.url, "prices:X", "--codec", codec,
                              "--exit-on-close")
                self.assertEqual(program.code, 0, program.transcript())
                messages = [json.loads(line) for line in program.out]
                self.assertEqual([message["seq"] for message in messages], list(range(1, 501)))
                self.assertEqual([message["price"] for message in messages], list(range(1, 501)))
                self.assertEqual({message["epoch"] for message in messages}, {EPOCH})

    def test_a_hole_is_told_as_a_gap(self):
        async def handler(client):
            await client.send(welcome("json"))
            async for _, number, message in requests(client, "json"):
                await client.send(subscribed("json", number, "prices:X"))
                break
            for seq in (1, 2, 5, 5, 6):
                await client.send(price("json", "prices:X", seq))
            await client.close(GOING_AWAY)
        with PeerServer(handler, subprotocols=[JSON]) as server:
            program = run("stratwire", "sub", server.url, "prices:X", "--exit-on-close")
            self.assertEqual(program.code, 1, program.transcript())
            seen = [(m["type"], m.get("seq"), m.get("from"), m.get("to"))
                    for m in map(json.loads, program.out)]
            self.assertEqual(seen, [("PriceUpdate", 1, None, None), ("PriceUpdate", 2, None, None),
                                    ("Gap", None, 3, 4), ("PriceUpdate", 5, None, None),
                                    ("PriceUpdate", 6, None, None)])

    def test_publish(self):
        for codec, subprotocol in (("json", JSON), ("msgpack", MSGPACK)):
            got = []

            async def handler(client, codec=codec, got=got):
                await client.send(welcome(codec))
                async for kind, number, message in requests(client, codec):
                    if kind == "Publish":
                        got.append(message)
                        await client.send(pack(codec, {
                            "type": "Published" if codec == "json" else PUBLISHED, "id": number,
                            "code": "ok", "message": ""}))
            with self.subTest(codec=codec), \
                    PeerServer(handler, subprotocols=[subprotocol]) as server:
                program = run("stratwire", "pub", server.url, "trades:X", "--codec", codec,
                              input='{"a":1}\n[2]\n')
                self.assertEqual(program.code, 0, program.transcript())
                if codec == "json":
                    self.assertEqual([m["message"]["data"] for m in got], [{"a": 1}, [2]])
                else:
                    self.assertEqual([m[2] for m in got], ["trades:X", "trades:X"])
                    self.assertEqual([m[3][-1] for m in got], [{"a": 1}, [2]])

    def test_a_server_that_speaks_no_subprotocol_of_ours(self):
        async def handler(client):
            await client.wait_closed()
        for settings in ({}, {"subprotocols": ["chat"]}):
            with PeerServer(handler, **settings) as server:
                program = run("stratwire", "sub", server.url, "prices:X")
                self.assertIn(program.code, (NOT_CONNECTED, REFUSED), program.transcript())
                self.assertIn("subprotocol_refused", "\n".join(program.err))

    def test_a_message_of_1_mib_is_taken_and_one_more_byte_closes_with_1009(self):
        codes = []

        def event(seq, size):
            start, end = f'{{"type":"Event","ch":"trades:X","seq":{seq},"event":"E","data":"', '"}'
            return start + "x" * (size - len(start) - len(end)) + end

        async def handler(client):
            await client.send(welcome("json"))
            async for _, number, _ in requests(client, "json"):
                await client.send(subscribed("json", number, "trades:X"))
                break
            await client.send(event(1, MESSAGE_BYTES_MAX))
            await client.send(event(2, MESSAGE_BYTES_MAX + 1))
            await client.wait_closed()
            codes.append(client.close_code)
        with PeerServer(handler, subprotocols=[JSON]) as server:
            program = run("stratwire", "sub", server.url, "trades:X", "--exit-on-close", "--stats")
            self.assertEqual(json.loads(program.out[0])["received"], 1, program.transcript())
        self.assertEqual(codes[0], TOO_BIG)

    def test_what_can_not_be_read_is_counted_and_the_rest_goes_on(self):
        came = []

        async def handler(client):
            # Between the close and the program's end it may have come back already.
            if came:
                return
            came.append(client)
            await client.send(welcome("json"))
            async for _, number, _ in requests(client, "json"):
                await client.send(subscribed("json", number, "prices:X"))
                break
            for text in ('{"type":"Nonsense"}', '{"type":', price("json", "prices:X", 1)):
                await client.send(text)
            await client.close(GOING_AWAY)
        with PeerServer(handler, subprotocols=[JSON]) as server:
            program = run("stratwire", "sub", server.url, "prices:X", "--exit-on-close", "--stats")
            summary = json.loads(program.out[0])
            self.assertEqual((summary["received"], summary["decode_errors"]), (1, 1), summary)
            self.assertEqual(program.code, 1, program.transcript())


if __name__ == "__main__":
    unittest.main()
