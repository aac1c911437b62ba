// Local files as the DashScope SDKs bring them to a model: a policy, a form post, an oss:// URL with its header. The client here keeps
// to the rules of the Python SDK (utils/oss_utils.py): the same fields in the same order, a time limit, 200 and nothing else is success.
// And what a client must not be able to do with it, or leave behind.

import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import path from 'node:path';
import { openAsBlob } from 'node:fs';
import { scratch, serve, until } from './server.mjs';
import { picture } from '../wire/faulty_engine.mjs';
import { ADMIN_CONFIG, admin } from './tenants.mjs';

const folder = scratch('uploads');

const MODEL = 'qwen-vl-max', TEXTS = 'text-embedding-async-v2';
const write = (name, bytes) => {
    fs.writeFileSync(path.join(folder, name), bytes);
    return path.join(folder, name);
};
const start = (name, ...more) => serve({ config: ADMIN_CONFIG, args: ['--workers', '2', '--data', path.join(folder, name), ...more] });
const kept = name => {
    const store = path.join(folder, name, 'uploads');
    return fs.existsSync(store) ? fs.readdirSync(store, { recursive: true }).filter(f => f.includes('/')) : [];
};
const types = { '.png': 'image/png', '.txt': 'text/plain' };

async function certificate(box, model) {
    const answer = await fetch(`${box.native}/uploads?` + new URLSearchParams({ action: 'getPolicy', model }),
        { headers: { authorization: `Bearer ${box.key}`, 'content-type': 'application/json', accept: 'application/json' } });
    assert.equal(answer.status, 200);
    return (await answer.json()).data;
}

function form_of(info, name) {
    const form = new FormData();
    form.set('OSSAccessKeyId', info.oss_access_key_id);
    form.set('Signature', info.signature);
    form.set('policy', info.policy);
    form.set('key', `${info.upload_dir}/${name}`);
    form.set('x-oss-object-acl', info.x_oss_object_acl);
    form.set('x-oss-forbid-overwrite', info.x_oss_forbid_overwrite);
    form.set('success_action_status', '200');
    if (types[path.extname(name)]) form.set('x-oss-content-type', types[path.extname(name)]);
    return form;
}

async function upload(box, info, file) {
    const name = path.basename(file), form = form_of(info, name);
    form.set('file', await openAsBlob(file), name);
    const answer = await fetch(info.upload_host, { method: 'POST', body: form, headers: { accept: 'application/json' } });
    const said = await answer.text();
    if (answer.status !== 200) throw new Error(`Uploading file: ${file} to oss failed, error: ${said}`);
    assert.equal(said, '');
    return 'oss://' + form.get('key');
}

// Replaces the local files of the elements; one certificate for all of a call.
async function preprocess(box, model, messages) {
    let info = null, uploaded = false;
    const bring = async content => {
        if (content.startsWith('oss://')) { uploaded = true; return content; }
        if (!content.startsWith('file://')) return content;
        info ??= await certificate(box, model);
        uploaded = true;
        return upload(box, info, content.slice('file://'.length));
    };
    for (const { content } of messages)
        for (const element of content)
            for (const key of Object.keys(element))
                element[key] = Array.isArray(element[key]) ? await Promise.all(element[key].map(bring)) : await bring(element[key]);
    return uploaded ? { 'X-DashScope-OssResourceResolve': 'enable' } : {};
}

async function call(box, where, body, headers = {}) {
    const answer = await fetch(`${box.native}${where}`, { method: body ? 'POST' : 'GET', body: body && JSON.stringify(body),
        headers: { authorization: `Bearer ${box.key}`, 'content-type': 'application/json', ...headers } });
    return { status: answer.status, ...await answer.json() };
}

const ask = (box, messages, headers, model = MODEL) =>
    call(box, '/services/aigc/multimodal-generation/generation', { model, input: { messages } }, headers);

const PNG = picture({ width: 64, height: 48 });

