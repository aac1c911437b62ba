// Batches: the openai SDK from npm, unmodified; what their counts say while they run; a stop and a start in the middle; and `dashbox batch`,
// which can be paused. Kills: test/torture/batches_kill.mjs.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import OpenAI, { toFile } from 'openai';
import { scratch, serve, until } from './server.mjs';

const folder = scratch('batches');
const binary = process.env.DASHBOX || new URL('../../build/dashbox', import.meta.url).pathname;
const SLOW = `
rules:
  - match: { message: { contains: slow } }
    answer: { text: 'at last', first_token: 100ms }
  - match: { message: { contains: think } }
    answer: { reasoning: 'Hm.', text: 'So.' }
`;
const client = box => new OpenAI({ apiKey: box.key, baseURL: box.compatible, maxRetries: 0 });
const line = (id, content, more = {}) => JSON.stringify({ custom_id: id, method: 'POST', url: '/v1/chat/completions',
    body: { model: 'qwen-plus', messages: [{ role: 'user', content }], ...more } });
const lines = (count, content) => Array.from({ length: count }, (_, i) => line(`r${i}`, `${content} ${i}`)).join('\n');

async function create(openai, text, more = {}) {
    const file = await openai.files.create({ file: await toFile(Buffer.from(text), 'in.jsonl'), purpose: 'batch' });
    return openai.batches.create({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h', ...more });
}
const ended = (openai, id) => until(async () => {
    const b = await openai.batches.retrieve(id);
    return ['completed', 'failed', 'expired', 'cancelled'].includes(b.status) && b;
}, 'its end', 30_000);
async function free_port() {
    const server = net.createServer();
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address();
    await new Promise(resolve => server.close(resolve));
    return port;
}
const results = async (openai, id) => (await (await openai.files.content(id)).text()).trimEnd().split('\n').map(l => JSON.parse(l));

describe('the openai SDK', () => {
    test('creates, retrieves, lists, cancels, and reads what came of it', async () => {
        const box = await serve({ scenario: SLOW }), openai = client(box);
        const made = await create(openai, [line('a', 'hi'), line('b', 'think', { enable_thinking: true }), line('c', 'hi', { top_p: 7 })].join('\r\n') + '\r\n',
            { metadata: { ds_name: 'three' } });
        assert.equal(made.status, 'validating');
        const b = await ended(openai, made.id);
        assert.equal(b.status, 'completed');
        assert.deepEqual(b.request_counts, { total: 3, completed: 2, failed: 1 });
        assert.equal(b.finalizing_at <= b.completed_at && b.in_progress_at <= b.finalizing_at && b.created_at <= b.in_progress_at, true);

        const good = new Map((await results(openai, b.output_file_id)).map(r => [r.custom_id, r]));
        assert.deepEqual([...good.keys()].sort(), ['a', 'b']);
        assert.equal(good.get('a').response.body.id, `chatcmpl-${good.get('a').id}`);
        assert.equal(good.get('b').response.body.choices[0].message.reasoning_content, 'Hm.'); // nobody waits: thinking needs no stream here
        const [bad] = await results(openai, b.error_file_id);
        assert.equal(bad.custom_id, 'c');
        assert.equal(bad.error.code, 'invalid_parameter_error');
        assert.equal(bad.response.status_code, 400);

        const ids = [];
        await ended(openai, (await create(openai, line('x', 'hi'))).id);
        for await (const one of openai.batches.list({ limit: 1 })) ids.push(one.id);
        assert.equal(ids.length, 2);
        assert.equal(ids[1], made.id);
        await assert.rejects(openai.batches.cancel(made.id), OpenAI.BadRequestError);
        await assert.rejects(openai.batches.retrieve('batch_none'), OpenAI.NotFoundError);
    });

    test('only answers are charged, at half the price', async () => {
        const box = await serve({ scenario: SLOW, config: 'admin: { key: admin-sdk }\n' }), openai = client(box);
        const b = await ended(openai, (await create(openai, [line('a', 'hi'), line('b', 'hi', { top_p: 7 })].join('\n'))).id);
        const usage = (await results(openai, b.output_file_id))[0].response.body.usage;
        const told = await (await fetch(`${box.url}/admin/v1/usage?by=model`, { headers: { authorization: 'Bearer admin-sdk' } })).json();
        assert.equal(told.data.length, 1);
        const [row] = told.data;
        assert.equal(row.group, 'qwen-plus');
        assert.equal(row.requests, 1);
        assert.equal(row.prompt_tokens, usage.prompt_tokens);
        assert.equal(row.completion_tokens, usage.completion_tokens);
        const whole = usage.prompt_tokens * 0.8 + usage.completion_tokens * 2; // millionths: data/models, price.cn
        assert.ok(Math.abs(row.list_cost - whole / 2) <= 1, `${row.list_cost} for ${whole}`);
    });
});

describe('while it runs', () => {
    test('the counts add up, and never fall', async () => {
        const box = await serve(), openai = client(box), { id } = await create(openai, lines(3000, 'hi'));
        let last = 0;
        for (let b; (b = await openai.batches.retrieve(id)).status !== 'completed';) {
            const { total, completed, failed } = b.request_counts;
            if (b.status !== 'validating') assert.equal(total, 3000);
            assert.equal(failed, 0);
            assert.ok(completed >= last && completed <= 3000, `${completed} after ${last}`);
            last = completed;
        }
        const { output_file_id } = await openai.batches.retrieve(id);
        const got = await results(openai, output_file_id);
        assert.equal(new Set(got.map(r => r.custom_id)).size, 3000);
    });

    test('a stop gives it back, and the next start goes on with it', async () => {
        const data = path.join(folder, 'stop'), args = ['--data', data, '--set', 'batches.requests=2', '--set', 'batches.lease=1h'];
        const box = await serve({ scenario: SLOW, args }), openai = client(box), { id } = await create(openai, lines(12, 'slow'));
        await until(async () => (await openai.batches.retrieve(id)).request_counts.completed >= 2, 'some answers');
        await box.stop();
        box.process = undefined;
        const next = client(await serve({ scenario: SLOW, args }));
        const b = await ended(next, id);
        assert.deepEqual(b.request_counts, { total: 12, completed: 12, failed: 0 });
        assert.equal(new Set((await results(next, b.output_file_id)).map(r => r.custom_id)).size, 12);
    });

    test('its end is told to the callback, again until it is heard', async () => {
        const heard = [];
        const listener = http.createServer((rq, rs) => {
            let text = '';
            rq.on('data', piece => text += piece);
            rq.on('end', () => { heard.push([rq.method, JSON.parse(text)]); rs.writeHead(heard.length === 1 ? 503 : 204).end(); });
        });
        await new Promise(resolve => listener.listen(0, '127.0.0.1', resolve));
        const box = await serve({ scenario: SLOW, args: ['--set', 'fetch.allow=127.0.0.0/8'] }), openai = client(box);
        const callback = `http://127.0.0.1:${listener.address().port}/done?x=1`;
        const { id } = await create(openai, line('a', 'hi'), { metadata: { ds_batch_finish_callback: callback } });
        await until(() => heard.length >= 2, 'two calls', 10_000);
        for (const [method, b] of heard) {
            assert.equal(method, 'POST');
            assert.equal(b.id, id);
            assert.equal(b.status, 'completed');
            assert.deepEqual(b.request_counts, { total: 1, completed: 1, failed: 0 });
        }
        listener.closeAllConnections();
        listener.close();
        await assert.rejects(create(openai, line('a', 'hi'), { metadata: { ds_batch_finish_callback: 'ftp://x' } }), OpenAI.BadRequestError);
    });

    test('its file may be deleted', async () => {
        const box = await serve({ scenario: SLOW, args: ['--set', 'batches.requests=2'] }), openai = client(box), b = await create(openai, lines(8, 'slow'));
        await openai.files.delete(b.input_file_id);
        assert.equal((await ended(openai, b.id)).request_counts.completed, 8);
    });

    test('a key that is limited to few calls is not held up by them', async () => {
        const box = await serve({ config: 'limits: { catalog: on }\nadmin: { key: admin-sdk }\n' }), openai = client(box);
        await fetch(`${box.url}/admin/v1/workspaces/default/models/qwen-plus`, { method: 'PUT', headers: { authorization: 'Bearer admin-sdk', 'content-type': 'application/json' },
            body: '{"rpm":2}' });
        const b = await ended(openai, (await create(openai, lines(50, 'hi'))).id);
        assert.deepEqual(b.request_counts, { total: 50, completed: 50, failed: 0 });
    });
});

describe('dashbox batch', () => {
    const run = (box, args, options = {}) => new Promise(resolve => {
        const child = spawn(binary, ['batch', ...args], { env: { ...process.env, DASHSCOPE_API_KEY: box.key, DASHSCOPE_HTTP_BASE_URL: box.native }, stdio: ['ignore', 'pipe', 'pipe'], ...options });
        let out = '', err = '';
        child.stdout.on('data', piece => out += piece);
        child.stderr.on('data', piece => { err += piece; options.said?.(err, child); });
        child.once('exit', (code, signal) => resolve({ code: signal ?? code, out, err }));
    });

    test('runs a file, is paused by Ctrl-C, and goes on with what is left', async () => {
        const box = await serve({ scenario: SLOW, args: ['--set', 'batches.requests=2'] }), openai = client(box);
        const file = path.join(folder, 'work.jsonl');
        fs.writeFileSync(file, lines(16, 'slow'));
        const first = run(box, ['run', file], { said: (text, child) => {
            const found = /runs as (batch_\S+)/.exec(text);
            if (!found || child.paused) return;
            child.paused = true;
            until(async () => (await openai.batches.retrieve(found[1])).request_counts.completed >= 3, 'some answers').then(() => child.kill('SIGINT'));
        } });
        const paused = await first;
        assert.equal(paused.code, 130, paused.err);
        assert.match(paused.err, /paused; the same command goes on/);
        const some = fs.readFileSync(`${file}.output.jsonl`, 'utf8').trimEnd().split('\n').length;
        assert.ok(some >= 3 && some < 16, `${some} answers`);

        const second = await run(box, ['run', file]);
        assert.equal(second.code, 0, second.err);
        assert.match(second.err, new RegExp(`${some} requests have their answers`));
        const ids = fs.readFileSync(`${file}.output.jsonl`, 'utf8').trimEnd().split('\n').map(l => JSON.parse(l).custom_id);
        assert.equal(ids.length, 16);
        assert.equal(new Set(ids).size, 16);
        assert.equal((await run(box, ['run', file])).code, 0); // nothing is left: nothing is sent
        assert.equal((await openai.batches.list()).data.length, 2);
        assert.equal(fs.existsSync(`${file}.rest.jsonl`), false);
    });

    test('a download that was torn costs its last line, and no other', async () => {
        const box = await serve(), file = path.join(folder, 'torn.jsonl'), output = `${file}.output.jsonl`;
        fs.writeFileSync(file, lines(20, 'hi'));
        assert.equal((await run(box, ['run', file])).code, 0);
        fs.truncateSync(output, fs.statSync(output).size - 100);
        const second = await run(box, ['run', file]);
        assert.match(second.err, /19 requests have their answers in .*; 1 are left/);
        const ids = fs.readFileSync(output, 'utf8').trimEnd().split('\n').map(l => JSON.parse(l).custom_id);
        assert.equal(ids.length, 20);
        assert.equal(new Set(ids).size, 20);
    });

    test('a server that is killed and comes back is waited for; what had failed is forgotten when it is good', async () => {
        const file = path.join(folder, 'away.jsonl'), port = await free_port();
        const args = ['--data', path.join(folder, 'away'), '--set', 'batches.requests=2', '--set', 'batches.lease=200ms', '--listen', `127.0.0.1:${port}`];
        fs.writeFileSync(file, lines(16, 'slow'));
        fs.writeFileSync(`${file}.errors.jsonl`, 'of an earlier run\n');
        const first = await serve({ scenario: SLOW, args }), openai = client(first), waiting = run(first, ['run', file]);
        await until(async () => (await openai.batches.list()).data?.[0]?.request_counts.completed >= 2, 'some answers');
        await first.kill();
        await new Promise(resolve => setTimeout(resolve, 100));
        await serve({ scenario: SLOW, args });
        const answer = await waiting;
        assert.equal(answer.code, 0, answer.err);
        const ids = fs.readFileSync(`${file}.output.jsonl`, 'utf8').trimEnd().split('\n').map(l => JSON.parse(l).custom_id);
        assert.equal(new Set(ids).size, 16);
        assert.equal(ids.length, 16);
        assert.equal(fs.existsSync(`${file}.errors.jsonl`), false);
    });

    test('says what is wrong with a file, line by line', async () => {
        const box = await serve(), file = path.join(folder, 'bad.jsonl');
        fs.writeFileSync(file, [line('a', 'hi'), line('a', 'hi')].join('\n'));
        const answer = await run(box, ['run', file]);
        assert.equal(answer.code, 1);
        assert.match(answer.err, /line 2: duplicate_custom_id: The custom_id 'a'/);
        assert.match((await run(box, ['list'])).out, /failed/);
        assert.equal((await run(box, ['show', 'batch_none'])).code, 1);
        assert.equal((await run(box, ['run', path.join(folder, 'none.jsonl')])).code, 2);
    });
});
