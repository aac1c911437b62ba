// Failures on purpose, as the SDKs see them: retries that succeed, streams that break off, connections that are cut or hang.
// What was received is asserted with the journal, as people's own tests would.

import { beforeEach, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAlibaba } from '@ai-sdk/alibaba';
import { ChatAlibabaTongyi } from '@langchain/community/chat_models/alibaba_tongyi';
import { APICallError, RetryError, generateText, streamText } from 'ai';
import OpenAI, { APIConnectionError, APIConnectionTimeoutError, APIError, RateLimitError } from 'openai';
import { KEY, SCENARIO, serve } from './server.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const ADMIN = 'admin-test';
const CONFIG = `admin: { key: ${ADMIN} }\n`;
const box = await serve({ scenario: SCENARIO, config: CONFIG, args: ['--workers', '2'] });
const sealed = await serve({ config: CONFIG, args: ['--production'] });
const BINARY = process.env.DASHBOX || fileURLToPath(new URL('../../build/dashbox', import.meta.url));
const TEN = 'one two three four five six seven eight nine ten';

async function admin(method, path, body, server = box) {
    const answer = await fetch(`${server.url}/admin/v1${path}`, { method, headers: { authorization: `Bearer ${ADMIN}` },
        body: body && JSON.stringify(body) });
    return { status: answer.status, body: answer.status === 204 ? undefined : await answer.json() };
}

async function fault(fault, more = {}) {
    const added = await admin('POST', '/faults', { fault, ...more });
    assert.equal(added.status, 200, JSON.stringify(added.body));
    return added.body;
}

const journal = async (query = '') => (await admin('GET', `/journal${query}`)).body.data;
const statuses = async query => (await journal(query)).map(entry => entry.status);

beforeEach(async () => assert.equal((await admin('POST', '/reset')).status, 204));

const openai = (options = {}) => new OpenAI({ baseURL: box.compatible, apiKey: KEY, maxRetries: 0, timeout: 20_000, ...options });
const ask = (client, more = {}) =>
    client.chat.completions.create({ model: 'qwen-plus', messages: [{ role: 'user', content: 'count to ten' }], ...more });
const alibaba = (id = 'qwen-plus', options = {}) => createAlibaba({ baseURL: box.compatible, apiKey: KEY, ...options })(id);

function tongyi(fields = {}) {
    const model = new ChatAlibabaTongyi({ model: 'qwen-plus', alibabaApiKey: KEY, maxRetries: 0, ...fields });
    model.apiUrl = `${box.native}/services/aigc/text-generation/generation`;
    return model;
}

// What came of a stream before it failed, and how it failed.
async function broken(stream, text_of = chunk => chunk.choices[0]?.delta.content ?? '') {
    let text = '';
    try {
        for await (const chunk of await stream) text += text_of(chunk);
    } catch (error) {
        return { text, error };
    }
    assert.fail(`the stream did not fail: ${text}`);
}

const refusal = promise => promise.then(() => assert.fail('the call was not refused'), error => error);

describe('two 429s, then it works', () => {
    const seen = async fault_id => {
        const calls = await journal();
        assert.deepEqual(calls.map(call => call.status), [429, 429, 200]);
        assert.deepEqual(calls.map(call => call.error), ['E205', 'E205', null]);
        assert.deepEqual(calls.map(call => call.fault), [`rule ${fault_id}`, `rule ${fault_id}`, null]);
        assert.equal(new Set(calls.map(call => call.body)).size, 1, 'the same call again');
        assert(calls.every(call => call.headers['content-type'] === 'application/json' && !('authorization' in call.headers)));
        assert.deepEqual((await admin('GET', '/faults')).body.data.map(rule => [rule.times, rule.fitted, rule.acted]), [[0, 3, 2]]);
    };

    test('openai', async () => {
        const rule = await fault('E205', { model: 'qwen-plus', times: 2 });
        const answer = await ask(openai({ maxRetries: 2 }));
        assert.equal(answer.choices[0].message.content, TEN);
        await seen(rule.id);
    });

    test('openai, a stream', async () => {
        const rule = await fault('E205', { model: 'qwen-plus', times: 2 });
        let text = '';
        for await (const chunk of await ask(openai({ maxRetries: 2 }), { stream: true }))
            text += chunk.choices[0]?.delta.content ?? '';
        assert.equal(text, TEN);
        await seen(rule.id);
    });

    test('ai', async () => {
        const rule = await fault('E205', { model: 'qwen-plus', times: 2 });
        assert.equal((await generateText({ model: alibaba(), prompt: 'count to ten', maxRetries: 2 })).text, TEN);
        await seen(rule.id);
    });

    test('langchain', async () => {
        const rule = await fault('E205', { model: 'qwen-plus', times: 2 });
        // its own maxRetries is for failed connections alone
        assert.equal((await tongyi().withRetry({ stopAfterAttempt: 3 }).invoke('count to ten')).content, TEN);
        await seen(rule.id);
    });

    test('one retry is not enough', async () => {
        await fault('E205', { times: 2 });
        const error = await refusal(ask(openai({ maxRetries: 1 })));
        assert(error instanceof RateLimitError);
        assert.equal(error.code, 'limit_burst_rate');
        const other = await refusal(generateText({ model: alibaba('qwen-max!E205'), prompt: 'x', maxRetries: 1 }));
        assert(RetryError.isInstance(other) && APICallError.isInstance(other.lastError), String(other));
        assert.equal(other.lastError.statusCode, 429);
        assert.deepEqual(await statuses(), [429, 429, 429, 429]);
    });
});

