// Fine-tuning and deployments: files are checked line by line, a job is made, followed and cancelled; a trainer of the operator's trains,
// or nobody does, and says so. What comes of it is deployed, and answers. The ends of jobs that have failed: D030-D033, D035.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import zlib from 'node:zlib';
import { after } from 'node:test';
import { KEY, scratch, serve, until } from './server.mjs';
import { ADMIN_CONFIG, admin } from './tenants.mjs';

const folder = scratch('tuning');

async function call(box, method, where, body) {
    const answer = await fetch(`${box.native}${where}`, { method, body: body && JSON.stringify(body),
        headers: { authorization: `Bearer ${box.key}`, ...body && { 'content-type': 'application/json' } } });
    return { status: answer.status, ...await answer.json() };
}

// As the Python SDK uploads: without a purpose.
async function upload(box, name, text) {
    const form = new FormData();
    form.append('files', new Blob([text]), name);
    const answer = await fetch(`${box.native}/files`, { method: 'POST', body: form, headers: { authorization: `Bearer ${box.key}` } });
    const { data } = await answer.json();
    assert.equal(data.failed_uploads.length, 0, JSON.stringify(data));
    return data.uploaded_files[0].file_id;
}

const chat = (user, assistant, more) => JSON.stringify({ messages: [{ role: 'system', content: 'You are terse.' },
    { role: 'user', content: user }, { role: 'assistant', content: assistant, ...more }] });
const SAMPLES = Array.from({ length: 10 }, (_, i) => chat(`question ${i}`, `answer ${i}`)).join('\n') + '\n';

const create = (box, file, more = {}) => call(box, 'POST', '/fine-tunes', { model: 'qwen-turbo', training_file_ids: [file],
    hyper_parameters: { n_epochs: 2, batch_size: 4, max_length: 2048, learning_rate: '1.6e-5' }, training_type: 'sft', ...more });
const show = async (box, id) => (await call(box, 'GET', `/fine-tunes/${id}`)).output;
const logs = async (box, id) => (await call(box, 'GET', `/fine-tunes/${id}/logs?offset=0&line=1000`)).output.logs;
const ENDS = ['SUCCEEDED', 'FAILED', 'CANCELED'];
const wait = (box, id) => until(async () => {
    const job = await show(box, id);
    return ENDS.includes(job.status) && job;
}, `the end of ${id}`, 20000);
const talk = (box, model) => call(box, 'POST', '/services/aigc/text-generation/generation', { model,
    input: { messages: [{ role: 'user', content: 'hello there' }] }, parameters: { result_format: 'message' } });

const box = await serve({ config: `${ADMIN_CONFIG}\ntuning: { deploy: 0ms, jobs: 0, unfinished: 0 }\n` });

