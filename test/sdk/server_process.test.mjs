// The server as a process: signals under load, keys made beside it, listeners, and what its log and its metrics tell.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { KEY, serve, until } from './server.mjs';

const run = promisify(execFile);
const here = path.dirname(fileURLToPath(import.meta.url));
const binary = process.env.DASHBOX || path.join(here, '..', '..', 'build', 'dashbox');
const headers = { authorization: `Bearer ${KEY}` };

const chat = (box, text, more = {}) => fetch(`${box.compatible}/chat/completions`, {
    method: 'POST', headers,
    body: JSON.stringify({ model: 'qwen-plus', messages: [{ role: 'user', content: text }], ...more }),
});

const SLOW = `
rules:
  - match: { message: slow }
    answer: { text: 'one two three four five six seven eight nine ten', between_tokens: 60ms }
`;

// The server of one test, stopped behind it: that looks at its exit status, and at leaks under a sanitizer.
async function start(t, options) {
    const box = await serve(options);
    t.after(() => box.stop());
    return box;
}

async function closed_port() {
    const probe = net.createServer().listen(0, '127.0.0.1');
    await new Promise(resolve => probe.once('listening', resolve));
    const { port } = probe.address();
    await new Promise(resolve => probe.close(resolve));
    return port;
}

test('two SIGHUP and a SIGTERM under open streams: every stream ends whole, and the server with status 0', async t => {
    const box = await start(t, { scenario: SLOW, args: ['--workers', '4'] });
    const streams = await Promise.all(Array.from({ length: 24 }, () => chat(box, 'slow', { stream: true })));

    for (const stream of streams) assert.equal(stream.status, 200);
    box.process.kill('SIGHUP');
    box.process.kill('SIGHUP');
    box.process.kill('SIGTERM');
    for (const text of await Promise.all(streams.map(stream => stream.text()))) {
        assert.match(text, / ten"/);
        assert.ok(text.endsWith('data: [DONE]\n\n'), text.slice(-200));
    }
});

test('a SIGHUP and a SIGTERM of an idle server, at once: it ends with status 0', async t => {
    for (let round = 0; round < 6; round++) {
        const box = await start(t, { args: ['--workers', '2'] });

        box.process.kill('SIGHUP');
        box.process.kill('SIGTERM');
        await box.stop();
    }
});

test('starts that fail with engines end with a sentence and status 1', async t => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-bad-'));
    const config = path.join(folder, 'c.yaml'), file = path.join(folder, 'file');
    const busy = net.createServer().listen(0, '127.0.0.1');
    t.after(() => {
        busy.close();
        fs.rmSync(folder, { recursive: true });
    });
    await new Promise(resolve => busy.once('listening', resolve));
    fs.writeFileSync(file, '');
    fs.writeFileSync(config, `engines:
  - { name: child, command: 'sleep 100 {port}', fallback: up }
  - { name: up, upstream: 'http://127.0.0.1:9/v1', health_path: /health }
`);
    const bad = (args, status, sentence) => assert.rejects(
        run(binary, ['serve', '--config', config, '--workers', '2', '--listen', '127.0.0.1:0',
            '--data', path.join(folder, 'd'), ...args]),
        error => error.code === status && sentence.test(error.stderr) || assert.fail(`${error.code} ${error.stderr}`));

    await bad(['--data', path.join(file, 'd')], 1, /file\/d/);
    await bad(['--listen', '192.0.2.1:0'], 1, /this is no address of this machine/);
    await bad(['--listen', `127.0.0.1:${busy.address().port}`], 1, /a server listens there already/);
    await bad(['--listen', `unix:${file}`], 1, /something is there that is no socket/);
    fs.appendFileSync(config, "  - { name: last, upstream: 'ftp://x' }\n");
    await bad([], 2, /c\.yaml:4: "ftp:\/\/x" is no URL such as/);
});

const CHILD = `"${process.execPath}" "${path.join(here, 'child_engine.mjs')}" {port}`;

