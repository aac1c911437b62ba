// The limits are exact, however many come at once: four workers, 64 clients, and a clock that stands still.

import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { KEY, serve, until } from './server.mjs';
import { ADMIN_CONFIG, LIGHT, admin, advance, ask, ask_native, clear_journal, ended, load, stop_clock, tally, tenant } from './tenants.mjs';

const CLIENTS = 64, CALLS = LIGHT ? 160 : 384;
const CODER = 'qwen3-coder-next'; // published: 60 requests in 6 seconds
const CODER_RPM = 60;

// An engine that answers when it is told to, and knows how many calls it has.
const engine = { open: new Set(), total: 0 };
const CHUNK = choice => `data: ${JSON.stringify({ id: 'x', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [choice] })}\n\n`;
const upstream = http.createServer((request, answer) => {
    let text = '';
    request.on('data', piece => { text += piece; });
    request.on('end', () => {
        const body = JSON.parse(text), said = body.messages.at(-1).content;
        if (said === 'fail') return answer.writeHead(500).end('{}');
        if (said === 'reset') return request.socket.destroy();
        engine.total++;
        engine.open.add(answer);
        answer.on('close', () => engine.open.delete(answer));
        if (body.stream) {
            answer.writeHead(200, { 'content-type': 'text/event-stream' });
            answer.write(CHUNK({ index: 0, delta: { role: 'assistant', content: 'one ' }, finish_reason: null }));
            if (said === 'break') return setImmediate(() => answer.destroy());
        }
        answer.finish = () => answer.end(body.stream
            ? CHUNK({ index: 0, delta: { content: 'two' }, finish_reason: 'stop' }) + 'data: [DONE]\n\n'
            : JSON.stringify({ id: 'x', object: 'chat.completion', created: 1, model: 'm',
                choices: [{ index: 0, message: { role: 'assistant', content: 'one two' }, finish_reason: 'stop' }],
                usage: { prompt_tokens: 9, completion_tokens: 2, total_tokens: 11 } }));
    });
});
await new Promise(resolve => upstream.listen(0, '127.0.0.1', resolve));
after(() => { upstream.closeAllConnections(); upstream.close(); });

const ENGINE = `
engines: [ { name: held, upstream: 'http://127.0.0.1:${upstream.address().port}/v1', retries: 0, models: { '*': m } } ]
route: { qwen-max: held, qwen3-max: held, '*': standin }
`;
const box = await serve({ config: ADMIN_CONFIG + ENGINE, args: ['--workers', '4'] });
const failing = await serve({ config: ADMIN_CONFIG + ENGINE, args: ['--workers', '4'] });
const published = await serve({ config: `${ADMIN_CONFIG}limits: { catalog: true }\n`, args: ['--workers', '4'] });
const crowded = await serve({ config: `${ADMIN_CONFIG}${ENGINE}limits: { concurrency: 6, batch: 3 }\n`, args: ['--workers', '4'] });
const routed = await serve({ config: `${ADMIN_CONFIG}${ENGINE}limits: { route: 9 }\n`, args: ['--workers', '4'] });
for (const each of [box, published]) await stop_clock(each);

const HELD = 8;
const { key } = await tenant(box, { concurrency: HELD }, { model: 'qwen-max' });
const { id: strict, key: watched } = await tenant(box, { concurrency: HELD }, { model: 'qwen-max' });
await admin(box, 'POST', '/policies', { workspace: strict, kind: 'custom', pattern: 'forbidden' });

const status_of = async call => { const answer = await call; await answer.arrayBuffer(); return answer.status; };

