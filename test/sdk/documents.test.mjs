// Documents in chat: the openai SDK from npm, unmodified, and files that this test makes; what is read once, what is lost by no kill, what an
// engine behind is given, and what it costs. E034 is brought about by an engine that is stopped.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import zlib from 'node:zlib';
import OpenAI, { toFile } from 'openai';
import { scratch, serve, until } from './server.mjs';

const folder = scratch('documents');
const MIB = 1 << 20;

const start = (name, ...more) => serve({ args: ['--data', path.join(folder, name), ...more] });
const client = box => new OpenAI({ apiKey: box.key, baseURL: box.compatible, maxRetries: 0 });
const kept = name => fs.readdirSync(path.join(folder, name, 'blobs'), { recursive: true }).filter(f => f.includes('/') && !f.startsWith('coming/'));
const resident_peak = pid => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) * 1024;

// ---- documents ----

function pdf(...pages) {
    const objects = ['<< /Type /Catalog /Pages 2 0 R >>',
        `<< /Type /Pages /Count ${pages.length} /Kids [${pages.map((_, i) => `${4 + 2 * i} 0 R`).join(' ')}] >>`,
        '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>'];
    for (const [i, text] of pages.entries()) {
        const stream = `BT /F1 12 Tf 50 700 Td (${text}) Tj ET`;
        objects.push(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents ${5 + 2 * i} 0 R >>`,
            `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`);
    }
    let file = '%PDF-1.4\n';
    const places = objects.map((text, i) => {
        const at = file.length;
        file += `${i + 1} 0 obj\n${text}\nendobj\n`;
        return at;
    });
    const xref = file.length;
    file += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${places.map(at => `${String(at).padStart(10, '0')} 00000 n \n`).join('')}`;
    return Buffer.from(`${file}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R >>\nstartxref\n${xref}\n%%EOF\n`);
}

function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let i = 0; i < 8; i++) crc = crc >>> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
}

function zip(parts) {
    const files = [], list = [];
    let at = 0;
    for (const [name, text] of Object.entries(parts)) {
        const packed = zlib.deflateRawSync(text), fields = Buffer.alloc(26);
        fields.writeUInt16LE(20, 0);
        fields.writeUInt16LE(8, 4);
        fields.writeUInt32LE(crc32(Buffer.from(text)), 10);
        fields.writeUInt32LE(packed.length, 14);
        fields.writeUInt32LE(Buffer.byteLength(text), 18);
        fields.writeUInt16LE(name.length, 22);
        const file = Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name), packed]), where = Buffer.alloc(14);
        where.writeUInt32LE(at, 10);
        list.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\0'), fields, where, Buffer.from(name)]));
        files.push(file);
        at += file.length;
    }
    const end = Buffer.alloc(18), directory = Buffer.concat(list);
    end.writeUInt16LE(list.length, 4);
    end.writeUInt16LE(list.length, 6);
    end.writeUInt32LE(directory.length, 8);
    end.writeUInt32LE(at, 12);
    return Buffer.concat([...files, directory, Buffer.from('PK\x05\x06'), end]);
}

const docx = (...paragraphs) => zip({
    '[Content_Types].xml': '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
    '_rels/.rels': '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" ' +
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="word/document.xml"/></Relationships>',
    'word/document.xml': '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>' +
        paragraphs.map(text => `<w:p><w:r><w:t>${text}</w:t></w:r></w:p>`).join('') + '</w:body></w:document>',
});

// ---- asking ----

const upload = async (box, name, content) => (await client(box).files.create({ file: await toFile(Buffer.from(content), name), purpose: 'file-extract' })).id;

const ask = (box, ids, question, more = {}) => client(box).chat.completions.create({ model: 'qwen-long', ...more, messages: [
    { role: 'system', content: ids.map(id => `fileid://${id}`).join(',') }, { role: 'user', content: question }] });

const is_waiting = error => error.status === 400 && /File parsing in progress, try again later\./.test(error.message);

// As a program has to: again, as long as a document is being read.
const ask_when_read = (box, ids, question, more) => until(async () => {
    try {
        return await ask(box, ids, question, more);
    } catch (error) {
        if (!is_waiting(error)) throw error;
        return undefined;
    }
}, 'the documents to be read', 60_000);

const said = answer => answer.choices[0].message.content;
const read_in_log = box => box.log().split('\n').filter(line => / (ok|broken), \d+ pages/.test(line));

