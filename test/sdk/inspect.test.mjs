// dashbox inspect: what the media engine says of files that FFmpeg has made here, and of files that are not what they seem.

import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const binary = path.resolve(process.env.DASHBOX
    || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox'));
const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-inspect-'));
after(() => fs.rmSync(folder, { recursive: true }));
const at = name => path.join(folder, name);

const lacks = !fs.existsSync(path.join(path.dirname(binary), 'engines', 'media', 'dashbox-media')) ? 'dashbox-media has not been built'
    : spawnSync('ffmpeg', ['-version']).error ? 'there is no ffmpeg' : false;
const encoders = lacks ? '' : execFileSync('ffmpeg', ['-hide_banner', '-encoders'], { encoding: 'utf8' });
const can = encoder => new RegExp(`^ \\S+ +${encoder} `, 'm').test(encoders);

function ffmpeg(...words) {
    execFileSync('ffmpeg', ['-v', 'error', '-y', ...words], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
}
const picture = (size = '320x240') => ['-f', 'lavfi', '-i', `testsrc=size=${size}:rate=25:duration=2`];
const plain = (colour, size = '64x64') => ['-f', 'lavfi', '-i', `color=${colour}:size=${size}:rate=25:duration=1`];
const tone = (rate = 44100) => ['-f', 'lavfi', '-i', `sine=frequency=440:sample_rate=${rate}:duration=2`];

function run(words) {
    return new Promise(resolve => {
        execFile(binary, ['inspect', ...words], { cwd: folder, timeout: 120_000, maxBuffer: 64 << 20 }, (error, stdout, stderr) =>
            resolve({ status: error ? error.code : 0, stdout, stderr }));
    });
}
async function inspect(...files) {
    const { status, stdout, stderr } = await run([...files, '--json']);
    assert.equal(status, 0, stderr);
    const facts = stdout.trimEnd().split('\n').map(line => JSON.parse(line));
    assert.deepEqual(facts.map(f => f.file), files);
    return facts;
}
const one = async file => (await inspect(file))[0];

/** Numbers are [wanted, within]. */
function matches(facts, wanted) {
    for (const [name, value] of Object.entries(wanted)) {
        if (Array.isArray(value))
            assert.ok(facts[name] !== null && Math.abs(facts[name] - value[0]) <= value[1],
                `${facts.file}: ${name} is ${facts[name]}, not ${value[0]} within ${value[1]}`);
        else
            assert.deepEqual(facts[name], value, `${facts.file}: ${name}`);
    }
}

const sides = { width: 320, height: 240 };
const still = { kind: 'image', ...sides, frames: 1, fps: 0, duration_ms: 0, video_codec: '', audio_codec: '', sample_rate: 0,
    channels: 0, brightness: [128, 2], alpha: false, animated: false, truncated: false, error: '' };
const moving = { kind: 'video', ...sides, frames: 50, fps: [25, 0.01], duration_ms: [2000, 90], sample_rate: 44100, channels: 1,
    brightness: [127, 4], alpha: false, animated: false, truncated: false, error: '' };
const sound = { kind: 'audio', width: 0, height: 0, frames: 0, fps: 0, video_codec: '', duration_ms: [2000, 60],
    sample_rate: 44100, channels: 1, brightness: null, truncated: false, error: '' };

test('pictures of every format', { skip: lacks }, async () => {
    const formats = { 'p.jpg': 'jpeg', 'p.png': 'png', 'p.bmp': 'bmp', 'p.tiff': 'tiff', 'p.gif': 'gif' };
    if (can('libwebp')) formats['p.webp'] = 'webp';
    for (const name of Object.keys(formats)) ffmpeg(...picture(), '-frames:v', '1', name);
    for (const facts of await inspect(...Object.keys(formats)))
        matches(facts, { ...still, format: formats[facts.file], bytes: fs.statSync(at(facts.file)).size });
});

test('pictures that move', { skip: lacks }, async () => {
    ffmpeg(...picture(), '-frames:v', '10', 'm.gif');
    ffmpeg(...picture(), '-frames:v', '10', '-plays', '0', '-f', 'apng', 'm.png');
    const wanted = { kind: 'image', ...sides, frames: 10, animated: true, duration_ms: [400, 0], fps: [25, 0], truncated: false };
    const [gif, png] = await inspect('m.gif', 'm.png');
    matches(gif, { ...wanted, format: 'gif', brightness: [128, 2], error: '' });
    matches(png, { ...wanted, format: 'png', brightness: [128, 2], error: '' });
    if (can('libwebp_anim')) {
        ffmpeg(...picture(), '-frames:v', '10', '-c:v', 'libwebp_anim', 'm.webp');
        matches(await one('m.webp'), { ...wanted, format: 'webp' });
    }
});

test('light and dark, to the number', { skip: lacks }, async () => {
    const wanted = { black: 0, '0x404040': 64, '0x808080': 128, white: 255, red: 76, lime: 150, blue: 29 };
    for (const [colour, brightness] of Object.entries(wanted)) {
        const names = [`${colour}.png`, `${colour}.jpg`, `${colour}.bmp`];
        ffmpeg(...plain(colour), ...names.flatMap(name => ['-frames:v', '1', name]));
        for (const facts of await inspect(...names)) matches(facts, { brightness: [brightness, 2], width: 64, height: 64 });
    }
    for (const [colour, brightness] of [['black', 0], ['white', 255]]) {
        ffmpeg(...plain(colour), '-pix_fmt', 'yuv420p', `${colour}.mp4`); // from 16 to 235 in the file
        matches(await one(`${colour}.mp4`), { brightness: [brightness, 1], frames: 25 });
    }
    // dark at its beginning, bright in its middle
    ffmpeg(...plain('black'), ...plain('white'), ...plain('white'), '-filter_complex', 'concat=n=3', '-g', '250', 'dawn.mp4');
    matches(await one('dawn.mp4'), { brightness: [255, 1], duration_ms: [3000, 50], frames: 75 });
});

test('transparency is a channel, or what really is transparent', { skip: lacks }, async () => {
    ffmpeg('-f', 'lavfi', '-i', 'color=red@0.5:size=16x16,format=rgba', '-frames:v', '1', 'half.png');
    ffmpeg('-f', 'lavfi', '-i', 'color=red:size=16x16,format=rgb24', '-frames:v', '1', 'none.png');
    matches(await one('half.png'), { alpha: true, brightness: [76, 2] });
    matches(await one('none.png'), { alpha: false });
    if (can('libwebp')) {
        ffmpeg('-i', 'half.png', '-lossless', '1', 'half.webp');
        ffmpeg('-i', 'none.png', '-lossless', '1', 'none.webp');
        matches(await one('half.webp'), { alpha: true });
        matches(await one('none.webp'), { alpha: false });
    }
});

test('one pixel, and a long strip', { skip: lacks }, async () => {
    for (const name of ['one.png', 'one.jpg', 'one.bmp']) {
        ffmpeg(...picture(), '-vf', 'scale=1:1', '-frames:v', '1', name);
        matches(await one(name), { kind: 'image', width: 1, height: 1, truncated: false, error: '' });
    }
    ffmpeg(...picture(), '-vf', 'scale=9000:2', '-frames:v', '1', 'strip.png');
    matches(await one('strip.png'), { width: 9000, height: 2, error: '' });
});

test('videos in every container', { skip: lacks }, async () => {
    const coded = (video, audio) => ['-c:v', video, '-c:a', audio];
    const made = {
        'v.mp4': [coded('libx264', 'aac'), { format: 'mp4', video_codec: 'h264', audio_codec: 'aac' }],
        'v.mov': [coded('libx264', 'aac'), { format: 'mov', video_codec: 'h264', audio_codec: 'aac' }],
        'v.mkv': [coded('libx264', 'flac'), { format: 'mkv', video_codec: 'h264', audio_codec: 'flac' }],
        'v.avi': [coded('mpeg4', 'libmp3lame'), { format: 'avi', video_codec: 'mpeg4', audio_codec: 'mp3' }],
        'v.flv': [coded('libx264', 'aac'), { format: 'flv', video_codec: 'h264', audio_codec: 'aac' }],
        'v.ts': [coded('libx264', 'aac'), { format: 'ts', video_codec: 'h264', audio_codec: 'aac' }],
        'v.mpg': [coded('mpeg1video', 'mp2'), { format: 'mpeg', video_codec: 'mpeg1video', audio_codec: 'mp2' }],
        'v.webm': [coded('libvpx', 'libopus'), { format: 'webm', video_codec: 'vp8', audio_codec: 'opus', sample_rate: 48000 }],
        'fragments.mp4': [[...coded('libx264', 'aac'), '-movflags', 'frag_keyframe+empty_moov'], { format: 'mp4', video_codec: 'h264', audio_codec: 'aac' }],
    };
    if (can('libx265')) made['hevc.mp4'] = [coded('libx265', 'aac'), { format: 'mp4', video_codec: 'hevc', audio_codec: 'aac' }];
    for (const [name, [words, wanted]] of Object.entries(made)) {
        const needed = [words[1], words[3]].filter(encoder => !can(encoder));
        if (needed.length) continue;
        ffmpeg(...picture(), ...tone(), ...words, name);
        matches(await one(name), { ...moving, ...wanted });
    }
    ffmpeg(...picture(), '-r', '30000/1001', 'ntsc.mp4');
    matches(await one('ntsc.mp4'), { fps: [29.97, 0.001], audio_codec: '', sample_rate: 0, channels: 0, duration_ms: [2002, 40] });
});

test('turned by a matrix and by Exif', { skip: lacks }, async () => {
    ffmpeg(...picture(), '-c:v', 'libx264', 'upright.mp4');
    ffmpeg('-i', 'upright.mp4', '-c', 'copy', '-metadata:s:v', 'rotate=90', 'turned.mp4');
    const mp4 = await one('turned.mp4');
    if (fs.readFileSync(at('turned.mp4')).equals(fs.readFileSync(at('upright.mp4'))) === false && mp4.width !== 320) // an ffmpeg of 6 or later ignores that
        matches(mp4, { width: 240, height: 320, frames: 50 });
    ffmpeg(...picture(), '-frames:v', '1', 'upright.jpg');
    const jpeg = fs.readFileSync(at('upright.jpg'));
    for (const [orientation, width] of [[1, 320], [3, 320], [6, 240], [8, 240]]) {
        const exif = Buffer.from(`45786966000 04d4d002a000000080001 01120003 00000001 000${orientation}0000 00000000`.replaceAll(' ', ''), 'hex');
        const head = Buffer.from([0xff, 0xe1, 0, exif.length + 2]);
        fs.writeFileSync(at('turned.jpg'), Buffer.concat([jpeg.subarray(0, 2), head, exif, jpeg.subarray(2)]));
        matches(await one('turned.jpg'), { width, height: 560 - width, error: '' });
    }
});

test('sound in every format', { skip: lacks }, async () => {
    const made = {
        'a.wav': ['pcm_s16le', { format: 'wav', audio_codec: 'pcm_s16le', duration_ms: [2000, 0] }],
        'a.mp3': ['libmp3lame', { format: 'mp3', audio_codec: 'mp3' }],
        'a.flac': ['flac', { format: 'flac', audio_codec: 'flac', duration_ms: [2000, 0] }],
        'a.ogg': ['libvorbis', { format: 'ogg', audio_codec: 'vorbis' }],
        'a.opus': ['libopus', { format: 'ogg', audio_codec: 'opus', sample_rate: 48000 }],
        'a.aac': ['aac', { format: 'aac', audio_codec: 'aac' }],
        'a.m4a': ['aac', { format: 'm4a', audio_codec: 'aac' }],
        'a.wma': ['wmav2', { format: 'asf', audio_codec: 'wmav2' }],
        'a.amr': ['libopencore_amrnb', { format: 'amr', audio_codec: 'amr_nb', sample_rate: 8000 }],
    };
    for (const [name, [encoder, wanted]] of Object.entries(made)) {
        if (!can(encoder)) continue;
        ffmpeg(...tone(wanted.sample_rate === 8000 ? 8000 : 44100), '-c:a', encoder, name);
        matches(await one(name), { ...sound, ...wanted });
    }
    ffmpeg(...tone(16000), '-ac', '2', 'stereo.wav');
    matches(await one('stereo.wav'), { ...sound, sample_rate: 16000, channels: 2, format: 'wav' });
    ffmpeg(...picture('100x100'), '-frames:v', '1', 'cover.png');
    ffmpeg('-i', 'a.mp3', '-i', 'cover.png', '-map', '0', '-map', '1', '-c', 'copy', '-disposition:v', 'attached_pic', 'cover.mp3');
    matches(await one('cover.mp3'), { ...sound, format: 'mp3', audio_codec: 'mp3' });
});

test('AMR, whose frames any program can write', { skip: lacks }, async () => {
    const frame = Buffer.alloc(13);
    frame[0] = 0x04; // 4.75 kbit/s, 20 ms
    fs.writeFileSync(at('frames.amr'), Buffer.concat([Buffer.from('#!AMR\n'), ...Array(100).fill(frame)]));
    matches(await one('frames.amr'), { kind: 'audio', format: 'amr', audio_codec: 'amr_nb', sample_rate: 8000, channels: 1, duration_ms: [2000, 20] });
});

test('a file that is cut says so', { skip: lacks }, async () => {
    ffmpeg('-i', 'v.mp4', '-c', 'copy', '-movflags', '+faststart', 'fast.mp4');
    const names = ['p.jpg', 'p.png', 'p.bmp', 'p.tiff', 'm.gif', 'm.png', 'v.mp4', 'fast.mp4', 'v.mov', 'v.mkv', 'v.avi', 'v.flv',
        'a.wav', 'a.mp3', 'a.flac', 'p.webp', 'v.webm'].filter(name => fs.existsSync(at(name)));
    const parts = [0.5, 0.8], cut = (part, name) => `cut-${part}-${name}`;
    for (const name of names) {
        const whole = fs.readFileSync(at(name));
        for (const part of parts) fs.writeFileSync(at(cut(part, name)), whole.subarray(0, Math.floor(whole.length * part)));
        fs.writeFileSync(at(`tail-${name}`), Buffer.concat([whole, Buffer.from('something more')]));
    }
    for (const whole of await inspect(...names)) {
        assert.equal(whole.truncated, false, whole.file);
        for (const facts of await inspect(...parts.map(part => cut(part, whole.file))))
            matches(facts, { kind: whole.kind, format: whole.format, truncated: true });
    }
    for (const name of ['p.jpg', 'p.png', 'p.bmp', 'm.gif']) // bytes behind the end do not make it less
        matches(await one(`tail-${name}`), { truncated: false, ...sides });
});

test('names and first impressions do not matter', { skip: lacks }, async () => {
    fs.copyFileSync(at('p.png'), at('photo.jpg'));
    fs.copyFileSync(at('a.mp3'), at('song.mp4'));
    fs.copyFileSync(at('v.mp4'), at('clip'));
    matches(await one('photo.jpg'), { ...still, format: 'png' });
    matches(await one('song.mp4'), { ...sound, format: 'mp3' });
    matches(await one('clip'), { ...moving, format: 'mp4' });
    fs.writeFileSync(at('both.gif'), Buffer.concat([fs.readFileSync(at('p.gif')), fs.readFileSync(at('v.mp4'))]));
    matches(await one('both.gif'), { ...still, format: 'gif' });
    fs.writeFileSync(at('script.jpg'), '<html><script>alert(1)</script></html>');
    fs.writeFileSync(at('empty.png'), '');
    fs.writeFileSync(at('text.mp4'), 'This is no film. '.repeat(1000));
    for (const facts of await inspect('script.jpg', 'empty.png', 'text.mp4')) {
        matches(facts, { kind: 'unknown', format: 'unknown', width: 0, height: 0, brightness: null });
        assert.notEqual(facts.error, '');
    }
});

test('a file that names others gets none of them', { skip: lacks }, async () => {
    let calls = 0;
    const server = net.createServer(socket => { calls++; socket.destroy(); });
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${server.address().port}/v.ts`;
    const list = segment => `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:2,\n${segment}\n#EXT-X-ENDLIST\n`;
    const files = {
        'list.m3u8': list('v.ts'), 'list.mp4': list(at('v.ts')), 'file.m3u8': list(`file://${at('v.ts')}`), 'web.m3u8': list(address),
        'concat.txt': `ffconcat version 1.0\nfile ${at('v.mp4')}\n`,
        'web.txt': `ffconcat version 1.0\nfile ${address}\n`,
        'session.sdp': `v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video ${server.address().port} RTP/AVP 96\na=rtpmap:96 H264/90000\n`,
        'dash.mpd': `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>${address}</BaseURL></Representation></AdaptationSet></Period></MPD>`,
        'svg.png': `<svg xmlns="http://www.w3.org/2000/svg"><image href="${address}"/></svg>`,
    };
    for (const [name, text] of Object.entries(files)) fs.writeFileSync(at(name), text);
    // FFmpeg itself would follow it:
    const probe = spawnSync('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name', at('list.m3u8')], { encoding: 'utf8', cwd: folder });
    if (!probe.error) assert.match(probe.stdout, /h264/);
    for (const facts of await inspect(...Object.keys(files)))
        matches(facts, { kind: 'unknown', format: 'unknown', video_codec: '', width: 0, duration_ms: 0 });
    server.close();
    assert.equal(calls, 0);
});

test('bombs are refused before they cost', { skip: lacks }, async () => {
    const begun = Date.now();
    const png = Buffer.from(fs.readFileSync(at('p.png')));
    png.writeUInt32BE(100_000, 16);
    png.writeUInt32BE(100_000, 20);
    png.writeUInt32BE(crc32(png.subarray(12, 29)), 29);
    fs.writeFileSync(at('bomb.png'), png);
    const jpeg = Buffer.from(fs.readFileSync(at('p.jpg'))), sof = jpeg.indexOf(Buffer.from([0xff, 0xc0]));
    jpeg.writeUInt16BE(65_500, sof + 5);
    jpeg.writeUInt16BE(65_500, sof + 7);
    fs.writeFileSync(at('bomb.jpg'), jpeg);
    const gif = Buffer.from(fs.readFileSync(at('p.gif')));
    gif.writeUInt16LE(65_535, 6);
    gif.writeUInt16LE(65_535, 8);
    fs.writeFileSync(at('bomb.gif'), gif);
    const bmp = Buffer.from(fs.readFileSync(at('p.bmp')));
    bmp.writeInt32LE(60_000, 18);
    bmp.writeInt32LE(60_000, 22);
    fs.writeFileSync(at('bomb.bmp'), bmp);
    for (const facts of await inspect('bomb.png', 'bomb.jpg', 'bomb.gif', 'bomb.bmp')) {
        matches(facts, { kind: 'image', brightness: null });
        assert.notEqual(facts.error, '', facts.file);
    }
    const sparse = fs.openSync(at('long.wav'), 'w'); // two gigabytes of nothing
    fs.writeSync(sparse, fs.readFileSync(at('a.wav')).subarray(0, 100));
    fs.ftruncateSync(sparse, 2 ** 31);
    fs.closeSync(sparse);
    fs.truncateSync((fs.writeFileSync(at('zeros'), ''), at('zeros')), 2 ** 32);
    matches(await one('zeros'), { kind: 'unknown', bytes: 2 ** 32 });
    matches(await one('long.wav'), { kind: 'audio', bytes: 2 ** 31 });
    assert.ok(Date.now() - begun < 30_000, `${Date.now() - begun} ms`);
});

function crc32(bytes) {
    let crc = ~0;
    for (const byte of bytes) {
        crc ^= byte;
        for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc >>> 0;
}

// The same numbers in every run (xorshift).
let state = 20261125;
function random(n) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
}

test('a thousand files of random bytes are nothing, and none does harm', { skip: lacks }, async () => {
    const names = [];
    for (let i = 0; i < 1000; i++) {
        const name = `random-${i}`;
        fs.writeFileSync(at(name), Buffer.from(Array.from({ length: random(3000) }, () => random(256))));
        names.push(name);
    }
    const known = (await inspect(...names)).filter(facts => facts.kind !== 'unknown');
    assert.deepEqual(known, []);
});

test('real files with a few bytes changed are answered, all of them', { skip: lacks }, async () => {
    const sources = fs.readdirSync(folder).filter(name => /^[pmva]\.[a-z0-9]+$/.test(name)).map(name => fs.readFileSync(at(name)));
    const names = [];
    for (let i = 0; i < (process.env.DASHBOX_TEST_LIGHT ? 150 : 600); i++) {
        const bytes = Buffer.from(sources[i % sources.length]), name = `changed-${i}`;
        for (let n = 1 + random(20); n--;) bytes[random(random(2) ? bytes.length : Math.min(bytes.length, 400))] = random(256);
        fs.writeFileSync(at(name), bytes);
        names.push(name);
    }
    await inspect(...names);
});

test('what cannot be looked at is said, and the others are looked at', { skip: lacks }, async () => {
    execFileSync('mkfifo', [at('pipe')]);
    const { status, stdout, stderr } = await run(['nowhere.png', 'pipe', '/dev/zero', folder, 'p.png', '--json']);
    assert.equal(status, 1);
    assert.match(stderr, /nowhere\.png: No such file/);
    assert.match(stderr, /pipe: no regular file/);
    assert.match(stderr, /\/dev\/zero: no regular file/);
    assert.equal(JSON.parse(stdout).file, 'p.png');
    ffmpeg(...picture('1920x1080'), 'large.mp4'); // a quarter of a second
    const slow = await run(['large.mp4', '--time', '1', '--json']);
    assert.equal(slow.status, 1);
    assert.match(slow.stderr, /deadline/);
    assert.equal((await run([])).status, 2);
});

test('a table for people', { skip: lacks }, async () => {
    const { status, stdout } = await run(['v.mp4', 'a.wav', 'half.png']);
    assert.equal(status, 0);
    assert.match(stdout, /^FILE +KIND +FORMAT +SIZE +FRAMES +LENGTH +VIDEO +AUDIO +BRIGHT/);
    assert.match(stdout, /^v\.mp4 +video +mp4 +320x240 +50 +2\.000 s +h264 25 fps +aac 44100 Hz 1 ch +12\d\.\d/m);
    assert.match(stdout, /^half\.png +image +png +16x16 .* alpha$/m);
});

test('without the engine it says so', async () => {
    const alone = at('alone');
    fs.copyFileSync(binary, alone);
    const child = spawnSync(alone, ['inspect', binary], { encoding: 'utf8', timeout: 20_000 });
    assert.equal(child.status, 1);
    assert.match(child.stderr, /built without FFmpeg's libraries/);
});
