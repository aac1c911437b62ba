// Load by wrk, rounds, medians.

import http from 'node:http';
import path from 'node:path';
import { cores, cpu_us, here, output_of } from './machine.mjs';

export const KEY = 'sk-bench';

// ---- the questions ----

// A fixed conversation of 2,048 bytes. "00000000" in its last message is what `fresh` of wrk.lua counts up.
const TURNS = [
    ['system', 'You are the assistant of a small library. Answer briefly, name the shelf, and say when you are not sure.'],
    ['user', 'Good morning. I am looking for something about the tides, for a child of nine who has just seen the sea.'],
    ['assistant', 'Good morning. Shelf C4 has two picture books on the tides; the thinner one explains the moon with a lamp and an orange.'],
    ['user', 'The thinner one sounds right. Does it also say why there are two tides in a day? That is what was asked.'],
];
const QUESTION = 'Then please keep it for me until Friday, under ticket 00000000, and tell me in one sentence how the second tide of ' +
    'the day comes about, in words that a child of nine understands.';

function padded(make) {
    const bare = Buffer.byteLength(JSON.stringify(make('')));
    if (bare > 2048) throw new Error('the conversation is longer than 2,048 bytes');
    const filler = 'The catalogue says: water follows the moon, and the far side lags behind. '.repeat(30);
    return JSON.stringify(make(filler.slice(0, 2048 - bare)));
}

const messages = filler => [...TURNS.map(([role, content]) => ({ role, content })),
    { role: 'assistant', content: filler }, { role: 'user', content: QUESTION }];

export const questions = {
    openai: padded(filler => ({ model: 'qwen-plus', messages: messages(filler), temperature: 0.7, max_tokens: 1024 })),
    native: padded(filler => ({ model: 'qwen-plus', input: { messages: messages(filler) },
        parameters: { result_format: 'message', temperature: 0.7, max_tokens: 1024 } })),
    stream: padded(filler => ({ model: 'qwen-plus', messages: messages(filler), stream: true })),
};
export const ANSWERED = QUESTION; // what a stand-in's answer contains

export const paths = {
    openai: '/compatible-mode/v1/chat/completions',
    native: '/api/v1/services/aigc/text-generation/generation',
    v1: '/v1/chat/completions', // of other programs
};

// ---- one question, to look at the answer ----

export function ask(url, body, headers = {}) {
    return new Promise((resolve, reject) => {
        const request = http.request(url, { method: 'POST', agent: false, timeout: 20_000,
            headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers } }, answer => {
            let text = '';
            answer.setEncoding('utf8');
            answer.on('data', piece => { text += piece; });
            answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
            answer.on('error', reject);
        });
        request.on('timeout', () => request.destroy(new Error(`no answer from ${url}`)));
        request.on('error', reject);
        request.end(body);
    });
}

// A wrong answer ends the bench.
export async function ask_right(name, url, body, contains, headers) {
    const answer = await ask(url, body, headers);
    if (answer.status !== 200 || !answer.text.includes(contains))
        throw new Error(`${name}: wrong answer ${answer.status} to ${body.slice(0, 300)}\n${answer.text.slice(0, 1000)}`);
    return answer;
}

// ---- load ----

// Runs wrk once. server: the Process whose CPU time is counted. bytes_min: of each answer, with its head.
export async function wrk({ name, server, url, body_file, fresh = false, connections, seconds, headers = {}, bytes_min = 0,
    cpus = cores.load, threads = 1 }) {
    const fields = Object.entries({ authorization: `Bearer ${KEY}`, ...headers }).map(([field, value]) => `${field}: ${value}`);
    const words = ['-c', cpus, 'wrk', '-t', String(threads), '-c', String(connections), '-d', `${seconds}s`, '--timeout', '20s',
        '-s', path.join(here, 'wrk.lua'), url, '--', body_file, fresh ? 'fresh' : 'same', ...fields];
    const before = cpu_us(server.pid);
    const text = await output_of('taskset', words);
    const spent = cpu_us(server.pid) - before;
    server.check();
    const line = /^\{.*\}$/m.exec(text);
    if (!line) throw new Error(`wrk said:\n${text}`);
    const seen = JSON.parse(line[0]);
    if (seen.requests === 0) throw new Error(`${name}: no answer at ${connections} connections\n${text}`);
    if (seen.status) throw new Error(`${name}: ${seen.status} of ${seen.requests} answers were errors`);
    if (seen.bytes / seen.requests < bytes_min)
        throw new Error(`${name}: answers of ${Math.round(seen.bytes / seen.requests)} bytes, expected ${bytes_min}`);
    const lost = seen.connect + seen.read + seen.write + seen.timeout;
    return { rate: seen.requests / (seen.us / 1e6), cpu: spent / seen.requests, p50: seen.p50, p99: seen.p99, lost };
}

export function median(values) {
    const sorted = [...values].sort((a, b) => a - b);
    const middle = sorted.length >> 1;
    return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Runs the candidates [{name, run(seconds)}] in rounds, each round in another order. Gives for each name the runs by round.
export async function rounds(candidates, { count, seconds }, progress) {
    const runs = Object.fromEntries(candidates.map(candidate => [candidate.name, []]));
    if (count > 1)
        for (const candidate of candidates) {
            progress(`warming ${candidate.name}`);
            await candidate.run(1);
        }
    for (let round = 0; round < count; round++)
        for (let i = 0; i < candidates.length; i++) {
            const candidate = candidates[(i + round) % candidates.length];
            progress(`round ${round + 1} of ${count}: ${candidate.name}`);
            runs[candidate.name].push(await candidate.run(seconds));
        }
    return runs;
}

// Rows of a table from those runs. The ratio is the median of the rounds' ratios, so what slows a whole round falls out.
// by_cpu: the goal is one for the ratio of CPU times.
export function rows_of(runs, candidates, { yardstick, goal, unit = 'req/s', by_cpu = false }) {
    return candidates.map(({ name, goal: own_goal, note, bare }) => {
        const mine = runs[name], ruler = yardstick ? runs[yardstick] : undefined;
        const aim = own_goal === undefined ? (/^dashbox/.test(name) ? goal : undefined) : own_goal ?? undefined;
        const row = { candidate: name, value: median(mine.map(run => run.rate)), unit, cpu_us: median(mine.map(run => run.cpu)) };
        if (ruler && name !== yardstick && !bare) {
            row.ratio = median(mine.map((run, i) => run.rate / ruler[i].rate));
            row.cpu_ratio = median(mine.map((run, i) => ruler[i].cpu / run.cpu));
            row.yardstick = yardstick;
            if (aim !== undefined) {
                const reached = by_cpu ? row.cpu_ratio : row.ratio;
                row.goal = by_cpu ? `CPU ≥ ${aim}` : `≥ ${aim}`;
                row.measured = reached.toFixed(2);
                row.reached = reached >= aim;
            }
        }
        const lost = mine.reduce((sum, run) => sum + run.lost, 0);
        if (lost) row.note = `${lost} connection errors`;
        else if (note) row.note = note;
        return row;
    });
}
