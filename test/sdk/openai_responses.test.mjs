// The npm package `openai` against the Responses API, conversations and legacy completions.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import OpenAI, { APIUserAbortError, BadRequestError, NotFoundError } from 'openai';
import { zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { execFileSync } from 'node:child_process';
import { KEY, SCENARIO, serve, until } from './server.mjs';

const box = await serve({ scenario: SCENARIO });

const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';
const client = new OpenAI({ baseURL: box.compatible, apiKey: KEY, maxRetries: 0, timeout: 20_000 });
const ask = (input, more = {}) => client.responses.create({ model: 'qwen-plus', input, ...more });
const WEATHER = {
    type: 'function', name: 'get_weather', description: 'The weather of a town', strict: false,
    parameters: { type: 'object', properties: { location: { type: 'string' } }, required: ['location'] },
};

describe('responses', () => {
    test('create', async () => {
        const answer = await ask('poem', { instructions: 'Be brief.' });
        assert.equal(answer.output_text, POEM);
        assert.equal(answer.status, 'completed');
        assert.match(answer.id, /^resp_/);
        assert(answer.usage.input_tokens > 5 && answer.usage.output_tokens > 10);
        assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
    });

    test('stream: the helper puts together what the last event holds', async () => {
        const stream = client.responses.stream({ model: 'qwen-plus', input: 'poem' });
        const types = [];
        let text = '';
        for await (const event of stream) {
            if (types.at(-1) !== event.type) types.push(event.type);
            if (event.type === 'response.output_text.delta') text += event.delta;
        }
        assert.equal(text, POEM);
        assert.deepEqual(types, ['response.created', 'response.in_progress', 'response.output_item.added',
            'response.content_part.added', 'response.output_text.delta', 'response.output_text.done',
            'response.content_part.done', 'response.output_item.done', 'response.completed']);
        assert.equal((await stream.finalResponse()).output_text, POEM);
    });

    test('reasoning', async () => {
        const answer = await ask('riddle', { reasoning: { effort: 'medium' } });
        assert.deepEqual(answer.output.map(item => item.type), ['reasoning', 'message']);
        assert.equal(answer.output[0].summary[0].text, 'It has keys and opens nothing. So it plays.');
        assert.equal(answer.output_text, 'A piano.');
        assert(answer.usage.output_tokens_details.reasoning_tokens > 5);
        const without = await ask('riddle', { reasoning: { effort: 'none' } });
        assert.deepEqual(without.output.map(item => item.type), ['message']);
    });

    test('retrieve, list the input, delete', async () => {
        const made = await ask([{ role: 'user', content: 'one' }, { role: 'assistant', content: 'two' },
            { role: 'user', content: [{ type: 'input_text', text: 'three' }] }], { metadata: { job: 'j1' } });
        const found = await client.responses.retrieve(made.id);
        assert.deepEqual(found.output, made.output);
        assert.equal(found.output_text, made.output_text);
        assert.deepEqual(found.metadata, { job: 'j1' });
        assert.equal(found.store, true);
        const items = [];
        for await (const item of client.responses.inputItems.list(made.id, { limit: 2, order: 'asc' })) items.push(item);
        assert.deepEqual(items.map(item => item.content[0].text), ['one', 'two', 'three']);
        const newest = await client.responses.inputItems.list(made.id, { limit: 1 });
        assert.equal(newest.data[0].content[0].text, 'three');
        assert.equal(newest.has_more, true);
        await client.responses.delete(made.id);
        await assert.rejects(client.responses.retrieve(made.id), BadRequestError);
        await assert.rejects(client.responses.inputItems.list(made.id), BadRequestError);
    });

    test('previous_response_id: the whole chain is read, its instructions are not', async () => {
        const first = await ask('one', { instructions: 'Long instructions that cost many a token, and then some more.' });
        const second = await ask('two', { previous_response_id: first.id });
        const third = await ask('three', { previous_response_id: second.id });
        const alone = await ask('three');
        assert(second.usage.input_tokens < first.usage.input_tokens + 20);
        assert(third.usage.input_tokens > alone.usage.input_tokens + 20);
        assert.equal(third.previous_response_id, second.id);
    });

    test('store: false', async () => {
        const made = await ask('one', { store: false });
        await assert.rejects(client.responses.retrieve(made.id), /Response with id '.*' not found\./);
        await assert.rejects(ask('two', { previous_response_id: made.id }), BadRequestError);
    });

    test('a loop of tools', async () => {
        const first = await ask('What is the weather in Hangzhou?', { tools: [WEATHER], tool_choice: 'required' });
        const call = first.output.find(item => item.type === 'function_call');
        assert.equal(call.name, 'get_weather');
        JSON.parse(call.arguments);
        const output = { type: 'function_call_output', call_id: call.call_id, output: '{"degrees":21}' };
        const chained = await ask([output], { previous_response_id: first.id, tools: [WEATHER] });
        assert.match(chained.output_text, /degrees/);
        const whole = await ask([{ role: 'user', content: 'What is the weather in Hangzhou?' }, ...first.output, output],
            { tools: [WEATHER] });
        assert.equal(whole.output_text, chained.output_text);
        assert.equal(whole.usage.input_tokens, chained.usage.input_tokens);
        await assert.rejects(ask([{ ...output, call_id: 'call_other' }], { previous_response_id: first.id }), BadRequestError);
    });

    test('streamed calls', async () => {
        const stream = client.responses.stream({ model: 'qwen-plus', input: 'weather?', tools: [WEATHER],
            tool_choice: { type: 'function', name: 'get_weather' } });
        let pieces = '', done;
        for await (const event of stream) {
            if (event.type === 'response.function_call_arguments.delta') pieces += event.delta;
            if (event.type === 'response.function_call_arguments.done') done = event;
        }
        const call = (await stream.finalResponse()).output[0];
        assert.equal(call.arguments, pieces);
        assert.equal(done.arguments, pieces);
        assert.equal(call.name, 'get_weather');
    });

    test('parse with a Zod schema', async () => {
        const Town = z.object({ name: z.string(), population: z.number() });
        const answer = await client.responses.parse({ model: 'qwen-plus', input: 'a town as json',
            text: { format: zodTextFormat(Town, 'town') } });
        Town.parse(answer.output_parsed);
    });

    test('max_output_tokens', async () => {
        const answer = await ask('one two three four five six seven eight nine ten eleven twelve thirteen', { max_output_tokens: 16 });
        assert.equal(answer.status, 'incomplete');
        assert.equal(answer.incomplete_details.reason, 'max_output_tokens');
        assert.equal(answer.usage.output_tokens, 16);
    });

    test('an aborted stream', async () => {
        const before = box.log().length;
        const stream = client.responses.stream({ model: 'qwen-plus', input: 'slow' });
        let id;
        await assert.rejects(async () => {
            for await (const event of stream) {
                id ??= event.response?.id;
                if (event.type === 'response.output_text.delta') stream.abort();
            }
            await stream.finalResponse();
        }, APIUserAbortError);
        await until(() => box.log().slice(before).includes('"phases_us"'), 'the request to end');
        const line = JSON.parse(box.log().slice(before).split('\n').find(one => one.includes('"phases_us"')));
        assert(line.completion_tokens < 100, `${line.completion_tokens} tokens were made`);
        await assert.rejects(client.responses.retrieve(id), BadRequestError); // what nobody waited for is not kept
    });
});

describe('conversations', () => {
    test('from its making to its end', async () => {
        const made = await client.conversations.create({ metadata: { topic: 'demo' },
            items: [{ type: 'message', role: 'user', content: 'Hello!' }] });
        assert.deepEqual((await client.conversations.retrieve(made.id)).metadata, { topic: 'demo' });
        assert.deepEqual((await client.conversations.update(made.id, { metadata: { topic: 'other' } })).metadata, { topic: 'other' });
        const added = await client.conversations.items.create(made.id,
            { items: [{ type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Good day.' }] }] });
        const answer = await ask('How are you?', { conversation: made.id });
        assert(answer.usage.input_tokens > (await ask('How are you?')).usage.input_tokens + 5);
        const items = [];
        for await (const item of client.conversations.items.list(made.id, { limit: 1, order: 'asc' })) items.push(item);
        assert.deepEqual(items.map(item => item.content[0].text), ['Hello!', 'Good day.', 'How are you?', answer.output_text]);
        const one = await client.conversations.items.retrieve(added.data[0].id, { conversation_id: made.id });
        assert.equal(one.content[0].text, 'Good day.');
        await client.conversations.items.delete(one.id, { conversation_id: made.id });
        await assert.rejects(client.conversations.items.retrieve(one.id, { conversation_id: made.id }), NotFoundError);
        assert.equal((await client.conversations.delete(made.id)).deleted, true);
        await assert.rejects(client.conversations.retrieve(made.id), NotFoundError);
    });
});

describe('completions', () => {
    const model = 'qwen2.5-coder-7b-instruct', prompt = '<|fim_prefix|>def quick_sort(arr):<|fim_suffix|>';

    test('create', async () => {
        const answer = await client.completions.create({ model, prompt });
        assert.match(answer.choices[0].text, /quick_sort/);
        assert.equal(answer.choices[0].finish_reason, 'stop');
        assert.equal(answer.object, 'text_completion');
        assert(answer.usage.prompt_tokens >= 5 && answer.usage.prompt_tokens <= 8); // each mark is one token
    });

    test('stream', async () => {
        const whole = await client.completions.create({ model, prompt });
        let text = '', usage;
        for await (const chunk of await client.completions.create({ model, prompt, stream: true, stream_options: { include_usage: true } })) {
            text += chunk.choices[0]?.text ?? '';
            usage = chunk.usage ?? usage;
        }
        assert.equal(text, whole.choices[0].text);
        assert.deepEqual(usage, whole.usage);
    });
});

test('what was answered survives kill -9', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-responses-'));
    const at = server => new OpenAI({ baseURL: server.compatible, apiKey: KEY, maxRetries: 0 });
    const first = await serve({ args: ['--data', folder] });
    const conversation = await at(first).conversations.create({ items: [{ type: 'message', role: 'user', content: 'one' }] });
    const answer = await at(first).responses.create({ model: 'qwen-plus', input: 'two', conversation: conversation.id });
    await first.kill();
    const second = await serve({ args: ['--data', folder] });
    assert.equal((await at(second).responses.retrieve(answer.id)).output_text, answer.output_text);
    assert.equal((await at(second).conversations.items.list(conversation.id)).data.length, 3);
    await second.stop();
    fs.rmSync(folder, { recursive: true });
});

test('what has expired leaves the store, but for what another goes on from', async () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-responses-'));
    const server = await serve({ args: ['--data', folder], config: 'admin: { key: sk-admin }' });
    const there = new OpenAI({ baseURL: server.compatible, apiKey: KEY, maxRetries: 0 });
    const say = (input, more = {}) => there.responses.create({ model: 'qwen-plus', input, ...more });
    const days = count => fetch(`${server.url}/admin/v1/clock`, { method: 'PUT', headers: { authorization: 'Bearer sk-admin' },
        body: JSON.stringify({ advance_ms: count * 86_400_000 }) });
    const rows = () => execFileSync('python3', ['-c', `
import glob, sqlite3, sys
db = sqlite3.connect(glob.glob(sys.argv[1] + '/*.db')[0])
for table, column in (('responses', 'id'), ('conversation_items', 'owner')):
    print(' '.join(sorted({row[0] for row in db.execute(f'SELECT {column} FROM {table}')})))`, folder]).toString().trim().split('\n');
    const kept = (...answers) => answers.map(answer => answer.id).sort().join(' ');

    const alone = await say('one'), first = await say('two');
    await days(4);
    const second = await say('three', { previous_response_id: first.id });
    assert.deepEqual(rows(), [kept(alone, first, second), kept(alone, first, second)]);
    await days(4); // the first two are a day too old
    const third = await say('four');
    assert.deepEqual(rows(), [kept(first, second, third), kept(first, second, third)]);
    await days(8); // … and now all of them are: a chain goes from its end, with each answer that is stored
    await say('five');
    const last = [await say('six'), await say('seven')];
    assert(!rows()[0].includes(first.id) && !rows()[1].includes(first.id) && !rows()[1].includes(second.id));
    assert(rows()[0].includes(last[1].id));
    await server.stop();
    fs.rmSync(folder, { recursive: true });
});

// The bodies hold the tools as they were sent. Of a chain the items are read, never all bodies at once.
test('the history of large responses takes the memory of one of them', async () => {
    const server = await serve();
    const say = body => fetch(`${server.compatible}/responses`, { method: 'POST', headers: { authorization: `Bearer ${KEY}` },
        body: JSON.stringify({ model: 'qwen-plus', input: 'x', ...body }) }).then(answer => answer.json());
    const peak_mb = () => Number(/VmHWM:\s+(\d+)/.exec(fs.readFileSync(`/proc/${server.process.pid}/status`, 'utf8'))[1]) / 1024;
    const tools = [{ type: 'web_search', note: 'x'.repeat(4e6) }];
    let last;
    for (let i = 0; i < 2; i++) last = await say({ previous_response_id: last?.id, tools });
    const two = peak_mb();
    for (let i = 0; i < 20; i++) last = await say({ previous_response_id: last.id, tools });
    assert.equal(last.status, 'completed');
    assert(last.usage.input_tokens > 200, `the chain was not read: ${last.usage.input_tokens} tokens`);
    assert(peak_mb() - two < 40, `${two} MB after two responses, ${peak_mb()} after twenty more`);
    await server.stop();
});
