// The native protocol, read as the official Python and Java SDKs read it.
//
// Those SDKs cannot be installed by this project's tests, so their reading rules are repeated here, line by line:
//   python_sync, python_async  dashscope-sdk-python, common/utils.py (_handle_stream, _handle_aio_stream and the functions
//                              for failed answers)
//   java                       dashscope-sdk-java, OkHttpHttpClient.java, over OkHttp's reader of event streams
// What is odd in them is kept: that is the point.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { KEY, SCENARIO, UUID, serve } from './server.mjs';

const box = await serve({ scenario: SCENARIO });
const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';

// ---------------------------------------------------------------------------------------------------------------------
// Python

const lines_of = text => text.split(/\r\n|\r|\n/); // requests' iter_lines

function error_of_python(error, status) {
    return { status_code: status, code: error.code ?? null, message: error.msg ?? error.message ?? '',
        request_id: error.request_id ?? '', output: null, usage: null };
}

function failed_of_python(answer, text) {
    const type = answer.headers.get('content-type') ?? '';
    if (type.includes('application/json')) return error_of_python(JSON.parse(text), answer.status);
    if (type.includes('text/event-stream'))
        for (const line of text.split('\n'))
            if (line.startsWith('data:')) return error_of_python(JSON.parse(line.replace('data:', '').trim()), answer.status);
    return { status_code: answer.status, code: 'Unknown', message: text, request_id: '', output: null, usage: null };
}

// _handle_stream: "event:error" has to be exactly that; a status comes from a line "status:", comments are passed over.
function* frames_of_python_sync(text) {
    let is_error = false, status = 400, type = null, id = null;
    for (const line of lines_of(text)) {
        if (!line) continue;
        if (line.startsWith('id:')) {
            id = line.slice(3).trim();
        } else if (line.startsWith('event:')) {
            type = line.slice(6);
            if (type === 'error') is_error = true;
        } else if (line.startsWith('status:')) {
            status = Number.parseInt(line.slice(7).trim(), 10);
        } else if (line.startsWith('data:')) {
            if (type === 'done') continue;
            yield { is_error, status, id, data: line.slice(5).trim() };
            if (is_error) return;
        }
    }
}

// _handle_aio_stream: no ids, any line that begins with event:error.
function* frames_of_python_async(text) {
    let is_error = false, status = 400;
    for (const line of text.split('\n').map(line => line.replace(/\r$/, ''))) {
        if (line.startsWith('event:error')) {
            is_error = true;
        } else if (line.startsWith('status:')) {
            status = Number.parseInt(line.slice(7).trim(), 10);
        } else if (line.startsWith('data:')) {
            yield { is_error, status, data: line.slice(5) };
            if (is_error) return;
        }
    }
}

function python(frames_of) {
    return (answer, text) => {
        const type = answer.headers.get('content-type') ?? '';
        if (answer.status !== 200) return [failed_of_python(answer, text)];
        if (!type.includes('text/event-stream')) {
            const body = JSON.parse(text);
            return [{ status_code: 200, code: body.code ?? null, message: body.message ?? '', request_id: body.request_id ?? '',
                output: body.data ?? body.output ?? null, usage: body.usage ?? null }];
        }
        const answers = [];
        for (const { is_error, status, data } of frames_of(text)) {
            const body = JSON.parse(data);
            answers.push(is_error ? error_of_python(body, status)
                : { status_code: 200, code: '', message: '', request_id: body.request_id ?? '', output: body.output ?? null,
                    usage: body.usage ?? null });
        }
        return answers;
    };
}

// ---------------------------------------------------------------------------------------------------------------------
// Java