// The children of the server that read documents.
function readers(box) {
    const tasks = `/proc/${box.process.pid}/task`;
    const name = pid => fs.existsSync(`/proc/${pid}/comm`) ? fs.readFileSync(`/proc/${pid}/comm`, 'utf8') : '';
    return fs.readdirSync(tasks).flatMap(tid => fs.readFileSync(`${tasks}/${tid}/children`, 'utf8').split(' ').filter(Boolean))
        .filter(pid => name(pid).startsWith('dashbox-documen')).map(Number);
}

// Whether it has been handed a document.
function is_reading(pid) {
    try {
        return fs.readdirSync(`/proc/${pid}/fd`).some(fd => fs.readlinkSync(`/proc/${pid}/fd/${fd}`).includes('/blobs/'));
    } catch {
        return false; // it has closed one meanwhile, or has ended
    }
}

// Stops the one that there is, so that what is uploaded now cannot be read.
async function stop_reader(box) {
    await ask_when_read(box, [await upload(box, 'first.txt', 'To have one started.\n')], 'hi');
    const [pid, ...others] = readers(box);
    assert.deepEqual(others, []);
    process.kill(pid, 'SIGSTOP');
    return pid;
}

describe('the openai SDK', () => {
    test('asks about a PDF, a DOCX and a Markdown file, goes on, streams, and is told when one is deleted', async () => {
        const box = await start('sdk'), openai = client(box);
        const ids = [await upload(box, 'report.pdf', pdf('The harvest of apples was poor.', 'Pears cost 4 euros.')),
            await upload(box, 'contract.docx', docx('The tenant pays on Mondays.', 'The landlord paints the walls.')),
            await upload(box, 'notes.md', '# Notes\n\nThe ferry *leaves* at noon.\n')];
        const first = await ask_when_read(box, ids, 'When does the ferry leave?');
        assert.equal(said(first), 'dashbox stand-in: When does the ferry leave? [document 1: report.pdf, pdf, 2 pages, ' +
            '14 tokens] [document 2: contract.docx, docx, 12 tokens] ' +
            '[document 3: notes.md, markdown, 8 tokens] [nearest in notes.md: "The ferry leaves at noon."]');
        const alone = await openai.chat.completions.create({ model: 'qwen-long', messages: [{ role: 'user', content: 'When does the ferry leave?' }] });
        const tokens = [...said(first).matchAll(/(\d+) tokens\]/g)].reduce((sum, found) => sum + Number(found[1]), 0);
        assert.equal(first.usage.prompt_tokens, alone.usage.prompt_tokens + tokens + 3 * 5);

        const second = await openai.chat.completions.create({ model: 'qwen-long', messages: [
            { role: 'system', content: 'You are a clerk.' }, { role: 'system', content: `fileid://${ids[0]},fileid://${ids[1]}` },
            { role: 'user', content: 'Who paints?' }, { role: 'assistant', content: 'The landlord.' }, { role: 'user', content: 'What do pears cost?' }] });
        assert.match(said(second), /\[nearest in report\.pdf: "Pears cost 4 euros\."\]$/);

        let streamed = '';
        for await (const chunk of await ask(box, [ids[1]], 'Who paints the walls?', { stream: true })) streamed += chunk.choices[0]?.delta.content ?? '';
        assert.match(streamed, /\[nearest in contract\.docx: "The landlord paints the walls\."\]$/);

        await openai.files.delete(ids[1]);
        await assert.rejects(ask(box, ids, 'Who paints?'), { status: 400, message: `400 File [id:${ids[1]}] cannot be found.` });
        assert.match(said(await ask(box, [ids[0], ids[2]], 'Who paints?')), /document 2: notes\.md/);
    });

    test('E034: a file stays processed while it is read, and a chat that names it is told to wait', async () => {
        const box = await start('waits'), pid = await stop_reader(box), id = await upload(box, 'later.txt', 'It took a while.\n');
        assert.equal((await client(box).files.retrieve(id)).status, 'processed');
        await assert.rejects(ask(box, [id], 'hi'), { status: 400, message: '400 File parsing in progress, try again later.' });
        const broken = await upload(box, 'broken.pdf', 'none');
        await assert.rejects(ask(box, [id, 'file-fe-none'], 'hi'), { message: '400 Invalid file [id:file-fe-none].' });
        process.kill(pid, 'SIGCONT');
        assert.match(said(await ask_when_read(box, [id], 'Did it take long?')), /later\.txt, text, 5 tokens/);
        await assert.rejects(ask_when_read(box, [broken], 'hi'), { message: `400 File [id:${broken}] format is not supported.` });
    });
});

