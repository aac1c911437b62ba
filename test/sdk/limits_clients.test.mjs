// Clients' own ways with limits: the SDKs wait as long as Retry-After says, else as long as they think fit, and then raise what
// the service's users know.
//
// The service's clock stands still. An SDK's wait between two tries is seen here, and ended at once: `watch_waits`.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import OpenAI, { RateLimitError } from 'openai';
import { createAlibaba } from '@ai-sdk/alibaba';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, RetryError, streamText } from 'ai';
import { serve, until } from './server.mjs';
import { ADMIN_CONFIG, admin, advance, stop_clock, tally, tenant } from './tenants.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;

const plain = await serve({ config: ADMIN_CONFIG });
const headed = await serve({ config: `${ADMIN_CONFIG}limits: { headers: true }\n` });
for (const box of [plain, headed]) await stop_clock(box);

const CALL_MS = 20_000; // the SDKs' own limit of a call: no wait between tries

// The waits that code under node_modules asks for, in milliseconds; during each, on_wait(its number) is run instead.
function watch_waits(t, on_wait = () => {}) {
    const waits = [], real = globalThis.setTimeout;
    globalThis.setTimeout = (then, ms, ...more) => {
        const caller = new Error().stack.split('\n')[2];
        if (ms === CALL_MS || !caller.includes('/node_modules/')) return real(then, ms, ...more);
        waits.push(ms);
        return real(async () => { await on_wait(waits.length); then(...more); }, 0);
    };
    t.after(() => { globalThis.setTimeout = real; });
    return waits;
}

// A fetch() for the SDKs that notes what the server answered.
function watch_fetch() {
    const seen = [];
    const watched = async (...args) => {
        const answer = await fetch(...args);
        seen.push({ status: answer.status, retry_after: answer.headers.get('retry-after') });
        return answer;
    };
    return { seen, fetch: watched, statuses: () => seen.map(answer => answer.status) };
}

const openai = (box, key, more) => new OpenAI({ baseURL: box.compatible, apiKey: key, timeout: CALL_MS, ...more });
const QUESTION = { model: 'qwen-plus', messages: [{ role: 'user', content: 'hi' }] };

async function refusal(promise) {
    const error = await promise.then(() => undefined, error => error);
    assert(error, 'the call was not refused');
    return error;
}

async function text_of(stream) {
    let text = '';
    for await (const chunk of stream) text += chunk.choices[0]?.delta?.content ?? '';
    return text;
}

// A tenant that has spent a minute's requests, 53 seconds ago.
async function spent(box, rpm) {
    const { key } = await tenant(box, { rpm });
    for (let i = 0; i < rpm; i++) await openai(box, key, { maxRetries: 0 }).chat.completions.create(QUESTION);
    await advance(box, 53_000);
    return key;
}

