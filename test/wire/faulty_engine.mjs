// An engine that speaks the OpenAI protocol and misbehaves when asked to. The last user message says how, or the first text
// of embeddings, or the query of rerank, as the words after "engine:":
//
//   ok TEXT             answers TEXT, whole or streamed; at …/completions, where `prompt` says it, as text_completion
//   status N            HTTP status N with an error object of the OpenAI form
//   plain N             HTTP status N with a line of text
//   long N | both N     HTTP status 400: the prompt, or it and max_tokens, exceed a context of N tokens, as vLLM says it
//   close               closes the connection instead of answering
//   cut head | cut body | cut stream     ends the connection in the middle of that
//   head garbage        an answer that is not HTTP
//   html | empty | nothing | choices     200 with HTML; without a body; {}; an empty list of choices
//   redirect            302
//   late                no answer at all
//   stall               a stream that stops after two words; a whole answer that stops in its body
//   error N             200 with an error object that names status N; in a stream after two words
//   badcall             a tool call whose arguments are not JSON
//   abort | filter      finish_reason "abort", "content_filter"
//   call                a call of f({"a": 1}), in a stream in pieces
//   calls [WHAT]        calls of f({"a": 1}) and g({"b": "}"}), streamed with their pieces in turn; among: with text and reasoning
//                       among them; error: it breaks off amid them
//   paced MS WORDS      a stream of the words, so far apart
//   turn                says how often it has been asked so
//   flaky               status 429 at the first time and every other
//   vectors WHAT        embeddings [i, 1] of each text, or: swapped (in the other order), base64, few (one is missing),
//                       ragged (of different lengths), words (no numbers)
//   ranks WHAT          as many results as documents, the last the best, or: logits (any numbers), list (no object), twice (one
//                       document again), beyond (of no document)
//   echo                repeats the Authorization and X-Api-Key headers, and sets a cookie
//
// start() resolves to {url, close()}.

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import { mediumLater } from '../people_pictures.mjs';