describe('requests a minute', () => {
    const RPM = 50;

    test('exactly so many of both protocols, in every minute', async () => {
        const { key } = await tenant(box, { rpm: RPM });
        const crowd = () => load(CLIENTS, CALLS, i => status_of((i % 2 ? ask : ask_native)(box, key)));

        for (let minute = 0; minute < 3; minute++) {
            assert.deepEqual(tally(await crowd()), { 200: RPM, 429: CALLS - RPM });
            await advance(box, 59_999);
            assert.deepEqual(tally(await load(CLIENTS, CLIENTS, () => status_of(ask(box, key)))), { 429: CLIENTS });
            await advance(box, 1);
        }
    });

    test('the window slides: what leaves it makes room, no more', async () => {
        const { key } = await tenant(box, { rpm: RPM });
        const crowd = () => load(CLIENTS, 2 * CLIENTS, () => status_of(ask(box, key)));

        assert.deepEqual(tally(await load(CLIENTS, 20, () => status_of(ask(box, key)))), { 200: 20 });
        await advance(box, 30_000);
        assert.deepEqual(tally(await crowd()), { 200: RPM - 20, 429: 2 * CLIENTS - RPM + 20 });
        await advance(box, 30_000);
        assert.deepEqual(tally(await crowd()), { 200: 20, 429: 2 * CLIENTS - 20 });
        await advance(box, 30_000);
        assert.deepEqual(tally(await crowd()), { 200: RPM - 20, 429: 2 * CLIENTS - RPM + 20 });
    });

    test('a call that a later check refuses counts nowhere', async () => {
        const { id, key } = await tenant(box, { rpm: RPM, tpm: 100_000 });
        await admin(box, 'POST', '/policies', { workspace: id, kind: 'custom', pattern: 'forbidden' });
        const refused = [
            { temperature: 9 }, // a parameter
            { messages: [{ role: 'user', content: 'forbidden' }] }, // its words
            { messages: [{ role: 'user', content: 'many words '.repeat(500_000) }] }, // its length
        ];

        await clear_journal(box);
        assert.deepEqual(tally(await load(RPM, 2 * CLIENTS, i => status_of(ask(box, key, refused[i < 3 ? 2 : i % 2])))),
            { 400: 2 * CLIENTS });
        await ended(2 * CLIENTS, [box]);
        assert.deepEqual(tally(await load(CLIENTS, CLIENTS, () => status_of(ask(box, key)))), { 200: RPM, 429: CLIENTS - RPM });
    });
});

describe('an administrator', () => {
    test('changes a limit, and it holds for the next call, for what is counted already too', async () => {
        const { id, key } = await tenant(box, { rpm: 20 });
        const set = rpm => admin(box, 'PUT', `/workspaces/${id}/models/qwen-plus`, { allowed: true, rpm });
        const crowd = () => load(CLIENTS, 2 * CLIENTS, () => status_of(ask(box, key)));

        for (const [rpm, more] of [[20, 20], [30, 10], [10, 0], [35, 5]]) {
            await set(rpm);
            const served = tally(await crowd());
            assert.deepEqual([served[200] ?? 0, served[429]], [more, 2 * CLIENTS - more]);
        }
    });
});

describe('two limits at once', () => {
    test('the workspaces\' and the catalogue\'s: all or nothing', async () => {
        const limits = [40, 50], tenants = [];
        for (const rpm of limits) tenants.push(await tenant(published, { rpm }, { model: CODER }));
        const crowd = async () => {
            const statuses = await load(CLIENTS, CALLS, i => status_of(ask(published, tenants[i % 2].key, { model: CODER })));
            return [0, 1].map(one => statuses.filter((status, i) => i % 2 === one && status === 200).length);
        };
        const first = await crowd();

        assert.equal(first[0] + first[1], CODER_RPM, String(first));
        assert(first[0] <= limits[0] && first[1] <= limits[1], String(first));
        await advance(published, 6_000); // now there is room in the catalogue's window, and in theirs what it had refused
        const second = await crowd();
        assert.deepEqual(first.map((calls, i) => calls + second[i]), limits);
    });
});

