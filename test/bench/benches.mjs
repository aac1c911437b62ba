// The benches. Each is a function (options, report) that starts what it needs, measures, stops it, and reports rows
// {setting, candidate, value, unit, cpu_us, ratio, cpu_ratio, yardstick, goal, reached, note}.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Process, cores, cpu_us, files_max, folder, free_port, here, memory, output_of, pin_self, root, sleep, write } from './machine.mjs';
import { ANSWERED, KEY, ask, ask_right, median, paths, questions, rounds, rows_of, wrk } from './measure.mjs';
import { binary, dashbox, gateway_config, haproxy, have, nginx_fixed, nginx_fixed_words, nginx_proxy, trim_log, url_of } from './servers.mjs';

const body_files = {};
for (const [kind, text] of Object.entries(questions)) body_files[kind] = write(`question-${kind}.json`, text);

const stop = servers => Promise.all(servers.filter(Boolean).map(server => server.stop()));

// A server for which the machine has no program is left out, and said so.
async function optional(report, name, program, start) {
    if (program) return start();
    report.say(`${name} is not installed: its rows are missing`);
    return undefined;
}

// A candidate that is loaded by wrk.
function candidate(name, server, url, { body = body_files.openai, connections, fresh, headers, bytes_min, cpus, threads, upstream,
    ...more }) {
    return { name, ...more, run: async seconds => {
        const run = await wrk({ name, server, url, body_file: body, fresh, connections, seconds, headers, bytes_min, cpus, threads });
        trim_log(server);
        if (upstream) trim_log(upstream);
        return run;
    } };
}

// ---- chat: the stand-in, beside nginx answering a fixed body of the same size ----

async function chat(options, report) {
    for (const workers of [1, 2]) {
        const box = await dashbox('dashbox', { workers });
        const openai = await ask_right('dashbox', url_of(box, 'openai'), questions.openai, ANSWERED);
        const native = await ask_right('dashbox native', url_of(box, 'native'), questions.native, ANSWERED);
        const fixed = await nginx_fixed('nginx', openai.text, { workers });
        await ask_right('nginx', url_of(fixed, 'openai'), questions.openai, ANSWERED);
        const load = workers > 1 ? { cpus: cores.loads, threads: 2 } : {};
        for (const connections of [64, 1000]) {
            const more = { ...load, connections };
            const candidates = [
                candidate('dashbox', box, url_of(box, 'openai'), { ...more, bytes_min: openai.text.length }),
                candidate('dashbox, native protocol', box, url_of(box, 'native'),
                    { ...more, body: body_files.native, bytes_min: native.text.length }),
                candidate('dashbox, never the same question', box, url_of(box, 'openai'), { ...more, fresh: true, goal: null }),
                candidate('nginx return 200', fixed, url_of(fixed, 'openai'), more),
            ];
            const runs = await rounds(candidates, options, report.progress);
            report.rows(`${connections} connections, ${workers} worker${workers > 1 ? 's' : ''}`,
                rows_of(runs, candidates, { yardstick: 'nginx return 200', goal: 0.75 }));
        }
        await stop([box, fixed]);
    }
}

// ---- gateways to one upstream ----

// All gateways before an upstream.
async function gateways(report, port, { buffering = 'on' } = {}) {
    return [
        ['dashbox', await dashbox('dashbox', { engines: gateway_config(port) })],
        ['nginx proxy_pass', await nginx_proxy('nginx proxy', port, { buffering })],
        ['haproxy', await optional(report, 'haproxy', have.haproxy, () => haproxy('haproxy', port))],
    ].filter(([, server]) => server);
}

// An answer to serve by nginx as an upstream: the stand-in's own.
async function recorded(question, contains) {
    const box = await dashbox('dashbox', question.scenario ? { scenario: question.scenario } : {});
    const answer = await ask_right('dashbox', url_of(box, 'openai'), question.body, contains);
    await box.stop();
    return answer.text;
}

async function proxy(options, report) {
    const answer = await recorded({ body: questions.openai }, ANSWERED);
    const upstreams = {
        'nginx return 200': () => nginx_fixed('upstream', answer, { cpus: cores.upstream }),
        'dashbox stand-in': () => dashbox('upstream', { cpus: cores.upstream }),
    };
    for (const [kind, start] of Object.entries(upstreams)) {
        const upstream = await start();
        const servers = await gateways(report, upstream.port);
        const candidates = [];
        for (const [name, server] of servers) {
            await ask_right(name, url_of(server, 'openai'), questions.openai, ANSWERED);
            candidates.push(candidate(name, server, url_of(server, 'openai'), { connections: 64, bytes_min: answer.length, upstream }));
        }
        candidates.push(candidate('no gateway', upstream, url_of(upstream, 'openai'), { connections: 64, bare: true }));
        const runs = await rounds(candidates, options, report.progress);
        report.rows(`64 connections, upstream ${kind}`, rows_of(runs, candidates, { yardstick: 'nginx proxy_pass', goal: 1.5 }));
        await stop([...servers.map(([, server]) => server), upstream]);
    }
}

// ---- sse: streams of 64 events, passed through ----

// The stand-in sends a first event, three of one token, then eight tokens each, and a last one; [DONE] is the 64th.
const WORDS = ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight']; // of one token each
const EVENTS = 64;
const song = Array.from({ length: 3 + 8 * (EVENTS - 6) }, (_, i) => WORDS[i % WORDS.length]).join(' ');
const song_scenario = (between = '0ms') =>
    `rules:\n  - match: { stream: true }\n    answer:\n      text: "${song}"\n      between_tokens: ${between}\n`;

const events_of = text => text.split('\n').filter(line => line.startsWith('data:'));