test('a job without a trainer checks its file, and ends with an alias that says that it is one', async () => {
    const file = await upload(box, 'good.jsonl', SAMPLES);
    const made = await create(box, file, { finetuned_output_suffix: 'mine' });
    assert.equal(made.status, 200, JSON.stringify(made));
    const job = made.output;
    assert.match(job.job_id, /^ft-\d{12}-[0-9a-f]{4}$/);
    assert.equal(job.job_name, job.job_id);
    assert.equal(job.status, 'PENDING');
    assert.deepEqual(job.training_file_ids, [file]);
    assert.deepEqual(job.hyper_parameters, { n_epochs: 2, batch_size: 4, max_length: 2048, learning_rate: '1.6e-5' });
    assert.equal(job.finetuned_output, undefined);
    const done = await wait(box, job.job_id);
    assert.equal(done.status, 'SUCCEEDED', JSON.stringify([done, await logs(box, job.job_id)]));
    assert.equal(done.finetuned_output, `qwen-turbo-mine-${job.job_id}`);
    assert(Number.isInteger(done.usage) && done.usage > 0);
    assert.match(done.end_time, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    const lines = await logs(box, job.job_id);
    const text = lines.join('\n');
    assert.match(text, /good\.jsonl: 10 samples, 10 good, \d+ tokens/);
    assert.match(text, /8 samples to train on, 2 to validate with; 2 epochs of 4, 4 steps/);
    assert.match(text, /nothing has been trained/);
    assert.match(text, new RegExp(`${done.finetuned_output} is an alias of qwen-turbo`));
    assert.match(lines.at(-1), /SUCCEEDED ##FT_COMPLETE##$/);
    // a page of them
    const { output: page } = await call(box, 'GET', `/fine-tunes/${job.job_id}/logs?offset=1&line=2`);
    assert.deepEqual([page.total, page.logs], [lines.length, lines.slice(1, 3)]);
});

test('tokens are those of the samples that are trained on, as often as they are', async () => {
    const file = await upload(box, 'one.jsonl', chat('a b c', 'd e f'));
    const [once, thrice] = await Promise.all([1, 3].map(async n_epochs =>
        wait(box, (await create(box, file, { hyper_parameters: { n_epochs, split: 1 } })).output.job_id)));
    assert.equal(thrice.usage, 3 * once.usage);
    const cut = await wait(box, (await create(box, file, { hyper_parameters: { n_epochs: 1, max_length: 7, split: 1 } })).output.job_id);
    assert.equal(cut.usage, 7);
});

test('each bad line is told with its number and its reason', async () => {
    const file = await upload(box, 'bad.jsonl', [chat('q', 'a'), '{"messages":[{"role":"user","content":"q"}]}', '', 'no json',
        '{"messages":[{"role":"robot","content":"q"}]}', JSON.stringify({ messages: [{ role: 'user', content: 'q' }, { role: 'assistant' }] })].join('\n'));
    const done = await wait(box, (await create(box, file)).output.job_id);
    assert.equal(done.status, 'FAILED');
    assert.equal(done.code, 'InvalidParameter');
    assert.equal(done.message, 'bad.jsonl: 4 of 5 lines are not what sft training wants; the log of the job names them.'); // D030
    assert.equal(done.finetuned_output, undefined);
    const text = (await logs(box, done.job_id)).join('\n');
    assert.match(text, /bad\.jsonl, line 2: the last message is not the assistant's/);
    assert.match(text, /bad\.jsonl, line 4: it is no JSON in UTF-8/);
    assert.match(text, /bad\.jsonl, line 5: messages\[0\]\.role "robot" is none of/);
    assert.match(text, /bad\.jsonl, line 6: messages\[1\] has no content/);
    assert.match(text, /FAILED ##FT_COMPLETE##$/);
});

test('each kind of training has lines of its own', async () => {
    const dpo = JSON.stringify({ messages: [{ role: 'user', content: 'q' }], chosen: { role: 'assistant', content: 'a' },
        rejected: { role: 'assistant', content: 'b' } });
    const cases = [['dpo_lora', dpo, 'SUCCEEDED'], ['dpo_full', chat('q', 'a'), 'FAILED'], ['cpt', '{"text":"once upon a time"}', 'SUCCEEDED'],
        ['cpt', dpo, 'FAILED'], ['efficient_sft', chat('q', 'a', { reasoning_content: 'hm' }), 'SUCCEEDED'], ['sft', dpo, 'FAILED'],
        [undefined, chat('q', 'a'), 'SUCCEEDED'], ['sft', '\n \n', 'FAILED'], ['sft', 'PK\x03\x04 an archive', 'FAILED']];
    for (const [training_type, text, status] of cases) {
        const file = await upload(box, 'x.jsonl', text);
        const done = await wait(box, (await create(box, file, { training_type })).output.job_id);
        assert.equal(done.status, status, JSON.stringify([training_type, text, done]));
    }
});

// A ZIP of these files; `packed`: deflated, else stored.
function zip(files, packed = true) {
    const bodies = [], list = [];
    let at = 0;
    for (const [name, text] of Object.entries(files)) {
        const bytes = Buffer.from(text), body = packed ? zlib.deflateRawSync(bytes) : bytes, fields = Buffer.alloc(26);
        fields.writeUInt16LE(20, 0);
        fields.writeUInt16LE(packed ? 8 : 0, 4);
        fields.writeUInt32LE(zlib.crc32 ? zlib.crc32(bytes) : crc32(bytes), 10);
        fields.writeUInt32LE(body.length, 14);
        fields.writeUInt32LE(bytes.length, 18);
        fields.writeUInt16LE(Buffer.byteLength(name), 22);
        const where = Buffer.alloc(14);
        where.writeUInt32LE(at, 10);
        bodies.push(Buffer.from('PK\x03\x04'), fields, Buffer.from(name), body);
        list.push(Buffer.from('PK\x01\x02\x14\0'), fields, where, Buffer.from(name));
        at += 30 + Buffer.byteLength(name) + body.length;
    }
    const end = Buffer.alloc(18), directory = Buffer.concat(list);
    end.writeUInt16LE(Object.keys(files).length, 4);
    end.writeUInt16LE(Object.keys(files).length, 6);
    end.writeUInt32LE(directory.length, 8);
    end.writeUInt32LE(at, 12);
    return Buffer.concat([...bodies, directory, Buffer.from('PK\x05\x06'), end]);
}

function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let i = 0; i < 8; i++) crc = crc >>> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
}

const seen = file => JSON.stringify({ messages: [{ role: 'user', content: [{ image: file }, { text: 'what is it' }] },
    { role: 'assistant', content: 'a cat' }] });

test('samples with pictures come as an archive, and what they name is in it', async () => {
    const order = { model: 'qwen-vl-max' };
    for (const packed of [true, false]) {
        const file = await upload(box, 'cats.zip', zip({ 'a.png': 'a', 'data.jsonl': [seen('a.png'), seen('./b/c.png')].join('\n'), 'b/c.png': 'c' }, packed));
        const done = await wait(box, (await create(box, file, order)).output.job_id);
        assert.equal(done.status, 'SUCCEEDED', JSON.stringify([done, await logs(box, done.job_id)]));
        assert.match((await logs(box, done.job_id)).join('\n'), /cats\.zip: 2 samples, 2 good/);
    }
    const whole = zip({ 'data.jsonl': Array.from({ length: 500 }, (_, i) => seen(`${i}.png`)).join('\n') });
    for (const [name, bytes, why] of [['lacks.zip', zip({ 'data.jsonl': seen('a.png') }), /line 1: it names a\.png, which is not in the archive/],
        ['deep.zip', zip({ 'x/data.jsonl': seen('a.png') }), /there is no data\.jsonl at its root/],
        ['cut.zip', whole.subarray(0, whole.length - 30), /it is no whole ZIP archive/],
        ['torn.zip', Buffer.concat([whole.subarray(0, 100), Buffer.alloc(50), whole.subarray(150)]), /its data\.jsonl is broken/],
        ['empty.zip', zip({ 'data.jsonl': '' }), /there is nothing in it to train on/]]) {
        const done = await wait(box, (await create(box, await upload(box, name, bytes), order)).output.job_id);
        assert.equal(done.status, 'FAILED', name);
        assert.match((await logs(box, done.job_id)).join('\n'), why);
    }
});

// A grey picture.
function png(width, height) {
    const chunk = (name, bytes) => {
        const body = Buffer.concat([Buffer.from(name), bytes]), ends = Buffer.alloc(8);
        ends.writeUInt32BE(bytes.length, 0);
        ends.writeUInt32BE(crc32(body), 4);
        return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
    };
    const head = Buffer.alloc(13);
    head.writeUInt32BE(width, 0);
    head.writeUInt32BE(height, 4);
    head[8] = 8;
    return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head),
        chunk('IDAT', zlib.deflateSync(Buffer.alloc((width + 1) * height, 127))), chunk('IEND', Buffer.alloc(0))]);
}

