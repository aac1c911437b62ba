// Qwen Code, the command-line agent, as it comes from npm: it is asked to do something, and does it by calling its own tools
// as the stand-in's scenario says. It runs on the Node.js of this folder, which is newer than a system's may be.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { KEY, serve } from '../sdk/server.mjs';

const modules = path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules');
const node = path.join(modules, `node-linux-${process.arch}`, 'bin', 'node');
const agent = path.join(modules, '@qwen-code', 'qwen-code', 'cli.js');
const RUN_MS = 120_000;

const project = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-agent-'));
process.once('exit', () => fs.rmSync(project, { recursive: true, force: true }));
const file = name => path.join(project, name);

const box = await serve({
    scenario: `
rules:
  - match: { tool_result: { contains: "grey heron" } }
    answer:
      reasoning: It is a heron. I write that down.
      tool_calls:
        - name: write_file
          arguments: { file_path: ${file('answer.txt')}, content: "a grey heron\\n" }
        - name: glob
          arguments: { pattern: "*.txt", path: ${project} }
  - match: { tool_result: { contains: "answer.txt" } }
    answer: { text: "The animal is a grey heron, and answer.txt says so." }
  - match: { message: { contains: "Which animal is in notes.txt" } }
    answer:
      text: I look into the file first.
      tool_calls:
        - name: read_file
          arguments: { file_path: ${file('notes.txt')} }
`,
});

const protocols = {
    openai: { path: '/compatible-mode/v1/chat/completions', env: { OPENAI_API_KEY: KEY, OPENAI_BASE_URL: box.compatible,
        OPENAI_MODEL: 'qwen3-coder-plus' } },
    anthropic: { path: '/apps/anthropic/v1/messages', env: { ANTHROPIC_API_KEY: KEY,
        ANTHROPIC_BASE_URL: `${box.url}/apps/anthropic`, ANTHROPIC_MODEL: 'qwen3-coder-plus' } },
};

function run(protocol, ...words) {
    const home = fs.mkdtempSync(path.join(project, 'home-'));
    const child = spawn(node, [agent, '--auth-type', protocol, '--approval-mode', 'yolo', ...words], {
        cwd: project,
        stdio: ['ignore', 'pipe', 'pipe'],
        env: { PATH: process.env.PATH, HOME: home, QWEN_CODE_SUPPRESS_YOLO_WARNING: '1', ...protocols[protocol].env },
    });
    const said = { out: '', err: '' };
    child.stdout.on('data', piece => (said.out += piece));
    child.stderr.on('data', piece => (said.err += piece));
    const timer = setTimeout(() => child.kill('SIGKILL'), RUN_MS);
    return new Promise(resolve => child.once('close', (code, signal) => {
        clearTimeout(timer);
        resolve({ how: signal ?? code, ...said });
    }));
}

const calls = () => box.log().split('\n').filter(line => line.includes('"phases_us"')).map(line => JSON.parse(line));

for (const [protocol, { path: called }] of Object.entries(protocols)) {
    test(`it reads a file, writes another and looks at the folder, and then answers: ${protocol}`, async () => {
        fs.writeFileSync(file('notes.txt'), 'Seen at the pond this morning: a grey heron.\n');
        fs.rmSync(file('answer.txt'), { force: true });
        const { how, out, err } = await run(protocol, '--prompt', 'Which animal is in notes.txt? Write it to answer.txt.');
        assert.equal(how, 0, err);
        assert.match(out, /^The animal is a grey heron, and answer\.txt says so\.$/m);
        assert.equal(fs.readFileSync(file('answer.txt'), 'utf8'), 'a grey heron\n');

        const chats = calls().filter(call => call.path === called);
        assert.equal(chats.length, 3, err);
        for (const chat of chats) {
            assert.equal(chat.status, 200);
            assert.equal(chat.model, 'qwen3-coder-plus');
            assert(chat.stream);
        }
        assert(chats[0].prompt_tokens < chats[1].prompt_tokens && chats[1].prompt_tokens < chats[2].prompt_tokens);
    });

    test(`what the server refuses is what it says: ${protocol}`, async () => {
        const { how, out, err } = await run(protocol, '--model', 'no-such-model', '--prompt', 'hello');
        assert.notEqual(how, 0);
        assert.match(out + err,
            /The model `?no-such-model`? does not exist or you do not have access to it/);
    });
}