function check_stream(name, text, exactly) {
    const events = events_of(text);
    const said = events.slice(0, -1).map(line => JSON.parse(line.slice(5)).choices[0]?.delta.content ?? '').join('');
    if (said !== song || events.at(-1).slice(5).trim() !== '[DONE]')
        throw new Error(`${name}: a wrong stream of ${events.length} events\n${text.slice(0, 600)}\n…\n${text.slice(-600)}`);
    if (exactly && events.length !== exactly) throw new Error(`${name}: ${events.length} events, expected ${exactly}`);
    return events.length;
}

async function sse(options, report) {
    const text = await recorded({ body: questions.stream, scenario: song_scenario() }, '[DONE]');
    const count = check_stream('upstream', text);
    if (count !== EVENTS) report.say(`streams have ${count} events, not ${EVENTS}`);
    const upstreams = {
        // all events arrive in a few packets: what a gateway costs an event
        'events at once (nginx)': { connections: 64, start: () => nginx_fixed('upstream', text,
            { cpus: cores.upstream, type: 'text/event-stream' }) },
        // each event alone: what a gateway costs a read and a write; the upstream is the limit, so the CPU time is the goal's
        'an event a millisecond (dashbox stand-in)': { connections: 256, by_cpu: true, start: () => dashbox('upstream',
            { cpus: cores.upstream, scenario: song_scenario('1ms') }) },
    };
    for (const [kind, { connections, start, by_cpu }] of Object.entries(upstreams)) {
        const upstream = await start();
        const servers = await gateways(report, upstream.port, { buffering: 'off' });
        const candidates = [];
        for (const [name, server] of servers) {
            const answer = await ask_right(name, url_of(server, 'openai'), questions.stream, '[DONE]');
            const passed = check_stream(name, answer.text, name === 'dashbox' ? undefined : count);
            candidates.push(candidate(name, server, url_of(server, 'openai'), { body: body_files.stream, connections, upstream,
                bytes_min: answer.text.length * 0.98, note: passed === count ? undefined : `passes on ${passed} events of ${count}` }));
        }
        candidates.push(candidate('no gateway', upstream, url_of(upstream, 'openai'), { body: body_files.stream, connections,
            bare: true }));
        const runs = await rounds(candidates, options, report.progress);
        report.rows(`${count} events a stream, ${connections} connections, ${kind}`,
            rows_of(runs, candidates, { yardstick: 'nginx proxy_pass', goal: 1, unit: 'streams/s', by_cpu }));
        await stop([...servers.map(([, server]) => server), upstream]);
    }
}

// ---- latency: what a gateway adds at one connection ----

async function latency(options, report) {
    const answer = await recorded({ body: questions.openai }, ANSWERED);
    const upstream = await nginx_fixed('upstream', answer, { cpus: cores.upstream });
    const servers = await gateways(report, upstream.port);
    const candidates = [candidate('no gateway', upstream, url_of(upstream, 'openai'), { connections: 1 })];
    for (const [name, server] of servers) {
        await ask_right(name, url_of(server, 'openai'), questions.openai, ANSWERED);
        candidates.push(candidate(name, server, url_of(server, 'openai'), { connections: 1 }));
    }
    const runs = await rounds(candidates, options, report.progress);
    const bare = runs['no gateway'];
    for (const which of ['p50', 'p99']) {
        const limit = which === 'p50' ? 60 : 100;
        report.rows(`1 connection, ${which}`, candidates.map(({ name }) => {
            const row = { candidate: name, value: median(runs[name].map(run => run[which])), unit: 'µs' };
            if (name === 'no gateway') return row;
            row.added = median(runs[name].map((run, i) => run[which] - bare[i][which]));
            row.note = row.measured = `adds ${row.added} µs`;
            if (name === 'dashbox') Object.assign(row, { goal: `adds < ${limit} µs`, reached: row.added < limit });
            return row;
        }));
    }
    await stop([...servers.map(([, server]) => server), upstream]);
}

// ---- start: from exec to the first 200 ----

// In this process and as tight as it can be: connect until it is accepted, then one GET /health.
function first_200(port) {
    return new Promise((resolve, reject) => {
        const end = Date.now() + 10_000;
        const attempt = () => {
            const socket = net.connect({ port, host: '127.0.0.1', noDelay: true });
            socket.once('connect', () => socket.write('GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'));
            socket.once('data', piece => {
                const now = process.hrtime.bigint();
                socket.destroy();
                if (String(piece).startsWith('HTTP/1.1 200')) resolve(now);
                else reject(new Error(`at start: ${piece}`));
            });
            socket.once('error', error => {
                socket.destroy();
                if (Date.now() > end) reject(error);
                else setImmediate(attempt);
            });
        };
        attempt();
    });
}

// The time begins when spawn() has come back: that is when the child has called exec.
async function start_ms(command) {
    const port = await free_port();
    const [program, ...words] = command(port);
    const before = process.hrtime.bigint();
    const child = spawn(program, words, { stdio: 'ignore' });
    const spawned = process.hrtime.bigint();
    const ended = new Promise(resolve => child.once('exit', resolve));
    try {
        const end = await first_200(port);
        return { from_exec: Number(end - spawned) / 1e6, from_spawn: Number(end - before) / 1e6 };
    } finally {
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), 3000);
        await ended;
        clearTimeout(timer);
    }
}

async function start(options, report) {
    const times = options.count > 1 ? 20 : 5;
    const serve = data => port => [binary, 'serve', '--listen', `127.0.0.1:${port}`, '--data', data(), '--api-key', KEY,
        '--workers', '1'];
    let fresh = 0;
    const candidates = [
        ['dashbox', serve(() => path.join(folder, 'start')), 10],
        ['dashbox, new data folder', serve(() => path.join(folder, `start-${++fresh}`))],
        ['nginx', port => nginx_fixed_words('ok', { port })],
    ];
    const seen = Object.fromEntries(candidates.map(([name]) => [name, []]));
    pin_self(cores.all); // children inherit it, and taskset would be in the time
    await start_ms(candidates[0][1]); // makes the folder
    for (let i = 0; i < times; i++)
        for (const [name, command] of candidates) {
            report.progress(`start ${i + 1} of ${times}: ${name}`);
            seen[name].push(await start_ms(command));
        }
    pin_self();
    report.rows(`exec to the first 200, median of ${times}`, candidates.map(([name, , goal]) => {
        const row = { candidate: name, value: median(seen[name].map(one => one.from_exec)), unit: 'ms',
            note: `${median(seen[name].map(one => one.from_spawn)).toFixed(1)} ms with fork` };
        if (goal) Object.assign(row, { goal: `< ${goal} ms`, reached: row.value < goal });
        return row;
    }));
}

