// npm's ws as a peer: `node ws_peer.js client URL json|msgpack` reads 100 prices of our server;
// `node ws_peer.js server json|msgpack` is a server for our client and prints its URL.
'use strict';
const WebSocket = require('ws');

const EPOCH = 77;

// As much MessagePack as the messages here need; numbers as BigInt where they may be large.
function unpack(bytes) {
  let at = 0;
  const text = (size) => bytes.toString('utf8', at, at += size);
  const array = (count) => Array.from({length: count}, next);
  function next() {
    const tag = bytes[at++];
    if (tag < 0x80) return tag;
    if (tag >= 0xe0) return tag - 0x100;
    if (tag >= 0x90 && tag < 0xa0) return array(tag & 15);
    if (tag >= 0xa0 && tag < 0xc0) return text(tag & 31);
    switch (tag) {
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xcb: return bytes.readDoubleBE((at += 8) - 8);
      case 0xcc: return bytes[at++];
      case 0xcd: return bytes.readUInt16BE((at += 2) - 2);
      case 0xce: return bytes.readUInt32BE((at += 4) - 4);
      case 0xcf: return bytes.readBigUInt64BE((at += 8) - 8);
      case 0xd3: return bytes.readBigInt64BE((at += 8) - 8);
      case 0xd9: return text(bytes[at++]);
      case 0xda: return text(bytes.readUInt16BE((at += 2) - 2));
      case 0xdc: return array(bytes.readUInt16BE((at += 2) - 2));
      default: throw new Error(`MessagePack type ${tag} at byte ${at - 1}`);
    }
  }
  return next();
}

function pack(value) {
  if (typeof value === 'number') {
    const bytes = Buffer.alloc(9, 0xcb);
    bytes.writeDoubleBE(value, 1);
    return Number.isInteger(value) && value >= 0 && value < 128 ? Buffer.from([value]) : bytes;
  }
  if (typeof value === 'bigint') {
    const bytes = Buffer.alloc(9, 0xcf);
    bytes.writeBigUInt64BE(value, 1);
    return bytes;
  }
  if (typeof value === 'string') {
    return Buffer.concat([Buffer.from([0xd9, Buffer.byteLength(value)]), Buffer.from(value)]);
  }
  return Buffer.concat([Buffer.from([0x90 | value.length]), ...value.map(pack)]);
}

const NAMES = {1: 'PriceUpdate', 5: 'Subscribe', 10: 'Welcome', 11: 'Subscribed', 15: 'Heartbeat'};

function typeOf(codec, message) {
  return codec === 'json' ? message.type : NAMES[message[0]];
}

function client(url, codec) {
  const socket = new WebSocket(url, [`stratwire.v1.${codec}`]);
  const read = (data) => codec === 'json' ? JSON.parse(data) : unpack(data);
  const seen = [];
  socket.on('message', (data, isBinary) => {
    if (isBinary !== (codec === 'msgpack')) throw new Error('wrong kind of frame');
    const message = read(data);
    const type = typeOf(codec, message);
    if (type === 'Welcome') {
      const channels = ['prices:SOL-USDC'];
      socket.send(codec === 'json' ? JSON.stringify({type: 'Subscribe', channels, id: 3})
                                   : pack([5, 3, channels]));
    }
    if (type === 'PriceUpdate') seen.push(Number(codec === 'json' ? message.seq : message[1]));
    if (seen.length === 100) socket.close(1000);
  });
  socket.on('close', (code) => console.log(JSON.stringify({code, seen: seen.slice(0, 100)})));
}

function server(codec) {
  const listener = new WebSocket.Server({
    host: '127.0.0.1', port: 0, perMessageDeflate: true,
    handleProtocols: () => `stratwire.v1.${codec}`,
  });
  listener.on('listening', () => console.log(`ws://127.0.0.1:${listener.address().port}`));
  listener.on('connection', (socket) => {
    const isJson = codec === 'json';
    socket.send(isJson ? JSON.stringify({type: 'Welcome', client_id: 1, epoch: EPOCH,
                                         heartbeat_ms: 1000, message_bytes_max: 65536,
                                         channels_max: 10, timestamp: 0})
                       : pack([10, 1, EPOCH, 1000n, 65536n, 10, 0]));
    socket.on('message', (data) => {
      const request = isJson ? JSON.parse(data) : unpack(data);
      if (typeOf(codec, request) !== 'Subscribe') return;
      const id = Number(isJson ? request.id : request[1]);
      const [channel] = isJson ? request.channels : request[2];
      socket.send(isJson ? JSON.stringify({type: 'Subscribed', id, results: [
                             {channel, code: 'ok', message: '', epoch: EPOCH, head: 0}]})
                         : pack([11, id, [[channel, 'ok', '', EPOCH, 0]]]));
      for (let seq = 1; seq <= 100; ++seq) {
        socket.send(isJson ? JSON.stringify({type: 'PriceUpdate', ch: channel, seq,
                                             input_mint: 'USDC', output_mint: 'SOL', price: seq,
                                             volume: 12, timestamp: 0})
                           : pack([1, seq, seq + 0.5, 12, 0, channel, 'USDC', 'SOL']));
      }
      socket.close(1001);
    });
  });
}

const [role, ...rest] = process.argv.slice(2);
if (role === 'client') client(...rest);
else server(...rest);
