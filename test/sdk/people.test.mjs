// Services of people in pictures (media.md §3.15, §4.10-§4.16): each refusal is brought about by a real file, most of them
// photographs that are cut, turned, darkened or combined (test/people_pictures.mjs), and what is made is a real video.

import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { havePeople, medium } from '../people_pictures.mjs';
import { scratch, serve, until } from './server.mjs';

const folder = scratch('people');
let exif_jpg; // a portrait on its side, with a note that says so

// The files that the server downloads.
const stalled = [];
const files = http.createServer((request, answer) => {
    const url = new URL(request.url, 'http://x');
    if (url.pathname === '/gone.jpg') return answer.writeHead(404).end();
    if (url.pathname === '/stall.mp4') return stalled.push(answer.writeHead(200, { 'content-length': 1000 }));
    const name = url.pathname.slice(1);
    answer.end(name === 'exif.jpg' ? exif_jpg : medium(name, decodeURIComponent(url.search.slice(1))));
});
await new Promise(resolve => files.listen(0, '127.0.0.1', resolve));
after(() => { files.closeAllConnections(); files.close(); });
const at = (name, how = '') => `http://127.0.0.1:${files.address().port}/${name}${how && `?${encodeURIComponent(how)}`}`;
const closed = await new Promise(resolve => {
    const server = http.createServer().listen(0, '127.0.0.1', () => { const { port } = server.address(); server.close(() => resolve(port)); });
});

const skip = havePeople ? false : 'the npm packages of engines/people are not installed';
const box = await serve({ config: 'fetch: { allow: 127.0.0.0/8 }\n' });

async function call(where, body, headers = {}) {
    const answer = await fetch(`${box.native}${where}`, { method: body ? 'POST' : 'GET', body: body && JSON.stringify(body),
        headers: { authorization: `Bearer ${box.key}`, 'content-type': 'application/json', ...headers } });
    return { status: answer.status, ...await answer.json() };
}

const VIDEO = '/services/aigc/image2video/video-synthesis';

async function run(model, input, parameters = {}, where = VIDEO) {
    const created = await call(where, { model, input, parameters }, { 'x-dashscope-async': 'enable' });
    assert.equal(created.status, 200, JSON.stringify(created));
    return until(async () => {
        const answer = await call(`/tasks/${created.output.task_id}`);
        return ['SUCCEEDED', 'FAILED'].includes(answer.output.task_status) && answer;
    }, `the end of a task of ${model}`, 40_000);
}

const detect = (model, image_url, parameters = {}, where = '/services/aigc/image2video/face-detect') =>
    call(where, { model, input: { image_url }, parameters });

const refused = async (code, message, model, ...more) => {
    const { status, code: got, message: said } = await call(VIDEO, { model, input: more[0], parameters: more[1] ?? {} },
        { 'x-dashscope-async': 'enable' });
    assert.deepEqual([status, got, said], [400, code, message]);
};

const failed = async (code, message, model, input, parameters, where) => {
    const { output } = await run(model, input, parameters, where);
    assert.deepEqual([output.task_status, output.code, output.message], ['FAILED', code, message]);
};

async function video(url) {
    const answer = await fetch(url);
    assert.equal(answer.status, 200);
    const file = path.join(folder, 'answer.mp4');
    fs.writeFileSync(file, Buffer.from(await answer.arrayBuffer()));
    execFileSync('ffmpeg', ['-v', 'error', '-xerror', '-i', file, '-f', 'null', '-']); // all of it can be decoded
    const { streams } = JSON.parse(execFileSync('ffprobe', ['-v', 'error', '-of', 'json', '-show_streams', file]));
    const pictures = streams.find(stream => stream.codec_type === 'video'), sound = streams.find(stream => stream.codec_type === 'audio');
    assert.equal(pictures.codec_name, 'h264');
    return { width: pictures.width, height: pictures.height, seconds: Number(pictures.duration), fps: eval(pictures.r_frame_rate),
        sound: sound?.codec_name };
}

