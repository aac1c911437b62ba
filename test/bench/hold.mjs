// A client that opens connections and holds them; run by memory.mjs as a process of its own.
//
//   node hold.mjs PORT COUNT REQUEST_FILE idle|stream
//
// idle: one request on each, the answer read to its end, and then nothing. stream: one request on each, its answer left
// open after its first event. Says "ready COUNT" and waits for the end of its standard input.

import fs from 'node:fs';
import net from 'node:net';

const [port, count, file, what] = process.argv.slice(2);
const request = fs.readFileSync(file);
const AT_ONCE = 200;
let ready = 0, begun = 0;

function fail(why) {
    console.log(`failed after ${ready}: ${why}`);
    process.exit(1);
}

function done_with(text) {
    if (!text.startsWith('HTTP/1.1 200')) fail(text.slice(0, 300));
    if (what === 'stream') return /\ndata: ?\{.*\}\n\n/.test(text);
    const head = text.indexOf('\r\n\r\n');
    const length = /\r\ncontent-length: (\d+)\r\n/i.exec(text);
    return head >= 0 && length && Buffer.byteLength(text) >= head + 4 + Number(length[1]);
}

function open() {
    if (begun >= Number(count)) return;
    begun++;
    const socket = net.connect({ port: Number(port), host: '127.0.0.1', noDelay: true }, () => socket.write(request));
    let text = '';
    socket.on('data', piece => {
        if (text === null) return;
        text += piece;
        if (text.length < 12 || !done_with(text)) return;
        text = null;
        if (++ready === Number(count)) console.log(`ready ${ready}`);
        open();
    });
    socket.on('error', error => fail(error.message));
    socket.on('close', () => fail('a connection was closed'));
}

for (let i = 0; i < AT_ONCE; i++) open();
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
