// main.mjs - the people engine: finds faces and bodies in pictures for the server (src/engine/people).
//
// dashbox-people (launch.c) starts it in a process that can do little else, with two descriptors: 3, its end of a pair of sockets
// that keep messages whole, and 4, memory of the server's that it reads pixels from. Node.js cannot take descriptors out
// of a message, so that there is one place for pixels, and one picture at a time.
//
//      engine: {"ready":true,"human":"3.3.6","lacks":""}      once; or {"ready":false,"error":"…"}, and it ends
//      server: detect 1280 853                       those pixels are there: rows of RGB, a byte each
//      engine: {"face":{…}}, NUL, and its identity as 32-bit floats, little-endian        for each
//      engine: {"body":{…}}                                                               for each
//      engine: {"done":true,"cpu_us":812345}         or {"error":"…"}
//
// until the other end is closed. What is in a face and a body: detect.mjs.
import { readSync, writeSync } from "node:fs";

const CHANNEL = 3;
const PIXELS = 4;
const MESSAGE_MAX = 8192;

const send = message => writeSync(CHANNEL, message);
const sendJson = value => send(JSON.stringify(value));

function receive() {
  const message = Buffer.alloc(MESSAGE_MAX);
  return message.toString("latin1", 0, readSync(CHANNEL, message));
}

function readPixels(bytes) {
  const pixels = new Uint8Array(bytes);
  for (let at = 0; at < bytes; ) {
    const n = readSync(PIXELS, pixels, at, bytes - at, at);
    if (n === 0) throw new Error(`${at} of ${bytes} bytes of pixels are there`);
    at += n;
  }
  return pixels;
}

function sendFace({ identity, ...face }) {
  const numbers = Buffer.alloc(4 * identity.length);
  identity.forEach((number, i) => numbers.writeFloatLE(number, 4 * i));
  send(Buffer.concat([Buffer.from(`${JSON.stringify({ face })}\0`), numbers]));
}

async function answer(detector, request) {
  const [, width, height] = request.match(/^detect (\d{1,5}) (\d{1,5})$/) ?? [];
  if (!width) throw new Error("not a request");
  const begun = process.cpuUsage();
  const { faces, bodies } = await detector.detect(readPixels(3 * width * height), Number(width), Number(height));
  faces.forEach(sendFace);
  bodies.forEach(body => sendJson({ body }));
  const used = process.cpuUsage(begun);
  sendJson({ done: true, cpu_us: used.user + used.system });
}

async function start() {
  try {
    const { openDetector } = await import("./detect.mjs"); // which fails where the packages are not installed
    return await openDetector();
  } catch (error) {
    sendJson({ ready: false, error: String(error.message).slice(0, 1000) });
    process.exit(1);
  }
}

const detector = await start();
sendJson({ ready: true, human: detector.version, lacks: process.env.LACKS });
for (let request; (request = receive()); ) {
  try {
    await answer(detector, request);
  } catch (error) {
    sendJson({ error: String(error.message).slice(0, 1000) });
  }
}
