// The npm package `openai` against the OpenAI-compatible protocol, pointed there by `baseURL` alone.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import OpenAI, { AuthenticationError, BadRequestError, NotFoundError, APIUserAbortError, APIError }
    from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import { KEY, SCENARIO, UUID, serve, until } from './server.mjs';

const box = await serve({ scenario: SCENARIO });

const client = (options = {}) =>
    new OpenAI({ baseURL: box.compatible, apiKey: KEY, maxRetries: 0, timeout: 20_000, ...options });

const ask = (content, more = {}) =>
    client().chat.completions.create({ model: 'qwen-plus', messages: [{ role: 'user', content }], ...more });

const refusal = async promise => {
    try {
        await promise;
    } catch (error) {
        return error;
    }
    assert.fail('the call was not refused');
};

const WEATHER = {
    type: 'function',
    function: {
        name: 'get_weather',
        description: 'The weather of a town',
        parameters: {
            type: 'object',
            properties: { location: { type: 'string' }, unit: { type: 'string', enum: ['celsius', 'fahrenheit'] } },
            required: ['location', 'unit'],
        },
    },
};

describe('models', () => {
    test('list', async () => {
        const ids = [];
        for await (const model of client().models.list()) {
            assert.equal(model.object, 'model');
            assert.equal(typeof model.created, 'number');
            assert.equal(typeof model.owned_by, 'string');
            ids.push(model.id);
        }
        for (const id of ['qwen-plus', 'qwen-turbo', 'qwen3-max']) assert(ids.includes(id), `${id} is missing`);
        assert.equal(new Set(ids).size, ids.length);
    });

    test('retrieve', async () => {
        const model = await client().models.retrieve('qwen-plus');
        assert.equal(model.id, 'qwen-plus');
        assert.equal(model.object, 'model');
    });

    test('retrieve an unknown one', async () => {
        const error = await refusal(client().models.retrieve('no-such-model'));
        assert(error instanceof NotFoundError);
        assert.equal(error.code, 'model_not_found');
    });
});

describe('one answer', () => {
    test('probabilities of its tokens', async () => {
        const [{ message, logprobs }] = (await ask('hi', { model: 'qwen3-vl-plus', logprobs: true, top_logprobs: 3 })).choices;
        assert.equal(logprobs.content.map(token => token.token).join(''), message.content);
        for (const { token, logprob, top_logprobs } of logprobs.content) {
            assert.equal(top_logprobs[0].token, token);
            assert.equal(top_logprobs.length, 3);
            assert(logprob <= 0 && top_logprobs.reduce((sum, other) => sum + Math.exp(other.logprob), 0) <= 1);
        }
    });

    test('several choices, the same for the same seed', async () => {
        const choices = async () => (await ask('hi', { n: 3, seed: 4 })).choices.map(choice => choice.message.content);
        const first = await choices();
        assert.equal(new Set(first).size, 3);
        assert.deepEqual(await choices(), first);
    });

    test('text, usage, ids', async () => {
        const { data, response, request_id } = await client().chat.completions
            .create({ model: 'qwen-plus', messages: [{ role: 'user', content: 'poem' }] }).withResponse();
        assert.equal(data.object, 'chat.completion');
        assert.equal(data.model, 'qwen-plus');
        assert.equal(data.choices.length, 1);
        assert.deepEqual(data.choices[0].message,
            { role: 'assistant', content: 'Willows bend low; the river carries petals — 春眠不觉晓。' });
        assert.equal(data.choices[0].finish_reason, 'stop');
        assert.equal(data.choices[0].index, 0);
        assert(data.usage.prompt_tokens > 0 && data.usage.completion_tokens > 10);
        assert.equal(data.usage.total_tokens, data.usage.prompt_tokens + data.usage.completion_tokens);
        assert(Math.abs(data.created - Date.now() / 1000) < 30);

        assert.match(request_id, UUID);
        assert.equal(data._request_id, request_id);
        assert.equal(data.id, `chatcmpl-${request_id}`);
        assert.equal(response.headers.get('x-request-id'), request_id);

        const line = await box.logged(request_id);
        assert.equal(line.status, 200);
        assert.equal(line.model, 'qwen-plus');
        assert.equal(line.prompt_tokens, data.usage.prompt_tokens);
        assert.equal(line.completion_tokens, data.usage.completion_tokens);
        assert(!JSON.stringify(line).includes('Willows') && !JSON.stringify(line).includes(KEY));
    });

    test('a conversation with a system message and parts of content', async () => {
        const answer = await client().chat.completions.create({
            model: 'qwen-plus',
            messages: [
                { role: 'system', content: 'Be brief.' },
                { role: 'user', content: 'hello' },
                { role: 'assistant', content: 'hello!' },
                { role: 'user', content: [{ type: 'text', text: 'an echo, ' }, { type: 'text', text: 'please' }] },
            ],
        });
        assert.equal(answer.choices[0].message.content.replace(/\s+/g, ' '), 'dashbox stand-in: an echo, please');
    });

    test('n', async () => {
        const answer = await ask('hello', { n: 3 });
        assert.deepEqual(answer.choices.map(choice => choice.index), [0, 1, 2]);
        assert.deepEqual(answer.choices.map(choice => choice.message.content), ['dashbox stand-in: hello',
            'dashbox stand-in (answer 2): hello', 'dashbox stand-in (answer 3): hello']);
        const one = await ask('hello');
        assert.equal(answer.usage.prompt_tokens, one.usage.prompt_tokens);
        assert(answer.usage.completion_tokens > 2 * one.usage.completion_tokens);
    });

    test('stop, as a text and as a list', async () => {
        const one = await ask('count to ten', { stop: ' four' });
        assert.equal(one.choices[0].message.content, 'one two three');
        assert.equal(one.choices[0].finish_reason, 'stop');
        const list = await ask('count to ten', { stop: ['nine', ' two'] });
        assert.equal(list.choices[0].message.content, 'one');
    });

    test('max_tokens', async () => {
        const answer = await ask('count to ten', { max_tokens: 3 });
        assert.equal(answer.choices[0].message.content, 'one two three');
        assert.equal(answer.choices[0].finish_reason, 'length');
        assert.equal(answer.usage.completion_tokens, 3);
    });

    test('max_completion_tokens', async () => {
        const answer = await ask('count to ten', { max_completion_tokens: 2 });
        assert.equal(answer.choices[0].message.content, 'one two');
        assert.equal(answer.choices[0].finish_reason, 'length');
    });

    test('seed: the same question has the same answer', async () => {
        const more = { seed: 7, tools: [WEATHER], tool_choice: { type: 'function', function: { name: 'get_weather' } } };
        const [a, b] = [await ask('hello', more), await ask('hello', more)];
        assert.deepEqual(a.choices, b.choices);
    });
});

