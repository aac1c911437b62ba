// Asynchronous tasks as the official SDKs work with them: made, asked after until they have ended, the result fetched from its
// URL. What is acknowledged ends, whether the server stops, or is killed, in between. And what a client names is downloaded
// only from where it may.

import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import zlib from 'node:zlib';
import { UUID, scratch, serve, until } from './server.mjs';
import { ADMIN_CONFIG, admin } from './tenants.mjs';

const folder = scratch('tasks');

// Serves files to embed, and misbehaves by name.
const asked = new Map();
const held = [];
const files = http.createServer((request, answer) => {
    const url = new URL(request.url, 'http://x'), name = url.pathname.slice(1);
    asked.set(name, (asked.get(name) ?? 0) + 1);
    if (name === 'wait.txt') return held.push(answer);
    if (name === 'moved.txt') return answer.writeHead(302, { location: url.searchParams.get('to') }).end();
    if (name === 'thousand.txt') return answer.end(Array.from({ length: 1000 }, (_, i) => i % 10 ? `line ${i}` : '').join('\n'));
    answer.end('the wind blows\nthe wind is blowing\n\nstock prices fell\n');
});
await new Promise(resolve => files.listen(0, '127.0.0.1', resolve));
after(() => { files.closeAllConnections(); files.close(); });
const at = `http://127.0.0.1:${files.address().port}`;

const CONFIG = `${ADMIN_CONFIG}
fetch: { allow: 127.0.0.0/8 }
tasks: { lease: 500ms }
`;
const start = (data, ...more) => serve({ config: CONFIG, args: ['--workers', '2', '--data', path.join(folder, data), ...more] });
const box = await start('plain');

async function call(box, method, where, body, headers = {}) {
    const answer = await fetch(`${box.native}${where}`, { method, body: body && JSON.stringify(body),
        headers: { authorization: `Bearer ${box.key}`, 'content-type': 'application/json', ...headers } });
    return { status: answer.status, type: answer.headers.get('content-type'), ...await answer.json() };
}

const create = (box, url, model = 'text-embedding-async-v2') => call(box, 'POST',
    '/services/embeddings/text-embedding/text-embedding', { model, input: { url }, parameters: { text_type: 'document' } },
    { 'x-dashscope-async': 'enable' });

// As the Python SDK waits: every status that it does not know as an end is none.
const ENDS = ['SUCCEEDED', 'FAILED', 'CANCELED', 'UNKNOWN'];
async function wait(box, id) {
    return until(async () => {
        const answer = await call(box, 'GET', `/tasks/${id}`);
        assert.equal(answer.status, 200, JSON.stringify(answer));
        assert.match(answer.type, /application\/json/);
        assert.equal(answer.output.task_id, id);
        return ENDS.includes(answer.output.task_status) && answer;
    }, `the end of task ${id}`, 30000);
}

const run = async (box, url) => wait(box, (await create(box, url)).output.task_id);
const result = async url => zlib.gunzipSync(Buffer.from(await (await fetch(url)).arrayBuffer())).toString().split('\n').filter(l => l)
    .map(line => JSON.parse(line));
const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