describe('reading', () => {
    test('is done once for equal content, whose text goes with the last of its files', async () => {
        const box = await start('once'), openai = client(box);
        const [a, b] = [await upload(box, 'a.md', '# Same\n'), await upload(box, 'b.md', '# Same\n')];
        await ask_when_read(box, [a, b], 'hi');
        assert.equal(read_in_log(box).length, 1);
        assert.equal(kept('once').length, 2); // the content and its text
        await openai.files.delete(a);
        assert.match(said(await ask(box, [b], 'Same?')), /nearest in b\.md: "Same"/);
        await openai.files.delete(b);
        assert.deepEqual(kept('once'), []);
    });

    test('a text that is somebody\'s file too stays with that', async () => {
        const box = await start('shared'), openai = client(box);
        const text = await upload(box, 'a.txt', 'Same\n'), page = await upload(box, 'a.docx', docx('Same'));
        await ask_when_read(box, [text, page], 'hi');
        await openai.files.delete(text);
        assert.match(said(await ask(box, [page], 'Same?')), /nearest in a\.docx: "Same"/);
        await openai.files.delete(page);
        assert.deepEqual(kept('shared'), []);
    });

    test('goes on after a kill in the middle of it', async () => {
        const box = await start('killed'), pid = await stop_reader(box);
        const id = await upload(box, 'a.docx', docx('It survives.'));
        await until(() => fs.readdirSync(path.join(folder, 'killed', 'blobs', 'coming')).length === 1, 'the reading to begin');
        await box.kill();
        process.kill(pid, 'SIGKILL');
        const next = await start('killed');
        assert.match(said(await ask_when_read(next, [id], 'What survives?')), /a\.docx, docx, 3 tokens\] \[nearest in a\.docx: "It survives\."\]/);
        await client(next).files.delete(id);
        assert.equal((await client(next).files.list()).data.length, 1);
    });

    test('is given back by a server that is stopped', async () => {
        const box = await start('stopped');
        await stop_reader(box);
        const id = await upload(box, 'a.txt', 'After the stop.\n');
        await until(() => fs.readdirSync(path.join(folder, 'stopped', 'blobs', 'coming')).length === 1, 'the reading to begin');
        await box.stop();
        box.process = undefined;
        assert.deepEqual(fs.readdirSync(path.join(folder, 'stopped', 'blobs', 'coming')), []);
        assert.match(said(await ask_when_read(await start('stopped'), [id], 'hi')), /a\.txt, text, 4 tokens/);
    });

    test('is tried again when the engine hangs', async () => {
        const box = await start('hangs', '--set', 'documents.time=500ms');
        await stop_reader(box);
        const id = await upload(box, 'a.txt', 'The second time it worked.\n');
        assert.match(said(await ask_when_read(box, [id], 'hi')), /a\.txt, text, \d tokens/);
        assert.match(box.log(), /document [0-9a-f]{12}: the deadline passed, tried again/);
    });

    test('is given up when the engine dies of it again and again', async () => {
        const box = await start('dies'), id = await upload(box, 'a.txt', 'It takes a moment.\n'.repeat(MIB));
        const killer = setInterval(() => readers(box).filter(is_reading).forEach(pid => process.kill(pid, 'SIGKILL')), 2);
        try {
            await assert.rejects(ask_when_read(box, [id], 'hi'), { message: `400 File [id:${id}] format is not supported.` });
        } finally {
            clearInterval(killer);
        }
        assert.equal(box.log().match(/document [0-9a-f]{12}: .*, tried again/g).length, 2);
        assert.match(said(await ask_when_read(box, [await upload(box, 'b.txt', 'Fine.\n')], 'hi')), /b\.txt, text, 2 tokens/);
    });

    test('a text of 36 MiB costs the server little memory, and is counted as the sum of its lines', async () => {
        const box = await start('large'), line = 'One line of a file that is long; its words are counted.\n', per_line = Math.floor(36 * MIB / line.length);
        const small = await upload(box, 'small.txt', line.repeat(1000)), count = answer => Number(/text, (\d+) tokens/.exec(said(answer))[1]);
        const few = count(await ask_when_read(box, [small], 'hi')), before = resident_peak(box.process.pid);
        const large = await upload(box, 'large.txt', line.repeat(per_line - per_line % 1000));
        const all = count(await ask_when_read(box, [large], 'hi')), more = resident_peak(box.process.pid) - before;
        assert.equal(all, few * ((per_line - per_line % 1000) / 1000));
        assert.ok(more < 16 * MIB, `${more} bytes more`);
    });

    test('a reset forgets all of it, also what is being read', async () => {
        const box = await start('reset', '--set', 'admin.key=admin-test'), pid = await stop_reader(box);
        const id = await upload(box, 'a.txt', 'Forget me.\n');
        assert.equal((await fetch(`${box.url}/admin/v1/reset`, { method: 'POST', headers: { authorization: 'Bearer admin-test' } })).status, 204);
        process.kill(pid, 'SIGCONT');
        await assert.rejects(ask(box, [id], 'hi'), { message: `400 Invalid file [id:${id}].` });
        await until(() => fs.readdirSync(path.join(folder, 'reset', 'blobs'), { recursive: true }).filter(f => f.includes('/')).length === 0, 'the rest to go');
    });

    test('a file that is over a limit which has become lower is not talked about', async () => {
        const box = await start('lower'), id = await upload(box, 'a.txt', 'x\n'.repeat(600));
        await ask_when_read(box, [id], 'hi');
        await box.stop();
        box.process = undefined;
        const next = await start('lower', '--set', 'files.document_max=1k');
        await assert.rejects(ask(next, [id], 'hi'), { message: `400 File [id:${id}] exceeds size limit.` });
    });
});

