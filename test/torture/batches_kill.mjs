// Batches while the server is killed: node batches_kill.mjs DASHBOX [KILLS]
//
// A server runs batches against an engine that notes what it is asked; it is killed (SIGKILL) at any moment and started again on the same folder,
// every fourth time two at once. After each kill the tables are read: what has its end there must never be asked for again, and the counts
// of each batch must add up with its lines. At last all batches end: each custom_id stands once in the output, and the ledger has charged
// each line once.

import { execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';

const [binary, kills = '200'] = process.argv.slice(2);
const LINES = 20_000, PROMPT = 3, COMPLETION = 2;
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-batches-kill-'));
const data = path.join(folder, 'data');
const wrong = [];

// ---- the engine ----

const committed = new Set();     // "batch line", as the tables had it when no server lived
let calls = 0;
const engine = http.createServer((rq, rs) => {
    let text = '';
    rq.on('data', piece => text += piece);
    rq.on('end', () => {
        rs.setHeader('content-type', 'application/json');
        if (rq.method === 'GET') return rs.end('{"object":"list","data":[]}');
        const line = JSON.parse(text).messages[0].content;
        calls++;
        if (committed.has(line)) wrong.push(`${line} is run again though it had its end`);
        rs.end(JSON.stringify({ id: 'x', object: 'chat.completion', created: 1, model: 'm',
            choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: line } }],
            usage: { prompt_tokens: PROMPT, completion_tokens: COMPLETION, total_tokens: PROMPT + COMPLETION } }));
    });
});
await new Promise(resolve => engine.listen(0, '127.0.0.1', resolve));

// ---- servers ----

const config = path.join(folder, 'config.yaml');
fs.writeFileSync(config, `
engines:
  - name: counted
    upstream: http://127.0.0.1:${engine.address().port}/v1
    models: { qwen-plus: m }
route: { '*': counted }
batches: { lease: 100ms }
`);

const servers = new Set();
function start() {
    const child = spawn(binary, ['serve', '--config', config, '--data', data, '--listen', '127.0.0.1:0', '--api-key', 'sk-test', '--workers', '1'],
        { stdio: ['ignore', 'pipe', fs.openSync(path.join(folder, 'log'), 'a')] });
    servers.add(child);
    child.ended = new Promise(resolve => child.once('exit', (code, signal) => { servers.delete(child); resolve(signal ?? code); }));
    child.url = new Promise((resolve, reject) => {
        let said = '';
        child.stdout.on('data', piece => {
            const found = /listening on (\S+)/.exec(said += piece);
            if (found) resolve(`${found[1]}/compatible-mode/v1`);
        });
        child.ended.then(how => reject(new Error(`the server ended at its start (${how})`)));
    });
    child.url.catch(() => {});
    return child;
}
process.once('exit', () => {
    for (const child of servers) child.kill('SIGKILL');
    if (!wrong.length) fs.rmSync(folder, { recursive: true, force: true });
});

const headers = { authorization: 'Bearer sk-test' };
const ask = async (url, options) => (await fetch(url, { headers, ...options })).json();
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

const batches = [];
async function create(url) {
    const number = batches.length + 1, form = new FormData(), lines = [];
    for (let i = 1; i <= LINES; i++)
        lines.push(JSON.stringify({ custom_id: `c${i}`, method: 'POST', url: '/v1/chat/completions',
            body: { model: 'qwen-plus', messages: [{ role: 'user', content: `${number} ${i}` }] } }));
    form.set('purpose', 'batch');
    form.set('file', new Blob([lines.join('\n')]), 'in.jsonl');
    const file = await ask(`${url}/files`, { method: 'POST', body: form });
    const batch = await ask(`${url}/batches`, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' },
        body: JSON.stringify({ input_file_id: file.id, endpoint: '/v1/chat/completions', completion_window: '24h' }) });
    if (!batch.id) throw new Error(`no batch: ${JSON.stringify([file, batch])}`);
    batches.push(batch.id);
}

// ---- the tables ----

const READ = `
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(json.dumps({
    'batches': db.execute('select number, status, total, completed, failed from batches order by number').fetchall(),
    'lines': db.execute('select batch, group_concat(line), count(*) from batch_lines group by batch').fetchall(),
    'usage': db.execute('select coalesce(sum(requests), 0), coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) from usage').fetchone()}))
`;
const tables = () => JSON.parse(execFileSync('python3', ['-c', READ, path.join(data, 'dashbox.db')], { maxBuffer: 1 << 28 }));

function look() {
    const t = tables(), lines = new Map(t.lines.map(([batch, list, count]) => [batch, { list, count }]));
    let running = 0;
    for (const [number, status, total, completed, failed] of t.batches) {
        const at_end = ['completed', 'failed', 'expired', 'cancelled'].includes(status);
        running += !at_end;
        if (status !== 'validating' && completed + failed > total) wrong.push(`batch ${number}: ${completed} + ${failed} of ${total}`);
        if (at_end ? status !== 'completed' || completed !== LINES || failed !== 0 || lines.has(number)
            : (lines.get(number)?.count ?? 0) !== completed + failed)
            wrong.push(`batch ${number}: ${status}, ${total} lines, ${completed} good, ${failed} not, ${lines.get(number)?.count ?? 0} rows`);
        if (at_end) for (let i = 1; i <= LINES; i++) committed.add(`${number} ${i}`);
    }
    for (const [number, { list }] of lines) for (const line of list.split(',')) committed.add(`${number} ${line}`);
    return running;
}

// ---- the run ----

for (let kill = 0, running = 0; kill < Number(kills) && !wrong.length; kill++) {
    const both = kill % 4 === 3 ? [start(), start()] : [start()];
    const urls = await Promise.all(both.map(child => child.url));
    if (!running) await create(urls[0]);
    await sleep(20 + Math.random() * 250);
    for (const child of both) child.kill('SIGKILL');
    await Promise.all(both.map(child => child.ended));
    running = look();
}
const last = start(), url = await last.url;
for (const id of batches) {
    let batch;
    while ((batch = await ask(`${url}/batches/${id}`)).status !== 'completed') {
        if (!['validating', 'in_progress', 'finalizing'].includes(batch.status)) throw new Error(JSON.stringify(batch));
        await sleep(50);
    }
    const text = await (await fetch(`${url}/files/${batch.output_file_id}/content`, { headers })).text();
    const ids = text.trimEnd().split('\n').map(line => JSON.parse(line).custom_id);
    if (ids.length !== LINES || new Set(ids).size !== LINES) wrong.push(`${id}: ${ids.length} lines, ${new Set(ids).size} different`);
}
last.kill('SIGTERM');
const how = await last.ended;
if (how !== 0) wrong.push(`the server ended with ${how}`);
look();
const all = batches.length * LINES, { usage } = tables();
if (usage[0] !== all || usage[1] !== all * PROMPT || usage[2] !== all * COMPLETION) wrong.push(`charged: ${usage} for ${all} lines`);
console.log(`${kills} kills, ${batches.length} batches, ${all} lines, ${calls - all} calls lost with their server, ${wrong.length} wrong`);
for (const text of wrong.slice(0, 20)) console.log(text);
engine.closeAllConnections();
engine.close();
if (wrong.length) process.exitCode = 1;