describe('stream', () => {
    test('pieces, finish reason, usage', async () => {
        const stream = await ask('poem', { stream: true, stream_options: { include_usage: true } });
        const chunks = [];
        for await (const chunk of stream) chunks.push(chunk);

        assert.equal(new Set(chunks.map(chunk => chunk.id)).size, 1);
        assert.match(chunks[0].id, /^chatcmpl-/);
        assert(chunks.every(chunk => chunk.object === 'chat.completion.chunk' && chunk.model === 'qwen-plus'));
        assert.equal(chunks[0].choices[0].delta.role, 'assistant');
        assert(chunks.slice(1).every(chunk => !chunk.choices[0]?.delta.role));

        const text = chunks.map(chunk => chunk.choices[0]?.delta.content ?? '').join('');
        assert.equal(text, 'Willows bend low; the river carries petals — 春眠不觉晓。');
        assert(chunks.length > 4, 'the text came in one piece');
        assert.deepEqual(chunks.flatMap(chunk => chunk.choices.map(choice => choice.finish_reason)).filter(Boolean), ['stop']);

        const last = chunks.at(-1);
        assert.deepEqual(last.choices, []);
        assert(chunks.slice(0, -1).every(chunk => chunk.usage === null));
        const whole = await ask('poem');
        assert.deepEqual(last.usage, whole.usage);
    });

    test('without include_usage there is no usage', async () => {
        for await (const chunk of await ask('poem', { stream: true })) {
            assert.equal(chunk.usage ?? null, null);
            assert.equal(chunk.choices.length, 1);
        }
    });

    test('the helper that gathers it', async () => {
        const runner = client().chat.completions.stream({ model: 'qwen-plus', messages: [{ role: 'user', content: 'poem' }],
            stream_options: { include_usage: true } });
        let heard = '';
        runner.on('content', delta => { heard += delta; });
        const answer = await runner.finalChatCompletion();
        assert.equal(answer.choices[0].message.content, 'Willows bend low; the river carries petals — 春眠不觉晓。');
        assert.equal(heard, answer.choices[0].message.content);
        assert((await runner.totalUsage()).completion_tokens > 10);
    });

    test('n', async () => {
        const texts = ['', ''], ends = [];
        for await (const chunk of await ask('hello', { stream: true, n: 2 })) {
            for (const choice of chunk.choices) {
                texts[choice.index] += choice.delta.content ?? '';
                if (choice.finish_reason) ends.push(choice.index);
            }
        }
        assert.deepEqual(texts, ['dashbox stand-in: hello', 'dashbox stand-in (answer 2): hello']);
        assert.deepEqual(ends.sort(), [0, 1]);
    });

    test('stop and max_tokens', async () => {
        const read = async more => {
            let text = '', end;
            for await (const chunk of await ask('count to ten', { stream: true, ...more })) {
                text += chunk.choices[0]?.delta.content ?? '';
                end = chunk.choices[0]?.finish_reason ?? end;
            }
            return [text, end];
        };
        assert.deepEqual(await read({ stop: [' four'] }), ['one two three', 'stop']);
        assert.deepEqual(await read({ max_tokens: 5 }), ['one two three four five', 'length']);
    });

    test('an abort ends the work', async () => {
        const before = await box.metric('dashbox_answers_total{class="gone"}');
        const controller = new AbortController();
        const begun = Date.now();
        const { data: stream, request_id } = await client().chat.completions.create(
            { model: 'qwen-plus', messages: [{ role: 'user', content: 'slow' }], stream: true },
            { signal: controller.signal }).withResponse();
        let pieces = 0;
        for await (const chunk of stream) {
            if (chunk.choices[0].delta.content && ++pieces === 3) controller.abort();
        }
        assert.equal(pieces, 3);
        // left alone the answer takes 16 seconds
        const line = await box.logged(request_id);
        assert(Date.now() - begun < 5000);
        assert(line.completion_tokens === undefined || line.completion_tokens < 100, JSON.stringify(line));
        await until(async () => await box.metric('dashbox_requests_active') === 0, 'the request to end');
        assert.equal(await box.metric('dashbox_answers_total{class="gone"}'), before + 1);
    });

    test('an abort before the answer', async () => {
        const controller = new AbortController();
        const call = client().chat.completions.create({ model: 'qwen-plus', messages: [{ role: 'user', content: 'slow' }] },
            { signal: controller.signal });
        setTimeout(() => controller.abort(), 100);
        assert(await refusal(call) instanceof APIUserAbortError);
        await until(async () => await box.metric('dashbox_requests_active') === 0, 'the request to end');
    });
});

