// Two servers that count in one Valkey or Redis server, which this file starts on a Unix socket, stops and kills.

import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { scratch, serve, until } from './server.mjs';
import { ADMIN_CONFIG, LIGHT, admin, advance, ask, ask_native, clear_journal, ended, load, tally, tenant } from './tenants.mjs';

const CLIENTS = LIGHT ? 16 : 64, CALLS = LIGHT ? 96 : 320;
const HANG_MS = 20_000; // a call that takes so long is one that hangs: the server asks for 100 ms

const program = ['valkey-server', 'redis-server'].find(name =>
    process.env.PATH.split(':').some(folder => fs.existsSync(path.join(folder, name))));
assert(program, 'no valkey-server and no redis-server here: ./dev test sdk installs it, or apt-get install redis-server');

const folder = scratch('redis'), socket = path.join(folder, 's');
let counter;

async function counter_start() {
    counter = spawn(program, ['--port', '0', '--unixsocket', socket, '--save', '', '--appendonly', 'no', '--dir', folder], { stdio: 'ignore' });
    counter.ended = new Promise(resolve => counter.once('exit', resolve));
    await until(() => new Promise(resolve => {
        const probe = net.connect(socket, () => { probe.destroy(); resolve(true); });
        probe.once('error', () => resolve(false));
    }), `${program} to listen`, HANG_MS);
}

async function counter_kill() {
    counter.kill('SIGKILL');
    await counter.ended;
    fs.rmSync(socket, { force: true });
}

process.once('exit', () => counter.kill('SIGKILL'));
await counter_start();

const config = away => `${ADMIN_CONFIG}rates: { url: 'unix:${socket}', away: ${away} }\n`;
const start = away => serve({ config: config(away), args: ['--workers', '2'] });
const [left, right] = [await start('open'), await start('open')], closed = await start('closed');
after(counter_kill);

const NOW = Date.now();
for (const box of [left, right, closed]) await admin(box, 'PUT', '/clock', { stopped: true, now: NOW });
const pass = ms => Promise.all([left, right].map(box => advance(box, ms)));

const status_of = async call => { const answer = await call; await answer.arrayBuffer(); return answer.status; };
const bounded = (box, key, body) => status_of(ask(box, key, body, { signal: AbortSignal.timeout(HANG_MS) }));

let pairs = 0;
// A workspace of the same id in both.
async function pair(limits) {
    const id = `ws-pair${++pairs}`;
    return [{ box: left, ...await tenant(left, limits, { id }) }, { box: right, ...await tenant(right, limits, { id }) }];
}

// On a busy machine the server that counts can be late, more than 100 ms, and then the policy decides: a round in which that
// happened is tried again.
const watched = [left, right];

async function counted(round) {
    const said = () => watched.map(box => box.log().match(/server of the limits is (away|back)/g)?.length ?? 0).join();
    for (let again = 5; ; again--) {
        const before = said();
        try {
            return await round();
        } catch (error) {
            if (again === 0 || said() === before) throw error;
            for (const { box, key } of await pair({ rpm: 1 })) await waking(box, key);
        }
    }
}

// It counts again when it refuses again.
const waking = (box, key) => until(async () => await bounded(box, key) === 429, 'counting again', HANG_MS);

