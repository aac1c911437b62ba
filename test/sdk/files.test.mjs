// The account's files: the openai SDK from npm, unmodified; what a large upload costs; what lies on the disk, and what is left there by
// uploads that break off.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import OpenAI, { toFile } from 'openai';
import { scratch, serve, until } from './server.mjs';

const folder = scratch('files');
const MIB = 1 << 20;

const start = (name, ...more) => serve({ args: ['--data', path.join(folder, name), ...more] });
const client = box => new OpenAI({ apiKey: box.key, baseURL: box.compatible, maxRetries: 0 });
const blobs = name => fs.readdirSync(path.join(folder, name, 'blobs'), { recursive: true }).filter(f => f.includes('/'));
const kept = name => blobs(name).filter(f => !f.startsWith('coming/')); // without what is being read just now
const resident_peak = pid => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

// A form that is made while it is sent, and may stop in the middle.
function send_form(box, { name, purpose, size, stop_after = Infinity }) {
    const head = `--B\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n${purpose}\r\n` +
        `--B\r\nContent-Disposition: form-data; name="file"; filename="${name}"\r\n\r\n`, tail = '\r\n--B--\r\n';
    const piece = Buffer.alloc(MIB, 'line of a file that is long\n');
    return new Promise((resolve, reject) => {
        const rq = http.request(`${box.compatible}/files`, { method: 'POST', headers: {
            authorization: `Bearer ${box.key}`, 'content-type': 'multipart/form-data; boundary=B', 'content-length': head.length + size + tail.length } });
        let sent = 0;
        const more = () => {
            while (sent < size) {
                if (sent >= stop_after) return rq.destroy();
                const n = Math.min(piece.length, size - sent);
                sent += n;
                if (!rq.write(piece.subarray(0, n))) return rq.once('drain', more);
            }
            rq.end(tail);
        };
        rq.on('response', async rs => {
            let text = '';
            for await (const part of rs) text += part;
            resolve({ status: rs.statusCode, body: JSON.parse(text) });
        });
        rq.on('error', reject);
        rq.write(head);
        more();
    });
}

describe('the openai SDK', () => {
    test('creates, retrieves, lists in pages and deletes', async () => {
        const box = await start('sdk'), openai = client(box);
        const file = path.join(folder, 'document.md');
        fs.writeFileSync(file, '# Head\n\nText.\n');
        const made = await openai.files.create({ file: fs.createReadStream(file), purpose: 'file-extract' });
        assert.match(made.id, /^file-fe-[0-9a-f]{24}$/);
        assert.equal(made.bytes, 14);
        assert.equal(made.filename, 'document.md');
        assert.equal(made.status, 'processed');
        assert.deepEqual(await openai.files.retrieve(made.id), made);

        for (let i = 0; i < 4; i++)
            await openai.files.create({ file: await toFile(Buffer.from(`{"n":${i}}\n`), `n${i}.jsonl`), purpose: 'batch' });
        const names = [];
        for await (const f of openai.files.list({ limit: 2, purpose: 'batch' })) names.push(f.filename);
        assert.deepEqual(names, ['n3.jsonl', 'n2.jsonl', 'n1.jsonl', 'n0.jsonl']);

        assert.deepEqual(await openai.files.delete(made.id), { id: made.id, object: 'file', deleted: true });
        await assert.rejects(openai.files.retrieve(made.id), e => e instanceof OpenAI.NotFoundError && e.code === 'file_not_found');
        await assert.rejects(openai.files.content(made.id), OpenAI.NotFoundError);
        await assert.rejects(openai.files.create({ file: await toFile(Buffer.from('x'), 'x.bin'), purpose: 'file-extract' }),
            e => e instanceof OpenAI.BadRequestError && /format is not supported/.test(e.message));
    });
});

