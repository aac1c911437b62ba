// /api-ws/v1/realtime: Qwen-TTS, Qwen-ASR, Qwen-Omni and LiveTranslate, each event and refusal of speech.md §2, §4.5, wire-forms.md §6.

import { describe, test, before } from 'node:test';
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { WebSocket } from 'ws';
import { serve, KEY } from './server.mjs';
import { Tasks, tone, wordErrors } from './speech_client.mjs';

const box = await serve({ scenario: 'rules:\n  - match: { message: { contains: weather } }\n    answer: { text: The sun is shining. It is warm. }\n'
    + `  - match: { message: { contains: help } }\n    answer: { text: "${'This is a long answer that nobody wants to hear to its end. '.repeat(60)}" }\n` });
const SAID = 'The weather is beautiful today.';
let pcm, thanks;

class Session {
    static async open(model, { key = KEY } = {}) {
        const s = new Session();
        s.log = [];
        s.waiting = [];
        s.ws = new WebSocket(`${box.url.replace('http', 'ws')}/api-ws/v1/realtime${model === undefined ? '' : `?model=${model}`}`,
            { headers: { Authorization: `Bearer ${key}`, 'OpenAI-Beta': 'realtime=v1' } });
        s.closed = new Promise(resolve => s.ws.on('close', (code, reason) => { s.over = { code, reason: reason.toString() }; s.tell(); resolve(s.over); }));
        s.ws.on('message', (data, binary) => {
            assert.equal(binary, false);
            s.log.push(JSON.parse(data));
            s.tell();
        });
        await new Promise((resolve, reject) => { s.ws.on('open', resolve); s.ws.on('error', reject); });
        return s;
    }
    tell() { for (const wake of this.waiting.splice(0)) wake(); }
    send(type, members = {}) {
        const event_id = `event_${crypto.randomUUID().replaceAll('-', '')}`;
        this.ws.send(JSON.stringify({ event_id, type, ...members }));
        return event_id;
    }
    // The next event of that type that nobody has asked for yet.
    async next(type) {
        for (;;) {
            const at = this.log.findIndex((e, i) => i >= (this.seen ?? 0) && e.type === type);
            if (at >= 0) { this.seen = at + 1; return this.log[at]; }
            if (this.over) throw new Error(`closed with ${this.over.code} "${this.over.reason}" after ${JSON.stringify(this.log.slice(-2))}`);
            await new Promise(resolve => this.waiting.push(resolve));
        }
    }
    hear(bytes, piece = 3200) { for (let at = 0; at < bytes.length; at += piece) this.send('input_audio_buffer.append', { audio: bytes.subarray(at, at + piece).toString('base64') }); }
    types() { return this.log.map(e => e.type); }
    sound() { return Buffer.concat(this.log.filter(e => e.type === 'response.audio.delta').map(e => Buffer.from(e.delta, 'base64'))); }
    async close() { this.ws.close(1000); await this.closed; }
}

async function says_error(s, send, error) {
    const id = send();
    const got = (await s.next('error')).error;
    assert.deepEqual({ ...error, event_id: id }, Object.fromEntries(Object.keys({ ...error, event_id: id }).map(k => [k, got[k]])));
    assert.equal(got.type, 'invalid_request_error');
}

before(async () => {
    const c = await Tasks.open(box);
    pcm = (await c.speak({ model: 'cosyvoice-v2', voice: 'loongdavid_v2', parameters: { format: 'pcm', sample_rate: 16000 } }, [SAID])).sound;
    thanks = (await c.speak({ model: 'cosyvoice-v2', voice: 'loongdavid_v2', parameters: { format: 'pcm', sample_rate: 16000 } }, ['Thank you very much for your help.'])).sound;
    await c.close();
});

