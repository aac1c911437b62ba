// The npm package `@anthropic-ai/sdk` against the Anthropic-compatible protocol, pointed there by `baseURL` alone.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import Anthropic, { APIError, APIUserAbortError, AuthenticationError, BadRequestError, NotFoundError,
    PermissionDeniedError, RateLimitError } from '@anthropic-ai/sdk';
import { jsonSchemaOutputFormat } from '@anthropic-ai/sdk/helpers/json-schema';
import { betaTool } from '@anthropic-ai/sdk/helpers/beta/json-schema';
import { KEY, SCENARIO, UUID, serve, until } from './server.mjs';
import { picture } from '../wire/faulty_engine.mjs';
import { ADMIN_CONFIG, advance, stop_clock, tenant } from './tenants.mjs';

const box = await serve({ scenario: SCENARIO });
const limited = await serve({ config: `${ADMIN_CONFIG}limits: { headers: true }\n` });
await stop_clock(limited);

const client = (options = {}) =>
    new Anthropic({ baseURL: `${box.url}/apps/anthropic`, apiKey: KEY, authToken: null, maxRetries: 0, timeout: 20_000,
        ...options });

const asked = (content, more = {}) =>
    ({ model: 'qwen-plus', max_tokens: 256, messages: [{ role: 'user', content }], ...more });
const ask = (content, more) => client().messages.create(asked(content, more));

const refusal = async promise => {
    try {
        await promise;
    } catch (error) {
        return error;
    }
    assert.fail('the call was not refused');
};

const WEATHER = {
    name: 'get_weather',
    description: 'The weather of a town',
    input_schema: {
        type: 'object',
        properties: { location: { type: 'string' }, unit: { type: 'string', enum: ['celsius', 'fahrenheit'] } },
        required: ['location', 'unit'],
    },
};
const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';
const IN_HANGZHOU = { location: 'Hangzhou', unit: 'celsius' };

describe('one answer', () => {
    test('text, usage, ids', async () => {
        const { data, response, request_id } = await client().messages.create(asked('poem')).withResponse();
        assert.match(data.id, /^msg_/);
        assert.match(data.id.slice(4), UUID);
        assert.equal(data.type, 'message');
        assert.equal(data.role, 'assistant');
        assert.equal(data.model, 'qwen-plus');
        assert.deepEqual(data.content, [{ type: 'text', text: POEM }]);
        assert.equal(data.stop_reason, 'end_turn');
        assert.equal(data.stop_sequence, null);
        assert(data.usage.input_tokens > 0 && data.usage.output_tokens > 10);
        assert.equal(data.usage.cache_read_input_tokens, 0);
        assert.match(request_id, UUID);
        assert.equal(data._request_id, request_id);
        assert.equal(response.headers.get('x-request-id'), request_id);
    });

    test('at the root of the server, and with a token instead of a key', async () => {
        const other = client({ baseURL: box.url, apiKey: null, authToken: KEY });
        assert.equal((await other.messages.create(asked('poem'))).content[0].text, POEM);
    });

    test('max_tokens, stop_sequences', async () => {
        const cut = await ask('count to ten', { max_tokens: 3 });
        assert.equal(cut.content[0].text, 'one two three');
        assert.equal(cut.stop_reason, 'max_tokens');
        const stopped = await ask('count to ten', { stop_sequences: [' five', ' three'] });
        assert.equal(stopped.content[0].text, 'one two');
        assert.equal(stopped.stop_reason, 'stop_sequence');
        assert.equal(stopped.stop_sequence, ' three');
    });

    test('thinking, and back', async () => {
        const thinking = { type: 'enabled', budget_tokens: 1024 };
        const answer = await ask('riddle', { max_tokens: 2048, thinking });
        assert.deepEqual(answer.content, [
            { type: 'thinking', thinking: 'It has keys and opens nothing. So it plays.', signature: '' },
            { type: 'text', text: 'A piano.' },
        ]);
        const next = await client().messages.create({ ...asked('riddle', { max_tokens: 2048, thinking }),
            messages: [{ role: 'user', content: 'riddle' }, { role: 'assistant', content: answer.content },
                { role: 'user', content: 'poem' }] });
        assert.equal(next.content.at(-1).text, POEM);
    });

    test('system, blocks, cache_control, images', async () => {
        const answer = await client().messages.create({ model: 'qwen3-vl-plus', max_tokens: 64,
            system: [{ type: 'text', text: 'Be brief.', cache_control: { type: 'ephemeral' } }],
            messages: [{ role: 'user', content: [
                { type: 'image', source: { type: 'base64', media_type: 'image/png', data: picture({ width: 64, height: 48 }).toString('base64') } },
                { type: 'image', source: { type: 'url', url: 'https://example.com/a.png' } },
                { type: 'text', text: 'poem', cache_control: { type: 'ephemeral' } }] }] });
        assert.equal(answer.content[0].text, POEM);
    });
});

