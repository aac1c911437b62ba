// Vercel's AI SDK: `ai` over `@ai-sdk/openai-compatible`, pointed at the server by `baseURL` alone.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, Output, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from 'ai';
import { z } from 'zod';
import { KEY, SCENARIO, UUID, serve, until } from './server.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const box = await serve({ scenario: SCENARIO });

const model = (id = 'qwen-plus', more = {}) =>
    createOpenAICompatible({ name: 'dashbox', baseURL: box.compatible, apiKey: KEY, includeUsage: true,
        supportsStructuredOutputs: true, ...more })(id);

const calm = { maxRetries: 0 };

const weather = seen => tool({
    description: 'The weather of a town',
    inputSchema: z.object({ location: z.string(), unit: z.enum(['celsius', 'fahrenheit']) }),
    execute: async given => { seen.push(given); return { degrees: 21 }; },
});

const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';

describe('text', () => {
    test('generateText', async () => {
        const answer = await generateText({ model: model(), prompt: 'poem', ...calm });
        assert.equal(answer.text, POEM);
        assert.equal(answer.finishReason, 'stop');
        assert.equal(answer.response.modelId, 'qwen-plus');
        assert.match(answer.response.id, /^chatcmpl-/);
        assert.match(answer.response.headers['x-request-id'], UUID);
        assert(answer.usage.inputTokens > 0 && answer.usage.outputTokens > 10);
        assert.equal(answer.usage.totalTokens, answer.usage.inputTokens + answer.usage.outputTokens);
    });

    test('streamText', async () => {
        const answer = streamText({ model: model(), prompt: 'poem', ...calm });
        const pieces = [];
        for await (const piece of answer.textStream) pieces.push(piece);
        assert.equal(pieces.join(''), POEM);
        assert(pieces.length > 3);
        assert.equal(await answer.finishReason, 'stop');
        const whole = await generateText({ model: model(), prompt: 'poem', ...calm });
        const [streamed, once] = [await answer.usage, whole.usage];
        assert.equal(streamed.inputTokens, once.inputTokens);
        assert.equal(streamed.outputTokens, once.outputTokens);
    });

    test('maxOutputTokens', async () => {
        const answer = await generateText({ model: model(), prompt: 'count to ten', maxOutputTokens: 3, ...calm });
        assert.equal(answer.text, 'one two three');
        assert.equal(answer.finishReason, 'length');
        assert.equal(answer.usage.outputTokens, 3);
    });

    test('stopSequences', async () => {
        const answer = await generateText({ model: model(), prompt: 'count to ten', stopSequences: [' three'], ...calm });
        assert.equal(answer.text, 'one two');
    });

    test('thinking, by a provider option', async () => {
        const providerOptions = { dashbox: { enable_thinking: true } };
        const answer = await generateText({ model: model(), prompt: 'riddle', providerOptions, ...calm });
        assert.equal(answer.reasoningText, 'It has keys and opens nothing. So it plays.');
        assert.equal(answer.text, 'A piano.');
        assert(answer.usage.outputTokenDetails.reasoningTokens > 5);

        const kinds = [];
        for await (const part of streamText({ model: model(), prompt: 'riddle', providerOptions, ...calm }).fullStream)
            if (kinds.at(-1) !== part.type) kinds.push(part.type);
        assert.deepEqual(kinds.filter(kind => /^(reasoning|text)-/.test(kind)),
            ['reasoning-start', 'reasoning-delta', 'reasoning-end', 'text-start', 'text-delta', 'text-end']);
    });

    test('an abort ends the work', async () => {
        const controller = new AbortController();
        const answer = streamText({ model: model(), prompt: 'slow', abortSignal: controller.signal, onError() {}, ...calm });
        let pieces = 0;
        for await (const part of answer.fullStream) {
            if (part.type === 'text-delta' && ++pieces === 2) controller.abort();
        }
        await until(async () => await box.metric('dashbox_requests_active') === 0, 'the request to end');
        assert.equal(await box.metric('dashbox_answers_total{class="gone"}'), 1);
    });
});