test('a portrait is trained on pictures, and is a resource from the first', async () => {
    const ask = file => call(box, 'POST', '/fine-tunes', { model: 'facechain-finetune', training_file_ids: [file] });
    const none = await call(box, 'POST', '/fine-tunes', { model: 'facechain-finetune', training_file_ids: [] });
    assert.deepEqual([none.status, none.message], [400, 'Missing training files.']);
    const made = (await ask(await upload(box, 'me.png', png(300, 200)))).output;
    assert.equal(made.finetuned_output, `facechain-finetune-${made.job_id}`);
    const done = await wait(box, made.job_id);
    assert.equal(done.status, 'SUCCEEDED', JSON.stringify([done, await logs(box, done.job_id)]));
    assert.match((await logs(box, done.job_id)).join('\n'), /me\.png: a picture of 300 by 200/);
    assert.deepEqual((await call(box, 'GET', `/fine-tunes/${done.job_id}/checkpoints`)).output, []);
    assert.equal((await call(box, 'POST', '/deployments', { model_name: done.finetuned_output, capacity: 1 })).status, 404);
    const bad = await wait(box, (await ask(await upload(box, 'me.jpg', 'not a picture'))).output.job_id);
    assert.deepEqual([bad.status, bad.message], ['FAILED', 'me.jpg: it is no picture that a portrait can be trained on.']); // D035
});