const PERSON = {
    E106: ['InvalidFile.NoHuman', 'The input image has no human body. Upload another image with single person.'],
    E107: ['InvalidFile.BodyProportion', 'The proportion of the detected person in the picture is too large or too small, upload another image.'],
    E108: ['InvalidFile.FacePose', 'The pose of the detected face is invalid, upload another image with whole face and expected orientation.'],
    E109: ['InvalidFile.FacePose', 'The pose of the detected face is invalid, upload another image with the expected oriention.'],
    E110: ['InvalidFile.FacePose', 'The pose of the detected face is invalid, upload another image with the expected orientation.'],
    E111: ['InvalidFile.Resolution', 'The image resolution is invalid, make sure that the largest length of image is smaller than 7000, and the smallest length of image is larger than 400.'],
    E112: ['InvalidFile.Resolution', 'The image resolution is invalid, make sure that the largest length of image is smaller than 4096, and the smallest length of image is larger than 224.'],
    E117: ['InvalidFile.Value', 'The value of the image is invalid, upload other clearer image.'],
    E118: ['InvalidFile.FrontBody', 'The pose of the detected person is invalid, upload another image with the front view.'],
    E119: ['InvalidFile.FullFace', 'The pose of the detected face is invalid, upload another image with whole face.'],
    E124: ['InvalidFile.Content', 'The input image has no human body or multi human bodies. Upload another image with single person.'],
    E128: ['InvalidFile.FullBody', 'The pose of the detected person is invalid, upload another image with whole body, or change the ratio parameter to 1:1.'],
    E129: ['InvalidFile.BodyPose', 'The pose of the detected person is invalid, upload another image with whole body and expected orientation.'],
    E140: ['InvalidFile.MultiHuman', 'The input image has multi human bodies. Upload another image with single person.'],
};

const inside = ([left, top, right, bottom], width, height) => left >= 0 && top >= 0 && left < right && top < bottom && right <= width && bottom <= height;