describe('tools', () => {
    test('generateText in two steps', async () => {
        const seen = [];
        const answer = await generateText({ model: model(), prompt: 'What is the weather?', tools: { get_weather: weather(seen) },
            stopWhen: stepCountIs(3), ...calm });
        assert.equal(answer.text, 'It is 21 degrees in Hangzhou.');
        assert.deepEqual(seen, [{ location: 'Hangzhou', unit: 'celsius' }]);
        assert.deepEqual(answer.steps.map(step => step.finishReason), ['tool-calls', 'stop']);
        assert.match(answer.steps[0].toolCalls[0].toolCallId, /^call_/);
    });

    test('streamText in two steps', async () => {
        const seen = [];
        const answer = streamText({ model: model(), prompt: 'Say both towns', tools: { get_weather: weather(seen) },
            stopWhen: stepCountIs(3), ...calm });
        let text = '';
        for await (const part of answer.fullStream) {
            assert.notEqual(part.type, 'error', String(part.error));
            if (part.type === 'text-delta') text += part.text;
        }
        assert.equal(text, 'It is 21 degrees in Hangzhou.');
        assert.deepEqual(seen.map(given => given.location), ['Hangzhou', 'São Paulo']);
    });

    test('toolChoice names one', async () => {
        const answer = await generateText({ model: model(), prompt: 'hello', tools: { get_weather: weather([]) },
            toolChoice: { type: 'tool', toolName: 'get_weather' }, ...calm });
        assert.equal(answer.toolCalls.length, 1);
        assert.equal(answer.toolCalls[0].toolName, 'get_weather');
        assert(['celsius', 'fahrenheit'].includes(answer.toolCalls[0].input.unit));
    });
});

describe('objects', () => {
    const schema = z.object({ title: z.string().min(3), tags: z.array(z.enum(['red', 'green'])).length(2), size: z.number().max(9) });
    const thinking_off = { providerOptions: { dashbox: { enable_thinking: false } } };

    test('generateObject by json_schema', async () => {
        const { object } = await generateObject({ model: model('qwen3.7-plus'), schema, prompt: 'one', ...thinking_off, ...calm });
        assert.deepEqual(schema.parse(object), object);
    });

    test('generateText with Output.object', async () => {
        const { output } = await generateText({ model: model('qwen3.7-plus'), output: Output.object({ schema }), prompt: 'one',
            ...thinking_off, ...calm });
        assert.equal(output.tags.length, 2);
    });

    test('streamObject', async () => {
        const answer = streamObject({ model: model('qwen3.7-plus'), schema, prompt: 'one', ...thinking_off, ...calm });
        let partial = 0;
        for await (const piece of answer.partialObjectStream) partial += typeof piece === 'object';
        assert(partial > 1);
        assert.deepEqual(schema.parse(await answer.object), await answer.object);
    });

    test('json_object, for models without json_schema', async () => {
        const recipe = z.object({ dish: z.string(), minutes: z.number(), steps: z.array(z.string()) });
        const { object } = await generateObject({ model: model('qwen-plus', { supportsStructuredOutputs: false }), schema: recipe,
            system: 'Answer in JSON.', prompt: 'a recipe', ...calm });
        assert.deepEqual(object, { dish: 'congee', minutes: 40, steps: ['rinse', 'simmer'] });
    });
});

describe('errors', () => {
    const refused = async (wrong, check) => {
        await assert.rejects(generateText({ model: model(), prompt: 'x', ...calm, ...wrong }), error => {
            assert(APICallError.isInstance(error), String(error));
            assert.equal(error.data.error.message, error.message);
            assert.match(error.responseHeaders['x-request-id'], UUID);
            check(error);
            return true;
        });
    };

    test('a wrong key', () => refused({ model: model('qwen-plus', { apiKey: 'sk-wrong' }) }, error => {
        assert.equal(error.statusCode, 401);
        assert.equal(error.data.error.code, 'invalid_api_key');
        assert.equal(error.isRetryable, false);
    }));

    test('an unknown model', () => refused({ model: model('no-such-model') }, error => {
        assert.equal(error.statusCode, 404);
        assert.equal(error.data.error.code, 'model_not_found');
    }));

    test('a number out of its range', () => refused({ topP: 2 }, error => {
        assert.equal(error.statusCode, 400);
        assert.equal(error.data.error.type, 'invalid_request_error');
    }));

    test('the engine fails: it may be tried again', () => refused({ prompt: 'refuse' }, error => {
        assert.equal(error.statusCode, 500);
        assert.equal(error.isRetryable, true);
    }));

    test('in the middle of a stream', async () => {
        const problems = [];
        const answer = streamText({ model: model(), prompt: 'break off', onError: ({ error }) => problems.push(error), ...calm });
        let text = '';
        for await (const piece of answer.textStream) text += piece;
        assert.equal(text, 'one two three');
        assert.equal(problems.length, 1);
    });
});
