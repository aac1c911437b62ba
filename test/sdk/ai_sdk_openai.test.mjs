// Vercel's AI SDK over `@ai-sdk/openai`, whose default is the Responses API.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createOpenAI } from '@ai-sdk/openai';
import { APICallError, generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { KEY, SCENARIO, serve } from './server.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const box = await serve({ scenario: SCENARIO });

const model = (id = 'qwen-plus') => createOpenAI({ baseURL: box.compatible, apiKey: KEY })(id);
const calm = { maxRetries: 0 };
const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';

describe('text', () => {
    test('generateText', async () => {
        const answer = await generateText({ model: model(), system: 'Be brief.', prompt: 'poem', ...calm });
        assert.equal(answer.text, POEM);
        assert.equal(answer.finishReason, 'stop');
        assert(answer.usage.inputTokens > 5 && answer.usage.outputTokens > 10);
    });

    test('streamText', async () => {
        const answer = streamText({ model: model(), prompt: 'poem', ...calm });
        let text = '', pieces = 0;
        for await (const piece of answer.textStream) { text += piece; pieces++; }
        assert.equal(text, POEM);
        assert(pieces > 3);
        assert.equal(await answer.finishReason, 'stop');
        assert((await answer.usage).outputTokens > 10);
    });

    test('an answer that was too long', async () => {
        const prompt = 'one two three four five six seven eight nine ten eleven twelve thirteen fourteen';
        assert.equal((await generateText({ model: model(), prompt, maxOutputTokens: 16, ...calm })).finishReason, 'length');
    });

    test('a refusal', async () => {
        await assert.rejects(generateText({ model: model('gpt-9'), prompt: 'hi', ...calm }),
            error => APICallError.isInstance(error) && error.statusCode === 404);
    });
});

test('a loop of tools: the earlier items are named by their ids', async () => {
    const asked = [];
    const weather = tool({ description: 'The weather of a town', inputSchema: z.object({ location: z.string(), unit: z.string() }),
        execute: async input => { asked.push(input); return { degrees: 21 }; } });
    for (const run of [generateText, streamText]) {
        const answer = run({ model: model(), tools: { get_weather: weather }, prompt: 'What is the weather in Hangzhou?',
            stopWhen: stepCountIs(3), ...calm });
        const steps = await (await answer).steps;
        assert.equal(steps.length, 2);
        assert.match(steps[1].text, /21/);
    }
    assert.equal(asked.length, 2);
});

test('structured output', async () => {
    const Town = z.object({ name: z.string(), population: z.number() });
    const { object } = await generateObject({ model: model(), schema: Town, prompt: 'a town', ...calm });
    Town.parse(object);
});
