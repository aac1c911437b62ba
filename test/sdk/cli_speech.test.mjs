// dashbox say, dashbox listen, dashbox voices.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { KEY, scratch, serve } from './server.mjs';
import { wordErrors } from './speech_client.mjs';

const binary = path.resolve(process.env.DASHBOX || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox'));
const folder = scratch('cli-speech');
const box = await serve();
const env = { ...process.env, DASHSCOPE_API_KEY: KEY, DASHSCOPE_HTTP_BASE_URL: box.native };
const SAID = 'The weather is beautiful today.';

const run = (words, { input, PATH } = {}) => new Promise(resolve => {
    const child = execFile(binary, words, { env: PATH === undefined ? env : { ...env, PATH }, cwd: folder, timeout: 60_000, encoding: 'buffer', maxBuffer: 64 << 20 },
        (error, stdout, stderr) => resolve({ status: error ? error.code : 0, stdout, stderr: stderr.toString() }));
    child.stdin.end(input);
});
const codec = file => execFileSync('ffprobe', ['-v', 'quiet', '-of', 'csv=p=0', '-show_entries', 'stream=codec_name', path.join(folder, file)]).toString().trim();

test('say: into a file of the format that its name says, or to standard output', async () => {
    for (const [file, name] of [['a.wav', 'pcm_s16le'], ['a.mp3', 'mp3'], ['a.opus', 'opus']]) {
        assert.deepEqual((({ status, stderr }) => [status, stderr])(await run(['say', SAID, '-o', file, '--model', 'cosyvoice-v2', '--voice', 'loongdavid_v2'])), [0, '']);
        assert.equal(codec(file), name);
    }
    const { status, stdout } = await run(['say', '-o', '-'], { input: 'From standard input.' });
    assert.deepEqual([status, stdout.subarray(0, 4).toString()], [0, 'RIFF']);
});
test('say: to a player, where there is one', async () => {
    const bin = path.join(folder, 'bin');
    fs.mkdirSync(bin);
    fs.writeFileSync(path.join(bin, 'paplay'), `#!/bin/sh\nhead -c 4 "$1" > ${folder}/played\n`, { mode: 0o755 });
    assert.equal((await run(['say', 'Aloud.'], { PATH: `${bin}:/usr/bin:/bin` })).status, 0);
    assert.equal(fs.readFileSync(path.join(folder, 'played'), 'latin1'), 'RIFF');
    const { status, stderr } = await run(['say', 'Aloud.'], { PATH: '/nowhere' });
    assert.equal(status, 1);
    assert.match(stderr, /no player is here/);
});
test('say: what it cannot', async () => {
    assert.equal((await run(['say', 'x', '-o', 'a.txt'])).status, 2);
    assert.equal((await run(['say', '-o', 'x.wav'], { input: '  \n' })).status, 2);
    const { status, stderr } = await run(['say', 'x', '-o', 'x.wav', '--voice', 'nobody']);
    assert.equal(status, 1);
    assert.match(stderr, /Engine return error code: 418/);
    assert.ok(!fs.existsSync(path.join(folder, 'x.wav')));
});
test('listen: text, subtitles, everything; files that are none', async () => {
    const text = await run(['listen', 'a.mp3', 'a.wav']);
    assert.equal(text.status, 0, text.stderr);
    for (const line of text.stdout.toString().trim().split('\n')) assert.ok(wordErrors(SAID, line).errors <= 2, line);
    assert.match((await run(['listen', 'a.wav', '--format', 'srt'])).stdout.toString(), /^1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\nThe .*\.\n\n$/);
    assert.match((await run(['listen', 'a.wav', '--format', 'vtt'])).stdout.toString(), /^WEBVTT\n\n00:00:00\.\d{3} --> /);
    assert.equal(JSON.parse((await run(['listen', 'a.wav', '--format', 'json'])).stdout).transcripts[0].channel_id, 0);
    fs.writeFileSync(path.join(folder, 'no.wav'), 'no sound');
    const some = await run(['listen', 'a.wav', 'no.wav']);
    assert.equal(some.status, 1);
    assert.match(some.stdout.toString(), /weather/i);
    assert.match(some.stderr, /no\.wav: FILE_CHECK_FAILED/);
    assert.equal((await run(['listen', 'a.wav', '--format', 'doc'])).status, 2);
    assert.equal((await run(['listen'])).status, 2);
});
test('voices: of a model, of all', async () => {
    assert.equal((await run(['voices', 'cosyvoice-v3-plus'])).stdout.toString().trim().split('\n').length, 3);
    assert.ok((await run(['voices'])).stdout.toString().split('\n').length > 380);
    assert.equal((await run(['voices', 'qwen-plus'])).status, 1);
});