describe('who is in a picture', { skip }, () => {
    test('EMO finds a face and the area that moves', async () => {
        for (const [ratio, shape] of [['1:1', 1], ['3:4', 3 / 4]]) {
            const { status, output, usage } = await detect('emo-detect-v1', at('portrait.jpg'), { ratio });
            assert.equal(status, 200);
            assert.equal(output.check_pass, true, JSON.stringify(output));
            assert(inside(output.face_bbox, 620, 900) && inside(output.ext_bbox, 620, 900));
            const [left, top, right, bottom] = output.ext_bbox;
            assert(Math.abs((right - left) / (bottom - top) - shape) < 0.01, `${output.ext_bbox}`);
            assert(left <= output.face_bbox[0] && right >= output.face_bbox[2]);
            assert.equal(output.humanoid, true);
            assert.deepEqual(usage, { image_count: 1 });
        }
    });

    for (const [id, picture, ratio = '1:1'] of [['E106', 'nobody.jpg'], ['E140', 'several.jpg'], ['E107', 'small.jpg'], ['E108', 'turned.jpg'],
        ['E119', 'cut.jpg'], ['E117', 'dark.jpg'], ['E128', 'face.jpg', '3:4'], ['E111', 'another.jpg?scale=300:-2']])
        test(`EMO refuses with ${id}: ${picture}`, async () => {
            const { status, output, usage } = await detect('emo-detect-v1', at(...picture.split('?')), { ratio });
            assert.equal(status, 200);
            assert.deepEqual([output.check_pass, output.code, output.message], [false, ...PERSON[id]]);
            assert.deepEqual(usage, { image_count: 1 });
        });

    test('Emoji names its boxes otherwise, and wants its ratio', async () => {
        const passed = await detect('emoji-detect-v1', at('portrait.jpg'), { ratio: '1:1' });
        assert.deepEqual(Object.keys(passed.output), ['bbox_face', 'ext_bbox_face']);
        assert(inside(passed.output.ext_bbox_face, 620, 900));
        const turned = await detect('emoji-detect-v1', at('turned.jpg'), { ratio: '1:1' });
        assert.deepEqual(turned.output, { code: PERSON.E109[0], message: PERSON.E109[1] });
        assert.deepEqual(turned.usage, { image_count: 1 });
        for (const parameters of [{}, { ratio: '3:4' }]) {
            const { status, message } = await detect('emoji-detect-v1', at('portrait.jpg'), parameters);
            assert.deepEqual([status, message], [400, 'The request parameter is invalid, check the request parameter.']); // E082
        }
        const { status, message } = await call('/services/aigc/image2video/face-detect',
            { model: 'emoji-detect-v1', input: {}, parameters: { ratio: '1:1' } });
        assert.deepEqual([status, message], [400, 'Field required: image_url']);
    });

    test('LivePortrait says only whether it does', async () => {
        const { output, usage } = await detect('liveportrait-detect', at('portrait.jpg'));
        assert.deepEqual(output, { message: '', pass: true });
        assert.deepEqual(usage, { image_count: 1 });
        assert.deepEqual((await detect('liveportrait-detect', at('nobody.jpg'))).output, { pass: false, message: 'No human face detected.' });
    });

    test('s2v refuses a head that is turned', async () => {
        assert.deepEqual((await detect('wan2.2-s2v-detect', at('portrait.jpg'))).output, { check_pass: true, humanoid: true });
        const { output } = await detect('wan2.2-s2v-detect', at('turned.jpg'));
        assert.deepEqual(output, { check_pass: false, humanoid: true, code: PERSON.E110[0], message: PERSON.E110[1] });
        assert.equal((await detect('wan2.2-s2v-detect', at('nobody.jpg'))).output.humanoid, false);
    });

    const AA = '/services/aigc/image2video/aa-detect';
    test('AnimateAnyone tells a whole body from half of one', async () => {
        assert.deepEqual((await detect('animate-anyone-detect-gen2', at('body.jpg'), {}, AA)).output, { check_pass: true, bodystyle: 'full' });
        assert.deepEqual((await detect('animate-anyone-detect-gen2', at('half.jpg'), {}, AA)).output, { check_pass: true, bodystyle: 'half' });
    });

    for (const [id, picture] of [['E124', 'several.jpg'], ['E124', 'nobody.jpg'], ['E118', 'back.jpg'], ['E129', 'sitting.jpg'], ['E129', 'legs_cut.jpg'],
        ['E107', 'small_body.jpg'], ['E117', 'dark_body.jpg'], ['E112', 'body.jpg?scale=200:200']])
        test(`AnimateAnyone refuses with ${id}: ${picture}`, async () => {
            const { status, output } = await detect('animate-anyone-detect-gen2', at(...picture.split('?')), {}, AA);
            assert.equal(status, 200);
            assert.deepEqual(output, { check_pass: false, code: PERSON[id][0], message: PERSON[id][1], reason: PERSON[id][1] });
        });

    test('FaceChain judges each picture', async () => {
        const { status, output, usage } = await call('/services/vision/facedetection/detect', { model: 'facechain-facedetect',
            input: { images: [at('portrait.jpg'), at('nobody.jpg'), at('several.jpg')] }, parameters: {} });
        assert.equal(status, 200);
        assert.deepEqual(output, { is_face: [true, false, true], failed_reason: ['', 'no face detected', ''] });
        assert.deepEqual(usage, { image_count: 3 });
    });

    test('a picture that lies on its side by its Exif is looked at upright', async () => {
        const turned = execFileSync('ffmpeg', ['-v', 'error', '-f', 'jpeg_pipe', '-i', '-', '-vf', 'transpose=2', '-f', 'mjpeg', '-q:v', '2', '-'],
            { input: medium('portrait.jpg') });
        const exif = Buffer.from('ffe1002245786966000049492a00080000000100120103000100000006000000' + '00000000', 'hex');
        exif_jpg = Buffer.concat([turned.subarray(0, 2), exif, turned.subarray(2)]);
        const { output } = await detect('emo-detect-v1', at('exif.jpg'));
        assert.equal(output.check_pass, true, JSON.stringify(output));
        assert(inside(output.ext_bbox, 620, 900), `${output.ext_bbox}`);
    });

    test('what cannot be downloaded is no verdict', async () => {
        const { status, code } = await detect('emo-detect-v1', at('gone.jpg'));
        assert.deepEqual([status, code], [400, 'BadRequest.InputDownloadFailed']);
    });
});

