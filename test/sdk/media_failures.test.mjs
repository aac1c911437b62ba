// What media services say when the media engine dies over their work, or when a result cannot be kept: E214, E215, E216, E220, E225b, E225c, E225d.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { KEY, scratch, serve, until } from './server.mjs';
import { picture } from '../wire/faulty_engine.mjs';

const folder = scratch('media');
const box = await serve({ args: ['--data', path.join(folder, 'data')] });
const PICTURE = `data:image/png;base64,${picture({ width: 640, height: 520 }).toString('base64')}`;

async function call(where, body, headers = {}) {
    const answer = await fetch(`${box.native}${where}`, { method: body ? 'POST' : 'GET', body: body && JSON.stringify(body),
        headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers } });
    return answer.json();
}

async function task(where, body) {
    const made = await call(`/services/aigc/${where}`, body, { 'X-DashScope-Async': 'enable' });
    assert.ok(made.output?.task_id, JSON.stringify(made));
    return until(async () => {
        const { output } = await call(`/tasks/${made.output.task_id}`);
        return ['SUCCEEDED', 'FAILED'].includes(output.task_status) && output;
    }, 'the end of the task', 60_000);
}

// A child belongs to the thread that has started it.
const engines = () => fs.readdirSync(`/proc/${box.process.pid}/task`).flatMap(thread =>
    fs.readFileSync(`/proc/${box.process.pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean));

// Each engine that the server starts is killed at once, as the kernel does when memory runs out.
async function while_engines_die(work) {
    const killing = setInterval(() => {
        for (const pid of engines()) try { process.kill(Number(pid), 'SIGKILL'); } catch { /* it has ended */ }
    }, 1);
    try {
        return await work();
    } finally {
        clearInterval(killing);
    }
}

// After engines that did not come up the server waits a little before it starts the next.
const succeeds = (where, body) => until(async () => (await task(where, body)).task_status === 'SUCCEEDED', 'engines that live', 60_000);

const services = {
    'wan2.2-t2i-flash': ['text2image/image-synthesis', { input: { prompt: 'a kite' }, parameters: { n: 1 } }, 'InternalError.Algo', 'inference internal error.'],
    'image-out-painting': ['image2image/out-painting', { input: { image_url: PICTURE }, parameters: { x_scale: 2 } }, 'InternalError.Algo', 'algorithm process error.'],
    'wanx-poster-generation-v1': ['text2image/image-synthesis', { input: { generate_mode: 'generate', title: 'Spring', prompt_text_en: 'blossoms' }, parameters: {} },
        'InternalError.Algo', 'inference error.'],
    'shoemodel-v1': ['virtualmodel/generation', { input: { template_image_url: PICTURE, shoe_image_url: [PICTURE] }, parameters: { n: 1 } },
        'InternalError.Algo', 'An internal error occurs during computation, please try this model later.'],
};

for (const [model, [where, body, code, message]] of Object.entries(services))
    test(`an engine that dies over the results of ${model}`, async () => {
        await succeeds(where, { model, ...body }); // and what was looked into is known from now on
        const bad = await while_engines_die(() => task(where, { model, ...body }));
        assert.equal(bad.task_status, 'FAILED');
        assert.deepEqual([bad.code, bad.message], [code, message]);
        await succeeds(where, { model, ...body });
    });

test('an engine that dies over the picture of a call', async () => {
    const image_url = `data:image/png;base64,${picture({ width: 641, height: 521 }).toString('base64')}`;
    const bad = await while_engines_die(() => task('image2image/out-painting', { model: 'image-out-painting', input: { image_url }, parameters: {} }));
    assert.deepEqual([bad.code, bad.message], ['InternalError.Algo', 'An internal error has occured during algorithm execution.']);
});

test('a result that cannot be kept', async () => {
    await succeeds(services['image-out-painting'][0], { model: 'image-out-painting', ...services['image-out-painting'][1] });
    const results = path.join(folder, 'data', 'results');
    fs.renameSync(results, `${results}.kept`);
    fs.writeFileSync(results, 'in the way');
    for (const [model, code, message] of [['wan2.2-t2i-flash', 'InternalError.Upload', 'Failed to upload result.'],
        ['image-out-painting', 'InternalError.FileUpload', 'oss upload error.']]) {
        const bad = await task(services[model][0], { model, ...services[model][1] });
        assert.equal(bad.task_status, 'FAILED');
        assert.deepEqual([bad.code, bad.message], [code, message]);
    }
    fs.rmSync(results);
    fs.renameSync(`${results}.kept`, results);
    await succeeds(services['wan2.2-t2i-flash'][0], { model: 'wan2.2-t2i-flash', ...services['wan2.2-t2i-flash'][1] });
});
