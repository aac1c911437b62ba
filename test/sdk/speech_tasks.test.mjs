// /api-ws/v1/inference: CosyVoice and Sambert speak, Paraformer, Fun-ASR and Gummy listen; every state and refusal of speech.md §1, §4.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { serve, scratch, KEY, UUID } from './server.mjs';
import { Tasks, tone, wav, wordErrors } from './speech_client.mjs';

const box = await serve();
const COSY = { model: 'cosyvoice-v2', voice: 'longxiaochun_v2' };
const PCM = { format: 'pcm', sample_rate: 16000 };
const folder = scratch('speech');

async function refused(work, code, message) {
    const c = await Tasks.open(box);
    await work(c);
    const end = await c.end();
    assert.equal(end.header.event, 'task-failed');
    assert.deepEqual([end.header.error_code, end.header.error_message], [code, message]);
    assert.deepEqual([end.header.attributes, end.payload], [{}, {}]);
    assert.equal((await c.closed).code, 1000); // it cannot be used again
}

const speech = async (text, parameters = {}, voice = COSY) => {
    const c = await Tasks.open(box);
    const { end, sound } = await c.speak({ ...voice, parameters: { ...PCM, ...parameters } }, [text]);
    assert.equal(end.header.event, 'task-finished');
    await c.close();
    return sound;
};

const probe = (name, bytes) => {
    const file = path.join(folder, name);
    fs.writeFileSync(file, bytes);
    const said = JSON.parse(execFileSync('ffprobe', ['-v', 'quiet', '-of', 'json', '-show_format', '-show_streams', file]));
    const pcm = execFileSync('ffmpeg', ['-v', 'quiet', '-i', file, '-f', 's16le', '-ac', '1', '-ar', '16000', '-'], { maxBuffer: 1 << 26 });
    return { format: said.format.format_name, rate: +said.streams[0].sample_rate, seconds: pcm.length / 32000 };
};

describe('the handshake', () => {
    test('a bad key is an HTTP answer of 114 bytes', async () => { // wire-forms.md §5
        const e = await Tasks.open(box, { key: 'sk-nobody' }).then(() => null, e => e);
        assert.equal(e.status, 401);
        assert.equal(e.reason, 'Unauthorized');
        assert.deepEqual(Object.keys(e.body), ['code', 'message', 'request_id']);
        assert.equal(JSON.stringify(e.body).length, 114);
    });
    test('with a final slash; a plain GET is none', async () => {
        await (await Tasks.open(box, { path: '/api-ws/v1/inference/' })).close();
        const r = await fetch(`${box.url}/api-ws/v1/inference`, { headers: { Authorization: `Bearer ${KEY}` } });
        assert.equal(r.status, 400);
    });
});

