// An engine behind that makes pictures (OpenAI's images API): what it is asked, what becomes of its answer, and what happens without it.

import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { KEY, serve, until } from './server.mjs';
import { picture } from '../wire/faulty_engine.mjs';

const asked = [];
let answer = () => ({ data: [{ b64_json: picture({ width: 320, height: 200 }).toString('base64') }] });
const images = http.createServer((request, reply) => {
    let body = '';
    request.on('data', piece => { body += piece; });
    request.on('end', () => {
        asked.push({ path: request.url, key: request.headers.authorization, body: JSON.parse(body) });
        const { status = 200, ...what } = answer();
        reply.writeHead(status, { 'content-type': 'application/json' });
        reply.end(JSON.stringify(what));
    });
});
await new Promise(resolve => images.listen(0, '127.0.0.1', resolve));
after(() => { images.closeAllConnections(); images.close(); });
const good = answer;

const box = await serve({ config: `
engines:
  - name: painter
    upstream: http://127.0.0.1:${images.address().port}/v1
    api_key: sk-painter
    images: true
    models: { 'wan2.2-*': sd-xl }
  - name: words
    upstream: http://127.0.0.1:${images.address().port}/v1
  - name: gone
    upstream: http://127.0.0.1:1/v1
    images: true
    retries: 0
    fallback: standin
route: { 'qwen-image': words, 'qwen-image-plus': gone, 'wan2*': painter }
` });

async function call(where, body, headers = {}) {
    const reply = await fetch(`${box.native}${where}`, { method: body ? 'POST' : 'GET', body: body && JSON.stringify(body),
        headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers } });
    return { status: reply.status, ...await reply.json() };
}

async function paint(model, prompt, parameters = {}) {
    const { output } = await call('/services/aigc/text2image/image-synthesis', { model, input: { prompt, negative_prompt: 'rain' }, parameters },
        { 'X-DashScope-Async': 'enable' });
    return until(async () => {
        const { output: now } = await call(`/tasks/${output.task_id}`);
        return ['SUCCEEDED', 'FAILED'].includes(now.task_status) && now;
    }, 'the end of the task', 60_000);
}

// Width and height of a PNG.
const size = async url => {
    const bytes = Buffer.from(await (await fetch(url)).arrayBuffer());
    assert.equal(bytes.subarray(1, 4).toString(), 'PNG');
    return [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
};

describe('an engine that makes pictures', () => {
    test('is asked for each, and its picture has the size that was asked for', async () => {
        const done = await paint('wan2.2-t2i-flash', 'a red kite', { n: 2, seed: 7, size: '768*512' });
        assert.equal(done.task_status, 'SUCCEEDED', JSON.stringify(done));
        assert.deepEqual(await size(done.results[0].url), [768, 512]);
        assert.deepEqual(asked.splice(0), [7, 8].map(seed => ({ path: '/v1/images/generations', key: 'Bearer sk-painter',
            body: { model: 'sd-xl', prompt: 'a red kite', n: 1, size: '768x512', response_format: 'b64_json', seed, negative_prompt: 'rain' } })));
    });

    test('one that refuses fails what it was asked for', async () => {
        answer = () => ({ status: 500, error: { message: 'out of memory', code: 'oom' } });
        const done = await paint('wan2.2-t2i-flash', 'a red kite', { n: 1 });
        assert.deepEqual([done.task_status, done.code, done.message], ['FAILED', 'InternalError.Algo', 'inference internal error.']);
        answer = () => ({ data: [{ b64_json: Buffer.from('no picture').toString('base64') }] });
        assert.equal((await paint('wan2.2-t2i-flash', 'a red kite', { n: 1 })).code, 'InternalError.Algo');
        answer = () => ({ data: [{ url: 'http://127.0.0.1/a.png' }] });
        assert.equal((await paint('wan2.2-t2i-flash', 'a red kite', { n: 1 })).task_status, 'FAILED');
        answer = good;
    });

    test('one without `images` is not asked, and one that is not there has its fallback: the server draws', async () => {
        asked.length = 0;
        for (const model of ['qwen-image', 'qwen-image-plus']) {
            const { status, output } = await call('/services/aigc/multimodal-generation/generation',
                { model, input: { messages: [{ role: 'user', content: [{ text: 'a red kite' }] }] }, parameters: { size: '1328*1328' } });
            assert.equal(status, 200);
            assert.deepEqual(await size(output.choices[0].message.content[0].image), [1328, 1328]);
        }
        assert.equal(asked.length, 0);
    });
});