test('a file in pieces and with a mark at its start is read as a whole', async () => {
    const long = chat('q', 'word '.repeat(200_000)); // more than a piece of the reader
    const file = await upload(box, 'long.jsonl', '\ufeff' + [chat('q', 'a'), long, chat('q', 'a')].join('\r\n'));
    const done = await wait(box, (await create(box, file)).output.job_id);
    assert.equal(done.status, 'SUCCEEDED', JSON.stringify(done));
    const text = (await logs(box, done.job_id)).join('\n');
    assert.match(text, /long\.jsonl: 3 samples, 3 good/);
    assert.match(text, /1 samples are longer than max_length/);
});

test('what is missing or wrong is refused before there is a job', async () => {
    const file = await upload(box, 'good.jsonl', SAMPLES);
    const missing = { status: 400, code: 'InvalidParameter', message: 'Missing training files.' };
    for (const training_file_ids of [undefined, [], 'file-1', [7], ['976bd01a-f30b-4414-86fd-50c54486e3ef']]) {
        const { status, code, message } = await create(box, file, { training_file_ids });
        assert.deepEqual({ status, code, message }, missing, JSON.stringify(training_file_ids));
    }
    const before = (await call(box, 'GET', '/fine-tunes')).output.total;
    for (const [more, name] of [[{ hyper_parameters: { n_epochs: 0 } }, 'n_epochs'],
        [{ hyper_parameters: { learning_rate: 'fast' } }, 'learning_rate'], [{ training_type: 'magic' }, 'training_type'],
        [{ hyper_parameters: [] }, 'hyper_parameters'], [{ model_name: 'a b' }, 'model_name'],
        [{ finetuned_output_suffix: 'x/y' }, 'finetuned_output_suffix']]) {
        const { status, message } = await create(box, file, more);
        assert.deepEqual([status, message], [400, `Required parameter(${name}) missing or invalid, check the request parameters.`]);
    }
    const unknown = await create(box, file, { model: 'no-such-model' });
    assert.deepEqual([unknown.status, unknown.message], [400, 'Model not found']);
    const other = await create(box, file, { model: 'text-embedding-v4' });
    assert.equal(other.status, 400);
    assert.equal((await call(box, 'GET', '/fine-tunes')).output.total, before);
});

