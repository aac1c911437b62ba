// A picture that is named again is asked for with what its server has said of it: a 304 spares the bytes, never the question.

import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { KEY, serve } from './server.mjs';
import { picture } from '../wire/faulty_engine.mjs';

let shown = { width: 64, height: 48, fields: {} };
const asked = [];
const files = http.createServer((request, answer) => {
    const { 'if-none-match': none, 'if-modified-since': since } = request.headers;
    const same = (shown.fields.etag && none === shown.fields.etag) || (shown.fields['last-modified'] && since === shown.fields['last-modified']);
    asked.push({ none, since, status: same ? 304 : 200 });
    if (same) return answer.writeHead(304, shown.fields).end();
    const bytes = picture(shown);
    answer.writeHead(200, { 'content-type': 'image/png', 'content-length': bytes.length, ...shown.fields }).end(bytes);
});
await new Promise(resolve => files.listen(0, '127.0.0.1', resolve));
after(() => { files.closeAllConnections(); files.close(); });

const box = await serve({ config: 'fetch: { allow: 127.0.0.0/8 }\nmedia: { chat: all }\n', args: ['--workers', '1'] });

async function see(name) {
    const answer = await fetch(`${box.compatible}/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'qwen-vl-max', messages: [{ role: 'user', content: [{ type: 'image_url',
            image_url: { url: `http://127.0.0.1:${files.address().port}/${name}` } }, { type: 'text', text: 'see' }] }] }) });
    const { choices, error } = await answer.json();
    assert.ok(choices, error?.message);
    return /png, (\d+ x \d+) pixels/.exec(choices[0].message.content)[1];
}

async function twice(name, first, then = first) {
    asked.length = 0;
    shown = first;
    const before = await see(name);
    shown = then;
    return [before, await see(name), ...asked.map(one => one.status)];
}

test('what is still the same is not sent again', async () => {
    for (const fields of [{ etag: '"v1"' }, { etag: 'W/"v1"' }, { 'last-modified': 'Mon, 02 Nov 2026 10:00:00 GMT' }]) {
        const name = `${Object.values(fields)[0].length}.png`;
        assert.deepEqual(await twice(name, { width: 64, height: 48, fields }), ['64 x 48', '64 x 48', 200, 304]);
        assert.deepEqual([asked[1].none, asked[1].since], [fields.etag, fields['last-modified']]);
    }
});

test('what has changed is', async () => {
    assert.deepEqual(await twice('changed.png', { width: 64, height: 48, fields: { etag: '"v1"' } }, { width: 32, height: 24, fields: { etag: '"v2"' } }),
        ['64 x 48', '32 x 24', 200, 200]);
    assert.equal(asked[1].none, '"v1"');
});

test('nothing is kept of what says nothing of itself, or that it is not to be kept', async () => {
    for (const [name, fields] of [['plain.png', {}], ['private.png', { etag: '"v1"', 'cache-control': 'private, no-store' }]]) {
        assert.deepEqual(await twice(name, { width: 64, height: 48, fields }), ['64 x 48', '64 x 48', 200, 200]);
        assert.equal(asked[1].none, undefined);
    }
});