const chunk = (delta, finish = null) => `data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1,
    model: 'theirs', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const whole = (message, finish = 'stop') => JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion', created: 1,
    model: 'theirs', choices: [{ index: 0, message: { role: 'assistant', content: '', ...message }, finish_reason: finish }],
    usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } });

// …/completions, whose pieces have `text`.
function complete(text, asked, answer, json, stream) {
    const piece = (part, finish) => ({ id: 'cmpl-1', object: 'text_completion', created: 1, model: 'theirs',
        choices: [{ index: 0, text: part, logprobs: null, finish_reason: finish }] });
    const usage = { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 };
    if (!asked.stream) return json(200, JSON.stringify({ ...piece(text, 'stop'), usage }));
    stream();
    for (const word of text.split(/(?<= )/)) answer.write(`data: ${JSON.stringify(piece(word, null))}\n\n`);
    answer.write(`data: ${JSON.stringify(piece('', 'stop'))}\n\n`);
    answer.write(`data: ${JSON.stringify({ ...piece('', null), choices: [], usage })}\n\n`);
    return answer.end('data: [DONE]\n\n');
}

const times = new Map(); // that the same words have come

function behave(words, asked, answer, request) {
    const [kind, detail, ...more] = words;
    const rest = words.slice(1).join(' ');
    const socket = answer.socket;
    const json = (status, text) => { answer.writeHead(status, { 'content-type': 'application/json' }); answer.end(text); };
    const stream = () => { answer.writeHead(200, { 'content-type': 'text/event-stream' }); };
    const two_words = () => { stream(); answer.write(chunk({ role: 'assistant', content: '' })); answer.write(chunk({ content: 'one ' }));
        answer.write(chunk({ content: 'two' })); };
    const cut = () => setTimeout(() => socket.destroy(), 20);
    const broken_body = () => { answer.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' });
        answer.write('{"choices":[{"index":0,"message":{"role":"assistant","content":"on'); };
    switch (kind) {
    case 'ok':
        if (asked.prompt !== undefined) return complete(rest, asked, answer, json, stream);
        if (!asked.stream) return json(200, whole({ content: rest }));
        stream();
        answer.write(chunk({ role: 'assistant', content: '' }));
        for (const word of rest.split(/(?<= )/)) answer.write(chunk({ content: word }));
        answer.write(chunk({}, 'stop'));
        answer.write(`data: ${JSON.stringify({ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'theirs', choices: [],
            usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } })}\n\n`);
        return answer.end('data: [DONE]\n\n');
    case 'status':
        return json(Number(detail), JSON.stringify({ error: { message: 'the engine says no', type: 'server_error', param: null, code: null } }));
    case 'plain':
        answer.writeHead(Number(detail), { 'content-type': 'text/plain' });
        return answer.end('no\n');
    case 'long':
    case 'both': {
        const used = kind === 'long' ? Number(detail) + 900 : 1000;
        return json(400, JSON.stringify({ object: 'error', type: 'BadRequestError', param: null, code: 400, message:
            `This model's maximum context length is ${detail} tokens. However, you requested ${used + 8000} tokens `
            + `(${used} in the messages, 8000 in the completion). Please reduce the length of the messages or completion.` }));
    }
    case 'close':
        return socket.destroy();
    case 'cut':
        if (detail === 'head') { socket.write('HTTP/1.1 200 OK\r\nContent-Ty'); return cut(); }
        if (detail === 'body') { broken_body(); return cut(); }
        two_words();
        return cut();
    case 'head':
        return socket.end('this is not HTTP\r\n\r\n');
    case 'html':
        answer.writeHead(200, { 'content-type': 'text/html' });
        return answer.end('<html>welcome</html>');
    case 'empty':
        answer.writeHead(200, { 'content-type': 'application/json', 'content-length': '0' });
        return answer.end();
    case 'nothing':
        return json(200, '{}');
    case 'choices':
        return json(200, '{"id":"x","object":"chat.completion","choices":[]}');
    case 'redirect':
        answer.writeHead(302, { location: 'http://127.0.0.1:1/' });
        return answer.end();
    case 'late':
        return undefined;
    case 'stall':
        return asked.stream ? two_words() : broken_body();
    case 'error': {
        const error = { error: { message: 'broke off', type: 'server_error', code: detail ? Number(detail) : null } };
        if (!asked.stream) return json(200, JSON.stringify(error));
        two_words();
        answer.write(`data: ${JSON.stringify(error)}\n\n`);
        return answer.end('data: [DONE]\n\n');
    }
    case 'badcall':
        return json(200, whole({ tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a": 1 "b": 2}' } }] },
            'tool_calls'));
    case 'abort':
    case 'filter': {
        const finish = kind === 'abort' ? 'abort' : 'content_filter';
        if (!asked.stream) return json(200, whole({ content: 'one' }, finish));
        two_words();
        answer.write(chunk({}, finish));
        return answer.end('data: [DONE]\n\n');
    }
    case 'call': {
        const f = (more) => [{ index: 0, ...more }];
        if (!asked.stream)
            return json(200, whole({ tool_calls: [{ id: 'call_77', type: 'function', function: { name: 'f', arguments: '{"a": 1}' } }] },
                'tool_calls'));
        stream();
        answer.write(chunk({ role: 'assistant', content: null,
            tool_calls: f({ id: 'call_77', type: 'function', function: { name: 'f', arguments: '' } }) }));
        answer.write(chunk({ tool_calls: f({ function: { arguments: '{"a":' } }) }));
        answer.write(chunk({ tool_calls: f({ function: { arguments: ' 1}' } }) }));
        answer.write(chunk({}, 'tool_calls'));
        return answer.end('data: [DONE]\n\n');
    }
    case 'calls': {
        stream();
        const piece = (index, text, name) => answer.write(chunk({ tool_calls: [{ index, function: { arguments: text, ...(name && { name }) },
            ...(name && { id: `call_${name}`, type: 'function' }) }] }));
        piece(0, '{"a"', 'f');
        if (detail === 'among') {
            answer.write(chunk({ content: 'well' }));
            answer.write(chunk({ content: ', then' }));
            answer.write(chunk({ reasoning_content: 'hm' }));
        }
        piece(1, '{"b": "}', 'g');
        if (detail === 'error') {
            answer.write('data: {"error":{"code":500,"message":"it broke","type":"server_error"}}\n\n');
            return answer.end('data: [DONE]\n\n');
        }
        piece(0, ': 1}');
        piece(1, '"}');
        answer.write(chunk({}, 'tool_calls'));
        return answer.end('data: [DONE]\n\n');
    }
    case 'paced': {
        const texts = more.map(word => word + ' ');
        stream();
        answer.write(chunk({ role: 'assistant', content: '' }));
        const timer = setInterval(() => {
            if (texts.length) return answer.write(chunk({ content: texts.shift() }));
            clearInterval(timer);
            answer.write(chunk({}, 'stop'));
            return answer.end('data: [DONE]\n\n');
        }, Number(detail));
        answer.on('close', () => clearInterval(timer));
        return undefined;
    }
    case 'turn':
    case 'flaky': {
        const time = (times.get(words.join(' ')) ?? 0) + 1;
        times.set(words.join(' '), time);
        if (kind === 'flaky' && time % 2)
            return json(429, JSON.stringify({ error: { message: 'slow down', type: 'limit_requests', param: null, code: 'limit_requests' } }));
        return json(200, whole({ content: `turn ${time}` }));
    }
    case 'vectors': {
        const numbers = asked.input.map((_, i) => (detail === 'ragged' && i ? [i] : [i, 1]));
        const data = numbers.map((embedding, index) => ({ object: 'embedding', index,
            embedding: detail === 'base64' ? Buffer.from(new Float32Array(embedding).buffer).toString('base64')
                : detail === 'words' ? ['a'] : embedding }));
        if (detail === 'swapped') data.reverse();
        if (detail === 'few') data.pop();
        return json(200, JSON.stringify({ object: 'list', data, model: asked.model, usage: { prompt_tokens: 5, total_tokens: 5 } }));
    }
    case 'ranks': {
        const results = asked.documents.map((_, index) => ({ index: detail === 'beyond' ? 99 : detail === 'twice' ? 0 : index,
            relevance_score: detail === 'logits' ? 3 * index - 1 : index / 10 }));
        if (detail === 'list') return json(200, JSON.stringify(results.map(({ index, relevance_score: score }) => ({ index, score }))));
        return json(200, JSON.stringify({ id: 'rerank-1', model: asked.model, results, usage: { total_tokens: 9 } }));
    }
    case 'echo':
        answer.setHeader('set-cookie', 'session=secret-of-the-cookie');
        return json(200, whole({ content: `you are ${request.headers.authorization} ${request.headers['x-api-key'] ?? ''}` }));
    default:
        return json(400, JSON.stringify({ error: { message: `no such behaviour: ${words.join(' ')}` } }));
    }
}