describe('tokens a minute', () => {
    test('one after another: admitted while its prompt fits, and what the answer comes to is booked', async () => {
        const TPM = 500, { key } = await tenant(box, { tpm: TPM });
        const used = (await (await ask(box, (await tenant(box, {})).key)).json()).usage;
        let booked = 0, room = 0;
        const one_by_one = () => load(1, room + 5, async i => {
            await clear_journal(box);
            const status = await status_of((i % 2 ? ask : ask_native)(box, key));
            await ended(1, [box]);
            return status;
        });

        for (; booked + used.prompt_tokens <= TPM; room++) booked += used.total_tokens;
        for (let minute = 0; minute < 2; minute++) {
            assert.deepEqual(tally(await one_by_one()), { 200: room, 429: 5 });
            await advance(box, 60_000);
        }
    });

    test('many at once: prompts never go beyond, answers by no more than what was under way, and none is refused that fits', async () => {
        const TPM = 2000, { key } = await tenant(box, { tpm: TPM });

        for (let minute = 0; minute < 3; minute++) {
            await clear_journal(box);
            const answers = (await load(CLIENTS, CALLS, async i => (await ask(box, key, { messages:
                [{ role: 'user', content: 'word '.repeat(1 + i % 20) }] })).json())).map((answer, i) => ({ ...answer, i }));
            await ended(CALLS, [box]);
            const served = answers.filter(answer => answer.usage).map(answer => answer.usage);
            const refused = answers.filter(answer => !answer.usage);
            const sum = field => served.reduce((total, usage) => total + usage[field], 0);
            const most = field => Math.max(...served.map(usage => usage[field]));

            assert.deepEqual(tally(refused.map(answer => answer.error.code)), { insufficient_quota: refused.length });
            assert(served.length > 0 && refused.length > 0);
            assert(sum('prompt_tokens') <= TPM, String(sum('prompt_tokens')));
            assert(sum('total_tokens') <= TPM + CLIENTS * most('completion_tokens'));
            assert(sum('total_tokens') + 60 > TPM); // the longest prompt, of 20 words, would not have fitted
            assert.equal(await status_of(ask(box, key, { messages: [{ role: 'user', content: 'word '.repeat(50) }] })), 429);
            await advance(box, 60_000);
        }
    });
});

