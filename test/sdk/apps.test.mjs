// Applications as clients use them: the npm package `openai` on the Responses form; the rules of DashScope's SDKs on the native form (the
// Python SDK asks for pieces and puts them together itself); the command line; and what outlives a server.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { KEY, scratch, serve, until, UUID } from './server.mjs';
import { ADMIN_CONFIG, admin } from './tenants.mjs';

const SCENARIO = `
rules:
  - match: { message: riddle, model: qwq-plus }
    answer: { reasoning: 'It has keys.', text: 'A piano.' }
  - match: { message: slow }
    answer: { text: '${'la '.repeat(200).trim()}', between_tokens: 50ms }
  - match: { message: count }
    answer: { text: 'one two three four five six' }
`;
const folder = scratch('apps');
const box = await serve({ scenario: SCENARIO, config: ADMIN_CONFIG, args: ['--workers', '2'] });
const binary = process.env.DASHBOX || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox');

async function app(server, definition) {
    const { id } = await admin(server, 'POST', '/apps', { definition: JSON.stringify(definition) });
    await admin(server, 'POST', `/apps/${id}/publish`);
    return id;
}
const FLOW = { name: 'F', type: 'flow', nodes: [{ id: 'start', type: 'start' }, { id: 'ask', type: 'model', model: 'qwen-plus', prompt: '${sys.query}' },
    { id: 'end', type: 'end', text: '<${ask}>' }] };
const openai = (server, id) => new OpenAI({ baseURL: `${server.url}/api/v2/apps/agent/${id}/compatible-mode/v1`, apiKey: KEY, maxRetries: 0, timeout: 20_000 });
const complete = (server, id, body, headers = {}) => fetch(`${server.native}/apps/${id}/completion`,
    { method: 'POST', headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });

// The frames of a stream, as the Python SDK reads them: "event:error" is told from the rest of its line alone.
async function frames(answer) {
    const text = await answer.text(), all = [];
    for (const block of text.split('\n\n').filter(b => b.trim())) {
        const lines = block.split('\n');
        assert.equal(lines.find(l => l.startsWith('event:')), 'event:result', block);
        all.push(JSON.parse(lines.find(l => l.startsWith('data:')).slice(5)));
    }
    return all;
}

describe('native', () => {
    test('pieces put together are the whole, and each frame has the session', async () => {
        const id = await app(box, { name: 'A', type: 'agent', model: 'qwen-plus' });
        const all = await frames(await complete(box, id, { model: '', input: { prompt: 'count' }, parameters: { incremental_output: true }, debug: {} },
            { 'x-dashscope-sse': 'enable', accept: 'text/event-stream' }));
        assert.equal(all.map(f => f.output.text).join(''), 'one two three four five six');
        assert.equal(new Set(all.map(f => f.output.session_id)).size, 1);
        assert.deepEqual(all.map(f => f.output.finish_reason), [...Array(all.length - 1).fill('null'), 'stop']);
        assert(all.at(-1).usage.models[0].output_tokens > 0);
    });

    test('a client that leaves ends the run, and its trace says so', async () => {
        const id = await app(box, { name: 'A', type: 'agent', model: 'qwen-plus' });
        const stop = new AbortController();
        const answer = await fetch(`${box.native}/apps/${id}/completion`, { method: 'POST', signal: stop.signal, body: JSON.stringify({ input: { prompt: 'slow' } }),
            headers: { authorization: `Bearer ${KEY}`, 'x-dashscope-sse': 'enable' } });
        await answer.body.getReader().read();
        stop.abort();
        const run = await until(async () => (await admin(box, 'GET', `/apps/${id}/runs`)).data[0], 'the run of a client that has left');
        assert.equal(run.error, 'gone');
    });

    test('many at once keep their sessions apart', async () => {
        const id = await app(box, { name: 'A', type: 'agent', model: 'qwen-plus' });
        await Promise.all(Array.from({ length: 40 }, async (_, i) => {
            const first = await (await complete(box, id, { input: { prompt: `I am ${i}` }, parameters: { enable_system_time: false } })).json();
            const session_id = first.output.session_id;
            const second = await (await complete(box, id, { input: { prompt: 'again', session_id }, parameters: { enable_system_time: false } })).json();
            assert.equal(second.output.session_id, session_id);
            const { steps } = await admin(box, 'GET', `/app-runs/${second.request_id}`);
            assert.deepEqual(steps[0].input.messages.map(m => m.content), [`I am ${i}`, first.output.text, 'again']);
        }));
    });
});

