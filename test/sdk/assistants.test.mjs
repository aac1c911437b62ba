// Assistants, threads and runs, by the very calls of the Python SDK (dashscope.Assistants, Threads, Messages, Runs, Steps): their paths,
// bodies and reading of events; what a run does when its client leaves or its server is killed; what it costs and what it is refused.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { KEY, scratch, serve, until } from './server.mjs';
import { ADMIN_CONFIG, admin, advance, tenant } from './tenants.mjs';

const SCENARIO = `
rules:
  - match: { tool_result: { contains: '21' } }
    answer: { text: 'It is 21 degrees.' }
  - match: { message: { contains: both }, tools: [get_weather] }
    answer:
      text: 'Let me look.'
      tool_calls:
        - { name: get_weather, arguments: { location: Hangzhou } }
        - { name: get_weather, arguments: { location: Beijing } }
  - match: { message: { contains: weather }, tools: [get_weather] }
    answer: { tool_calls: [ { name: get_weather, arguments: { location: Hangzhou } } ] }
  - match: { message: slow }
    answer: { text: '${'la '.repeat(400).trim()}', between_tokens: 40ms }
  - match: { message: short }
    answer: { text: '${'la '.repeat(30).trim()}', between_tokens: 20ms }
  - match: { message: stuck }
    answer: { text: 'never', first_token: 300s }
  - match: { message: refuse }
    answer: { error: E219 }
  - match: { message: break off }
    answer: { text: 'one two three four five six seven eight', error: { name: E219, after_tokens: 3 } }
  - match: { system: { contains: a pirate } }
    answer: { text: 'Arr.' }
  - match: { message: { contains: count } }
    answer: { text: 'one two three' }
`;
const folder = scratch('assistants');
const box = await serve({ scenario: SCENARIO, config: ADMIN_CONFIG, args: ['--workers', '2'] });

