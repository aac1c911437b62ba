// dashbox tune and dashbox deployments, as people and scripts use them.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { KEY, serve, until } from './server.mjs';

const binary = path.resolve(process.env.DASHBOX
    || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox'));

const plain = await serve({ config: 'tuning: { deploy: 0ms }\n' });
const waiting = await serve({ config: `tuning: { trainer: "sh -c 'echo at it; sleep 60'" }\n` });

const environment = box => ({ ...process.env, DASHSCOPE_API_KEY: KEY, DASHSCOPE_HTTP_BASE_URL: box.native });
const run = (box, ...words) => new Promise(resolve => {
    execFile(binary, words, { env: environment(box), timeout: 20_000 }, (error, stdout, stderr) =>
        resolve({ status: error ? error.code : 0, stdout, stderr }));
});
async function good(box, ...words) {
    const { status, stdout, stderr } = await run(box, ...words);
    assert.deepEqual([status, stderr], [0, ''], words.join(' '));
    return stdout;
}
async function upload(box, text) {
    const form = new FormData();
    form.append('files', new Blob([text]), 'a.jsonl');
    const answer = await fetch(`${box.native}/files`, { method: 'POST', body: form, headers: { authorization: `Bearer ${KEY}` } });
    return (await answer.json()).data.uploaded_files[0].file_id;
}
const GOOD = '{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}\n';

test('a job is made, waited for, looked at, and deleted', async () => {
    const file = await upload(plain, GOOD);
    const printed = await good(plain, 'tune', 'create', '--model', 'qwen-turbo', '--parameters', '{"n_epochs":2}', '--type', 'sft',
        '--name', 'first', '--model-name', 'tom', '--wait', file);
    assert.match(printed, /^job_id +ft-\S+\njob_name +first\nstatus +SUCCEEDED\nmodel +qwen-turbo\nfinetuned_output +tom\n/);
    assert.match(printed, /hyper_parameters +\{"n_epochs":2\}\n/);
    const job = /ft-\S+/.exec(printed)[0];
    assert.equal(await good(plain, 'tune', 'show', job), printed);
    assert.equal(JSON.parse(await good(plain, 'tune', 'wait', job, '--json')).output.status, 'SUCCEEDED');
    const log = await good(plain, 'tune', 'logs', job);
    assert.match(log, /nothing has been trained[^]*##FT_COMPLETE##\n$/);
    assert.equal(await good(plain, 'tune', 'logs', job, '--follow'), log);
    assert.match(await good(plain, 'tune', 'list', '--model', 'qwen-turbo', '--size', '1'),
        new RegExp(`^JOB +MODEL +STATUS +CREATED +ENDED +MODEL MADE\n${job} +qwen-turbo +SUCCEEDED +\\d{4}-.* tom\n$`));
    const late = await run(plain, 'tune', 'cancel', job);
    assert.equal(late.status, 1);
    assert.match(late.stderr, /can not be deleted/);
    await good(plain, 'tune', 'delete', job);
    assert.equal((await run(plain, 'tune', 'show', job)).status, 1);
});

test('a job whose file is bad is a failure that says why', async () => {
    const { status, stderr } = await run(plain, 'tune', 'create', '--model', 'qwen-turbo', '--wait', await upload(plain, '{}\n'));
    assert.equal(status, 1);
    assert.match(stderr, /^dashbox tune: job ft-\S+ is FAILED: a\.jsonl: 1 of 1 lines are not what sft training wants/);
});

test('Ctrl-C ends the wait, and not the job', async () => {
    const job = (await good(waiting, 'tune', 'create', '--model', 'qwen-turbo', await upload(waiting, GOOD))).trim();
    assert.match(job, /^ft-\S+$/);
    const child = spawn(binary, ['tune', 'logs', '--follow', job], { env: environment(waiting) });
    let out = '', err = '';
    child.stdout.on('data', piece => { out += piece; });
    child.stderr.on('data', piece => { err += piece; });
    const ended = new Promise(resolve => child.once('close', code => resolve(code)));
    await until(() => out.includes('at it'), 'the trainer\'s word', 15000);
    child.kill('SIGINT');
    assert.equal(await ended, 130, err);
    assert.match(err, new RegExp(`job ${job} goes on`));
    assert.match(await good(waiting, 'tune', 'show', job), /status +RUNNING/);
    await good(waiting, 'tune', 'cancel', job);
    const { status, stderr } = await run(waiting, 'tune', 'wait', job);
    assert.deepEqual([status, stderr], [1, `dashbox tune: job ${job} is CANCELED\n`]);
});

test('a model is deployed, named by a call, scaled, and taken away', async () => {
    const name = (await good(plain, 'deployments', 'create', 'qwen-plus', '--suffix', 'a', '--name', 'mine')).trim();
    assert.match(name, /^qwen-plus-[0-9a-f]{8}-a$/);
    assert.match(await good(plain, 'deployments', 'show', name), new RegExp(`^deployed_model +${name}\nname +mine\nstatus +RUNNING\n`));
    assert.match(await good(plain, 'chat', '--model', name, 'hello'), /hello/);
    assert.match(await good(plain, 'deployments', 'list'), new RegExp(`^DEPLOYMENT +MODEL +STATUS +CAPACITY +CREATED\n${name} +qwen-plus +RUNNING +1 `));
    assert.match(await good(plain, 'deployments', 'scale', name, '0'), /status +STOPPED/);
    assert.match((await run(plain, 'deployments', 'scale', name, '1000')).stderr, /Invalid capacity \(1000\)/);
    await good(plain, 'deployments', 'delete', name);
    assert.match((await run(plain, 'deployments', 'show', name)).stderr, /not found/);
    assert.match(await good(plain, 'deployments', 'models', '--size', '2'), /^MODEL +BASE CAPACITY\n\S+ +1\n\S+ +1\n2 of \d+; --page/);
});

test('what is not understood is said with the usage', async () => {
    for (const words of [['tune'], ['tune', 'create'], ['tune', 'show'], ['tune', 'fly', 'x'], ['deployments'], ['deployments', 'scale', 'x'],
        ['tune', 'create', '--model', 'm', '--parameters', '[', 'x'], ['tune', 'list', '--page', 'x']])
        assert.equal((await run(plain, ...words)).status, 2, words.join(' '));
    assert.match(await good(plain, 'tune', '--help'), /^usage: dashbox tune create/);
});