describe('openai', () => {
    test('create, and read again', async () => {
        const client = openai(box, await app(box, FLOW));
        const answer = await client.responses.create({ model: '', input: 'count' });
        assert.equal(answer.output_text, '<one two three four five six>');
        assert.equal((await client.responses.retrieve(answer.id)).status, 'completed');
        await client.responses.delete(answer.id);
        await assert.rejects(client.responses.retrieve(answer.id), /not found/);
    });

    test('stream', async () => {
        const client = openai(box, await app(box, { name: 'A', type: 'agent', model: 'qwq-plus' }));
        const stream = await client.responses.create({ model: '', input: [{ role: 'user', content: 'riddle' }], stream: true });
        const types = [];
        let text = '', thought = '', last;
        for await (const event of stream) {
            if (types.at(-1) !== event.type) types.push(event.type);
            if (event.type === 'response.output_text.delta') text += event.delta;
            if (event.type === 'response.reasoning_text.delta') thought += event.delta;
            last = event;
        }
        assert.equal(text, 'A piano.');
        assert.equal(thought, 'It has keys.');
        assert.equal(last.response.status, 'completed');
        const one = kind => ['response.output_item.added', 'response.content_part.added', `response.${kind}.delta`, `response.${kind}.done`,
            'response.content_part.done', 'response.output_item.done'];
        assert.deepEqual(types, ['response.created', 'response.in_progress', ...one('reasoning_text'), ...one('output_text'), 'response.completed']);
    });

    test('in the background, and cancelled', async () => {
        const client = openai(box, await app(box, FLOW));
        const quick = await client.responses.create({ model: '', input: 'count', background: true });
        assert.equal(quick.status, 'queued');
        const done = await until(async () => {
            const now = await client.responses.retrieve(quick.id);
            return now.status === 'completed' && now;
        }, 'the end of a response in the background');
        assert.equal(done.output_text, '<one two three four five six>');
        const slow = await client.responses.create({ model: '', input: 'slow', background: true });
        await until(async () => (await client.responses.retrieve(slow.id)).status === 'running', 'it to run');
        assert.equal((await client.responses.cancel(slow.id)).status, 'cancelled');
        assert.equal((await client.responses.retrieve(slow.id)).status, 'cancelled');
    });
});

const run = (...words) => new Promise(resolve => execFile(binary, words, { timeout: 20_000, env: { ...process.env, DASHSCOPE_API_KEY: KEY, DASHSCOPE_HTTP_BASE_URL: box.native } },
    (error, stdout, stderr) => resolve({ status: error ? error.code : 0, stdout, stderr })));

test('the command line: made, published, run, looked at node by node', async () => {
    const data = ['--data', path.join(box.folder, 'data')], file = path.join(folder, 'flow.yaml');
    fs.writeFileSync(file, 'name: Greeting\ntype: flow\nnodes:\n- {id: start, type: start, parameters: [{name: who, required: true}]}\n' +
        '- {id: hello, type: template, text: "Hello ${start.who}, "}\n- {id: end, type: end, text: "${hello}${sys.query}"}\n');
    const made = await run('apps', 'create', file, ...data), id = made.stdout.trim();
    assert.match(id, /^[0-9a-f]{32}$/, made.stderr);
    let ran = await run('apps', 'run', id, 'bye', '--biz', '{"who":"you"}');
    assert.equal(ran.status, 1);
    assert.match(ran.stderr, /Flow has not published yet/);
    assert.equal((await run('apps', 'publish', id, ...data)).status, 0);
    ran = await run('apps', 'run', id, 'bye', '--biz', '{"who":"you"}');
    assert.equal(ran.stdout, 'Hello you, bye\n', ran.stderr);
    const [, session, request] = /session ([0-9a-f]{32}), run (\S+)/.exec(ran.stderr);
    assert.match(request, UUID);
    assert(session);
    const traced = await run('apps', 'trace', request, ...data);
    assert.match(traced.stdout, /hello +Text +\d+ +\d+ +success +\{"result":"Hello you, "\}/);
    assert.match((await run('apps', 'runs', id, ...data)).stdout, new RegExp(request));
    assert.match((await run('apps', 'list', ...data)).stdout, /Greeting/);
    assert.equal((await run('apps', 'show', id, ...data)).stdout, fs.readFileSync(file, 'utf8'));
    assert.equal((await run('apps', 'set', id, '/dev/null', ...data)).status, 2);
    assert.equal((await run('apps', 'delete', id, ...data)).status, 0);
    assert.equal((await run('apps', 'show', id, ...data)).status, 1);
});