// ---- memory: idle, idle connections, open streams ----

const MIB = 1024 * 1024, KIB = 1024;

// Opens connections from as many client processes as the limit of descriptors asks for.
async function hold(server, count, what, files) {
    const body = what === 'stream' ? questions.stream : questions.openai;
    const file = write(`request-${what}`, `POST ${paths.openai} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${KEY}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    const clients = [], most = files - 100;
    for (let left = count; left > 0; left -= most) {
        const some = Math.min(left, most);
        clients.push(Process.start(`client (${what})`, [process.execPath, path.join(here, 'hold.mjs'), String(server.port),
            String(some), file, what], { cpus: cores.load, files }));
    }
    await Promise.all(clients.map(client => client.says(/^ready \d+$/m, 120_000)));
    server.check();
    return clients;
}

async function memory_bench(options, report) {
    const quick = options.count === 1;
    const wanted = { idle: quick ? 2000 : 10_000, stream: quick ? 1000 : 5000 };
    const files = files_max(wanted.idle + 1000);
    const fits = Math.min(wanted.idle, files - 200);
    if (fits < wanted.idle) report.say(`only ${files} descriptors a process: ${fits} idle connections`);

    const slow = `rules:\n  - match: { stream: true }\n    answer: { text: "${song}", between_tokens: 1000s }\n`;
    const set = { 'time.idle': '3600s', connections: '20000', 'time.drain': '100ms' };
    const settle = () => sleep(300);

    const fresh = async () => {
        const server = await dashbox('dashbox', { set, scenario: slow, files });
        await ask_right('dashbox', url_of(server, 'openai'), questions.openai, ANSWERED);
        await settle();
        return server;
    };
    const row = (name, bytes, unit, goal, more) => ({ candidate: name, value: bytes / (unit === 'MiB' ? MIB : KIB), unit,
        ...(goal ? { goal: `< ${goal} ${unit}`, reached: bytes < goal * (unit === 'MiB' ? MIB : KIB) } : {}), ...more });
    const nginx = () => nginx_fixed('nginx', 'ok', { files });

    let server = await dashbox('dashbox', { set, scenario: slow, files });
    await settle();
    const first = memory(server.pid);
    await stop([server]);
    server = await fresh();
    const still = memory(server.pid);
    const yard = await nginx();
    const yard_still = memory(yard.pid);
    report.rows('one worker, idle', [
        row('dashbox, before a request', first.rss, 'MiB', undefined, { note: `${(first.anon / MIB).toFixed(1)} MiB RssAnon` }),
        row('dashbox, after one request', still.rss, 'MiB', 8, { note: `${(still.anon / MIB).toFixed(1)} MiB RssAnon, the rest is files: program, libraries, tokenizer` }),
        row('nginx', yard_still.rss, 'MiB', undefined, { note: `master and worker; ${(yard_still.anon / MIB).toFixed(1)} MiB RssAnon` }),
    ]);

    const each = async (one, count, what) => {
        report.progress(`${count} connections to ${one.name} (${what})`);
        const before = memory(one.pid);
        const clients = await hold(one, count, what, files);
        await settle();
        const now = memory(one.pid);
        await stop(clients);
        await settle();
        const after = memory(one.pid);
        return { bytes: (now.rss - before.rss) / count,
            note: `RssAnon ${((now.anon - before.anon) / count / KIB).toFixed(1)} KiB each; ` +
                `${((after.rss - before.rss) / MIB).toFixed(1)} MiB stay when they have gone` };
    };
    const idle = await each(server, fits, 'idle');
    const yard_idle = await each(yard, fits, 'idle');
    await stop([server, yard]);
    report.rows(`${fits} idle connections, after one request each`, [
        row('dashbox', idle.bytes, 'KiB', 4, { note: idle.note }),
        row('nginx', yard_idle.bytes, 'KiB', undefined, { note: yard_idle.note }),
    ]);

    server = await fresh();
    const streams = await each(server, wanted.stream, 'stream');
    await stop([server]);
    report.rows(`${wanted.stream} open streams, 2,048-byte questions`, [
        row('dashbox', streams.bytes, 'KiB', 24, { note: streams.note }),
    ]);
}

// ---- soak: memory stays flat, whatever is asked ----

// All requests of the wire cases in random order: what is answered, refused, streamed, and left in the middle.
async function soak(options, report) {
    const total = options.count === 1 ? 50_000 : 1_000_000, slice = 5;
    const file = path.join(folder, 'requests');
    const written = spawnSync(process.execPath, [path.join(root, 'test/wire/run.mjs'), '--requests', file], { encoding: 'utf8' });
    if (written.status !== 0) throw new Error(`the requests of the wire cases: ${written.stdout}${written.stderr}`);

    const load = async (server, seed) => {
        const text = await output_of('taskset', ['-c', cores.load, 'wrk', '-t', '1', '-c', '64', '-d', `${slice}s`, '--timeout', '20s',
            '-s', path.join(here, 'soak.lua'), `http://127.0.0.1:${server.port}`, '--', file, String(seed)]);
        server.check();
        trim_log(server);
        const line = /^\{.*\}$/m.exec(text);
        if (!line) throw new Error(`wrk said:\n${text}`);
        return JSON.parse(line[0]);
    };
    const run = async (name, server) => {
        const at = [];
        let done = 0, refused = 0, seed = 1;
        while (done < total) {
            const seen = await load(server, seed++);
            if (!seen.requests) throw new Error(`${name}: no answer`);
            done += seen.requests;
            refused += seen.status;
            await sleep(200);
            at.push({ done, ...memory(server.pid) });
            report.progress(`${name}: ${done} requests, ${(at.at(-1).anon / MIB).toFixed(1)} MiB`);
        }
        // What is kept on purpose (the journal, counts, buffers at hand) has been filled by then.
        const warm = at.find(one => one.done >= total / 5), end = at.at(-1);
        const grown = end.anon - warm.anon, asked = Math.max(1, end.done - warm.done);
        return { candidate: name, value: grown / MIB, unit: 'MiB', goal: '< 1 MiB', reached: grown < MIB,
            note: `${end.done} requests, ${Math.round((100 * refused) / end.done)} % refused; RssAnon ${(end.anon / MIB).toFixed(1)} MiB at ` +
                `the end, ${(grown / asked).toFixed(2)} bytes a request since the first ${warm.done}` };
    };

    const args = ['--api-key', 'sk-test']; // the key of the wire cases
    const box = await dashbox('dashbox', { args }), gateway = await dashbox('gateway', { args, engines: gateway_config(box.port) });
    const rows = [await run('the stand-in answers', box), await run('through an upstream', gateway)];
    await stop([gateway, box]);
    report.rows('growth of memory, all requests of the wire cases in random order', rows);
}

