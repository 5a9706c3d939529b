// ws (npm) in the run, as its users write a broadcast: one send() per message and connection.
//
// K publishes per turn of node's loop; a connection with much buffered holds publishing back.
'use strict';
const { WebSocketServer } = require(process.env.BENCH_WS_MODULE || 'ws');

const setting = (name, other) => Number(process.env[name] || other);
const port = setting('BENCH_PORT', 0);
const k = setting('BENCH_K', 1);
const rate = setting('BENCH_RATE', 0);
const bytes = setting('BENCH_BYTES', 159);
const BUFFERED_MAX = 1 << 20;
const BENCH_EPOCH = 1700000000000000000n; // common/clock.hpp

const subscribed = new Set();
const server = new WebSocketServer({ host: '127.0.0.1', port, backlog: 1024, perMessageDeflate: false },
  () => console.log('ready'));
server.on('connection', (socket) => {
  socket.on('error', () => socket.terminate());
  socket.on('close', () => subscribed.delete(socket));
  socket.on('message', (data) => {
    const text = data.toString();
    if (text.includes('Subscribe')) {
      socket.send('{"type":"Subscribed"}');
      subscribed.add(socket);
    } else {
      socket.send(text);
    }
  });
});

const padding = 'x'.repeat(Math.max(0, bytes - 159));
let seq = 0;
function publish(time) {
  seq += 1;
  const text = '{"type":"PriceUpdate","ch":"prices:SOL-USDC","seq":' + seq + ',"input_mint":"USDC' + padding +
    '","output_mint":"SOL","price":142.3317,"volume":12,"timestamp":' + time + '}';
  for (const socket of subscribed) socket.send(text);
}

function isBehind() {
  for (const socket of subscribed) if (socket.bufferedAmount > BUFFERED_MAX) return true;
  return false;
}

let begin = 0n;
let taken = 0;
let spunUs = 0;
let idleSinceCpu = -1; // CPU time when nothing was due any more.
const cpuUs = () => { const used = process.cpuUsage(); return used.user + used.system; };
function turn() {
  const now = process.hrtime.bigint();
  if (rate === 0) {
    if (!isBehind()) for (let i = 0; i < k; i++) publish(BENCH_EPOCH + now);
  } else {
    const due = Math.floor(Number(now - begin) * rate / 1e9) - taken;
    if (due > 0 && idleSinceCpu >= 0) spunUs += cpuUs() - idleSinceCpu;
    if (due > 0) idleSinceCpu = -1;
    else if (idleSinceCpu < 0) idleSinceCpu = cpuUs();
    for (let i = 0; i < due; i++) {
      taken += 1;
      publish(BENCH_EPOCH + begin + BigInt(Math.floor(taken * 1e9 / rate)));
    }
  }
  setImmediate(turn);
}

let started = false;
process.stdin.on('data', () => {
  if (started) return;
  started = true;
  begin = process.hrtime.bigint();
  turn();
});
process.stdin.on('end', () => {
  const elapsed = Number(process.hrtime.bigint() - begin);
  console.log(JSON.stringify({ published: seq, spin_share: started ? spunUs * 1000 / elapsed : 0 }));
  process.exit(0);
});
