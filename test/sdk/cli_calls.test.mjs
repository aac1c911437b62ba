// dashbox embed, rerank, tokens and models, as scripts use them.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { KEY, scratch, serve, until } from './server.mjs';

const binary = path.resolve(process.env.DASHBOX
    || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox'));
const folder = scratch('calls');

const box = await serve();
const env = { ...process.env, DASHSCOPE_API_KEY: KEY, DASHSCOPE_HTTP_BASE_URL: box.native };

function run(words, input = '', command = binary) {
    return new Promise(resolve => {
        const child = execFile(command, words, { env, cwd: folder, timeout: 20_000 }, (error, stdout, stderr) =>
            resolve({ status: error ? error.code : 0, stdout, stderr }));
        child.stdin.on('error', () => {}).end(input); // it may have ended already
    });
}
async function good(words, input, command) {
    const { status, stdout, stderr } = await run(words, input, command);
    assert.equal(status, 0, stderr);
    return stdout;
}
const lines = text => text.trimEnd().split('\n');
const post = async (where, body) => (await fetch(`${box.native}${where}`, {
    method: 'POST', headers: { authorization: `Bearer ${KEY}` }, body: JSON.stringify(body) })).json();

test('embed: a line of JSON a text, as the server answers', async () => {
    const texts = ['the river', '春眠不觉晓', 'a "quoted" line'];
    const answer = await post('/services/embeddings/text-embedding/text-embedding',
        { model: 'text-embedding-v4', input: { texts }, parameters: { dimension: 128 } });
    const printed = lines(await good(['embed', ...texts, '--dimension', '128'])).map(line => JSON.parse(line));
    assert.deepEqual(printed, answer.output.embeddings.map(e => ({ index: e.text_index, text: texts[e.text_index], embedding: e.embedding })));
    assert.equal(await good(['embed', '--dimension', '128'], texts.join('\n\n  ')), await good(['embed', ...texts, '--dimension', '128']));
});

test('embed: more lines than a model takes at once', async () => {
    const texts = Array.from({ length: 33 }, (_, i) => `line ${i}`);
    const printed = lines(await good(['embed', '--dimension', '64'], texts.join('\n'))).map(line => JSON.parse(line));
    assert.deepEqual(printed.map(p => p.text), texts);
    assert.deepEqual(printed.map(p => p.index), texts.map((_, i) => i));
    assert.ok(printed.every(p => p.embedding.length === 64));
});

test('embed --compare: the cosine of two', async () => {
    const near = Number(await good(['embed', '--compare', 'the old river', 'the old rivers']));
    const far = Number(await good(['embed', '--compare', 'the old river', 'compilers warn']));
    assert.ok(near > far && near < 1, `${near} ${far}`);
    assert.equal(await good(['embed', '--compare', 'the same', 'the same']), '1.0000\n');
    assert.equal((await run(['embed', '--compare', 'one'])).status, 2);
});

test('embed: nothing to embed, and what the server refuses', async () => {
    const nothing = await run(['embed']);
    assert.deepEqual([nothing.status, nothing.stderr],
        [2, 'dashbox embed: InputRequiredException: Parameter invalid: text is null\n']);
    const refused = await run(['embed', 'x', '--dimension', '63']);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^dashbox embed: InvalidParameter: .*dimension.* \(request /s);
});

test('rerank: the best first', async () => {
    const documents = ['dogs bark at night', 'a cat is a small animal', 'the moon'];
    const printed = lines(await good(['rerank', 'what is a cat', ...documents]));
    assert.equal(printed.length, 3);
    assert.match(printed[0], /^0\.\d{4}  a cat is a small animal$/);
    const [best, ...rest] = lines(await good(['rerank', 'what is a cat', '--json', '--top', '1'], documents.join('\n')));
    assert.equal(rest.length, 0);
    assert.equal(JSON.parse(best).index, 1);
    assert.equal((await run(['rerank'])).status, 2);
});

test('tokens: the same as the server\'s', async () => {
    const text = 'Hello, wörld! 代码改变世界 12345 \t\r\n  don\'t 👩‍🚀 <|im_start|> e\u0301\n';
    const file = path.join(folder, 'text');
    fs.writeFileSync(file, text);
    const { output, usage } = await post('/tokenizer', { model: 'qwen-turbo', input: { prompt: text }, parameters: {} });
    assert.equal(await good(['tokens', file]), `${usage.input_tokens}\n`);
    assert.equal(await good(['tokens', '-'], text), `${usage.input_tokens}\n`);
    assert.deepEqual(lines(await good(['tokens', file, '--ids'])).map(Number), output.token_ids);
    assert.deepEqual(lines(await good(['tokens', file, '--tokens'])).map(line => JSON.parse(line)), output.tokens);
    assert.deepEqual(JSON.parse(await good(['tokens', file, '--json'])),
        { count: usage.input_tokens, token_ids: output.token_ids, tokens: output.tokens });
    assert.equal(await good(['tokens', '-'], ''), '0\n');
    assert.match((await run(['tokens', 'nowhere'])).stderr, /^dashbox tokens: nowhere: No such file or directory\n$/);
    assert.equal((await run(['tokens'])).status, 2);
});

test('models: a table, JSON, one model, and what the server serves', async () => {
    const data = ['--data', path.join(folder, 'data')];
    const table = lines(await good(['models', ...data]));
    assert.match(table[0], /^MODEL +TASK +CONTEXT +OUTPUT +RPM +TPM +STATE +ABILITIES$/);
    assert.ok(table.length > 200);
    assert.equal(await good(['models', ...data]), await good(['models', 'list', ...data]));
    const plus = JSON.parse(await good(['models', 'list', 'qwen-plus', '--json', ...data]));
    assert.equal(plus.limits.context, 1_000_000);
    assert.ok(plus.abilities.length > 2);
    assert.match(await good(['models', 'show', 'qwen-plus', ...data]), /^context +1,000,000$/m);
    const served = lines(await good(['models', 'served']));
    const { output } = await (await fetch(`${box.native}/models`, { headers: { authorization: `Bearer ${KEY}` } })).json();
    assert.equal(served.length - 1, output.total);
    assert.match(await good(['models', 'served', 'qwen-pl*']), /\nqwen-plus +/);
});

test('models: on a terminal the abilities stay in their column', async () => {
    const command = `stty cols 100; '${binary}' models list 'qwen3-vl-plus' --data '${path.join(folder, 'data')}'`;
    const screen = lines(await good(['-qec', command, '/dev/null'], '', 'script')).map(line => line.replace('\r', ''));
    const column = screen[0].indexOf('ABILITIES');
    assert.ok(screen.length > 2, screen.join('\n'));
    for (const line of screen) {
        assert.ok(line.length <= 100, line);
        assert.equal(line[column - 1], ' ', line);
    }
    assert.match(screen[2], /^ +\S/);
});

test('models served: the statuses and options of the other calls', async () => {
    const none = await run(['models', 'served', '--api-key=']);
    assert.deepEqual([none.status, none.stderr.split('\n')[1]], [3, '  Set DASHSCOPE_API_KEY, or give --api-key KEY.']);
    assert.equal((await run(['models', 'served', '--base-url', 'http://127.0.0.1:1/api/v1'])).status, 4);
    const refused = await run(['models', 'served', '--api-key', 'sk-wrong']);
    assert.deepEqual([refused.status, refused.stdout], [1, '']);
    assert.match(refused.stderr, /^dashbox models: InvalidApiKey: .* \(request /);
    assert.deepEqual(JSON.parse(await good(['models', 'served', 'qwen-plus', '--json'])), { id: 'qwen-plus' });
    assert.equal((await run(['models', 'served', 'a', 'b'])).status, 2);
});

test('models show: values stand in one column', async () => {
    const shown = lines(await good(['models', 'show', 'qwen-plus', '--data', path.join(folder, 'data')]));
    const column = shown[0].indexOf('qwen-plus');
    assert.ok(shown.some(line => line.startsWith('sampling.thinking ')));
    for (const line of shown.slice(0, shown.indexOf(''))) assert.match(line.slice(column - 2), /^ {2}\S/, line);
});

test('behind -- all words are texts', async () => {
    assert.equal(JSON.parse(await good(['embed', '--dimension', '64', '--', '--json'])).text, '--json');
});

test('Ctrl-C ends the reading of input without a word', async () => {
    for (const words of [['embed'], ['rerank', 'x'], ['chat'], ['tokens', '-']]) {
        const child = spawn(binary, words, { env, cwd: folder });
        let said = '';
        child.stderr.on('data', piece => { said += piece; });
        const ended = new Promise(resolve => child.once('close', (code, signal) => resolve(signal ?? code)));
        await until(() => /^\S+ \(dashbox\) S /.test(fs.readFileSync(`/proc/${child.pid}/stat`, 'utf8')), 'it to wait for input');
        child.kill('SIGINT');
        assert.deepEqual([await ended, said], ['SIGINT', ''], words.join(' '));
    }
});

test('what cannot be written is a failure, and a closed standard output none', async () => {
    for (const words of ['embed x', 'chat x', 'models list --data data', 'explain E205']) {
        const { status, stderr } = await run(['-c', `'${binary}' ${words} >/dev/full`], '', 'sh');
        assert.deepEqual([status, stderr], [1, 'dashbox: standard output could not be written\n'], words);
    }
    const closed = await run(['-c', `'${binary}' embed x >&-`], '', 'sh');
    assert.deepEqual([closed.status, closed.stderr], [0, '']);
});

test('a command that is misspelt', async () => {
    const { status, stderr } = await run(['modles']);
    assert.deepEqual([status, stderr], [2, 'dashbox: there is no command "modles"; did you mean models? See dashbox help\n']);
});