describe('an error in the middle of a stream', () => {
    test('openai', async () => {
        await fault('E100c@3');
        const { text, error } = await broken(ask(openai(), { stream: true }));
        assert(error instanceof APIError, String(error));
        assert.match(error.message, /Output data may contain inappropriate content/);
        assert(text.length > 0 && TEN.startsWith(text) && text !== TEN, text);
        const [call] = await journal();
        assert.deepEqual([call.status, call.error, call.stream], [200, 'E100c', true]);
    });

    test('ai', async () => {
        await fault('E100c@3');
        let text = '', failed;
        for await (const part of streamText({ model: alibaba(), prompt: 'count to ten', maxRetries: 0, onError: () => {} }).fullStream)
            if (part.type === 'text-delta') text += part.text;
            else if (part.type === 'error') failed = part.error;
        assert.match(JSON.stringify(failed) + String(failed?.message), /Output data may contain inappropriate content/);
        assert(text.length > 0 && TEN.startsWith(text) && text !== TEN, text);
    });

    test('langchain', async () => {
        await fault('E100c@3');
        const { text, error } = await broken(tongyi().stream('count to ten'), chunk => chunk.content);
        assert.match(error.message, /Output data may contain inappropriate content/);
        assert(text.length > 0 && TEN.startsWith(text) && text !== TEN, text);
    });

    test('an answer that is not streamed is refused whole', async () => {
        await fault('E100c@3');
        const error = await refusal(ask(openai()));
        assert.equal(error.status, 400);
        assert.equal(error.code, 'data_inspection_failed');
    });
});

describe('cut', () => {
    test('before the answer', async () => {
        await fault('cut');
        assert((await refusal(ask(openai()))) instanceof APIConnectionError);
        assert(await refusal(generateText({ model: alibaba(), prompt: 'x', maxRetries: 0 })));
        assert(await refusal(tongyi().invoke('x')));
        assert.deepEqual(await statuses(), [0, 0, 0]);
    });

    test('once: the retry succeeds', async () => {
        await fault('cut', { times: 1 });
        assert.equal((await ask(openai({ maxRetries: 1 }))).choices[0].message.content, TEN);
        assert.deepEqual(await statuses(), [0, 200]);
    });

    test('in a stream', async () => {
        await fault('cut@3');
        const first = await broken(ask(openai(), { stream: true }));
        assert(first.text.length > 0 && TEN.startsWith(first.text) && first.text !== TEN, first.text);
        const second = await broken(tongyi().stream('count to ten'), chunk => chunk.content);
        assert(second.text.length > 0 && TEN.startsWith(second.text) && second.text !== TEN, second.text);
    });
});