test('the secret of a plug-in is in no file as it is', async () => {
    const secret = 'hush-hush-4711', asked = [];
    const service = http.createServer((request, answer) => {
        asked.push(request.headers.authorization);
        answer.end('{"ok":true}');
    });
    await new Promise(resolve => service.listen(0, '127.0.0.1', resolve));
    const server = await serve({ config: ADMIN_CONFIG + 'fetch: { allow: 127.0.0.0/8 }\n' });
    const description = { openapi: '3.0.0', info: { title: 'S' }, servers: [{ url: `http://127.0.0.1:${service.address().port}` }], paths: { '/': { get: { operationId: 'look' } } },
        components: { securitySchemes: { k: { type: 'http', scheme: 'bearer' } } }, security: [{ k: [] }] };
    await admin(server, 'POST', '/plugins', { id: 's', description: JSON.stringify(description), secret });
    const id = await app(server, { name: 'F', type: 'flow', nodes: [{ id: 'start', type: 'start' }, { id: 'call', type: 'plugin', plugin: 's', tool: 'look' },
        { id: 'end', type: 'end', text: '${call.result.ok}' }] });
    assert.equal((await (await complete(server, id, { input: { prompt: 'x' } })).json()).output.text, 'true');
    assert.deepEqual(asked, [`Bearer ${secret}`]);
    const data = path.join(server.folder, 'data');
    assert.equal(fs.statSync(path.join(data, 'secret-key')).mode & 0o777, 0o600);
    for (const file of fs.readdirSync(data, { recursive: true }).map(f => path.join(data, f)).filter(f => fs.statSync(f).isFile()))
        assert(!fs.readFileSync(file).includes(secret), file);
    assert(!server.log().includes(secret));
    fs.unlinkSync(path.join(data, 'secret-key')); // a database without its key
    const answer = await complete(server, id, { input: { prompt: 'x' } });
    assert.equal((await answer.json()).code, 'InvokePluginFailed');
    service.close();
    service.closeAllConnections();
});

test('sessions outlive a server that is killed; what ran in the background has failed when it is stopped', async () => {
    const args = ['--data', path.join(folder, 'kept')];
    const first = await serve({ scenario: SCENARIO, config: ADMIN_CONFIG, args });
    const id = await app(first, { name: 'A', type: 'agent', model: 'qwen-plus' });
    const { output: { session_id } } = await (await complete(first, id, { input: { prompt: 'remember' } })).json();
    await first.kill();

    const second = await serve({ scenario: SCENARIO, config: ADMIN_CONFIG, args });
    const answer = await (await complete(second, id, { input: { prompt: 'again', session_id } })).json();
    assert.equal(answer.output.session_id, session_id);
    const { steps } = await admin(second, 'GET', `/app-runs/${answer.request_id}`);
    assert(steps[0].input.messages.some(m => m.content === 'remember'));
    const slow = await openai(second, id).responses.create({ model: '', input: 'slow', background: true });
    await until(async () => (await openai(second, id).responses.retrieve(slow.id)).status === 'running', 'it to run');
    await second.stop();
    second.process = undefined;

    const third = await serve({ scenario: SCENARIO, config: ADMIN_CONFIG, args });
    assert.equal((await openai(third, id).responses.retrieve(slow.id)).status, 'failed');
});