describe('the session', () => {
    test('begins unasked; ids are what they are', async () => {
        const s = await Session.open('qwen3-tts-flash-realtime');
        const { event_id, session } = await s.next('session.created');
        assert.match(event_id, /^event_\w{21}$/);
        assert.match(session.id, /^sess_\w{21}$/);
        assert.deepEqual([session.object, session.model, session.mode, session.voice, session.response_format, session.sample_rate],
            ['realtime.session', 'qwen3-tts-flash-realtime', 'server_commit', 'Cherry', 'pcm', 24000]);
        await s.close();
    });
    test('a model that is not there, or not named, is closed with 1007', async () => {
        assert.deepEqual(await (await Session.open('qwen-nobody')).closed, { code: 1007, reason: 'Model not found.' });
        assert.deepEqual(await (await Session.open('qwen-plus')).closed, { code: 1007, reason: 'Model not found.' });
        assert.deepEqual(await (await Session.open()).closed, { code: 1007, reason: "Missing required parameter 'model'" });
    });
    test('events that nobody knows, frames that are none, text that is no JSON', async () => {
        const s = await Session.open('qwen3-asr-flash-realtime');
        await says_error(s, () => s.send('session.sing'), { code: 'invalid_value', message: "Invalid event type: 'session.sing'." });
        s.ws.send(Buffer.from([1, 2, 3]));
        assert.match((await s.next('error')).error.message, /^Binary frames/);
        s.ws.send('{');
        assert.deepEqual(await s.closed, { code: 1007, reason: 'Invalid payload data' });
    });
});

describe('Qwen-TTS', () => {
    test('server_commit: sentences as they come, one response', async () => {
        const s = await Session.open('qwen3-tts-flash-realtime');
        s.send('session.update', { session: { voice: 'Ethan', mode: 'server_commit', response_format: 'pcm', sample_rate: 24000, language_type: 'English' } });
        assert.equal((await s.next('session.updated')).session.voice, 'Ethan');
        s.send('input_text_buffer.append', { text: 'Hello there. How are' });
        await s.next('response.audio.delta'); // the first sentence, without a commit
        s.send('input_text_buffer.append', { text: ' you?' });
        s.send('session.finish');
        await s.next('session.finished');
        const order = s.types().filter((t, i, all) => t !== 'response.audio.delta' || all[i - 1] !== t);
        assert.deepEqual(order, ['session.created', 'session.updated', 'response.created', 'response.output_item.added', 'response.content_part.added',
            'response.audio.delta', 'response.audio.done', 'response.content_part.done', 'response.output_item.done', 'response.done', 'session.finished']);
        const { response } = s.log.find(e => e.type === 'response.done');
        assert.deepEqual([response.status, response.usage], ['completed', { characters: 'Hello there. How are you?'.length }]);
        assert.ok(s.sound().length > 48000);
        await s.close();
    });
    test('commit: nothing before it, a response for each; clear', async () => {
        const s = await Session.open('qwen3-tts-flash-realtime');
        s.send('session.update', { session: { voice: 'Cherry', mode: 'commit' } });
        await s.next('session.updated');
        s.send('input_text_buffer.append', { text: 'This is forgotten.' });
        s.send('input_text_buffer.clear');
        await s.next('input_text_buffer.cleared');
        for (const text of ['One sentence. And one more.', 'Another response.']) {
            s.send('input_text_buffer.append', { text });
            s.send('input_text_buffer.commit');
            assert.equal((await s.next('input_text_buffer.committed')).item_id, '');
            assert.equal((await s.next('response.done')).response.usage.characters, text.length);
        }
        await says_error(s, () => s.send('input_text_buffer.commit'), { code: 'invalid_value', message: 'Error committing input buffer: buffer is empty.' });
        await s.close();
    });
    test('what a session may not be', async () => {
        const s = await Session.open('qwen3-tts-flash-realtime');
        await says_error(s, () => s.send('session.update', { session: { mode: 'none' } }), { code: 'invalid_value', param: 'session.mode',
            message: "Invalid value: 'none'. Supported values are: 'server_commit', 'commit'." });
        await says_error(s, () => s.send('session.update', { session: { response_format: 'ogg' } }), { code: 'invalid_value', param: 'session.response_format',
            message: "Invalid value: 'ogg'. Supported values are: 'pcm', 'wav', 'mp3', 'opus'." });
        await says_error(s, () => s.send('session.update', { session: { voice: 'xxx' } }), { code: 'invalid_value', param: 'session.voice',
            message: "The requested voice 'xxx' is not supported." }); // E098
        await says_error(s, () => s.send('input_text_buffer.clear'), { code: 'invalid_value', message: 'only client commit mode supports clear operation' });
        await says_error(s, () => s.send('response.cancel'), { code: 'invalid_value', message: 'No active response to cancel.' });
        s.send('input_text_buffer.append', { text: 'x' });
        await says_error(s, () => s.send('session.update', { session: {} }), { code: 'invalid_value',
            message: 'Session update error: session already started or finished or failed.' });
        assert.equal((await s.closed).code, 1000);
    });
    test('E270: a stock voice where only cloned ones speak', async () => {
        const s = await Session.open('qwen-tts-vc-realtime-2025-08-20');
        await says_error(s, () => s.send('session.update', { session: { voice: 'Cherry' } }), { code: 'CLIENT_ERROR', message: '[qwen-tts:]Engine return error code: 411' });
        assert.equal((await s.closed).code, 1000);
    });
    test('the older model counts tokens', async () => {
        const s = await Session.open('qwen-tts-realtime');
        s.send('input_text_buffer.append', { text: 'Hello there.' });
        s.send('session.finish');
        const { usage } = (await s.next('response.done')).response;
        assert.equal(usage.total_tokens, usage.input_tokens + usage.output_tokens);
        assert.ok(usage.output_tokens_details.audio_tokens >= 50 && usage.output_tokens_details.audio_tokens % 50 === 0);
        await s.close();
    });
});