test('a name is taken once', async () => {
    const file = await upload(box, 'good.jsonl', SAMPLES);
    const first = await create(box, file, { model_name: 'tom' });
    await wait(box, first.output.job_id);
    const second = await create(box, file, { model_name: 'tom' });
    assert.deepEqual([second.status, second.code, second.message],
        [409, 'Conflict', 'Model instance tom already exists, please specify a suffix.']);
    assert.equal((await wait(box, (await create(box, file, { model_name: 'tom', finetuned_output_suffix: 'b' })).output.job_id)).finetuned_output, 'tom-b');
    assert.equal((await create(box, file, { model_name: 'qwen-plus' })).status, 409);
});

test('jobs are listed, by model too, and deleted when they have ended', async () => {
    const file = await upload(box, 'good.jsonl', SAMPLES);
    const id = (await create(box, file, { model: 'qwen-plus', job_name: 'a name' })).output.job_id;
    assert.equal((await wait(box, id)).job_name, 'a name');
    const { output: all } = await call(box, 'GET', '/fine-tunes?page_no=1&page_size=2');
    assert.equal(all.jobs.length, 2);
    assert.equal(all.jobs[0].job_id, id);
    assert(all.total > 2);
    const { output: plus } = await call(box, 'GET', '/fine-tunes?model=qwen-plus');
    assert.deepEqual([plus.total, plus.jobs.map(j => j.job_id), plus.page_no, plus.page_size], [1, [id], 1, 10]);
    const ended = await call(box, 'POST', `/fine-tunes/${id}/cancel`);
    assert.deepEqual([ended.status, ended.code, ended.message], [400, 'UnsupportedOperation',
        'The fine-tune job can not be deleted because it is succeeded,failed or canceled']);
    assert.deepEqual((await call(box, 'DELETE', `/fine-tunes/${id}`)).output, { status: 'success' });
    const gone = await call(box, 'GET', `/fine-tunes/${id}`);
    assert.deepEqual([gone.status, gone.code, gone.message], [404, 'NotFound', 'Not found!']);
    for (const [method, where] of [['GET', '/logs'], ['GET', '/checkpoints'], ['GET', '/stream'], ['POST', '/cancel'], ['DELETE', '']])
        assert.equal((await call(box, method, `/fine-tunes/${id}${where}`)).status, 404, where);
});

test('events are the log, line by line, until its end', async () => {
    const file = await upload(box, 'good.jsonl', SAMPLES);
    const id = (await create(box, file)).output.job_id;
    const answer = await fetch(`${box.native}/fine-tunes/${id}/stream`, { headers: { authorization: `Bearer ${box.key}`,
        accept: 'text/event-stream' } });
    assert.match(answer.headers.get('content-type'), /text\/event-stream/);
    const events = (await answer.text()).trim().split('\n\n');
    const said = events.map(e => JSON.parse(/^data:(.*)$/m.exec(e)[1]).output);
    assert.deepEqual(said, await logs(box, id));
    assert.match(said.at(-1), /##FT_COMPLETE##$/);
});

test('checkpoints are published, and what is published is deployed and answers as its base', async () => {
    const file = await upload(box, 'good.jsonl', SAMPLES);
    const id = (await create(box, file)).output.job_id;
    await wait(box, id);
    const { output: points } = await call(box, 'GET', `/fine-tunes/${id}/checkpoints`);
    assert.deepEqual(points.map(p => [p.checkpoint, p.job_id, p.model_name, p.status]),
        [['checkpoint-2', id, '', 'PENDING'], ['checkpoint-4', id, '', 'PENDING']]);
    assert.equal((await call(box, 'GET', `/fine-tunes/${id}/export/checkpoint-2?model_name=early`)).output, true);
    assert.equal((await call(box, 'GET', `/fine-tunes/${id}/export/checkpoint-4?model_name=early`)).status, 409);
    assert.equal((await call(box, 'GET', `/fine-tunes/${id}/export/checkpoint-9?model_name=late`)).status, 404);
    assert.equal((await call(box, 'GET', `/fine-tunes/${id}/checkpoints`)).output[0].status, 'SUCCEEDED');
    const { output: models } = await call(box, 'GET', '/deployments/models?page_size=200');
    assert.deepEqual(models.models.find(m => m.model_name === 'early'), { model_name: 'early', base_capacity: 1 });
    assert(models.total > models.models.length || models.models.some(m => m.model_name === 'qwen-turbo'));
    const deployed = await call(box, 'POST', '/deployments', { model_name: 'early', capacity: 1 });
    assert.equal(deployed.status, 200, JSON.stringify(deployed));
    const name = deployed.output.deployed_model;
    assert.match(name, /^early-[0-9a-f]{8}$/);
    assert.equal(deployed.output.status, 'RUNNING');
    assert.equal(deployed.output.base_model, 'qwen-turbo');
    const said = await talk(box, name);
    assert.equal(said.status, 200, JSON.stringify(said));
    assert.deepEqual(said.output, (await talk(box, 'qwen-turbo')).output);
    // not through the compatible protocol
    const compatible = await fetch(`${box.compatible}/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${KEY}` },
        body: JSON.stringify({ model: name, messages: [{ role: 'user', content: 'hi' }] }) });
    assert.equal(compatible.status, 404);
    assert.equal((await talk(box, 'early')).message, 'Model not found'); // a model is not a deployment
    // a model that came of a job is a base of another
    const again = await wait(box, (await create(box, file, { model: 'early' })).output.job_id);
    assert.deepEqual([again.status, again.model, again.base_model], ['SUCCEEDED', 'early', 'qwen-turbo']);
});

