// A child engine: started by dashbox, asked through the npm package `openai`, started again when it has died, and stopped
// with the server. With llama-server (./dev llama) and the small model the same with a real engine.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import OpenAI from 'openai';
import { KEY, serve, until } from './server.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));

const ask = (client, text, more = {}) =>
    client.chat.completions.create({ model: 'qwen-plus', messages: [{ role: 'user', content: text }], ...more });

const runs = pid => {
    try {
        process.kill(pid, 0);
        return true;
    } catch {
        return false;
    }
};

test('a child is started, asked, started again after its death, and stopped with the server', async () => {
    const box = await serve({
        config: `
engines:
  - name: child
    command: '"${process.execPath}" "${path.join(here, 'child_engine.mjs')}" {port}'
    health_path: /health
route: { '*': child }
`,
    });
    const client = new OpenAI({ apiKey: KEY, baseURL: box.compatible, maxRetries: 0 });

    const first = Number((await ask(client, 'who?')).choices[0].message.content);
    assert.ok(runs(first), 'the child that answered runs');

    // REF: E224 or E236: the answer that died with the child, or its absence
    await assert.rejects(ask(client, 'die'), error => error.status === 500 || error.status === 503);
    await until(() => !runs(first), 'it has died');
    // A kept connection that is found dead is replaced by a fresh one, so that the next child may have got 'die' too: whoever asks
    // a child while it is dying gets E224, and everybody else waits for the new one.
    let second;
    for (let tries = 0; second === undefined; tries++) {
        try {
            second = Number((await ask(client, 'who?')).choices[0].message.content);
        } catch (error) {
            assert.ok(error.status === 500 && tries < 10, `refused ${tries + 1} times, with ${error.message}`);
        }
    }
    assert.notEqual(second, first);
    assert.ok(runs(second));

    await box.stop();
    await until(() => !runs(second), 'the child has ended with its server');
});

const llama = process.env.DASHBOX_LLAMA_SERVER
    ?? path.join(process.env.DASHBOX_CACHE ?? path.join(os.homedir(), '.cache', 'dashbox'), 'llama', 'llama-server');
const model = process.env.DASHBOX_TEST_MODEL ?? path.join(here, '..', '..', '..', 'shared', 'models', 'stories260K.gguf');
const missing = [llama, model].filter(file => !fs.existsSync(file));

if (missing.length) {
    console.log(`# the test with a real engine needs ${missing.join(' and ')}: not run (./dev llama gets llama-server)`);
} else {
    test('a real model streams a story, tells another, and is started again when it has been killed', async () => {
        const box = await serve({
            config: `
engines:
  - name: llama
    command: '"${llama}" -m {model} --port {port}'
    model_file: ${model}
route: { '*': llama }
`,
        });
        const client = new OpenAI({ apiKey: KEY, baseURL: box.compatible, maxRetries: 0 });
        let text = '', usage;

        for await (const chunk of await ask(client, 'Once upon a time', { stream: true, max_tokens: 40,
            stream_options: { include_usage: true } })) {
            text += chunk.choices[0]?.delta?.content ?? '';
            usage ??= chunk.usage;
        }
        assert.match(text, /[a-z]{3}/);
        assert.ok(usage.completion_tokens > 0 && usage.completion_tokens <= 40);

        const whole = await ask(client, 'Once upon a time', { max_tokens: 20 });
        assert.match(whole.choices[0].message.content, /[a-z]{3}/);
        assert.equal(whole.choices[0].finish_reason, 'length');

        const tasks = `/proc/${box.process.pid}/task`; // a child is listed by the thread that made it
        const child = () => Number(fs.readdirSync(tasks).map(task => fs.readFileSync(`${tasks}/${task}/children`, 'utf8'))
            .join('').trim());
        const first = child();
        assert.ok(first > 1);
        process.kill(first, 'SIGKILL');
        await until(() => !runs(first), 'it has died');
        const again = await ask(client, 'Once upon a time', { max_tokens: 20 }); // waits for the new one
        assert.match(again.choices[0].message.content, /[a-z]{3}/);
        const second = child();
        assert.notEqual(second, first);

        await box.stop();
        await until(() => !runs(second), 'the child has ended with its server');
    });
}