// GET /files/NAME.txt?…: what a client's URL may lead to. The name says how it answers.
const files = {
    texts: answer => answer.end('hello wind\n\nsecond line\r\n'),
    long: answer => answer.end(`fine\n${'word '.repeat(3000)}\nfine again\n`),
    all_long: answer => answer.end(`${'word '.repeat(3000)}\n`),
    many: answer => answer.end('x\n'.repeat(2001)),
    binary: answer => answer.end(Buffer.from([0xff, 0xfe, 0x00, 0x0a])),
    bad_word: answer => answer.end('a forbidden word\n'),
    large: answer => { answer.writeHead(200, { 'content-length': 5000000 }); answer.write('x\n'); },
    endless: answer => { const timer = setInterval(() => answer.write('x\n'.repeat(200000)), 1); answer.on('close', () => clearInterval(timer)); },
    drip: answer => { const timer = setInterval(() => answer.write('x'), 20); answer.on('close', () => clearInterval(timer)); },
    short: answer => { answer.writeHead(200, { 'content-length': 1000 }); answer.write('x\n'); setTimeout(() => answer.destroy(), 20); },
    late: () => {},
    denied: answer => { answer.writeHead(403); answer.end(); },
    missing: answer => { answer.writeHead(404); answer.end(); },
    garbage: answer => answer.socket.end('this is not HTTP\r\n\r\n'),
    moved: (answer, query) => { answer.writeHead(302, { location: query.get('to') }); answer.end(); },
    round: answer => { answer.writeHead(302, { location: 'round.txt' }); answer.end(); },
};