// OkHttp's ServerSentEventReader: an event goes out at the empty line, a last one without it is lost; comments are passed
// over; one space after the colon is cut.
function* events_of_okhttp(text) {
    let id = null, type = null, data = [];
    for (const line of lines_of(text)) {
        if (line === '') {
            if (data.length) yield { id, type, data: data.join('\n') };
            type = null;
            data = [];
            continue;
        }
        if (line.startsWith(':')) continue;
        const [, name, value] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line);
        if (name === 'data') data.push(value);
        else if (name === 'id') id = value;
        else if (name === 'event') type = value || null;
    }
}

// What Gson would throw at: the types of GenerationResult, MultiModalConversationResult and Message.
function check_gson(body) {
    const string = (value, name) => assert(value === undefined || value === null || typeof value === 'string', `${name} is no string`);
    const int = (value, name) => assert(value === undefined || value === null || Number.isInteger(value), `${name} is no int`);
    string(body.request_id, 'request_id');
    assert(body.usage && typeof body.usage === 'object' && !Array.isArray(body.usage), 'usage is no object');
    for (const name of ['input_tokens', 'output_tokens', 'total_tokens', 'image_tokens']) int(body.usage[name], name);
    int(body.usage.prompt_tokens_details?.cached_tokens, 'cached_tokens');
    int(body.usage.output_tokens_details?.reasoning_tokens, 'reasoning_tokens');
    string(body.output.text, 'text');
    string(body.output.finish_reason, 'finish_reason');
    assert(body.output.choices === undefined || Array.isArray(body.output.choices));
    for (const choice of body.output.choices ?? []) {
        string(choice.finish_reason, 'finish_reason');
        int(choice.index, 'index');
        const { role, content, reasoning_content, tool_calls } = choice.message;
        string(role, 'role');
        string(reasoning_content, 'reasoning_content');
        if (typeof content !== 'string') {
            assert(Array.isArray(content), 'content is neither a string nor an array');
            for (const item of content) string(item.text, 'content.text');
        }
        for (const call of tool_calls ?? []) {
            assert.equal(typeof call.type, 'string', 'a tool call without a type');
            assert.equal(call.type, 'function');
            string(call.id, 'id');
            int(call.index, 'index');
            string(call.function.name, 'name');
            string(call.function.arguments, 'arguments');
        }
    }
}

function status_of_java(status, text) {
    const body = JSON.parse(text);
    return { status_code: status, code: body.code ?? '', message: body.message ?? '',
        request_id: body.request_id ?? body.requestId ?? '', output: null, usage: null };
}

function java(answer, text) {
    const type = (answer.headers.get('content-type') ?? '').toLowerCase();
    if (!answer.ok) {
        if (type.includes('application/json')) return [status_of_java(answer.status, text)];
        assert(type.includes('text/event-stream'), `Java would lose this error: ${type}`);
        for (const line of text.split('\n').map(line => line.trim()))
            if (line.startsWith('data:')) return [status_of_java(answer.status, line.replace('data:', ''))];
        assert.fail('Java finds no data: line');
    }
    const result = text => {
        const body = JSON.parse(text);
        check_gson(body);
        return { status_code: 200, code: '', message: '', request_id: body.request_id, output: body.output, usage: body.usage };
    };
    if (!/^text\/event-stream\s*(;|$)/.test(type)) return [result(text)];
    const answers = [];
    for (const event of events_of_okhttp(text)) {
        if (event.type === 'done') continue;
        if (event.type === 'error') return [...answers, status_of_java(400, event.data)];
        answers.push(result(event.data));
    }
    return answers;
}

// ---------------------------------------------------------------------------------------------------------------------

const readers = { 'Python': python(frames_of_python_sync), 'Python asyncio': python(frames_of_python_async), 'Java': java };

