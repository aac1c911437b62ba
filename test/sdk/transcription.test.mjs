// Files are transcribed: the task, its results and their files; every code of a file that cannot be, by what a server really does or a
// file really is. Spec: speech.md §3.1, §3.3, §4.3.

import { describe, test, after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { serve, scratch, KEY } from './server.mjs';
import { Tasks, tone, wav, wordErrors } from './speech_client.mjs';

const box = await serve({ config: 'fetch:\n  allow: 127.0.0.0/8\n' });
const folder = scratch('transcription');
const file = name => path.join(folder, name);
const ffmpeg = (...args) => execFileSync('ffmpeg', ['-v', 'quiet', '-y', ...args]);
const SAID = ['The weather is beautiful today.', 'Thank you very much for your help.'];

// The files of the folder, and servers that misbehave.
const files = http.createServer((request, response) => {
    const name = request.url.slice(1);
    if (/^\d+$/.test(name)) return response.writeHead(+name).end('no');
    if (name === 'lies') { // fewer bytes than it says
        response.writeHead(200, { 'content-type': 'audio/wav', 'content-length': 5000 });
        return response.write(Buffer.alloc(1000), () => response.socket.destroy());
    }
    if (name === 'huge') {
        response.writeHead(200, { 'content-type': 'audio/wav', 'content-length': 2 ** 31 + 1 });
        return response.write('RIFF');
    }
    const bytes = fs.readFileSync(file(name));
    response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
});
await new Promise(resolve => files.listen(0, '127.0.0.1', resolve));
after(() => { files.closeAllConnections(); files.close(); });
const at = name => `http://127.0.0.1:${files.address().port}/${name}`;

const post = (body, headers = { 'X-DashScope-Async': 'enable' }) => fetch(`${box.url}/api/v1/services/audio/asr/transcription`, { method: 'POST',
    headers: { Authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });

async function done(id) {
    for (;;) {
        const task = await (await fetch(`${box.url}/api/v1/tasks/${id}`, { headers: { Authorization: `Bearer ${KEY}` } })).json();
        if (!/PENDING|RUNNING/.test(task.output.task_status)) return task;
        await new Promise(resolve => setTimeout(resolve, 50));
    }
}

async function transcribe(urls, parameters, model = 'paraformer-v2') {
    const made = await (await post({ model, input: { file_urls: urls }, parameters })).json();
    assert.equal(made.output?.task_status, 'PENDING', JSON.stringify(made));
    return done(made.output.task_id);
}

before(async () => {
    const c = await Tasks.open(box);
    for (const [i, text] of SAID.entries()) {
        const { sound } = await c.speak({ model: 'cosyvoice-v2', voice: 'loongdavid_v2', parameters: { format: 'pcm', sample_rate: 16000 } }, [text]);
        fs.writeFileSync(file(`${i}.wav`), wav(Buffer.concat([tone(300), sound, tone(1200), sound, tone(300)]), 16000));
    }
    await c.close();
    ffmpeg('-i', file('0.wav'), '-i', file('1.wav'), '-filter_complex', '[0][1]join=inputs=2:channel_layout=stereo', '-b:a', '160k', file('both.mp3'));
    ffmpeg('-i', file('0.wav'), '-b:a', '128k', file('a.m4a'));
    ffmpeg('-i', file('0.wav'), file('a.mkv'));
    fs.writeFileSync(file('silence.wav'), wav(tone(2000), 16000));
    fs.writeFileSync(file('tone.wav'), wav(tone(2000, 440), 16000));
    fs.writeFileSync(file('text.wav'), 'this is only called so');
    fs.writeFileSync(file('cut.m4a'), fs.readFileSync(file('a.m4a')).subarray(0, 3000));
    fs.writeFileSync(file('cut.mkv'), fs.readFileSync(file('a.mkv')).subarray(0, 200));
    const garbage = fs.readFileSync(file('a.m4a')), from = garbage.indexOf('mdat') + 4, to = from - 8 + garbage.readUInt32BE(from - 8);
    for (let i = from, x = 1; i < to; i++) garbage[i] = (x = x * 1103515245 + 12345 & 0x7fffffff) >> 16;
    fs.writeFileSync(file('garbage.m4a'), garbage);
    ffmpeg('-f', 'lavfi', '-i', 'testsrc=d=1:s=64x64', '-an', file('mute.mp4'));
    ffmpeg('-f', 'lavfi', '-i', 'anullsrc=r=8000:cl=mono', '-t', '43260', '-c:a', 'flac', '-frame_size', '16384', file('long.flac'));
});

describe('what is said', () => {
    test('a result for each file, in order, and their files', async () => {
        const task = await transcribe([at('0.wav'), at('404'), at('1.wav')], { language_hints: ['en'] });
        assert.equal(task.output.task_status, 'SUCCEEDED');
        assert.deepEqual(task.output.task_metrics, { TOTAL: 3, SUCCEEDED: 2, FAILED: 1 });
        assert.deepEqual(task.output.results.map(r => [r.file_url, r.subtask_status]), [[at('0.wav'), 'SUCCEEDED'], [at('404'), 'FAILED'], [at('1.wav'), 'SUCCEEDED']]);
        assert.ok(task.usage.duration >= 8);
        for (const [i, r] of [task.output.results[0], task.output.results[2]].entries()) {
            const result = await (await fetch(r.transcription_url)).json();
            const [t] = result.transcripts;
            assert.equal(result.file_url, r.file_url);
            assert.deepEqual([result.properties.audio_format, result.properties.channels, result.properties.original_sampling_rate], ['pcm_s16le', [0], 16000]);
            assert.ok(wordErrors(`${SAID[i]} ${SAID[i]}`, t.text).errors <= 3, t.text);
            assert.deepEqual(t.sentences.map(s => s.sentence_id), [1, 2]);
            assert.ok(t.sentences[0].begin_time >= 200 && t.sentences[1].begin_time > t.sentences[0].end_time + 800);
            assert.equal(t.sentences[0].words.map(w => w.text + w.punctuation).join(''), t.sentences[0].text);
            assert.ok(!('speaker_id' in t.sentences[0]));
        }
    });
    test('channels, each by itself; a speaker where one is wanted', async () => {
        const task = await transcribe([at('both.mp3')], { channel_id: [0, 1], diarization_enabled: true });
        const { transcripts } = await (await fetch(task.output.results[0].transcription_url)).json();
        assert.deepEqual(transcripts.map(t => t.channel_id), [0, 1]);
        for (const [i, t] of transcripts.entries()) assert.ok(wordErrors(`${SAID[i]} ${SAID[i]}`, t.text).errors <= 6, t.text);
        assert.equal(transcripts[0].sentences[0].speaker_id, 0);
    });
    test('words that are starred or left out', async () => {
        const task = await transcribe([at('0.wav')], { special_word_filter: JSON.stringify({ filter_with_signed: { word_list: ['weather'] }, filter_with_empty: { word_list: ['today'] } }) }, 'fun-asr');
        const { transcripts } = await (await fetch(task.output.results[0].transcription_url)).json();
        assert.match(transcripts[0].text, /\*{7}/);
        assert.doesNotMatch(transcripts[0].text, /today|weather/i);
    });
    test("Qwen3-ASR's form: one file, one result", async () => {
        const made = await (await post({ model: 'qwen3-asr-flash-filetrans', input: { file_url: at('a.m4a') }, parameters: { enable_words: true } })).json();
        const task = await done(made.output.task_id);
        assert.equal(task.output.task_status, 'SUCCEEDED');
        assert.ok(task.usage.seconds >= 4);
        const result = await (await fetch(task.output.result.transcription_url)).json();
        assert.deepEqual(Object.keys(result), ['file_url', 'audio_info', 'transcripts']);
        assert.deepEqual([result.transcripts[0].sentences[0].sentence_id, result.transcripts[0].sentences[0].language], [0, 'en']);
        assert.ok(result.transcripts[0].sentences[0].words.length > 3);
        const failed = await done((await (await post({ model: 'qwen3-asr-flash-filetrans', input: { file_url: at('403') } })).json()).output.task_id);
        assert.deepEqual([failed.output.task_status, failed.output.code, failed.output.message], ['FAILED', 'FILE_403_FORBIDDEN', 'FILE_403_FORBIDDEN']);
    });
});

describe('a file that cannot be', () => {
    const cases = [
        ['E254', 'silence.wav', 'SUCCESS_WITH_NO_VALID_FRAGMENT'], ['E254', 'tone.wav', 'SUCCESS_WITH_NO_VALID_FRAGMENT'],
        ['E257', 'text.wav', 'FILE_CHECK_FAILED'], ['E258', 'huge', 'FILE_TOO_LARGE'], ['E259', 'garbage.m4a', 'FILE_NORMALIZE_FAILED'],
        ['E260', 'cut.m4a', 'FILE_PARSE_FAILED'], ['E261', 'cut.mkv', 'MKV_PARSE_FAILED'], ['E264', 'lies', 'CONTENT_LENGTH_CHECK_FAILED'],
        ['E265', '404', 'FILE_404_NOT_FOUND'], ['E266', '403', 'FILE_403_FORBIDDEN'], ['E267', '500', 'FILE_SERVER_ERROR'], ['E267', '503', 'FILE_SERVER_ERROR'],
        ['E268', 'long.flac', 'AUDIO_DURATION_TOO_LONG'], ['E269', 'mute.mp4', 'DECODE_ERROR'], ['E256', '418', 'FILE_DOWNLOAD_FAILED'],
    ];
    test('each has its code in its place, and the task fails when all do', async () => {
        const task = await transcribe(cases.map(([, name]) => at(name)));
        assert.deepEqual(task.output.results.map(r => [r.code, r.message, r.subtask_status]), cases.map(([, , code]) => [code, code, 'FAILED']));
        assert.equal(task.output.task_status, 'FAILED');
        assert.equal(task.output.code, cases.at(-1)[2]);
        assert.deepEqual(task.output.task_metrics, { TOTAL: cases.length, SUCCEEDED: 0, FAILED: cases.length });
    });
    test('E263, E256: no URL, and a server that nobody hears', async () => {
        const closed = http.createServer();
        await new Promise(resolve => closed.listen(0, '127.0.0.1', resolve));
        const url = `http://127.0.0.1:${closed.address().port}/x.wav`;
        closed.close();
        const task = await transcribe(['no url', 'ftp://127.0.0.1/x.wav', url]);
        assert.deepEqual(task.output.results.map(r => r.code), ['REQUEST_INVALID_FILE_URL_VALUE', 'REQUEST_INVALID_FILE_URL_VALUE', 'FILE_DOWNLOAD_FAILED']);
    });
    test('E103: Fun-ASR says it in words', async () => {
        const task = await transcribe([at('418')], {}, 'fun-asr');
        assert.deepEqual([task.output.results[0].code, task.output.results[0].message], ['InvalidFile.DownloadFailed', 'The audio file cannot be downloaded.']);
    });
    test('E255: nothing is left of what was said', async () => {
        const task = await transcribe([at('0.wav')], { special_word_filter: { filter_with_empty: { word_list:
            (await (await fetch((await transcribe([at('0.wav')])).output.results[0].transcription_url)).json()).transcripts[0].text.toLowerCase().replace(/[.]/g, '').split(' ') } } });
        assert.equal(task.output.results[0].code, 'ASR_RESPONSE_HAVE_NO_WORDS');
    });
});

describe('a call that cannot be', () => {
    test('E040: no files', async () => {
        const r = await post({ model: 'paraformer-v2', input: {} });
        const body = await r.json();
        assert.deepEqual([r.status, body.code, body.message], [400, 'InvalidParameter', 'input must contain file_urls']);
    });
    test('E189: not as a task', async () => {
        const r = await post({ model: 'paraformer-v2', input: { file_urls: [at('0.wav')] } }, {});
        assert.deepEqual([r.status, (await r.json()).message], [403, 'current user api does not support synchronous calls.']);
    });
    test('E252: a misspelt parameter', async () => {
        const task = await transcribe([at('0.wav')], { language_hint: ['en'] });
        assert.equal(task.output.task_status, 'FAILED');
        assert.equal(task.output.message, 'Invalid backend response received (missing status name)');
    });
    test('E262: a task that nobody knows, as the SDK asks', async () => {
        const task = await (await fetch(`${box.url}/api/v1/tasks/00000000-0000-4000-8000-000000000000`, { method: 'POST', headers: { Authorization: `Bearer ${KEY}` } })).json();
        assert.deepEqual([task.output.task_status, task.output.code], ['UNKNOWN', 'FILE_TRANS_TASK_EXPIRED']);
    });
});
