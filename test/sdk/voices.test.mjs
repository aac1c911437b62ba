// Vocabularies and voices: made, found, changed, deleted, used; each refusal by its real cause; they outlive the server.
// Spec: speech.md §3.6–3.8, §3.10, §4.4.

import { describe, test, after, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { serve, scratch, KEY } from './server.mjs';
import { Tasks, tone, wav } from './speech_client.mjs';

const box = await serve({ config: 'fetch:\n  allow: 127.0.0.0/8\nspeech:\n  voices: 2\n' });
const folder = scratch('voices');
const file = name => path.join(folder, name);
const files = http.createServer((request, response) => {
    const at = file(request.url.slice(1));
    if (!fs.existsSync(at)) return response.writeHead(404).end();
    response.writeHead(200, { 'content-length': fs.statSync(at).size });
    fs.createReadStream(at).pipe(response);
});
await new Promise(resolve => files.listen(0, '127.0.0.1', resolve));
after(() => { files.closeAllConnections(); files.close(); });
const at = name => `http://127.0.0.1:${files.address().port}/${name}`;
const data = name => `data:audio/wav;base64,${fs.readFileSync(file(name)).toString('base64')}`;

const call = (kind, model, where = box) => async (action, input, parameters) => {
    const r = await fetch(`${where.url}/api/v1/services/audio/${kind}/customization`, { method: 'POST',
        headers: { Authorization: `Bearer ${KEY}`, 'content-type': 'application/json' }, body: JSON.stringify({ model, input: { action, ...input }, parameters }) });
    return { status: r.status, ...await r.json() };
};
const vocabulary = call('asr', 'speech-biasing'), cosyvoice = call('tts', 'voice-enrollment');
const clone = call('tts', 'qwen-voice-enrollment'), design = call('tts', 'qwen-voice-design');
const refusal = (r, status, code, message) => assert.deepEqual([r.status, r.code, r.message], [status, code, message]);
const invalid = name => `Required parameter(${name}) missing or invalid, check the request parameters.`;

const WORDS = [{ text: 'dashbox', weight: 5 }, { text: '吴贻弓', weight: 4, lang: 'zh' }];
const VC = 'qwen3-tts-vc-2026-01-22', VD = 'qwen3-tts-vd-2026-01-26';
let man, woman;

const say = async (text, options = {}) => {
    const c = await Tasks.open(box);
    const { end, sound } = await c.speak({ model: 'cosyvoice-v2', voice: 'loongdavid_v2', ...options, parameters: { format: 'pcm', sample_rate: 24000, ...options.parameters } }, [text]);
    assert.equal(end.header.event, 'task-finished', JSON.stringify(end));
    await c.close();
    return sound;
};

// The pitch of a voice: the lag at which most frames are like themselves.
function pitch(pcm, rate = 24000) {
    const all = [];
    for (let from = 0; from + 2400 < pcm.length / 2; from += 1200) {
        const x = Array.from({ length: 1200 }, (_, i) => pcm.readInt16LE(2 * (from + i)));
        let best = 0, lag = 0;
        for (let l = Math.round(rate / 400); l < rate / 70; l++) {
            let sum = 0, one = 0, two = 0;
            for (let i = 0; i + l < 1200; i += 2) { sum += x[i] * x[i + l]; one += x[i] ** 2; two += x[i + l] ** 2; }
            const like = one > 1e6 ? sum / Math.sqrt(one * two) : 0;
            if (like > best * 1.03) { best = like; lag = l; }
        }
        if (best > 0.7) all.push(rate / lag);
    }
    return all.sort((a, b) => a - b)[all.length >> 1];
}

before(async () => {
    const text = 'The quick brown fox jumps over the lazy dog, and then it sleeps for a while in the warm sun. When it wakes up again, the fox is gone and the sun is low.';
    man = await say(text, { voice: 'loongandy_v2' });
    woman = await say(text, { voice: 'loongava_v2' });
    fs.writeFileSync(file('man.wav'), wav(man, 24000));
    fs.writeFileSync(file('woman.wav'), wav(woman, 24000));
    const ffmpeg = (...args) => execFileSync('ffmpeg', ['-v', 'quiet', '-y', '-i', ...args]);
    ffmpeg(file('man.wav'), '-ar', '8000', file('8k.wav'));
    ffmpeg(file('man.wav'), '-c:a', 'libopus', file('a.ogg'));
    ffmpeg(file('man.wav'), '-af', 'aloop=20:2000000', file('long.mp3'));
    fs.writeFileSync(file('silence.wav'), wav(Buffer.alloc(48000 * 8), 24000));
    fs.writeFileSync(file('short.wav'), wav(man.subarray(0, 48000 * 2), 24000));
    fs.writeFileSync(file('garbage.wav'), fs.readFileSync(process.execPath).subarray(4096, 200_000));
    fs.writeFileSync(file('large.wav'), wav(Buffer.alloc(11 << 20), 24000));
    const breath = Buffer.alloc(48000 * 25); // comes and goes like syllables, and is nobody's voice
    for (let i = 0, x = 7; i < breath.length / 2; i++) {
        x = x * 1103515245 + 12345 & 0x7fffffff;
        breath.writeInt16LE(Math.round(((x >> 8 & 0xffff) - 32768) * 0.3 * Math.max(0, Math.sin(2 * Math.PI * 3 * i / 24000)) ** 2), 2 * i);
    }
    fs.writeFileSync(file('breath.wav'), wav(breath, 24000));
});

describe('vocabularies', () => {
    test('made, listed, looked at, changed, deleted', async () => {
        const made = await vocabulary('create_vocabulary', { target_model: 'paraformer-realtime-v2', prefix: 'mine', vocabulary: WORDS });
        assert.equal(made.status, 200);
        assert.deepEqual(made.usage, { count: 1 });
        const id = made.output.vocabulary_id;
        assert.match(id, /^vocab-mine-[0-9a-f]{32}$/);
        const list = await vocabulary('list_vocabulary', { prefix: 'mine' });
        assert.deepEqual(list.output.vocabulary_list.map(v => [v.vocabulary_id, v.status]), [[id, 'OK']]);
        assert.match(list.output.vocabulary_list[0].gmt_create, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
        assert.deepEqual((await vocabulary('list_vocabulary', { prefix: 'other' })).output.vocabulary_list, []);
        const got = await vocabulary('query_vocabulary', { vocabulary_id: id });
        assert.deepEqual([got.output.vocabulary, got.output.target_model, got.output.status], [WORDS, 'paraformer-realtime-v2', 'OK']);
        assert.equal((await vocabulary('update_vocabulary', { vocabulary_id: id, vocabulary: [WORDS[0]] })).status, 200);
        assert.deepEqual((await vocabulary('query_vocabulary', { vocabulary_id: id })).output.vocabulary, [WORDS[0]]);

        const c = await Tasks.open(box), pcm = await say('Please bring the dashbox to the office.', { parameters: { sample_rate: 16000 } });
        const heard = await c.listen({ model: 'paraformer-realtime-v2', parameters: { format: 'pcm', sample_rate: 16000, vocabulary_id: id } }, pcm);
        assert.match(heard.sentences.map(s => s.text).join(' '), /dashbox/i);
        await c.close();

        assert.deepEqual((await vocabulary('delete_vocabulary', { vocabulary_id: id })).output, {});
        refusal(await vocabulary('query_vocabulary', { vocabulary_id: id }), 400, 'BadRequest.ResourceNotExist', 'The Required resource not exist.');
    });
    test('E167: one that is not there', async () => {
        for (const action of ['query_vocabulary', 'delete_vocabulary'])
            refusal(await vocabulary(action, { vocabulary_id: 'vocab-x-0' }), 400, 'BadRequest.ResourceNotExist', 'The Required resource not exist.');
        refusal(await vocabulary('update_vocabulary', { vocabulary_id: 'vocab-x-0', vocabulary: WORDS }), 400, 'BadRequest.ResourceNotExist', 'The Required resource not exist.');
        const c = await Tasks.open(box);
        c.run({ task: 'asr', model: 'paraformer-realtime-v2', parameters: { format: 'pcm', sample_rate: 16000, vocabulary_id: 'vocab-x-0' } });
        assert.equal((await c.end()).header.error_code, 'BadRequest.ResourceNotExist');
    });
    test('E168: the eleventh, however many come at once', async () => {
        const all = await Promise.all(Array.from({ length: 16 }, (_, i) => vocabulary('create_vocabulary', { target_model: 'fun-asr', prefix: `n${i}`, vocabulary: WORDS })));
        assert.equal(all.filter(r => r.status === 200).length, 10);
        for (const r of all.filter(r => r.status !== 200)) refusal(r, 400, 'Throttling.AllocationQuota', 'Free allocated quota exceeded.');
        const page = await vocabulary('list_vocabulary', { page_index: 1, page_size: 7 });
        assert.equal(page.output.vocabulary_list.length, 3);
        for (const r of all.filter(r => r.status === 200)) await vocabulary('delete_vocabulary', { vocabulary_id: r.output.vocabulary_id });
    });
    test('what is no vocabulary', async () => {
        const make = o => vocabulary('create_vocabulary', { target_model: 'fun-asr', prefix: 'p', vocabulary: WORDS, ...o });
        refusal(await make({ prefix: 'Upper' }), 400, 'InvalidParameter', invalid('prefix'));
        refusal(await make({ prefix: 'elevenchars' }), 400, 'InvalidParameter', invalid('prefix'));
        refusal(await make({ target_model: undefined }), 400, 'InvalidParameter', invalid('target_model'));
        for (const bad of [[], [{ text: 'x' }], [{ text: 'x', weight: 6 }], [{ text: '', weight: 4 }], [{ text: '字'.repeat(16), weight: 4 }], [{ text: 'a b c d e f g h', weight: 4 }],
            Array(501).fill(WORDS[0])]) refusal(await make({ vocabulary: bad }), 400, 'InvalidParameter', invalid('vocabulary'));
        refusal(await vocabulary('burn_vocabulary', {}), 400, 'InvalidParameter', invalid('action'));
    });
});

describe('voices of CosyVoice', () => {
    test('cloned: it sounds like its sample, for its model alone', async () => {
        const made = await cosyvoice('create_voice', { target_model: 'cosyvoice-v3.5-flash', prefix: 'her', url: at('woman.wav') });
        assert.equal(made.status, 200, JSON.stringify(made));
        const voice = made.output.voice_id;
        assert.match(voice, /^cosyvoice-v3\.5-flash-her-[0-9a-f]{32}$/);
        const hers = pitch(await say('This is my voice now, and nobody else has it.', { model: 'cosyvoice-v3.5-flash', voice }));
        assert.ok(Math.abs(hers / pitch(woman) - 1) < 0.2, `${hers} Hz for ${pitch(woman)}`);
        const { output } = await cosyvoice('query_voice', { voice_id: voice });
        assert.deepEqual([output.status, output.target_model, output.resource_link], ['OK', 'cosyvoice-v3.5-flash', at('woman.wav')]);
        assert.deepEqual((await cosyvoice('list_voice', {})).output.voice_list.map(v => v.voice_id), [voice]);
        const c = await Tasks.open(box);
        c.run({ model: 'cosyvoice-v3-plus', voice });
        assert.equal((await c.end()).header.error_message, '[tts:]Engine return error code: 418');

        assert.equal((await cosyvoice('update_voice', { voice_id: voice, url: at('man.wav') })).status, 200);
        const his = pitch(await say('This is my voice now, and nobody else has it.', { model: 'cosyvoice-v3.5-flash', voice }));
        assert.ok(Math.abs(his / pitch(man) - 1) < 0.2 && his < hers * 0.95, `${his} Hz after ${hers}`);
        assert.deepEqual((await cosyvoice('delete_voice', { voice_id: voice })).output, {});
        refusal(await cosyvoice('query_voice', { voice_id: voice }), 400, 'BadRequest.ResourceNotExist', 'The Required resource not exist.');
    });
    test('designed: it follows its description, and is heard at once', async () => {
        const made = await cosyvoice('create_voice', { target_model: 'cosyvoice-v3.5-plus', prefix: 'deep', voice_prompt: 'A deep, slow voice of an old man', preview_text: 'How do I sound to you?' },
            { sample_rate: 24000, response_format: 'wav' });
        assert.equal(made.status, 200, JSON.stringify(made));
        const { preview_audio } = made.output;
        assert.deepEqual([preview_audio.sample_rate, preview_audio.response_format], [24000, 'wav']);
        assert.ok(pitch(Buffer.from(preview_audio.data, 'base64').subarray(44)) < 120);
        await cosyvoice('delete_voice', { voice_id: made.output.voice_id });
    });
    const bad = async (name, status, code, message) => refusal(await cosyvoice('create_voice', { target_model: 'cosyvoice-v2', prefix: 'x', url: at(name) }), status, code, message);
    test('E250: of another format', () => bad('a.ogg', 400, 'InvalidParameter', 'unsupported audio format:ogg'));
    test('E251: sound that nobody can tell what it is', () => bad('breath.wav', 400, 'InvalidParameter', 'internal unknown error'));
    test('E183: nothing that can be decoded', () => bad('garbage.wav', 400, 'Audio.DecoderError', 'Decoder audio file failed.'));
    test('E184: too few samples a second', () => bad('8k.wav', 400, 'Audio.AudioRateError', 'File sample rate unsupported.'));
    test('a prefix that is none', async () => refusal(await cosyvoice('create_voice', { target_model: 'cosyvoice-v2', prefix: 'a-b', url: at('man.wav') }), 400, 'InvalidParameter', invalid('prefix')));
});

describe("Qwen's voices", () => {
    const make = o => clone('create', { target_model: VC, preferred_name: 'me', audio: { data: at('man.wav') }, ...o });
    test('cloned from a data URI; listed by pages; deleted', async () => {
        const made = await make({ audio: { data: data('man.wav') }, language: 'en' });
        assert.equal(made.status, 200, JSON.stringify(made));
        assert.match(made.output.voice, /^qwen-tts-vc-me-voice-\d{17}-[0-9a-f]{4}$/);
        assert.deepEqual([made.output.target_model, made.usage.count], [VC, 1]);
        const list = await clone('list', { page_index: 0, page_size: 5 });
        assert.deepEqual([list.output.page_index, list.output.page_size, list.output.total_count, list.usage.count], [0, 5, 1, 0]);
        assert.deepEqual(list.output.voice_list.map(v => [v.voice, v.language, v.target_model]), [[made.output.voice, 'en', VC]]);
        assert.deepEqual((await clone('delete', { voice: made.output.voice })).output, {});
        refusal(await clone('delete', { voice: made.output.voice }), 400, 'BadRequest.VoiceNotFound', `Voice '${made.output.voice}' not found.`); // E182
    });
    test('designed, looked at', async () => {
        const made = await design('create', { target_model: VD, preferred_name: 'child', voice_prompt: '一个活泼的小女孩，声音清脆', preview_text: '你好呀', language: 'zh' }, { response_format: 'mp3' });
        assert.equal(made.status, 200, JSON.stringify(made));
        assert.match(made.output.voice, /^qwen-tts-vd-child-voice-\d{14}-[0-9a-f]{4}$/);
        assert.equal(made.output.preview_audio.response_format, 'mp3');
        const got = await design('query', { voice: made.output.voice });
        assert.deepEqual([got.output.voice, got.output.voice_prompt, got.output.preview_text], [made.output.voice, '一个活泼的小女孩，声音清脆', '你好呀']);
        assert.deepEqual((await design('delete', { voice: made.output.voice })).output, { voice: made.output.voice });
    });
    test('a text that is what is said', async () => {
        const made = await make({ text: 'The quick brown fox jumps over the lazy dog' });
        assert.equal(made.status, 200, JSON.stringify(made));
        await clone('delete', { voice: made.output.voice });
    });
    test('E164: not to be had, and too large', async () => {
        for (const name of ['nowhere.wav', 'large.wav'])
            refusal(await make({ audio: { data: at(name) } }), 400, 'BadRequest.InputDownloadFailed', 'Failed to download the input file.');
    });
    test('E180: silence, and another text than is said', async () => {
        refusal(await make({ audio: { data: at('silence.wav') } }), 400, 'Audio.PreprocessError', 'Audio preprocess error.');
        refusal(await make({ text: 'Completely different words were never spoken by anybody here yesterday' }), 400, 'Audio.PreprocessError', 'Audio preprocess error.');
    });
    test('E181: too little of it is speech', async () => refusal(await make({ audio: { data: at('short.wav') } }), 400, 'Audio.PreprocessError', 'No segments meet minimum duration requirement'));
    test('E185: longer than a minute', async () => refusal(await make({ audio: { data: at('long.mp3') } }), 400, 'Audio.DurationLimitError', 'Audio duration exceeds maximum allowed limit.'));
    test('E169: as many as there may be', async () => {
        const all = [];
        for (let i = 0; i < 3; i++) all.push(await make({}));
        assert.deepEqual(all.map(r => r.status), [200, 200, 400]);
        refusal(all[2], 400, 'Throttling.AllocationQuota', 'Maximum voice storage limit exceeded, please delete existing voices.');
        for (const r of all.slice(0, 2)) await clone('delete', { voice: r.output.voice });
    });
    test('parameters that are none', async () => {
        refusal(await make({ target_model: 'qwen3-tts-flash' }), 400, 'InvalidParameter', invalid('target_model'));
        refusal(await make({ preferred_name: 'with blank' }), 400, 'InvalidParameter', invalid('preferred_name'));
        refusal(await make({ audio: {} }), 400, 'InvalidParameter', invalid('audio.data'));
        refusal(await make({ language: 'xx' }), 400, 'InvalidParameter', invalid('language'));
        refusal(await clone('list', { page_size: 0 }), 400, 'InvalidParameter', invalid('page_size'));
    });
});

test('they outlive the server that is killed', async () => {
    const args = ['--data', path.join(folder, 'data')], first = await serve({ args });
    const word = await call('asr', 'speech-biasing', first)('create_vocabulary', { target_model: 'fun-asr', prefix: 'kept', vocabulary: WORDS });
    const voice = await call('tts', 'qwen-voice-design', first)('create', { target_model: VD, preferred_name: 'kept', voice_prompt: 'a bright voice of a woman', preview_text: 'Hello.' });
    await first.kill();
    const second = await serve({ args });
    assert.deepEqual((await call('asr', 'speech-biasing', second)('query_vocabulary', { vocabulary_id: word.output.vocabulary_id })).output.vocabulary, WORDS);
    assert.equal((await call('tts', 'qwen-voice-design', second)('query', { voice: voice.output.voice })).output.preview_text, 'Hello.');
});
