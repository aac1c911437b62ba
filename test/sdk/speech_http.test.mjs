// Speech over HTTP: CosyVoice's path, Qwen-TTS on the multimodal one, OpenAI's /v1/audio/speech through its SDK.
// Spec: speech.md §3.4, §3.5, §4.5.

import { describe, test, before } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import OpenAI from 'openai';
import { serve, scratch, KEY } from './server.mjs';
import { Tasks, tone, wav, wordErrors } from './speech_client.mjs';

const box = await serve();
const folder = scratch('speech-http');

function probe(name, bytes) {
    const file = path.join(folder, name);
    fs.writeFileSync(file, bytes);
    const { streams: [s], format } = JSON.parse(execFileSync('ffprobe', ['-v', 'quiet', '-of', 'json', '-show_format', '-show_streams', file]));
    return { codec: s.codec_name, rate: +s.sample_rate, seconds: +format.duration };
}

const post = (where, body, headers = {}) => fetch(`${box.url}/api/v1/services/${where}`, { method: 'POST',
    headers: { Authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) });
const SSE = { 'X-DashScope-SSE': 'enable' };
const events = async r => (await r.text()).split('\n\n').filter(Boolean).map(e => JSON.parse(e.split('\ndata:')[1]));
const refused = async (r, status, code, message) => {
    const body = await r.json();
    assert.deepEqual([r.status, body.code, body.message], [status, code, message]);
};

describe('CosyVoice', () => {
    const PATH = 'audio/tts/SpeechSynthesizer', input = { text: 'Hello world. How are you?', voice: 'longanyang', format: 'wav', sample_rate: 24000 };
    test('whole: a URL of the file', async () => {
        const body = await (await post(PATH, { model: 'cosyvoice-v3-flash', input })).json();
        assert.deepEqual([body.output.finish_reason, body.output.audio.data, body.usage], ['stop', '', { characters: 25 }]);
        assert.equal(body.output.audio.id, `audio_${body.request_id}`);
        assert.ok(body.output.audio.expires_at > Date.now() / 1000 + 3600);
        const got = probe('a.wav', Buffer.from(await (await fetch(body.output.audio.url)).arrayBuffer()));
        assert.deepEqual([got.codec, got.rate], ['pcm_s16le', 24000]);
        assert.ok(got.seconds > 1.5 && got.seconds < 6);
    });
    test('as events: sentences, their sound, the URL at last', async () => {
        const all = await events(await post(PATH, { model: 'cosyvoice-v3-flash', input: { ...input, format: 'mp3' } }, SSE));
        const types = all.map(e => e.output.type);
        assert.deepEqual(types.filter(t => /begin|end/.test(t)), ['sentence-begin', 'sentence-end', 'sentence-begin', 'sentence-end']);
        assert.equal(all[0].output.original_text, 'Hello world.');
        const last = all.at(-1);
        assert.deepEqual([last.output.finish_reason, last.usage], ['stop', { characters: 25 }]);
        assert.ok(all.slice(0, -1).every(e => e.output.finish_reason === 'null' && e.output.audio.id && e.output.audio.expires_at));
        const sound = Buffer.concat(all.map(e => Buffer.from(e.output.audio.data, 'base64')));
        assert.ok(sound.equals(Buffer.from(await (await fetch(last.output.audio.url)).arrayBuffer())));
        assert.equal(probe('a.mp3', sound).codec, 'mp3');
    });
    test('E084, E087, E094, W446', async () => {
        const make = o => post(PATH, { model: 'cosyvoice-v3-flash', input: { ...input, ...o } });
        await refused(await make({ text: '…' }), 400, 'InvalidParameter', 'Ensure input text is valid.');
        await refused(await make({ voice: '' }), 400, 'InvalidParameter', 'Request voice is invalid!');
        await refused(await make({ text: '<speak>x</speak>' }), 400, 'InvalidParameter', 'SSML text is not supported at the moment!');
        await refused(await make({ voice: 'nobody' }), 400, 'InvalidParameter', '[tts:]Engine return error code: 418');
    });
});