describe('openai', () => {
    for (const stream of [false, true]) {
        test(`Retry-After is waited for, to the second${stream ? ', before a stream' : ''}`, async t => {
            const key = await spent(headed, 2), { seen, fetch, statuses } = watch_fetch();
            const waits = watch_waits(t, number => advance(headed, number === 1 ? 6_999 : 1));
            const answer = await openai(headed, key, { maxRetries: 5, fetch }).chat.completions.create({ ...QUESTION, stream });
            const text = stream ? await text_of(answer) : answer.choices[0].message.content;

            assert.match(text, /stand-in: hi$/);
            assert.deepEqual(statuses(), [429, 429, 200]); // a millisecond less is not enough
            assert.deepEqual(seen.map(answer => answer.retry_after), ['7', '1', null]);
            assert.deepEqual(waits, [7000, 1000]);
        });
    }

    test('without the header it waits for as long as it thinks fit', async t => {
        const key = await spent(plain, 1), { seen, fetch, statuses } = watch_fetch();
        const waits = watch_waits(t, number => number === 2 && advance(plain, 7_000));

        await openai(plain, key, { maxRetries: 2, fetch }).chat.completions.create(QUESTION);
        assert.deepEqual(statuses(), [429, 429, 200]);
        assert.deepEqual(seen.map(answer => answer.retry_after), [null, null, null]);
        assert.equal(waits.length, 2);
        assert(waits[0] > 300 && waits[0] <= 500 && waits[1] > 700 && waits[1] <= 1000, String(waits));
    });

    for (const [box, headers] of [[plain, 'without'], [headed, 'with']])
        for (const stream of [false, true])
            test(`tries that are spent end in RateLimitError, ${headers} headers${stream ? ', for a stream' : ''}`, async t => {
                const key = await spent(box, 1), { fetch, statuses } = watch_fetch(), waits = watch_waits(t);
                const error = await refusal(openai(box, key, { maxRetries: 3, fetch }).chat.completions.create({ ...QUESTION, stream }));

                assert(error instanceof RateLimitError, String(error));
                assert.deepEqual([error.status, error.code, error.type, error.param],
                    [429, 'limit_requests', 'limit_requests', null]);
                assert.equal(error.message, '429 You exceeded your current requests list.');
                assert.equal(error.requestID, error.headers.get('x-request-id'));
                assert.deepEqual(statuses(), [429, 429, 429, 429]);
                assert.equal(waits.length, 3);
                if (box === headed) assert.deepEqual(waits, [7000, 7000, 7000]);
                await advance(box, 7_000); // refused calls have counted nowhere
                await openai(box, key, { maxRetries: 0 }).chat.completions.create(QUESTION);
            });

    test('what each limit is called', async t => {
        watch_waits(t);
        const tokens = await tenant(plain, { tpm: 1 }), calls = await tenant(plain, { concurrency: 1 });
        const of_tokens = await refusal(openai(plain, tokens.key, { maxRetries: 1 }).chat.completions.create(QUESTION));
        await admin(plain, 'POST', '/faults', { fault: 'stall@1', times: 1 });
        const held = await openai(plain, calls.key, { maxRetries: 0 }).chat.completions.create({ ...QUESTION, stream: true });
        const of_calls = await refusal(openai(plain, calls.key, { maxRetries: 1 }).chat.completions.create(QUESTION));
        held.controller.abort();

        for (const [error, code, message] of [
            [of_tokens, 'insufficient_quota', '429 You exceeded your current quota, check your plan and billing details.'],
            [of_calls, 'Throttling', '429 Requests throttling triggered.']]) {
            assert(error instanceof RateLimitError, String(error));
            assert.deepEqual([error.code, error.type, error.message], [code, code, message]);
        }
    });

    test('x-ratelimit-…', async () => {
        const { key } = await tenant(headed, { rpm: 3, tpm: 1000 });
        const fields = ['limit-requests', 'remaining-requests', 'reset-requests', 'limit-tokens', 'remaining-tokens'];
        let used = 0;

        for (const left of ['2', '1', '0']) {
            const { data, response } = await openai(headed, key, { maxRetries: 0 }).chat.completions.create(QUESTION).withResponse();
            const got = Object.fromEntries(fields.map(field => [field, response.headers.get(`x-ratelimit-${field}`)]));

            assert.deepEqual(got, { 'limit-requests': '3', 'remaining-requests': left, 'reset-requests': '1m0s',
                'limit-tokens': '1000', 'remaining-tokens': String(1000 - used - data.usage.prompt_tokens) });
            used += data.usage.total_tokens;
        }
        const { fetch, seen } = watch_fetch();
        await refusal(openai(headed, key, { maxRetries: 0, fetch }).chat.completions.create(QUESTION));
        assert.deepEqual(seen, [{ status: 429, retry_after: '60' }]);
    });

    test('24 calls at once over a limit of 8 all come through in three minutes', async t => {
        const { key } = await tenant(headed, { rpm: 8 }), { fetch, statuses } = watch_fetch(), waiting = [];
        const waits = watch_waits(t, () => new Promise(resolve => waiting.push(resolve)));
        const client = openai(headed, key, { maxRetries: 2, fetch });
        const calls = Promise.all(Array.from({ length: 24 }, () => client.chat.completions.create(QUESTION)));

        for (const refused of [16, 8]) { // a minute passes when all that were refused wait
            await until(() => waiting.length === refused, `${refused} refusals`);
            await advance(headed, 60_000);
            waiting.splice(0).forEach(resolve => resolve());
        }
        await calls;
        assert.deepEqual(tally(statuses()), { 200: 24, 429: 16 + 8 });
        assert.deepEqual(waits, Array(24).fill(60_000));
    });
});

