// The npm package `openai` through the server to an upstream engine: another dashbox (`box`), and a server of this file
// that sees when a stream is given up (`endless`).

import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import OpenAI from 'openai';
import { KEY, SCENARIO, serve, until } from './server.mjs';

const seen = { opened: 0, closed: 0, written: 0, bodies: [], keys: [] };

// Streams words until its client goes away.
const endless = http.createServer((request, answer) => {
    let body = '';
    request.on('data', piece => { body += piece; });
    request.on('end', () => {
        seen.opened++;
        seen.bodies.push(JSON.parse(body));
        seen.keys.push(request.headers.authorization);
        answer.writeHead(200, { 'content-type': 'text/event-stream' });
        const chunk = delta => `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'theirs',
            choices: [{ index: 0, delta, finish_reason: null }] })}\n\n`;
        answer.write(chunk({ role: 'assistant', content: '' }));
        const timer = setInterval(() => { seen.written++; answer.write(chunk({ content: 'la ' })); }, 20);
        answer.on('close', () => { clearInterval(timer); seen.closed++; });
    });
});
await new Promise(resolve => endless.listen(0, '127.0.0.1', resolve));
after(() => { endless.closeAllConnections(); endless.close(); });

const engine = await serve({ scenario: SCENARIO });
const box = await serve({
    config: `
engines:
  - name: other
    upstream: ${engine.compatible}
    api_key: ${KEY}
    models: { 'qwen-turbo': qwen-plus }
  - name: endless
    upstream: http://127.0.0.1:${endless.address().port}/v1
    api_key: sk-of-the-upstream
    models: { qwen-flash: theirs }
  - name: nobody
    upstream: http://127.0.0.1:1/v1
    connect_timeout: 500ms
route: { qwen-flash: endless, qwen-max: nobody, '*': other }
`,
});

const client = (options = {}) =>
    new OpenAI({ baseURL: box.compatible, apiKey: KEY, maxRetries: 0, timeout: 20_000, ...options });
const ask = (content, more = {}) =>
    client().chat.completions.create({ model: 'qwen-plus', messages: [{ role: 'user', content }], ...more });
const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';

describe('through an upstream', () => {
    test('one answer', async () => {
        const { data, request_id } = await ask('poem').withResponse();
        assert.equal(data.choices[0].message.content, POEM);
        assert.equal(data.choices[0].finish_reason, 'stop');
        assert.equal(data.model, 'qwen-plus');
        assert.equal(data.id, `chatcmpl-${request_id}`);
        const line = await box.logged(request_id);
        assert.equal(line.engine, 'other');
        assert.equal(line.completion_tokens, data.usage.completion_tokens);
    });

    test('a stream with usage', async () => {
        let text = '', usage, pieces = 0;
        for await (const chunk of await ask('poem', { stream: true, stream_options: { include_usage: true } })) {
            if (chunk.choices[0]?.delta.content) pieces++;
            text += chunk.choices[0]?.delta.content ?? '';
            usage = chunk.usage ?? usage;
        }
        assert.equal(text, POEM);
        assert(pieces > 3);
        assert(usage.completion_tokens > 10);
    });

    test('a model by the name that the upstream knows', async () => {
        const answer = await ask('poem', { model: 'qwen-turbo' });
        assert.equal(answer.choices[0].message.content, POEM);
        assert.equal(answer.model, 'qwen-turbo');
    });

    test('tools, there and back', async () => {
        const tools = [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object',
            properties: { location: { type: 'string' }, unit: { type: 'string' } } } } }];
        const messages = [{ role: 'user', content: 'the weather?' }];
        const { message, finish_reason } = (await client().chat.completions.stream({ model: 'qwen-plus', messages, tools })
            .finalChatCompletion()).choices[0];
        assert.equal(finish_reason, 'tool_calls');
        assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { location: 'Hangzhou', unit: 'celsius' });
        messages.push(message, { role: 'tool', tool_call_id: message.tool_calls[0].id, content: '{"degrees": 21}' });
        const answer = await client().chat.completions.create({ model: 'qwen-plus', messages, tools });
        assert.equal(answer.choices[0].message.content, 'It is 21 degrees in Hangzhou.');
    });

    test('thinking', async () => {
        const answer = await ask('riddle', { enable_thinking: true });
        assert.equal(answer.choices[0].message.reasoning_content, 'It has keys and opens nothing. So it plays.');
        assert.equal(answer.choices[0].message.content, 'A piano.');
    });

    test('probabilities, whole and streamed', async () => {
        const asked = { model: 'qwen3-vl-plus', logprobs: true, top_logprobs: 2, seed: 5 };
        const [choice] = (await ask('poem', asked)).choices;
        const bytes = choice.logprobs.content.flatMap(token => token.bytes);
        assert.equal(Buffer.from(bytes).toString(), POEM);
        assert(choice.logprobs.content.every(token => token.logprob <= 0 && token.top_logprobs.length === 2));
        const streamed = [];
        for await (const chunk of await ask('poem', { ...asked, stream: true }))
            streamed.push(...chunk.choices[0]?.logprobs?.content ?? []);
        assert.equal(Buffer.from(streamed.flatMap(token => token.bytes)).toString(), POEM);
    });

    test('what the upstream has cached', async () => {
        const content = `${'word '.repeat(1500)}?`;
        assert.equal((await ask(content)).usage.prompt_tokens_details.cached_tokens, 0);
        assert.equal((await ask(content)).usage.prompt_tokens_details.cached_tokens, 1280);
    });

    test('our refusals do not reach the upstream', async () => {
        const before = await engine.metric('dashbox_requests_total{surface="openai"}');
        await assert.rejects(ask('x', { top_p: 4 }), { status: 400, code: 'invalid_parameter_error' });
        await assert.rejects(ask('x', { model: 'no-such-model' }), { status: 404 });
        assert.equal(await engine.metric('dashbox_requests_total{surface="openai"}'), before);
    });

    test('an engine that is not there', async () => {
        await assert.rejects(ask('x', { model: 'qwen-max' }), error => {
            assert.equal(error.status, 503);
            assert(error.code);
            return true;
        });
    });

    test('an error in the middle of a stream', async () => {
        let text = '';
        await assert.rejects(async () => {
            for await (const chunk of await ask('break off', { stream: true })) text += chunk.choices[0].delta.content ?? '';
        });
        assert.equal(text, 'one two three');
    });

    test('an abort closes the connection to the upstream', async () => {
        const controller = new AbortController();
        const stream = await client().chat.completions.create({ model: 'qwen-flash', stream: true,
            messages: [{ role: 'user', content: 'sing' }] }, { signal: controller.signal });
        let pieces = 0;
        for await (const chunk of stream) {
            if (chunk.choices[0].delta.content && ++pieces === 3) controller.abort();
        }
        await until(() => seen.closed === 1, 'the upstream to see it');
        assert.equal(seen.opened, 1);
        assert(seen.written < 50);
        assert.equal(seen.bodies[0].model, 'theirs');
        assert.equal(seen.bodies[0].stream, true);
        assert.deepEqual(seen.keys, ['Bearer sk-of-the-upstream']);
        await until(async () => await box.metric('dashbox_requests_active') === 0, 'the request to end');
    });
});