describe('local files of an SDK', async () => {
    const box = await start('plain');

    test('the pictures of a message are uploaded and found', async () => {
        const one = write('一 1.png', PNG), two = write('two.png', PNG);
        const messages = [{ role: 'user', content: [{ image: `file://${one}` }, { image: `file://${two}` }, { text: 'What is this?' }] }];
        const headers = await preprocess(box, MODEL, messages);
        assert.match(messages[0].content[0].image, /^oss:\/\/dashscope-instant\/[0-9a-f]{32}\/\d{4}-\d\d-\d\d\/[0-9a-f-]{36}\/一 1\.png$/);
        const answer = await ask(box, messages, headers);
        assert.equal(answer.status, 200, JSON.stringify(answer));
        assert.equal((await ask(box, messages)).message,
            'The provided URL does not appear to be valid. Ensure it is correctly formatted.'); // without the header
        assert.equal((await ask(box, messages, headers, 'qwen-vl-plus')).status, 400); // for another model
    });

    test('a file of texts is uploaded, and read by its task', async () => {
        const file = write('texts.txt', 'the wind blows\nstock prices fell\n');
        const url = await upload(box, await certificate(box, TEXTS), file);
        const made = await call(box, '/services/embeddings/text-embedding/text-embedding', { model: TEXTS, input: { url } },
            { 'X-DashScope-Async': 'enable', 'X-DashScope-OssResourceResolve': 'enable' });
        assert.equal(made.status, 200, JSON.stringify(made));
        const end = await until(async () => {
            const task = await call(box, `/tasks/${made.output.task_id}`);
            return ['SUCCEEDED', 'FAILED'].includes(task.output.task_status) && task;
        }, 'the end of the task', 20000);
        assert.equal(end.output.task_status, 'SUCCEEDED', JSON.stringify(end));
    });

    test('a large file arrives whole, and several at once', async () => {
        const bytes = Buffer.alloc(20_000_000, '\r\n--');
        const file = write('large.png', bytes), before = new Set(kept('plain'));
        const info = await certificate(box, MODEL);
        await upload(box, info, file);
        const [added] = kept('plain').filter(f => !before.has(f));
        assert.ok(fs.readFileSync(path.join(folder, 'plain', 'uploads', added)).equals(bytes));
        await assert.rejects(upload(box, info, file), /FileAlreadyExists/);
        const same = write('same.png', PNG);
        const many = await Promise.allSettled(Array.from({ length: 8 }, () => upload(box, info, same)));
        assert.equal(many.filter(one => one.status === 'fulfilled').length, 1);
        for (const one of many.filter(o => o.status === 'rejected')) assert.match(one.reason.message, /FileAlreadyExists/);
    });

    test('it goes to the disk while it comes; who leaves in between leaves nothing', async () => {
        const info = await certificate(box, MODEL), before = new Set(kept('plain'));
        let head = '';
        for (const [name, value] of form_of(info, 'cut.png'))
            head += `--X\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`;
        head += '--X\r\nContent-Disposition: form-data; name="file"; filename="cut.png"\r\n\r\n';
        const { hostname, port } = new URL(info.upload_host);
        const socket = net.connect(port, hostname);
        socket.on('error', () => {});
        socket.write(`POST /uploads HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=X\r\nContent-Length: 50000000\r\n\r\n${head}`);
        socket.write(Buffer.alloc(3_000_000));
        const part = await until(() => kept('plain').find(f => !before.has(f) &&
            fs.statSync(path.join(folder, 'plain', 'uploads', f)).size > 2_000_000), 'the first megabytes on the disk');
        assert.match(part, /\/part-/);
        socket.destroy();
        await until(() => kept('plain').every(f => before.has(f)), 'the part file to go');
        await upload(box, info, write('cut.png', PNG)); // its key and its place are free
    });

    test('what has expired goes from the disk, and all of it with a reset', async () => {
        await upload(box, await certificate(box, MODEL), write('old.png', PNG));
        assert.ok(kept('plain').length > 0);
        await admin(box, 'PUT', '/clock', { advance_ms: 48 * 3600_000 + 1000 });
        await until(() => kept('plain').length === 0, 'the files to go', 20000);
        const url = await upload(box, await certificate(box, MODEL), write('new.png', PNG));
        await admin(box, 'POST', '/reset');
        assert.deepEqual(kept('plain'), []);
        const answer = await ask(box, [{ role: 'user', content: [{ image: url }] }], { 'X-DashScope-OssResourceResolve': 'enable' });
        assert.equal(answer.message, 'Unable to download the media resource during the data inspection process.');
    });
});

test('a store that cannot be written is a refusal', async () => {
    const box = await start('broken'), info = await certificate(box, MODEL);
    fs.writeFileSync(path.join(folder, 'broken', 'uploads'), 'in the way');
    await assert.rejects(upload(box, info, write('a.png', PNG)), /InternalError\.FileUpload[^]*oss upload error/);
    fs.rmSync(path.join(folder, 'broken', 'uploads'));
    await upload(box, info, path.join(folder, 'a.png'));
});

test('an upload and its policy outlive a restart', async () => {
    const first = await start('again'), info = await certificate(first, MODEL);
    const url = await upload(first, info, write('b.png', PNG));
    await first.stop();
    const box = await start('again');
    const headers = { 'X-DashScope-OssResourceResolve': 'enable' };
    assert.equal((await ask(box, [{ role: 'user', content: [{ image: url }] }], headers)).status, 200);
    await upload(box, { ...info, upload_host: `${box.url}/uploads` }, write('c.png', PNG));
});

test('an engine behind gets the file itself', async () => {
    const bodies = [];
    const engine = http.createServer(async (request, answer) => {
        let text = '';
        for await (const piece of request) text += piece;
        bodies.push(JSON.parse(text));
        answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ id: 'x', object: 'chat.completion', created: 1,
            model: 'm', choices: [{ index: 0, message: { role: 'assistant', content: 'seen' }, finish_reason: 'stop' }],
            usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }));
    });
    await new Promise(resolve => engine.listen(0, '127.0.0.1', resolve));
    after(() => { engine.closeAllConnections(); engine.close(); });
    const box = await serve({ config: `engines: [{ name: up, upstream: "http://127.0.0.1:${engine.address().port}/v1" }]
route: { "*": up }
uploads: { inline_max: ${PNG.length} }
` });
    const headers = { 'X-DashScope-OssResourceResolve': 'enable' }, info = await certificate(box, MODEL);
    const url = await upload(box, info, write('d.png', PNG)), uri = `data:image/png;base64,${PNG.toString('base64')}`;
    const answer = await ask(box, [{ role: 'user', content: [{ image: url }, { text: 'what is it?' }] }], headers);
    assert.equal(answer.status, 200, JSON.stringify(answer));
    assert.equal(bodies.at(-1).messages[0].content[0].image_url.url, uri);
    const frames = await ask(box, [{ role: 'user', content: [{ video: [url, url, url, url] }, { text: 'what moves?' }] }], headers);
    assert.equal(frames.status, 200, JSON.stringify(frames));
    assert(!JSON.stringify(bodies).includes('oss://') && JSON.stringify(bodies.at(-1)).split(uri).length === 5);
    const large = await upload(box, info, write('e.png', Buffer.concat([PNG, Buffer.alloc(1)])));
    const refused = await ask(box, [{ role: 'user', content: [{ image: large }] }], headers);
    assert.equal(refused.status, 400);
    assert.equal(refused.message, 'Unable to download the media resource during the data inspection process.');
    assert.equal(bodies.length, 2);
});
