// Recorded with an upstream, replayed without it: what the client gets is the same to the byte, through plain requests and
// through the npm package `openai`, and no file has a secret in it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { describe, test } from 'node:test';
import OpenAI from 'openai';
import { start } from '../wire/faulty_engine.mjs';
import { KEY, scratch, serve, until } from './server.mjs';

const SECRET = 'sk-5ec2e70123456789abcdef5ec2e7';
const OTHER_SECRET = 'open sesame, mountain';
const tapes = scratch('tapes');

const config = url => `
engines:
  - name: cloud
    upstream: ${url}/v1
    api_key: \${RECORD_TEST_KEY}
    headers: { X-Api-Key: '${OTHER_SECRET}' }
    models: { qwen-max: theirs }
    cloud: true
  - name: local
    upstream: ${url}/v1
    api_key: ${SECRET}
route: { qwen-plus: cloud, qwen-max: cloud, qwen-flash: local }
`;

const post = (box, body) => fetch(`${box.compatible}/chat/completions`, {
    method: 'POST', headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' }, body: JSON.stringify(body) });
const body_of = (words, more = {}) => ({ model: 'qwen-plus', messages: [{ role: 'user', content: `engine: ${words}` }], ...more });

// What differs from one request to the next.
const settled = text => text.replace(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, 'ID').replace(/"created":\d+/g, '"created":0');

async function get(box, body) {
    const answer = await post(box, body);
    return { status: answer.status, type: answer.headers.get('content-type'), text: settled(await answer.text()) };
}

const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: { a: { type: 'integer' } } } } }];
const history = [{ role: 'user', content: 'call f' },
    { role: 'assistant', content: null, tool_calls: [{ id: 'call_77', type: 'function', function: { name: 'f', arguments: '{"a": 1}' } }] },
    { role: 'tool', tool_call_id: 'call_77', content: '2' }];
const exchanges = {
    'a whole answer': body_of('ok hello there'),
    'a stream': body_of('ok hello there', { stream: true, stream_options: { include_usage: true } }),
    'characters of all kinds': body_of('ok  “春眠”: \u2028 😀 # - | \\ "quoted"', { stream: true }),
    'a tool call': body_of('call', { tools }),
    'a tool call in pieces': body_of('call', { tools, stream: true }),
    'the result of a tool': { ...body_of('', { tools }), messages: [...history, { role: 'user', content: 'engine: ok two' }] },
    'a refusal': body_of('status 429'),
    'a refusal that is no JSON': body_of('plain 500'),
    'a stream that is cut off': body_of('cut stream', { stream: true }),
    'an answer that is cut off': body_of('cut body'),
    'an error in a stream': body_of('error 429', { stream: true }),
    'a model by another name': body_of('ok hello', { model: 'qwen-max' }),
    'another engine': body_of('status 429', { model: 'qwen-flash' }),
    'a key in question and answer': body_of('ok see ?api_key=abcdef'),
};
const seen = {}, turns = [];
const REPLAYED = { 'a key in question and answer': text => text.replace('abcdef', 'REMOVED') };

const engine = await start();
process.env.RECORD_TEST_KEY = SECRET;
const recorder = await serve({ config: config(engine.url), args: ['--record', tapes] });
const client_of = (box, more = {}) => new OpenAI({ apiKey: KEY, baseURL: box.compatible, maxRetries: 0, ...more });
const flaky = box => client_of(box, { maxRetries: 1 }).chat.completions.create(body_of('flaky'));

for (const [name, body] of Object.entries(exchanges)) seen[name] = await get(recorder, body);
for (let i = 0; i < 3; i++) {
    turns.push((await get(recorder, body_of('turn'))).text);
    if (i === 1) { // takes are counted on over a reload
        recorder.process.kill('SIGHUP');
        await until(() => recorder.log().includes('configuration read again'), 'the reload');
    }
}
const flaky_text = (await flaky(recorder)).choices[0].message.content;
const echo = await get(recorder, body_of('echo'));
await get(recorder, body_of('paced 60 one two three four five', { stream: true }));
const given_up = new AbortController();
const stalled = await client_of(recorder).chat.completions.create(body_of('stall', { stream: true }), { signal: given_up.signal });
for await (const chunk of stalled)
    if (chunk.choices[0].delta.content === 'two') given_up.abort();
await until(async () => await recorder.metric('dashbox_requests_active') <= 1, 'the recorder to have nothing else to do');
await recorder.stop();
engine.close();
delete process.env.RECORD_TEST_KEY;

const box = await serve({ args: ['--replay', tapes] });
const files = fs.readdirSync(tapes);
const text_of = file => fs.readFileSync(path.join(tapes, file), 'utf8');

describe('recording', () => {
    test('was of what this file means', () => {
        assert.match(seen['a stream'].text, /"content":"there"/);
        assert.equal(seen['a refusal'].status, 429);
        assert.equal(seen['another engine'].status, 503);
        assert.match(seen['a tool call in pieces'].text, /call_77/);
        assert.equal(new Set(turns).size, 3);
        for (const secret of [SECRET, OTHER_SECRET]) assert(echo.text.includes(secret));
    });

    test('leaves no secret in any file', () => {
        for (const file of files) {
            for (const secret of [SECRET, OTHER_SECRET, KEY, 'secret-of-the-cookie', 'abcdef'])
                assert(!text_of(file).includes(secret), `${secret} in ${file}`);
        }
    });

    test('makes a file an exchange, and none of one that was given up', () => {
        assert.equal(files.length, Object.keys(exchanges).length + turns.length + 2 /* flaky */ + 1 /* echo */ + 1 /* paced */);
        for (const file of files) assert.match(file, /^[\w.-]+-[0-9a-f]{8}-[0-9a-f]{8}(\.[23])?\.yaml$/);
        assert.equal(files.filter(file => file.endsWith('.3.yaml')).length, 1);
        assert(!files.some(file => text_of(file).includes('engine: stall')));
    });
});