describe('CosyVoice', () => {
    test('events in their order, each piece of sound behind its own, words with their times', async () => {
        const c = await Tasks.open(box);
        c.run({ ...COSY, parameters: { ...PCM, word_timestamp_enabled: true } });
        assert.deepEqual(await c.event('task-started'), { header: { task_id: c.id, event: 'task-started', attributes: {} }, payload: {} });
        c.more({ text: 'Hello wor' });
        c.more({ text: 'ld. How are you?' });
        c.finish();
        const end = await c.end();
        assert.equal(end.header.event, 'task-finished');
        assert.match(end.header.attributes.request_uuid, UUID);
        assert.deepEqual(end.payload.usage, { characters: 24 });
        const kinds = c.log.map(m => Buffer.isBuffer(m) ? 'sound' : m.payload.output?.type ?? m.header.event);
        for (const [i, kind] of kinds.entries()) assert.equal(kind === 'sound', kinds[i - 1] === 'sentence-synthesis', `${i} of ${kinds}`);
        assert.deepEqual(kinds.filter(k => /begin|end/.test(k)), ['sentence-begin', 'sentence-end', 'sentence-begin', 'sentence-end']);
        const [one, two] = c.results().filter(p => p.output.type === 'sentence-end');
        assert.deepEqual([one.output.original_text, one.output.sentence.index, two.output.original_text, two.output.sentence.index],
            ['Hello world.', 0, 'How are you?', 1]);
        assert.ok(one.usage.characters === 12 && two.usage.characters === 24);
        const words = [...one.output.sentence.words, ...two.output.sentence.words];
        assert.deepEqual(words.map(w => w.text), ['Hello', 'world', 'How', 'are', 'you']);
        assert.deepEqual(words.map(w => [w.begin_index, w.end_index]), [[0, 5], [6, 11], [0, 3], [4, 7], [8, 11]]);
        for (const [i, w] of words.entries()) assert.ok(w.begin_time < w.end_time && w.begin_time >= (words[i - 1]?.end_time ?? 0));
        const bytes = c.log.filter(Buffer.isBuffer).reduce((n, b) => n + b.length, 0);
        assert.ok(words.at(-1).end_time <= bytes / 32);
        for (const b of c.log.filter(Buffer.isBuffer)) assert.ok(b.length <= 8000);
        await c.close();
    });
    for (const [format, name, rate] of [['mp3', 'mp3', 22050], ['wav', 'wav', 24000], ['opus', 'ogg', 48000]]) {
        test(`${format} is one stream, with its head in the first frame alone`, async () => {
            const text = 'The first sentence is here. And here is the second one.';
            const sound = await speech(text, { format, sample_rate: rate });
            const got = probe(`a.${name}`, sound), pcm = await speech(text);
            assert.equal(got.format, name);
            assert.equal(got.rate, rate);
            assert.ok(Math.abs(got.seconds - pcm.length / 32000) < 0.2, `${got.seconds} of ${pcm.length / 32000}`);
        });
    }
    test('what SDKs send for nothing chosen is MP3 of 22,050 Hz', async () => {
        const got = probe('default.mp3', await speech('Nothing was chosen.', { format: 'Default', sample_rate: 0 }));
        assert.deepEqual([got.format, got.rate], ['mp3', 22050]);
    });
    test('louder, faster, higher; the same voice is the same, another is not', async () => {
        const text = 'One voice, and another.', plain = await speech(text);
        const power = b => { let sum = 0; for (let i = 0; i < b.length; i += 2) sum += b.readInt16LE(i) ** 2; return sum / b.length; };
        assert.ok((await speech(text)).equals(plain));
        assert.ok(power(await speech(text, { volume: 10 })) < power(plain) / 5);
        assert.ok((await speech(text, { rate: 2 })).length < plain.length * 0.7);
        assert.ok(!(await speech(text, { pitch: 1.5 })).equals(plain));
        assert.ok(!(await speech(text, {}, { ...COSY, voice: 'longwan_v2' })).equals(plain));
    });
    test('Mandarin counts two for an ideograph, and has a word for each', async () => {
        const c = await Tasks.open(box);
        const { end, results } = await c.speak({ ...COSY, parameters: { ...PCM, word_timestamp_enabled: true } }, ['你好，世界。']);
        assert.deepEqual(end.payload.usage, { characters: 10 });
        assert.deepEqual(results.find(p => p.output.type === 'sentence-end').output.sentence.words.map(w => w.text), ['你', '好', '世', '界']);
        await c.close();
    });
    test('several tasks on one connection, each with an id of its own', async () => {
        const c = await Tasks.open(box);
        for (let i = 0; i < 3; i++) assert.equal((await c.speak({ ...COSY, parameters: PCM }, ['Again.'])).end.header.event, 'task-finished');
        await c.close();
    });
    test('a new task drops the one that runs, without a word', async () => {
        const c = await Tasks.open(box);
        c.run({ ...COSY, parameters: PCM });
        const first = c.id;
        await c.event('task-started');
        c.more({ text: 'This will never be heard to its end, and this neither. '.repeat(200) });
        assert.equal((await c.speak({ ...COSY, parameters: PCM }, ['Now.'])).end.header.event, 'task-finished');
        assert.ok(!c.log.some(m => !Buffer.isBuffer(m) && m.header.task_id === first && /^task-f/.test(m.header.event)));
        await c.close();
    });
    test('a cancellation ends it at once', async () => {
        const c = await Tasks.open(box);
        c.run({ ...COSY, parameters: PCM });
        await c.event('task-started');
        c.more({ text: 'One of many sentences stands here. '.repeat(400) });
        await c.until(log => log.find(Buffer.isBuffer));
        c.finish({ directive: 'cancel' });
        assert.equal((await c.end()).header.event, 'task-finished');
        assert.ok(c.results().filter(p => p.output.type === 'sentence-end').length < 200);
        assert.equal((await c.speak({ ...COSY, parameters: PCM }, ['Still here.'])).end.header.event, 'task-finished');
        await c.close();
    });
    test('a flush says what is there, sentence or not, and the task goes on', async () => {
        const c = await Tasks.open(box);
        c.run({ ...COSY, parameters: PCM });
        c.more({ text: 'no end here' });
        c.more({ flush: true });
        await c.until(log => log.find(m => !Buffer.isBuffer(m) && m.payload.output?.type === 'sentence-end'));
        c.more({ text: 'and more' });
        c.finish();
        assert.equal((await c.end()).header.event, 'task-finished');
        assert.deepEqual(c.results().filter(p => p.output.type === 'sentence-end').map(p => p.output.original_text), ['no end here', 'and more']);
        await c.close();
    });
    test('markup is read where the model can; plain text may stand for it', async () => {
        const c = await Tasks.open(box), parameters = { ...PCM, enable_ssml: true };
        const short = await c.speak({ ...COSY, parameters }, ['<speak>One <break time="100ms"/> two.</speak>']);
        const long = await c.speak({ ...COSY, parameters }, ['<speak>One <break time="2s"/> two.</speak>']);
        const gained = (long.sound.length - short.sound.length) / 32;
        assert.ok(Math.abs(gained - 1900) < 100, `${gained} ms`);
        assert.equal(short.end.payload.usage.characters, 9);
        assert.equal((await c.speak({ ...COSY, parameters }, ['Plain text.'])).end.header.event, 'task-finished');
        await c.close();
    });

    test('E084: nothing to say', () => refused(c => c.speak({ ...COSY }, [' … ']), 'InvalidParameter', 'Ensure input text is valid.'));
    test('E085: no model', () => refused(c => c.run({ ...COSY, model: undefined }), 'InvalidParameter',
        "Missing required parameter 'payload.model'! Please follow the protocol!"));
    test('E085: an instruction without a task', () => refused(c => { c.id = 'nobody'; c.more({ text: 'x' }); }, 'InvalidParameter',
        "Missing required parameter 'payload.task_group'! Please follow the protocol!"));
    test('E086: a voice of another version', () => refused(c => c.run({ ...COSY, voice: 'longwan' }), 'InvalidParameter',
        '[tts:]Engine return error code: 418'));
    test('E087: no voice', () => refused(c => c.run({ ...COSY, voice: undefined }), 'InvalidParameter', 'Request voice is invalid!'));
    test('E093: two texts of markup', () => refused(c => c.speak({ ...COSY, parameters: { enable_ssml: true } }, ['One.', 'Two.']), 'InvalidParameter',
        'Text request limit violated, expected 1.'));
    test('E094: markup for a model that reads none', () => refused(c => c.speak({ model: 'cosyvoice-v1', voice: 'longwan', parameters: { enable_ssml: true } },
        ['<speak>Hello.</speak>']), 'InvalidParameter', 'SSML text is not supported at the moment!'));
    test('E272: no input', () => refused(c => c.run({ ...COSY, input: null }), 'InvalidParameter', 'task can not be null'));
    test('E272: a text that is none', () => refused(c => { c.run(COSY); c.more({ text: '' }); }, 'InvalidParameter', 'task can not be null'));
    test('X070: too much of an instruction', () => refused(c => c.run({ ...COSY, parameters: { instruction: '说'.repeat(51) } }), 'InvalidParameter',
        '[tts:]Engine return error code: 428'));
    test('W440: beyond a range', () => refused(c => c.run({ ...COSY, parameters: { volume: 101 } }), 'InvalidParameter',
        'the parameters must conform to the specification: volume'));
    test('W441, W442: an action, and an id, that nobody knows', async () => {
        await refused(c => { c.run(COSY); c.send({ header: { action: 'stop-task', task_id: c.id }, payload: {} }); }, 'InvalidParameter',
            "Invalid action('stop-task')! Please follow the protocol!");
        await refused(async c => {
            await c.speak({ ...COSY, parameters: PCM }, ['Once.']);
            const again = c.id;
            c.log.length = 0;
            c.send({ header: { action: 'run-task', task_id: again, streaming: 'duplex' }, payload: { task_group: 'audio', task: 'tts',
                function: 'SpeechSynthesizer', model: COSY.model, parameters: { voice: COSY.voice }, input: {} } });
        }, 'InvalidParameter', 'x').catch(e => assert.match(e.message, /Invalid task_id/));
    });
    test('W446: a voice that is not of Qwen-Audio-TTS', () => refused(c => c.run({ model: 'qwen-audio-3.0-tts-flash', voice: 'Cherry' }), 'InvalidParameter',
        '[cosyvoice:]Engine error [411]: TTS speak operation failed'));
    test('what is no JSON is closed with 1007', async () => {
        const c = await Tasks.open(box);
        c.send('{"header":');
        assert.deepEqual(await c.closed, { code: 1007, reason: 'Invalid payload data' });
    });
    test('E248: a text beyond a mebibyte is closed with 1009', async () => {
        const c = await Tasks.open(box);
        c.send('x'.repeat((1 << 20) + 1));
        assert.deepEqual(await c.closed, { code: 1009,
            reason: 'The decoded text message was too big for the output buffer and the endpoint does not support partial messages' });
    });
    test('E175: a client that leaves is in the journal of requests', async () => {
        const c = await Tasks.open(box);
        c.run({ ...COSY, parameters: PCM });
        c.more({ text: 'A sentence among many others. '.repeat(300) });
        await c.until(log => log.find(Buffer.isBuffer));
        c.ws.terminate();
        for (let tries = 0; ; tries++) {
            const log = box.log();
            if (log.includes('"error":"E175"')) break; // ClientDisconnect, "Client disconnected before task finished!"
            assert.ok(tries < 200, 'it is not told');
            await new Promise(resolve => setTimeout(resolve, 25));
        }
    });
});

