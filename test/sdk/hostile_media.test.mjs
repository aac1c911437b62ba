// Files and servers that mean harm, through the downloads and the media engine: the server lives, uses no more memory than it may, and
// refuses in its own words.

import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import zlib from 'node:zlib';
import { KEY, serve } from './server.mjs';
import { picture, sound } from '../wire/faulty_engine.mjs';

const good = picture({ width: 300, height: 200 });

// A PNG of that many rows whose pixels are all one: little to send, much to hold.
const bomb = picture({ width: 9000, height: 9000, light: 7 });

// The same file with bytes of it changed, always the same ones for a seed.
function broken(bytes, seed) {
    const copy = Buffer.from(bytes);
    for (let k = 0, n = seed * 2654435761 % 4294967296; k < 12; k++, n = (n * 1103515245 + 12345) % 4294967296)
        copy[8 + n % (copy.length - 8)] = n >>> 16 & 255;
    return copy;
}

const servers = {
    endless: answer => {
        answer.writeHead(200, { 'content-type': 'image/png' });
        const timer = setInterval(() => answer.write(Buffer.alloc(1 << 20)), 1);
        answer.on('close', () => clearInterval(timer));
    },
    large: answer => { answer.writeHead(200, { 'content-type': 'image/png', 'content-length': 10 ** 12 }); answer.write(good); },
    short: answer => { answer.writeHead(200, { 'content-type': 'image/png', 'content-length': 10 * good.length }); answer.write(good); setTimeout(() => answer.destroy(), 20); },
    long: answer => { answer.socket.end(Buffer.concat([Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 10\r\n\r\n`), good])); },
    drip: answer => {
        answer.writeHead(200, { 'content-type': 'image/png', 'content-length': good.length });
        let at = 0;
        const timer = setInterval(() => answer.write(good.subarray(at, ++at)), 30);
        answer.on('close', () => clearInterval(timer));
    },
    head: answer => { answer.socket.write('HTTP/1.1 200 OK\r\n'); const timer = setInterval(() => answer.socket.write(`X-${'a'.repeat(1000)}: b\r\n`), 1); answer.socket.on('close', () => clearInterval(timer)); },
    round: answer => { answer.writeHead(302, { location: '/round' }); answer.end(); },
    away: answer => { answer.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data/' }); answer.end(); },
    inflated: answer => { answer.writeHead(200, { 'content-type': 'image/png', 'content-encoding': 'gzip' }); answer.end(zlib.gzipSync(Buffer.alloc(100 << 20))); },
};
const files = http.createServer((request, answer) => servers[request.url.slice(1)](answer));
await new Promise(resolve => files.listen(0, '127.0.0.1', resolve));
after(() => { files.closeAllConnections(); files.close(); });
const at = name => `http://127.0.0.1:${files.address().port}/${name}`;

const box = await serve({ config: 'fetch: { allow: 127.0.0.0/8, time: 1500ms }\n', args: ['--workers', '2'] });
const data = (bytes, type = 'image/png') => `data:${type};base64,${bytes.toString('base64')}`;

async function ask(part, model = 'qwen3-vl-plus') {
    const answer = await fetch(`${box.native}/services/aigc/multimodal-generation/generation`, { method: 'POST',
        headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model, input: { messages: [{ role: 'user', content: [part, { text: 'what is it?' }] }] } }) });
    return { status: answer.status, ...await answer.json() };
}

const refused = answer => { assert.ok([400, 500].includes(answer.status) && answer.code && answer.message, JSON.stringify(answer)); return answer.message; };
const rss = pid => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

test('servers that never end, lie about lengths, or lead astray', async () => {
    const before = rss(box.process.pid);
    for (const [name, message] of Object.entries({
        endless: 'Missing Content-Length of multimodal url.', large: 'Multimodal file size is too large',
        short: 'Unable to download the media resource during the data inspection process.', long: 'Failed to decode the image during the data inspection.',
        drip: 'Download the media resource timed out during the data inspection process.', head: 'Unable to download the media resource during the data inspection process.',
        round: 'Unable to download the media resource during the data inspection process.',
        inflated: 'Missing Content-Length of multimodal url.' }))
        assert.equal(refused(await ask({ image: at(name) })), message, name);
    assert.equal((await ask({ image: at('away') })).status, 200); // not gone to: taken on trust
    assert.ok(rss(box.process.pid) - before < 60 << 20, `${(rss(box.process.pid) - before) >> 20} MiB more`);
});

test('a hundred at once of a stream that never ends', async () => {
    const before = rss(box.process.pid);
    await Promise.all(Array.from({ length: 100 }, async () => refused(await ask({ image: at('large') }))));
    assert.ok(rss(box.process.pid) - before < 60 << 20);
});

test('pictures that claim much, hold much, or are cut', async () => {
    assert.equal(refused(await ask({ image: data(picture({ width: 40, height: 40, claim: 60000 })) })), 'The image size is not supported for the data inspection.');
    assert.equal((await ask({ image: data(bomb) })).status, 200); // 81 million pixels are allowed
    for (const part of [0.1, 0.5, 0.9, 0.99])
        refused(await ask({ image: data(good.subarray(0, good.length * part)) }));
    refused(await ask({ image: data(Buffer.concat([Buffer.from('GIF89a'), good])) }));
    refused(await ask({ image: data(Buffer.from('#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n'), 'image/png') }));
    refused(await ask({ video: data(Buffer.from('#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x\n'), 'video/mp4') }));
    refused(await ask({ image: data(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'), 'image/svg+xml') }));
});

test('files with bytes changed at random, many at once', async () => {
    const kinds = [[good, 'image', 'qwen3-vl-plus'], [sound(1), 'audio', 'qwen-audio-turbo'], [fs.readFileSync(process.execPath).subarray(0, 100_000), 'video', 'qwen3-vl-plus']];
    const answers = await Promise.all(kinds.flatMap(([bytes, kind, model]) => Array.from({ length: 60 }, (_, seed) =>
        ask({ [kind]: data(broken(bytes, seed + 1)) }, model))));
    for (const answer of answers) if (answer.status !== 200) refused(answer);
    assert.ok(answers.some(answer => answer.status === 400) && answers.some(answer => answer.status === 200));
    assert.equal((await ask({ image: data(good) })).status, 200);
    assert.doesNotMatch(box.log(), /"level":"error"/);
});