describe('Qwen-TTS', () => {
    const PATH = 'aigc/multimodal-generation/generation', input = { text: 'Hello there. How are you?', voice: 'Cherry', language_type: 'English' };
    test('whole', async () => {
        const body = await (await post(PATH, { model: 'qwen3-tts-flash', input })).json();
        assert.deepEqual([body.output.finish_reason, body.output.audio.data, body.usage], ['stop', '', { characters: 25 }]);
        const got = probe('q.wav', Buffer.from(await (await fetch(body.output.audio.url)).arrayBuffer()));
        assert.deepEqual([got.codec, got.rate], ['pcm_s16le', 24000]);
    });
    test('as events of PCM', async () => {
        const all = await events(await post(PATH, { model: 'qwen3-tts-flash', input }, SSE));
        const pcm = Buffer.concat(all.map(e => Buffer.from(e.output.audio.data, 'base64'))), last = all.at(-1).output;
        assert.deepEqual([last.finish_reason, last.audio.data], ['stop', '']);
        const file = Buffer.from(await (await fetch(last.audio.url)).arrayBuffer());
        assert.ok(file.subarray(44).equals(pcm));
    });
    test('the older model counts tokens; a second of speech is 50', async () => {
        const { usage } = await (await post(PATH, { model: 'qwen-tts', input })).json();
        assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
        assert.equal(usage.output_tokens % 50, 0);
    });
    test('E098 and texts too long', async () => {
        await refused(await post(PATH, { model: 'qwen3-tts-flash', input: { ...input, voice: 'xxx' } }), 400, 'InvalidParameter', "The requested voice 'xxx' is not supported.");
        await refused(await post(PATH, { model: 'qwen3-tts-flash', input: { ...input, text: 'a'.repeat(601) } }), 400, 'InvalidParameter', 'Range of input length should be [1, 600]');
        assert.equal((await post(PATH, { model: 'qwen3-tts-flash', input: { text: 'x' } })).status, 400);
    });
    test('its characters are booked', async () => {
        const before = await usage();
        await (await post(PATH, { model: 'qwen3-tts-flash', input })).json();
        assert.equal(await usage() - before, 25 * 80); // millionths: 0.8 for 10,000 characters
    });
});

async function usage() {
    const key = fs.readFileSync(path.join(box.folder, 'data', 'admin-key'), 'utf8').trim();
    const rows = await (await fetch(`${box.url}/admin/v1/usage?by=model`, { headers: { Authorization: `Bearer ${key}` } })).json();
    return rows.data.find(r => r.group === 'qwen3-tts-flash')?.list_cost ?? 0;
}

describe('OpenAI', () => {
    const openai = new OpenAI({ apiKey: KEY, baseURL: `${box.url}/v1`, maxRetries: 0 });
    for (const [format, codec] of [['mp3', 'mp3'], ['opus', 'opus'], ['wav', 'pcm_s16le'], ['flac', 'flac'], ['aac', 'aac']])
        test(`audio.speech.create: ${format}`, async () => {
            const r = await openai.audio.speech.create({ model: 'qwen3-tts-flash', voice: 'Cherry', input: 'Hello there.', response_format: format });
            assert.equal(probe(`o.${format}`, Buffer.from(await r.arrayBuffer())).codec, codec);
        });
    test('a model that does not speak, a voice that is none', async () => {
        await assert.rejects(openai.audio.speech.create({ model: 'qwen-plus', voice: 'Cherry', input: 'x' }), e => e.status === 404 || e.status === 400);
        await assert.rejects(openai.audio.speech.create({ model: 'qwen3-tts-flash', voice: 'xxx', input: 'x' }), /The requested voice 'xxx' is not supported/);
    });
});