describe('replaying without any engine', () => {
    for (const [name, body] of Object.entries(exchanges)) {
        test(name, async () => {
            const want = { ...seen[name] };
            if (REPLAYED[name]) want.text = REPLAYED[name](want.text);
            assert.deepEqual(await get(box, body), want);
        });
    }

    test('the same question in turn, and then from the beginning', async () => {
        for (const want of [...turns, turns[0]]) assert.equal((await get(box, body_of('turn'))).text, want);
    });

    test('a tool call whose id is another one', async () => {
        const body = JSON.parse(JSON.stringify(exchanges['the result of a tool']).replaceAll('call_77', 'call_other'));
        assert.deepEqual(await get(box, body), seen['the result of a tool']);
    });

    test('a question that nobody has recorded', async () => {
        const answer = await post(box, body_of('ok hullo there'));
        const { error } = await answer.json();
        assert.equal(answer.status, 501);
        assert.equal(error.code, 'ReplayMissing');
        const file = /^No recording answers this request to qwen-plus: there is no (qwen-plus-[0-9a-f]{8}-[0-9a-f]{8}\.yaml)\.$/.exec(error.message)[1];
        assert(!files.includes(file));
        const line = await box.logged(answer.headers.get('x-request-id'));
        const [, near] = /the nearest is (\S+), which differs in messages\[0\]\.content$/.exec(line.detail);
        assert.match(text_of(near), /engine: ok hello there/);
        assert.equal(line.error, 'D010');
    });

    test('a model that nobody has recorded is not left to the stand-in', async () => {
        assert.equal((await post(box, body_of('ok hello', { model: 'qwen-turbo' }))).status, 501);
    });

    test('the native protocol', async () => {
        const answer = await fetch(`${box.native}/services/aigc/text-generation/generation`, { method: 'POST',
            headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' },
            body: JSON.stringify({ model: 'qwen-plus', input: { messages: body_of('ok nobody asked this').messages } }) });
        assert.equal(answer.status, 501);
        assert.equal((await answer.json()).code, 'ReplayMissing');
    });

    test('a child is not started, and a key not needed', async () => {
        const other = await serve({ args: ['--replay', tapes], config: config('http://127.0.0.1:1').replace('engines:',
            'engines:\n  - { name: child, command: "/no/such/program {port}" }') });
        assert.deepEqual(await get(other, exchanges['a stream']), seen['a stream']);
        assert.deepEqual(await get(other, exchanges['a model by another name']), seen['a model by another name']);
        assert.equal((await get(other, exchanges['another engine'])).status, 503);
    });

    test('another seed is another question, unless messages are enough', async () => {
        const body = { ...exchanges['a whole answer'], seed: 5 };
        const loose = await serve({ args: ['--replay', tapes, '--set', 'replay_match=messages'] });
        assert.equal((await get(box, body)).status, 501);
        assert.match((await get(loose, body)).text, /hello there/);
    });

    test('at the recorded speed pieces come one after another', async () => {
        const timed = await serve({ args: ['--replay', tapes, '--set', 'replay_speed=recorded'] });
        const reads = [];
        for await (const piece of (await post(timed, body_of('paced 60 one two three four five', { stream: true }))).body)
            reads.push(Buffer.from(piece).toString());
        assert(reads.length > 1, 'all of it came at once');
        assert.deepEqual([...reads.join('').matchAll(/"content":"(\w+) "/g)].map(found => found[1]), ['one', 'two', 'three', 'four', 'five']);
    });
});

describe('the package openai, replaying', () => {
    const client = client_of(box);

    test('one answer', async () => {
        const answer = await client.chat.completions.create(exchanges['a whole answer']);
        assert.equal(answer.choices[0].message.content, 'hello there');
        assert.equal(answer.usage.total_tokens, 7);
    });

    test('a stream with a tool call', async () => {
        const { choices: [{ message, finish_reason }] } = await client.chat.completions.stream(exchanges['a tool call in pieces'])
            .finalChatCompletion();
        assert.equal(finish_reason, 'tool_calls');
        assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { a: 1 });
    });

    test('a refusal by the cloud is its own', async () => {
        await assert.rejects(client.chat.completions.create(exchanges['a refusal']), error =>
            error instanceof OpenAI.RateLimitError && error.type === 'server_error' && /the engine says no/.test(error.message));
    });

    test('a stream that breaks off', async () => {
        let text = '';
        await assert.rejects(async () => {
            for await (const chunk of await client.chat.completions.create(exchanges['a stream that is cut off']))
                text += chunk.choices[0]?.delta.content ?? '';
        });
        assert.equal(text, 'one two');
    });

    test('its own retry gets the next take', async () => {
        assert.equal((await flaky(box)).choices[0].message.content, flaky_text);
    });
});