const PROVIDERS = {
    'openai-compatible': (box, key, fetch) => createOpenAICompatible({ name: 'dashbox', baseURL: box.compatible, apiKey: key, fetch })('qwen-plus'),
    alibaba: (box, key, fetch) => createAlibaba({ baseURL: box.compatible, apiKey: key, fetch })('qwen-plus'),
};

for (const [name, model] of Object.entries(PROVIDERS))
    describe(`ai, ${name}`, () => {
        test('Retry-After is waited for', async t => {
            const key = await spent(headed, 1), { fetch, statuses } = watch_fetch();
            const waits = watch_waits(t, () => advance(headed, 7_000));
            const answer = await generateText({ model: model(headed, key, fetch), prompt: 'hi', maxRetries: 2 });

            assert.match(answer.text, /stand-in: hi$/);
            assert.deepEqual(statuses(), [429, 200]);
            assert.deepEqual(waits, [7000]);
        });

        test('and before a stream', async t => {
            const key = await spent(headed, 1), { fetch, statuses } = watch_fetch();
            watch_waits(t, () => advance(headed, 7_000));
            const answer = streamText({ model: model(headed, key, fetch), prompt: 'hi', maxRetries: 2 });

            assert.match(await answer.text, /stand-in: hi$/);
            assert.deepEqual(statuses(), [429, 200]);
        });

        test('without the header its waits double', async t => {
            const key = await spent(plain, 1), { fetch, statuses } = watch_fetch();
            const waits = watch_waits(t, number => number === 2 && advance(plain, 7_000));

            await generateText({ model: model(plain, key, fetch), prompt: 'hi', maxRetries: 2 });
            assert.deepEqual(statuses(), [429, 429, 200]);
            assert.deepEqual(waits, [2000, 4000]);
        });

        test('tries that are spent end in RetryError with the service\'s refusal in it', async t => {
            const key = await spent(plain, 1), { fetch, statuses } = watch_fetch();
            watch_waits(t);
            const error = await refusal(generateText({ model: model(plain, key, fetch), prompt: 'hi', maxRetries: 2 }));

            assert(RetryError.isInstance(error), String(error));
            assert.equal(error.reason, 'maxRetriesExceeded');
            assert.deepEqual(statuses(), [429, 429, 429]);
            assert.equal(error.errors.length, 3);
            for (const each of error.errors) {
                assert(APICallError.isInstance(each));
                assert.equal(each.statusCode, 429);
                assert.equal(each.isRetryable, true);
                assert.equal(each.message, 'You exceeded your current requests list.');
                assert.equal(each.data.error.code, 'limit_requests');
            }
        });

        test('a stream\'s too', async t => {
            const key = await spent(plain, 1), { fetch, statuses } = watch_fetch(), errors = [];
            watch_waits(t);
            const answer = streamText({ model: model(plain, key, fetch), prompt: 'hi', maxRetries: 1, onError: e => errors.push(e.error) });
            for await (const part of answer.fullStream) if (part.type === 'text-delta') assert.fail('it was answered');

            assert.deepEqual(statuses(), [429, 429]);
            assert.equal(errors.length, 1);
            assert.equal(errors[0].lastError.data.error.code, 'limit_requests');
        });
    });