describe('Qwen3-ASR', () => {
    const PATH = 'aigc/multimodal-generation/generation', SAID = 'The weather is beautiful today. Thank you very much for your help.';
    const openai = new OpenAI({ apiKey: KEY, baseURL: `${box.url}/compatible-mode/v1`, maxRetries: 0 });
    let uri;
    const ask = (audio, headers) => post(PATH, { model: 'qwen3-asr-flash', input: { messages: [{ role: 'system', content: [{ text: '' }] }, { role: 'user', content: [{ audio }] }] },
        parameters: { asr_options: { language: 'en' } } }, headers);
    before(async () => {
        const c = await Tasks.open(box), parts = [];
        for (const text of SAID.split(/(?<=\.) /))
            parts.push((await c.speak({ model: 'cosyvoice-v2', voice: 'loongdavid_v2', parameters: { format: 'pcm', sample_rate: 16000 } }, [text])).sound, tone(1200));
        await c.close();
        fs.writeFileSync(path.join(folder, 'said.wav'), wav(Buffer.concat(parts), 16000));
        uri = `data:audio/wav;base64,${fs.readFileSync(path.join(folder, 'said.wav')).toString('base64')}`;
    });
    test('native: whole, and as events', async () => {
        const body = await (await ask(uri)).json();
        const [choice] = body.output.choices;
        assert.ok(wordErrors(SAID, choice.message.content[0].text).errors <= 2, choice.message.content[0].text);
        assert.deepEqual([choice.finish_reason, choice.message.role, choice.message.annotations], ['stop', 'assistant', [{ type: 'audio_info', language: 'en', emotion: 'neutral' }]]);
        assert.ok(body.usage.seconds >= 6 && body.usage.output_tokens_details.text_tokens > 5);
        const all = await events(await ask(uri, SSE));
        assert.equal(all.at(-1).output.choices[0].message.content[0].text, choice.message.content[0].text);
        assert.deepEqual(all.map(e => e.output.choices[0].finish_reason), ['null', 'null', 'stop']);
    });
    test('as chat of OpenAI, whole and streamed', async () => {
        const messages = [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: uri } }] }];
        const r = await openai.chat.completions.create({ model: 'qwen3-asr-flash', messages });
        assert.ok(wordErrors(SAID, r.choices[0].message.content).errors <= 2);
        assert.equal(r.usage.total_tokens, r.usage.prompt_tokens + r.usage.completion_tokens);
        let text = '', usage;
        for await (const chunk of await openai.chat.completions.create({ model: 'qwen3-asr-flash', messages, stream: true, stream_options: { include_usage: true } })) {
            text += chunk.choices[0]?.delta.content ?? '';
            usage = chunk.usage ?? usage;
        }
        assert.equal(text, r.choices[0].message.content);
        assert.deepEqual(usage, r.usage);
    });
    test('audio.transcriptions.create, in each form', async () => {
        const file = () => fs.createReadStream(path.join(folder, 'said.wav'));
        const make = response_format => openai.audio.transcriptions.create({ model: 'qwen3-asr-flash', file: file(), response_format });
        const { text } = await make('json');
        assert.ok(wordErrors(SAID, text).errors <= 2);
        const verbose = await make('verbose_json');
        assert.equal(verbose.segments.length, 2);
        assert.ok(verbose.words.length > 8 && verbose.duration > 6);
        assert.match(await make('srt'), /^1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\nThe weather .*\.\n\n2\n/);
        assert.match(await make('vtt'), /^WEBVTT\n\n00:00:00\.\d{3} --> /);
        assert.match(await make('text'), /^The weather/);
    });
    test('a sound that is none, or too short', async () => {
        await refused(await ask('data:audio/wav;base64,aGVsbG8gd29ybGQ='), 400, 'InvalidParameter', 'The audio format is illegal and cannot be opened.');
        await refused(await ask(`data:audio/wav;base64,${wav(tone(500), 16000).toString('base64')}`), 400, 'InvalidFile.AudioLengthError', 'Audio length must be between 1s and 300s.');
        await refused(await post(PATH, { model: 'qwen3-asr-flash', input: { messages: [{ role: 'user', content: [{ text: 'x' }] }] } }), 400, 'InvalidParameter', 'The audio is empty');
    });
});
