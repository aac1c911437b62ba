// Starts and stops the server for the tests of this folder.
//
//     const box = await serve({ scenario: '…' });   // at the top of a test file
//     test('…', async () => { … box.url … });
//
// The server is stopped after the last test of the file: by SIGTERM to its pid, and the file fails when it did not end by
// itself with status 0, so a crash or a leak report at the end is seen too.
//
// The binary is $DASHBOX, else build/dashbox. $DASHBOX_TEST_KEEP=1 keeps the folder with the logs.

import { after } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const START_MS = 20_000; // the sanitizers are slow
const STOP_MS = 20_000;

export const KEY = 'sk-test';

// Keys and addresses of whoever runs the tests must not reach an SDK.
for (const name of Object.keys(process.env))
    if (/^(ANTHROPIC|OPENAI|ALIBABA|DASHSCOPE)_|^(HTTPS?|ALL|NO)_PROXY$/i.test(name)) delete process.env[name];

// scenario, config: texts of YAML files. args: further words of the command line.
// The server is started at once and not in a hook: node:test does not wait for one hook of a file before the next.
export async function serve({ scenario, config, args = [] } = {}) {
    const box = new Server();
    boxes.push(box);
    await box.start({ scenario, config, args });
    return box;
}

const boxes = [];

// A folder for a test file. It goes when the file's process ends and not in a hook: a hook that fails, as one does that empties a folder
// while a server writes there, would leave the servers running, and the file waits for them for ever.
export function scratch(name) {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), `dashbox-${name}-`));
    folders.push(folder);
    return folder;
}

const folders = [];

process.once('exit', () => {
    for (const box of boxes) box.process?.kill('SIGKILL'); // when the test breaks off
    for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
});

// One hook for all servers of a file: node:test leaves out the hooks behind one that fails. And it is the file's own: one that is made
// when the first server starts would belong to the suite or test that starts it.
after(stop_all);

async function stop_all() {
    const ends = await Promise.allSettled(boxes.map(box => box.stop()));
    const failed = ends.find(end => end.status === 'rejected');
    if (failed) throw failed.reason;
}

class Server {
    key = KEY;

    async start({ scenario, config, args }) {
        this.folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-sdk-'));
        const words = ['serve', '--listen', '127.0.0.1:0', '--data', path.join(this.folder, 'data'),
            '--api-key', KEY, '--workers', '1', '--set', 'time.drain=5s'];
        for (const [flag, text] of [['--scenario', scenario], ['--config', config]]) {
            if (text === undefined) continue;
            const file = path.join(this.folder, flag.slice(2) + '.yaml');
            fs.writeFileSync(file, text);
            words.push(flag, file);
        }
        this.log_file = path.join(this.folder, 'log');
        const log = fs.openSync(this.log_file, 'a');
        const binary = process.env.DASHBOX || path.join(root, 'build', 'dashbox');
        this.process = spawn(binary, [...words, ...args], { stdio: ['ignore', 'pipe', log] });
        fs.closeSync(log);
        this.ended = new Promise(resolve => {
            this.process.once('error', error => resolve(String(error)));
            this.process.once('exit', (code, signal) => resolve(signal ?? code));
        });
        this.url = await this.#address();
        this.native = `${this.url}/api/v1`;
        this.compatible = `${this.url}/compatible-mode/v1`;
    }

    #address() {
        return new Promise((resolve, reject) => {
            let said = '';
            const timer = setTimeout(() => {
                this.process.kill('SIGKILL');
                reject(new Error(`the server did not say its address\n${this.log()}`));
            }, START_MS);
            this.process.stdout.on('data', piece => {
                said += piece;
                const found = /listening on (\S+)/.exec(said);
                if (!found) return;
                clearTimeout(timer);
                resolve(found[1]);
            });
            this.ended.then(how => {
                clearTimeout(timer);
                reject(new Error(`the server ended at its start (${how})\n${this.log()}`));
            });
        });
    }

    async stop() {
        if (!this.process) return;
        this.process.kill('SIGTERM');
        const timer = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS);
        const how = await this.ended;
        clearTimeout(timer);
        const log = this.log().split('\n').filter(line => !line.includes('"phases_us"')).join('\n');
        if (!process.env.DASHBOX_TEST_KEEP) fs.rmSync(this.folder, { recursive: true, force: true });
        assert.equal(how, 0, `the server ended with ${how}\n${log.slice(-4000)}`);
    }

    // As the kernel does when memory runs out. The folder stays for the next server.
    async kill() {
        const killed = this.process;
        this.process = undefined; // nothing to stop any more
        killed.kill('SIGKILL');
        await this.ended;
    }

    log() {
        return fs.existsSync(this.log_file) ? fs.readFileSync(this.log_file, 'utf8') : '';
    }

    // The JSON line that the server logged for a request; it is written when the request has ended.
    async logged(request_id) {
        return until(() => this.log().split('\n').filter(line => line.includes(request_id))
            .map(line => JSON.parse(line)).find(entry => entry.request_id === request_id && 'status' in entry),
        `a log line of ${request_id}`);
    }

    // The value of a counter, e.g. 'dashbox_requests_active'.
    async metric(name) {
        const text = await (await fetch(`${this.url}/metrics`)).text();
        const line = text.split('\n').find(line => line.startsWith(`${name} `));
        assert(line, `no metric ${name} in:\n${text}`);
        return Number(line.slice(name.length + 1));
    }
}

// Asks until the answer is neither undefined nor false. what: a text, or what makes it when it is needed.
export async function until(ask, what, ms = 5000) {
    for (const end = Date.now() + ms; ;) {
        const answer = await ask();
        if (answer !== undefined && answer !== false) return answer;
        assert(Date.now() < end, `waited ${ms} ms for ${typeof what === 'function' ? what() : what}`);
        await new Promise(resolve => setTimeout(resolve, 10));
    }
}

export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

// One scenario for all SDKs: the same questions get the same answers.
export const SCENARIO = `
rules:
  - name: temperature, after the tool
    match: { tool_result: { contains: '21' } }
    answer: { text: 'It is 21 degrees in Hangzhou.' }
  - name: weather
    match: { message: { contains: weather }, tools: [get_weather] }
    answer: { tool_calls: [ { name: get_weather, arguments: { location: Hangzhou, unit: celsius } } ] }
  - name: two towns
    match: { message: { contains: both towns }, tools: [get_weather] }
    answer:
      tool_calls:
        - { name: get_weather, arguments: { location: Hangzhou, unit: celsius } }
        - { name: get_weather, arguments: { location: 'São Paulo', unit: celsius } }
  - name: poem
    match: { message: poem }
    answer: { text: 'Willows bend low; the river carries petals — 春眠不觉晓。' }
  - name: count
    match: { message: { contains: count to ten } }
    answer: { text: 'one two three four five six seven eight nine ten' }
  - name: riddle
    match: { message: riddle }
    answer: { reasoning: 'It has keys and opens nothing. So it plays.', text: 'A piano.' }
  - name: recipe
    match: { message: { contains: recipe } }
    answer: { text: '{"dish": "congee", "minutes": 40, "steps": ["rinse", "simmer"]}' }
  - name: slow
    match: { message: slow }
    answer:
      text: '${'la '.repeat(400).trim()}'
      between_tokens: 40ms
  - name: breaks off
    match: { message: break off }
    answer:
      text: 'one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen'
      error: { name: E219, after_tokens: 3 }
  - name: refused
    match: { message: refuse }
    answer: { error: E219 }
`;