// What the SDKs send: Python has "stream" in the parameters too, and its own headers.
async function call({ kind = 'text', model = 'qwen-plus', content = 'poem', messages, parameters = {}, stream = false, key = KEY,
    body }) {
    const answer = await fetch(`${box.native}/services/aigc/${kind}-generation/generation`, {
        method: 'POST',
        headers: {
            authorization: `Bearer ${key}`,
            'content-type': 'application/json; charset=utf-8',
            'user-agent': 'dashscope/1.25.0; python/3.11.2; platform/Linux; processor/; incremental_to_full/0',
            accept: stream ? 'text/event-stream' : 'application/json',
            ...(stream ? { 'x-dashscope-sse': 'enable', 'x-accel-buffering': 'no', 'cache-control': 'no-cache' } : {}),
        },
        body: body ?? JSON.stringify({ model, parameters: { ...parameters, ...(stream ? { stream: true } : {}) },
            input: { messages: messages ?? [{ role: 'user', content: kind === 'text' ? content : [{ text: content }] }] } }),
    });
    return { answer, text: await answer.text() };
}

const TOOL = { type: 'function', function: { name: 'get_weather', description: 'The weather of a town', parameters: {
    type: 'object', properties: { location: { type: 'string' }, unit: { type: 'string' } }, required: ['location'] } } };

test('the frames, byte by byte', async () => {
    const { answer, text } = await call({ stream: true, parameters: { incremental_output: true } });
    assert.match(answer.headers.get('content-type'), /^text\/event-stream;\s*charset=UTF-8$/i);
    assert(text.endsWith('}\n\n'));
    const frames = text.slice(0, -2).split('\n\n');
    assert(frames.length > 4);
    frames.forEach((frame, i) => {
        const lines = frame.split('\n');
        assert.deepEqual(lines.slice(0, 3), [`id:${i + 1}`, 'event:result', ':HTTP_STATUS/200']);
        assert.equal(lines.length, 4);
        assert(lines[3].startsWith('data:{'));
        assert.equal(JSON.parse(lines[3].slice(5)).request_id, answer.headers.get('x-request-id'));
    });
    assert(!text.includes('[DONE]') && !text.includes('\\u6625'));
});