describe('two servers share a limit', () => {
    test('of requests, exactly, in every minute', () => counted(async () => {
        const RPM = 50, both = await pair({ rpm: RPM });
        const crowd = () => load(CLIENTS, CALLS, i => status_of((i & 2 ? ask : ask_native)(both[i % 2].box, both[i % 2].key)));

        for (let minute = 0; minute < 3; minute++) {
            assert.deepEqual(tally(await crowd()), { 200: RPM, 429: CALLS - RPM });
            await pass(59_999);
            assert.deepEqual(tally(await load(8, 16, i => status_of(ask(both[i % 2].box, both[i % 2].key)))), { 429: 16 });
            await pass(1);
        }
    }));

    test('and calls that are refused later count nowhere', () => counted(async () => {
        const RPM = 20, both = await pair({ rpm: RPM });

        await clear_journal(left, right);
        assert.deepEqual(tally(await load(8, 3 * RPM, i => status_of(ask(both[i % 2].box, both[i % 2].key, { temperature: 9 })))), { 400: 3 * RPM });
        await ended(3 * RPM, [left, right]);
        assert.deepEqual(tally(await load(8, 2 * RPM, i => status_of(ask(both[i % 2].box, both[i % 2].key)))), { 200: RPM, 429: RPM });
    }));

    test('of tokens', () => counted(async () => {
        const TPM = 500, both = await pair({ tpm: TPM });
        const used = (await (await ask(left, (await tenant(left, {})).key)).json()).usage;
        let booked = 0, room = 0;

        for (; booked + used.prompt_tokens <= TPM; room++) booked += used.total_tokens;
        const statuses = await load(1, room + 5, async i => {
            await clear_journal(left, right);
            const status = await status_of(ask(both[i % 2].box, both[i % 2].key));
            await ended(1, [left, right]);
            return status;
        });
        assert.deepEqual(tally(statuses), { 200: room, 429: 5 });
    }));

    test('of calls at once, and those that leave give their places back', () => counted(async () => {
        const HELD = 6, MANY = 24, both = await pair({ concurrency: HELD });

        for (const box of [left, right]) await admin(box, 'POST', '/faults', { fault: 'stall@1' });
        for (let round = 0; round < 3; round++) {
            const ends = new AbortController();
            const crowd = count => load(count, count, i => ask(both[i % 2].box, both[i % 2].key, { stream: true }, { signal: ends.signal }))
                .then(answers => tally(answers.map(answer => answer.status)));
            let inside = (await crowd(MANY))[200] ?? 0;

            if (round === 0) assert.equal(inside, HELD);
            // Those that left in the round before give their places back when the servers see it.
            await until(async () => (inside += inside < HELD ? (await crowd(1))[200] ?? 0 : 0) >= HELD, `${HELD} calls`, HANG_MS);
            assert.equal(inside, HELD);
            assert.deepEqual(await crowd(MANY), { 429: MANY });
            ends.abort();
        }
    }).finally(() => Promise.all([left, right].map(box => admin(box, 'DELETE', '/faults')))));

    test('and the places of a server that dies are free when its lease ends', () => counted(async () => {
        const HELD = 3, id = `ws-killed${++pairs}`, limits = { concurrency: HELD };
        const dying = await serve({ config: config('open'), args: ['--set', 'rates.lease=2s'] });
        watched.push(dying);
        const there = await tenant(dying, limits, { id }), here = await tenant(left, limits, { id });

        await admin(dying, 'POST', '/faults', { fault: 'stall@1' });
        const held = await load(HELD, HELD, () => ask(dying, there.key, { stream: true }));
        assert.deepEqual(tally(held.map(answer => answer.status)), { 200: HELD });
        assert.equal(await bounded(left, here.key), 429);
        await dying.kill();
        for (const answer of held) await answer.text().catch(() => {});
        await until(async () => await bounded(left, here.key) === 200, 'a place', HANG_MS);
    }));
});

describe('the server that counts is away', () => {
    for (const [how, stop, go_on] of [
        ['stands still', () => counter.kill('SIGSTOP'), () => counter.kill('SIGCONT')],
        ['was killed', counter_kill, counter_start]])
        test(`it ${how}: open calls go through, closed ones are refused, none hangs; and then it counts again`, async () => {
            const both = await pair({ rpm: 1 }), shut = await tenant(closed, { rpm: 1_000_000 });

            assert.deepEqual(tally(await load(1, 4, i => bounded(both[i % 2].box, both[i % 2].key))), { 200: 1, 429: 3 });
            assert.equal(await bounded(closed, shut.key), 200);
            const before = load(CLIENTS, CALLS, i => bounded(both[i % 2].box, both[i % 2].key)); // stopped under load
            await stop();
            for (const status of await before) assert(status === 200 || status === 429, String(status));
            assert.deepEqual(tally(await load(CLIENTS, CALLS, i => bounded(both[i % 2].box, both[i % 2].key))), { 200: CALLS });
            const refused = await load(CLIENTS, CALLS, async () => {
                const answer = await ask(closed, shut.key, {}, { signal: AbortSignal.timeout(HANG_MS) });
                return `${answer.status} ${(await answer.json()).error.code}`;
            });
            assert.deepEqual(tally(refused), { '429 Throttling': CALLS });
            await go_on();

            for (const { box, key } of both) await waking(box, key);
            await until(async () => await bounded(closed, shut.key) === 200, 'counting again', HANG_MS);
            await counted(async () => {
                const RPM = 30, fresh = await pair({ rpm: RPM });
                assert.deepEqual(tally(await load(CLIENTS, CALLS, i => bounded(fresh[i % 2].box, fresh[i % 2].key))),
                    { 200: RPM, 429: CALLS - RPM });
            });
        });

    test('servers start and end without it', async () => {
        counter.kill('SIGSTOP');
        const box = await start('open'), { key } = await tenant(box, { rpm: 1 });
        assert.deepEqual(tally(await load(CLIENTS, CLIENTS, () => bounded(box, key))), { 200: CLIENTS });
        await box.stop();
        counter.kill('SIGCONT');
    });
});
