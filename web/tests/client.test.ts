import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, backOff, type Frame } from "../src/client.ts";

/** The other end of a connection, as a browser shows it. */
class Socket {
  readyState = 0;
  sent: string[] = [];
  onopen?: () => void;
  onclose?: () => void;
  onmessage?: (message: { data: string }) => void;
  send(text: string): void {
    this.sent.push(text);
  }
  close(): void {
    this.readyState = 3;
    this.onclose?.();
  }
  accept(): void {
    this.readyState = 1;
    this.onopen?.();
  }
  say(frame: Frame | string): void {
    this.onmessage?.({ data: typeof frame === "string" ? frame : JSON.stringify(frame) });
  }
}

(globalThis as { WebSocket?: unknown }).WebSocket = { OPEN: 1 };

/** A client whose connections are in the test's hands; none of its timers outlives the test. */
function connected(context: { mock: { timers: { enable(options: { apis: "setTimeout"[] }): void } } }): {
  client: Client;
  sockets: Socket[];
} {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const sockets: Socket[] = [];
  const client = new Client("ws://x", () => {
    const socket = new Socket();
    sockets.push(socket);
    return socket as unknown as WebSocket;
  });
  client.start();
  return { client, sockets };
}

test("a subscription made before the connection is sent with it, and again with the next", (context) => {
  const { client, sockets } = connected(context);
  client.subscribe({ kinds: ["net.*"] }, {}, new AbortController().signal);
  sockets[0]?.accept();
  assert.deepEqual(sockets[0]?.sent, ['{"kinds":["net.*"]}']);
  sockets[0].close();
  assert.equal(client.connection.state, "lost");
  context.mock.timers.tick(15_000);
  sockets[1]?.accept();
  assert.deepEqual(sockets[1]?.sent, ['{"kinds":["net.*"]}']);
});

test("what was on its way to the page before is not given to the next", (context) => {
  const { client, sockets } = connected(context);
  const heard: number[] = [];
  const socket = sockets[0] as Socket;
  socket.accept();
  socket.say({ subscribed: {} });
  client.subscribe({ kinds: ["net.*"] }, { events: (events) => heard.push(events.length) }, new AbortController().signal);
  socket.say({ events: [{}, {}] as never });
  socket.say({ subscribed: {} });
  socket.say({ events: [{}] as never });
  assert.deepEqual(heard, [1]);
});

test("what is missed is counted and told at its place", (context) => {
  const { client, sockets } = connected(context);
  const heard: string[] = [];
  client.subscribe(
    { kinds: ["*"] },
    { events: (events) => heard.push(`events ${events.length}`), missed: (count) => heard.push(`missed ${count}`) },
    new AbortController().signal,
  );
  const socket = sockets[0] as Socket;
  socket.accept();
  socket.say({ subscribed: {} });
  socket.say({ events: [{}] as never });
  socket.say({ missed: "7" });
  socket.say({ events: [{}] as never });
  assert.deepEqual(heard, ["events 1", "missed 7", "events 1"]);
  assert.equal(client.missed, 7);
});

test("a recording that seeks stands where it was told to go, whatever the state has read so far", (context) => {
  const { client, sockets } = connected(context);
  const socket = sockets[0] as Socket;
  socket.accept();
  const at = (time: string) => {
    socket.say({ beat: { time } });
    return client.playback?.position;
  };
  socket.say({ playback: { recording: true, playing: true, position: "5000", seeking: true, change: "1" } });
  assert.deepEqual([at("0"), at("1400")], ["5000", "5000"]);
  socket.say({ playback: { recording: true, playing: true, position: "5000", seeking: false, change: "2" } });
  assert.deepEqual([at("0"), at("5001")], ["5000", "5001"]);
});

test("an answer that was overtaken by something newer changes nothing, and another life of the server does", (context) => {
  const { client, sockets } = connected(context);
  const socket = sockets[0] as Socket;
  socket.accept();
  socket.say({ playback: { recording: true, position: "7000", change: "8" } });
  client.learn({ recording: true, position: "5000", change: "7" });
  assert.equal(client.playback?.position, "7000");
  client.learn({ recording: true, position: "9000", change: "9" });
  assert.equal(client.playback.position, "9000");
  socket.accept();
  socket.say({ playback: { recording: true, position: "100", change: "1" } });
  assert.equal(client.playback.position, "100");
});

test("a page that is left wants nothing any more", (context) => {
  const { client, sockets } = connected(context);
  const page = new AbortController();
  sockets[0]?.accept();
  client.subscribe({ kinds: ["net.*"] }, {}, page.signal);
  page.abort();
  assert.deepEqual(sockets[0]?.sent, ['{"kinds":[]}', '{"kinds":["net.*"]}', '{"kinds":[]}']);
});

test("a server that says nothing, or nonsense, is left", (context) => {
  const { client, sockets } = connected(context);
  sockets[0]?.accept();
  context.mock.timers.tick(10_000);
  assert.equal(client.connection.state, "lost");
  context.mock.timers.tick(15_000);
  sockets[1]?.accept();
  sockets[1]?.say("{");
  assert.equal(client.connection.state, "lost");
});

test("waits grow to a quarter of a minute", () => {
  assert.deepEqual(
    [0, 1, 2, 5, 60].map((attempt) => backOff(attempt, 0)),
    [500, 1000, 2000, 15_000, 15_000],
  );
  assert.equal(backOff(0, 1), 500 - 500 / 3);
});
