// What the tests of limits and of usage share: the admin API, tenants of their own, and load.

import assert from 'node:assert/strict';
import { until } from './server.mjs';

// The journal keeps all that a test asks at once: ended() counts in it.
export const ADMIN_CONFIG = 'admin: { key: admin-test }\njournal: 1000\n';

// A smaller load, for servers that a sanitizer slows down.
export const LIGHT = process.env.DASHBOX_TEST_LIGHT === '1';

export async function admin(box, method, target, body) {
    const answer = await fetch(`${box.url}/admin/v1${target}`, { method, headers: { authorization: 'Bearer admin-test' },
        body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    assert(answer.ok, `${method} ${target}: ${answer.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
}

export const advance = (box, ms) => admin(box, 'PUT', '/clock', { advance_ms: ms });
export const stop_clock = box => admin(box, 'PUT', '/clock', { stopped: true });

let tenants = 0;

// A new workspace that may call every model, `model` within limits ({ rpm, tpm, concurrency }), and a key of it.
export async function tenant(box, limits, { model = 'qwen-plus', id = `ws-t${++tenants}` } = {}) {
    await admin(box, 'POST', '/workspaces', { id });
    await admin(box, 'PUT', `/workspaces/${id}/models/*`, { allowed: true });
    await admin(box, 'PUT', `/workspaces/${id}/models/${model}`, { allowed: true, ...limits });
    const { key } = await admin(box, 'POST', '/keys', { workspace: id });
    return { id, key };
}

export const ask = (box, key, body = {}, more = {}) => fetch(`${box.compatible}/chat/completions`, {
    method: 'POST', ...more, headers: { authorization: `Bearer ${key}`, ...more.headers },
    body: JSON.stringify({ model: 'qwen-plus', messages: [{ role: 'user', content: 'hi' }], ...body }),
});

export const ask_native = (box, key, body = {}, more = {}) => fetch(`${box.native}/services/aigc/text-generation/generation`, {
    method: 'POST', ...more, headers: { authorization: `Bearer ${key}`, ...more.headers },
    body: JSON.stringify({ model: 'qwen-plus', input: { messages: [{ role: 'user', content: 'hi' }] },
        parameters: { result_format: 'message' }, ...body }),
});

// Until so many calls have ended since the journal was cleared: what they held is given back, and what they used is booked.
// That is done behind the reply, and the journal is written behind that.
export async function ended(count, boxes, of = () => true) {
    await until(async () => {
        const journals = await Promise.all(boxes.map(box => admin(box, 'GET', '/journal?limit=1000')));
        return journals.reduce((sum, journal) => sum + journal.data.filter(of).length, 0) >= count;
    }, `the end of ${count} calls`, 30_000);
}
export const clear_journal = (...boxes) => Promise.all(boxes.map(box => admin(box, 'DELETE', '/journal')));

// work(0) … work(count - 1), from so many clients at once; what they gave, in order.
export async function load(clients, count, work) {
    const given = [];
    let next = 0;
    await Promise.all(Array.from({ length: clients }, async () => {
        while (next < count) {
            const i = next++;
            given[i] = await work(i);
        }
    }));
    return given;
}

// How often each value stands in a list: { 200: 50, 429: 14 }.
export const tally = list => list.reduce((sums, value) => ({ ...sums, [value]: (sums[value] ?? 0) + 1 }), {});
