// A client of /api-ws/v1/inference in a few lines, as the official SDKs speak to it: text and sound in, events and sound out.
//
//     const c = await Tasks.open(box);
//     const { events, sound, failed } = await c.speak({ model, voice, parameters }, ['Hello.']);
//     const { sentences } = await c.listen({ model, parameters: { format: 'wav', sample_rate: 16000 } }, bytes);
//
// Everything that comes is kept in order in c.log: objects and Buffers.

import crypto from 'node:crypto';
import { WebSocket } from 'ws';
import { KEY } from './server.mjs';

export class Tasks {
    static async open(box, { key = KEY, headers = {}, path = '/api-ws/v1/inference' } = {}) {
        const c = new Tasks();
        c.log = [];
        c.waiting = [];
        c.ws = new WebSocket(box.url.replace('http', 'ws') + path, { headers: { Authorization: `bearer ${key}`, ...headers } });
        c.closed = new Promise(resolve => c.ws.on('close', (code, reason) => {
            c.over = { code, reason: reason.toString() };
            c.tell();
            resolve(c.over);
        }));
        c.ws.on('message', (data, binary) => {
            c.log.push(binary ? data : JSON.parse(data));
            c.tell();
        });
        await new Promise((resolve, reject) => {
            c.ws.on('open', resolve);
            c.ws.on('error', reject);
            c.ws.on('unexpected-response', async (request, response) => {
                let body = '';
                for await (const piece of response) body += piece;
                reject(Object.assign(new Error(`${response.statusCode}`), { status: response.statusCode, reason: response.statusMessage, body: JSON.parse(body) }));
            });
        });
        return c;
    }

    tell() { for (const wake of this.waiting.splice(0)) wake(); }

    send(object) { this.ws.send(typeof object === 'string' ? object : JSON.stringify(object)); }

    // Until `found(log)` is not undefined, or the connection is closed.
    async until(found) {
        for (;;) {
            const value = found(this.log);
            if (value !== undefined) return value;
            if (this.over) throw new Error(`closed with ${this.over.code} "${this.over.reason}" after ${JSON.stringify(this.log.slice(-2))}`);
            await new Promise(resolve => this.waiting.push(resolve));
        }
    }

    event(name, id = this.id) {
        return this.until(log => log.find(m => !Buffer.isBuffer(m) && m.header.event === name && m.header.task_id === id));
    }

    // The end of the task, whichever it is.
    end(id = this.id) {
        return this.until(log => log.find(m => !Buffer.isBuffer(m) && /^task-fi|^task-fa/.test(m.header.event) && m.header.task_id === id));
    }

    run({ model, voice, parameters = {}, input = {}, streaming = 'duplex', task = 'tts', resources }) {
        this.id = crypto.randomUUID();
        this.send({ header: { action: 'run-task', task_id: this.id, streaming },
            payload: { task_group: 'audio', task, function: task === 'tts' ? 'SpeechSynthesizer' : 'recognition', model,
                parameters: { ...(voice === undefined ? {} : { voice }), ...parameters }, input, resources } });
    }

    more(input) { this.send({ header: { action: 'continue-task', task_id: this.id, streaming: 'duplex' }, payload: { input } }); }

    finish(input = {}) { this.send({ header: { action: 'finish-task', task_id: this.id, streaming: 'duplex' }, payload: { input } }); }

    results(id = this.id) {
        return this.log.filter(m => !Buffer.isBuffer(m) && m.header.event === 'result-generated' && m.header.task_id === id).map(m => m.payload);
    }

    async speak(options, texts) {
        const from = this.log.length;
        this.run(options);
        if (options.streaming !== 'out') {
            for (const text of texts) this.more({ text });
            this.finish();
        }
        const end = await this.end();
        return { end, results: this.results(), sound: Buffer.concat(this.log.slice(from).filter(Buffer.isBuffer)) };
    }

    // In pieces of 100 ms of 16 kHz PCM, or as large as they are said to be.
    async listen(options, bytes, piece = 3200) {
        this.run({ task: 'asr', ...options });
        await this.event('task-started');
        for (let at = 0; at < bytes.length; at += piece) this.ws.send(bytes.subarray(at, at + piece));
        this.finish();
        const end = await this.end();
        return { end, results: this.results(), sentences: this.results().map(p => p.output.sentence).filter(s => s?.sentence_end) };
    }

    async close() {
        this.ws.close(1000);
        await this.closed;
    }
}

// A WAV around 16-bit PCM of one channel.
export function wav(pcm, rate) {
    const head = Buffer.alloc(44);
    head.write('RIFF', 0);
    head.writeUInt32LE(36 + pcm.length, 4);
    head.write('WAVEfmt ', 8);
    head.writeUInt32LE(16, 16);
    head.writeUInt16LE(1, 20);
    head.writeUInt16LE(1, 22);
    head.writeUInt32LE(rate, 24);
    head.writeUInt32LE(2 * rate, 28);
    head.writeUInt16LE(2, 32);
    head.writeUInt16LE(16, 34);
    head.write('data', 36);
    head.writeUInt32LE(pcm.length, 40);
    return Buffer.concat([head, pcm]);
}

// So many milliseconds of 16 kHz PCM: nothing, or with `hz` a tone.
export function tone(ms, hz = 0) {
    const pcm = Buffer.alloc(32 * ms);
    for (let i = 0; hz && i < 16 * ms; i++) pcm.writeInt16LE(Math.round(8000 * Math.sin(2 * Math.PI * hz * i / 16000)), 2 * i);
    return pcm;
}

// How many words differ, of how many.
export function wordErrors(said, heard) {
    const words = text => text.toLowerCase().replace(/[^a-z' ]/g, ' ').split(/\s+/).filter(Boolean);
    const a = words(said), b = words(heard);
    let row = [...Array(b.length + 1).keys()];
    for (let i = 1; i <= a.length; i++) {
        const next = [i];
        for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1));
        row = next;
    }
    return { errors: row[b.length], words: a.length };
}
