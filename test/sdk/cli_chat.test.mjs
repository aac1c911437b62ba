// dashbox chat: one-shot, from pipes, and as a person has it on a terminal (script(1) makes one).

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { KEY, SCENARIO, scratch, serve, until } from './server.mjs';

const binary = path.resolve(process.env.DASHBOX
    || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox'));
const folder = scratch('chat');
const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';
const RIDDLE = 'It has keys and opens nothing. So it plays.';

const box = await serve({ scenario: SCENARIO });
const env = { ...process.env, DASHSCOPE_API_KEY: KEY, DASHSCOPE_HTTP_BASE_URL: box.native, TERM: 'xterm' };
delete env.NO_COLOR;

function chat(words, { input = '', signal_after } = {}) {
    const child = spawn(binary, ['chat', ...words], { env, cwd: folder });
    const said = { stdout: '', stderr: '' };
    child.stdout.on('data', piece => {
        said.stdout += piece;
        if (!signal_after || !said.stdout.includes(signal_after)) return;
        signal_after = null; // once
        child.kill('SIGINT');
    });
    child.stderr.on('data', piece => { said.stderr += piece; });
    child.stdin.on('error', () => {}).end(input); // it may have ended already
    return new Promise(resolve => child.once('close', (code, signal) => resolve({ status: signal ?? code, ...said })));
}

// What is typed, piece by piece: each when the screen shows what it waits for, behind what was there before.
async function on_terminal(words, script) {
    // in the shell's place: one that stayed would get the Ctrl-C too, and end by it when the program has ended
    const command = `exec ${[binary, 'chat', ...words].map(word => `'${word}'`).join(' ')}`;
    const child = spawn('script', ['-qec', command, '/dev/null'], { env, cwd: folder });
    let screen = '', seen = 0;
    child.stdout.on('data', piece => { screen += piece; });
    const ended = new Promise(resolve => child.once('close', resolve));
    try {
        for (const [waits_for, types] of script) {
            await until(() => screen.indexOf(waits_for, seen) >= 0, () => `${waits_for} on the screen:\n${screen}`, 10_000);
            seen = screen.indexOf(waits_for, seen) + waits_for.length;
            child.stdin.write(types);
        }
    } catch (error) {
        child.kill(); // or the file would wait for it for ever
        throw error;
    }
    return { status: await ended, screen: screen.replaceAll('\r', '') };
}

test('one question from the arguments', async () => {
    for (const protocol of ['native', 'compatible'])
        for (const more of [[], ['--no-stream']])
            assert.deepEqual(await chat(['poem', '--protocol', protocol, ...more]),
                { status: 0, stdout: `${POEM}\n`, stderr: '' });
});

test('one question from a pipe, and words beside it', async () => {
    assert.deepEqual(await chat([], { input: 'poem\n' }), { status: 0, stdout: `${POEM}\n`, stderr: '' });
    const { stdout } = await chat(['sum', 'this', 'up:', '-'], { input: 'a long report\n' });
    assert.equal(stdout, 'dashbox stand-in: sum this up: a long report\n');
});

test('--json is one object, with what a pipe does not show', async () => {
    for (const protocol of ['native', 'compatible']) {
        const { stdout } = await chat(['riddle', '--thinking', '--json', '--protocol', protocol]);
        const answer = JSON.parse(stdout);
        assert.equal(answer.text, 'A piano.');
        assert.equal(answer.reasoning, RIDDLE);
        assert.equal(answer.finish_reason, 'stop');
        assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
        assert.ok(answer.usage.reasoning_tokens > 0);
        assert.ok(await box.logged(answer.request_id));
    }
    assert.equal((await chat(['riddle', '--thinking'])).stdout, 'A piano.\n');
});

test('an answer that is calls of tools shows them', async () => {
    const parameters = JSON.stringify({ result_format: 'message', tool_choice: { type: 'function', function: { name: 'w' } },
        tools: [{ type: 'function', function: { name: 'w', description: 'weather',
            parameters: { type: 'object', properties: { town: { enum: ['Ulm'] } }, required: ['town'] } } }] });
    for (const protocol of ['native', 'compatible'])
        for (const more of [[], ['--no-stream']]) {
            const words = ['hi', '--protocol', protocol, '--parameters', parameters, ...more];
            assert.match((await chat(words)).stdout, /^w\(\{"town": ?"Ulm"\}\)\n$/);
            const { text, tool_calls } = JSON.parse((await chat([...words, '--json'])).stdout);
            assert.deepEqual([text, tool_calls.map(call => [call.name, JSON.parse(call.arguments)])], ['', [['w', { town: 'Ulm' }]]]);
        }
});

test('models of the multimodal endpoint, and models that repeat themselves', async () => {
    assert.equal((await chat(['poem', '--model', 'qwen3-vl-plus'])).stdout, `${POEM}\n`);
    const { stdout } = await chat(['one two three four five six seven eight', '--model', 'qwen-mt-plus', '--parameters',
        '{"translation_options":{"source_lang":"English","target_lang":"Chinese"}}']);
    assert.equal(stdout.split('one two').length, 2, stdout);
});

test('what the server refuses is said as it says it', async () => {
    const { status, stdout, stderr } = await chat(['hello', '--parameters', '{"temperature":2}']);
    assert.equal(status, 1);
    assert.equal(stdout, '');
    assert.match(stderr, /^dashbox chat: InvalidParameter: Temperature should be in \[0\.0, 2\.0\) \(request [-0-9a-f]{36}\)\n$/);
    assert.equal((await chat(['break off'])).status, 1);
    assert.match((await chat(['break off'])).stderr, /^dashbox chat: \S+: /);
});

test('wrong usage, no key, no server, no time', async () => {
    assert.equal((await chat(['--protocol', 'grpc', 'x'])).status, 2);
    assert.equal((await chat(['x', '--timeout', 'soon'])).status, 2);
    assert.match((await chat(['x', '--modle', 'y'])).stderr, /--model/);
    const none = await chat(['x', '--api-key=']);
    assert.deepEqual([none.status, none.stderr.split('\n')[1]], [3, '  Set DASHSCOPE_API_KEY, or give --api-key KEY.']);
    assert.equal((await chat(['x', '--base-url', 'http://127.0.0.1:1/api/v1'])).status, 4);
    const late = await chat(['slow', '--timeout', '1']);
    assert.deepEqual([late.status, late.stderr], [5, `dashbox chat: ${new URL(box.url).host} did not answer in time\n`]);
    assert.match(late.stdout, /^la la/);
});

test('Ctrl-C ends an answer, and then a one-shot command', async () => {
    const { status, stdout, stderr } = await chat(['slow'], { signal_after: 'la la' });
    assert.equal(status, 130);
    assert.match(stdout, /^(la ?)+\n$/);
    assert.ok(stdout.length < 600);
    assert.equal(stderr, '');
    await until(async () => await box.metric('dashbox_requests_active') === 0, 'the server to notice');
});

test('a conversation: history, thinking, commands', async () => {
    const { status, screen } = await on_terminal(['--thinking', '--system', 'be kind'], [
        ['> ', 'poem\n'],
        ['> ', 'riddle\n'],
        ['> ', '/model qwen-turbo\n'],
        ['> ', 'two \\\n'],
        ['. ', 'lines\n'],
        ['> ', '/save talk.json\n'],
        ['> ', '/clear\n'],
        ['> ', '/system\n'],
        ['> ', '/save empty.json\n'],
        ['> ', '/what\n'],
        ['> ', '/quit\n'],
    ]);
    assert.equal(status, 0, screen);
    assert.match(screen, /^qwen-plus, native protocol; \/help says more\n/);
    assert.ok(screen.includes(POEM), screen);
    assert.ok(screen.includes(`\x1b[2m${RIDDLE}\x1b[0m\n\nA piano.\n`), screen);
    assert.match(screen, /\/save FILE/);
    const talk = JSON.parse(fs.readFileSync(path.join(folder, 'talk.json'), 'utf8'));
    assert.deepEqual(talk.map(m => m.role), ['system', 'user', 'assistant', 'user', 'assistant', 'user', 'assistant']);
    assert.deepEqual(talk[0], { role: 'system', content: 'be kind' });
    assert.deepEqual(talk.slice(3, 6), [{ role: 'user', content: 'riddle' }, { role: 'assistant', content: 'A piano.' },
        { role: 'user', content: 'two \nlines' }]);
    assert.deepEqual(JSON.parse(fs.readFileSync(path.join(folder, 'empty.json'), 'utf8')), []);
});

test('in a conversation Ctrl-C ends the answer and not the program, and a refusal neither', async () => {
    const { status, screen } = await on_terminal([], [
        ['> ', 'slow\n'],
        ['la la', '\x03'],
        ['> ', 'never sent'],
        ['never sent', '\x03'],
        ['> ', 'refuse\n'],
        ['dashbox chat: ', ''],
        ['> ', 'poem\n'],
        [POEM, ''],
        ['> ', '/save kept.json\n'],
        ['messages', ''],
        ['> ', '\x04'],
    ]);
    assert.equal(status, 0, screen);
    const kept = JSON.parse(fs.readFileSync(path.join(folder, 'kept.json'), 'utf8'));
    assert.deepEqual(kept.map(m => m.role), ['user', 'assistant', 'user', 'assistant']); // not the refused one
    assert.match(kept[1].content, /^(la ?)+$/);
    assert.deepEqual(kept[2], { role: 'user', content: 'poem' });
});

test('the answer stays a colourless text where colours are not wanted', async () => {
    env.NO_COLOR = '1';
    const { screen } = await on_terminal(['--thinking'], [['> ', 'riddle\n'], ['A piano.', ''], ['> ', '\x04']]);
    delete env.NO_COLOR;
    assert.ok(screen.includes(`${RIDDLE}\n\nA piano.\n`), screen);
    assert.ok(!screen.includes('\x1b['), JSON.stringify(screen));
});