describe('Qwen-ASR', () => {
    test('voice activity ends sentences', async () => {
        const s = await Session.open('qwen3-asr-flash-realtime');
        s.send('session.update', { session: { modalities: ['text'], input_audio_format: 'pcm', sample_rate: 16000, input_audio_transcription: { language: 'en' },
            turn_detection: { type: 'server_vad', threshold: 0.2, silence_duration_ms: 500 } } });
        assert.deepEqual((await s.next('session.updated')).session.turn_detection, { type: 'server_vad', threshold: 0.2, silence_duration_ms: 500 });
        s.hear(Buffer.concat([tone(400), pcm, tone(900), pcm, tone(200)]));
        s.send('session.finish');
        await s.next('session.finished');
        const done = s.log.filter(e => e.type.endsWith('.completed'));
        assert.equal(done.length, 2);
        for (const e of done) assert.ok(wordErrors(SAID, e.transcript).errors <= 1, e.transcript);
        const first = s.types().slice(0, s.types().indexOf(done[0].type) + 1).filter(t => !t.endsWith('.text'));
        assert.deepEqual(first.slice(2), ['input_audio_buffer.speech_started', 'input_audio_buffer.speech_stopped', 'input_audio_buffer.committed',
            'conversation.item.created', 'conversation.item.input_audio_transcription.completed']);
        const [a, b] = s.log.filter(e => e.type === 'input_audio_buffer.committed');
        assert.equal(b.previous_item_id, a.item_id);
        assert.ok(s.log.some(e => e.type.endsWith('.text') && e.text + e.stash !== ''));
        await says_error(s, () => s.send('input_audio_buffer.commit'), { code: 'invalid_value' });
        await s.close();
    });
    test('by hand: a commit, and one of too little', async () => {
        const s = await Session.open('qwen3-asr-flash-realtime');
        s.send('session.update', { session: { turn_detection: null } });
        assert.equal((await s.next('session.updated')).session.turn_detection, null);
        await says_error(s, () => s.send('input_audio_buffer.commit'), { message: 'Error committing input audio buffer: buffer too small, or have no audio.' });
        s.hear(pcm);
        s.send('input_audio_buffer.commit');
        assert.ok(wordErrors(SAID, (await s.next('conversation.item.input_audio_transcription.completed')).transcript).errors <= 1);
        s.hear(tone(1000));
        s.send('input_audio_buffer.commit');
        assert.deepEqual((await s.next('conversation.item.input_audio_transcription.failed')).error,
            { code: 'audio_unintelligible', message: 'The audio could not be transcribed.', param: null });
        await s.close();
    });
    test('what a session may not be', async () => {
        const s = await Session.open('qwen3-asr-flash-realtime');
        await says_error(s, () => s.send('session.update', { session: { input_audio_format: 'pcm16' } }), { code: 'invalid_value', param: 'session.input_audio_format',
            message: "Invalid value: 'pcm16'. Supported values are: 'pcm', 'opus'." });
        await s.close();
    });
});