test('a reset of tests forgets them all', async () => {
    const file = await upload(box, 'good.jsonl', SAMPLES);
    const id = (await create(box, file)).output.job_id;
    await wait(box, id);
    await admin(box, 'POST', '/reset');
    assert.equal((await call(box, 'GET', '/fine-tunes')).output.total, 0);
    assert.equal((await call(box, 'GET', '/deployments')).output.total, 0);
});

// ---- with a trainer ----

const script = path.join(folder, 'trainer.mjs');
fs.writeFileSync(script, `
import fs from 'node:fs';
const job = JSON.parse(fs.readFileSync(0, 'utf8'));
const how = job.hyper_parameters.lr_scheduler_type ?? 'good';
const samples = job.training_files.flatMap(f => fs.readFileSync(f.path, 'utf8').split('\\n').filter(l => l).map(l => JSON.parse(l)));
console.log('training ' + job.base_model + ' on ' + samples.length + ' samples from ' + job.training_files.map(f => f.name));
fs.writeFileSync(job.folder + '/runs-' + job.run, '');
if (how === 'fails') { console.log(JSON.stringify({ error: 'out of memory' })); console.error('a stack trace'); process.exit(3); }
if (how === 'waits') {
    process.on('SIGTERM', () => { console.log('stopped in the middle'); process.exit(0); });
    console.log('waiting');
    setInterval(() => {}, 1000);
} else if (how === 'once' && job.run === 1) {
    console.log('waiting');
    setInterval(() => {}, 1000);
} else {
    console.log(JSON.stringify({ progress: 0.5, message: 'half of it' }));
    console.log(JSON.stringify({ checkpoint: 'checkpoint-7', model: 'local/early' }));
    process.stdout.write('a line\\nno UTF-8: ');
    process.stdout.write(Buffer.from([0xff, 0x0a]));
    console.log(JSON.stringify({ tokens: 4711, model: 'local/tuned' }));
}
`);