test('a reload that leaves a child out lets its stream end, and its gauge; one that is refused changes nothing', async t => {
    const box = await start(t, {
        config: `engines: [ { name: child, command: '${CHILD}' } ]\nroute: { '*': child }\n`,
        args: ['--workers', '2'],
    });
    const config = path.join(box.folder, 'config.yaml');
    const reload = async (text, line) => {
        const before = box.log().length;
        fs.writeFileSync(config, text);
        box.process.kill('SIGHUP');
        await until(() => box.log().slice(before).includes(line), line);
    };
    const pid = async () => (await (await chat(box, 'who?')).json()).choices[0].message.content;
    const gauge = 'dashbox_engine_requests_active{engine="child"}';

    const first = await pid();
    await reload(`engines: [ { name: new, command: '${CHILD}' }, { name: bad, command: sleep } ]\n`,
        'keeping the old one');
    assert.ok(!box.log().includes('engine new'));
    assert.equal(await pid(), first);

    const stream = await chat(box, 'slow', { stream: true });
    await reload('', 'configuration read again');
    await until(async () => { // the stand-in, which is what the new configuration has; each worker takes it over when it comes to it
        const other = await chat(box, 'and you?');
        await other.text();
        return (await box.logged(other.headers.get('x-request-id'))).engine === 'standin';
    }, 'the stand-in');
    assert.equal(await box.metric(gauge), 1);
    const text = await stream.text();
    assert.match(text, /"9 "/);
    assert.ok(text.endsWith('data: [DONE]\n\n'), text.slice(-300));
    await until(async () => await box.metric(gauge) === 0, 'the gauge');
    await until(() => !fs.existsSync(`/proc/${first}`), 'the child has gone');
});

test('a child that ignores SIGTERM, left out by a reload, does not keep the server from ending', async t => {
    const script = 'trap "" TERM; echo deaf; while :; do sleep 0.1; done';
    const box = await start(t, {
        config: `log: { level: debug }\nengines: [ { name: deaf, command: "sh -c '${script.replaceAll('"', '\\"')}' {port}" } ]\n`,
    });

    await until(() => box.log().includes('engine deaf: deaf'), 'its trap');
    fs.writeFileSync(path.join(box.folder, 'config.yaml'), '');
    box.process.kill('SIGHUP');
    await until(() => box.log().includes('configuration read again'), 'the reload');
    await box.stop(); // SIGKILL for the child comes ten seconds behind its SIGTERM
});

test('plain HTTP on the TLS port is reported once, however often it comes', async t => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-tls-'));
    t.after(() => fs.rmSync(folder, { recursive: true }));
    const [certificate, key] = ['c.pem', 'k.pem'].map(name => path.join(folder, name));
    await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
        '-out', certificate, '-keyout', key]);
    const box = await start(t, { args: ['--set', `tls.certificate=${certificate}`, '--set', `tls.key=${key}`] });

    for (let i = 0; i < 5; i++) {
        const socket = net.connect(Number(new URL(box.url).port), '127.0.0.1');
        socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
        await new Promise(resolve => socket.resume().once('close', resolve));
    }
    const log = await until(() => box.log().includes('plain HTTP') && box.log(), 'the warning');
    assert.equal(log.match(/plain HTTP/g).length, 1);
});

test('SIGUSR2 of somebody else does nothing', async t => {
    const box = await start(t, { args: ['--workers', '2'] });

    box.process.kill('SIGUSR2');
    box.process.kill('SIGHUP');
    await until(() => box.log().includes('configuration read again'), 'the signal behind it');
    assert.equal((await chat(box, 'hello')).status, 200);
});

test('a key just made is taken by eight requests at once', async t => {
    const box = await start(t, { args: ['--workers', '4'] });

    for (let round = 0; round < 5; round++) {
        const { stdout, stderr } = await run(binary,
            ['keys', 'create', '--name', `r${round}`, '--data', path.join(box.folder, 'data')]);
        const key = stdout.trim();

        assert.match(key, /^sk-[0-9a-f]{32}$/);
        assert.match(stderr, /key-[0-9a-f]{8}/); // the id, beside the key that $(…) takes
        const answers = await Promise.all(Array.from({ length: 8 }, () =>
            fetch(`${box.compatible}/models`, { headers: { authorization: `Bearer ${key}`, connection: 'close' } })));
        assert.deepEqual(answers.map(answer => answer.status), Array(8).fill(200));
    }
});

test('a reader that is slower than time.call gets its whole answer', async t => {
    const box = await start(t, {
        scenario: `rules: [ { match: { message: long }, answer: { text: '${'word '.repeat(600_000)}' } } ]`,
        args: ['--set', 'time.call=1500ms'],
    });
    const answer = await new Promise((resolve, reject) => {
        const request = http.request(`${box.compatible}/chat/completions`, { method: 'POST', headers }, resolve);
        request.once('error', reject);
        request.end(JSON.stringify({ model: 'qwen-plus', messages: [{ role: 'user', content: 'long' }] }));
    });
    let length = 0;

    await new Promise(resolve => setTimeout(resolve, 3000)); // the deadline of the call is to pass
    for await (const piece of answer) length += piece.length;
    assert.equal(length, Number(answer.headers['content-length']));
    assert.ok(length > 2_000_000);
});