// ---- tokens, fiber, rates, ledger, moderation, tasks: programs of their own ----

const build = [path.dirname(binary), path.join(root, 'build')].find(dir => fs.existsSync(path.join(dir, 'test')))
    ?? path.dirname(binary);

function built(name, dir = path.join(build, 'test')) {
    if (!fs.existsSync(dir)) return undefined;
    for (const entry of fs.readdirSync(dir, { withFileTypes: true })) {
        const file = path.join(dir, entry.name);
        if (entry.isFile() && entry.name === name && fs.statSync(file).mode & 0o111) return file;
        const below = entry.isDirectory() && !entry.name.endsWith('.p') ? built(name, file) : undefined;
        if (below) return below;
    }
    return undefined;
}

function run_program(report, words, env = {}) {
    report.pause();
    const { status, error } = spawnSync('taskset', ['-c', cores.server, ...words],
        { stdio: ['ignore', 'inherit', 'inherit'], cwd: root, env: { ...process.env, ...env } });
    if (error) throw error;
    if (status !== 0) throw new Error(`${words.join(' ')} ended with ${status}`);
}

async function tokens(options, report) {
    const script = path.join(here, 'tokenizer.mjs'), encode = built('encode_main');
    if (!fs.existsSync(script)) return report.say('test/bench/tokenizer.mjs is not there');
    if (!encode) return report.say(`there is no encode_main below ${path.join(build, 'test')}`);
    run_program(report, [process.execPath, script, encode, path.join(build, 'qwen.tok'), String(options.seconds)]);
}

const program_bench = name => async (options, report) => {
    const program = built(name);
    if (!program) return report.say(`there is no ${name} below ${path.join(build, 'test')}`);
    run_program(report, [program]);
};
const fiber = program_bench('fiber'), rates = program_bench('rates'), ledger = program_bench('ledger');
const moderation = program_bench('moderation');
const knowledge = program_bench('knowledge');

async function tasks(options, report) {
    const program = built('tasks');
    if (!program) return report.say(`there is no tasks below ${path.join(build, 'test')}`);
    run_program(report, [program, String(options.seconds)]);
}

// ---- batches: lines of a file beside the same requests over HTTP ----

const LINES = 100_000;

async function batches(options, report) {
    const box = await dashbox('dashbox', { set: { 'batches.lines': LINES, 'files.batch_max': '1g' } });
    const base = `http://127.0.0.1:${box.port}/compatible-mode/v1`, headers = { authorization: `Bearer ${KEY}` };
    const question = fs.readFileSync(body_files.openai, 'utf8');
    const file = path.join(os.tmpdir(), `dashbox-bench-batch-${process.pid}.jsonl`), count = options.seconds > 1 ? LINES : 5000;
    fs.writeFileSync(file, Array.from({ length: count }, (_, i) => `{"custom_id":"${i}","method":"POST","url":"/v1/chat/completions","body":${question}}\n`).join(''));
    const runs = { direct: [], lines: [] };
    for (let round = 0; round < options.count; round++) {
        report.progress(`round ${round + 1} of ${options.count}`);
        runs.direct.push((await wrk({ name: 'dashbox', server: box, url: url_of(box, 'openai'), body_file: body_files.openai, connections: 64, seconds: options.seconds })).rate);
        const form = new FormData();
        form.set('purpose', 'batch');
        form.set('file', await fs.openAsBlob(file), 'in.jsonl');
        const input = await (await fetch(`${base}/files`, { method: 'POST', headers, body: form })).json();
        const begun = Date.now();
        let batch = await (await fetch(`${base}/batches`, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' },
            body: JSON.stringify({ input_file_id: input.id, endpoint: '/v1/chat/completions', completion_window: '24h' }) })).json();
        while (!['completed', 'failed'].includes(batch.status)) {
            await sleep(20);
            batch = await (await fetch(`${base}/batches/${batch.id}`, { headers })).json();
        }
        if (batch.request_counts.completed !== count) throw new Error(`dashbox: ${JSON.stringify(batch)}`);
        runs.lines.push(count / ((Date.now() - begun) / 1000));
        trim_log(box);
    }
    fs.rmSync(file);
    const ratio = median(runs.lines.map((rate, i) => rate / runs.direct[i]));
    report.rows(`${count} lines, looked through, run and written to a file`, [
        { candidate: 'over HTTP, 64 connections', value: median(runs.direct), unit: 'a second' },
        { candidate: 'as a batch', value: median(runs.lines), unit: 'a second', ratio },
    ]);
    await stop([box]);
}

