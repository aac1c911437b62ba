// The npm package `openai` with messages of media and with special models: what people send through extra fields.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { KEY, serve } from './server.mjs';

const PCM = Buffer.alloc(48_000 * 2, 1).toString('base64'); // two seconds

const box = await serve({ scenario: `
rules:
  - match: { message: speak }
    answer: { text: one two three, audio: ${PCM} }
` });

const client = new OpenAI({ baseURL: box.compatible, apiKey: KEY, maxRetries: 0, timeout: 20_000 });
const create = body => client.chat.completions.create(body);
const user = content => [{ role: 'user', content }];

describe('media', () => {
    test('an image, a video and a list of frames', async () => {
        const answer = await create({ model: 'qwen3-vl-plus', messages: user([
            { type: 'image_url', image_url: { url: 'https://example.com/a.png', detail: 'high' }, min_pixels: 65536 },
            { type: 'video_url', video_url: { url: 'https://example.com/a.mp4' }, fps: 2 },
            { type: 'video', video: [1, 2, 3, 4].map(i => `https://example.com/${i}.jpg`) },
            { type: 'text', text: 'what is this?' },
        ]) });
        assert.match(answer.choices[0].message.content, /what is this\?/);
    });

    test('a local path is refused', async () => {
        await assert.rejects(create({ model: 'qwen3-vl-plus', messages: user([
            { type: 'image_url', image_url: { url: './a.png' } },
        ]) }), error => error instanceof BadRequestError && error.code === 'invalid_parameter_error'
            && /does not appear to be valid/.test(error.message));
    });

    test('Qwen-Audio has no OpenAI mode', async () => {
        await assert.rejects(create({ model: 'qwen-audio-turbo', messages: user('hi') }),
            error => error instanceof NotFoundError && error.code === 'model_not_supported');
    });
});

describe('speech', () => {
    test('comes in pieces behind the text and is counted by its length', async () => {
        const stream = await create({ model: 'qwen3-omni-flash', messages: user('speak'), stream: true,
            stream_options: { include_usage: true }, modalities: ['text', 'audio'], audio: { voice: 'Cherry', format: 'wav' } });
        let text = '', audio = '', pieces = 0, usage;
        for await (const chunk of stream) {
            const delta = chunk.choices[0]?.delta;
            text += delta?.content ?? '';
            if (delta?.audio) {
                pieces++;
                assert.match(delta.audio.id, /^audio_/);
                assert(delta.audio.expires_at > Date.now() / 1000);
                audio += delta.audio.data;
            }
            usage = chunk.usage ?? usage;
        }
        assert.equal(text, 'one two three');
        assert.equal(audio, PCM);
        assert(pieces > 1);
        assert.equal(usage.completion_tokens, 3 + 2 * 12.5);
    });
});

describe('translation', () => {
    const options = { source_lang: 'auto', target_lang: 'English', terms: [{ source: 'a', target: 'b' }] };

    test('the larger models repeat the text in each chunk', async () => {
        const seen = [];
        for await (const chunk of await create({ model: 'qwen-mt-plus', messages: user('one two'), stream: true,
            translation_options: options }))
            if (chunk.choices[0]?.delta.content) seen.push(chunk.choices[0].delta.content);
        assert(seen.length > 1);
        for (let i = 1; i < seen.length; i++) assert(seen[i].startsWith(seen[i - 1]));
    });

    test('a plain model is told in words what to translate', async () => {
        let asked;
        const engine = http.createServer(async (request, response) => {
            let body = '';
            for await (const piece of request) body += piece;
            asked = JSON.parse(body);
            response.setHeader('content-type', 'application/json');
            response.end(JSON.stringify({ choices: [{ index: 0, message: { role: 'assistant', content: 'b' },
                finish_reason: 'stop' }], usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 } }));
        });
        await new Promise(done => engine.listen(0, '127.0.0.1', done));
        try {
            const other = await serve({ config: `
engines:
  - name: local
    upstream: [http://127.0.0.1:${engine.address().port}/v1]
route:
  "*": local
` });
            const answer = await new OpenAI({ baseURL: other.compatible, apiKey: KEY, maxRetries: 0 }).chat.completions
                .create({ model: 'qwen-mt-plus', messages: user('a'), translation_options: options });
            assert.equal(answer.choices[0].message.content, 'b');
            assert.equal(asked.messages.length, 2);
            assert.match(asked.messages[0].content, /into English.*- a => b/s);
            assert.equal(asked.messages[1].content, 'a');
            assert.equal(asked.translation_options, undefined);
        } finally {
            engine.closeAllConnections();
            engine.close();
        }
    });
});

test('text recognition fills a template', async () => {
    const answer = await create({ model: 'qwen-vl-ocr-latest',
        messages: user([{ type: 'image_url', image_url: { url: 'https://example.com/a.png' } }]),
        ocr_options: { task: 'key_information_extraction', task_config: { result_schema: { date: 'as printed' } } } });
    assert.deepEqual(JSON.parse(answer.choices[0].message.content.replace(/^```json|```$/g, '')),
        { date: 'dashbox stand-in' });
});