describe('tools', () => {
    test('a call that tool_choice names', async () => {
        const answer = await ask('hello', { tools: [WEATHER], tool_choice: { type: 'function', function: { name: 'get_weather' } } });
        const { message, finish_reason } = answer.choices[0];
        assert.equal(message.tool_calls.length, 1);
        assert.equal(message.tool_calls[0].type, 'function');
        assert.match(message.tool_calls[0].id, /^call_/);
        assert.equal(message.tool_calls[0].function.name, 'get_weather');
        const given = JSON.parse(message.tool_calls[0].function.arguments);
        assert.equal(typeof given.location, 'string');
        assert(['celsius', 'fahrenheit'].includes(given.unit));
        assert.equal(message.content, '');
        assert.equal(finish_reason, 'stop'); // as the service ends forced calls
    });

    test('none', async () => {
        const answer = await ask('hello', { tools: [WEATHER], tool_choice: 'none' });
        assert.equal(answer.choices[0].message.tool_calls, undefined);
        assert.equal(answer.choices[0].message.content, 'dashbox stand-in: hello');
    });

    test('streamed, then the result and the answer', async () => {
        const messages = [{ role: 'user', content: 'What is the weather?' }];
        const runner = client().chat.completions.stream({ model: 'qwen-plus', messages, tools: [WEATHER] });
        let pieces = '', names = 0;
        runner.on('chunk', chunk => {
            for (const call of chunk.choices[0]?.delta.tool_calls ?? []) {
                pieces += call.function.arguments ?? '';
                if (call.function.name) names++;
            }
        });
        const { message, finish_reason } = (await runner.finalChatCompletion()).choices[0];
        assert.equal(finish_reason, 'tool_calls');
        assert.equal(names, 1);
        assert.equal(message.tool_calls.length, 1);
        assert.equal(message.tool_calls[0].function.arguments, pieces);
        assert.match(message.tool_calls[0].id, /^call_/);
        assert.deepEqual(JSON.parse(pieces), { location: 'Hangzhou', unit: 'celsius' });

        messages.push(message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: '{"degrees": 21}' });
        const answer = await client().chat.completions.create({ model: 'qwen-plus', messages, tools: [WEATHER] });
        assert.equal(answer.choices[0].message.content, 'It is 21 degrees in Hangzhou.');
        assert.equal(answer.choices[0].finish_reason, 'stop');
    });

    test('two calls at once', async () => {
        const whole = await ask('both towns, please', { tools: [WEATHER] });
        const expected = [{ location: 'Hangzhou', unit: 'celsius' }, { location: 'São Paulo', unit: 'celsius' }];
        assert.equal(whole.choices[0].finish_reason, 'tool_calls');
        assert.deepEqual(whole.choices[0].message.tool_calls.map(call => JSON.parse(call.function.arguments)), expected);

        const runner = client().chat.completions.stream({ model: 'qwen-plus', tools: [WEATHER],
            messages: [{ role: 'user', content: 'both towns, please' }] });
        const { tool_calls } = (await runner.finalChatCompletion()).choices[0].message;
        assert.deepEqual(tool_calls.map(call => JSON.parse(call.function.arguments)), expected);
        assert.notEqual(tool_calls[0].id, tool_calls[1].id);
    });

    test('runTools goes round by itself', async () => {
        const asked = [];
        const runner = client().chat.completions.runTools({
            model: 'qwen-plus',
            messages: [{ role: 'user', content: 'What is the weather?' }],
            tools: [{ type: 'function', function: { ...WEATHER.function, parse: JSON.parse,
                function: given => { asked.push(given); return { degrees: 21 }; } } }],
        });
        assert.equal(await runner.finalContent(), 'It is 21 degrees in Hangzhou.');
        assert.deepEqual(asked, [{ location: 'Hangzhou', unit: 'celsius' }]);
    });
});

