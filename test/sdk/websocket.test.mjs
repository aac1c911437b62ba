// WebSocket (RFC 6455) on the build's echo server: the cases of the Autobahn suite's chapters 1 to 7, 9 and 10 in our own words, with
// frames made by hand; the handshake; and the package `ws` as a peer (test/agents has Node's own).

import { describe, test, after } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import net from 'node:net';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'ws';
import { until } from './server.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const build = path.dirname(path.resolve(process.env.DASHBOX || path.join(root, 'build', 'dashbox')));

const echo = spawn(path.join(build, 'test', 'bench', 'ws_echo'), [], { stdio: ['ignore', 'pipe', 'inherit'] });
const ended = new Promise(resolve => echo.once('exit', (code, signal) => resolve(signal ?? code)));
after(async () => { echo.kill('SIGTERM'); assert.equal(await ended, 'SIGTERM'); });
const port = await new Promise(resolve => echo.stdout.on('data', said => resolve(/:(\d+)/.exec(said)[1])));
const url = `ws://127.0.0.1:${port}/`;

// ---- frames by hand ----

const TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10;

// more: fin, reserved bits, whether it is masked, a length that is not the true one.
function frame(opcode, payload = '', { fin = true, rsv = 0, mask = true, length } = {}) {
    const body = Buffer.from(payload), n = length ?? body.length;
    const head = [(fin ? 0x80 : 0) | rsv << 4 | opcode];
    const bit = mask ? 0x80 : 0;
    if (n < 126) head.push(bit | n);
    else if (n < 65536) head.push(bit | 126, n >> 8, n & 255);
    else head.push(bit | 127, ...[...Array(8).keys()].map(i => Number(BigInt(n) >> BigInt(56 - 8 * i) & 255n)));
    if (!mask) return Buffer.concat([Buffer.from(head), body]);
    const key = crypto.randomBytes(4);
    return Buffer.concat([Buffer.from(head), key, body.map((byte, i) => byte ^ key[i % 4])]);
}

