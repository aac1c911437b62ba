// Vercel's AI SDK: `ai` over `@ai-sdk/alibaba`, the provider made for this service, pointed at the server by `baseURL`.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createAlibaba } from '@ai-sdk/alibaba';
import { APICallError, generateObject, generateText, stepCountIs, streamText, tool } from 'ai';
import { z } from 'zod';
import { KEY, SCENARIO, serve } from './server.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const box = await serve({ scenario: SCENARIO });

const model = (id = 'qwen-plus', more = {}) => createAlibaba({ baseURL: box.compatible, apiKey: KEY, ...more })(id);
const calm = { maxRetries: 0 };
const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';
const thinking = (more = {}) => ({ providerOptions: { alibaba: { enableThinking: true, ...more } } });

describe('text', () => {
    test('generateText', async () => {
        const answer = await generateText({ model: model(), system: 'Be brief.', prompt: 'poem', ...calm });
        assert.equal(answer.text, POEM);
        assert.equal(answer.finishReason, 'stop');
        assert.equal(answer.reasoningText, undefined);
        assert(answer.usage.inputTokens > 5 && answer.usage.outputTokens > 10);
        assert.equal(answer.usage.inputTokenDetails.cacheReadTokens, 0);
    });

    test('streamText with usage', async () => {
        const answer = streamText({ model: model(), prompt: 'poem', ...calm });
        let text = '', pieces = 0;
        for await (const piece of answer.textStream) { text += piece; pieces++; }
        assert.equal(text, POEM);
        assert(pieces > 3);
        assert.equal(await answer.finishReason, 'stop');
        assert((await answer.usage).outputTokens > 10);
    });
});

describe('thinking', () => {
    test('generateText: reasoning parts', async () => {
        const answer = await generateText({ model: model(), prompt: 'riddle', ...thinking(), ...calm });
        assert.equal(answer.reasoningText, 'It has keys and opens nothing. So it plays.');
        assert.equal(answer.text, 'A piano.');
        const { reasoningTokens, textTokens } = answer.usage.outputTokenDetails;
        assert(reasoningTokens > 5);
        assert.equal(reasoningTokens + textTokens, answer.usage.outputTokens);
    });

    test('streamText: reasoning parts, then text parts', async () => {
        const kinds = [];
        let reasoning = '', text = '';
        for await (const part of streamText({ model: model(), prompt: 'riddle', ...thinking(), ...calm }).fullStream) {
            if (kinds.at(-1) !== part.type) kinds.push(part.type);
            if (part.type === 'reasoning-delta') reasoning += part.text;
            if (part.type === 'text-delta') text += part.text;
        }
        assert.equal(reasoning, 'It has keys and opens nothing. So it plays.');
        assert.equal(text, 'A piano.');
        assert.deepEqual(kinds.filter(kind => /^(reasoning|text)-/.test(kind)),
            ['reasoning-start', 'reasoning-delta', 'reasoning-end', 'text-start', 'text-delta', 'text-end']);
    });

    test('thinkingBudget', async () => {
        const answer = await generateText({ model: model(), prompt: 'riddle', ...thinking({ thinkingBudget: 4 }), ...calm });
        assert.equal(answer.reasoningText, 'It has keys and');
        assert.equal(answer.text, 'A piano.');
    });

    test('reasoning goes back in the next turn (preserve_thinking)', async () => {
        const opening = { role: 'user', content: 'riddle' };
        const first = await generateText({ model: model('qwen3.7-max'), messages: [opening], ...thinking(), ...calm });
        assert(first.reasoningText.length > 0);
        const messages = [opening, ...first.response.messages, { role: 'user', content: 'poem' }];
        const with_it = await generateText({ model: model('qwen3.7-max'), messages, ...thinking(), ...calm });
        assert.equal(with_it.text, POEM);
        const body = JSON.parse(with_it.request.body);
        assert.equal(body.preserve_thinking, true);
        assert.equal(body.messages[1].reasoning_content, first.reasoningText);
    });
});

describe('tools and objects', () => {
    const tools = seen => ({
        get_weather: tool({
            description: 'The weather of a town',
            inputSchema: z.object({ location: z.string(), unit: z.enum(['celsius', 'fahrenheit']) }),
            execute: async given => { seen.push(given); return { degrees: 21 }; },
        }),
    });

    test('generateText in two steps', async () => {
        const seen = [];
        const answer = await generateText({ model: model(), prompt: 'What is the weather?', tools: tools(seen),
            stopWhen: stepCountIs(3), ...calm });
        assert.equal(answer.text, 'It is 21 degrees in Hangzhou.');
        assert.deepEqual(seen, [{ location: 'Hangzhou', unit: 'celsius' }]);
    });

    test('streamText in two steps, two calls', async () => {
        const seen = [];
        const answer = streamText({ model: model(), prompt: 'Say both towns', tools: tools(seen), stopWhen: stepCountIs(3),
            providerOptions: { alibaba: { parallelToolCalls: true } }, ...calm });
        assert.equal(await answer.text, 'It is 21 degrees in Hangzhou.');
        assert.deepEqual(seen.map(given => given.location), ['Hangzhou', 'São Paulo']);
        assert.deepEqual((await answer.steps).map(step => step.finishReason), ['tool-calls', 'stop']);
    });

    const schema = z.object({ name: z.string(), stars: z.number().int().min(1).max(5) });

    test('generateObject by json_schema (qwen3.7)', async () => {
        const { object } = await generateObject({ model: model('qwen3.7-plus'), schema, prompt: 'a hotel',
            providerOptions: { alibaba: { enableThinking: false } }, ...calm });
        assert(object.stars >= 1 && object.stars <= 5);
    });

    test('generateObject by json_object (qwen-plus: the provider puts the schema into the system message)', async () => {
        const recipe = z.object({ dish: z.string(), minutes: z.number(), steps: z.array(z.string()) });
        const { object } = await generateObject({ model: model(), schema: recipe, prompt: 'a recipe', ...calm });
        assert.deepEqual(object, { dish: 'congee', minutes: 40, steps: ['rinse', 'simmer'] });
    });
});

describe('errors', () => {
    const refused = (wrong, status, code) => assert.rejects(generateText({ model: model(), prompt: 'x', ...calm, ...wrong }), error => {
        assert(APICallError.isInstance(error), String(error));
        assert.equal(error.statusCode, status);
        assert.equal(error.data.error.code, code);
        assert.equal(error.message, error.data.error.message);
        return true;
    });

    test('a wrong key', () => refused({ model: model('qwen-plus', { apiKey: 'sk-wrong' }) }, 401, 'invalid_api_key'));
    test('an unknown model', () => refused({ model: model('no-such-model') }, 404, 'model_not_found'));
    test('a number out of its range', () => refused({ temperature: 3 }, 400, 'invalid_parameter_error'));
    test('a budget out of its range', () => refused(thinking({ thinkingBudget: 10_000_000 }), 400, 'invalid_parameter_error'));

    test('a refusal of a stream', async () => {
        const problems = [];
        const answer = streamText({ model: model('no-such-model'), prompt: 'x', onError: ({ error }) => problems.push(error), ...calm });
        for await (const _ of answer.fullStream);
        assert.equal(problems[0].statusCode, 404);
    });
});