describe('a picture that speaks', { skip }, () => {
    test('EMO: as long as the sound, in the shape of the area', async () => {
        for (const [ext_bbox, width, height, ratio] of [[[0, 0, 600, 600], 512, 512, '1:1'], [[0, 0, 600, 800], 512, 704, '3:4']]) {
            const { output, usage } = await run('emo-v1', { image_url: at('portrait.jpg'), audio_url: at('sine.wav', '2'), face_bbox: [171, 52, 454, 335],
                ext_bbox }, { style_level: 'calm' });
            assert.equal(output.task_status, 'SUCCEEDED', JSON.stringify(output));
            assert.deepEqual(await video(output.results.video_url), { width, height, seconds: 2, fps: 25, sound: 'aac' });
            assert.deepEqual(usage, { video_duration: 2, video_ratio: ratio });
        }
    });

    test('EMO refuses', async () => {
        const good = { image_url: at('portrait.jpg'), audio_url: at('sine.wav', '2'), face_bbox: [171, 52, 454, 335], ext_bbox: [0, 0, 600, 600] };
        await refused('InvalidParameter', 'The style_level is invalid.', 'emo-v1', good, { style_level: 'wild' });
        await failed(...PERSON.E111, 'emo-v1', { ...good, image_url: at('portrait.jpg', 'scale=200:-2') });
        await failed('InvalidURL', 'The input audio is longer than 60s.', 'emo-v1', { ...good, audio_url: at('sine.mp3', '61') });
        await failed('InvalidURL', 'File size is larger than 15MB.', 'emo-v1', { ...good, audio_url: at('large.wav', '15728640') });
        await failed('InvalidURL', 'File type is not supported. Allowed types are: .wav, .mp3.', 'emo-v1', { ...good, audio_url: at('sine.ogg', '2') });
    });

    test('LivePortrait', async () => {
        const good = { image_url: at('portrait.jpg'), audio_url: at('sine.mp3', '2') };
        const { output, usage } = await run('liveportrait', good, { video_fps: 20, template_id: 'active' });
        assert.equal(output.task_status, 'SUCCEEDED', JSON.stringify(output));
        const is = await video(output.results.video_url);
        assert.deepEqual([is.width, is.height, is.fps, is.sound], [620, 900, 20, 'aac']);
        assert.deepEqual(usage, { video_duration: is.seconds, video_ratio: 'standard' });
        await refused('InvalidParameter', 'The type or value of video_fps is out of definition.', 'liveportrait', good, { video_fps: 60 });
        await refused('InvalidParameter', 'The type or value of eye_move_freq is out of definition.', 'liveportrait', good, { eye_move_freq: 'often' });
        await failed('InvalidImage.NoHumanFace', 'No human face detected.', 'liveportrait', { ...good, image_url: at('nobody.jpg') });
        await failed('InternalError.Algo', 'Inference error: Inference error.', 'liveportrait', { ...good, image_url: at('cut.jpg') });
        await failed('InvalidImage.ImageSize', 'The size of image is beyond limit.', 'liveportrait', { ...good, image_url: at('portrait.jpg', 'scale=1600:600') });
        await failed('InvalidParameter', 'the size of input image is too small or too large.', 'liveportrait', { ...good, image_url: at('padded.jpg', '10485760') });
        await failed('InvalidParameter', 'Input files format not supported.', 'liveportrait', { ...good, image_url: at('portrait.gif') });
        await failed('InvalidImage.FileFormat', 'Invalid image type. Ensure the uploaded file is a valid image.', 'liveportrait', { ...good, image_url: at('text.jpg') });
        await failed('InvalidParameter', 'Failed to download input files.', 'liveportrait', { ...good, image_url: at('gone.jpg') });
        await failed('InvalidFile.AudioLengthError', 'Audio length must be between 1s and 180s.', 'liveportrait', { ...good, audio_url: at('sine.mp3', '0.5') });
    });

    test('s2v', async () => {
        const good = { image_url: at('portrait.jpg'), audio_url: at('sine.wav', '2') };
        const { output, usage } = await run('wan2.2-s2v', good, { resolution: '480P', style: 'speech' });
        assert.equal(output.task_status, 'SUCCEEDED', JSON.stringify(output));
        const is = await video(output.results.video_url);
        assert.deepEqual(usage, { duration: 2, size: `${is.width}*${is.height}`, fps: 16, video_count: 1, SR: 480 });
        assert(Math.abs(is.width * is.height / (832 * 480) - 1) < 0.02 && Math.abs(is.width / is.height - 620 / 900) < 0.01);
        await failed('InvalidURL', 'Required URL is missing or invalid, check the request URL.', 'wan2.2-s2v', { ...good, image_url: at('gone.jpg') });
        await failed('InvalidURL', 'The input audio is longer than 20s.', 'wan2.2-s2v', { ...good, audio_url: at('sine.mp3', '21') });
        await failed('InvalidURL', 'File size is larger than 15MB.', 'wan2.2-s2v', { ...good, audio_url: at('large.wav', '15728640') });
        await failed('InvalidURL', 'File type is not supported. Allowed types are: .wav, .mp3.', 'wan2.2-s2v', { ...good, audio_url: at('sine.flac', '2') });
    });
});