describe('calls at once', () => {
    const held = { model: 'qwen-max' };

    // Of many at once no more than `limit` get as far as the engine; when they are fewer, as places are given back behind a
    // reply, later calls get the others; then none does. All that got there are answered.
    // An engine that has failed thrice is left alone for a while: `shaken` calls may be answered that, too.
    async function exactly(box, limit, send, { at_once = false, shaken = false } = {}) {
        const begun = engine.total, inside = () => engine.total - begun, calls = [];
        let refused = 0, broken = 0;
        const send_many = count => {
            const sent = Array.from({ length: count }, () => send(calls.length));
            for (const call of sent) call.then(status => { if (status === 429) refused++; else if (status !== 200) broken++; }, () => {});
            calls.push(...sent);
        };
        const decided = () => until(() => inside() + refused + broken === calls.length, 'the engine, or a refusal', 20_000);

        send_many(CLIENTS);
        await decided();
        if (at_once) assert.equal(inside(), limit);
        await until(async () => {
            if (inside() < limit) { send_many(1); await decided(); }
            return inside() >= limit;
        }, `${limit} calls in the engine`, 20_000);
        send_many(CLIENTS);
        await decided();
        assert.equal(inside(), limit);
        for (const answer of engine.open) answer.finish();
        const statuses = (await Promise.all(calls)).filter(status => !shaken || status < 500);
        assert.deepEqual(tally(statuses), { 200: limit, 429: refused });
    }

    const send = (who, body, more) => ask(box, who, { ...held, ...body }, more);
    const abort_when = async (ready, call) => {
        const ends = new AbortController(), answer = call(ends.signal).catch(() => {});
        await ready(answer);
        ends.abort();
        await answer;
    };
    const say = content => ({ messages: [{ role: 'user', content }] });
    const entered = () => { const begun = engine.total; return () => until(() => engine.total > begun, 'the engine'); };

    test('of somebody who waits for each answer none is refused, whichever worker has it', async () => {
        const { key: fresh } = await tenant(box, { concurrency: 1 });
        const got = [];

        for (let i = 0; i < (LIGHT ? 100 : 600); i++) {
            const answer = await ask(box, fresh, {}, { headers: { connection: 'close' } });
            await answer.text();
            got.push(answer.status);
        }
        assert.deepEqual(tally(got), { 200: got.length });
    });

    test('exactly so many of many that come at once', async () => {
        for (let round = 0; round < 4; round++) {
            const { key: fresh } = await tenant(box, { concurrency: HELD }, { model: 'qwen-max' });
            await exactly(box, HELD, i => status_of(send(fresh, { stream: i % 2 === 0 })), { at_once: true });
        }
    });

    const endings = {
        'have been answered': async () => {},
        'have left before the answer': async () => {
            for (let i = 0; i < HELD; i++)
                await abort_when(entered(), signal => send(key, {}, { signal }));
        },
        'have left in the middle of a stream': async () => {
            for (let i = 0; i < HELD; i++)
                await abort_when(async answer => (await answer).body.getReader().read(), signal => send(key, { stream: true }, { signal }));
        },
        'are refused by a later check': async () => assert.deepEqual(
            tally(await load(4, 4 * HELD, i => status_of(send(watched, [{ temperature: 9 }, say('forbidden')][i % 2])))), { 400: 4 * HELD }),
        'are cut in the middle by a fault': async () => {
            const statuses = await load(4, 4 * HELD, i => status_of(send(key, { stream: true },
                { headers: { 'x-dashbox-fault': ['cut@1', 'E219@1', 'cut', 'E219'][i % 4] } })).catch(() => 0));
            assert(!statuses.includes(429), String(statuses));
        },
    };
    for (const [name, run] of Object.entries(endings))
        test(`never more, and all are free again when calls ${name}`, async () => {
            await run();
            await until(() => engine.open.size === 0, 'an idle engine');
            for (const who of [key, watched])
                await exactly(box, HELD, i => status_of(send(who, { stream: i % 2 === 0 })));
        });

    test('and when calls have failed in the engine', async () => {
        const { key } = await tenant(failing, { concurrency: HELD }, { model: 'qwen-max' });
        const ways = [say('fail'), say('reset'), { ...say('fail'), stream: true }, { ...say('break'), stream: true }];
        const statuses = await load(4, 4 * HELD, i => status_of(ask(failing, key, { ...held, ...ways[i % 4] })).catch(() => 0));

        assert(!statuses.includes(429), String(statuses));
        await exactly(failing, HELD, i => status_of(ask(failing, key, { ...held, stream: i % 2 === 0 })), { shaken: true });
    });

    test('of the configuration: of a model, of Batch Chat, of a path', async () => {
        const batch = i => new Promise((resolve, reject) => {
            const request = http.request(`${crowded.compatible}/chat/completions`, { method: 'POST', agent: false,
                headers: { authorization: `Bearer ${KEY}`, host: 'batch.example', 'content-type': 'application/json' } },
            answer => answer.resume().on('end', () => resolve(answer.statusCode)));
            request.once('error', reject);
            request.end(JSON.stringify({ ...held, model: 'qwen3-max', ...say(`batch ${i}`) })); // a model that Batch Chat serves
        });
        await exactly(routed, 9, () => status_of(ask(routed, KEY, held)), { at_once: true });
        await exactly(crowded, 6, () => status_of(ask(crowded, KEY, held)), { at_once: true });
        await exactly(crowded, 3, batch);
        await exactly(crowded, 6, () => status_of(ask(crowded, KEY, held)));
        await exactly(routed, 9, () => status_of(ask(routed, KEY, held)));
    });

    test('a reset forgets what was counted, but not the calls that are under way', async () => {
        const begun = engine.total;
        const calls = Array.from({ length: HELD }, () => status_of(send(key)));
        await until(() => engine.total - begun === HELD, 'the calls in the engine', 20_000);
        await admin(box, 'POST', '/reset');
        await stop_clock(box);
        assert.equal(await status_of(send(key)), 429);
        for (const answer of engine.open) answer.finish();
        assert.deepEqual(tally(await Promise.all(calls)), { 200: HELD });
        await exactly(box, HELD, () => status_of(send(key)));
    });
});