describe('streams', () => {
    test('the events as they come', async () => {
        const events = [];
        for await (const event of await ask('poem', { stream: true })) events.push(event);
        const kinds = events.map(event => event.type);
        assert.deepEqual(kinds.filter((kind, i) => kind !== kinds[i - 1]), ['message_start', 'content_block_start',
            'content_block_delta', 'content_block_stop', 'message_delta', 'message_stop']);
        assert.equal(events.filter(e => e.type === 'content_block_delta').map(e => e.delta.text).join(''), POEM);
    });

    test('messages.stream() puts them together: the same as a whole answer', async () => {
        const stream = client().messages.stream(asked('poem'));
        const pieces = [];
        stream.on('text', piece => pieces.push(piece));
        const [streamed, whole] = [await stream.finalMessage(), await ask('poem')];
        assert(pieces.length > 3);
        assert.equal(pieces.join(''), POEM);
        for (const name of ['type', 'role', 'model', 'content', 'stop_reason', 'stop_sequence'])
            assert.deepEqual(streamed[name], whole[name], name);
        for (const [name, count] of Object.entries(whole.usage)) assert.equal(streamed.usage[name], count, name);
        assert.match(stream.request_id, UUID);
    });

    test('thinking', async () => {
        const stream = client().messages.stream(
            asked('riddle', { max_tokens: 2048, thinking: { type: 'enabled', budget_tokens: 1024 } }));
        const thought = [];
        stream.on('thinking', piece => thought.push(piece));
        const { content } = await stream.finalMessage();
        assert.equal(thought.join(''), 'It has keys and opens nothing. So it plays.');
        assert.deepEqual(content.map(block => block.type), ['thinking', 'text']);
        assert.equal(content[0].signature, '');
        assert.equal(await stream.finalText(), 'A piano.');
    });

    test('calls of tools', async () => {
        const stream = client().messages.stream(asked('both towns', { tools: [WEATHER] }));
        const blocks = [];
        stream.on('contentBlock', block => blocks.push(block));
        const message = await stream.finalMessage();
        assert.equal(message.stop_reason, 'tool_use');
        assert.deepEqual(message.content.map(call => call.input),
            [IN_HANGZHOU, { location: 'São Paulo', unit: 'celsius' }]);
        for (const call of message.content) assert.match(call.id, /^toolu_[0-9a-f]{24}$/);
        assert.deepEqual(blocks, message.content);
    });

    test('aborted: the server sees it', async () => {
        const stream = client().messages.stream(asked('slow'));
        for await (const event of stream) if (event.type === 'content_block_delta') break;
        await until(async () => await box.metric('dashbox_requests_active') === 0, 'the call to end');
        const other = client().messages.stream(asked('slow'));
        other.on('text', () => other.abort());
        assert((await refusal(other.finalMessage())) instanceof APIUserAbortError);
    });

    test('a failure in the middle is raised', async () => {
        const seen = [];
        const stream = client().messages.stream(asked('break off'));
        stream.on('text', piece => seen.push(piece));
        const error = await refusal(stream.finalMessage());
        assert(error instanceof APIError, String(error));
        assert.equal(error.error.error.type, 'api_error');
        assert(seen.length > 0);
    });
});

describe('tools', () => {
    test('the loop, by hand', async () => {
        const first = await ask('How is the weather?', { tools: [WEATHER] });
        assert.equal(first.stop_reason, 'tool_use');
        const [call] = first.content;
        assert.deepEqual({ name: call.name, input: call.input }, { name: 'get_weather', input: IN_HANGZHOU });
        const last = await client().messages.create({ ...asked('', { tools: [WEATHER] }), messages: [
            { role: 'user', content: 'How is the weather?' }, { role: 'assistant', content: first.content },
            { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: [{ type: 'text', text: '21' }] }] },
        ] });
        assert.equal(last.content[0].text, 'It is 21 degrees in Hangzhou.');
        assert.equal(last.stop_reason, 'end_turn');
    });

    for (const stream of [false, true]) {
        test(`the SDK's own loop${stream ? ', streamed' : ''}`, async () => {
            const seen = [];
            const runner = client().beta.messages.toolRunner({ ...asked('How is the weather?'), stream, tools: [betaTool({
                name: WEATHER.name, description: WEATHER.description, inputSchema: WEATHER.input_schema,
                run: input => { seen.push(input); return '21'; },
            })] });
            const message = await runner.runUntilDone();
            assert.deepEqual(seen, [IN_HANGZHOU]);
            assert.equal(message.content[0].text, 'It is 21 degrees in Hangzhou.');
        });
    }

    test('tool_choice', async () => {
        const any = await ask('hi', { tools: [WEATHER], tool_choice: { type: 'any' } });
        assert.equal(any.content[0].type, 'tool_use');
        assert.equal(any.stop_reason, 'tool_use');
        const named = await ask('hi', { tools: [WEATHER],
            tool_choice: { type: 'tool', name: 'get_weather', disable_parallel_tool_use: true } });
        assert.equal(named.content[0].name, 'get_weather');
        const none = await ask('hi', { tools: [WEATHER], tool_choice: { type: 'none' } });
        assert.equal(none.content[0].type, 'text');
    });
});