describe('a picture that moves', { skip }, () => {
    test('Emoji', async () => {
        const good = { image_url: at('portrait.jpg'), driven_id: 'mengwa_kaixin', face_bbox: [171, 52, 454, 335], ext_bbox: [0, 0, 600, 600] };
        const { output, usage } = await run('emoji-v1', good);
        assert.equal(output.task_status, 'SUCCEEDED', JSON.stringify(output));
        assert.equal((await video(output.video_url)).seconds, 2);
        assert.deepEqual(usage, { video_duration: 2, video_ratio: 'standard' });
        await refused('InvalidParameter', 'Driven not exist: nobody.', 'emoji-v1', { ...good, driven_id: 'nobody' });
        await refused('InvalidParameter', 'Invalid ext_bbox.', 'emoji-v1', { ...good, ext_bbox: [600, 0, 0, 600] });
        await refused('InvalidParameter', 'Field required: image_url', 'emoji-v1', { ...good, image_url: undefined });
        await refused('InvalidParameter', 'Field required: driven_id', 'emoji-v1', { ...good, driven_id: undefined });
        await failed('InvalidFile.Size', 'Invalid file size. The video/audio/image file size must be less than 10MB.', 'emoji-v1',
            { ...good, image_url: at('padded.jpg', '10485760') });
    });

    const TEMPLATE = '/services/aigc/image2video/aa-template-generation';
    const template = (name, how) => run('animate-anyone-template-gen2', { video_url: at(name, how) }, {}, TEMPLATE);
    const bad_template = (code, message, name, how) => failed(code, message, 'animate-anyone-template-gen2', { video_url: at(name, how) }, {}, TEMPLATE);

    test('AnimateAnyone: movements are kept and used', async () => {
        const kept = await template('body.mp4', '3,25,scale=720:720');
        assert.equal(kept.output.task_status, 'SUCCEEDED', JSON.stringify(kept.output));
        assert.match(kept.output.template_id, /^AACT\.\w+\.\w+-\w+\.\w+$/);
        assert.deepEqual(kept.usage, { video_duration: 3, video_ratio: 'standard' });
        const good = { image_url: at('body.jpg'), template_id: kept.output.template_id };
        const { output, usage } = await run('animate-anyone-gen2', good, { use_ref_img_bg: true, video_ratio: '3:4' });
        assert.equal(output.task_status, 'SUCCEEDED', JSON.stringify(output));
        assert.deepEqual(await video(output.video_url), { width: 768, height: 1024, seconds: 3, fps: 24, sound: undefined });
        assert.deepEqual(usage, { video_duration: 3, video_ratio: 'standard' });
        await refused('InvalidParameter', 'parameters.video_ratio must be 9:16 or 3:4.', 'animate-anyone-gen2', good, { use_ref_img_bg: true, video_ratio: '1:1' });
        await failed('InvalidFile.Template.Content', 'Invalid template content.', 'animate-anyone-gen2',
            { ...good, template_id: 'AACT.01234567.89ab89ab-0123.0123456789ab' });
        await failed(...PERSON.E124, 'animate-anyone-gen2', { ...good, image_url: at('nobody.jpg') });
        await failed('InvalidFile.Content', 'The input image has multi human bodies. Upload another image with single person.', 'animate-anyone-gen2',
            { ...good, image_url: at('several.jpg') }); // E126
        await failed('InvalidFile.AspectRatio', 'Invalid file ratio. The file aspect ratio (height/width) must be between 2.0 and 0.5.', 'animate-anyone-gen2',
            { ...good, image_url: at('body.jpg', 'crop=400:1200') });
        await failed('InvalidFile.ImageSize', 'The size of image is beyond limit.', 'animate-anyone-gen2', { ...good, image_url: at('body.jpg', 'scale=4200:4200') });
        await failed('InvalidFile.Size', 'Invalid file size, The image file size must be smaller than 5MB.', 'animate-anyone-gen2',
            { ...good, image_url: at('padded.jpg', '5242880') });
    });

    test('AnimateAnyone refuses clips', async () => {
        await bad_template('InvalidFile.Content', 'The first frame of input video has no human body. Please choose another clip.', 'nobody.mp4', '3,25,scale=720:-2');
        await bad_template('InvalidFile.Content', 'The human is too small in the first frame of input video. Please choose another clip.', 'small_body.mp4', '3,25,scale=720:-2');
        await bad_template('InvalidFile.Content', 'The human is not clear in the first frame of input video. Please choose another clip.', 'blurred_body.mp4', '3,25,scale=1200:-2');
        await bad_template('InvalidFile.FullBody', 'The human is not fullbody in the first frame of input video. Please choose another clip.', 'legs_cut.mp4', '3,25,scale=720:-2');
        await bad_template('InvalidFile.Duration', 'Invalid file duration. The file duration must be 2 s ~ 60 s.', 'body.mp4', '1,25,scale=720:-2');
        await bad_template('InvalidFile.Resolution', 'Invalid video resolution. The height or width of video must be 200 ~ 2048.', 'body.mp4', '3,25,scale=160:160');
        await bad_template('InvalidFile.AspectRatio', 'Invalid file ratio. The file aspect ratio (height/width) must be between 3:1 and 1:3.', 'body.mp4', '3,25,scale=240:960');
        await bad_template('InvalidFile.Format', 'Invalid file format,the request file format is one of the following types: MP4, AVI, MOV, MP3, WAV, AAC, JPEG, JPG, PNG, BMP, and WEBP.',
            'body.webm', '3,25,scale=720:-2');
        await bad_template('InvalidFile.Openerror', 'Invalid file, cannot open file as video/audio/image.', 'text.mp4', '');
        await bad_template('InvalidFile.Size', 'Invalid file size. The video file size must be less than 200MB, and the audio file size must be less than 15MB.',
            'large.mp4', '209715200');
    });

    test('animate-move and animate-mix', async () => {
        const good = { image_url: at('half.jpg'), video_url: at('body.mp4', '2.5,24,scale=480:-2') };
        for (const [model, width, height] of [['wan2.2-animate-move', 1200, 700], ['wan2.2-animate-mix', 480, 480]]) {
            const { output, usage } = await run(model, good, { mode: 'wan-pro' });
            assert.equal(output.task_status, 'SUCCEEDED', JSON.stringify(output));
            const is = await video(output.results.video_url);
            assert.deepEqual([is.width, is.height, is.seconds], [width, height, 2.5]);
            assert.deepEqual(usage, { video_duration: 2.5, video_ratio: 'pro' });
        }
        await failed('InvalidFile.Resolution', 'The image resolution is invalid, make sure that the largest length of image is smaller than 4096, and the smallest length of image is larger than 200.',
            'wan2.2-animate-move', { ...good, image_url: at('half.jpg', 'scale=190:-2') }, { mode: 'wan-std' });
        await failed(...PERSON.E124, 'wan2.2-animate-move', { ...good, image_url: at('nobody.jpg') }, { mode: 'wan-std' });
        const unasked = await run('wan2.2-animate-move', { ...good, image_url: at('nobody.jpg') }, { mode: 'wan-std', check_image: false });
        assert.equal(unasked.output.task_status, 'SUCCEEDED');
    });
});

