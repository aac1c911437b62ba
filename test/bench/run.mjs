#!/usr/bin/env node
// Speed and memory, side by side with nginx and others, in one run. See README.
//
//   node test/bench/run.mjs [--rounds N] [--seconds S] [NAME…]
//
// DASHBOX            the binary [build/dashbox]
// DASHBOX_BENCH_JSON a file for the results as JSON
//
// Ends with 0 when all was measured, whatever came of it; with 1 when an answer was wrong or a server ended.

import fs from 'node:fs';
import os from 'node:os';
import { complaints, cores_text, stop_all } from './machine.mjs';
import { benches, needs } from './benches.mjs';
import { binary, have } from './servers.mjs';

const options = { count: 4, seconds: 3 };
const names = [];
for (let words = process.argv.slice(2); words.length;) {
    const word = words.shift();
    if (word === '--rounds') options.count = Number(words.shift());
    else if (word === '--seconds') options.seconds = Number(words.shift());
    else if (word in benches) names.push(word);
    else {
        console.error(`usage: ./dev bench [--rounds N] [--seconds S] [NAME…]; there are: ${Object.keys(benches).join(' ')}`);
        process.exit(2);
    }
}
if (!names.length) names.push(...Object.keys(benches));
if (!(options.count >= 1 && Number.isInteger(options.count) && options.seconds >= 1 && Number.isInteger(options.seconds))) {
    console.error('--rounds and --seconds are whole numbers from 1');
    process.exit(2);
}

// ---- the report ----

const results = [], notes = [];
const terminal = process.stderr.isTTY;
let bench;

function number(value) {
    if (value >= 1000) return Math.round(value).toLocaleString('en-US');
    return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

function table(rows) {
    const columns = [
        ['', row => row.candidate, 'left'],
        [rows[0].unit, row => number(row.value)],
        ['CPU µs', row => (row.cpu_us === undefined ? '' : number(row.cpu_us))],
        ['ratio', row => (row.ratio === undefined ? '' : row.ratio.toFixed(2))],
        ['CPU ratio', row => (row.cpu_ratio === undefined || !Number.isFinite(row.cpu_ratio) ? '' : row.cpu_ratio.toFixed(2))],
        ['goal', row => row.goal ?? ''],
        ['', row => (row.reached === undefined ? '' : row.reached ? 'reached' : 'MISSED'), 'left'],
        ['', row => row.note ?? '', 'left'],
    ].filter(([, cell]) => rows.some(row => cell(row) !== ''));
    const lines = [columns.map(([title]) => title), ...rows.map(row => columns.map(([, cell]) => cell(row)))];
    const widths = columns.map((_, i) => Math.max(...lines.map(line => line[i].length)));
    for (const line of lines)
        console.log('  ' + line.map((cell, i) => (columns[i][2] ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ').trimEnd());
}

const report = {
    progress: text => { if (terminal) process.stderr.write(`\r\x1b[K${bench}: ${text}`); },
    pause: () => { if (terminal) process.stderr.write('\r\x1b[K'); },
    say(text) {
        report.pause();
        notes.push(`${bench}: ${text}`);
        console.log(`\n${bench}: ${text}`);
    },
    rows(setting, rows) {
        report.pause();
        console.log(`\n${bench}: ${setting}`);
        table(rows);
        results.push(...rows.map(row => ({ bench, setting, ...row })));
    },
};

// ---- ----

function write_json() {
    const file = process.env.DASHBOX_BENCH_JSON;
    if (!file) return;
    fs.writeFileSync(file, JSON.stringify({ time: new Date().toISOString(), machine: os.cpus()[0]?.model, cores: cores_text(),
        rounds: options.count, seconds: options.seconds, notes, results }, null, 1) + '\n');
}

async function main() {
    if (!fs.existsSync(binary)) throw new Error(`${binary} is not there`);
    console.log(`${os.cpus().length} × ${os.cpus()[0]?.model}; ${cores_text()}`);
    console.log(`${options.count} round${options.count > 1 ? 's' : ''} of ${options.seconds} s, candidates in turn, medians`);
    console.log('ratio: to the yardstick in the same round; CPU µs: user and system time of the server a request; ' +
        'CPU ratio: the yardstick\'s to the candidate\'s');
    const load = os.loadavg()[0];
    if (load > 0.5) console.log(`the machine is not idle (load ${load.toFixed(1)}): trust the CPU columns and the ratios`);
    let failed = false;
    for (bench of names) {
        const missing = needs(bench).filter(program => !have[program]);
        if (missing.length) {
            report.say(`left out, there is no ${missing.join(', ')}`);
            continue;
        }
        try {
            await benches[bench](options, report);
        } catch (error) {
            failed = true;
            report.say(`FAILED: ${error.message}`);
        } finally {
            await stop_all();
            for (const complaint of new Set(complaints.splice(0))) report.say(complaint);
        }
    }
    const goals = results.filter(row => row.reached !== undefined);
    console.log(`\n${goals.filter(row => row.reached).length} of ${goals.length} goals reached`);
    for (const row of goals.filter(row => !row.reached))
        console.log(`  missed: ${row.bench}, ${row.setting}, ${row.candidate}: ${row.measured ?? `${number(row.value)} ${row.unit}`}, ` +
            `goal ${row.goal}`);
    write_json();
    return failed ? 1 : 0;
}

main().then(status => process.exit(status), error => {
    console.error(`bench: ${error.message}`);
    process.exit(1);
});