// ---- downloads: chat while 100 large files come in ----

const DOWNLOADS = 100, PIECE = Buffer.alloc(16 * 1024, 'all work and no play makes a dull text to embed\n'), EVERY_MS = 32; // 50 MB/s together

async function downloads(options, report) {
    const open = new Set();
    const origin = http.createServer((request, answer) => {
        answer.writeHead(200, { 'content-type': 'text/plain' });
        open.add(answer);
        answer.on('close', () => open.delete(answer));
    });
    await new Promise(resolve => origin.listen(0, '127.0.0.1', resolve));
    let sent = 0;
    const ticking = setInterval(() => {
        for (const answer of open) if (!answer.writableNeedDrain) { answer.write(PIECE); sent += PIECE.length; }
    }, EVERY_MS);
    const box = await dashbox('dashbox', { set: { 'fetch.allow': '127.0.0.0/8', 'fetch.time': '1h', 'embedding.file_max': '10g',
        'tasks.running': DOWNLOADS, 'tasks.queued': 10 * DOWNLOADS } });
    const chat = seconds => wrk({ name: 'dashbox', server: box, url: url_of(box, 'openai'), body_file: body_files.openai, connections: 4, seconds });
    const start = async () => {
        for (let i = 0; i < DOWNLOADS; i++)
            await ask_right('dashbox', `http://127.0.0.1:${box.port}/api/v1/services/embeddings/text-embedding/text-embedding`,
                JSON.stringify({ model: 'text-embedding-async-v2', input: { url: `http://127.0.0.1:${origin.address().port}/${i}.txt` } }),
                'PENDING', { 'x-dashscope-async': 'enable' });
        for (const end = Date.now() + 30_000; open.size < DOWNLOADS; await sleep(20))
            if (Date.now() > end) throw new Error(`${open.size} of ${DOWNLOADS} downloads have begun`);
    };
    const end = async () => {
        for (const answer of open) answer.destroy();
        while (open.size) await sleep(20);
    };
    const runs = { alone: [], during: [] };
    let bytes = 0, ms = 0;
    await chat(1);
    for (let round = 0; round < options.count; round++) {
        report.progress(`round ${round + 1} of ${options.count}`);
        runs.alone.push(await chat(options.seconds));
        await start();
        const began = Date.now(), before = sent;
        runs.during.push(await chat(options.seconds));
        bytes += sent - before;
        ms += Date.now() - began;
        await end();
        trim_log(box);
    }
    clearInterval(ticking);
    origin.closeAllConnections();
    origin.close();
    for (const which of ['p50', 'p99']) {
        const alone = median(runs.alone.map(run => run[which])), during = median(runs.during.map(run => run[which]));
        const ratio = median(runs.during.map((run, i) => run[which] / runs.alone[i][which]));
        report.rows(`chat at 4 connections, ${which}`, [
            { candidate: 'dashbox', value: alone, unit: 'µs' },
            { candidate: `dashbox, ${DOWNLOADS} downloads, ${Math.round(bytes / ms / 1000)} MB/s`, value: during, unit: 'µs', ratio,
                ...(which === 'p99' ? { goal: '≤ 2', reached: ratio <= 2, measured: ratio.toFixed(2) } : {}) },
        ]);
    }
    await stop([box]);
}

// ---- speech: beside the bare libraries, by the programs that come with them ----

const SENTENCES = ['The weather is beautiful today.', 'Please open the window and close the door.', 'I would like to have a cup of coffee.',
    'She is reading a book about the history of science.', 'Can you tell me where the train station is?', 'We are going to visit our friends next week.'];
const MANDARIN = ['床前明月光，疑是地上霜。', '举头望明月，低头思故乡。', '今天的天气非常好，我们去公园散步吧。'];

// Wall time of a program, on the server's core.
const timed = (command, input) => {
    const began = performance.now();
    execFileSync('taskset', ['-c', cores.server, ...command], { input, stdio: ['pipe', 'pipe', 'ignore'], maxBuffer: 1 << 28 });
    return performance.now() - began;
};
const seconds_of = file => (fs.statSync(file).size - 44) / 2 / fs.readFileSync(file).readUInt32LE(24);

