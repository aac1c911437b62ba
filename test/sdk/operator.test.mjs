// What the person who runs the server meets: keys, what is printed at the start, mistakes, what the log and the metrics say.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { KEY, serve, until } from './server.mjs';

const binary = process.env.DASHBOX
    || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox');
const headers = { authorization: `Bearer ${KEY}` };

const chat = (box, text, more = {}) => fetch(`${box.compatible}/chat/completions`, {
    method: 'POST', headers,
    body: JSON.stringify({ model: 'qwen-plus', messages: [{ role: 'user', content: text }], ...more }),
});

async function start(t, options) {
    const box = await serve(options);
    t.after(() => box.stop());
    return box;
}

function folder_of(t) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-operator-'));
    t.after(() => fs.rmSync(folder, { recursive: true }));
    return folder;
}

// A command that ends by itself: its status and what it said.
const dashbox = (...words) => new Promise(resolve => {
    execFile(binary, words, { timeout: 20_000 }, (error, stdout, stderr) =>
        resolve({ status: error ? error.code : 0, stdout, stderr }));
});

// A server started by hand, until it has said all of its greeting; its key is none of server.mjs's.
async function greeting(t, ...words) {
    const child = spawn(binary, ['serve', ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = new Promise(resolve => child.once('exit', resolve));
    let said = '';
    child.stdout.on('data', piece => { said += piece; });
    child.stderr.on('data', piece => { said += piece; });
    const stop = async () => { child.kill('SIGTERM'); assert.equal(await ended, 0, said); };
    t.after(stop);
    await until(() => /"hello"}\]}'\n/.test(said), 'the lines to paste', 20_000);
    return { said, stop, url: /listening on (\S+)/.exec(said)[1] };
}

test('the key of a laptop is no key in production, and no whole key is shown there', async t => {
    const data = path.join(folder_of(t), 'data');
    const models = async (url, key) => (await fetch(`${url}/v1/models`, { headers: { authorization: `Bearer ${key}` } })).status;
    const laptop = await greeting(t, '--listen', '127.0.0.1:0', '--data', data);
    const key = /key +(sk-[0-9a-f]{32})/.exec(laptop.said)[1];

    assert.equal(await models(laptop.url, key), 200);
    await laptop.stop();
    const production = await greeting(t, '--listen', '127.0.0.1:0', '--data', data, '--production', '--api-key', 'sk-secret-of-ours');
    assert.equal(await models(production.url, key), 401);
    assert.equal(await models(production.url, 'sk-secret-of-ours'), 200);
    assert.match(production.said, /laptop key .* revoked/);
    assert.ok(!production.said.includes('sk-secret-of-ours'));
    await production.stop();
    const again = await greeting(t, '--listen', '127.0.0.1:0', '--data', data);
    assert.notEqual(/key +(sk-[0-9a-f]{32})/.exec(again.said)[1], key);
});