// A PNG of that size: grey that grows to the right, or all of one `light`; with `alpha` half of it is transparent.
export function picture({ width, height, light, alpha, claim }) {
    const depth = alpha ? 4 : 3, row = Buffer.alloc(1 + width * depth);
    for (let x = 0; x < width; x++) row.fill(light ?? Math.floor(x * 255 / width), 1 + x * depth, 1 + (x + 1) * depth);
    const chunk = (type, data) => {
        const body = Buffer.concat([Buffer.from(type), data]), whole = Buffer.alloc(body.length + 8);
        whole.writeUInt32BE(data.length);
        body.copy(whole, 4);
        whole.writeUInt32BE(zlib.crc32 ? zlib.crc32(body) : crc32(body), body.length + 4);
        return whole;
    };
    const head = Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 8, alpha ? 6 : 2, 0, 0, 0]);
    head.writeUInt32BE(claim ?? width);
    head.writeUInt32BE(claim ?? height, 4);
    return Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head),
        chunk('IDAT', zlib.deflateSync(Buffer.concat(Array(height).fill(row)), { level: 1 })), chunk('IEND', Buffer.alloc(0))]);
}

// A WAV of that many seconds, in which nothing is heard.
export function sound(seconds) {
    const bytes = Buffer.alloc(44 + 16000 * seconds), n = 16000 * seconds;
    bytes.write('RIFF', 0);
    bytes.writeUInt32LE(36 + n, 4);
    bytes.write('WAVEfmt ', 8);
    bytes.writeUInt32LE(16, 16);
    [1, 1].forEach((v, i) => bytes.writeUInt16LE(v, 20 + 2 * i));
    bytes.writeUInt32LE(8000, 24);
    bytes.writeUInt32LE(16000, 28);
    [2, 16].forEach((v, i) => bytes.writeUInt16LE(v, 32 + 2 * i));
    bytes.write('data', 36);
    bytes.writeUInt32LE(n, 40);
    return bytes;
}

// Of older Node.js.
function crc32(bytes) {
    let c = 0xffffffff;
    for (const byte of bytes) {
        c ^= byte;
        for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ c >>> 1 : c >>> 1;
    }
    return (c ^ 0xffffffff) >>> 0;
}

// GET /people/NAME.EXT?HOW: a file of people or for them (../people_pictures.mjs).
// GET /pictures/800x600.png: a picture; ?light=0 a black one, ?alpha=1 one with transparency, ?cut=1 one whose end is missing, ?bytes=N at least so large,
// ?claim=N one whose head says another size, ?chunked=1 without its length, ?type=T of another type.
function answer_picture(answer, size, query) {
    let bytes = picture({ width: +size[1], height: +size[2], light: query.has('light') ? +query.get('light') : undefined, alpha: query.has('alpha'),
        claim: query.has('claim') ? +query.get('claim') : undefined });
    if (query.has('cut')) bytes = bytes.subarray(0, bytes.length / 2);
    if (query.has('bytes')) bytes = Buffer.concat([bytes, Buffer.alloc(Math.max(0, +query.get('bytes') - bytes.length))]);
    answer.writeHead(200, { 'content-type': query.get('type') ?? 'image/png', ...(query.has('chunked') ? {} : { 'content-length': bytes.length }) });
    answer.end(bytes);
}