async function speech(options, report) {
    const missing = ['flite', 'espeak-ng', 'pocketsphinx_continuous'].find(name => spawnSync(name, ['--help']).error);
    if (missing) return report.say(`${missing} is not here`);
    const box = await dashbox('dashbox');
    const url = `http://127.0.0.1:${box.port}`, headers = { Authorization: `Bearer ${KEY}`, 'content-type': 'application/json' };
    const say = async (model, voice, input) => {
        const r = await fetch(`${url}/v1/audio/speech`, { method: 'POST', headers, body: JSON.stringify({ model, voice, input, response_format: 'pcm' }) });
        if (r.status !== 200) throw new Error(await r.text());
        return Buffer.from(await r.arrayBuffer());
    };
    const times_real = (name, texts, model, voice, bare) => async () => {
        const ours = [], theirs = [];
        await say(model, voice, texts[0]);
        for (let round = 0; round < options.count; round++) {
            report.progress(`${name}, round ${round + 1} of ${options.count}`);
            let ms = 0, seconds = 0, bare_ms = 0, bare_seconds = 0;
            for (const text of texts) {
                const began = performance.now();
                const pcm = await say(model, voice, text);
                ms += performance.now() - began;
                seconds += pcm.length / 48000;
                const out = path.join(folder, 'bare.wav');
                bare_ms += timed(bare(text, out));
                bare_seconds += seconds_of(out);
            }
            ours.push(seconds * 1000 / ms);
            theirs.push(bare_seconds * 1000 / bare_ms);
        }
        const value = median(ours), ratio = median(ours.map((v, i) => v / theirs[i]));
        report.rows(`${name}: seconds of sound a second, one sentence at a time`, [
            { candidate: bare('', '')[0], value: median(theirs), unit: '×' },
            { candidate: 'dashbox', value, unit: '×', ratio, goal: '≥ 40', reached: value >= 40, measured: value.toFixed(0) },
        ]);
    };
    await times_real('English', SENTENCES, 'cosyvoice-v2', 'loongandy_v2', (text, out) => ['flite', '-voice', 'rms', '-t', text, '-o', out])();
    await times_real('Mandarin', MANDARIN, 'cosyvoice-v2', 'longxiaochun_v2', (text, out) => ['espeak-ng', '-v', 'cmn', '-w', out, text])();

    const firsts = [];
    for (let i = 0; i < 10 * options.count; i++) {
        const began = performance.now();
        const r = await fetch(`${url}/api/v1/services/audio/tts/SpeechSynthesizer`, { method: 'POST', headers: { ...headers, 'x-dashscope-sse': 'enable' },
            body: JSON.stringify({ model: 'cosyvoice-v2', input: { text: SENTENCES[i % SENTENCES.length], voice: 'loongandy_v2', format: 'pcm' } }) });
        let text = '';
        for await (const piece of r.body) {
            text += Buffer.from(piece).toString();
            if (/"data":"[^"]/.test(text)) break;
        }
        firsts.push(performance.now() - began);
    }
    const first = median(firsts);
    report.rows('first sound after the text', [{ candidate: 'dashbox', value: first, unit: 'ms', goal: '≤ 60', reached: first <= 60, measured: first.toFixed(0) }]);

    const wavs = SENTENCES.map((text, i) => {
        const file = path.join(folder, `said-${i}.wav`);
        timed(['flite', '-voice', 'rms', '-t', text, '-o', file]);
        return file;
    });
    const sound = wavs.reduce((sum, file) => sum + seconds_of(file), 0), ours = [], theirs = [];
    const listen = async file => {
        const form = new FormData();
        form.set('model', 'qwen3-asr-flash');
        form.set('file', new Blob([fs.readFileSync(file)]), 'a.wav');
        const r = await fetch(`${url}/v1/audio/transcriptions`, { method: 'POST', headers: { Authorization: headers.Authorization }, body: form });
        if (r.status !== 200) throw new Error(await r.text());
    };
    await listen(wavs[0]);
    for (let round = 0; round < options.count; round++) {
        report.progress(`listening, round ${round + 1} of ${options.count}`);
        const began = performance.now();
        for (const file of wavs) await listen(file);
        ours.push(sound * 1000 / (performance.now() - began));
        // Its model is read each time: what that takes is measured with silence and left out.
        const silence = path.join(folder, 'silence.wav');
        fs.writeFileSync(silence, Buffer.concat([fs.readFileSync(wavs[0]).subarray(0, 44), Buffer.alloc(3200)]));
        const bare = file => timed(['pocketsphinx_continuous', '-infile', file, '-logfn', '/dev/null']);
        const load = bare(silence);
        theirs.push(sound * 1000 / (wavs.reduce((sum, file) => sum + bare(file) - load, 0)));
    }
    const value = median(ours), ratio = median(ours.map((v, i) => v / theirs[i]));
    report.rows('listening: seconds of sound a second', [
        { candidate: 'pocketsphinx_continuous', value: median(theirs), unit: '×' },
        { candidate: 'dashbox', value, unit: '×', ratio, goal: '≥ 2.5', reached: value >= 2.5, measured: value.toFixed(1) },
    ]);
    await stop([box]);
}

// ---- ws: WebSocket messages there and back, beside libwebsockets ----

async function ws(options, report) {
    const load = built('ws_load');
    if (!load || !built('ws_echo')) return report.say(`there are no ws_echo and ws_load below ${path.join(build, 'test')}`);
    const start = async (name, program, words) => {
        const server = Process.start(name, [program, ...words]);
        for (const end = Date.now() + 5000; !/:(\d+)/.test(server.said) && Date.now() < end;) await sleep(10);
        server.port = Number(/listening on \S+:(\d+)/.exec(server.said)?.[1]);
        if (!server.port) throw new Error(`${name} did not start: ${server.said}`);
        return server;
    };
    const own = await start('dashbox', built('ws_echo'), []);
    const peer = await optional(report, 'libwebsockets', built('ws_echo_lws'), async () =>
        start('libwebsockets', built('ws_echo_lws'), [String(await free_port())]));
    for (const [connections, depth, bytes] of [[64, 1, 128], [64, 16, 128], [64, 16, 4096], [64, 1, 65536], [1000, 16, 128]]) {
        const candidates = [own, peer].filter(Boolean).map(server => ({ name: server.name, run: async seconds => {
            const before = cpu_us(server.pid);
            const seen = JSON.parse(await output_of('taskset', ['-c', cores.load, load, ...[server.port, connections, depth, bytes, seconds].map(String)]));
            const spent = cpu_us(server.pid) - before;
            server.check();
            return { rate: seen.messages / (seen.us / 1e6), cpu: spent / seen.messages, lost: 0 };
        } }));
        const runs = await rounds(candidates, options, report.progress);
        report.rows(`${bytes} bytes and back, ${connections} connections with ${depth} under way`,
            rows_of(runs, candidates, { yardstick: 'libwebsockets', goal: 1.5, unit: 'messages/s' }));
    }
    await stop([own, peer]);
}

// ---- media: inspections a second on one core, by kind ----