describe('stall', () => {
    test('before the answer: the SDK\'s timeout', async () => {
        await fault('stall');
        assert((await refusal(ask(openai({ timeout: 300 })))) instanceof APIConnectionTimeoutError);
        const aborted = await refusal(generateText({ model: alibaba(), prompt: 'x', maxRetries: 0,
            abortSignal: AbortSignal.timeout(300) }));
        assert.match(aborted.name, /AbortError|TimeoutError/);
    });

    test('for a while only', async () => {
        await fault('stall for=300ms');
        const began = performance.now();
        assert.equal((await ask(openai())).choices[0].message.content, TEN);
        assert(performance.now() - began >= 300);
    });

    test('asked for by the header, once', async () => {
        const began = performance.now();
        await ask(openai({ defaultHeaders: { 'X-Dashbox-Fault': 'stall for=1s' } }));
        const took = performance.now() - began;
        assert(took >= 1000 && took < 2000, `${took} ms`);
    });

    test('in a stream', async () => {
        await fault('stall@3');
        const controller = new AbortController();
        let text = '';
        const stream = await openai().chat.completions.create({ model: 'qwen-plus', stream: true,
            messages: [{ role: 'user', content: 'count to ten' }] }, { signal: controller.signal });
        const timer = setTimeout(() => controller.abort(), 500);
        for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''; // the SDK ends the loop when it is aborted
        clearTimeout(timer);
        assert(controller.signal.aborted);
        assert(text.length > 0 && TEN.startsWith(text) && text !== TEN, text);
    });
});

describe('slow', () => {
    test('everything comes, in order, and takes its time', async () => {
        await fault('slow first=200ms between=20ms-40ms');
        const times = [], began = performance.now();
        let text = '';
        for await (const chunk of await ask(openai(), { stream: true })) {
            times.push(performance.now() - began);
            text += chunk.choices[0]?.delta.content ?? '';
        }
        assert.equal(text, TEN);
        assert(times[0] >= 199, `the first after ${times[0]} ms`);
        assert(times.at(-1) >= 200 + 5 * 20, `the last after ${times.at(-1)} ms`);

        let second = '';
        for await (const chunk of await tongyi().stream('count to ten')) second += chunk.content;
        assert.equal(second, TEN);
    });
});

describe('which calls', () => {
    test('by model, with a pattern', async () => {
        await fault('E236', { model: 'qwen-*' });
        assert.equal((await refusal(ask(openai()))).status, 503);
        assert.equal((await ask(openai(), { model: 'qwen3-max' })).choices[0].message.content, TEN);
    });

    test('by key', async () => {
        const made = (await admin('POST', '/keys', { name: 'unlucky' })).body;
        await fault('E236', { key: made.id });
        assert.equal((await refusal(ask(openai({ apiKey: made.key })))).status, 503);
        assert.equal((await ask(openai())).choices[0].message.content, TEN);
        assert.deepEqual((await journal(`?key=${made.id}`)).map(call => call.status), [503]);
    });

    test('by path', async () => {
        await fault('E236', { path: '/api/*' });
        assert(await refusal(tongyi().invoke('count to ten')));
        assert.equal((await ask(openai())).choices[0].message.content, TEN);
        await fault('E236', { path: '*/models' });
        assert.equal((await refusal(openai().models.list())).status, 503);
        assert.deepEqual((await journal('?status=503')).map(call => call.path),
            ['/api/v1/services/aigc/text-generation/generation', '/compatible-mode/v1/models']);
    });

    const outcomes = async (calls, more) => {
        const found = [];
        for (let i = 0; i < calls; i++) found.push(await ask(openai(), more).then(() => 200, error => error.status));
        return found;
    };

    test('every third', async () => {
        await fault('E236', { every: 3 });
        assert.deepEqual(await outcomes(7), [200, 200, 503, 200, 200, 503, 200]);
    });

    test('a share, with a seed: the same again', async () => {
        const once = async seed => {
            await admin('DELETE', '/faults');
            await fault('E236', { share: 40, seed });
            return outcomes(40);
        };
        const [first, again, other] = [await once(7), await once(7), await once(8)];
        assert.deepEqual(again, first);
        assert.notDeepEqual(other, first);
        const failed = first.filter(status => status === 503).length;
        assert(failed >= 6 && failed <= 26, `${failed} of 40`);
    });

    test('the first rule that fits acts', async () => {
        await fault('E236', { model: 'qwen-plus', times: 1 });
        await fault('E205', { model: '*', times: 1 });
        assert.deepEqual(await outcomes(3), [503, 429, 200]);
    });
});

