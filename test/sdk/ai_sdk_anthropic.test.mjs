// Vercel's AI SDK: `ai` over `@ai-sdk/anthropic`, pointed at the server by `baseURL` alone.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createAnthropic } from '@ai-sdk/anthropic';
import { APICallError, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { KEY, SCENARIO, serve } from './server.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const box = await serve({ scenario: SCENARIO });

const model = (id = 'qwen-plus') => createAnthropic({ baseURL: `${box.url}/apps/anthropic/v1`, apiKey: KEY })(id);
const calm = { maxRetries: 0 };
const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';

const weather = seen => tool({
    description: 'The weather of a town',
    inputSchema: z.object({ location: z.string(), unit: z.enum(['celsius', 'fahrenheit']) }),
    execute: async given => { seen.push(given); return { degrees: 21 }; },
});

describe('text', () => {
    test('generateText', async () => {
        const answer = await generateText({ model: model(), prompt: 'poem', system: 'Be brief.', ...calm });
        assert.equal(answer.text, POEM);
        assert.equal(answer.finishReason, 'stop');
        assert.equal(answer.response.modelId, 'qwen-plus');
        assert.match(answer.response.id, /^msg_/);
        assert(answer.usage.inputTokens > 0 && answer.usage.outputTokens > 10);
    });

    test('streamText, and the same usage', async () => {
        const answer = streamText({ model: model(), prompt: 'poem', ...calm });
        const pieces = [];
        for await (const piece of answer.textStream) pieces.push(piece);
        assert.equal(pieces.join(''), POEM);
        assert(pieces.length > 3);
        const [streamed, once] = [await answer.usage, (await generateText({ model: model(), prompt: 'poem', ...calm })).usage];
        assert.equal(streamed.inputTokens, once.inputTokens);
        assert.equal(streamed.outputTokens, once.outputTokens);
    });

    test('limits and stops', async () => {
        const cut = await generateText({ model: model(), prompt: 'count to ten', maxOutputTokens: 3, ...calm });
        assert.equal(cut.finishReason, 'length');
        const stopped = await generateText({ model: model(), prompt: 'count to ten', stopSequences: [' three'], ...calm });
        assert.equal(stopped.text, 'one two');
        assert.equal(stopped.finishReason, 'stop');
    });
});

const THINK = { providerOptions: { anthropic: { thinking: { type: 'enabled', budgetTokens: 1024 } } } };

test('thinking', async () => {
    const whole = await generateText({ model: model(), prompt: 'riddle', ...THINK, ...calm });
    assert.equal(whole.reasoningText, 'It has keys and opens nothing. So it plays.');
    assert.equal(whole.text, 'A piano.');
    const streamed = streamText({ model: model(), prompt: 'riddle', ...THINK, ...calm });
    assert.equal(await streamed.reasoningText, whole.reasoningText);
    assert.equal(await streamed.text, whole.text);
});

for (const [name, run] of [['generateText', generateText], ['streamText', streamText]]) {
    test(`a loop of tools by ${name}`, async () => {
        const seen = [];
        const answer = await run({ model: model(), prompt: 'How is the weather?', tools: { get_weather: weather(seen) },
            stopWhen: stepCountIs(3), ...calm });
        assert.equal(await answer.text, 'It is 21 degrees in Hangzhou.');
        assert.deepEqual(seen, [{ location: 'Hangzhou', unit: 'celsius' }]);
        assert.equal((await answer.steps).length, 2);
    });
}

test('a refusal', async () => {
    const error = await generateText({ model: model('no-such-model'), prompt: 'hi', ...calm }).catch(error => error);
    assert(APICallError.isInstance(error), String(error));
    assert.equal(error.statusCode, 404);
    assert.match(error.message, /no-such-model/);
    assert.equal(error.data.error.type, 'not_found_error');
});