describe('Qwen-Omni', () => {
    test('who speaks is answered, in words and sound', async () => {
        const s = await Session.open('qwen3-omni-flash-realtime');
        s.send('session.update', { session: { modalities: ['text', 'audio'], voice: 'Cherry', input_audio_format: 'pcm16', output_audio_format: 'pcm16',
            turn_detection: { type: 'server_vad', threshold: 0.5, silence_duration_ms: 500 } } });
        await s.next('session.updated');
        s.hear(Buffer.concat([pcm, tone(900)]));
        const done = await s.next('response.done');
        assert.equal(done.response.status, 'completed');
        assert.equal(done.response.output[0].content[0].transcript, 'The sun is shining. It is warm.');
        const u = done.response.usage;
        assert.equal(u.total_tokens, u.input_tokens + u.output_tokens);
        const types = s.types();
        const order = ['input_audio_buffer.speech_started', 'conversation.item.input_audio_transcription.delta', 'input_audio_buffer.speech_stopped', 'input_audio_buffer.committed',
            'conversation.item.input_audio_transcription.completed', 'response.created', 'response.content_part.added', 'response.audio_transcript.delta', 'response.audio.delta',
            'response.audio_transcript.done', 'response.audio.done', 'response.content_part.done', 'response.output_item.done', 'response.done'];
        for (const [i, t] of order.entries()) assert.ok(types.indexOf(t) >= 0 && (!i || types.lastIndexOf(t) > types.indexOf(order[i - 1])), t);
        assert.ok(s.sound().length > 24000);
        s.send('session.finish');
        await s.next('session.finished');
        await s.close();
    });
    test('by hand, and in text alone', async () => {
        const s = await Session.open('qwen3-omni-flash-realtime');
        s.send('session.update', { session: { modalities: ['text'], turn_detection: null } });
        await s.next('session.updated');
        s.hear(pcm);
        s.send('input_audio_buffer.commit');
        await s.next('conversation.item.input_audio_transcription.completed');
        s.send('response.create');
        assert.equal((await s.next('response.text.done')).text, 'The sun is shining. It is warm.');
        assert.deepEqual((await s.next('response.done')).response.modalities, ['text']);
        assert.equal(s.sound().length, 0);
        await s.close();
    });
    test('speech that begins ends the answer', async () => {
        const s = await Session.open('qwen3-omni-flash-realtime');
        s.send('session.update', { session: { turn_detection: { type: 'server_vad', silence_duration_ms: 300 } } });
        await s.next('session.updated');
        s.hear(Buffer.concat([thanks, tone(500)]));
        await s.next('response.audio.delta');
        s.hear(Buffer.concat([pcm, tone(500)]));
        assert.equal((await s.next('response.done')).response.status, 'incomplete');
        const { response } = await s.next('response.done');
        assert.deepEqual([response.status, response.output[0].content[0].transcript], ['completed', 'The sun is shining. It is warm.']);
        await s.close();
    });
    test('what is refused', async () => {
        const s = await Session.open('qwen3-omni-flash-realtime');
        await says_error(s, () => s.send('session.update', { session: { modalities: ['audio'] } }), { code: 'invalid_value', param: 'session.modalities',
            message: "Invalid modalities: ['audio']. Supported combinations are: ['text'] and ['audio', 'text']." });
        await says_error(s, () => s.send('response.cancel'), { code: 'invalid_value', message: 'No active response to cancel.' });
        await says_error(s, () => s.send('input_image_buffer.append', { image: 'AAAA' }), { code: 'invalid_value' });
        s.send('session.update', { session: { voice: 'X', turn_detection: null } });
        assert.equal((await s.next('session.updated')).session.voice, 'X');
        s.send('response.create');
        assert.equal((await s.next('error')).error.message, "<400> InternalError.Algo.InvalidParameter: Voice 'X' is not supported.");
        assert.deepEqual(await s.closed, { code: 1007, reason: "<400> InternalError.Algo.InvalidParameter: Voice 'X' is not supported." });
    });
});

describe('LiveTranslate', () => {
    test('what is said is said in another language', async () => {
        const s = await Session.open('qwen3-livetranslate-flash-realtime');
        s.send('session.update', { session: { translation: { language: 'zh' }, turn_detection: { type: 'server_vad', silence_duration_ms: 500 } } });
        assert.deepEqual((await s.next('session.updated')).session.translation, { language: 'zh' });
        s.hear(Buffer.concat([pcm, tone(900)]));
        assert.ok(wordErrors(SAID, (await s.next('conversation.item.input_audio_transcription.completed')).transcript).errors <= 1);
        assert.equal((await s.next('response.done')).response.status, 'completed');
        assert.ok(s.sound().length > 10000);
        s.send('session.finish');
        await s.next('session.finished');
        await s.close();
    });
});