describe('asked for by the client', () => {
    test('the header', async () => {
        assert.equal((await refusal(ask(openai({ defaultHeaders: { 'X-Dashbox-Fault': 'E205' } })))).status, 429);
        assert.deepEqual((await journal()).map(call => [call.status, call.fault]), [[429, 'the header']]);
    });

    test('the sentence has its words filled', async () => {
        const error = await refusal(ask(openai({ defaultHeaders: { 'X-Dashbox-Fault': 'E027 args=xml' } })));
        assert.match(error.message, /xml/);
    });

    test('behind the model', async () => {
        assert.equal((await refusal(ask(openai(), { model: 'qwen-plus!E205' }))).status, 429);
        assert(await refusal(tongyi({ model: 'qwen-plus!cut' }).invoke('x')));
        assert.deepEqual((await journal()).map(call => call.model), ['qwen-plus', 'qwen-plus']);
    });

    test('behind the key', async () => {
        const { text } = await broken(ask(openai({ apiKey: `${KEY}!cut@3` }), { stream: true }));
        assert(text.length > 0 && TEN.startsWith(text) && text !== TEN, text);
        assert.equal((await refusal(tongyi({ alibabaApiKey: `${KEY}!E205` }).invoke('x'))).message.length > 0, true);
    });

    test('what makes no sense is said', async () => {
        const error = await refusal(ask(openai(), { model: 'qwen-plus!E9999' }));
        assert.equal(error.status, 400);
        assert.match(error.message, /"E9999" is no error of the reference/);
    });
});

describe('taken away', () => {
    test('one rule, all rules', async () => {
        const rule = await fault('E205');
        await fault('E236');
        assert.equal((await refusal(ask(openai()))).status, 429);
        assert.equal((await admin('DELETE', `/faults/${rule.id}`)).status, 204);
        assert.equal((await admin('DELETE', `/faults/${rule.id}`)).status, 404);
        assert.equal((await refusal(ask(openai()))).status, 503);
        assert.equal((await admin('DELETE', '/faults')).status, 204);
        assert.equal((await ask(openai())).choices[0].message.content, TEN);
    });

    test('reset: rules, journal and clock', async () => {
        await fault('E205');
        await refusal(ask(openai()));
        await admin('PUT', '/clock', { advance_ms: 86_400_000, stopped: true });
        assert.equal((await admin('POST', '/reset')).status, 204);
        assert.deepEqual((await admin('GET', '/faults')).body.data, []);
        assert.deepEqual(await journal(), []);
        const clock = (await admin('GET', '/clock')).body;
        assert.deepEqual([clock.offset_ms, clock.stopped], [0, false]);
        await ask(openai());
        assert.deepEqual((await journal()).map(call => [call.number, call.status]), [[1, 200]]);
    });

    test('the journal alone, and what is behind a number', async () => {
        for (const model of ['qwen-plus', 'qwen-max', 'qwen3-max']) await ask(openai(), { model });
        assert.deepEqual((await journal('?after=1')).map(call => call.model), ['qwen-max', 'qwen3-max']);
        assert.deepEqual((await journal('?model=qwen-*&limit=1')).map(call => call.model), ['qwen-max']);
        assert.equal((await admin('DELETE', '/journal')).status, 204);
        assert.deepEqual(await journal(), []);
    });
});

test('whoever has the answer finds it in the journal, on any worker', async () => {
    const once = async () => {
        const answer = await fetch(`${box.compatible}/chat/completions`, { method: 'POST', body: JSON.stringify({ model: 'qwen-plus',
            messages: [{ role: 'user', content: 'x' }] }), headers: { authorization: `Bearer ${KEY}`, connection: 'close' } });
        await answer.text();
        const found = await fetch(`${box.url}/admin/v1/journal?limit=1000`, { headers: { authorization: `Bearer ${ADMIN}`,
            connection: 'close' } });
        const id = answer.headers.get('x-request-id');
        assert((await found.json()).data.some(call => call.request_id === id), id);
    };
    for (let i = 0; i < 25; i++) await Promise.all([once(), once(), once(), once()]);
});

test('a journal that is too long for one answer is refused, and given in parts', async () => {
    const body = '"'.repeat(64 * 1024); // twice as long in JSON
    for (let i = 0; i < 14; i++)
        await Promise.all(Array.from({ length: 10 }, () => fetch(`${box.compatible}/chat/completions`, { method: 'POST', body,
            headers: { authorization: `Bearer ${KEY}` } }).then(answer => answer.text())));
    const refused = await admin('GET', '/journal?limit=1000');
    assert.equal(refused.status, 400);
    assert.match(refused.body.error.message, /longer than 16 MiB/);
    const part = await journal('?after=100&limit=1000');
    assert.deepEqual([part.length, part[0].number, part[0].body === body], [40, 101, true]);
});