describe('content', () => {
    test('equal files share it, and it goes with the last of them', async () => {
        const box = await start('shared'), openai = client(box);
        const make = () => toFile(Buffer.from('the same\n'), 'a.txt').then(file => openai.files.create({ file, purpose: 'file-extract' }));
        const [a, b] = [await make(), await make()];
        const hash = crypto.createHash('sha256').update('the same\n').digest('hex');
        assert.deepEqual(kept('shared'), [`${hash.slice(0, 2)}/${hash.slice(2)}`]);
        await openai.files.delete(a.id);
        assert.equal(kept('shared').length, 1);
        assert.equal((await openai.files.retrieve(b.id)).bytes, 9);
        await openai.files.delete(b.id);
        assert.deepEqual(kept('shared'), []);
    });

    test('a native file is read under its signed URL, until it is deleted', async () => {
        const box = await start('signed'), form = new FormData();
        form.append('files', new Blob(['{"a":1}\n']), 'a.jsonl');
        const headers = { authorization: `Bearer ${box.key}` };
        const up = await (await fetch(`${box.native}/files`, { method: 'POST', body: form, headers })).json();
        const id = up.data.uploaded_files[0].file_id;
        const { data } = await (await fetch(`${box.native}/files/${id}`, { headers })).json();
        assert.equal(data.md5, crypto.createHash('md5').update('{"a":1}\n').digest('base64'));
        const answer = await fetch(data.url);
        assert.equal(await answer.text(), '{"a":1}\n');
        assert.equal((await fetch(data.url.replace(/.$/, c => c === '0' ? '1' : '0'))).status, 403);
        await fetch(`${box.native}/files/${id}`, { method: 'DELETE', headers });
        assert.equal((await fetch(data.url)).status, 404);
    });
});

describe('large uploads', () => {
    test('go to disk as they come: 400 MiB cost the server little memory', async () => {
        const box = await start('large');
        assert.equal((await send_form(box, { name: 'small.jsonl', purpose: 'batch', size: 1000 })).status, 200);
        const before = resident_peak(box.process.pid);
        const answer = await send_form(box, { name: 'large.jsonl', purpose: 'batch', size: 400 * MIB });
        assert.equal(answer.status, 200);
        assert.equal(answer.body.bytes, 400 * MIB);
        const more = resident_peak(box.process.pid) - before;
        assert.ok(more < 8 * MIB, `${more} bytes more`);
    });

    test('one that is announced as too large is refused before it comes', async () => {
        const box = await start('announced');
        const outcome = await send_form(box, { name: 'huge.jsonl', purpose: 'batch', size: 600 * MIB }).catch(e => e);
        // The server answers and closes while the client still writes: it reads the refusal or finds the connection gone.
        if (outcome instanceof Error) assert.match(outcome.code, /EPIPE|ECONNRESET/);
        else assert.equal(outcome.body.error.message, 'Payload Too Large.');
        assert.deepEqual(blobs('announced'), []);
    });

    test('one that breaks off leaves nothing, and gives its place back', async () => {
        const box = await start('broken', '--set', 'files.capacity=100m');
        await assert.rejects(send_form(box, { name: 'a.jsonl', purpose: 'batch', size: 90 * MIB, stop_after: 30 * MIB }));
        await until(() => blobs('broken').length === 0, 'the rest to be removed');
        await until(async () => (await send_form(box, { name: 'b.jsonl', purpose: 'batch', size: 90 * MIB })).status === 200, 'its place');
    });

    test('after a kill in the middle the next server has no file of it', async () => {
        const box = await start('killed', '--set', 'files.capacity=100m');
        const cut = send_form(box, { name: 'a.jsonl', purpose: 'batch', size: 90 * MIB }).catch(e => e);
        await until(() => blobs('killed').length === 1, 'the upload');
        await box.kill();
        assert.ok(await cut instanceof Error);
        const next = await start('killed', '--set', 'files.capacity=100m'), openai = client(next);
        assert.deepEqual((await openai.files.list()).data, []);
    });
});
