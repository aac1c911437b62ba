// dashbox tasks, as people and scripts use it: list, show, wait, cancel.

import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { KEY, UUID, scratch, serve, until } from './server.mjs';

const binary = path.resolve(process.env.DASHBOX
    || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox'));
const folder = scratch('cli-tasks');

// Serves texts; those of wait.txt when they are let go.
const held = [];
const files = http.createServer((request, answer) =>
    request.url === '/wait.txt' ? held.push(answer) : answer.end('the wind blows\nstock prices fell\n'));
await new Promise(resolve => files.listen(0, '127.0.0.1', resolve));
after(() => { files.closeAllConnections(); files.close(); });
const at = `http://127.0.0.1:${files.address().port}`;

const box = await serve({ config: 'fetch: { allow: 127.0.0.0/8 }\ntasks: { running: 1 }\n' });
const env = { ...process.env, DASHSCOPE_API_KEY: KEY, DASHSCOPE_HTTP_BASE_URL: box.native };

const run = (words, command = binary) => new Promise(resolve => {
    execFile(command, words, { env, cwd: folder, timeout: 20_000 }, (error, stdout, stderr) =>
        resolve({ status: error ? error.code : 0, stdout, stderr }));
});
async function good(...words) {
    const { status, stdout, stderr } = await run(words);
    assert.deepEqual([status, stderr], [0, '']);
    return stdout;
}

async function create(name, model = 'text-embedding-async-v2') {
    const answer = await fetch(`${box.native}/services/embeddings/text-embedding/text-embedding`, { method: 'POST',
        headers: { authorization: `Bearer ${KEY}`, 'x-dashscope-async': 'enable' },
        body: JSON.stringify({ model, input: { url: `${at}/${name}` } }) });
    const { output } = await answer.json();
    assert.match(output.task_id, UUID);
    return output.task_id;
}
async function let_go() {
    await until(() => held.length > 0, 'the download to begin');
    held.shift().end('let go\n');
}
const ended = child => new Promise(resolve => child.once('close', (code, signal) => resolve(signal ?? code)));

test('wait: until it has ended, and what it brought', async () => {
    const id = await create('a.txt');
    const printed = await good('tasks', 'wait', id);
    assert.match(printed, new RegExp(`^task +${id}\nstatus +SUCCEEDED\nsubmitted +\\d{4}-.*\nstarted .*\nended .*\nresult +http://\\S+\n$`));
    const answer = JSON.parse(await good('tasks', 'wait', id, '--json'));
    assert.equal(answer.output.task_status, 'SUCCEEDED');
    assert.equal((await fetch(/result +(\S+)/.exec(printed)[1])).status, 200);
    assert.equal(await good('tasks', 'show', id), printed);
});

test('wait: what has failed', async () => {
    const id = await create('no-text.pdf');
    const { status, stdout, stderr } = await run(['tasks', 'wait', id]);
    assert.equal(status, 1);
    assert.match(stdout, /^status +FAILED\n/m);
    const { output } = JSON.parse(await good('tasks', 'show', id, '--json'));
    assert.equal(stderr, `dashbox tasks: ${output.code}: ${output.message} (task ${id})\n`);
    const unknown = await run(['tasks', 'wait', 'never-made']);
    assert.deepEqual([unknown.status, unknown.stderr], [1, 'dashbox tasks: task never-made is UNKNOWN\n']);
});

test('list: filters, pages, JSON', async () => {
    const ids = [await create('1.txt'), await create('2.txt', 'text-embedding-async-v1')];
    await good('tasks', 'wait', ...ids);
    const table = (await good('tasks', 'list', '--model', 'text-embedding-async-v1')).trimEnd().split('\n');
    assert.match(table[0], /^TASK +MODEL +STATUS +CREATED +ENDED$/);
    assert.equal(table.length, 2);
    assert.match(table[1], new RegExp(`^${ids[1]} +text-embedding-async-v1 +SUCCEEDED +\\d{4}-\\d\\d-\\d\\d `));
    const paged = await good('tasks', 'list', '--size', '1', '--status', 'SUCCEEDED');
    assert.match(paged, new RegExp(`\n${ids[1]} .*\n1 of \\d+; --page and --size show others\n$`));
    const { data } = JSON.parse(await good('tasks', 'list', '--json', '--page', '2', '--size', '1', '--status', 'SUCCEEDED'));
    assert.deepEqual(data.map(entry => entry.task_id), [ids[0]]);
    assert.equal((await run(['tasks', 'list', '--status', 'DONE'])).status, 1);
});

test('cancel: what waits, and nothing else', async () => {
    const running = await create('wait.txt'), waiting = await create('b.txt');
    assert.equal(await good('tasks', 'cancel', waiting), '');
    assert.match(await good('tasks', 'show', waiting), /^status +CANCELED$/m);
    const refused = await run(['tasks', 'cancel', waiting]);
    assert.equal(refused.status, 1);
    assert.match(refused.stderr, /^dashbox tasks: UnsupportedOperation: Failed to cancel the task/);
    await let_go();
    await good('tasks', 'wait', running);
});

test('wait: Ctrl-C ends the waiting, and says that the task goes on', async () => {
    const id = await create('wait.txt');
    const child = spawn(binary, ['tasks', 'wait', id], { env });
    let said = '';
    child.stderr.on('data', piece => { said += piece; });
    const end = ended(child);
    await until(async () => (await good('tasks', 'show', id)).includes('RUNNING'), 'it to run');
    await new Promise(resolve => setTimeout(resolve, 300)); // for the child to have asked
    child.kill('SIGINT');
    assert.deepEqual([await end, said], [130, `dashbox tasks: task ${id} goes on; dashbox tasks wait ${id}\n`]);
    const timed = await run(['tasks', 'wait', id, '--timeout', '1']);
    assert.deepEqual([timed.status, timed.stderr.split('\n')[0]], [5, 'dashbox tasks: the task has not ended in time']);
    await let_go();
    await good('tasks', 'wait', id);
});

test('wait: a terminal shows how it is', async () => {
    const id = await create('wait.txt');
    const screen = run(['-qec', `'${binary}' tasks wait ${id}`, '/dev/null'], 'script');
    await until(() => held.length > 0, 'the download to begin');
    await new Promise(resolve => setTimeout(resolve, 700)); // for a question in between
    await let_go();
    const { status, stdout } = await screen;
    assert.equal(status, 0);
    assert.match(stdout, new RegExp(`\r\x1b\\[K${id} RUNNING, \\d s`));
    assert.match(stdout, /\r\x1b\[Ktask .*\r\nstatus +SUCCEEDED\r\n/);
});

test('wrong usage', async () => {
    for (const words of [[], ['show'], ['show', 'a', 'b'], ['list', 'x'], ['cancel'], ['stop', 'x'], ['list', '--page', '0']])
        assert.equal((await run(['tasks', ...words])).status, 2, words.join(' '));
});