// As dashscope/client/base_api.py does it: {prefix}/{path}, the key as Bearer, members that are None left out.
function sdk(server, key = KEY) {
    async function call(method, target, body, more = {}) {
        const answer = await fetch(`${server.native}/${target}`, { method, body: body && JSON.stringify(body), ...more,
            headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', accept: 'application/json; charset=utf-8' } });
        if (body?.stream && answer.ok) return answer;
        const json = await answer.json();
        if (!answer.ok) throw Object.assign(new Error(json.message), { status: answer.status, code: json.code });
        assert.equal(json.request_id, answer.headers.get('x-request-id'));
        return json;
    }
    const query = q => (q ? '?' + new URLSearchParams(q) : '');
    const post = (target, body = {}, more) => call('POST', target, body, more), get = target => call('GET', target), del = target => call('DELETE', target);
    const runs = {
        create: (t, body, more) => post(`threads/${t}/runs`, body, more), create_thread_and_run: (body, more) => post('threads/runs', body, more),
        get: (r, t) => get(`threads/${t}/runs/${r}`), list: (t, q) => get(`threads/${t}/runs${query(q)}`), update: (r, t, body) => post(`threads/${t}/runs/${r}`, body),
        submit_tool_outputs: (r, t, body) => post(`threads/${t}/runs/${r}/submit_tool_outputs`, body), cancel: (r, t) => post(`threads/${t}/runs/${r}/cancel`),
        // Runs.wait: until the status is one of these
        wait: (r, t) => until(async () => {
            const run = await runs.get(r, t);
            return ['completed', 'failed', 'cancelled', 'expired', 'requires_action'].includes(run.status) && run;
        }, `the end of ${r}`, 20_000),
    };
    return {
        assistants: { create: body => post('assistants', body), get: id => get(`assistants/${id}`), list: q => get(`assistants${query(q)}`),
            update: (id, body) => post(`assistants/${id}`, body), delete: id => del(`assistants/${id}`) },
        threads: { create: body => post('threads', body), get: id => get(`threads/${id}`), update: (id, body) => post(`threads/${id}`, body), delete: id => del(`threads/${id}`) },
        messages: { create: (t, body) => post(`threads/${t}/messages`, body), get: (m, t) => get(`threads/${t}/messages/${m}`),
            list: (t, q) => get(`threads/${t}/messages${query(q)}`), update: (m, t, body) => post(`threads/${t}/messages/${m}`, body) },
        steps: { list: (r, t, q) => get(`threads/${t}/runs/${r}/steps${query(q)}`), get: (s, r, t) => get(`threads/${t}/runs/${r}/steps/${s}`) },
        runs,
    };
}

// The events as the Python SDK reads them: lines, an event's name, its data; "done" is dropped, though it must be there.
async function events(answer) {
    const all = [];
    let name;
    for (const line of (await answer.text()).split('\n')) {
        if (line.startsWith('event:')) name = line.slice(6).trim();
        if (line.startsWith('data:') && line !== 'data:[DONE]') all.push([name, JSON.parse(line.slice(5))]);
    }
    assert.equal(name, 'done');
    return all;
}
const names = all => all.map(([name]) => name).filter((name, i, list) => name !== list[i - 1]);
const FUNCTION = { type: 'function', function: { name: 'get_weather', description: 'the weather', parameters: { type: 'object', properties: { location: { type: 'string' } } } } };
const said = text => ({ messages: [{ role: 'user', content: text }] });
const text_of = message => message.content.map(c => c.text.value).join('');
const SIMPLE = ['thread.run.created', 'thread.run.queued', 'thread.run.in_progress', 'thread.run.step.created', 'thread.run.step.in_progress',
    'thread.message.created', 'thread.message.in_progress', 'thread.message.delta', 'thread.message.completed', 'thread.run.step.completed', 'thread.run.completed'];
const { assistants, threads, messages, runs, steps } = sdk(box);
const plain = await assistants.create({ model: 'qwen-plus', name: 'plain' });
const caller = await assistants.create({ model: 'qwen-plus', tools: [FUNCTION] });

describe('a run', () => {
    test('answers what is in the thread, with a message and a step', async () => {
        const assistant = await assistants.create({ model: 'qwen-max', name: 'A', description: 'D', instructions: 'You are a pirate.', tools: [], file_ids: [], metadata: { k: 'v' } });
        const thread = await threads.create({ ...said('hello'), metadata: {} });
        const run = await runs.create(thread.id, { assistant_id: assistant.id, stream: false });
        assert.equal(run.object, 'thread.run');
        assert.equal(run.status, 'queued');
        assert(Math.abs(run.created_at - Date.now()) < 60_000); // milliseconds
        const done = await runs.wait(run.id, thread.id);
        assert.equal(done.status, 'completed');
        assert.equal(done.model, 'qwen-max');
        assert.deepEqual(Object.keys(done.usage).sort(), ['completion_tokens', 'input_tokens', 'output_tokens', 'prompt_tokens', 'total_tokens']);
        assert(done.usage.input_tokens > 0 && done.usage.total_tokens === done.usage.input_tokens + done.usage.output_tokens);
        for (const time of ['expires_at', 'started_at', 'cancelled_at', 'failed_at', 'completed_at']) assert.equal(done[time], null); // 32 bits in Java
        const { data, has_more, first_id } = await messages.list(thread.id);
        assert.deepEqual(data.map(m => [m.role, text_of(m), m.run_id]), [['assistant', 'Arr.', run.id], ['user', 'hello', '']]);
        assert.equal(has_more, false);
        assert.equal(first_id, data[0].id);
        const list = await steps.list(run.id, thread.id);
        assert.deepEqual(list.data.map(s => [s.type, s.status, s.step_details.message_creation.message_id]), [['message_creation', 'completed', data[0].id]]);
        assert.equal((await steps.get(list.data[0].id, run.id, thread.id)).id, list.data[0].id);
    });

    test('is streamed: names and objects of the events', async () => {
        const thread = await threads.create(said('count'));
        const all = await events(await runs.create(thread.id, { assistant_id: plain.id, stream: true }));
        assert.deepEqual(names(all), SIMPLE);
        const deltas = all.filter(([name]) => name === 'thread.message.delta').map(([, data]) => data);
        assert.equal(deltas.map(d => d.delta.content[0].text.value).join(''), 'one two three');
        assert(deltas.every(d => Array.isArray(d.delta.content) && d.object === 'thread.message.delta'));
        const completed = all.find(([name]) => name === 'thread.message.completed')[1];
        assert.equal(text_of(completed), 'one two three');
        assert.equal(completed.id, deltas[0].id);
        const run = all.at(-1)[1];
        assert.deepEqual({ ...await runs.get(run.id, thread.id), request_id: undefined }, { ...run, request_id: undefined });
    });

    test('with its thread at once', async () => {
        const all = await events(await runs.create_thread_and_run({ assistant_id: plain.id, thread: said('count'), stream: true }));
        assert.deepEqual(names(all), ['thread.created', ...SIMPLE]);
        const run = await runs.create_thread_and_run({ assistant_id: plain.id, thread: said('count') });
        assert.equal((await runs.wait(run.id, run.thread_id)).status, 'completed');
    });

    test('goes on from the runs before it, and takes what the call says instead of the assistant', async () => {
        const thread = await threads.create(said('count'));
        await events(await runs.create(thread.id, { assistant_id: plain.id, stream: true }));
        await messages.create(thread.id, { role: 'user', content: 'and then count on' });
        const long = (await events(await runs.create(thread.id, { assistant_id: plain.id, stream: true }))).at(-1)[1];
        await messages.create(thread.id, { role: 'user', content: 'count' });
        const cut = (await events(await runs.create(thread.id, { assistant_id: plain.id, stream: true, truncation_strategy: { type: 'last_messages', last_messages: 1 } }))).at(-1)[1];
        assert(cut.usage.input_tokens < long.usage.input_tokens);
        await messages.create(thread.id, { role: 'user', content: 'hello' });
        const other = (await events(await runs.create(thread.id, { assistant_id: plain.id, stream: true, model: 'qwen-max', instructions: 'You are', additional_instructions: 'a pirate' })));
        assert.equal(other.at(-1)[1].model, 'qwen-max');
        assert.equal(other.at(-1)[1].instructions, 'You are\na pirate');
        await messages.create(thread.id, { role: 'user', content: 'hello' });
        const pirate = await events(await runs.create(thread.id, { assistant_id: plain.id, stream: true, additional_instructions: 'You are a pirate' }));
        assert.equal(text_of(pirate.find(([name]) => name === 'thread.message.completed')[1]), 'Arr.');
        assert.equal((await runs.list(thread.id)).data.length, 5);
    });

    test('calls functions, waits for what comes of them, and goes on', async () => {
        const thread = await threads.create(said('the weather?'));
        const first = await runs.create(thread.id, { assistant_id: caller.id });
        const waits = await runs.wait(first.id, thread.id);
        assert.equal(waits.status, 'requires_action');
        assert.equal(waits.required_action.type, 'submit_tool_outputs');
        const [call] = waits.required_action.submit_tool_outputs.tool_calls;
        assert.equal(call.type, 'function');
        assert.equal(call.function.name, 'get_weather');
        assert.deepEqual(JSON.parse(call.function.arguments), { location: 'Hangzhou' });
        assert.deepEqual((await messages.list(thread.id)).data.length, 1); // nothing has been said
        assert.equal((await steps.list(first.id, thread.id)).data[0].status, 'in_progress');
        await assert.rejects(messages.create(thread.id, { role: 'user', content: 'x' }), { status: 400, message: `Thread ${thread.id} already has an active run.` });
        const on = await runs.submit_tool_outputs(first.id, thread.id, { tool_outputs: [{ tool_call_id: call.id, output: '21 degrees' }] });
        assert.equal(on.status, 'queued');
        assert.equal(on.required_action, null);
        const done = await runs.wait(first.id, thread.id);
        assert.equal(done.status, 'completed');
        assert(done.usage.input_tokens > waits.usage.input_tokens);
        assert.equal(text_of((await messages.list(thread.id)).data[0]), 'It is 21 degrees.');
        const all = (await steps.list(first.id, thread.id, { order: 'asc' })).data;
        assert.deepEqual(all.map(s => [s.type, s.status]), [['tool_calls', 'completed'], ['message_creation', 'completed']]);
        assert.equal(all[0].step_details.tool_calls[0].function.output, '21 degrees');
    });

    test('two calls beside a text, streamed in both rounds', async () => {
        const thread = await threads.create(said('both towns'));
        const first = await events(await runs.create(thread.id, { assistant_id: caller.id, stream: true }));
        assert.deepEqual(names(first), [...SIMPLE.slice(0, -1), 'thread.run.step.created', 'thread.run.step.in_progress', 'thread.run.step.delta', 'thread.run.requires_action']);
        const run = first.at(-1)[1], calls = run.required_action.submit_tool_outputs.tool_calls;
        assert.equal(calls.length, 2);
        const delta = first.find(([name]) => name === 'thread.run.step.delta')[1];
        assert.deepEqual(delta.delta.step_details.tool_calls.map(c => c.id), calls.map(c => c.id));
        const second = await events(await runs.submit_tool_outputs(run.id, thread.id, { stream: true, tool_outputs: calls.map(c => ({ tool_call_id: c.id, output: '21' })).reverse() }));
        assert.deepEqual(names(second), ['thread.run.step.completed', ...SIMPLE.slice(1)]);
        assert.equal(second.at(-1)[1].status, 'completed');
        assert.deepEqual((await messages.list(thread.id, { order: 'asc' })).data.map(text_of), ['both towns', 'Let me look.', 'It is 21 degrees.']);
    });

    test('tool_choice: a function is called first, and then as the model likes', async () => {
        const tool_choice = { type: 'function', function: { name: 'get_weather' } };
        const first = await runs.create_thread_and_run({ assistant_id: caller.id, thread: said('good day'), tool_choice });
        const waits = await runs.wait(first.id, first.thread_id);
        assert.equal(waits.status, 'requires_action');
        assert.deepEqual(waits.tool_choice, tool_choice);
        const [call] = waits.required_action.submit_tool_outputs.tool_calls;
        assert.equal(call.function.name, 'get_weather');
        await runs.submit_tool_outputs(first.id, first.thread_id, { tool_outputs: [{ tool_call_id: call.id, output: 'unknown' }] });
        assert.equal((await runs.wait(first.id, first.thread_id)).status, 'completed');
        const free = await runs.create_thread_and_run({ assistant_id: caller.id, thread: said('good day'), tool_choice: 'auto' });
        assert.equal((await runs.wait(free.id, free.thread_id)).status, 'completed');
        for (const wrong of ['sometimes', { type: 'function', function: { name: 'get_time' } }])
            await assert.rejects(runs.create_thread_and_run({ assistant_id: caller.id, thread: said('good day'), tool_choice: wrong }), { status: 400, message: /^tool_choice is one of/ });
    });

    test('fails as its model does, at once or in the middle', async () => {
        const thread = await threads.create(said('refuse'));
        const failed = await events(await runs.create(thread.id, { assistant_id: plain.id, stream: true }));
        assert.deepEqual(names(failed), [...SIMPLE.slice(0, 3), 'thread.run.failed']);
        assert.equal(typeof failed.at(-1)[1].last_error.code, 'string');
        const other = await threads.create(said('break off'));
        const broken = await events(await runs.create(other.id, { assistant_id: plain.id, stream: true }));
        assert.deepEqual(names(broken), [...SIMPLE.slice(0, 8), 'thread.message.incomplete', 'thread.run.step.failed', 'thread.run.failed']);
        assert.equal((await messages.list(other.id)).data[0].status, 'incomplete');
        const empty = await threads.create({});
        const run = await runs.create(empty.id, { assistant_id: plain.id });
        const ended = await runs.wait(run.id, empty.id);
        assert.equal(ended.status, 'failed');
        assert.equal(ended.last_error.code, 'ModelServiceFailed');
    });
});

describe('a run that nobody waits for', () => {
    test('goes on when its client leaves', async () => {
        const thread = await threads.create(said('short')), leave = new AbortController();
        const answer = await runs.create(thread.id, { assistant_id: plain.id, stream: true }, { signal: leave.signal });
        await answer.body.getReader().read();
        leave.abort();
        const [run] = (await runs.list(thread.id)).data;
        assert.equal((await runs.wait(run.id, thread.id)).status, 'completed');
        assert.equal(text_of((await messages.list(thread.id)).data[0]), 'la '.repeat(30).trim());
    });

    test('is cancelled: while it speaks, before its first word, and while it waits', async () => {
        for (const words of ['slow', 'stuck']) {
            const thread = await threads.create(said(words));
            const run = await runs.create(thread.id, { assistant_id: plain.id });
            await until(async () => (await runs.get(run.id, thread.id)).status === 'in_progress', 'it to run');
            if (words === 'slow') await until(async () => (await messages.list(thread.id)).data.length === 2, 'its message');
            assert.equal((await runs.cancel(run.id, thread.id)).status, 'cancelling');
            assert.equal((await runs.wait(run.id, thread.id)).status, 'cancelled');
            assert.deepEqual((await steps.list(run.id, thread.id)).data.map(s => s.status), words === 'slow' ? ['cancelled'] : []);
            await messages.create(thread.id, { role: 'user', content: 'count' }); // the thread is free
            assert.equal((await runs.cancel(run.id, thread.id)).status, 'cancelled');
        }
        const thread = await threads.create(said('the weather?'));
        const run = await runs.create(thread.id, { assistant_id: caller.id });
        await runs.wait(run.id, thread.id);
        assert.equal((await runs.cancel(run.id, thread.id)).status, 'cancelled');
        assert.equal((await steps.list(run.id, thread.id)).data[0].status, 'cancelled');
    });

    test('goes with its thread', async () => {
        const thread = await threads.create(said('slow'));
        const run = await runs.create(thread.id, { assistant_id: plain.id });
        await until(async () => (await messages.list(thread.id)).data.length === 2, 'its message');
        assert.deepEqual({ ...await threads.delete(thread.id), request_id: 0 }, { id: thread.id, object: 'thread.deleted', deleted: true, request_id: 0 });
        await assert.rejects(runs.get(run.id, thread.id), { status: 404 });
    });

    test('expires when it waits for outputs too long', async () => {
        const server = await serve({ scenario: SCENARIO, config: ADMIN_CONFIG }), client = sdk(server);
        const assistant = await client.assistants.create({ model: 'qwen-plus', tools: [FUNCTION] });
        const run = await client.runs.create_thread_and_run({ assistant_id: assistant.id, thread: said('weather') });
        const waits = await client.runs.wait(run.id, run.thread_id);
        await advance(server, 599_000);
        assert.equal((await client.runs.get(run.id, run.thread_id)).status, 'requires_action');
        await advance(server, 2_000);
        assert.equal((await client.runs.get(run.id, run.thread_id)).status, 'expired');
        assert.equal((await client.steps.list(run.id, run.thread_id)).data[0].status, 'expired');
        const [{ id }] = waits.required_action.submit_tool_outputs.tool_calls;
        await assert.rejects(client.runs.submit_tool_outputs(run.id, run.thread_id, { tool_outputs: [{ tool_call_id: id, output: '21' }] }),
            { status: 400, message: `Run ${run.id} does not accept tool outputs: its status is expired.` });
    });
});

test('a run that takes longer than it may expires, with what it has said', async () => {
    const server = await serve({ scenario: SCENARIO, config: ADMIN_CONFIG + 'apps: { time: 1s }\n' }), client = sdk(server);
    const assistant = await client.assistants.create({ model: 'qwen-plus' });
    for (const words of ['slow', 'stuck']) {
        const all = await events(await client.runs.create_thread_and_run({ assistant_id: assistant.id, thread: said(words), stream: true }));
        const run = all.at(-1)[1];
        assert.equal(all.at(-1)[0], 'thread.run.expired');
        assert.equal((await client.runs.get(run.id, run.thread_id)).status, 'expired');
        assert.deepEqual((await client.steps.list(run.id, run.thread_id)).data.map(s => s.status), words === 'slow' ? ['expired'] : []);
        const [last] = (await client.messages.list(run.thread_id)).data;
        assert.deepEqual([last.status, text_of(last).startsWith(words === 'slow' ? 'la la' : 'stuck')], [words === 'slow' ? 'incomplete' : '', true]);
        await client.messages.create(run.thread_id, { role: 'user', content: 'count' }); // the thread is free
    }
});

test('what is left of runs when their server is killed, or stopped', async () => {
    const args = ['--data', path.join(folder, 'kept')];
    const first = await serve({ scenario: SCENARIO, config: ADMIN_CONFIG, args }), before = sdk(first);
    const assistant = await before.assistants.create({ model: 'qwen-plus', tools: [FUNCTION] });
    const slow = await before.runs.create_thread_and_run({ assistant_id: assistant.id, thread: said('slow') });
    const waiting = await before.runs.create_thread_and_run({ assistant_id: assistant.id, thread: said('weather') });
    const { required_action } = await before.runs.wait(waiting.id, waiting.thread_id);
    await until(async () => (await before.messages.list(slow.thread_id)).data.length === 2, 'its message');
    await first.kill();

    const second = await serve({ scenario: SCENARIO, config: ADMIN_CONFIG, args }), after = sdk(second);
    const failed = await after.runs.wait(slow.id, slow.thread_id);
    assert.equal(failed.status, 'failed');
    assert.equal(failed.last_error.code, 'InternalError');
    assert.equal((await after.messages.list(slow.thread_id)).data[0].status, 'incomplete');
    assert.equal((await after.steps.list(slow.id, slow.thread_id)).data[0].status, 'failed');
    await after.runs.submit_tool_outputs(waiting.id, waiting.thread_id, // this one can go on: its server was not needed
        { tool_outputs: [{ tool_call_id: required_action.submit_tool_outputs.tool_calls[0].id, output: '21' }] });
    assert.equal((await after.runs.wait(waiting.id, waiting.thread_id)).status, 'completed');
    const stopped = await after.runs.create_thread_and_run({ assistant_id: assistant.id, thread: said('stuck') });
    await until(async () => (await after.runs.get(stopped.id, stopped.thread_id)).status === 'in_progress', 'it to run');
    await second.stop();
    second.process = undefined;

    const third = sdk(await serve({ scenario: SCENARIO, config: ADMIN_CONFIG, args }));
    assert.equal((await third.runs.get(stopped.id, stopped.thread_id)).status, 'failed'); // at once: it was written
});

test('a run is admitted and charged as any chat, and belongs to its workspace', async () => {
    const { id, key } = await tenant(box, { rpm: 1 }), mine = sdk(box, key);
    const assistant = await mine.assistants.create({ model: 'qwen-plus' });
    const first = await mine.runs.create_thread_and_run({ assistant_id: assistant.id, thread: said('count') });
    const done = await mine.runs.wait(first.id, first.thread_id);
    assert.equal(done.status, 'completed');
    const second = await mine.runs.create_thread_and_run({ assistant_id: assistant.id, thread: said('count') });
    const refused = await mine.runs.wait(second.id, second.thread_id);
    assert.equal(refused.status, 'failed');
    assert.equal(refused.last_error.code, 'ModelServiceFailed'); // as of any application
    const used = (await admin(box, 'GET', '/usage?by=workspace')).data.find(row => row.group === id);
    assert.deepEqual([used.prompt_tokens, used.completion_tokens], [done.usage.input_tokens, done.usage.output_tokens]);
    await assert.rejects(threads.get(first.thread_id), { status: 404 });
    await assert.rejects(runs.create(first.thread_id, { assistant_id: plain.id }), { status: 404 });
});

test('lists in pages, both ways', async () => {
    const { key } = await tenant(box, {}), mine = sdk(box, key), made = [];
    for (let i = 0; i < 5; i++) made.push((await mine.assistants.create({ model: 'qwen-plus', name: `n${i}` })).id);
    const first = await mine.assistants.list({ limit: 2, order: 'asc' });
    assert.deepEqual(first.data.map(a => a.id), made.slice(0, 2));
    assert.deepEqual([first.has_more, first.first_id, first.last_id], [true, made[0], made[1]]);
    const rest = await mine.assistants.list({ limit: 3, order: 'asc', after: made[1] });
    assert.deepEqual([rest.data.map(a => a.id), rest.has_more], [made.slice(2), false]);
    const between = await mine.assistants.list({ after: made[4], before: made[1] });
    assert.deepEqual(between.data.map(a => a.id), [made[3], made[2]]);
});

test('many runs at once, each of its own thread', async () => {
    await Promise.all(Array.from({ length: 30 }, async (_, i) => {
        const all = await events(await runs.create_thread_and_run({ assistant_id: plain.id, thread: said(`count ${i}`), stream: true }));
        assert.equal(all.at(-1)[1].status, 'completed');
        assert.deepEqual((await messages.list(all.at(-1)[1].thread_id)).data.map(text_of), ['one two three', `count ${i}`]);
    }));
});