// An engine that answers with the name that it was asked by.
const asked = [];
const engine = http.createServer((request, answer) => {
    let body = '';
    request.on('data', piece => { body += piece; });
    request.on('end', () => {
        const { model } = JSON.parse(body);
        asked.push(model);
        answer.setHeader('content-type', 'application/json');
        answer.end(JSON.stringify({ id: 'x', object: 'chat.completion', model, created: 1, choices: [{ index: 0, finish_reason: 'stop',
            message: { role: 'assistant', content: `I am ${model}` } }], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }));
    });
});
await new Promise(resolve => engine.listen(0, '127.0.0.1', resolve));
after(() => { engine.closeAllConnections(); engine.close(); });

const TRAINER = `${ADMIN_CONFIG}
tuning: { trainer: '${process.execPath} ${script}', deploy: 0ms, running: 1, unfinished: 2, jobs: 4 }
tasks: { lease: 500ms }
engines:
  - name: local
    upstream: http://127.0.0.1:${engine.address().port}/v1
route:
  'local/*': local
`;
const start = data => serve({ config: TRAINER, args: ['--workers', '2', '--data', path.join(folder, data)] });
const trained = await start('trained');
const order = how => ({ hyper_parameters: { lr_scheduler_type: how } });
const says = (box, id, what) => until(async () => (await logs(box, id)).some(l => l.includes(what)), `${id} to say ${what}`, 20000);

test('a trainer trains: its output is the log, its checkpoints and its model count', async () => {
    const file = await upload(trained, 'good.jsonl', SAMPLES);
    const done = await wait(trained, (await create(trained, file)).output.job_id);
    const text = (await logs(trained, done.job_id)).join('\n');
    assert.equal(done.status, 'SUCCEEDED', JSON.stringify([done, text]));
    assert.equal(done.usage, 4711);
    assert.match(text, /training qwen-turbo on 10 samples from good\.jsonl/);
    assert.match(text, /50 %: half of it/);
    assert.match(text, /no UTF-8: \ufffd/);
    assert.doesNotMatch(text, /alias/);
    const { output: points } = await call(trained, 'GET', `/fine-tunes/${done.job_id}/checkpoints`);
    assert.deepEqual(points.map(p => p.checkpoint), ['checkpoint-7']);
    const deployed = (await call(trained, 'POST', '/deployments', { model_name: done.finetuned_output, capacity: 1 })).output.deployed_model;
    const said = await talk(trained, deployed);
    assert.equal(said.output?.choices[0].message.content, 'I am local/tuned', JSON.stringify(said));
    assert.deepEqual(asked, ['local/tuned']);
    await call(trained, 'DELETE', `/fine-tunes/${done.job_id}`);
    assert.equal(fs.existsSync(path.join(folder, 'trained', 'tuning', done.job_id)), false);
    assert.equal((await talk(trained, deployed)).status, 200); // the model outlives its job
});

test('a trainer that fails says why', async () => {
    const file = await upload(trained, 'good.jsonl', SAMPLES);
    const done = await wait(trained, (await create(trained, file, order('fails'))).output.job_id);
    assert.deepEqual([done.status, done.code, done.message], ['FAILED', 'InternalError', 'The trainer ended with status 3: out of memory']); // D032
    assert.match((await logs(trained, done.job_id)).join('\n'), /a stack trace/);
    await call(trained, 'DELETE', `/fine-tunes/${done.job_id}`);
});

