// Failures on purpose where the answer is sound: over WebSockets, as events, as a stream of bytes. The journal says who asked.

import { after, beforeEach, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import OpenAI from 'openai';
import { WebSocket } from 'ws';
import { KEY, serve } from './server.mjs';
import { Tasks } from './speech_client.mjs';

const ADMIN = 'admin-test';
const box = await serve({ config: `admin: { key: ${ADMIN} }\n` });
const VOICE = { voice: 'longxiaochun_v2', parameters: { format: 'mp3' } };
const TEXTS = ['Good morning. How are you?'];

const admin = (method, path, body) =>
    fetch(`${box.url}/admin/v1${path}`, { method, headers: { authorization: `Bearer ${ADMIN}` }, body: body && JSON.stringify(body) });

// [status, row, who asked] of the call, when its entry is there: a connection that was cut has no answer that it comes before.
async function noted(query) {
    for (;;) {
        const { data } = await (await admin('GET', `/journal?${query}`)).json();
        if (data.length) return [data[0].status, data[0].error, data[0].fault];
    }
}

const open = [];
async function tasks(options) {
    const c = await Tasks.open(box, options);
    open.push(c.ws);
    return c;
}

beforeEach(async () => assert.equal((await admin('POST', '/reset')).status, 204));
after(() => open.forEach(ws => ws.terminate()));

describe('a task of a WebSocket', () => {
    test('fails after so many messages', async () => {
        const c = await tasks();
        const { end, results } = await c.speak({ model: 'cosyvoice-v2!E225a@2', ...VOICE }, TEXTS);
        assert.deepEqual([end.header.event, end.header.error_code], ['task-failed', 'InternalError.Algo']);
        assert.equal(results.length, 2);
        await c.closed;
        assert.deepEqual(await noted('model=cosyvoice-v2'), [500, 'E225a', 'the model']);
    });
    test('fails at its end when it has fewer, and costs nothing then', async () => {
        const c = await tasks();
        const { end, sound } = await c.speak({ model: 'cosyvoice-v2!E225a@1000', ...VOICE }, TEXTS);
        assert.equal(end.header.event, 'task-failed');
        assert.ok(sound.length > 0);
        assert.deepEqual((await (await admin('GET', '/usage')).json()).data, []);
    });
    test('is cut off', async () => {
        const c = await tasks();
        c.run({ model: 'cosyvoice-v2!cut@1', ...VOICE });
        c.more({ text: TEXTS[0] });
        c.finish();
        assert.equal((await c.closed).code, 1006); // no close frame
        assert.equal(c.results().length, 1);
        assert.deepEqual(await noted('model=cosyvoice-v2'), [0, null, 'the model']);
    });
    test('stalls for a time', async () => {
        const c = await tasks();
        const { end, results } = await c.speak({ model: 'cosyvoice-v2!stall@2 for=50ms', ...VOICE }, TEXTS);
        assert.equal(end.header.event, 'task-finished');
        assert.ok(results.length > 2);
        assert.deepEqual(await noted('model=cosyvoice-v2'), [200, null, 'the model']);
    });
    test('stalls until its client goes away', async () => {
        const c = await tasks();
        c.run({ model: 'cosyvoice-v2!stall@1', ...VOICE });
        c.more({ text: TEXTS[0] });
        c.finish();
        await c.until(() => c.results().length || undefined);
        c.ws.terminate();
        assert.deepEqual(await noted('model=cosyvoice-v2'), [0, 'E175', 'the model']);
        assert.equal(c.results().length, 1);
    });
    test('each task fails as the key or the header of its connection asks', async () => {
        for (const [options, by] of [[{ key: `${KEY}!E225a@1` }, 'the key'], [{ headers: { 'x-dashbox-fault': 'E225a@1' } }, 'the header']]) {
            const c = await tasks(options);
            const { end, results } = await c.speak({ model: 'cosyvoice-v2', ...VOICE }, TEXTS);
            assert.deepEqual([end.header.error_code, results.length], ['InternalError.Algo', 1]);
            assert.deepEqual(await noted('model=cosyvoice-v2'), [500, 'E225a', by]);
            await admin('POST', '/reset');
        }
    });
    test('a rule with a model counts each task, and acts in its middle', async () => {
        assert.equal((await admin('POST', '/faults', { fault: 'E225a@1', model: 'cosyvoice-*', times: 1 })).status, 200);
        const first = await (await tasks()).speak({ model: 'cosyvoice-v2', ...VOICE }, TEXTS);
        const second = await (await tasks()).speak({ model: 'cosyvoice-v2', ...VOICE }, TEXTS);
        assert.deepEqual([first.end.header.event, second.end.header.event], ['task-failed', 'task-finished']);
    });
});

describe('a realtime session', () => {
    // The events of a session in which a text is read, and how it was closed.
    async function session(model) {
        const ws = new WebSocket(`${box.url.replace('http', 'ws')}/api-ws/v1/realtime?model=${encodeURIComponent(model)}`,
            { headers: { Authorization: `Bearer ${KEY}` } });
        const log = [];
        ws.on('message', data => {
            log.push(JSON.parse(data));
            if (log.at(-1).type === 'session.created') {
                ws.send(JSON.stringify({ type: 'input_text_buffer.append', text: TEXTS[0] }));
                ws.send(JSON.stringify({ type: 'session.finish' }));
            }
            if (log.at(-1).type === 'session.finished') ws.close(1000);
        });
        const code = await new Promise((resolve, reject) => { ws.on('close', resolve); ws.on('error', reject); });
        return { log, types: log.map(e => e.type).filter(t => !t.startsWith('session.')), code };
    }
    test('fails in the middle of a response', async () => {
        const { log, types } = await session('qwen3-tts-flash-realtime!E225a@3');
        assert.equal(types.length, 4);
        assert.deepEqual([types[0], types[3], log.at(-1).error.code], ['response.created', 'error', 'InternalError.Algo']);
        assert.deepEqual(await noted('model=qwen3-tts-flash-realtime'), [500, 'E225a', 'the model']);
    });
    test('fails instead of response.done when there is less', async () => {
        const { types } = await session('qwen3-tts-flash-realtime!E225a@1000');
        assert.deepEqual([types.includes('response.audio.delta'), types.includes('response.done'), types.at(-1)], [true, false, 'error']);
    });
    test('is refused at its first response, or cut off in it', async () => {
        assert.deepEqual((await session('qwen3-tts-flash-realtime!E205')).types, ['error']);
        const { types, code } = await session('qwen3-tts-flash-realtime!cut@2');
        assert.deepEqual([types.length, code], [2, 1006]);
        assert.deepEqual(await noted('model=qwen3-tts-flash-realtime&status=0'), [0, null, 'the model']);
    });
    test('words that nobody understands are refused before the handshake', async () => {
        await assert.rejects(session('qwen3-tts-flash-realtime!what'), /400/);
    });
});

describe('over HTTP', () => {
    const say = (model, headers = {}) => fetch(`${box.url}/api/v1/services/audio/tts/SpeechSynthesizer`, { method: 'POST',
        headers: { authorization: `Bearer ${KEY}`, ...headers }, body: JSON.stringify({ model, input: { text: 'hello', voice: 'longxiaochun_v2' } }) });
    const openai = new OpenAI({ baseURL: `${box.url}/v1`, apiKey: KEY, maxRetries: 0 });
    const speak = model => openai.audio.speech.create({ model, voice: 'Cherry', input: 'Good morning. How are you?', response_format: 'wav' });

    test('what is not streamed is refused whole', async () => {
        const answer = await say('cosyvoice-v2!E225a@2');
        assert.deepEqual([answer.status, (await answer.json()).code], [500, 'InternalError.Algo']);
    });
    test('events end with an error, or without a word', async () => {
        const answer = await say('cosyvoice-v2!E225a@2', { 'X-DashScope-SSE': 'enable' });
        const lines = (await answer.text()).split('\n');
        assert.deepEqual(lines.filter(line => line.startsWith('event:')), ['event:result', 'event:result', 'event:error']);
        await assert.rejects((await say('cosyvoice-v2!cut@1', { 'X-DashScope-SSE': 'enable' })).text(), TypeError);
    });
    test("OpenAI's: refused, and broken off", async () => {
        await assert.rejects(speak('qwen3-tts-flash!E236'), { status: 503 });
        await assert.rejects((await speak('qwen3-tts-flash!cut@1')).arrayBuffer(), TypeError);
        const good = Buffer.from(await (await speak('qwen3-tts-flash')).arrayBuffer());
        assert.ok(good.length > 1000);
    });
    test('what is heard is refused whole', async () => {
        const file = new File([Buffer.from(await (await speak('qwen3-tts-flash')).arrayBuffer())], 'a.wav');
        await assert.rejects(openai.audio.transcriptions.create({ model: 'qwen3-asr-flash!E225a@1', file }), { status: 500 });
        assert.equal(typeof (await openai.audio.transcriptions.create({ model: 'qwen3-asr-flash', file })).text, 'string');
    });
});