describe('Sambert', () => {
    test('all in one instruction; sentences with words and phonemes', async () => {
        const c = await Tasks.open(box);
        const { end, results, sound } = await c.speak({ model: 'sambert-zhichu-v1', streaming: 'out', input: { text: '床前明月光，' },
            parameters: { word_timestamp_enabled: true, phoneme_timestamp_enabled: true } }, []);
        assert.deepEqual(end.payload, { output: null, usage: { characters: 6 } });
        const got = probe('sambert.wav', sound);
        assert.deepEqual([got.format, got.rate], ['wav', 48000]);
        const sentence = results[0].output.sentence;
        assert.deepEqual(sentence.words.map(w => w.text), ['床', '前', '明', '月', '光']);
        assert.ok(sentence.words.every(w => w.phonemes.length && w.phonemes[0].begin_time >= w.begin_time));
        assert.equal(results[0].usage, null);
        await c.close();
    });
});

const SENTENCES = ['The weather is beautiful today.', 'Please open the window and close the door.', 'I would like to have a cup of coffee.',
    'She is reading a book about the history of science.', 'Can you tell me where the train station is?', 'We are going to visit our friends next week.',
    'The children are playing in the garden.', 'He has been working here for twenty years.', 'My brother lives in a small village near the sea.',
    'This is the best day of my life.', 'They want to buy a new house this summer.', 'Thank you very much for your help.'];