const part = (opcode, payload) => frame(opcode, payload, { fin: false });
const last = payload => frame(0, payload);
const close = (code, reason = '') => frame(CLOSE, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
const END = close(1000);

// A connection past its handshake; frames that come are in `got` as [opcode, payload], in whole or not at all.
async function connect() {
    const socket = net.connect(port, '127.0.0.1'), got = [];
    let rest = Buffer.alloc(0), open = false, gone = false;
    socket.setNoDelay(true);
    socket.on('error', () => {});
    socket.on('close', () => { gone = true; });
    socket.on('data', piece => {
        rest = Buffer.concat([rest, piece]);
        if (!open) {
            const end = rest.indexOf('\r\n\r\n');
            if (end < 0) return;
            open = rest.subarray(0, end).toString();
            rest = rest.subarray(end + 4);
        }
        for (;;) {
            if (rest.length < 2) return;
            assert.equal(rest[1] & 0x80, 0, 'a server does not mask');
            let n = rest[1] & 127, at = 2;
            if (n === 126 && rest.length >= 4) { n = rest.readUInt16BE(2); at = 4; }
            else if (n === 127 && rest.length >= 10) { n = Number(rest.readBigUInt64BE(2)); at = 10; }
            else if (n >= 126) return;
            if (rest.length < at + n) return;
            got.push([rest[0], rest.subarray(at, at + n)]);
            rest = rest.subarray(at + n);
        }
    });
    socket.write(`GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n` +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n');
    await until(() => open, 'the handshake');
    return { socket, got, head: open, gone: () => gone };
}

// What is expected, "T:text", "B:length", "P:ping's answer" and the close code at the end.
const seen = got => got.map(([first, body]) => {
    assert.equal(first & 0x70, 0);
    switch (first & 15) {
    case TEXT: return `T:${body}`;
    case BINARY: return `B:${body.length}`;
    case PONG: return `P:${body}`;
    case CLOSE: return body.length ? body.readUInt16BE(0) : 'closed';
    default: return `? ${first}`;
    }
});

async function run(sent, expected, chop) {
    const { socket, got, gone } = await connect();
    const bytes = Buffer.concat(sent);
    for (let at = 0; at < bytes.length; at += chop ?? bytes.length) {
        socket.write(bytes.subarray(at, at + (chop ?? bytes.length)));
        if (chop) await new Promise(resolve => setImmediate(resolve));
    }
    await until(gone, 'the end of the connection', 20_000);
    assert.deepEqual(seen(got), expected);
}

const long = n => '*'.repeat(n);
const B = n => Buffer.alloc(n, 0xfe);
const hex = text => Buffer.from(text.replaceAll(' ', ''), 'hex');

// name: [frames, what comes back, bytes at a time]
const cases = {};
const add = (name, sent, expected, chop) => { cases[name] = [sent, expected, chop]; };

// 1, messages of every length
for (const n of [0, 125, 126, 127, 128, 65535, 65536]) {
    add(`1 text of ${n}`, [frame(TEXT, long(n)), END], [`T:${long(n)}`, 1000]);
    add(`1 binary of ${n}`, [frame(BINARY, B(n)), END], [`B:${n}`, 1000]);
}
add('1 text of 65536, 997 bytes at a time', [frame(TEXT, long(65536)), END], [`T:${long(65536)}`, 1000], 997);
add('1 binary of 65536, 997 bytes at a time', [frame(BINARY, B(65536)), END], ['B:65536', 1000], 997);

// 2, pings and pongs
add('2 an empty ping', [frame(PING), END], ['P:', 1000]);
add('2 a ping with a text', [frame(PING, 'Hello'), END], ['P:Hello', 1000]);
add('2 a ping of 125 bytes', [frame(PING, long(125)), END], [`P:${long(125)}`, 1000]);
add('2 a ping of 126 bytes', [frame(PING, long(126)), END], [1002]);
add('2 a ping byte by byte', [frame(PING, long(125)), END], [`P:${long(125)}`, 1000], 1);
add('2 a pong that nobody asked for', [frame(PONG), frame(PONG, 'x'), frame(PING, 'y'), END], ['P:y', 1000]);
add('2 ten pings', [...Array(10).keys()].map(i => frame(PING, `${i}`)).concat(END), [...Array(10).keys()].map(i => `P:${i}`).concat(1000));

// 3, reserved bits
for (let rsv = 1; rsv < 8; rsv++) {
    add(`3 reserved bits ${rsv}`, [frame(TEXT, 'a'), frame(TEXT, 'b', { rsv }), frame(PING)], ['T:a', 1002]);
    add(`3 reserved bits ${rsv}, byte by byte`, [frame(TEXT, 'a'), frame(TEXT, 'b', { rsv })], ['T:a', 1002], 1);
}
add('3 reserved bits of a ping', [frame(PING, '', { rsv: 1 })], [1002]);
add('3 reserved bits of a close', [frame(CLOSE, '', { rsv: 7 })], [1002]);

// 4, opcodes that there are not
for (const opcode of [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]) {
    add(`4 opcode ${opcode}`, [frame(TEXT, 'a'), frame(opcode, 'x'), frame(PING)], ['T:a', 1002]);
    add(`4 opcode ${opcode}, empty`, [frame(opcode)], [1002]);
}

// 5, fragments
add('5 a ping in fragments', [part(PING, 'a'), last('b')], [1002]);
add('5 a pong in fragments', [part(PONG, 'a'), last('b')], [1002]);
add('5 two fragments', [part(TEXT, 'frag'), last('ment'), END], ['T:fragment', 1000]);
add('5 two fragments, byte by byte', [part(TEXT, 'frag'), last('ment'), END], ['T:fragment', 1000], 1);
add('5 a ping between', [part(TEXT, 'frag'), frame(PING, 'p'), last('ment'), END], ['P:p', 'T:fragment', 1000]);
add('5 a ping between, byte by byte', [part(TEXT, 'frag'), frame(PING, 'p'), last('ment'), END], ['P:p', 'T:fragment', 1000], 1);
add('5 a continuation of nothing', [last('a'), frame(TEXT, 'b'), END], [1002]);
add('5 a continuation of nothing, not the last', [part(0, 'a'), frame(TEXT, 'b'), END], [1002]);
add('5 a continuation behind a whole message', [frame(TEXT, 'a'), last('b'), END], ['T:a', 1002]);
add('5 a message in another', [part(TEXT, 'a'), frame(TEXT, 'b'), END], [1002]);
add('5 many fragments, pings between', [part(TEXT, '1'), part(0, '2'), frame(PING, 'p'), part(0, '3'), part(0, '4'), frame(PING, 'q'),
    last('5'), END], ['P:p', 'P:q', 'T:12345', 1000]);
add('5 empty fragments', [part(TEXT), part(0), last(), END], ['T:', 1000]);

// 6, UTF-8
const GREEK = 'κόσμε';
add('6 a valid text', [frame(TEXT, `Hello-µ@ßöäüàá-UTF-8!! ${GREEK} 😀`), END], [`T:Hello-µ@ßöäüàá-UTF-8!! ${GREEK} 😀`, 1000]);
add('6 a valid text, byte by byte', [frame(TEXT, GREEK), END], [`T:${GREEK}`, 1000], 1);
add('6 a valid text, a fragment a byte', [part(TEXT), ...[...Buffer.from(GREEK)].map(byte => part(0, [byte])), last(), END], [`T:${GREEK}`, 1000]);
for (const [what, bytes] of Object.entries({
    'a lone continuation': '80', 'two': '80 bf', 'overlong slash': 'c0 af', 'overlong slash in three': 'e0 80 af', 'overlong in four': 'f0 80 80 af',
    'overlong zero': 'c0 80', 'a surrogate': 'ed a0 80', 'the last surrogate': 'ed bf bf', 'a pair of surrogates': 'ed a0 81 ed b0 80',
    'above the range': 'f4 90 80 80', 'five bytes': 'f8 88 80 80 80', 'six bytes': 'fc 84 80 80 80 80', 'fe': 'fe', 'ff': 'ff',
    'cut short': 'ce', 'cut short in three': 'e1 bd', 'cut short in four': 'f0 9f 98',
})) {
    const bad = Buffer.concat([Buffer.from(GREEK), hex(bytes)]);
    add(`6 ${what}`, [frame(TEXT, bad), END], [1007]);
    add(`6 ${what}, then more, in fragments`, [part(TEXT, bad), last('edited'), END], [1007]);
    add(`6 ${what}, byte by byte`, [frame(TEXT, Buffer.concat([bad, Buffer.from('edited')])), END], [1007], 1);
}
for (const [what, bytes] of Object.entries({ 'the first of two bytes': 'c2 80', 'of three': 'e0 a0 80', 'of four': 'f0 90 80 80', 'the last of all': 'f4 8f bf bf',
    'no character': 'ef bf be', 'before the surrogates': 'ed 9f bf', 'behind them': 'ee 80 80', 'the replacement': 'ef bf bd', 'zero': '00' }))
    add(`6 ${what}`, [frame(TEXT, hex(bytes)), END], [`T:${hex(bytes)}`, 1000]);
add('6 broken text is noticed before the message ends', [part(TEXT, hex('ff 61 61 61'))], [1007]);

// 7, closing
add('7 a close ends it', [close(1000), frame(TEXT, 'late'), frame(PING)], [1000]);
add('7 messages before it', [frame(TEXT, 'a'), frame(TEXT, 'b'), close(1000)], ['T:a', 'T:b', 1000]);
add('7 a close amid fragments', [part(TEXT, 'a'), close(1000), last('b')], [1000]);
add('7 without a code', [frame(CLOSE)], ['closed']);
add('7 half a code', [frame(CLOSE, [3])], [1002]);
add('7 with a reason', [close(1000, 'Hello')], [1000]);
add('7 with the longest reason', [close(1000, long(123))], [1000]);
add('7 with one too long', [close(1000, long(124))], [1002]);
add('7 with a broken reason', [close(1000, hex('ce ba e1 bd b9 cf 83 ce bc ce b5 ed a0 80'))], [1007]);
for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
    add(`7 code ${code}`, [close(code)], [code]);
for (const code of [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
    add(`7 code ${code}`, [close(code)], [1002]);

// 9, large ones
const MB = 1 << 20;
add('9 a text of 4 MB', [frame(TEXT, long(4 * MB)), END], [`T:${long(4 * MB)}`, 1000]);
add('9 a binary of 16 MB', [frame(BINARY, B(16 * MB)), END], [`B:${16 * MB}`, 1000]);
add('9 4 MB in fragments of 256', [part(BINARY), ...Array(4 * MB / 256).fill(0).map(() => part(0, B(256))), last(), END], [`B:${4 * MB}`, 1000]);
add('9 a text of 1 MB, 4096 bytes at a time', [frame(TEXT, long(MB)), END], [`T:${long(MB)}`, 1000], 4096);
add('9 more than is taken', [frame(BINARY, '', { length: 33 * MB })], [1009]);
add('9 more than is taken, in fragments', [part(BINARY, B(20 * MB)), part(0, B(20 * MB))], [1009]);

// 10, and what is no frame of a client
add('10 a long text in fragments, in pieces that do not fit them', [part(TEXT, long(1300)), ...Array(49).fill(0).map(() => part(0, long(1300))), last(long(536)), END],
    [`T:${long(65536)}`, 1000], 1111);
add('a frame without a mask', [frame(TEXT, 'a', { mask: false })], [1002]);

describe('frames', () => {
    for (const [name, one] of Object.entries(cases)) test(name, () => run(...one));
});

test('a client that leaves in the middle of a frame is forgotten', async () => {
    for (let i = 0; i < 20; i++) {
        const { socket } = await connect();
        socket.write(frame(TEXT, long(50_000)).subarray(0, 20_000));
        socket.destroy();
    }
    await run([frame(TEXT, 'a'), END], ['T:a', 1000]);
});

test('a client that takes nothing holds up only itself', async () => {
    const slow = await connect();
    slow.socket.pause();
    for (let i = 0; i < 400; i++) slow.socket.write(frame(BINARY, B(65536)));
    await run([frame(TEXT, 'a'), END], ['T:a', 1000]);
    slow.socket.resume();
    await until(() => slow.got.length === 400, 'all of them', 20_000);
    slow.socket.destroy();
});

describe('the handshake', () => {
    const ask = async text => {
        const socket = net.connect(port, '127.0.0.1');
        let said = '';
        socket.setEncoding('latin1');
        socket.on('data', piece => { said += piece; });
        socket.on('error', () => {});
        socket.write(text);
        await until(() => said.includes('\r\n\r\n'), 'an answer');
        socket.destroy();
        return said;
    };
    const fields = { Host: 'x', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==' };
    const head = (more, first = 'GET / HTTP/1.1') =>
        `${first}\r\n${Object.entries({ ...fields, ...more }).filter(([, v]) => v !== null).map(([k, v]) => `${k}: ${v}\r\n`).join('')}\r\n`;

    test('101, with the proof', async () => {
        const said = await ask(head({ Connection: 'keep-alive, upgrade', 'Sec-WebSocket-Extensions': 'permessage-deflate; client_max_window_bits' }));
        assert.match(said, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
        assert.match(said, /sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/);
        assert.doesNotMatch(said, /extensions/i);
    });
    for (const [what, more, first] of [
        ['no key', { 'Sec-WebSocket-Key': null }], ['a short key', { 'Sec-WebSocket-Key': 'abc=' }], ['another version', { 'Sec-WebSocket-Version': '8' }],
        ['no version', { 'Sec-WebSocket-Version': null }], ['no Upgrade in Connection', { Connection: 'keep-alive' }], ['HTTP/1.0', {}, 'GET / HTTP/1.0'],
        ['POST', { 'Content-Length': '0' }, 'POST / HTTP/1.1'],
    ])
        test(`${what} is refused`, async () => assert.match(await ask(head(more, first)), /^HTTP\/1\.1 400 /));

    test('frames right behind it, before the answer', async () => {
        const said = await ask(Buffer.concat([Buffer.from(head({})), frame(TEXT, 'eager'), END]));
        assert.match(said, /\r\n\r\n\x81\x05eager/);
    });
});

describe('peers', () => {
    const echoes = async (socket, sent) => {
        const got = [];
        await new Promise((resolve, reject) => {
            socket.binaryType = 'arraybuffer';
            socket.onerror = reject;
            socket.onmessage = ({ data }) => {
                got.push(typeof data === 'string' ? data : Buffer.from(data).toString('hex'));
                if (got.length === sent.length) resolve();
            };
            socket.onopen = () => sent.forEach(one => socket.send(one));
        });
        const closed = new Promise(resolve => { socket.onclose = ({ code, reason }) => resolve({ code, reason }); });
        socket.close(4000, 'bye');
        assert.equal((await closed).code, 4000);
        assert.deepEqual(got, sent.map(one => typeof one === 'string' ? one : Buffer.from(one).toString('hex')));
    };
    const sent = ['', 'a', '春眠不觉晓', long(100_000), new Uint8Array([1, 2, 3]), new Uint8Array(70_000).fill(7)];

    test('the package ws', () => echoes(new WebSocket(url), sent));
    test('a hundred at once, a hundred messages each', () => Promise.all(Array.from({ length: 100 }, () =>
        echoes(new WebSocket(url), Array.from({ length: 100 }, (_, i) => `message ${i}`)))));
});
