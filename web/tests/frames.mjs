// How smooth the circle is: 125 peers, 10,000 messages a second, software rendering. Serves dist/ and makes the messages itself.
//
//   node tests/frames.mjs [--peers 125] [--rate 10000] [--seconds 10] [--least 30]
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { launch } from "./browser.mjs";

const { values } = parseArgs({
  options: {
    peers: { type: "string", default: "125" },
    rate: { type: "string", default: "10000" },
    seconds: { type: "string", default: "10" },
    least: { type: "string", default: "0" },
  },
});
const [peers, rate, seconds, least] = [values.peers, values.rate, values.seconds, values.least].map(Number);
const dist = join(dirname(fileURLToPath(import.meta.url)), "../dist");
const TYPES = {
  html: "text/html",
  js: "text/javascript",
  css: "text/css",
  svg: "image/svg+xml",
  webmanifest: "application/manifest+json",
};
const EACH = 50;

const now = () => String(BigInt(Date.now()) * 1_000_000n);
const type = (i) => (i < 8 ? "outbound_full_relay" : i < 10 ? "block_relay_only" : "inbound");
const ANSWERS = {
  nodes: () => ({ now: now(), nodes: [{ node: "load" }] }),
  peers: () => ({
    now: now(),
    node: "load",
    peers: Array.from({ length: peers }, (_, i) => ({ id: String(i), connectionType: type(i) })),
  }),
  playback: () => ({ recording: false }),
};
// the mix of a busy node: mostly announcements and transactions
const KINDS = ["inv", "inv", "inv", "inv", "getdata", "tx", "tx", "ping", "pong", "addrv2", "headers", "cmpctblock"];

const server = createServer(async (request, response) => {
  const path = new URL(request.url, "http://localhost").pathname;
  const answer = ANSWERS[path.replace("/api/", "")];
  if (answer) return response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(answer()));
  const name = path === "/" ? "index.html" : path.slice(1);
  if (name.includes("/")) return response.writeHead(404).end();
  return readFile(join(dist, name)).then(
    (bytes) => response.writeHead(200, { "content-type": TYPES[name.split(".").pop()] ?? "text/plain" }).end(bytes),
    () => response.writeHead(404).end(),
  );
});

/** A text frame of RFC 6455, from server to client. */
function frame(text) {
  const body = Buffer.from(text);
  const head = body.length < 126 ? Buffer.from([0x81, body.length]) : Buffer.alloc(body.length < 65536 ? 4 : 10);
  if (body.length >= 126 && body.length < 65536) {
    head.set([0x81, 126]);
    head.writeUInt16BE(body.length, 2);
  } else if (body.length >= 65536) {
    head.set([0x81, 127]);
    head.writeBigUInt64BE(BigInt(body.length), 2);
  }
  return Buffer.concat([head, body]);
}

let sent = 0;
server.on("upgrade", (request, socket) => {
  // RFC 6455, 4.2.2
  const accept = createHash("sha1")
    .update(`${request.headers["sec-websocket-key"]}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  // every message of the client's is a subscription, and wants the same answer
  socket.on("data", () => socket.write(frame('{"subscribed":{}}')));
  const start = Date.now();
  let made = 0;
  const timer = setInterval(() => {
    const due = Math.floor(((Date.now() - start) * rate) / 1000);
    const events = [];
    for (; made < due; made += 1) {
      const peer = made % peers;
      events.push({
        time: now(),
        node: "load",
        kind: `net.${KINDS[(made * 7) % KINDS.length]}`,
        peer: String(peer),
        direction: made % 3 === 0 ? "outbound" : "inbound",
        connectionType: type(peer),
        size: 61,
      });
    }
    sent += events.length;
    socket.write(frame(JSON.stringify({ events })));
  }, EACH);
  socket.on("close", () => clearInterval(timer));
  socket.on("error", () => clearInterval(timer));
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));

const browser = await launch(["--disable-gpu", "--use-gl=angle", "--use-angle=swiftshader", "--disable-gpu-compositing"]);
const page = await (await browser.newContext({ viewport: { width: 1360, height: 900 } })).newPage();
await page.goto(`http://127.0.0.1:${server.address().port}/#/circle`);
await page.waitForFunction(
  (peers) => document.querySelector("canvas")?.getAttribute("aria-label")?.includes(`${peers} peers`),
  peers,
  { timeout: 20_000 },
);
// what is measured: frames that the page drew, and the waits between them as the browser saw them
const before = sent;
const result = await page.evaluate(async (seconds) => {
  const times = [];
  const first = window.circleFrames;
  const start = performance.now();
  await new Promise((done) => {
    const next = (at) => {
      times.push(at);
      if (performance.now() - start < seconds * 1000) requestAnimationFrame(next);
      else done();
    };
    requestAnimationFrame(next);
  });
  const waits = times
    .slice(1)
    .map((at, i) => at - times[i])
    .sort((a, b) => a - b);
  return {
    frames: window.circleFrames - first,
    elapsed: performance.now() - start,
    median: waits[waits.length >> 1],
    p99: waits[Math.floor(waits.length * 0.99)],
  };
}, seconds);
const arrived = ((sent - before) / result.elapsed) * 1000;
const fps = (result.frames / result.elapsed) * 1000;
console.log(
  `${peers} peers, ${Math.round(arrived)} messages/s: ${fps.toFixed(1)} fps, median wait ${result.median.toFixed(1)} ms, p99 ${result.p99.toFixed(1)} ms`,
);
await browser.close();
server.closeAllConnections();
server.close();
if (fps < least) process.exitCode = 1;