describe('recognition', () => {
    test('what we say is what we hear: word errors of twelve sentences', async () => {
        const c = await Tasks.open(box), sum = { errors: 0, words: 0 };
        for (const said of SENTENCES) {
            const pcm = await speech(said, {}, { model: 'cosyvoice-v2', voice: 'loongdavid_v2' });
            const { sentences } = await c.listen({ model: 'paraformer-realtime-v2', parameters: PCM }, Buffer.concat([pcm, tone(300)]));
            const { errors, words } = wordErrors(said, sentences.map(s => s.text).join(' '));
            sum.errors += errors;
            sum.words += words;
        }
        assert.ok(sum.errors / sum.words < 0.15, `${sum.errors} of ${sum.words} words`);
        await c.close();
    });
    test('results while it comes, then the sentence with its times', async () => {
        const c = await Tasks.open(box), pcm = await speech('The weather is beautiful today.', {}, { model: 'cosyvoice-v2', voice: 'loongdavid_v2' });
        const { end, results, sentences } = await c.listen({ model: 'paraformer-realtime-v2', parameters: PCM },
            Buffer.concat([tone(500), pcm, tone(2000), pcm, tone(300)]));
        assert.deepEqual(end.payload, { output: {}, usage: null });
        assert.equal(sentences.length, 2);
        assert.deepEqual(sentences.map(s => s.sentence_id), [1, 2]);
        for (const p of results) {
            const s = p.output.sentence;
            assert.equal(s.sentence_end, s.end_time !== null);
            assert.equal(s.sentence_end, p.usage !== null);
            assert.equal(s.heartbeat, false);
            for (const w of s.words) assert.ok(w.begin_time <= w.end_time && typeof w.punctuation === 'string');
        }
        assert.ok(results.filter(p => !p.output.sentence.sentence_end).length >= 2);
        assert.ok(sentences[0].begin_time >= 400 && sentences[1].begin_time >= sentences[0].end_time + 1000);
        assert.match(sentences[0].text, /^The weather .*\.$/);
        assert.ok(results.at(-1).usage.duration >= Math.floor(pcm.length / 16000));
        await c.close();
    });
    for (const format of ['wav', 'mp3', 'opus', 'speex', 'aac']) {
        test(`${format}, in pieces`, async () => {
            const c = await Tasks.open(box), pcm = await speech('This is the best day of my life.', {}, { model: 'cosyvoice-v2', voice: 'loongdavid_v2' });
            const from = path.join(folder, 'from.wav'), to = path.join(folder, `in.${format}`);
            fs.writeFileSync(from, wav(pcm, 16000));
            const how = { opus: ['-c:a', 'libopus', '-f', 'ogg'], speex: ['-c:a', 'libspeex', '-f', 'ogg'], aac: ['-f', 'adts'], mp3: ['-b:a', '96k'] }[format] ?? [];
            execFileSync('ffmpeg', ['-v', 'quiet', '-y', '-i', from, ...how, to]);
            const { sentences } = await c.listen({ model: 'fun-asr-realtime', parameters: { format, sample_rate: 16000 } }, fs.readFileSync(to), 1000);
            const heard = sentences.map(s => s.text).join(' ');
            assert.ok(wordErrors('This is the best day of my life', heard).errors <= 3, heard);
            await c.close();
        });
    }
    test('a word of its own is heard when the task names it', async () => {
        const c = await Tasks.open(box), pcm = await speech('Please bring the dashbox to the office.', {}, { model: 'cosyvoice-v2', voice: 'loongdavid_v2' });
        const without = await c.listen({ model: 'qwen-audio-3.0-asr-flash-streaming', parameters: PCM }, pcm);
        const having = await c.listen({ model: 'qwen-audio-3.0-asr-flash-streaming', parameters: { ...PCM, vocabulary: { dashbox: 5 } } }, pcm);
        assert.ok(!/dashbox/i.test(without.sentences.map(s => s.text).join(' ')));
        assert.match(having.sentences.map(s => s.text).join(' '), /dashbox/i);
        await c.close();
    });
    test('with a heartbeat silence goes on for ever; E230b: without it for a minute', async () => {
        const c = await Tasks.open(box);
        const { end, results } = await c.listen({ model: 'fun-asr-realtime', parameters: { ...PCM, heartbeat: true } }, tone(75_000), 64_000);
        assert.equal(end.header.event, 'task-finished');
        assert.ok(results.length >= 6 && results.every(p => p.output.sentence.heartbeat === true && p.output.sentence.sentence_id === 0));
        await c.close();
        await refused(c => c.listen({ model: 'fun-asr-realtime', parameters: PCM }, tone(61_000), 64_000).catch(() => {}), 'RequestTimeOut', 'Response timeout!');
    });
    test('E253: nobody speaks', async () => {
        for (const sound of [tone(1500, 440), tone(1500), Buffer.alloc(0)])
            await refused(c => c.listen({ model: 'paraformer-realtime-v2', parameters: PCM }, sound), 'NO_INPUT_AUDIO_ERROR', 'NO_INPUT_AUDIO_ERROR');
    });
    test('E271: sound of another format, or of a rate that the model does not hear', async () => {
        await refused(c => c.listen({ model: 'paraformer-realtime-v2', parameters: { format: 'mp3', sample_rate: 16000 } }, fs.readFileSync(process.execPath).subarray(0, 200_000)).catch(() => {}),
            'NO_VALID_AUDIO_ERROR', 'NO_VALID_AUDIO_ERROR');
        await refused(c => c.run({ task: 'asr', model: 'paraformer-realtime-8k-v2', parameters: PCM }), 'NO_VALID_AUDIO_ERROR', 'NO_VALID_AUDIO_ERROR');
    });
    test('W444, W445: Fun-ASR says it otherwise', async () => {
        await refused(c => c.listen({ model: 'fun-asr-realtime', parameters: { format: 'wav', sample_rate: 16000 } }, Buffer.from('this is no sound at all, and never was')).catch(() => {}),
            'CLIENT_ERROR', 'Failed to decode audio');
        await refused(c => c.run({ task: 'asr', model: 'fun-asr-realtime', parameters: { format: 'flac', sample_rate: 16000 } }), 'CLIENT_ERROR', 'UNSUPPORTED_FORMAT');
    });
    test('Gummy: what was said and what it means; the short one ends itself', async () => {
        const c = await Tasks.open(box), pcm = await speech('Thank you very much for your help.', {}, { model: 'cosyvoice-v2', voice: 'loongdavid_v2' });
        const { results } = await c.listen({ model: 'gummy-realtime-v1', parameters: { ...PCM, translation_enabled: true, translation_target_languages: ['zh'] } },
            Buffer.concat([pcm, tone(1000)]));
        const last = results.at(-1);
        assert.equal(last.output.transcription.sentence_end, true);
        assert.match(last.output.transcription.text, /^Thank you/);
        assert.equal(last.output.translations[0].lang, 'zh');
        assert.ok(last.output.translations[0].text.length > 0);
        for (const p of results) for (const w of p.output.transcription.words) assert.equal(typeof w.fixed, 'boolean');
        c.run({ task: 'asr', model: 'gummy-chat-v1', parameters: PCM });
        await c.event('task-started');
        c.ws.send(Buffer.concat([pcm, tone(1500)]));
        assert.deepEqual((await c.end()).payload, { output: {}, usage: null });
        await c.close();
    });
    test('Gummy closes on an instruction that is none', async () => {
        const c = await Tasks.open(box);
        c.run({ task: 'asr', model: 'gummy-realtime-v1', parameters: PCM });
        await c.event('task-started');
        c.finish({ end_of_stream: true });
        assert.deepEqual(await c.closed, { code: 1007, reason: 'Invalid payload data' });
    });
});

describe('time', { concurrency: true }, () => {
    test('E083: 23 seconds of nothing', () => refused(c => c.run(COSY), 'InvalidParameter', 'request timeout after 23 seconds.'));
    test('a connection without a task is closed after a minute', async () => {
        const c = await Tasks.open(box);
        assert.equal((await c.closed).code, 1000);
    });
});
