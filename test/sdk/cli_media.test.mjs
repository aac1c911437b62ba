// dashbox image and dashbox video: files of this machine go up, results come down, and terminals that can show pictures.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { KEY, scratch, serve } from './server.mjs';

const binary = path.resolve(process.env.DASHBOX
    || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox'));
const folder = scratch('cli-media');
const lacks = !fs.existsSync(path.join(path.dirname(binary), 'engines', 'media', 'dashbox-media')) ? 'dashbox-media has not been built'
    : spawnSync('ffmpeg', ['-version']).error ? 'there is no ffmpeg' : false;

const box = await serve({ config: 'fetch: { allow: 127.0.0.0/8 }\n' });
const env = { ...process.env, DASHSCOPE_API_KEY: KEY, DASHSCOPE_HTTP_BASE_URL: box.native };
for (const name of ['TERM_PROGRAM', 'LC_TERMINAL']) delete env[name];

const run = (words, more = {}, command = binary) => new Promise(resolve => {
    execFile(command, words, { env: { ...env, ...more }, cwd: folder, timeout: 60_000, encoding: 'latin1', maxBuffer: 64 << 20 },
        (error, stdout, stderr) => resolve({ status: error ? error.code : 0, stdout, stderr }));
});
async function good(...words) {
    const { status, stdout, stderr } = await run(words);
    assert.deepEqual([status, stderr], [0, '']);
    return stdout;
}
const inspect = async file => JSON.parse(await good('inspect', file, '--json'));
function ffmpeg(...words) {
    execFileSync('ffmpeg', ['-v', 'error', '-y', ...words], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
}

test('image: of a text, in a new file each time', { skip: lacks }, async () => {
    assert.equal(await good('image', 'a', 'red', 'kite', '--size', '512*768', '--seed', '7'), 'image.png\n');
    assert.equal(await good('image', 'a red kite', '--size', '512*768', '--seed', '7'), 'image-2.png\n');
    assert.deepEqual(fs.readFileSync(path.join(folder, 'image.png')), fs.readFileSync(path.join(folder, 'image-2.png')));
    const { format, width, height } = await inspect('image.png');
    assert.deepEqual([format, width, height], ['png', 512, 768]);
    assert.equal(await good('image', 'two kites', '--n', '2', '--size', '512*512', '--output', 'k.png'), 'k.png\nk-2.png\n');
    const bytes = await good('image', 'a kite', '--size', '512*512', '--output', '-');
    assert.equal(bytes.slice(1, 4), 'PNG');
});

test('image: a synchronous model, and a picture of this machine', { skip: lacks }, async () => {
    ffmpeg('-f', 'lavfi', '-i', 'testsrc=size=640x480:rate=1:duration=1', '-frames:v', '1', 'in.png');
    assert.equal(await good('image', 'make it red', '--input', 'in.png', '--output', 'edit.png'), 'edit.png\n');
    assert.equal((await inspect('edit.png')).kind, 'image');
    const answer = JSON.parse(await good('image', 'a kite', '--model', 'qwen-image-max', '--json'));
    assert.equal(answer.usage.image_count, 1);
});

test('video: of a text, and from a picture of this machine to another', { skip: lacks }, async () => {
    assert.equal(await good('video', 'a kite', '--model', 'wan2.2-t2v-plus', '--size', '832*480'), 'video.mp4\n');
    const made = await inspect('video.mp4');
    assert.deepEqual([made.format, made.video_codec, made.width, made.height, made.fps, made.frames, made.audio_codec],
        ['mp4', 'h264', 832, 480, 30, 150, '']);
    ffmpeg('-f', 'lavfi', '-i', 'testsrc=size=750x1000:rate=1:duration=1', '-frames:v', '1', 'a.png');
    assert.equal(await good('video', 'from here to there', '--input', 'a.png', '--input', 'last_frame=a.png', '--size', '720P', '--duration', '2',
        '--output', 'between.mp4'), 'between.mp4\n');
    const between = await inspect('between.mp4');
    assert.deepEqual([between.width, between.height, between.frames, between.audio_codec], [816, 1104, 60, 'aac']);
});

test('what cannot be', { skip: lacks }, async () => {
    for (const words of [['image'], ['image', 'x', '--model', 'qwen-plus'], ['video', 'x', '--ratio', '1:1', '--model', 'wan2.2-t2v-plus'],
        ['video', 'x', '--input', 'nothing=a.png'], ['image', 'x', '--n', '0'], ['image', 'x', '--parameters', '[]'], ['video', 'x', '--input', 'nowhere.png']])
        assert.equal((await run(words)).status, 2, words.join(' '));
    const refused = await run(['video', 'x', '--size', '1*1', '--model', 'wan2.6-t2v']);
    assert.deepEqual([refused.status, refused.stderr.split(' (')[0]], [1, 'dashbox video: InvalidParameter: The size is not match 1*1']);
});

// A terminal that answers what it is asked. Prints what it was sent.
const TERMINAL = `
import os, pty, sys
answer, words = sys.argv[1].encode().decode('unicode_escape').encode('latin1'), sys.argv[2:]
pid, fd = pty.fork()
if pid == 0:
    os.execv(words[0], words)
said, asked = b'', False
while True:
    try:
        piece = os.read(fd, 65536)
    except OSError:
        break
    if not piece:
        break
    said += piece
    if not asked and b'\\x1b[c' in said:
        asked = True
        os.write(fd, answer)
sys.stdout.buffer.write(said)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;
const screen = (answer, more = {}) => run(['-c', TERMINAL, answer, binary, 'image', 'a kite', '--size', '512*512', '--output', 's.png'],
    { TERM: 'xterm', ...more }, 'python3');

test('a terminal shows the picture, if it can', { skip: lacks }, async () => {
    const kitty = await screen('\\x1b_Gi=31;OK\\x1b\\\\\\x1b[?62c');
    assert.equal(kitty.status, 0, kitty.stderr);
    const shown = [...kitty.stdout.matchAll(/\x1b_G(?:f=100,a=T,)?m=[01];([A-Za-z0-9+/=]*)\x1b\\/g)].map(found => found[1]).join('');
    assert.deepEqual(Buffer.from(shown, 'base64'), fs.readFileSync(path.join(folder, 's.png')));
    assert.match(kitty.stdout, /s\.png\r\n$/);
    const iterm = await screen('', { TERM_PROGRAM: 'iTerm.app' });
    const inline = /\x1b\]1337;File=inline=1;size=(\d+):([A-Za-z0-9+/=]*)\x07/.exec(iterm.stdout);
    assert.equal(Buffer.from(inline[2], 'base64').length, Number(inline[1]));
    const plain = await screen('\\x1b[?62;22c');
    assert.doesNotMatch(plain.stdout, /\x1b_Gf|1337/);
    assert.match(plain.stdout, /s\.png\r\n$/);
});
