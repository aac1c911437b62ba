// The text in pictures: what the stand-in says of a picture, Qwen-OCR's tasks, and moderation by what is written in it (E078, E101). The
// pictures are written on with ffmpeg, the engine is dashbox-ocr.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { KEY, scratch, serve, until } from './server.mjs';

const folder = scratch('ocr');
const skip = fs.existsSync(path.join(path.dirname(process.env.DASHBOX ?? 'build/dashbox'), 'engines/ocr/dashbox-ocr')) ? false : 'dashbox-ocr is not built';

function written(colour, ...lines) {
    const file = path.join(folder, `${colour}-${lines.length}.png`);
    const draw = lines.map((text, i) => {
        fs.writeFileSync(`${file}.${i}`, text);
        return `drawtext=font=WenQuanYi Micro Hei:fontcolor=black:fontsize=40:x=40:y=${40 + 110 * i}:textfile=${file}.${i}`;
    });
    execFileSync('ffmpeg', ['-v', 'error', '-y', '-f', 'lavfi', '-i', `color=${colour}:s=640x${Math.max(520, 110 * lines.length + 40)}`,
        '-frames:v', '1', ...draw.length ? ['-vf', draw.join(',')] : [], file]);
    return `data:image/png;base64,${fs.readFileSync(file).toString('base64')}`;
}

fs.writeFileSync(path.join(folder, 'rules.txt'), 'input: casino\noutput: seed 4713\n');
const box = await serve({ config: `moderation: { rules: ${path.join(folder, 'rules.txt')} }\n` });

async function call(where, body, headers = {}) {
    const answer = await fetch(where, { method: body ? 'POST' : 'GET', body: body && JSON.stringify(body),
        headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...headers } });
    return { status: answer.status, ...await answer.json() };
}

const chat = (model, image, text) => call(`${box.compatible}/chat/completions`, { model,
    messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: image } }, { type: 'text', text }] }] });
const ocr = async (image, task, task_config) => (await call(`${box.native}/services/aigc/multimodal-generation/generation`, { model: 'qwen-vl-ocr',
    input: { messages: [{ role: 'user', content: [{ image }] }] }, parameters: { ocr_options: { task, task_config } } })).output.choices[0].message.content[0];

describe('text in pictures', { skip }, () => {
    const letter = written('yellow', 'Name: Spring sale', '杭州风景');

    test('the stand-in says what is in a picture, and the same again', async () => {
        const answers = [await chat('qwen-vl-max', letter, 'What is it?'), await chat('qwen-vl-max', letter, 'What is it?')].map(a => a.choices[0].message.content);
        assert.match(answers[0], /^dashbox stand-in: What is it\? \[picture 1: png, 640 x 520 pixels, yellow \d+ %(, 0 faces)?, text "Name: Spring sale \/ 杭州风景"\]$/);
        assert.equal(answers[1], answers[0]);
        assert.match((await chat('qwen-vl-max', written('red'), 'And this?')).choices[0].message.content, /\[picture 1: png, 640 x 520 pixels, red 100 %(, 0 faces)?, no text\]$/);
    });

    test('OCR models answer with the text that is there', async () => {
        assert.equal((await chat('qwen-vl-ocr', letter, 'Read it.')).choices[0].message.content, 'Name: Spring sale\n杭州风景');
        assert.equal((await ocr(letter, 'text_recognition')).text, 'Name: Spring sale\n杭州风景');
    });

    test('advanced_recognition has each line and its place', async () => {
        const { words_info } = (await ocr(letter, 'advanced_recognition')).ocr_result;
        assert.deepEqual(words_info.map(word => word.text), ['Name: Spring sale', '杭州风景']);
        for (const [i, { location: [left, top, , , right, bottom] }] of words_info.entries()) {
            assert.ok(left > 35 && left < 50 && right > 150 && right < 420, `${left} ${right}`);
            assert.ok(top > 30 + 110 * i && bottom < 100 + 110 * i, `${top} ${bottom}`);
        }
    });

    test('key_information_extraction takes what stands behind a name', async () => {
        assert.deepEqual((await ocr(letter, 'key_information_extraction', { result_schema: { Name: '', Date: '' } })).ocr_result.kv_result,
            { Name: 'Spring sale', Date: 'dashbox stand-in' });
    });

    test('E078: an image service refuses a picture in which a rule finds a text', async () => {
        const run = async image_url => {
            const { output } = await call(`${box.native}/services/aigc/image2image/out-painting`,
                { model: 'image-out-painting', input: { image_url }, parameters: { x_scale: 1.5 } }, { 'X-DashScope-Async': 'enable' });
            return until(async () => {
                const answer = await call(`${box.native}/tasks/${output.task_id}`);
                return ['SUCCEEDED', 'FAILED'].includes(answer.output.task_status) && answer.output;
            }, 'the end of the task', 60_000);
        };
        const bad = await run(written('white', 'Big Casino tonight'));
        assert.deepEqual([bad.task_status, bad.code, bad.message],
            ['FAILED', 'InvalidParameter', 'The image content does not comply with green network verification.']);
        assert.equal((await run(letter)).task_status, 'SUCCEEDED');
    });

    test('E100c: of several results those that are refused have failed, each by itself', async () => {
        const run = async (n, seed) => {
            const { output } = await call(`${box.native}/services/aigc/text2image/image-synthesis`, { model: 'wan2.2-t2i-flash', input: { prompt: 'a kite' },
                parameters: { n, seed, size: '1024*1024' } }, { 'X-DashScope-Async': 'enable' });
            return until(async () => {
                const answer = await call(`${box.native}/tasks/${output.task_id}`);
                return ['SUCCEEDED', 'FAILED'].includes(answer.output.task_status) && answer;
            }, 'the end of the task', 60_000);
        };
        const { output, usage } = await run(3, 4712);
        assert.equal(output.task_status, 'SUCCEEDED');
        assert.deepEqual(output.results.map(one => one.code ?? 'made'), ['made', 'DataInspectionFailed', 'made']);
        assert.equal(output.results[1].message, 'Output data may contain inappropriate content.');
        assert.deepEqual(output.task_metrics, { TOTAL: 3, SUCCEEDED: 2, FAILED: 1 });
        assert.equal(usage.image_count, 2);
        const all = await run(1, 4713);
        assert.deepEqual([all.output.task_status, all.output.code, all.output.message],
            ['FAILED', 'DataInspectionFailed', 'Output data may contain inappropriate content.']);
    });

    test('E101: and so does chat', async () => {
        const bad = await chat('qwen-vl-max', written('white', 'Big Casino tonight'), 'What is it?');
        assert.deepEqual([bad.status, bad.error.message, bad.error.code],
            [400, 'Input image data may contain inappropriate content.', 'data_inspection_failed']);
        assert.equal((await chat('qwen-vl-max', letter, 'What is it?')).status, 200);
    });
});