for (const [name, read] of Object.entries(readers)) {
    const answers = async options => {
        const { answer, text } = await call(options);
        return read(answer, text);
    };

    describe(name, () => {
        test('one answer, as text and as message', async () => {
            const [text, ...none] = await answers({});
            assert.equal(none.length, 0);
            assert.deepEqual(text.output, { finish_reason: 'stop', text: POEM });
            assert.match(text.request_id, UUID);
            assert.equal(text.usage.total_tokens, text.usage.input_tokens + text.usage.output_tokens);

            const [message] = await answers({ parameters: { result_format: 'message' } });
            assert.equal(message.output.choices[0].message.content, POEM);
            assert.equal(message.output.choices[0].message.role, 'assistant');
            assert.equal(message.output.choices[0].finish_reason, 'stop');
            assert(!('text' in message.output));
        });

        test('increments', async () => {
            const all = await answers({ stream: true, parameters: { result_format: 'message', incremental_output: true } });
            assert.equal(all.map(one => one.output.choices[0].message.content).join(''), POEM);
            assert.deepEqual(all.map(one => one.output.choices[0].finish_reason),
                [...Array(all.length - 1).fill('null'), 'stop']);
            assert.equal(new Set(all.map(one => one.request_id)).size, 1);
            assert.equal(new Set(all.map(one => one.usage.input_tokens)).size, 1);
            all.reduce((before, one) => { assert(one.usage.output_tokens >= before); return one.usage.output_tokens; }, 0);
        });

        test('not incremental: each has all of it', async () => {
            const all = await answers({ stream: true, parameters: { result_format: 'text', incremental_output: false } });
            for (let i = 1; i < all.length; i++) assert(all[i].output.text.startsWith(all[i - 1].output.text));
            assert.equal(all.at(-1).output.text, POEM);
            assert.equal(all.at(-1).output.finish_reason, 'stop');
            assert(all.length > 4);
        });

        test('thinking', async () => {
            const all = await answers({ content: 'riddle', stream: true,
                parameters: { result_format: 'message', incremental_output: true, enable_thinking: true } });
            const messages = all.map(one => one.output.choices[0].message);
            assert.equal(messages.map(message => message.reasoning_content).join(''), 'It has keys and opens nothing. So it plays.');
            assert.equal(messages.map(message => message.content).join(''), 'A piano.');
            const first_text = messages.findIndex(message => message.content);
            assert(messages.slice(first_text).every(message => message.reasoning_content === ''));
            assert(all.at(-1).usage.output_tokens_details.reasoning_tokens > 5);
        });

        test('tool calls', async () => {
            const parameters = { result_format: 'message', incremental_output: true, tools: [TOOL] };
            const all = await answers({ content: 'the weather?', stream: true, parameters });
            let given = '';
            const names = [], ids = [];
            for (const one of all) {
                for (const piece of one.output.choices[0].message.tool_calls ?? []) {
                    given += piece.function.arguments ?? '';
                    if (piece.function.name) names.push(piece.function.name);
                    if (piece.id) ids.push(piece.id);
                }
            }
            assert.deepEqual(names, ['get_weather']);
            assert.equal(ids.length, 1);
            assert.deepEqual(JSON.parse(given), { location: 'Hangzhou', unit: 'celsius' });
            assert.equal(all.at(-1).output.choices[0].finish_reason, 'tool_calls');

            const [once] = await answers({ content: 'the weather?', parameters });
            const message = once.output.choices[0].message;
            assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), { location: 'Hangzhou', unit: 'celsius' });
            const [end] = await answers({ parameters, messages: [{ role: 'user', content: 'the weather?' }, message,
                { role: 'tool', tool_call_id: message.tool_calls[0].id, content: '{"degrees": 21}' }] });
            assert.equal(end.output.choices[0].message.content, 'It is 21 degrees in Hangzhou.');
        });

        test('the multimodal endpoint: content is a list', async () => {
            const [once] = await answers({ kind: 'multimodal', model: 'qwen-vl-plus' });
            assert.deepEqual(once.output.choices[0].message.content, [{ text: POEM }]);
            const all = await answers({ kind: 'multimodal', model: 'qwen-vl-plus', stream: true, parameters: { incremental_output: true } });
            assert.equal(all.map(one => one.output.choices[0].message.content[0]?.text ?? '').join(''), POEM);
            assert.equal(all.at(-1).output.choices[0].finish_reason, 'stop');
            assert(all.every(one => one.usage.output_tokens > 0));
        });

        test('errors before an answer', async () => {
            for (const stream of [false, true]) {
                const [key] = await answers({ stream, key: 'sk-wrong' });
                assert.deepEqual([key.status_code, key.code], [401, 'InvalidApiKey']);
                assert.equal(key.message, 'Invalid API-key provided.');
                assert.match(key.request_id, UUID);

                const [range] = await answers({ stream, parameters: { top_p: 9 } });
                assert.deepEqual([range.status_code, range.code], [400, 'InvalidParameter']);
                assert.equal(range.message, 'Range of top_p should be (0.0, 1.0]');
                assert.match(range.request_id, UUID);

                const [body] = await answers({ stream, body: '{"model": "qwen-plus", ' });
                assert.equal(body.status_code, 400);
                assert(body.code && body.message);
                assert.match(body.request_id, UUID);

                const [engine] = await answers({ stream, content: 'refuse' });
                assert.equal(engine.status_code, 500);
                assert(engine.code && engine.message);
            }
        });

        test('an error in the middle of a stream', async () => {
            const all = await answers({ content: 'break off', stream: true, parameters: { incremental_output: true } });
            const end = all.pop();
            assert.equal(all.map(one => one.output.text).join(''), 'one two three');
            assert(all.every(one => one.output.finish_reason === 'null'));
            assert(end.status_code >= 400);
            assert(end.code && end.message);
            assert.equal(end.request_id, all[0].request_id);
            assert.equal(end.output, null);
        });
    });
}
