// The ledger against what clients were told: the sum of the answers' usage is what /admin/v1/usage and `dashbox usage` say,
// under mixed load, when servers are killed in the middle of it, and when two of them share a folder.

import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { SCENARIO, scratch, serve, until } from './server.mjs';
import { ADMIN_CONFIG, LIGHT, admin, ask, ask_native, ended, load } from './tenants.mjs';

const run = promisify(execFile);
const binary = process.env.DASHBOX || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox');
const folder = scratch('ledger');

// An engine that fails: with a status, with a closed connection, in the middle of a stream.
const failing = http.createServer((request, answer) => {
    let text = '';
    request.on('data', piece => { text += piece; });
    request.on('end', () => {
        const body = JSON.parse(text), way = body.messages.at(-1).content;
        if (way === 'status') return answer.writeHead(503).end('{}');
        if (way === 'close' || !body.stream) return request.socket.destroy();
        answer.writeHead(200, { 'content-type': 'text/event-stream' });
        answer.write(`data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm',
            choices: [{ index: 0, delta: { content: 'one two' }, finish_reason: null }] })}\n\n`);
        setImmediate(() => request.socket.destroy());
    });
});
await new Promise(resolve => failing.listen(0, '127.0.0.1', resolve));
after(() => { failing.closeAllConnections(); failing.close(); });

const CONFIG = `${ADMIN_CONFIG}
engines: [ { name: failing, upstream: 'http://127.0.0.1:${failing.address().port}/v1', retries: 0 } ]
route: { qwen-max: failing, '*': standin }
`;
const start = (data, ...more) => serve({ config: CONFIG, scenario: SCENARIO, args: ['--workers', '2', '--data', data, ...more] });
const box = await start(path.join(folder, 'shared')), other = await start(path.join(folder, 'shared'));

// ---- usage ----

const NOTHING = { requests: 0, prompt_tokens: 0, completion_tokens: 0, reasoning_tokens: 0, cached_tokens: 0 };
const FIELDS = Object.keys(NOTHING);
const pick = row => Object.fromEntries(FIELDS.map(field => [field, row[field]]));
const plus = (a, b) => Object.fromEntries(FIELDS.map(field => [field, a[field] + b[field]]));
const minus = (a, b) => Object.fromEntries(FIELDS.map(field => [field, a[field] - b[field]]));

// An answer's usage of either protocol, in the words of the ledger.
const row_of = usage => ({
    requests: 1,
    prompt_tokens: usage.prompt_tokens ?? usage.input_tokens,
    completion_tokens: usage.completion_tokens ?? usage.output_tokens,
    reasoning_tokens: (usage.completion_tokens_details ?? usage.output_tokens_details)?.reasoning_tokens ?? 0,
    cached_tokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
});

async function booked(box, by) {
    const { data } = await admin(box, 'GET', `/usage?by=${by}`);
    return Object.fromEntries(data.map(row => [row.group, pick(row)]));
}

async function booked_by_cli(data, by) {
    const { stdout } = await run(binary, ['usage', '--json', '--by', by, '--data', data]);
    const { rows, total } = JSON.parse(stdout);
    return { rows: Object.fromEntries(rows.map(row => [row.group, pick(row)])), total: pick(total) };
}

async function key_of(box, name) {
    return admin(box, 'POST', '/keys', { name });
}

// ---- calls ----

