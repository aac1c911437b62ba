// Moderation of a conversation by voice: what was heard is input, what the model answers is output. doc/moderation.md

import { test, before } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { WebSocket } from 'ws';
import { KEY, scratch, serve } from './server.mjs';
import { Tasks } from './speech_client.mjs';

const SCENARIO = 'rules:\n  - match: { message: { contains: weather } }\n    answer: { text: The sun is shining. It is warm. }\n';
const folder = scratch('moderation-speech');

async function judged(name, rules) {
    const file = path.join(folder, `${name}.txt`);
    fs.writeFileSync(file, rules);
    return await serve({ scenario: SCENARIO, config: `moderation: { rules: ${file} }\n` });
}
const open = await judged('nothing', 'input: shining\noutput: weather\n'); // each on the side where it is not
const ears = await judged('input', 'input: weather\n');
const mouth = await judged('output', 'output: custom: sun is\n');
const both = await judged('both', 'warm\n');
let pcm;

before(async () => {
    const c = await Tasks.open(open);
    pcm = (await c.speak({ model: 'cosyvoice-v2', voice: 'loongdavid_v2', parameters: { format: 'pcm', sample_rate: 16000 } },
        ['The weather is beautiful today.'])).sound;
    await c.close();
});

// The error that ends the session, or the answer.
async function answer(box, session = {}) {
    const ws = new WebSocket(`${box.url.replace('http', 'ws')}/api-ws/v1/realtime?model=qwen3-omni-flash-realtime`,
        { headers: { Authorization: `Bearer ${KEY}` } });
    const send = event => ws.send(JSON.stringify(event));
    let said = '', end;
    ws.on('message', data => {
        const event = JSON.parse(data);
        if (event.type === 'session.created') send({ type: 'session.update', session: { modalities: ['text'], turn_detection: null, ...session } });
        if (event.type === 'session.updated') {
            for (let at = 0; at < pcm.length; at += 3200)
                send({ type: 'input_audio_buffer.append', audio: pcm.subarray(at, at + 3200).toString('base64') });
            send({ type: 'input_audio_buffer.commit' });
        }
        if (event.type === 'conversation.item.input_audio_transcription.completed') send({ type: 'response.create' });
        if (event.type === 'response.text.delta') said += event.delta;
        if (event.type === 'error') end = event.error;
        if (event.type === 'response.done') { end = said; ws.close(1000); }
    });
    await new Promise((resolve, reject) => { ws.on('close', resolve); ws.on('error', reject); });
    return end.message ? [end.code, end.message, said] : end;
}

test('a rule looks at its own side alone', async () => {
    assert.equal(await answer(open), 'The sun is shining. It is warm.');
});
test('what was heard, and the instructions, are input', async () => {
    assert.deepEqual(await answer(ears), ['data_inspection_failed', 'Input data may contain inappropriate content.', '']);
    assert.deepEqual(await answer(both, { instructions: 'Be warm.' }), ['data_inspection_failed', 'Input data may contain inappropriate content.', '']);
});
test('what the model says is output, and nothing of it is said', async () => {
    assert.deepEqual(await answer(mouth), ['CustomRoleBlocked', 'Input or output data may contain inappropriate content with custom rule.', '']);
    assert.deepEqual(await answer(both), ['data_inspection_failed', 'Output data may contain inappropriate content.', '']);
});

// ---- a text that is read ----

const RULES = [['my-judge', 'is warm', 'Safety: Unsafe'], ['my-judge', 'evening', 'Safety: Unsafe'], ['my-judge', '', 'Safety: Safe']].map(
    ([model, words, text]) => `  - match: { model: ${model}, message: { contains: "${words}" } }\n    answer: { text: "${text}" }\n`).join('');
const GUARDED = SCENARIO.replace('rules:\n', `rules:\n${RULES}`);
const guarded = await serve({ scenario: GUARDED, config: 'moderation: { guard: my-judge }\n' });
const read = (box, text) => fetch(`${box.url}/api/v1/services/audio/tts/SpeechSynthesizer`, { method: 'POST',
    headers: { authorization: `Bearer ${KEY}`, 'X-DashScope-SSE': 'enable' },
    body: JSON.stringify({ model: 'cosyvoice-v2', input: { text, voice: 'longxiaochun_v2' } }) });

test('is judged before a word of it is read, by rules and by the guard', async () => {
    for (const [box, text] of [[both, 'Good morning. It is warm.'], [guarded, 'Good morning. Good evening.']]) {
        const answer = await read(box, text);
        assert.deepEqual([answer.status, (await answer.json()).message], [400, 'Input data may contain inappropriate content.']);
    }
    assert.match(await (await read(guarded, 'Good morning.')).text(), /event:result/);
});
test('the guard judges a conversation by voice, too', async () => {
    assert.deepEqual(await answer(guarded), ['data_inspection_failed', 'Input or output data may contain inappropriate content.', '']);
});