// GET /videos/640x480.mp4 (or .avi, .webm, …): a video that FFmpeg makes; ?seconds=2&fps=25 say more of it, ?cut=1 ends it early, ?bytes=N makes it so large.
const videos = new Map();
async function answer_video(answer, name, query) {
    const [, size, ending] = name, seconds = query.get('seconds') ?? '2', fps = query.get('fps') ?? '25';
    const key = [size, ending, seconds, fps].join();
    if (!videos.has(key)) {
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-video-')), file = path.join(folder, `v.${ending}`);
        videos.set(key, new Promise(resolve => execFile('ffmpeg', ['-v', 'error', '-f', 'lavfi', '-i',
            `testsrc=size=${size}:rate=${fps}:duration=${seconds}`, '-pix_fmt', 'yuv420p', file], error => {
            resolve(error ? Buffer.from(String(error)) : fs.readFileSync(file)); // a case sees that it is no video
            fs.rmSync(folder, { recursive: true });
        })));
    }
    let bytes = await videos.get(key);
    if (query.has('cut')) bytes = bytes.subarray(0, bytes.length / 2);
    if (query.has('bytes')) bytes = Buffer.concat([bytes, Buffer.alloc(Math.max(0, +query.get('bytes') - bytes.length))]);
    answer.writeHead(200, { 'content-type': `video/${ending}`, 'content-length': bytes.length }).end(bytes);
}

// GET /sounds/3.wav: three seconds of silence; ?bytes=N at least so large.
function answer_sound(answer, seconds, query) {
    const rate = 8000, data = Buffer.alloc(Math.round(seconds * rate) * 2), head = Buffer.alloc(44);
    head.write('RIFF', 0), head.writeUInt32LE(36 + data.length, 4), head.write('WAVEfmt ', 8), head.writeUInt32LE(16, 16);
    head.writeUInt16LE(1, 20), head.writeUInt16LE(1, 22), head.writeUInt32LE(rate, 24), head.writeUInt32LE(2 * rate, 28);
    head.writeUInt16LE(2, 32), head.writeUInt16LE(16, 34), head.write('data', 36), head.writeUInt32LE(data.length, 40);
    const more = Buffer.alloc(Math.max(0, +(query.get('bytes') ?? 0) - 44 - data.length));
    answer.writeHead(200, { 'content-type': 'audio/wav', 'content-length': 44 + data.length + more.length }).end(Buffer.concat([head, data, more]));
}

// /service/…: a service for plug-ins, which says what it was asked.
function answer_service(answer, request, body) {
    const { authorization, 'x-key': key, 'x-unit': unit, 'content-type': type } = request.headers;
    answer.writeHead(200, { 'content-type': 'application/json' });
    answer.end(JSON.stringify({ method: request.method, url: request.url, authorization, key, unit, type, body }));
}

export async function start() {
    const server = http.createServer((request, answer) => {
        const url = new URL(request.url, 'http://x'), file = /^\/files\/(\w+)\.txt$/.exec(url.pathname)?.[1];
        const size = /^\/pictures\/(\d+)x(\d+)\.png$/.exec(url.pathname);
        const video = /^\/videos\/(\d+x\d+)\.(\w+)$/.exec(url.pathname), sound = /^\/sounds\/([\d.]+)\.wav$/.exec(url.pathname);
        if (request.method === 'GET' && video) return answer_video(answer, video, url.searchParams);
        if (request.method === 'GET' && sound) return answer_sound(answer, +sound[1], url.searchParams);
        if (request.method === 'GET' && size) return answer_picture(answer, size, url.searchParams);
        if (request.method === 'GET' && url.pathname.startsWith('/people/'))
            return mediumLater(url.pathname.slice(8), decodeURIComponent(url.search.slice(1))).then(file => answer.end(file), () => answer.destroy());
        if (request.method === 'GET' && Object.hasOwn(files, file ?? '')) return files[file](answer, url.searchParams);
        let text = '';
        request.on('data', piece => { text += piece; });
        request.on('end', () => {
            if (url.pathname.startsWith('/service/')) return answer_service(answer, request, text);
            let asked = {};
            try { asked = JSON.parse(text); } catch { /* the default behaviour says so */ }
            const last = asked.query ?? asked.prompt ?? asked.input?.[0] ?? (asked.messages ?? []).filter(m => m.role === 'user').pop()?.content ?? '';
            behave(String(last).replace(/^engine:\s*/, '').split(' '), asked, answer, request);
        });
        answer.on('error', () => {});
    });
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    // A server that never answers, at an address that a case can write down; one of another run does as well.
    const silent = net.createServer().on('error', () => {}).listen(8429, '127.9.9.9');
    return {
        url: `http://127.0.0.1:${server.address().port}`,
        close: () => { server.closeAllConnections(); server.close(); silent.close(); },
    };
}