describe('response_format', () => {
    test('json_object', async () => {
        const answer = await ask('some JSON, please', { response_format: { type: 'json_object' } });
        const value = JSON.parse(answer.choices[0].message.content);
        assert.equal(value.engine, 'dashbox stand-in');
        assert.equal(value.message, 'some JSON, please');
    });

    test('json_object without the word JSON is refused', async () => {
        const error = await refusal(ask('hello', { response_format: { type: 'json_object' } }));
        assert(error instanceof BadRequestError);
        assert.match(error.message, /'messages' must contain the word 'json' in some form/);
    });

    const Event = z.object({
        name: z.string().min(1),
        day: z.enum(['Monday', 'Tuesday']),
        guests: z.array(z.object({ name: z.string(), age: z.number().int().min(18) })).min(1),
        note: z.string().nullable(),
    });

    test('json_schema with the parse helper', async () => {
        const answer = await client().chat.completions.parse({ model: 'qwen3.7-plus', enable_thinking: false,
            messages: [{ role: 'user', content: 'an event' }], response_format: zodResponseFormat(Event, 'event') });
        const { parsed, content } = answer.choices[0].message;
        assert.deepEqual(Event.parse(JSON.parse(content)), parsed);
        assert(parsed.guests[0].age >= 18);
    });

    test('json_schema streamed with the parse helper', async () => {
        const runner = client().chat.completions.stream({ model: 'qwen3.7-plus', enable_thinking: false,
            messages: [{ role: 'user', content: 'an event' }], response_format: zodResponseFormat(Event, 'event') });
        const { parsed } = (await runner.finalChatCompletion()).choices[0].message;
        assert(['Monday', 'Tuesday'].includes(parsed.day));
    });

    test('json_schema with the answer of a scenario', async () => {
        const Recipe = z.object({ dish: z.string(), minutes: z.number(), steps: z.array(z.string()) });
        const answer = await client().chat.completions.parse({ model: 'qwen3.7-plus', enable_thinking: false,
            messages: [{ role: 'user', content: 'a recipe' }], response_format: zodResponseFormat(Recipe, 'recipe') });
        assert.deepEqual(answer.choices[0].message.parsed, { dish: 'congee', minutes: 40, steps: ['rinse', 'simmer'] });
    });
});