test('a Unix socket is listened at, kept from others, and left alone when it is something else', async t => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-unix-'));
    const at = path.join(folder, 's');
    const box = await start(t, { args: ['--listen', `unix:${at}`, '--workers', '4'] });
    const status = await new Promise((resolve, reject) => http
        .get({ socketPath: at, path: '/health' }, answer => resolve(answer.resume().statusCode)).once('error', reject));

    assert.equal(box.url, `unix:${at}`);
    assert.equal(status, 200);
    assert.equal(fs.statSync(at).mode & 0o777, 0o660);
    const second = spawn(binary, ['serve', '--listen', `unix:${at}`, '--data', path.join(folder, 'd')]);
    let said = '';
    second.stderr.on('data', piece => { said += piece; });
    assert.equal(await new Promise(resolve => second.once('close', resolve)), 1);
    assert.match(said, /a server listens there already/);
    assert.ok(!fs.existsSync(path.join(folder, 'd')), 'a start that failed leaves no data');
    await box.stop();

    fs.writeFileSync(path.join(folder, 'file'), 'precious');
    await assert.rejects(run(binary, ['serve', '--listen', `unix:${path.join(folder, 'file')}`, '--data', path.join(folder, 'd')]),
        error => /something is there that is no socket/.test(error.stderr));
    assert.equal(fs.readFileSync(path.join(folder, 'file'), 'utf8'), 'precious');
    fs.rmSync(folder, { recursive: true });
});

test('a dead upstream is reported at once; its fallback answers and is named', async t => {
    const port = await closed_port();
    const box = await start(t, {
        config: `
engines:
  - { name: local, upstream: 'http://127.0.0.1:${port}/v1', health_path: /health, fallback: standin }
route: { '*': local }
`,
    });

    await until(() => /engine local: .* is down \(connection refused\)/.test(box.log()), 'the line of the first check');
    const answer = await chat(box, 'hello');
    assert.equal(answer.status, 200);
    const line = await box.logged(answer.headers.get('x-request-id'));
    assert.equal(line.engine, 'standin');
    assert.equal(line.fallback_from, 'local');
    assert.deepEqual((await (await fetch(`${box.url}/health`)).json()),
        { status: 'ok', engines: { local: { upstreams: 1, up: 0 } } });
    assert.equal(await box.metric('dashbox_engine_fallbacks_total{engine="local"}'), 1);
    assert.equal(await box.metric('dashbox_engine_requests_total{engine="standin"}'), 1);
    assert.equal(await box.metric(`dashbox_upstream_up{engine="local",upstream="http://127.0.0.1:${port}/v1"}`), 0);
    assert.equal(await box.metric('dashbox_model_requests_total{model="qwen-plus"}'), 1);
});

test('a fallback must stand further down, so an earlier one is refused with a sentence', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-order-'));
    const config = path.join(folder, 'c.yaml');

    fs.writeFileSync(config, `engines: [ { name: b, upstream: 'http://127.0.0.1:9/v1' },
  { name: a, upstream: 'http://127.0.0.1:9/v1', fallback: b } ]\n`);
    await assert.rejects(run(binary, ['serve', '--config', config, '--data', path.join(folder, 'd')]),
        error => error.code === 2 && /there is no engine "b" behind it to fall back to/.test(error.stderr));
    assert.ok(!fs.existsSync(path.join(folder, 'd')));
    fs.rmSync(folder, { recursive: true });
});

test('SIGHUP takes over times and the log, and names what it cannot', async t => {
    const box = await start(t, { config: 'time: { idle: 60s }\n' });
    const log = path.join(box.folder, 'other.log');

    fs.writeFileSync(path.join(box.folder, 'config.yaml'),
        `time: { idle: 100ms }\nlog: { file: ${log}, level: warn }\ntokenizer: /elsewhere\n`);
    box.process.kill('SIGHUP');
    await until(() => fs.existsSync(log) && fs.readFileSync(log, 'utf8').includes('tokenizer has changed'), 'the warning');
    const port = Number(new URL(box.url).port), socket = net.connect(port, '127.0.0.1');
    socket.write('GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n');
    await new Promise(resolve => socket.resume().once('close', resolve)); // by the new idle time, long before the old one
    await until(() => fs.readFileSync(log, 'utf8').includes('"/nowhere"'), 'the request in the new log');
    assert.ok(!fs.readFileSync(log, 'utf8').includes('"level":"info"'));
});

test('417 has its line', async t => {
    const box = await start(t);
    const socket = net.connect(Number(new URL(box.url).port), '127.0.0.1');

    socket.write('GET /health HTTP/1.1\r\nHost: x\r\nExpect: a miracle\r\nConnection: close\r\n\r\n');
    await new Promise(resolve => socket.resume().once('close', resolve));
    await until(() => /"status":417/.test(box.log()), 'its line');
});