test('a Unix listener prints a key, and a line to paste that works', async t => {
    const folder = folder_of(t), at = path.join(folder, 's');
    const { said } = await greeting(t, '--listen', `unix:${at}`, '--data', path.join(folder, 'data'));
    const line = /curl [^]*'\n/.exec(said)[0];

    assert.match(said, /key +sk-[0-9a-f]{32}/);
    assert.match(line, new RegExp(`--unix-socket '${at}' http://localhost/compatible-mode/v1/chat/completions`));
    const status = await new Promise((resolve, reject) => http.get({
        socketPath: at, path: '/v1/models', headers: { authorization: /Bearer [^']+/.exec(line)[0] },
    }, answer => resolve(answer.resume().statusCode)).once('error', reject));
    assert.equal(status, 200);
});

test('names of keys are a line of 200 characters; what is said of a key never shows it', async t => {
    const data = path.join(folder_of(t), 'data');
    const create = name => dashbox('keys', 'create', '--data', data, '--name', name);

    for (const name of ['a\nb', '\x1b[31m', 'x'.repeat(201)]) {
        const { status, stdout, stderr } = await create(name);
        assert.equal(status, 2);
        assert.equal(stdout, '');
        assert.match(stderr, /a name is one line of at most 200 characters/);
    }
    const made = await create('é'.repeat(200)), key = made.stdout.trim();
    assert.equal(made.status, 0);
    assert.equal((await dashbox('keys', 'revoke', key, '--data', data)).status, 0);
    const { status, stderr } = await dashbox('keys', 'revoke', key, '--data', data);
    assert.equal(status, 1);
    assert.match(stderr, new RegExp(`there is no good key "${key.slice(0, 5)}…${key.slice(-2)}"`));
    assert.ok(!stderr.includes(key));
});

test('whether a key has expired goes by the clock of the running server', async t => {
    const data = path.join(folder_of(t), 'data');
    const url = (await greeting(t, '--listen', '127.0.0.1:0', '--data', data)).url;
    const with_server = ['--data', data, '--url', url];
    const list = async words => (await dashbox('keys', 'list', ...words)).stdout.split('\n').find(line => line.includes(' old '));

    assert.equal((await dashbox('keys', 'create', '--name', 'old', '--expires', '2099-01-01', '--data', data)).status, 0);
    assert.match(await list(with_server), / good$/);
    assert.equal((await dashbox('clock', 'set', '2099-01-02', ...with_server)).status, 0);
    assert.match(await list(with_server), / expired$/);
    assert.match(await list(['--data', data, '--url', 'http://127.0.0.1:1']), / good$/); // nobody there: the machine's
});

test('what is wrong with the database names its file, and what to do', async t => {
    const folder = folder_of(t), file = path.join(folder, 'dashbox.db');

    fs.writeFileSync(file, 'this is no database, whatever it says. '.repeat(100));
    const { status, stderr } = await dashbox('keys', 'list', '--data', folder);
    assert.equal(status, 1);
    assert.ok(stderr.includes(`${file}: file is not a database; move it away`), stderr);
});

async function closed_port() {
    const probe = net.createServer().listen(0, '127.0.0.1');
    await new Promise(resolve => probe.once('listening', resolve));
    const { port } = probe.address();
    await new Promise(resolve => probe.close(resolve));
    return port;
}

test('an upstream that is not there is down, its failures count, and four workers and a reload say so once', async t => {
    const port = await closed_port();
    const box = await start(t, {
        config: `engines: [ { name: local, upstream: 'http://127.0.0.1:${port}/v1' } ]\nroute: { '*': local }\n`,
        args: ['--workers', '4'],
    });
    const down = () => box.log().split('\n').filter(line => / is down /.test(line)).length;
    const health = async () => (await (await fetch(`${box.url}/health`, { headers: { connection: 'close' } })).json()).engines.local;
    const fails = () => fetch(`${box.compatible}/chat/completions`, {
        method: 'POST', headers: { ...headers, connection: 'close' }, body: '{"model":"qwen-plus","messages":[{"role":"user","content":"x"}]}',
    }).then(answer => assert.equal(answer.status, 503));

    assert.deepEqual(await health(), { upstreams: 1, up: 1 }); // nobody has asked it
    for (let i = 0; i < 40; i++) await fails();
    assert.equal(await box.metric('dashbox_engine_failures_total{engine="local"}'), 40);
    assert.equal(await box.metric(`dashbox_upstream_up{engine="local",upstream="http://127.0.0.1:${port}/v1"}`), 0);
    assert.equal(down(), 1);
    const read = () => box.log().split('configuration read again').length - 1;
    box.process.kill('SIGHUP');
    await until(() => read() === 1, 'the reload');
    for (let i = 0; i < 20; i++) await fails();
    assert.equal(down(), 1);
});

test('a stream that breaks off and a refusal by the engine are its failures; a refusal of the request is none', async t => {
    const box = await start(t, { scenario: `
rules:
  - { match: { message: broken }, answer: { text: 'one two three four', error: { name: X092, after_tokens: 2 } } }
  - { match: { message: E224 }, answer: { error: E224 } }
  - { match: { message: E230a }, answer: { error: E230a } }
  - { match: { message: E008 }, answer: { error: { name: E008, args: [5] } } }
` });
    const failures = () => box.metric('dashbox_engine_failures_total{engine="standin"}');

    await (await chat(box, 'broken', { stream: true })).text();
    assert.equal(await failures(), 1);
    for (const text of ['E224', 'E230a', 'E008']) await (await chat(box, text)).text();
    assert.equal(await failures(), 3);
});

test('what is cut off when the server stops is said to be drained', async t => {
    const box = await start(t, {
        scenario: `rules: [ { answer: { text: '${'la '.repeat(400)}', between_tokens: 100ms } } ]`,
        args: ['--set', 'time.drain=50ms'],
    });
    const stream = await chat(box, 'slow', { stream: true }), whole = chat(box, 'slow').catch(() => 'gone');

    await until(async () => await box.metric('dashbox_requests_active') >= 2, 'both requests');
    box.process.kill('SIGTERM');
    await assert.rejects(stream.text());
    assert.equal(await whole, 'gone');
    await box.ended;
    const lines = box.log().split('\n').filter(line => line.includes('"phases_us"')).map(line => JSON.parse(line));
    assert.deepEqual(lines.map(line => [line.status, line.error]), [[503, 'drained'], [503, 'drained']]);
});

test('a client that leaves is not drained', async t => {
    const box = await start(t, { scenario: `rules: [ { answer: { text: '${'la '.repeat(400)}', between_tokens: 100ms } } ]` });
    const leaving = new AbortController();
    const stream = await fetch(`${box.compatible}/chat/completions`, { method: 'POST', headers, signal: leaving.signal,
        body: '{"model":"qwen-plus","stream":true,"messages":[{"role":"user","content":"x"}]}' });

    leaving.abort();
    assert.equal((await box.logged(stream.headers.get('x-request-id'))).status, 499);
});

test('health and metrics have no line unless the log is one for debugging', async t => {
    const quiet = await start(t), loud = await start(t, { args: ['--set', 'log.level=debug'] });

    for (const box of [quiet, loud]) {
        for (const at of ['/health', '/metrics', '/', '/nowhere']) await (await fetch(`${box.url}${at}`)).text();
        await until(() => box.log().includes('"path":"/nowhere"'), 'the last line');
    }
    for (const at of ['"/health"', '"/metrics"', '"/"']) {
        assert.ok(!quiet.log().includes(`"path":${at}`), at);
        assert.ok(loud.log().includes(`"path":${at}`), at);
    }
});

test('explain --all lists every row; words of those who do not know the sentence find it', async () => {
    const { stdout } = await dashbox('explain', '--all');
    const lines = stdout.trim().split('\n');

    assert.ok(lines.length > 316);
    assert.ok(lines.some(line => /^E008 +400  Range of input length should be \[1, /.test(line)));
    assert.equal(JSON.parse((await dashbox('explain', '--all', '--json')).stdout).length, lines.length);
    for (const [words, id] of [['余额不足', 'E099'], ['context length exceeded', 'E008'], ['内容安全', 'E100a'], ['too long', 'E008']])
        assert.match((await dashbox('explain', words)).stdout, new RegExp(`^${id} `));
});