test('a task is made, waited for, and its result is what the lines are', async () => {
    const made = await create(box, `${at}/lines.txt`);
    assert.equal(made.status, 200);
    assert.match(made.request_id, UUID);
    assert.match(made.output.task_id, UUID);
    assert.deepEqual(Object.keys(made.output), ['task_status', 'task_id']);
    assert.equal(made.output.task_status, 'PENDING');
    const done = await wait(box, made.output.task_id);
    assert.equal(done.output.task_status, 'SUCCEEDED', JSON.stringify(done));
    assert.deepEqual(Object.keys(done.output), ['task_id', 'task_status', 'submit_time', 'scheduled_time', 'end_time', 'url']);
    assert(done.usage.total_tokens > 0);
    assert(done.output.submit_time <= done.output.scheduled_time && done.output.scheduled_time <= done.output.end_time);
    assert(Math.abs(Date.parse(done.output.submit_time.replace(' ', 'T') + '+08:00') - Date.now()) < 60000, 'times are those of UTC+8');
    const lines = await result(done.output.url);
    assert.deepEqual(lines.map(l => l.output.text_index), [0, 1, 3]);
    for (const { output } of lines) {
        assert.equal(output.code, 200);
        assert.equal(output.embedding.length, 1536);
        assert(Math.abs(dot(output.embedding, output.embedding) - 1) < 1e-6);
    }
    const [a, b, c] = lines.map(l => l.output.embedding);
    assert(dot(a, b) > dot(a, c), 'similar lines are near');
    // The same URL as long as the task lives, and only as it is.
    assert.equal((await wait(box, made.output.task_id)).output.url, done.output.url);
    assert.equal((await fetch(done.output.url.replace(/.$/, c => c === '0' ? '1' : '0'))).status, 403);
    const head = await fetch(done.output.url, { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert(Number(head.headers.get('content-length')) > 0);
});

test('a file of a thousand lines', async () => {
    const done = await run(box, `${at}/thousand.txt`);
    assert.equal(done.output.task_status, 'SUCCEEDED');
    const lines = await result(done.output.url);
    assert.equal(lines.length, 900);
    assert.deepEqual(lines.map(l => l.output.text_index), Array.from({ length: 1000 }, (_, i) => i).filter(i => i % 10));
});

test('only what succeeded is charged, once', async () => {
    const key = await admin(box, 'POST', '/keys', { name: 'tasks' });
    const mine = Object.assign(Object.create(box), { key: key.key, native: box.native });
    const good = await run(mine, `${at}/lines.txt`), bad = await run(mine, 'http://169.254.169.254/x.txt');
    assert.equal(good.output.task_status, 'SUCCEEDED');
    assert.equal(bad.output.task_status, 'FAILED');
    const row = (await admin(box, 'GET', '/usage?by=key')).data.find(r => r.group === key.id);
    assert.equal(row.requests, 1);
    assert.equal(row.prompt_tokens, good.usage.total_tokens);
});

describe('a download goes only where it may', () => {
    const port = files.address().port;
    for (const to of ['http://169.254.169.254/x.txt', 'http://10.1.2.3/', 'http://[::ffff:169.254.169.254]/x', `http://[::1]:${port}/x`,
        'http://[64:ff9b::a00:1]/', 'http://0xa9fea9fe/', 'http://100.100.100.200/', 'file:///etc/passwd', '//10.0.0.1/x'])
        test(`a redirect to ${to}`, async () => {
            const done = await run(box, `${at}/moved.txt?to=${encodeURIComponent(to)}`);
            assert.equal(done.output.task_status, 'FAILED');
            assert.equal(done.output.code, 'BadRequest.InputDownloadFailed');
        });
    test('a redirect to where it may', async () => {
        const done = await run(box, `${at}/moved.txt?to=lines.txt`);
        assert.equal(done.output.task_status, 'SUCCEEDED');
    });
    test('nowhere on this machine, unless it is told to', async () => {
        const strict = await serve();
        for (const url of [`${at}/strict.txt`, `http://localhost:${port}/strict.txt`, `http://0.0.0.0:${port}/strict.txt`,
            `http://127.1:${port}/strict.txt`, `http://2130706433:${port}/strict.txt`, `http://[::ffff:127.0.0.1]:${port}/strict.txt`]) {
            const done = await run(strict, url);
            assert.equal(done.output.task_status, 'FAILED', url);
        }
        assert.equal(asked.get('strict.txt'), undefined);
    });
});

test('a stop of the server puts tasks off to the next start', async () => {
    const first = await start('stopped');
    const made = await Promise.all(Array.from({ length: 5 }, () => create(first, `${at}/wait.txt`)));
    await until(() => held.length === made.length, 'the downloads');
    await first.stop();
    first.process = undefined;
    held.length = 0;
    const second = await start('stopped');
    await until(() => held.length === made.length, 'the downloads again');
    for (const answer of held.splice(0)) answer.end('one line\n');
    for (const { output } of made) assert.equal((await wait(second, output.task_id)).output.task_status, 'SUCCEEDED');
});

test('after kill -9 every acknowledged task ends, and is charged once', async () => {
    let killed = await start('killed');
    const ids = [];
    for (let round = 0; round < 8; round++) {
        const until_ms = Date.now() + 40 + round * 25;
        await Promise.all(Array.from({ length: 4 }, async () => {
            while (Date.now() < until_ms) {
                const made = await create(killed, `${at}/lines.txt`);
                if (made.code) { // a fast machine makes more of them than may wait
                    assert.equal(made.code, 'Throttling', JSON.stringify(made));
                    break;
                }
                ids.push(made.output.task_id);
            }
        }));
        await killed.kill();
        killed = await start('killed');
    }
    assert(ids.length > 30, `${ids.length} tasks`);
    const tokens = new Set();
    for (const id of ids) {
        const done = await wait(killed, id);
        assert.equal(done.output.task_status, 'SUCCEEDED', JSON.stringify(done));
        tokens.add(done.usage.total_tokens);
    }
    assert.equal(tokens.size, 1);
    // Tasks whose reply the kill cut off may be there, too; each that is there is charged.
    const { total } = await call(killed, 'GET', '/tasks?page_size=1');
    assert(total >= ids.length);
    await until(async () => (await call(killed, 'GET', '/tasks?status=SUCCEEDED&page_size=1')).total === total, 'the end of all', 30000);
    const row = (await admin(killed, 'GET', '/usage?by=model')).data.find(r => r.group === 'text-embedding-async-v2');
    assert.equal(row.requests, total);
    assert.equal(row.prompt_tokens, total * [...tokens][0]);
});

test('two servers on one folder share their tasks', async () => {
    const one = await start('shared'), two = await start('shared');
    const made = [];
    for (let i = 0; i < 40; i++) made.push((await create(i % 2 ? one : two, `${at}/lines.txt`)).output.task_id);
    for (const [i, id] of made.entries()) assert.equal((await wait(i % 3 ? one : two, id)).output.task_status, 'SUCCEEDED');
    const row = (await admin(one, 'GET', '/usage?by=model')).data.find(r => r.group === 'text-embedding-async-v2');
    assert.equal(row.requests, 40);
});

test('what a crash has left goes, and what belongs to a task or is new does not', async () => {
    const data = path.join(folder, 'leftovers'), old = new Date(Date.now() - 25 * 3600_000);
    const first = await start('leftovers');
    const done = await run(first, `${at}/lines.txt`);
    await first.stop();
    first.process = undefined;
    const make = (store, name, age) => {
        const dir = path.join(data, store, name);
        fs.mkdirSync(dir, { recursive: true });
        if (!fs.readdirSync(dir).length) fs.writeFileSync(path.join(dir, 'part-0'), 'x');
        if (age) fs.utimesSync(dir, age, age);
        return dir;
    };
    const mine = make('results', done.output.task_id, old), young = make('results', '11111111-2222-4333-8444-555555555555');
    const lost = [make('results', '21111111-2222-4333-8444-555555555555', old),
        make('uploads', '31111111-2222-4333-8444-555555555555', new Date(Date.now() - 49 * 3600_000))];
    const second = await start('leftovers');
    await until(() => lost.every(dir => !fs.existsSync(dir)), 'the leftovers to go');
    assert(fs.existsSync(mine) && fs.existsSync(young));
    assert.equal((await result(done.output.url.replace(/^http:..[^/]+/, second.url))).length, 3);
});

// ---- events ----

// Hears the ends of tasks, or does not.
class Listener {
    heard = [];
    refuse = 0; // so many are answered 500

    static async open() {
        const me = new Listener();
        me.server = http.createServer((request, answer) => {
            let text = '';
            request.setEncoding('utf8');
            request.on('data', piece => { text += piece; });
            request.on('end', () => {
                me.heard.push({ url: request.url, type: request.headers['content-type'], event: JSON.parse(text), refused: me.refuse > 0 });
                answer.writeHead(me.refuse-- > 0 ? 500 : 204).end();
            });
        });
        await new Promise(resolve => me.server.listen(0, '127.0.0.1', resolve));
        after(() => { me.server.closeAllConnections(); me.server.close(); });
        me.words = ['--set', `tasks.events=http://127.0.0.1:${me.server.address().port}/hook?a=b`];
        return me;
    }

    ids = () => new Set(this.heard.map(h => h.event.id));
}

test('the end of each task is told, as the cloud\'s event bus does', async () => {
    const listener = await Listener.open();
    const told = await start('told', ...listener.words);
    listener.refuse = 1; // it is told again
    const good = await run(told, `${at}/lines.txt`), bad = await run(told, 'http://169.254.169.254/x.txt');
    const [row] = (await call(told, 'GET', `/tasks?task_id=${good.output.task_id}`)).data;
    await until(() => listener.heard.filter(h => !h.refused).length === 2, 'both events');
    for (const { url, type } of listener.heard) {
        assert.equal(url, '/hook?a=b');
        assert.equal(type, 'application/json;charset=utf-8');
    }
    assert.equal(listener.ids().size, 2, 'what is told twice has the same id');
    const of = id => listener.heard.find(h => h.event.data.task_id === id).event;
    const event = of(good.output.task_id), seconds = time => time.slice(0, 19);
    assert(Math.abs(Date.parse(event.time) - Date.now()) < 60000 && Date.parse(event.aliyunpublishtime) >= Date.parse(event.time));
    assert.deepEqual(event, {
        specversion: '1.0', source: 'acs.dashscope', type: 'dashscope:System:AsyncTaskFinish', id: event.id, time: event.time,
        aliyunpublishtime: event.aliyunpublishtime, datacontenttype: 'application/json;charset=utf-8', aliyunaccountid: '1',
        aliyunoriginalaccountid: '1', aliyuneventbusname: 'default', aliyunregionid: 'cn-beijing',
        data: { task_id: good.output.task_id, task_status: 'SUCCEEDED', request_id: row.request_id, region: 'cn-beijing',
            api_key_id: row.api_key_id, start_time: seconds(good.output.scheduled_time), end_time: seconds(good.output.end_time),
            user_api_unique_key: row.user_api_unique_key, contain_result: true, output_result: { output: good.output } },
    });
    assert.equal(of(bad.output.task_id).data.task_status, 'FAILED');
    assert.deepEqual(of(bad.output.task_id).data.output_result.output, bad.output);
});

test('no event is lost by kill -9, nor while nobody listens', async () => {
    const listener = await Listener.open();
    const words = [...listener.words, '--set', 'tasks.events_time=500ms'];
    let killed = await start('told-killed', ...words);
    const ids = [];
    for (let round = 0; round < 5; round++) {
        const until_ms = Date.now() + 300;
        listener.refuse = round === 2 ? 1000 : 0;
        while (Date.now() < until_ms)
            ids.push((await create(killed, `${at}/lines.txt`)).output.task_id);
        await until(() => listener.heard.length > round * 3, 'some events');
        await killed.kill();
        killed = await start('told-killed', ...words);
    }
    listener.refuse = 0;
    const missing = () => { const heard = new Set(listener.heard.filter(h => !h.refused).map(h => h.event.id)); return ids.filter(id => !heard.has(id)); };
    await until(() => missing().length === 0, 'all events', 40000);
});