describe('an engine behind', () => {
    // Answers with what it was given.
    async function engine(t) {
        const asked = [];
        const server = http.createServer(async (request, response) => {
            let text = '';
            for await (const piece of request) text += piece;
            asked.push(JSON.parse(text));
            response.setHeader('content-type', 'application/json');
            response.end(JSON.stringify({ id: 'x', object: 'chat.completion', created: 1, model: 'm', choices: [
                { index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'It says so.' } }] }));
        });
        await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
        t.after(() => { server.closeAllConnections(); server.close(); });
        return { url: `http://127.0.0.1:${server.address().port}`, asked };
    }

    const config = (url, more = '') => `engines:\n  - name: behind\n    upstream: ${url}/v1\n${more}route:\n  "qwen-*": behind\n`;

    test('is given the texts as system messages, in their place', async t => {
        const { url, asked } = await engine(t), box = await serve({ config: config(url), args: ['--data', path.join(folder, 'behind')] });
        const ids = [await upload(box, 'a.md', '# One\n'), await upload(box, 'b.docx', docx('Two'))];
        assert.equal(said(await ask_when_read(box, ids, 'Which?')), 'It says so.');
        assert.deepEqual(asked.at(-1).messages, [{ role: 'system', content: '[a.md]\nOne\n' }, { role: 'system', content: '[b.docx]\nTwo\n' },
            { role: 'user', content: 'Which?' }]);
    });

    test('is given no more of them than documents.inline_max, of each its share', async t => {
        const { url, asked } = await engine(t), box = await serve({ config: config(url), args: ['--data', path.join(folder, 'bounded'), '--set', 'documents.inline_max=1000'] });
        const ids = [await upload(box, 'a.txt', '灯'.repeat(1000)), await upload(box, 'b.txt', 'b'.repeat(1000))];
        await ask_when_read(box, ids, 'Which?');
        const [a, b] = asked.at(-1).messages.map(m => m.content);
        assert.equal(a, `[a.txt]\n${'灯'.repeat(250)}\n[… the first 750 of 3000 bytes]`);
        assert.equal(b, `[b.txt]\n${'b'.repeat(250)}\n[… the first 250 of 1000 bytes]`);
    });

    test('that is the cloud is given texts of files from here, and ids that are its own', async t => {
        const { url, asked } = await engine(t), box = await serve({ config: config(url, '    cloud: true\n'), args: ['--data', path.join(folder, 'cloud')] });
        await ask_when_read(box, [await upload(box, 'a.txt', 'Ours.')], 'Which?');
        assert.equal(asked.at(-1).messages[0].content, '[a.txt]\nOurs.');
        await ask(box, ['file-fe-theirs'], 'Which?');
        assert.equal(asked.at(-1).messages[0].content, 'fileid://file-fe-theirs');
    });
});