test('structured output', async () => {
    const format = jsonSchemaOutputFormat({ type: 'object', additionalProperties: false, required: ['dish', 'minutes'],
        properties: { dish: { type: 'string' }, minutes: { type: 'integer' } } });
    const message = await client().messages.parse(asked('a dish, please', { output_config: { format } }));
    assert.equal(typeof message.parsed_output.dish, 'string');
    assert(Number.isInteger(message.parsed_output.minutes));
});

test('count_tokens is what the call is charged', async () => {
    const body = { model: 'qwen-plus', system: 'Be brief.', tools: [WEATHER], messages: [{ role: 'user', content: '春眠不觉晓' }] };
    const { input_tokens } = await client().messages.countTokens(body);
    const { usage } = await client().messages.create({ ...body, max_tokens: 16 });
    assert.equal(input_tokens, usage.input_tokens);
});

describe('refusals', () => {
    const is = (error, kind, status, type, message) => {
        assert(error instanceof kind, String(error));
        assert.equal(error.status, status);
        assert.equal(error.type, type);
        assert.equal(error.error.error.message, message);
        assert.match(error.requestID, UUID);
        assert.equal(error.error.request_id, error.requestID);
    };

    test('each has its class', async () => {
        is(await refusal(client({ apiKey: 'sk-wrong' }).messages.create(asked('hi'))), AuthenticationError, 401,
            'authentication_error', 'Invalid API-key provided.');
        is(await refusal(ask('hi', { model: 'claude-opus' })), NotFoundError, 404, 'not_found_error',
            'The model claude-opus does not exist or you do not have access to it.');
        is(await refusal(ask('hi', { temperature: 2 })), BadRequestError, 400, 'invalid_request_error',
            'Temperature should be in [0.0, 2.0)');
        is(await refusal(ask('hi', { temperature: 2, stream: true })), BadRequestError, 400, 'invalid_request_error',
            'Temperature should be in [0.0, 2.0)');
        const rest = { baseURL: `${limited.url}/apps/anthropic` };
        const sub = await tenant(limited, {});
        is(await refusal(client({ ...rest, apiKey: sub.key }).messages.create(asked('hi'))), PermissionDeniedError, 403,
            'permission_error', 'App access denied.');
    });

    test('a limit, and Retry-After', async () => {
        const space = await tenant(limited, { rpm: 1 });
        const calls = [];
        const other = client({ baseURL: `${limited.url}/apps/anthropic`, defaultHeaders: { 'X-DashScope-WorkSpace': space.id },
            fetch: async (...args) => {
                const answer = await fetch(...args);
                calls.push([answer.status, answer.headers.get('retry-after')]);
                if (answer.status === 429 && calls.length === 3) await advance(limited, 60_000);
                return answer;
            } });
        assert.equal((await other.messages.create(asked('hi'))).stop_reason, 'end_turn');
        is(await refusal(other.messages.create(asked('hi'))), RateLimitError, 429, 'rate_limit_error',
            'Requests rate limit exceeded, try again later.');
        const waits = [], real = globalThis.setTimeout;
        globalThis.setTimeout = (then, ms, ...more) => {
            if (ms === 60_000) waits.push(ms);
            return real(then, ms === 60_000 ? 0 : ms, ...more);
        };
        try {
            const answer = await other.messages.create(asked('hi'), { maxRetries: 2 });
            assert.equal(answer.stop_reason, 'end_turn');
        } finally {
            globalThis.setTimeout = real;
        }
        assert.deepEqual(waits, [60_000]);
        assert.deepEqual(calls, [[200, null], [429, '60'], [429, '60'], [200, null]]);
    });

    test('what is the service\'s own fault is tried again', async () => {
        const statuses = [];
        const other = client({ maxRetries: 2, fetch: async (...args) => {
            const answer = await fetch(...args);
            statuses.push(answer.status);
            return answer;
        } });
        const error = await refusal(other.messages.create(asked('refuse')));
        assert.equal(error.type, 'api_error');
        assert.deepEqual(statuses, [500, 500, 500]);
    });
});