test('one runs, one queues, one more is too many; both are cancelled', async () => {
    const file = await upload(trained, 'good.jsonl', SAMPLES);
    const first = (await create(trained, file, order('waits'))).output.job_id;
    await says(trained, first, 'waiting');
    const second = (await create(trained, file, order('waits'))).output.job_id;
    await until(async () => (await show(trained, second)).status === 'QUEUING', 'the second to queue');
    const third = await create(trained, file);
    assert.deepEqual([third.status, third.code, third.message], [429, 'Throttling', 'Too many fine-tune job in running, please retry later.']);
    const running = await call(trained, 'DELETE', `/fine-tunes/${first}`);
    assert.deepEqual([running.status, running.message], [400, 'The operation is unsupported on the referee object.']);
    assert.deepEqual((await call(trained, 'POST', `/fine-tunes/${second}/cancel`)).output, { status: 'success' });
    assert.equal((await show(trained, second)).status, 'CANCELED');
    assert.match((await logs(trained, second)).at(-1), /CANCELED ##FT_COMPLETE##$/);
    assert.deepEqual((await call(trained, 'POST', `/fine-tunes/${first}/cancel`)).output, { status: 'success' });
    assert.equal((await wait(trained, first)).status, 'CANCELED');
    assert.match((await logs(trained, first)).join('\n'), /stopped in the middle[^]*CANCELED ##FT_COMPLETE##$/);
});

test('so many may be kept', async () => {
    const file = await upload(trained, 'good.jsonl', SAMPLES);
    let answer;
    for (let i = 0; i < 5; i++) {
        answer = await create(trained, file);
        if (answer.status !== 200) break;
        await wait(trained, answer.output.job_id);
    }
    assert.deepEqual([answer.status, answer.code, answer.message],
        [429, 'Throttling', 'Only 4 fine-tune job in running or succeeded allowed per user.']);
});

test('a file that is deleted before its job begins fails it', async () => {
    await admin(trained, 'POST', '/reset');
    const wait_file = await upload(trained, 'w.jsonl', SAMPLES), file = await upload(trained, 'good.jsonl', SAMPLES);
    const first = (await create(trained, wait_file, order('waits'))).output.job_id;
    await says(trained, first, 'waiting');
    const second = (await create(trained, file)).output.job_id;
    assert.equal((await call(trained, 'DELETE', `/files/${file}`)).status, 200);
    await call(trained, 'POST', `/fine-tunes/${first}/cancel`);
    const done = await wait(trained, second);
    assert.deepEqual([done.status, done.code, done.message], // D031
        ['FAILED', 'InvalidParameter', `${file}: there is nothing in it to train on.`]);
});

test('a job outlives a server that is killed, and one that is stopped', async () => {
    let box = await start('killed');
    const file = await upload(box, 'good.jsonl', SAMPLES);
    const id = (await create(box, file, order('once'))).output.job_id;
    await says(box, id, 'waiting');
    await box.kill();
    box = await start('killed');
    const done = await wait(box, id);
    assert.equal(done.status, 'SUCCEEDED', JSON.stringify([done, await logs(box, id)]));
    assert.match((await logs(box, id)).join('\n'), /run 2: the one before was lost/);

    const next = (await create(box, file, order('waits'))).output.job_id;
    await says(box, next, 'waiting');
    await box.stop();
    box.process = undefined;
    box = await start('killed');
    await until(async () => (await logs(box, next)).filter(l => / waiting$/.test(l)).length === 2, 'it to wait again', 20000);
    assert.match((await logs(box, next)).join('\n'), /stopped in the middle/);
    await call(box, 'POST', `/fine-tunes/${next}/cancel`);
    assert.equal((await wait(box, next)).status, 'CANCELED');
});

test('a job that takes its server with it is not run for ever', async () => {
    const config = TRAINER.replace('lease: 500ms', 'lease: 500ms, lost: 1');
    const again = () => serve({ config, args: ['--data', path.join(folder, 'lost')] });
    let box = await again();
    const id = (await create(box, await upload(box, 'good.jsonl', SAMPLES), order('waits'))).output.job_id;
    await says(box, id, 'waiting');
    await box.kill();
    box = await again();
    const done = await wait(box, id);
    assert.deepEqual([done.status, done.code, done.message], // D033
        ['FAILED', 'InternalError', 'The job was lost with its server 1 times; it is not run again.']);
});

test('a trainer that is not there is said so', async () => {
    const box = await serve({ config: 'tuning: { trainer: /nowhere/train }\n' });
    const done = await wait(box, (await create(box, await upload(box, 'good.jsonl', SAMPLES))).output.job_id);
    assert.equal(done.message, 'The trainer ended with status 127: the program is not there');
});