describe('try-on', { skip }, () => {
    test('a garment lies on the torso that is seen', async () => {
        const { output } = await run('aitryon', { person_image_url: at('body.jpg'), top_garment_url: at('portrait.jpg', 'scale=300:480,lutrgb=r=255:g=val*0.2:b=val*0.2') },
            {}, '/services/aigc/image2image/image-synthesis');
        assert.equal(output.task_status, 'SUCCEEDED', JSON.stringify(output));
        const picture = Buffer.from(await (await fetch(output.image_url)).arrayBuffer());
        const raw = execFileSync('ffmpeg', ['-v', 'error', '-i', '-', '-vf', 'scale=1200:1200', '-f', 'rawvideo', '-pix_fmt', 'rgb24', '-'],
            { input: picture, maxBuffer: 1 << 28 });
        const red = (x, y) => { const [r, g] = raw.subarray(3 * (1200 * y + x)); return r > 180 && g < 80; };
        assert(red(605, 260) && red(605, 480), 'between shoulders and hips');
        assert(!red(605, 100) && !red(605, 800) && !red(350, 400), 'and nowhere else');
    });
});

describe('a video that speaks', { skip }, () => {
    const good = () => ({ video_url: at('portrait.mp4', '3,25,scale=640:928'), audio_url: at('sine.wav', '2') });

    test('VideoRetalk: as long as the shorter, or as its sound', async () => {
        for (const [video_extension, audio, seconds] of [[false, '2', 2], [false, '4', 3], [true, '4', 4]]) {
            const { output, usage } = await run('videoretalk', { ...good(), audio_url: at('sine.wav', audio) }, { video_extension });
            assert.equal(output.task_status, 'SUCCEEDED', JSON.stringify(output));
            assert.deepEqual(await video(output.video_url), { width: 640, height: 928, seconds, fps: 25, sound: 'aac' });
            assert.deepEqual(usage, { video_duration: seconds, size: '640*928', video_ratio: 'standard', fps: 25 });
        }
    });

    test('VideoRetalk finds the face of the reference', async () => {
        const same = await run('videoretalk', { ...good(), ref_image_url: at('portrait.jpg') });
        assert.equal(same.output.task_status, 'SUCCEEDED', JSON.stringify(same.output));
        await failed('InvalidFile.FaceNotMatch', 'There are no matched face in the video with the provided reference image.', 'videoretalk',
            { ...good(), ref_image_url: at('another.jpg') });
        await failed(...PERSON.E124, 'videoretalk', { ...good(), ref_image_url: at('several.jpg') });
        await failed('InvalidFile.ImageSize', 'The size of image is beyond limit.', 'videoretalk', { ...good(), ref_image_url: at('portrait.jpg', 'scale=1600:600') });
    });

    test('VideoRetalk refuses', async () => {
        const length = 'Invalid file duration. The video/audio file duration must be 2s ~ 120s.';
        await failed('InvalidFile.Duration', length, 'videoretalk', { ...good(), audio_url: at('sine.wav', '1') });
        await failed('InvalidFile.Duration', length, 'videoretalk', { ...good(), video_url: at('portrait.mp4', '1,25,scale=640:928') });
        await failed('InvalidFile.Resolution', 'Invalid video resolution. The height or width of video must be 640 ~ 2048.', 'videoretalk',
            { ...good(), video_url: at('portrait.mp4', '3,25,scale=320:464') });
        await failed('InvalidFile.FPS', 'Invalid video FPS. The video FPS must be 15 ~ 60.', 'videoretalk', { ...good(), video_url: at('portrait.mp4', '3,10,scale=640:928') });
        await failed('InvalidFile.Size', 'Invalid file size. The video/audio/image file size must be less than 30MB.', 'videoretalk',
            { ...good(), audio_url: at('large.wav', '31457280') });
        await failed('InvalidURL.ConnectionRefused', `Connection to http://127.0.0.1:${closed}/v.mp4 refused, please provide available URL.`, 'videoretalk',
            { ...good(), video_url: `http://127.0.0.1:${closed}/v.mp4` });
        await refused('InvalidParameter', 'The request is missing required parameters or the parameters are out of the specified range, check the parameters that you send.',
            'videoretalk', good(), { query_face_threshold: 90 });
    });
});