describe('thinking, by the extra field enable_thinking', () => {
    test('one answer', async () => {
        const answer = await ask('riddle', { enable_thinking: true });
        assert.equal(answer.choices[0].message.reasoning_content, 'It has keys and opens nothing. So it plays.');
        assert.equal(answer.choices[0].message.content, 'A piano.');
        const { completion_tokens, completion_tokens_details } = answer.usage;
        assert(completion_tokens_details.reasoning_tokens > 5);
        assert(completion_tokens > completion_tokens_details.reasoning_tokens);
    });

    test('streamed: first the reasoning, then the text', async () => {
        let reasoning = '', text = '';
        for await (const chunk of await ask('riddle', { enable_thinking: true, stream: true })) {
            const delta = chunk.choices[0].delta;
            if (delta.reasoning_content) {
                assert.equal(text, '', 'reasoning after the text');
                reasoning += delta.reasoning_content;
            }
            text += delta.content ?? '';
        }
        assert.equal(reasoning, 'It has keys and opens nothing. So it plays.');
        assert.equal(text, 'A piano.');
    });

    test('thinking_budget cuts the reasoning, not the answer', async () => {
        const answer = await ask('riddle', { enable_thinking: true, thinking_budget: 4 });
        assert.equal(answer.choices[0].message.reasoning_content, 'It has keys and');
        assert.equal(answer.choices[0].message.content, 'A piano.');
        assert.equal(answer.usage.completion_tokens_details.reasoning_tokens, 4);
    });

    test('off', async () => {
        const answer = await ask('riddle', { enable_thinking: false });
        assert.equal(answer.choices[0].message.reasoning_content, undefined);
        assert.equal(answer.choices[0].message.content, 'A piano.');
    });
});

describe('errors', () => {
    test('a wrong key', async () => {
        const wrong = client({ apiKey: 'sk-wrong' });
        const error = await refusal(wrong.chat.completions.create({ model: 'qwen-plus', messages: [{ role: 'user', content: 'x' }] }));
        assert(error instanceof AuthenticationError);
        assert.equal(error.status, 401);
        assert.equal(error.code, 'invalid_api_key');
        assert.equal(error.type, 'invalid_request_error');
        assert.match(error.message, /Incorrect API key provided|Invalid API-key provided/);
        assert.match(error.requestID, UUID);
        assert.equal((await box.logged(error.requestID)).status, 401);
        assert(await refusal(wrong.models.list()) instanceof AuthenticationError);
    });

    test('an unknown model', async () => {
        const error = await refusal(ask('x', { model: 'no-such-model' }));
        assert(error instanceof NotFoundError);
        assert.equal(error.status, 404);
        assert.equal(error.code, 'model_not_found');
        assert.match(error.message, /no-such-model/);
        assert.match(error.requestID, UUID);
    });

    test('a number out of its range', async () => {
        const error = await refusal(ask('x', { temperature: 2 }));
        assert(error instanceof BadRequestError);
        assert.equal(error.status, 400);
        assert.equal(error.code, 'invalid_parameter_error');
        assert.equal(error.param, null);
        assert.equal(error.type, 'invalid_request_error');
        assert.match(error.message, /[Tt]emperature should be in \[0\.0, 2\.0\)/);
        assert.match(error.requestID, UUID);
    });

    test('on a stream, before its first piece', async () => {
        const error = await refusal(ask('x', { top_p: 7, stream: true }));
        assert(error instanceof BadRequestError);
        assert.equal(error.status, 400);
        assert.match(error.message, /top_p/i);
    });

    test('the engine refuses', async () => {
        const error = await refusal(ask('refuse'));
        assert(error instanceof APIError);
        assert(error.status >= 400 && error.status < 600);
        assert.match(error.requestID, UUID);
        assert.equal((await box.logged(error.requestID)).error, 'E219');
    });

    test('in the middle of a stream', async () => {
        let text = '';
        const error = await refusal((async () => {
            for await (const chunk of await ask('break off', { stream: true })) text += chunk.choices[0].delta.content ?? '';
        })());
        assert(error instanceof APIError, String(error));
        assert.equal(text, 'one two three');
        assert(error.error?.message ?? error.message);
    });

    test('the connection stays usable', async () => {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        const call = content => new Promise((resolve, reject) => {
            const request = http.request(`${box.compatible}/chat/completions`, { agent, method: 'POST',
                headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json' } }, answer => {
                answer.resume();
                answer.on('end', () => resolve([answer.statusCode, request.reusedSocket]));
            });
            request.on('error', reject);
            request.end(content);
        });
        assert.deepEqual(await call('{'), [400, false]);
        assert.deepEqual(await call('{"model":"qwen-plus","messages":7}'), [400, true]);
        assert.deepEqual(await call('{"model":"qwen-plus","messages":[{"role":"user","content":"x"}]}'), [200, true]);
        agent.destroy();
    });
});