const say = content => ({ messages: [{ role: 'user', content }] });
const native = (content, parameters = {}) => ({ input: say(content), parameters: { result_format: 'message', ...parameters } });
const TOOLS = [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object', properties: { location: { type: 'string' } } } } }];
const STREAM = { stream: true, stream_options: { include_usage: true } };
const SSE = { headers: { 'x-dashscope-sse': 'enable' } };

const KINDS = {
    whole: (box, key, more) => ask(box, key, say('poem'), more),
    'whole, another model': (box, key, more) => ask(box, key, { model: 'qwen-turbo', ...say('count to ten') }, more),
    'three choices': (box, key, more) => ask(box, key, { ...say('hello'), n: 3 }, more),
    'a call of a tool': (box, key, more) => ask(box, key, { ...say('weather'), tools: TOOLS }, more),
    'two calls of a tool': (box, key, more) => ask(box, key, { ...say('both towns'), tools: TOOLS }, more),
    stream: (box, key, more) => ask(box, key, { ...say('poem'), ...STREAM }, more),
    'stream of three choices': (box, key, more) => ask(box, key, { ...say('count to ten'), n: 3, ...STREAM }, more),
    'stream of a call': (box, key, more) => ask(box, key, { ...say('weather'), tools: TOOLS, ...STREAM }, more),
    'stream of thoughts': (box, key, more) => ask(box, key, { ...say('riddle'), enable_thinking: true, ...STREAM }, more),
    'cut at max_tokens': (box, key, more) => ask(box, key, { ...say('count to ten'), max_tokens: 3 }, more),
    'native, whole': (box, key, more) => ask_native(box, key, native('poem'), more),
    'native, stream': (box, key, more) => ask_native(box, key, native('count to ten', { incremental_output: true }), { ...SSE, ...more }),
    'native, thoughts': (box, key, more) => ask_native(box, key,
        native('riddle', { incremental_output: true, enable_thinking: true }), { ...SSE, ...more }),
};
const KIND_NAMES = Object.keys(KINDS);

// The usage that a complete body tells, or null: one of a refusal, of a stream that broke off.
function usage_in(text) {
    if (!text.includes('data:')) return JSON.parse(text).usage ?? null;
    const events = [...text.matchAll(/^data: ?(\{.*)$/gm)].map(found => JSON.parse(found[1]));
    return events.findLast(event => event.usage)?.usage ?? null;
}

async function usage_of(call) {
    const answer = await call, text = await answer.text();
    assert.equal(answer.status, 200, text);
    const usage = usage_in(text);
    assert(usage, text);
    return row_of(usage);
}

const REFUSED = {
    status: (box, key) => ask(box, key, { model: 'qwen-max', ...say('status') }),
    close: (box, key) => ask(box, key, { model: 'qwen-max', ...say('close') }),
    'in the middle': (box, key) => ask(box, key, { model: 'qwen-max', ...say('break'), ...STREAM }),
    scenario: (box, key) => ask(box, key, say('refuse')),
    'scenario, in the middle': (box, key) => ask(box, key, { ...say('break off'), ...STREAM }),
    fault: (box, key) => ask(box, key, { ...say('poem'), ...STREAM }, { headers: { 'x-dashbox-fault': 'E219@2' } }),
    parameter: (box, key) => ask(box, key, { ...say('poem'), temperature: 9 }),
};

// ---- mixed load ----

describe('mixed load', () => {
    for (const strict of [false, true])
        test(`what clients were told is what is booked${strict ? ', strictly' : ''}`, async () => {
            const data = path.join(folder, `mixed-${strict}`);
            const box = await start(data, '--set', `billing.strict=${strict}`);
            const keys = [];
            for (let i = 0; i < 4; i++) keys.push(await key_of(box, `client ${i}`));
            const failed = await key_of(box, 'failed'), gone = await key_of(box, 'gone');
            const told = {}, abandoned = [], CALLS = LIGHT ? 140 : 520;
            const note = (group, row) => { told[group] = plus(told[group] ?? NOTHING, row); };

            await Promise.all([
                load(16, CALLS, async i => note(keys[i % 4].id, await usage_of(KINDS[KIND_NAMES[i % KIND_NAMES.length]](box, keys[i % 4].key)))),
                load(4, CALLS / 10, async i => {
                    const call = Object.values(REFUSED)[i % Object.keys(REFUSED).length];
                    const text = await (await call(box, failed.key)).text().catch(() => '');
                    assert.doesNotMatch(text, /"usage":\{/);
                }),
                load(8, CALLS / 20, async () => {
                    const ends = new AbortController();
                    const answer = await ask(box, gone.key, { ...say('slow'), stream: true }, { signal: ends.signal });
                    await answer.body.getReader().read();
                    ends.abort();
                    abandoned.push(answer.headers.get('x-request-id'));
                }),
                load(8, CALLS / 20, async () => { // one that is not streamed has had nothing, and costs nothing
                    const ends = new AbortController(), call = ask(box, failed.key, say('slow'), { signal: ends.signal });
                    setTimeout(() => ends.abort(), 20);
                    await assert.rejects(call);
                }),
            ]);
            // What left clients had is what the log says that was made for them.
            for (const id of abandoned) {
                const line = await box.logged(id);
                assert(line.completion_tokens > 0 && line.completion_tokens < 400, JSON.stringify(line));
                note(gone.id, { ...NOTHING, requests: 1, prompt_tokens: line.prompt_tokens, completion_tokens: line.completion_tokens });
            }
            await ended(CALLS + abandoned.length, [box], entry => entry.key !== failed.id);
            const total = Object.values(told).reduce(plus);

            assert.equal(total.requests, CALLS + abandoned.length);
            assert.deepEqual(await booked(box, 'key'), told); // nothing of the failed ones
            for (const by of ['total', 'day', 'month', 'workspace', 'model'])
                assert.deepEqual(Object.values(await booked(box, by)).reduce(plus), total, by);
            assert.deepEqual(Object.keys(await booked(box, 'model')), ['qwen-plus', 'qwen-turbo']);
            assert.deepEqual(await booked_by_cli(data, 'key'), { rows: told, total });
            await box.stop();
            assert.deepEqual(await booked_by_cli(data, 'key'), { rows: told, total });
        });
});

test('a reset in the middle forgets each call whole, or not at all', async () => {
    const box = await start(path.join(folder, 'reset')), clients = [];
    for (let i = 0; i < 12; i++) clients.push({ ...await key_of(box, `client ${i}`), rows: [] });
    const load_all = Promise.all(clients.map(async (client, first) => {
        for (let i = 0; i < 30; i++)
            client.rows.push(await usage_of(KINDS[KIND_NAMES[(first + i) % KIND_NAMES.length]](box, client.key)));
    }));

    for (const answers of [40, 120, 200]) {
        await until(() => clients.reduce((sum, client) => sum + client.rows.length, 0) >= answers, `${answers} answers`, 60_000);
        await admin(box, 'POST', '/reset');
    }
    await load_all;
    const rows = await booked(box, 'key');
    for (const { id, rows: told } of clients) { // the last of a client's calls, from some one on
        const got = rows[id] ?? NOTHING;
        assert.deepEqual(got, told.slice(told.length - got.requests).reduce(plus, NOTHING));
    }
});

// ---- kill -9 ----

describe('kill -9 of the server under load', () => {
    const KILLS = LIGHT ? 4 : 12, CLIENTS = 12;

    // Each client has a key of its own and makes one call at a time: behind a kill its key may have that one call more.
    for (const strict of [false, true])
        test(`${KILLS} times${strict ? ', strictly' : ''}: nothing that was told is lost, nothing is booked twice`, async () => {
            const data = path.join(folder, `kill-${strict}`);
            let box = await start(data, '--set', `billing.strict=${strict}`), random = 7, answered = 0;
            const clients = [], costs = {};
            for (let i = 0; i < CLIENTS; i++) clients.push({ ...await key_of(box, `client ${i}`), booked: NOTHING, calls: i });
            const measure = await key_of(box, 'measure');
            for (const kind of KIND_NAMES) costs[kind] = await usage_of(KINDS[kind](box, measure.key));

            async function call_on(client) {
                for (;;) {
                    client.kind = KIND_NAMES[client.calls++ % KIND_NAMES.length];
                    client.told = false;
                    const text = await (await KINDS[client.kind](box, client.key)).text(); // ends with the server
                    const usage = usage_in(text);
                    if (!usage) return;
                    assert.deepEqual(row_of(usage), costs[client.kind]);
                    client.booked = plus(client.booked, costs[client.kind]);
                    client.told = true;
                    answered++;
                }
            }

            for (let kill = 0; kill < KILLS; kill++) {
                const enough = answered + (random = random * 48271 % 0x7fffffff) % 150; // and at once, now and then
                const over = Promise.all(clients.map(client => call_on(client).catch(error => {
                    if (error.code === 'ERR_ASSERTION') throw error;
                })));
                await Promise.race([over, until(() => answered >= enough, `${enough} answers`, 60_000)]);
                await box.kill();
                await over;
                box = await start(data, '--set', `billing.strict=${strict}`);
                const rows = await booked(box, 'key');
                for (const client of clients) {
                    const more = minus(rows[client.id] ?? NOTHING, client.booked);
                    if (more.requests === 0) { assert.deepEqual(more, NOTHING); continue; }
                    assert(!client.told, `more is booked than was asked: ${JSON.stringify(more)}`);
                    assert.deepEqual(more, costs[client.kind]);
                    client.booked = plus(client.booked, more);
                }
            }
            assert(answered > KILLS);
            await box.stop();
            const { total } = await booked_by_cli(data, 'key');
            assert.deepEqual(total, clients.reduce((sum, client) => plus(sum, client.booked), Object.values(costs).reduce(plus)));
        });

    test('what a killed server left is booked by `dashbox usage`', async () => {
        const data = path.join(folder, 'left'), box = await start(data);
        const { id, key } = await key_of(box, 'one');
        const rows = await load(4, 20, () => usage_of(KINDS.whole(box, key)));

        await box.kill();
        assert.deepEqual((await booked_by_cli(data, 'key')).rows, { [id]: rows.reduce(plus) });
        assert.deepEqual((await booked_by_cli(data, 'key')).rows, { [id]: rows.reduce(plus) });
    });
});

// ---- a database that another program holds ----

test('strict: an answer whose charge cannot be committed is E213, and the charge is booked when it can', async () => {
    const data = path.join(folder, 'held'), box = await start(data, '--set', 'billing.strict=true');
    const { id, key } = await key_of(box, 'held');
    const holder = spawn('python3', ['-c', `
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute('BEGIN EXCLUSIVE')
print('held', flush=True)
sys.stdin.read()`, path.join(data, 'dashbox.db')], { stdio: ['pipe', 'pipe', 'inherit'] });
    await new Promise((resolve, reject) => { holder.stdout.once('data', resolve); holder.once('exit', reject); });

    const answer = await ask(box, key);
    assert.equal(answer.status, 500);
    assert.deepEqual((await answer.json()).error,
        { message: 'Internal server error!', type: 'internal_error', param: null, code: 'internal_error' });
    const ended = new Promise(resolve => holder.once('close', resolve));
    holder.stdin.end();
    await ended;
    await until(async () => (await booked(box, 'key'))[id]?.requests === 1, 'the charge');
    assert.equal((await ask(box, key)).status, 200);
});

// ---- two servers ----

describe('two servers on one folder', () => {
    const data = path.join(folder, 'shared');
    const models = (at, key) => fetch(`${at.compatible}/models`, { headers: { authorization: `Bearer ${key}` } }).then(answer => answer.status);

    test('the usage of both is booked', async () => {
        const keys = [await key_of(box, 'a'), await key_of(other, 'b')];
        const rows = await load(16, 160, i => usage_of(KINDS[KIND_NAMES[i % KIND_NAMES.length]]([box, other][i % 2], keys[i >> 1 & 1].key)));
        const told = rows.reduce(plus);

        // Each answers exactly for its own calls, and for the other's as far as they are in the tables: within a tenth of a second.
        for (const at of [box, other])
            await until(async () => JSON.stringify(Object.values(await booked(at, 'key')).reduce(plus)) === JSON.stringify(told), 'all usage');
        assert.deepEqual((await booked_by_cli(data, 'key')).total, told);
    });

    test('a key that one makes holds at the other at once, and one that it ends soon does not', async () => {
        for (const [maker, user] of [[box, other], [other, box]]) {
            const made = await key_of(maker, 'made');
            assert.equal(await models(user, made.key), 200);
            await admin(maker, 'DELETE', `/keys/${made.id}`);
            assert.equal(await models(maker, made.key), 401);
            await until(async () => await models(user, made.key) === 401, 'its end at the other');
        }
    });

    test('several that begin a new folder at once all find it', async () => {
        for (let round = 0; round < 10; round++) {
            const fresh = path.join(folder, `fresh-${round}`);
            await Promise.all(Array.from({ length: 4 }, () => run(binary, ['keys', 'create', '--data', fresh])));
            const { stdout } = await run(binary, ['keys', 'list', '--data', fresh]);
            assert.equal(stdout.match(/key-/g).length, 4);
        }
    });

    test('when one is killed, the other goes on, and the next start books what it left', async () => {
        const { id, key } = await key_of(box, 'killed');
        const rows = await load(4, 20, () => usage_of(KINDS.whole(other, key)));

        await other.kill();
        rows.push(...await load(4, 20, () => usage_of(KINDS.stream(box, key))));
        const third = await start(data);
        await until(async () => JSON.stringify((await booked(third, 'key'))[id]) === JSON.stringify(rows.reduce(plus)), 'all usage');
    });
});