async function media(options, report) {
    if (spawnSync('ffmpeg', ['-version']).error) return report.say('there is no ffmpeg to make media with');
    if (!fs.existsSync(path.join(build, 'engines', 'media', 'dashbox-media'))) return report.say('there is no dashbox-media');
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-bench-media-'));
    const picture = size => ['-f', 'lavfi', '-i', `testsrc=size=${size}:rate=25:duration=5`];
    const tone = ['-f', 'lavfi', '-i', 'sine=sample_rate=44100:duration=30'];
    const still = size => [...picture(size), '-frames:v', '1'];
    const kinds = {
        'JPEG 640x480': ['a.jpg', still('640x480')], 'JPEG 1920x1080': ['b.jpg', still('1920x1080')],
        'PNG 1920x1080': ['c.png', still('1920x1080')], 'WebP 1920x1080': ['d.webp', still('1920x1080')],
        'GIF 320x240, 50 frames': ['e.gif', [...picture('320x240'), '-frames:v', '50']],
        'MP4 H.264 640x360, 5 s': ['f.mp4', [...picture('640x360'), '-c:v', 'libx264']],
        'MP4 H.264 1920x1080, 5 s': ['g.mp4', [...picture('1920x1080'), '-c:v', 'libx264']],
        'WebM VP8 640x360, 5 s': ['h.webm', picture('640x360')],
        'WAV 30 s': ['i.wav', tone], 'MP3 30 s': ['j.mp3', tone], 'FLAC 30 s': ['k.flac', tone], 'Ogg Opus 30 s': ['l.opus', tone],
    };
    const rows = [];
    for (const [candidate, [name, words]] of Object.entries(kinds)) {
        report.progress(candidate);
        const file = path.join(folder, name);
        if (spawnSync('ffmpeg', ['-v', 'error', ...words, file]).status !== 0) continue; // without that encoder
        const inspect = count => {
            const begun = process.hrtime.bigint();
            const { status, stdout, stderr } = spawnSync('taskset', ['-c', cores.server, binary, 'inspect', '--json', ...Array(count).fill(file)],
                { encoding: 'utf8', maxBuffer: 1 << 28 });
            if (status !== 0) throw new Error(stderr);
            const facts = stdout.trimEnd().split('\n').map(line => JSON.parse(line));
            if (facts.length !== count || facts.some(f => f.error)) throw new Error(`${name}: ${JSON.stringify(facts[0])}`);
            return { seconds: Number(process.hrtime.bigint() - begun) / 1e9, cpu_us: facts.reduce((sum, f) => sum + f.cpu_us, 0) / count };
        };
        const start = inspect(1).seconds; // with the program's and the engine's own start
        const count = Math.max(10, Math.min(5000, Math.floor(options.seconds / (inspect(20).seconds / 20))));
        const runs = Array.from({ length: options.count }, () => inspect(count)).sort((a, b) => a.seconds - b.seconds);
        const median = runs[Math.floor(runs.length / 2)];
        rows.push({ candidate, unit: 'a second', value: count / Math.max(median.seconds - start, 1e-6), cpu_us: median.cpu_us });
    }
    fs.rmSync(folder, { recursive: true });
    report.rows('inspections by one engine on one core', rows);
}

// ---- embed: what the stand-in's vectors find and cost, alone and in the server ----

async function embed(options, report) {
    const program = built('embed');
    if (program) run_program(report, [program, path.join(build, 'qwen.tok'), path.join(root, 'test/unit/engine/retrieval.txt')]);
    else report.say(`there is no embed below ${path.join(build, 'test')}`);
    const text = 'The night train leaves at nine and arrives in time for breakfast in the dining car. '.repeat(11);
    const body = (count, more) => JSON.stringify({ model: 'text-embedding-v4', input: Array.from({ length: count }, (_, i) => `${i} ${text}`), ...more });
    const box = await dashbox('dashbox');
    const url = `http://127.0.0.1:${box.port}/compatible-mode/v1/embeddings`;
    const candidates = [];
    for (const [name, question] of [['one text of 200 tokens', body(1)], ['ten', body(10)], ['ten, as Base64', body(10, { encoding_format: 'base64' })]]) {
        const answer = await ask_right('dashbox', url, question, '"object":"list"');
        candidates.push(candidate(name, box, url, { body: write(`embed-${candidates.length}.json`, question), connections: 16, bytes_min: answer.text.length }));
    }
    const runs = await rounds(candidates, options, report.progress);
    report.rows('16 connections, 1,024 numbers', rows_of(runs, candidates, { yardstick: 'one text of 200 tokens' }));
    await stop([box]);
}

// ---- access: everything that is checked and counted, beside none of it ----

function command(...words) {
    const { status, stdout, stderr } = spawnSync(binary, words, { encoding: 'utf8' });
    if (status !== 0) throw new Error(`dashbox ${words.join(' ')}: ${stderr}`);
    return stdout.trim();
}

// A data folder with three workspaces, 200 keys and much money; the key that asks is of a workspace with limits.
function account_data(name) {
    const data = path.join(folder, name), at = ['--data', data];
    for (const id of ['ws-bench', 'ws-other']) command('workspaces', 'create', id, ...at);
    command('workspaces', 'allow', 'ws-bench', '*', '--rpm', '1000000000', '--tpm', '1000000000000', ...at);
    for (let i = 1; i < 200; i++) command('keys', 'create', ...at);
    command('account', 'pay', '1000000000', ...at);
    return { data, key: command('keys', 'create', '--workspace', 'ws-bench', ...at) };
}