describe('the commands', () => {
    const run = (words, env = { DASHBOX_URL: box.url, DASHBOX_ADMIN_KEY: ADMIN }) => new Promise(resolve => {
        const child = spawn(BINARY, words, { env: { HOME: box.folder, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
        const said = { out: '', err: '' };
        child.stdout.on('data', piece => { said.out += piece; });
        child.stderr.on('data', piece => { said.err += piece; });
        child.on('close', status => resolve({ status, ...said }));
    });
    const good = async (...words) => {
        const { status, out, err } = await run(words);
        assert.deepEqual([status, err], [0, ''], words.join(' '));
        return out;
    };

    test('faults', async () => {
        const id = (await good('faults', 'add', 'E205', '--model', 'qwen-plus', '--times', '2')).trim();
        assert.match(id, /^fault-[0-9a-f]{8}$/);
        const slow = JSON.parse(await good('faults', 'add', 'slow', 'first=5ms', 'between=1ms-2ms', '--path=/api/*', '--key', 'key-*',
            '--every', '3', '--share', '50', '--seed', '9', '--json'));
        assert.deepEqual({ ...slow, id: '' }, { id: '', fault: 'slow first=5ms between=1ms-2ms', model: null, key: 'key-*', path: '/api/*',
            times: null, every: 3, share: 50, seed: 9, fitted: 0, acted: 0 });
        assert.equal((await refusal(ask(openai()))).status, 429);
        const lines = (await good('faults', 'list')).trim().split('\n').map(line => line.split(/  +/));
        assert.deepEqual(lines[1], [id, 'E205', 'qwen-plus', '-', '-', '1', '1', '100%', '1', '1']);
        assert.equal(lines.length, 3);
        assert.deepEqual((await good('faults', 'list', '--json')).trim().split('\n').map(line => JSON.parse(line).id), [id, slow.id]);
        await good('faults', 'remove', id, slow.id);
        assert.equal(await good('faults', 'list', '--json'), '');
        await fault('E205');
        await good('faults', 'clear');
        assert.deepEqual((await admin('GET', '/faults')).body.data, []);
    });

    test('journal', async () => {
        await ask(openai());
        await refusal(ask(openai(), { model: 'qwen-max!E205' }));
        const lines = (await good('journal', 'list')).trim().split('\n').map(line => line.split(/  +/));
        assert.deepEqual(lines.slice(1).map(line => [line[0], line[2], line[3], line[4], line[8]]),
            [['1', '200', '-', 'qwen-plus', '-'], ['2', '429', 'E205', 'qwen-max', 'the model']]);
        const [entry, ...more] = (await good('journal', 'list', '--error', 'E20*', '--path', '*/chat/*', '--json')).trim().split('\n');
        assert.deepEqual([JSON.parse(entry).number, more.length], [2, 0]);
        await good('journal', 'clear');
        assert.deepEqual(await journal(), []);
    });

    test('moderation', async () => {
        const say = async content => (await fetch(`${box.compatible}/chat/completions`, { method: 'POST', headers: { authorization: `Bearer ${KEY}` },
            body: JSON.stringify({ model: 'qwen-plus', messages: [{ role: 'user', content }] }) })).json();
        const id = (await good('moderation', 'add', '/case \\d+/')).trim();
        const word = JSON.parse(await good('moderation', 'add', 'forbidden', '--kind', 'block', '--json'));
        assert.equal((await say('Case 17')).error.code, 'CustomRoleBlocked');
        assert.equal((await say('it is forbidden')).error.code, 'data_inspection_failed');
        const lines = (await good('moderation', 'list')).trim().split('\n').slice(1).map(line => line.split(/  +/).slice(0, 4));
        assert.deepEqual(lines.sort(), [[id, 'default', 'custom', '/case \\d+/'], [word.id, 'default', 'block', 'forbidden']].sort());
        await good('moderation', 'remove', id, word.id);
        assert.equal(await good('moderation', 'list', '--workspace', 'default', '--json'), '');
        assert((await say('Case 17')).choices);
    });

    test('clock and reset', async () => {
        assert.match(await good('clock', 'set', '2031-05-06T07:08:09Z'), /^2031-05-06T07:08:09\.\d{3}Z  running, \d+ d( \d+ h)? ahead of/);
        assert.match(await good('clock', 'stop'), /^2031-05-06T07:08:\d\d\.\d{3}Z  stopped/);
        const before = (await admin('GET', '/clock')).body;
        await good('clock', 'advance', '-36h');
        const after = JSON.parse(await good('clock', 'show', '--json'));
        assert.equal(Date.parse(before.now) - Date.parse(after.now), 36 * 3600_000);
        assert.match(await good('clock', 'run'), /running/);
        assert.match(await good('clock', 'reset'), /running\n$/);
        await fault('E205');
        assert.equal(await good('reset'), '');
        assert.deepEqual((await admin('GET', '/faults')).body.data, []);
    });

    test('what is wrong is said', async () => {
        const wrong = async (env, words, status, pattern) => {
            const found = await run(words, env);
            assert.deepEqual([found.status, found.out], [status, ''], words.join(' '));
            assert.match(found.err, pattern);
        };
        const here = { DASHBOX_URL: box.url, DASHBOX_ADMIN_KEY: ADMIN };
        await wrong({ ...here, DASHBOX_URL: 'http://127.0.0.1:1' }, ['reset'], 1, /there is no server at http:\/\/127\.0\.0\.1:1;/);
        await wrong({ ...here, DASHBOX_ADMIN_KEY: 'x' }, ['faults', 'list'], 1, /does not take the admin key of DASHBOX_ADMIN_KEY/);
        await wrong({ DASHBOX_URL: box.url }, ['faults', 'list'], 1, /admin-key: No such file/);
        await wrong({ ...here, DASHBOX_URL: sealed.url }, ['faults', 'add', 'E205'], 1, /off under --production/);
        await wrong({ ...here, DASHBOX_URL: sealed.url }, ['journal', 'list'], 1, /under --production/);
        await wrong({ ...here, DASHBOX_URL: 'ftp://x' }, ['reset'], 2, /is no URL/);
        await wrong(here, ['faults', 'add', 'E9999'], 1, /"E9999" is no error of the reference/);
        await wrong(here, ['faults', 'add', 'E205', '--times', 'x'], 2, /--times takes a whole number/);
        await wrong(here, ['faults', 'add', 'E205', '--time', '2'], 2, /did you mean --times\?/);
        await wrong(here, ['clock', 'advance', '5'], 2, /is no time such as 90s/);
        await wrong(here, ['faults'], 2, /^usage: dashbox faults add/);
    });

    test('the key of the data folder', async () => {
        const own = await serve();
        const found = await run(['clock', 'show', '--data', path.join(own.folder, 'data')], { DASHBOX_URL: own.url });
        assert.deepEqual([found.status, found.err], [0, '']);
    });
});

describe('--production', () => {
    const call = (headers = {}, model = 'qwen-plus', key = KEY) => fetch(`${sealed.compatible}/chat/completions`, { method: 'POST',
        headers: { authorization: `Bearer ${key}`, ...headers },
        body: JSON.stringify({ model, messages: [{ role: 'user', content: 'x' }] }) });

    test('everything for tests is refused', async () => {
        for (const [method, path, body] of [['GET', '/faults'], ['POST', '/faults', { fault: 'E205' }], ['DELETE', '/faults'],
            ['DELETE', '/faults/fault-00000000'], ['GET', '/journal'], ['DELETE', '/journal'], ['PUT', '/clock', { stopped: true }],
            ['DELETE', '/clock'], ['POST', '/reset']]) {
            const refused = await admin(method, path, body, sealed);
            assert.equal(refused.status, 404, `${method} ${path}`);
            assert.match(refused.body.error.message, /--production/);
        }
    });

    test('what is for tests is not described, and refused before anything asked of it is looked at', async () => {
        const paths = async at => Object.keys((await admin('GET', '/openapi.json', undefined, at)).body.paths);
        assert.deepEqual((await paths(box)).filter(path => !/\/(faults|journal|clock|reset)\b/.test(path)), await paths(sealed));
        const refused = await fetch(`${sealed.url}/admin/v1/faults?color=red`, { method: 'POST', headers: { authorization: `Bearer ${ADMIN}` } });
        assert.equal(refused.status, 404);
    });

    test('header and suffixes have no effect', async () => {
        assert.equal((await call({ 'x-dashbox-fault': 'E205' })).status, 200);
        assert.equal((await call({}, 'qwen-plus!E205')).status, 404);
        assert.equal((await call({}, 'qwen-plus', `${KEY}!E205`)).status, 401);
    });
});
