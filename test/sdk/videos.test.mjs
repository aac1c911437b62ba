// Video services as clients use them: Vercel's video model, and plain HTTP with the polling of the Python SDK. What is made is looked
// into with dashbox inspect.

import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { createAlibaba } from '@ai-sdk/alibaba';
import { experimental_generateVideo as generateVideo } from 'ai';
import { KEY, scratch, serve } from './server.mjs';

const binary = path.resolve(process.env.DASHBOX
    || path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..', 'build', 'dashbox'));
const folder = scratch('videos');
const lacks = !fs.existsSync(path.join(path.dirname(binary), 'engines', 'media', 'dashbox-media')) ? 'dashbox-media has not been built'
    : spawnSync('ffmpeg', ['-version']).error ? 'there is no ffmpeg' : false;

function ffmpeg(...words) {
    execFileSync('ffmpeg', ['-v', 'error', '-y', ...words], { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
}
const picture = (name, size, ...more) => ffmpeg('-f', 'lavfi', '-i', `testsrc=size=${size}:rate=1:duration=1`, ...more, '-frames:v', '1', name);
if (!lacks) {
    picture('wide.jpg', '1000x750');
    picture('tall.png', '750x1000');
    ffmpeg('-f', 'lavfi', '-i', 'testsrc=size=640x360:rate=25:duration=3', '-f', 'lavfi', '-i', 'sine=duration=3', '-pix_fmt', 'yuv420p', 'clip.mp4');
}

// Serves the folder; stalls and hangs up by name.
const held = [];
const files = http.createServer((request, answer) => {
    const name = request.url.slice(1);
    if (name === 'stalls.png') return held.push(answer);
    if (name === 'cut.png') return answer.writeHead(200, { 'content-length': 1000 }).write('x', () => answer.destroy());
    if (!fs.existsSync(path.join(folder, name))) return answer.writeHead(404).end();
    answer.end(fs.readFileSync(path.join(folder, name)));
});
await new Promise(resolve => files.listen(0, '127.0.0.1', resolve));
after(() => { files.closeAllConnections(); files.close(); });
const at = `http://127.0.0.1:${files.address().port}`;

const box = await serve({ config: 'fetch: { allow: 127.0.0.0/8, time: 2s }\n' });

async function call(method, where, body, headers = {}) {
    const answer = await fetch(`${box.native}${where}`, { method, body: body && JSON.stringify(body),
        headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers } });
    return { status: answer.status, ...await answer.json() };
}

// As the Python SDK waits: at first each tenth of its second, then more seldom, until one of four statuses.
async function wait(id) {
    for (let ms = 100, asked = 1; ; asked++) {
        const answer = await call('GET', `/tasks/${id}`);
        assert.equal(answer.status, 200);
        if (['SUCCEEDED', 'FAILED', 'CANCELED', 'UNKNOWN'].includes(answer.output.task_status)) return answer;
        if (asked % 3 === 0) ms = Math.min(2 * ms, 500);
        await new Promise(resolve => setTimeout(resolve, ms));
    }
}
async function run(body, where = 'video-generation') {
    const made = await call('POST', `/services/aigc/${where}/video-synthesis`, body, { 'x-dashscope-async': 'enable' });
    assert.equal(made.status, 200, JSON.stringify(made));
    assert.equal(made.output.task_status, 'PENDING');
    return wait(made.output.task_id);
}
function inspect(file) {
    return new Promise((resolve, reject) => execFile(binary, ['inspect', '--json', file], { cwd: folder }, (error, stdout) =>
        error ? reject(error) : resolve(JSON.parse(stdout))));
}
async function look(url) {
    const answer = await fetch(url);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'video/mp4');
    fs.writeFileSync(path.join(folder, 'out.mp4'), Buffer.from(await answer.arrayBuffer()));
    return inspect('out.mp4');
}
// Size, length and sound of what a body makes.
async function made(body, where) {
    const done = await run(body, where);
    assert.equal(done.output.task_status, 'SUCCEEDED', JSON.stringify(done));
    const f = await look(done.output.video_url ?? done.output.output_video_url);
    assert.deepEqual([f.format, f.video_codec, f.truncated, f.error], ['mp4', 'h264', false, '']);
    return { size: `${f.width}x${f.height}`, seconds: f.frames / f.fps, fps: f.fps, sound: f.audio_codec, usage: done.usage };
}

describe('what is made has the size, the length and the sound that were asked for', { skip: lacks }, () => {
    test('of a text', async () => {
        const { usage, ...video } = await made({ model: 'wan2.7-t2v', input: { prompt: 'a kite' }, parameters: { resolution: '720P', ratio: '3:4', duration: 2 } });
        assert.deepEqual(video, { size: '832x1104', seconds: 2, fps: 30, sound: 'aac' });
        assert.equal(usage.SR, 720);
    });
    test('an older model is silent', async () => {
        const { usage, ...video } = await made({ model: 'wanx2.1-t2v-turbo', input: { prompt: 'a kite' }, parameters: { size: '480*832' } });
        assert.deepEqual(video, { size: '480x832', seconds: 5, fps: 30, sound: '' });
        assert.equal(usage.video_ratio, '480*832');
    });
    test('the ratio of the first frame', async () => {
        const { usage, ...video } = await made({ model: 'wan2.7-i2v', input: { media: [
            { type: 'last_frame', url: `${at}/wide.jpg` }, { type: 'first_frame', url: `${at}/tall.png` }] }, parameters: { resolution: '720P', duration: 2 } });
        assert.deepEqual(video, { size: '816x1104', seconds: 2, fps: 30, sound: 'aac' });
    });
    test('audio false', async () => {
        const { sound } = await made({ model: 'wan2.6-i2v-flash', input: { img_url: `${at}/wide.jpg` }, parameters: { resolution: '720P', duration: 2, audio: false } });
        assert.equal(sound, '');
    });
    test('first and last frame on the other path', async () => {
        const { usage, ...video } = await made({ model: 'wan2.2-kf2v-flash', input: { first_frame_url: `${at}/wide.jpg`, last_frame_url: `${at}/tall.png` },
            parameters: { resolution: '480P' } }, 'image2video');
        assert.deepEqual(video, { size: '720x544', seconds: 5, fps: 30, sound: '' });
    });
    test('an edit is as long as the clip, or as it is cut, and keeps its sound', async () => {
        const edit = parameters => made({ model: 'wan2.7-videoedit', input: { prompt: 'red', media: [{ type: 'video', url: `${at}/clip.mp4` }] }, parameters });
        const { usage, ...whole } = await edit({ resolution: '720P' });
        assert.deepEqual(whole, { size: '1280x720', seconds: 3, fps: 30, sound: 'aac' });
        assert.equal(usage.duration, usage.input_video_duration + usage.output_video_duration);
        assert.deepEqual((({ size, seconds }) => [size, seconds])(await edit({ resolution: '720P', duration: 2, ratio: '1:1' })), ['960x960', 2]);
    });
    test('style transform', async () => {
        const { usage, ...video } = await made({ model: 'video-style-transform', input: { video_url: `${at}/clip.mp4` }, parameters: { min_len: 540, video_fps: 20 } });
        assert.deepEqual(video, { size: '960x540', seconds: 3, fps: 20, sound: 'aac' });
        assert.deepEqual([usage.SR, Math.round(usage.duration)], [540, 3]);
    });
    test('VACE is silent, at most 720P, and as long as its clip', async () => {
        const { usage, ...video } = await made({ model: 'wanx2.1-vace-plus', input: { function: 'video_repainting', prompt: 'red', video_url: `${at}/clip.mp4` },
            parameters: { control_condition: 'depth' } });
        assert.deepEqual(video, { size: '640x352', seconds: 3, fps: 30, sound: '' });
    });
    test('the same seed makes the same file', async () => {
        const bytes = async seed => {
            const done = await run({ model: 'pixverse/pixverse-v6-t2v', input: { prompt: 'a kite' }, parameters: { size: '640*360', duration: 1, seed } });
            return Buffer.from(await (await fetch(done.output.video_url)).arrayBuffer());
        };
        assert.deepEqual(await bytes(5), await bytes(5));
        assert.notDeepEqual(await bytes(5), await bytes(6));
    });
});

test('a server that stalls, hangs up or has nothing', { skip: lacks }, async () => {
    const failure = async name => {
        const { output } = await run({ model: 'wan2.6-i2v', input: { img_url: `${at}/${name}` } });
        return [output.task_status, output.code, output.message];
    };
    assert.deepEqual(await failure('stalls.png'), ['FAILED', 'InvalidURL.Timeout', `Download ${at}/stalls.png timeout, check network connection.`]);
    for (const name of ['cut.png', 'nothing.png'])
        assert.deepEqual((await failure(name)).slice(0, 2), ['FAILED', 'BadRequest.InputDownloadFailed']);
});

describe('@ai-sdk/alibaba', { skip: lacks }, () => {
    const alibaba = createAlibaba({ apiKey: KEY, videoBaseURL: box.url });
    const poll = { pollIntervalMs: 200, pollTimeoutMs: 60_000 };
    async function size(video) {
        fs.writeFileSync(path.join(folder, 'ai.mp4'), video.uint8Array);
        const f = await inspect('ai.mp4');
        return [`${f.width}x${f.height}`, f.frames / f.fps];
    }
    const generate = options => generateVideo({ ...options, maxRetries: 0,
        download: async ({ url }) => ({ data: new Uint8Array(await (await fetch(url)).arrayBuffer()), mediaType: 'video/mp4' }) });

    test('of a text, by size and by ratio', async () => {
        const old = await generate({ model: alibaba.video('wan2.6-t2v'), prompt: 'a kite', resolution: '1280x720', duration: 2, providerOptions: { alibaba: poll } });
        assert.deepEqual(await size(old.video), ['1280x720', 2]);
        const now = await generate({ model: alibaba.video('wan2.7-t2v'), prompt: 'a kite', resolution: '720x1280', duration: 2, seed: 1, providerOptions: { alibaba: poll } });
        assert.deepEqual(await size(now.video), ['720x1280', 2]);
    });
    test('of a picture', async () => {
        const { video } = await generate({ model: alibaba.video('wan2.6-i2v'), prompt: { text: 'a kite', image: `${at}/tall.png` },
            resolution: '1280x720', duration: 2, providerOptions: { alibaba: poll } });
        assert.deepEqual(await size(video), ['816x1104', 2]);
    });
    test('a refusal and a failed task are told in the service\'s words', async () => {
        await assert.rejects(generate({ model: alibaba.video('wan2.7-t2v'), prompt: 'a kite', duration: 16, providerOptions: { alibaba: poll } }),
            /The parameter is invalid\./);
        await assert.rejects(generate({ model: alibaba.video('wan2.6-r2v'), prompt: 'a kite', providerOptions: { alibaba: { ...poll, referenceUrls: [`${at}/nothing.png`] } } }),
            /Failed to download the input file/);
    });
});