async function access(options, report) {
    const program = built('access');
    if (program) run_program(report, [program]);
    else report.say(`there is no access below ${path.join(build, 'test')}`);
    const words = write('words.txt', Array.from({ length: 1000 }, (_, i) => `${(i * 2654435761 >>> 0).toString(36)}word\n`).join(''));
    const off = { journal: 0 };
    const on = { 'billing.enforce': true, 'limits.concurrency': 1_000_000, 'limits.route': 1_000_000, 'moderation.rules': words };
    for (const workers of [1, 2]) {
        const { data, key } = account_data(`access-${workers}`);
        const headers = { authorization: `Bearer ${key}` };
        const load = workers > 1 ? { cpus: cores.loads, threads: 2 } : {};
        const candidates = [], servers = [];
        for (const [name, more, own] of [
            ['dashbox, all of it', { set: on, data }, { headers, goal: 0.85 }],
            ['dashbox, as it comes', {}, { goal: null }],
            ['no limits, bills, rules, journal', { set: off }, {}],
        ]) {
            const server = await dashbox(name, { workers, ...more });
            const answer = await ask_right(name, url_of(server, 'openai'), questions.openai, ANSWERED, own.headers);
            servers.push(server);
            candidates.push(candidate(name, server, url_of(server, 'openai'), { ...load, ...own, connections: 64, bytes_min: answer.text.length }));
        }
        const runs = await rounds(candidates, options, report.progress);
        report.rows(`64 connections, ${workers} worker${workers > 1 ? 's' : ''}`,
            rows_of(runs, candidates, { yardstick: 'no limits, bills, rules, journal' }));
        await stop(servers);
    }
}

// ---- peers: other stand-ins and gateways from npm ----

const modules = path.join(here, 'node_modules');
const peer = (report, name, file) => {
    const whole = path.join(modules, file);
    if (fs.existsSync(whole)) return whole;
    report.say(`${name} is not installed: its rows are missing (npm ci in test/bench)`);
    return undefined;
};

async function peers(options, report) {
    const box = await dashbox('dashbox');
    const answer = await ask_right('dashbox', url_of(box, 'openai'), questions.openai, ANSWERED);
    const content = JSON.parse(answer.text).choices[0].message.content;
    const fixed = await nginx_fixed('nginx', answer.text);
    const mocks = [['dashbox', box, url_of(box, 'openai')], ['nginx return 200', fixed, url_of(fixed, 'v1')]];

    const aimock = peer(report, '@copilotkit/aimock', '@copilotkit/aimock/dist/cli.js');
    if (aimock) {
        const port = await free_port();
        const fixture = write('aimock.json', JSON.stringify({ fixtures: [{ match: { userMessage: 'ticket 00000000' }, response: { content } }] }));
        const server = await Process.start('aimock', [process.execPath, aimock, '-p', String(port), '-h', '127.0.0.1', '-f', fixture,
            '--log-level', 'silent'], { env: { NODE_ENV: 'production' } }).listens(port);
        mocks.push(['@copilotkit/aimock', server, url_of(server, 'v1')]);
    }
    const apimock = peer(report, 'apimock', `@apimock-rs/bin-linux-${process.arch}-gnu/apimock`);
    if (apimock) {
        const port = await free_port();
        write('apimock/v1/chat/completions.json', answer.text);
        const server = await Process.start('apimock', [apimock, '-p', String(port), '-d', path.join(folder, 'apimock')],
            { cwd: path.join(folder, 'apimock') }).listens(port);
        mocks.push(['apimock', server, url_of(server, 'v1')]);
    }
    await load_peers('stand-ins, 64 connections', mocks, 'nginx return 200', options, report);
    await stop(mocks.map(([, server]) => server));

    const portkey = peer(report, '@portkey-ai/gateway', '@portkey-ai/gateway/build/start-server.js');
    if (!portkey) return;
    const upstream = await nginx_fixed('upstream', answer.text, { cpus: cores.upstream });
    const port = await free_port();
    const gateway = await Process.start('portkey', [process.execPath, portkey, `--port=${port}`, '--headless'],
        { env: { NODE_ENV: 'production' } }).listens(port);
    const proxies = [
        ['dashbox', await dashbox('dashbox', { engines: gateway_config(upstream.port) })],
        ['nginx proxy_pass', await nginx_proxy('nginx proxy', upstream.port)],
    ].map(([name, server]) => [name, server, url_of(server, 'openai')]);
    proxies.push(['@portkey-ai/gateway', gateway, url_of(gateway, 'v1'),
        { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `http://127.0.0.1:${upstream.port}/v1` }]);
    await load_peers('gateways, 64 connections', proxies, 'nginx proxy_pass', options, report);
    await stop([...proxies.map(([, server]) => server), upstream]);
}

// A peer that does not answer rightly is said and left out: only ours must be right.
async function load_peers(setting, servers, yardstick, options, report) {
    const candidates = [];
    for (const [name, server, url, headers] of servers) {
        const answer = await ask(url, questions.openai, headers).catch(error => ({ status: 0, text: String(error) }));
        const right = answer.status === 200 && answer.text.includes(ANSWERED);
        if (!right && /^dashbox|^nginx/.test(name)) throw new Error(`${name}: wrong answer ${answer.status}\n${answer.text}`);
        if (!right) {
            report.say(`${name} gave a wrong answer, its row is missing: ${answer.status} ${answer.text.slice(0, 200)}`);
            continue;
        }
        const one = candidate(name, server, url, { connections: 64, headers });
        if (/^dashbox|^nginx/.test(name)) candidates.push(one);
        else candidates.push({ ...one, run: seconds => one.run(seconds).catch(error => {
            report.say(`${error.message.split('\n')[0]}`);
            return { rate: 0, cpu: 0, lost: 0 };
        }) });
    }
    const runs = await rounds(candidates, options, report.progress);
    report.rows(setting, rows_of(runs, candidates, { yardstick }));
}

export const benches = { chat, proxy, sse, latency, start, memory: memory_bench, soak, tokens, fiber, rates, ledger, moderation, tasks, batches, downloads, speech, ws, media, embed, knowledge, access, peers };
const alone = ['tokens', 'fiber', 'rates', 'ledger', 'moderation', 'tasks', 'speech', 'ws', 'media'];
export const needs = name => (alone.includes(name) ? [] : [...(['soak', 'batches'].includes(name) ? [] : ['nginx']), 'wrk', 'taskset']);
