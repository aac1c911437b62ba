#!/usr/bin/env node
// Runs the plain-text wire cases (*.case) against a server. The format is described in README.md.
//
//   node test/wire/run.mjs --binary build/dashbox [--only PATTERN] [--jobs N] [--coverage] [--verbose] [FILE…]
//
// One server is started for each distinct set-up (config, args, scenario); the cases of a set-up share it, each on a
// connection of its own. No npm packages; the HTTP side is written out here, because a client library would hide what
// these cases look at.

import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { spawn, execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import { picture, sound } from './faulty_engine.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, '..', '..');

// A picture of 64 x 48 and a second of silence, in Base64 without an end: what follows them belongs to them.
const PNG = padded(picture({ width: 64, height: 48 })), WAV = padded(sound(1));

function padded(bytes) {
    return Buffer.concat([bytes, Buffer.alloc((3 - bytes.length % 3) % 3)]).toString('base64');
}

// ---------------------------------------------------------------------------------------------------------------------
// Options

function read_options(argv) {
    const options = { binary: 'build/dashbox', only: null, jobs: 8, coverage: null, verbose: false, timeout: 30000,
        files: [] };
    for (let i = 0; i < argv.length; i++) {
        const word = argv[i];
        if (word === '--binary') options.binary = argv[++i];
        else if (word === '--only') options.only = new RegExp(argv[++i], 'i');
        else if (word === '--jobs') options.jobs = Number(argv[++i]);
        else if (word === '--timeout') options.timeout = Number(argv[++i]);
        else if (word === '--coverage') options.coverage = true;
        else if (word === '--no-coverage') options.coverage = false;
        else if (word === '--verbose') options.verbose = true;
        else if (word === '--requests') options.requests = argv[++i];
        else if (word.startsWith('--')) { console.error(`unknown option ${word}`); process.exit(2); }
        else options.files.push(word);
    }
    if (options.coverage === null) options.coverage = options.files.length === 0 && !options.only;
    if (options.files.length === 0)
        options.files = fs.readdirSync(here).filter(name => name.endsWith('.case')).sort()
            .map(name => path.join(here, name));
    return options;
}

// ---------------------------------------------------------------------------------------------------------------------
// Case files

class Bad_case extends Error {
    constructor(file, line, text) {
        super(`${file}:${line}: ${text}`);
    }
}

function expand_repeats(text) {
    return text.replaceAll('$PNG', PNG).replaceAll('$WAV', WAV).replace(/\$REPEAT\((.*?),(\d+)\)/gs, (_, piece, count) => piece.repeat(Number(count)));
}

const marker = /^(config|args|scenario|rules|setup|case|covers|alone|>>>|<<<|~~~|!!!)(\s|$)/;

// Splits the text of a file into blocks {word, rest, line, lines} at the lines that begin with a marker.
function read_blocks(file, text) {
    const blocks = [];
    let block = null;
    text.split('\n').forEach((line, at) => {
        const found = marker.exec(line);
        if (found) {
            block = { word: found[1], rest: line.slice(found[1].length).trim(), line: at + 1, lines: [] };
            blocks.push(block);
        } else if (line.startsWith('#') && !(block && block.word === '~~~')) {
            return;
        } else if (block) {
            block.lines.push({ text: line, line: at + 1 });
        } else if (line.trim() !== '') {
            throw new Bad_case(file, at + 1, 'text before the first marker');
        }
    });
    for (const b of blocks)
        while (b.lines.length && b.lines[b.lines.length - 1].text.trim() === '') b.lines.pop();
    return blocks;
}

function unindent(file, block) {
    return block.lines.map(({ text, line }) => {
        if (text.trim() === '') return '';
        if (!text.startsWith('  ')) throw new Bad_case(file, line, `a line of "${block.word}" must be indented`);
        return text.slice(2);
    }).join('\n') + (block.lines.length ? '\n' : '');
}

const header_line = /^(-?)([A-Za-z0-9!#$%&'*+.^_|~-]+)(?::(?:\s+(.*)|))?$/;

// Takes the header lines off the front of a block; the rest is the body.
function split_head(block, wants_colon) {
    const headers = [];
    let at = 0;
    for (; at < block.lines.length; at++) {
        const text = block.lines[at].text;
        if (text === '') { at++; break; }
        const found = header_line.exec(text);
        if (!found || (!found[1] && !text.includes(':'))) break;
        if (wants_colon && /^(data|id|event|join|last|frames)\b/.test(text)) break;
        headers.push({ drop: found[1] === '-', name: found[2], value: found[3] ?? '' });
    }
    return { headers, body: block.lines.slice(at) };
}

function unescape_bytes(text) {
    return text.replace(/\\(r|n|t|0|\\|x[0-9a-fA-F]{2})/g, (_, c) => {
        if (c === 'r') return '\r';
        if (c === 'n') return '\n';
        if (c === 't') return '\t';
        if (c === '0') return '\0';
        if (c === '\\') return '\\';
        return String.fromCharCode(parseInt(c.slice(1), 16));
    });
}

function read_expectation(file, block) {
    const words = block.rest.split(/\s+/).filter(w => w);
    const expect = { line: block.line, statuses: [], sse: false, ordered: false, text: false, closes: false,
        abort: false, cut: false, silent: false, held: false, headers: [], body: null, frames: null, checks: [], source: block };
    if (words[0] === 'closed') {
        expect.end = true;
        return expect;
    }
    if (words[0] === 'silent') {          // nothing comes, and the connection stays open
        expect.silent = true;
        return expect;
    }
    if (words[0] === 'held') {            // the answer has begun and had its first event; the rest is left for a later <<<
        expect.held = true;
        return expect;
    }
    for (const status of (words.shift() ?? '').split('|')) {
        if (!/^\d{3}$/.test(status)) throw new Bad_case(file, block.line, `not a status: ${status}`);
        expect.statuses.push(Number(status));
    }
    for (const word of words) {
        if (word === 'sse') expect.sse = true;
        else if (word === 'ordered') expect.ordered = true;
        else if (word === 'text') expect.text = true;
        else if (word === 'close') expect.closes = true;
        else if (word === 'may-close') expect.may_close = true;
        else if (word === 'abort') expect.abort = true;
        else if (word === 'cut') expect.cut = true;
        else throw new Bad_case(file, block.line, `unknown word after <<<: ${word}`);
    }
    const { headers, body } = split_head(block, true);
    expect.headers = headers;
    const text = expand_repeats(body.map(l => l.text).join('\n')).replace(/\n+$/, '');
    if (expect.sse) {
        expect.frames = [];
        let frame = [];
        const flush = () => { if (frame.length) expect.frames.push(read_frame(file, frame)); frame = []; };
        for (const line of body) {
            const check = /^(join|last|frames)\s+(\S+)(?:\s+(.*))?$/.exec(line.text);
            if (check) {
                flush();
                expect.checks.push({ kind: check[1], path: check[2], line: line.line,
                    value: check[1] === 'frames' ? null : read_pattern(file, line.line, expand_repeats(check[3] ?? '')) });
            } else if (line.text === '') {
                flush();
            } else {
                frame.push(line);
            }
        }
        flush();
    } else if (text === '...') {
        expect.body = { any: true };
    } else if (text !== '') {
        expect.body = expect.text ? { text } : { json: read_pattern(file, body[0].line, text) };
    }
    return expect;
}

function read_frame(file, lines) {
    const frame = { any: false, repeat: '1', line: lines[0].line, lines: [] };
    for (const { text, line } of lines) {
        if (text === '...') {
            if (lines.length > 1) throw new Bad_case(file, line, '"..." stands alone between blank lines');
            frame.any = true;
        } else if ((text === '+' || text === '*') && frame.lines.length === 0) {
            frame.repeat = text;
        } else {
            const data = /^(data: ?)([{[].*)$/.exec(text);
            if (data && data[2] !== '[DONE]')
                frame.lines.push({ prefix: data[1], json: read_pattern(file, line, expand_repeats(data[2])) });
            else
                frame.lines.push({ text });
        }
    }
    return frame;
}

function read_pattern(file, line, text) {
    try {
        return parse_json(text, true);
    } catch (error) {
        throw new Bad_case(file, line, `expected JSON does not parse: ${error.message}`);
    }
}

function read_case_file(file) {
    const shown = path.relative(process.cwd(), file);
    const blocks = read_blocks(shown, fs.readFileSync(file, 'utf8'));
    const cases = [];
    let config = '', args = [], scenario = '', rules = '', setup = '', current = null, exchange = null;
    for (const block of blocks) {
        const need_case = () => {
            if (!current) throw new Bad_case(shown, block.line, `"${block.word}" before the first case`);
        };
        switch (block.word) {
        case 'config':
            config = unindent(shown, block); current = null; break;
        case 'args':
            args = block.rest.split(/\s+/).filter(w => w); current = null; break;
        case 'scenario':
            scenario = unindent(shown, block); current = null; break;
        case 'rules':
            rules = unindent(shown, block); current = null; break;
        case 'setup':
            setup = unindent(shown, block); current = null; break;
        case 'case':
            if (block.rest === '') throw new Bad_case(shown, block.line, 'a case needs a name');
            current = { name: block.rest, file: shown, line: block.line, covers: [], steps: [], config, args, scenario, rules, setup };
            if (cases.some(c => c.name === current.name))
                throw new Bad_case(shown, block.line, `two cases are named "${current.name}"`);
            cases.push(current);
            exchange = null;
            if (block.lines.some(l => l.text.trim() !== '')) throw new Bad_case(shown, block.line, 'text after "case"');
            break;
        case 'covers':
            need_case();
            for (const id of block.rest.split(/[\s,]+/).filter(w => w)) current.covers.push({ id, line: block.line });
            break;
        case 'alone':
            need_case();
            current.alone = `${shown}:${block.line}`;
            break;
        case '>>>': {
            need_case();
            const [method, target, ...flags] = block.rest.split(/\s+/);
            if (!method || !target) throw new Bad_case(shown, block.line, '">>>" needs a method and a path');
            const { headers, body } = split_head(block, false);
            exchange = { kind: 'http', line: block.line, method, target, flags, headers, expects: [],
                body: expand_repeats(body.map(l => l.text).join(flags.includes('form') ? '\r\n' : '\n')) };
            for (const flag of flags)
                if (!/^(1\.0|form|chunked|chunked=\d+|pipelined|new|slow|on=\w+|times=\d+|until=\S+)$/.test(flag))
                    throw new Bad_case(shown, block.line, `unknown flag ${flag}`);
            current.steps.push(exchange);
            break;
        }
        case '~~~': {
            need_case();
            const text = block.lines.map(l => l.text.replace(/^\s+/, '')).join('');
            const flags = block.rest.split(/\s+/).filter(w => w);
            exchange = { kind: 'raw', line: block.line, flags, expects: [], bytes: unescape_bytes(expand_repeats(text)) };
            current.steps.push(exchange);
            break;
        }
        case '!!!': {
            need_case();
            const words = block.rest.split(/\s+/), lines = block.lines.filter(l => l.text !== '').map(l => l.text);
            exchange = { kind: 'command', line: block.line, words, expects: [], lines };
            if (words[0].startsWith('fails=')) {
                if (lines.length !== 1) throw new Bad_case(shown, block.line, 'a command that fails says one sentence');
                exchange.fails = { status: Number(words.shift().slice(6)), says: lines.pop() };
            }
            current.steps.push(exchange);
            break;
        }
        case '<<<':
            need_case();
            if (!exchange || exchange.kind === 'command') throw new Bad_case(shown, block.line, '"<<<" without a request');
            exchange.expects.push(read_expectation(shown, block));
            break;
        }
    }
    for (const c of cases) {
        if (c.steps.length === 0) throw new Bad_case(shown, c.line, `case "${c.name}" does nothing`);
        for (const step of c.steps)
            if (step.kind !== 'command' && step.expects.length === 0 && !step.flags.includes('pipelined'))
                throw new Bad_case(shown, step.line, 'a request without "<<<"');
    }
    return cases;
}

// ---------------------------------------------------------------------------------------------------------------------
// JSON with its key order, and patterns of it. Objects are {object: [[key, value]…], open}; arrays {array: […], open}.

function parse_json(text, is_pattern) {
    let at = 0;
    const fail = what => { throw new Error(`${what} at ${at}: ${JSON.stringify(text.slice(at, at + 20))}`); };
    const blank = () => { while (at < text.length && ' \t\r\n'.includes(text[at])) at++; };
    const string = () => {
        const start = at++;
        while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
        if (at >= text.length) fail('a string without end');
        at++;
        try { return JSON.parse(text.slice(start, at)); } catch { at = start; return fail('a bad string'); }
    };
    const value = () => {
        blank();
        const c = text[at];
        if (c === '{') {
            at++;
            const members = [];
            let open = false;
            blank();
            if (text[at] === '}') { at++; return { object: members, open }; }
            for (;;) {
                blank();
                if (is_pattern && text.startsWith('...', at)) {
                    at += 3;
                    open = true;
                } else {
                    if (text[at] !== '"') fail('a key expected');
                    const key = string();
                    if (members.some(m => m[0] === key)) fail(`key ${key} twice`);
                    blank();
                    if (text[at++] !== ':') { at--; fail('":" expected'); }
                    members.push([key, value()]);
                }
                blank();
                if (text[at] === ',') { at++; continue; }
                if (text[at] === '}') { at++; return { object: members, open }; }
                fail('"," or "}" expected');
            }
        }
        if (c === '[') {
            at++;
            const items = [];
            let open = false;
            blank();
            if (text[at] === ']') { at++; return { array: items, open }; }
            for (;;) {
                blank();
                if (is_pattern && text.startsWith('...', at)) { at += 3; open = true; } else items.push(value());
                blank();
                if (text[at] === ',') { at++; continue; }
                if (text[at] === ']') { at++; return { array: items, open }; }
                fail('"," or "]" expected');
            }
        }
        if (c === '"') return string();
        if (is_pattern && c === '$') {
            const found = /^\$[A-Z]+(:[a-z0-9_]+)?/.exec(text.slice(at));
            if (!found) fail('a bad placeholder');
            at += found[0].length;
            return found[0];
        }
        const found = /^(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)/.exec(text.slice(at));
        if (!found) fail('a value expected');
        at += found[0].length;
        return JSON.parse(found[0]);
    };
    const result = value();
    blank();
    if (at < text.length) fail('text after the value');
    return result;
}

function plain(value) {
    if (value && typeof value === 'object') {
        if (value.object) return Object.fromEntries(value.object.map(([k, v]) => [k, plain(v)]));
        if (value.array) return value.array.map(plain);
    }
    return value;
}

const uuid = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}';
const placeholder = /\$(UUID|INT|NUM|ANY|STR|TIME|HEX)(?::([a-z0-9_]+))?/g;

function escape_regex(text) {
    return text.replace(/[.*+?^${}()|[\]\\\/]/g, '\\$&');
}

// A text with placeholders as a regular expression and the names that its groups are bound to.
function text_pattern(text) {
    const names = [];
    let source = '', at = 0;
    for (const found of text.matchAll(placeholder)) {
        source += escape_regex(text.slice(at, found.index));
        const body = { UUID: uuid, INT: '-?\\d+', NUM: '-?\\d+(?:\\.\\d+)?(?:[eE][+-]?\\d+)?', ANY: '[^]*', STR: '[^]*',
            TIME: '\\d+', HEX: '[0-9a-f]+' }[found[1]];
        source += `(${body})`;
        names.push(found[2] ?? null);
        at = found.index + found[0].length;
    }
    source += escape_regex(text.slice(at));
    return { regex: new RegExp(`^${source}$`), names, fixed: names.length === 0 };
}

function match_text(want, got, bound) {
    if (want.startsWith('$RE:')) {
        return new RegExp(`^(?:${want.slice(4)})$`, 's').test(got) ? null : `does not match /${want.slice(4)}/`;
    }
    const pattern = text_pattern(want);
    if (pattern.fixed) return want === got ? null : 'differs';
    const found = pattern.regex.exec(got);
    if (!found) return 'differs';
    for (let i = 0; i < pattern.names.length; i++) {
        const name = pattern.names[i];
        if (!name) continue;
        if (bound.has(name) && bound.get(name) !== found[i + 1])
            return `$…:${name} was ${bound.get(name)} before`;
        bound.set(name, found[i + 1]);
    }
    return null;
}

// The first difference of a value from its pattern as {path, want, got, why}, or null.
function match_value(want, got, bound, ordered, where = '') {
    const differs = why => ({ path: where || '(whole)', want: show_value(want), got: show_value(got), why });
    if (typeof want === 'string') {
        const whole = /^\$(INT|NUM|ANY|STR|TIME)(?::([a-z0-9_]+))?$/.exec(want);
        if (whole) {
            const kind = whole[1];
            const good = kind === 'ANY' || (kind === 'STR' && typeof got === 'string') ||
                (kind === 'INT' && Number.isInteger(got)) || (kind === 'NUM' && typeof got === 'number') ||
                (kind === 'TIME' && Number.isInteger(got) && Math.abs(got - Date.now() / 1000) < 86400);
            if (!good) return differs(`is not a ${kind}`);
            if (whole[2]) {
                const text = JSON.stringify(plain(got));
                if (bound.has(whole[2]) && bound.get(whole[2]) !== text) return differs(`was ${bound.get(whole[2])} before`);
                bound.set(whole[2], text);
            }
            return null;
        }
        if (typeof got !== 'string') return differs('is not a string');
        const why = match_text(want, got, bound);
        return why ? differs(why) : null;
    }
    if (want === null || typeof want !== 'object') return want === got ? null : differs('differs');
    if (got === null || typeof got !== 'object') return differs('is of another type');
    if (want.array) {
        if (!got.array) return differs('is not an array');
        if (got.array.length < want.array.length || (!want.open && got.array.length > want.array.length))
            return differs(`has ${got.array.length} elements instead of ${want.array.length}`);
        for (let i = 0; i < want.array.length; i++) {
            const found = match_value(want.array[i], got.array[i], bound, ordered, `${where}[${i}]`);
            if (found) return found;
        }
        return null;
    }
    if (!got.object) return differs('is not an object');
    const members = new Map(got.object);
    for (const [key, value] of want.object) {
        if (!members.has(key)) return differs(`has no "${key}"`);
        const found = match_value(value, members.get(key), bound, ordered, `${where}.${key}`);
        if (found) return found;
    }
    if (!want.open) {
        const extra = got.object.map(m => m[0]).filter(key => !want.object.some(m => m[0] === key));
        if (extra.length) return differs(`has "${extra[0]}", which is not expected`);
    }
    if (ordered) {
        const wanted = want.object.map(m => m[0]);
        const found = got.object.map(m => m[0]).filter(key => wanted.includes(key));
        if (wanted.join() !== found.join()) return differs(`has its keys in the order ${found.join(', ')}`);
    }
    return null;
}

function show_value(value) {
    if (value && typeof value === 'object') {
        if (value.object)
            return '{' + value.object.map(([k, v]) => `${JSON.stringify(k)}:${show_value(v)}`).concat(value.open ? ['...'] : [])
                .join(',') + '}';
        return '[' + value.array.map(show_value).concat(value.open ? ['...'] : []).join(',') + ']';
    }
    return value === undefined ? '(nothing)' : JSON.stringify(value);
}

function at_path(value, where) {
    for (const part of where.split('.')) {
        if (value === null || typeof value !== 'object') return undefined;
        if (value.object) value = value.object.find(m => m[0] === part)?.[1];
        else value = value.array[Number(part)];
        if (value === undefined) return undefined;
    }
    return value;
}

function every_text(value, out = []) {
    if (typeof value === 'string') out.push(value);
    else if (value && typeof value === 'object') {
        if (value.object) for (const m of value.object) every_text(m[1], out);
        else for (const item of value.array) every_text(item, out);
    }
    return out;
}

// ---------------------------------------------------------------------------------------------------------------------
// A connection

class Wire_error extends Error {}

class Connection {
    constructor(host, port, timeout) {
        this.timeout = timeout;
        this.bytes = Buffer.alloc(0);
        this.ended = false;
        this.error = null;
        this.waiting = null;
        this.opened = new Promise((resolve, reject) => {
            this.socket = net.connect({ host, port, allowHalfOpen: true, noDelay: true });
            this.socket.once('connect', resolve);
            this.socket.once('error', reject);
        });
        this.opened.catch(() => {});
        this.socket.on('data', piece => { this.bytes = Buffer.concat([this.bytes, piece]); this.wake(); });
        this.socket.on('end', () => { this.ended = true; this.wake(); });
        this.socket.on('error', error => { this.error = error; this.ended = true; this.wake(); });
        this.socket.on('close', () => { this.ended = true; this.wake(); });
    }

    wake() {
        const waiting = this.waiting;
        this.waiting = null;
        if (waiting) waiting();
    }

    send(bytes) {
        this.socket.write(bytes);
    }

    // Waits until test() is true or the peer has ended; false when time ran out.
    async until(test, milliseconds = this.timeout) {
        const last = Date.now() + milliseconds;
        while (!test() && !this.ended) {
            const left = last - Date.now();
            if (left <= 0) return false;
            await new Promise(resolve => {
                const timer = setTimeout(() => { this.waiting = null; resolve(); }, left);
                this.waiting = () => { clearTimeout(timer); resolve(); };
            });
        }
        return true;
    }

    async need(test, what) {
        if (!await this.until(test)) throw new Wire_error(`no ${what} after ${this.timeout} ms; so far: ${this.sample()}`);
        if (!test())
            throw new Wire_error(`the connection ended (${this.error?.code ?? 'FIN'}) before ${what}; so far: ${this.sample()}`);
    }

    sample() {
        return JSON.stringify(this.bytes.subarray(0, 300).toString('latin1'));
    }

    take(count) {
        const piece = this.bytes.subarray(0, count);
        this.bytes = this.bytes.subarray(count);
        return piece;
    }

    async line(what) {
        await this.need(() => this.bytes.includes('\n'), what);
        const line = this.take(this.bytes.indexOf('\n') + 1).toString('latin1');
        if (!line.endsWith('\r\n')) throw new Wire_error(`${what} does not end in CR LF: ${JSON.stringify(line)}`);
        return line.slice(0, -2);
    }

    // Reads one reply; stop_after_frame leaves the rest of its body unread. `cut`: the connection ends before its last chunk.
    async reply(method, stop_after_frame = false, cut = false) {
        const status_line = await this.line('a status line');
        const found = /^HTTP\/1\.([01]) (\d{3}) ?(.*)$/.exec(status_line);
        if (!found) throw new Wire_error(`not a status line: ${JSON.stringify(status_line)}`);
        const reply = { minor: Number(found[1]), status: Number(found[2]), reason: found[3], headers: [], body: Buffer.alloc(0) };
        for (;;) {
            const line = await this.line('the end of the headers');
            if (line === '') break;
            const colon = line.indexOf(':');
            if (colon < 1 || /\s/.test(line.slice(0, colon))) throw new Wire_error(`not a header: ${JSON.stringify(line)}`);
            reply.headers.push([line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]);
        }
        const get = name => reply.headers.filter(h => h[0] === name).map(h => h[1]);
        const lengths = get('content-length'), codings = get('transfer-encoding');
        if (lengths.length > 1) throw new Wire_error('two content-length headers');
        if (lengths.length && codings.length) throw new Wire_error('content-length beside transfer-encoding');
        if (reply.status < 200 || reply.status === 204 || reply.status === 304 || method === 'HEAD') return reply;
        const pieces = [];
        if (codings.length) {
            if (codings[0].toLowerCase() !== 'chunked') throw new Wire_error(`transfer-encoding ${codings[0]}`);
            if (cut) await this.until(() => false);
            for (;;) {
                if (cut && this.ended && this.bytes.length === 0) break;
                const line = await this.line('a chunk size');
                if (!/^[0-9a-fA-F]+$/.test(line)) throw new Wire_error(`not a chunk size: ${JSON.stringify(line)}`);
                const size = parseInt(line, 16);
                await this.need(() => this.bytes.length >= size + 2, 'the rest of a chunk');
                pieces.push(this.take(size));
                if (this.take(2).toString('latin1') !== '\r\n') throw new Wire_error('no CR LF after a chunk');
                if (size === 0 && cut) throw new Wire_error('the stream is not cut off');
                if (size === 0) break;
                if (stop_after_frame && Buffer.concat(pieces).includes('\n\n')) break;
            }
        } else if (lengths.length) {
            const size = Number(lengths[0]);
            await this.need(() => this.bytes.length >= size, `a body of ${size} bytes`);
            pieces.push(this.take(size));
        } else {
            reply.to_the_end = true;
            await this.need(() => this.ended || (stop_after_frame && this.bytes.includes('\n\n')), 'the end of the body');
            pieces.push(this.take(this.bytes.length));
        }
        reply.body = Buffer.concat(pieces);
        return reply;
    }

    destroy() {
        this.socket.destroy();
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// One case

class Mismatch extends Error {
    constructor(line, text) {
        super(text);
        this.line = line;
    }
}

function shorten(text, most = 1500) {
    return text.length <= most ? text : `${text.slice(0, most)}… (${text.length} characters)`;
}

function show_reply(reply) {
    const head = reply.headers.filter(h => !/^(date|server|vary|access-control)/.test(h[0])).map(h => `${h[0]}: ${h[1]}`);
    return `${reply.status} ${reply.reason}\n${head.join('\n')}\n\n${shorten(reply.body.toString('utf8'))}`;
}

const seen_ids = new Map();         // request id -> the case that got it: no id may come twice

function check_reply(test, expect, reply, bound, server) {
    const fail = text => { throw new Mismatch(expect.line, `${text}\n--- got\n${show_reply(reply)}`); };
    const get = name => reply.headers.filter(h => h[0] === name).map(h => h[1]);
    if (!expect.statuses.includes(reply.status)) fail(`status ${reply.status} instead of ${expect.statuses.join('|')}`);
    if (reply.status < 200) return;
    for (const { drop, name, value } of expect.headers) {
        const values = get(name.toLowerCase());
        if (drop) {
            if (values.length) fail(`header ${name} is there: ${values[0]}`);
        } else if (values.length === 0) {
            fail(`header ${name} is missing`);
        } else if (values.length > 1) {
            fail(`header ${name} comes ${values.length} times`);
        } else {
            const why = match_text(value, values[0], bound);
            if (why) fail(`header ${name} ${why}\n--- expected\n${value}`);
        }
    }
    const text = reply.body.toString('utf8');
    if (Buffer.compare(Buffer.from(text, 'utf8'), reply.body) !== 0) fail('the body is not UTF-8');
    const request_id = get('x-request-id')[0];
    if (request_id) {
        bound.set('last_request_id', request_id);
        if (seen_ids.has(request_id)) fail(`the request id was that of another request: ${seen_ids.get(request_id)}`);
        seen_ids.set(request_id, `${test.file}: ${test.name}`);
    }
    const same_id = value => {
        const id = at_path(value, 'request_id');
        if (typeof id === 'string' && request_id && id !== request_id) fail(`request_id is not the header's: ${id}`);
        const chat = at_path(value, 'id');
        if (typeof chat === 'string' && chat.startsWith('chatcmpl-') && request_id && chat !== `chatcmpl-${request_id}`)
            fail(`id is not chatcmpl- and the header's request id: ${chat}`);
    };
    if (expect.sse) {
        if (!/^text\/event-stream\b/.test(get('content-type')[0] ?? '')) fail(`content-type ${get('content-type')[0]}`);
        check_frames(expect, text, bound, fail, same_id);
    } else if (expect.body === null) {
        if (reply.body.length) fail('the body is not empty');
    } else if (expect.body.text !== undefined) {
        const why = match_text(expect.body.text, text.replace(/\n$/, ''), bound);
        if (why) fail(`the body ${why}\n--- expected\n${expect.body.text}`);
    } else if (!expect.body.any) {
        const typed = expect.headers.some(h => h.name.toLowerCase() === 'content-type'); // then the case has said it
        if (!typed && !/^application\/json\b/.test(get('content-type')[0] ?? '')) fail(`content-type ${get('content-type')[0]}`);
        let value;
        try { value = parse_json(text, false); } catch (error) { fail(`the body is not JSON: ${error.message}`); }
        same_id(value);
        const found = match_value(expect.body.json, value, bound, expect.ordered);
        if (found)
            fail(`${found.path} ${found.why}\n--- expected\n${shorten(found.want)}\n--- got\n${shorten(found.got)}`);
    }
}

function check_frames(expect, text, bound, fail, same_id) {
    if (text.includes('\r')) fail('a CR in the stream');
    if (text !== '' && !text.endsWith('\n\n') && !expect.abort) fail('the stream does not end in a blank line');
    const frames = text.split('\n\n').filter(frame => frame !== '').map(frame => frame.split('\n'));
    const values = frames.map(lines => {
        const data = lines.find(line => line.startsWith('data:'));
        if (data === undefined) return null;
        const rest = data.slice(5).trimStart();
        if (rest === '[DONE]') return null;
        try { return parse_json(rest, false); } catch (error) { return fail(`data is not JSON: ${error.message}: ${data}`); }
    });
    for (const value of values) if (value) same_id(value);
    const one = (want, index, into) => {
        const lines = frames[index];
        if (lines.length !== want.lines.length) return `frame ${index + 1} has ${lines.length} lines instead of ${want.lines.length}`;
        for (let i = 0; i < lines.length; i++) {
            const line = want.lines[i];
            if (line.json !== undefined) {
                if (!lines[i].startsWith(line.prefix) || lines[i][line.prefix.length] === ' ')
                    return `frame ${index + 1}: ${JSON.stringify(lines[i].slice(0, 12))} instead of ${JSON.stringify(line.prefix)}`;
                if (!values[index]) return `frame ${index + 1}: no JSON`;
                const found = match_value(line.json, values[index], into, expect.ordered);
                if (found) return `frame ${index + 1}: ${found.path} ${found.why}\n--- expected\n${found.want}\n--- got\n${found.got}`;
            } else if (line.text === 'id:$SEQ') {
                if (lines[i] !== `id:${index + 1}`) return `frame ${index + 1}: ${lines[i]} instead of id:${index + 1}`;
            } else {
                const why = match_text(line.text, lines[i], into);
                if (why) return `frame ${index + 1}: ${JSON.stringify(lines[i])} instead of ${JSON.stringify(line.text)}`;
            }
        }
        return null;
    };
    let deepest = { at: -1, why: '' };
    const walk = (w, f, names) => {
        if (w === expect.frames.length) {
            if (f === frames.length || expect.abort) return names;
            if (f >= deepest.at) deepest = { at: f, why: `frame ${f + 1} is not expected: ${frames[f].join('⏎')}` };
            return null;
        }
        const want = expect.frames[w];
        if (want.any) {
            for (let skip = f; skip <= frames.length; skip++) {
                const found = walk(w + 1, skip, new Map(names));
                if (found) return found;
            }
            return null;
        }
        if (want.repeat === '*') {
            const found = walk(w + 1, f, new Map(names));
            if (found) return found;
        }
        if (f >= frames.length) {
            if (f >= deepest.at) deepest = { at: f, why: `the stream ends after ${frames.length} frames; expected (line ${want.line}): ` +
                want.lines.map(l => l.text ?? l.prefix + show_value(l.json)).join('⏎') };
            return null;
        }
        const inner = new Map(names);
        const why = one(want, f, inner);
        if (why) {
            if (f >= deepest.at) deepest = { at: f, why: `${why}\n(line ${want.line})` };
            return null;
        }
        if (want.repeat !== '1') {
            const found = walk_repeat(w, f + 1, inner);
            if (found) return found;
            return null;
        }
        return walk(w + 1, f + 1, inner);
    };
    const walk_repeat = (w, f, names) => walk(w + 1, f, new Map(names)) ??
        (f < frames.length && !one(expect.frames[w], f, names) ? walk_repeat(w, f + 1, names) : null);
    if (expect.frames.length || !expect.checks.length) {
        const found = walk(0, 0, new Map(bound));
        if (!found) fail(deepest.why || 'the stream differs');
        for (const [name, value] of found) bound.set(name, value);
    }
    for (const check of expect.checks) {
        if (check.kind === 'frames') {
            const [least, most] = check.path.includes('..') ? check.path.split('..') : [check.path, check.path];
            if (frames.length < Number(least) || (most !== '' && frames.length > Number(most)))
                fail(`${frames.length} frames instead of ${check.path} (line ${check.line})`);
            continue;
        }
        const found = values.filter(v => v).map(v => at_path(v, check.path)).filter(v => v !== undefined);
        let got;
        if (check.kind === 'last') got = found[found.length - 1];
        else got = found.filter(v => typeof v === 'string').join('');
        const differs = match_value(check.value, got, bound, expect.ordered);
        if (differs) fail(`${check.kind} ${check.path} ${differs.why} (line ${check.line})\n--- expected\n${differs.want}\n--- got\n${differs.got}`);
    }
}

function request_bytes(step, bound, host) {
    const fill = text => text.replace(/\$\{([a-z0-9_]+)\}/g, (whole, name) => bound.has(name) ? bound.get(name) : whole);
    const body = Buffer.from(fill(step.body), 'utf8');
    const headers = [['Host', host], ['Authorization', step.target.startsWith('/admin/') ? 'Bearer admin-wire' : 'Bearer sk-test']];
    const chunked = step.flags.find(f => f.startsWith('chunked'));
    const has_body = step.body !== '' || !['GET', 'HEAD', 'OPTIONS', 'DELETE'].includes(step.method);
    if (has_body) {
        headers.push(['Content-Type', 'application/json']);
        if (chunked) headers.push(['Transfer-Encoding', 'chunked']);
        else headers.push(['Content-Length', String(body.length)]);
    }
    for (const { drop, name, value } of step.headers) {
        const at = headers.findIndex(h => h[0].toLowerCase() === name.toLowerCase());
        if (at >= 0) headers.splice(at, 1);
        if (!drop) headers.push([name, fill(value)]);
    }
    const version = step.flags.includes('1.0') ? '1.0' : '1.1';
    const head = Buffer.from(`${step.method} ${fill(step.target)} HTTP/${version}\r\n` +
        headers.map(h => `${h[0]}: ${h[1]}\r\n`).join('') + '\r\n', 'utf8');
    if (!has_body) return { head, body: Buffer.alloc(0) };
    if (!chunked) return { head, body };
    const size = Number(chunked.split('=')[1] ?? 1000);
    const pieces = [];
    for (let at = 0; at < body.length; at += size) {
        const piece = body.subarray(at, at + size);
        pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n'));
    }
    pieces.push(Buffer.from('0\r\n\r\n'));
    return { head, body: Buffer.concat(pieces) };
}

// "log JSON": the server's log has a line of the last request that is like this. "log-lacks TEXT": it has that nowhere.
async function check_log(step, server, bound) {
    const text = step.words.slice(1).join(' ');
    if (step.words[0] === 'log-lacks') {
        if (server.output.includes(text)) throw new Mismatch(step.line, `the log has ${text}`);
        return;
    }
    const id = bound.get('last_request_id');
    const want = parse_json(text, true);
    const find = () => server.output.split('\n').filter(l => l.startsWith('{') && l.includes(id));
    for (let tries = 0; tries < 40 && !find().length; tries++) await new Promise(resolve => setTimeout(resolve, 25));
    const lines = find();
    if (lines.length !== 1) throw new Mismatch(step.line, `${lines.length} log lines of request ${id}`);
    const found = match_value(want, parse_json(lines[0], false), bound, false);
    if (found) throw new Mismatch(step.line, `log line: ${found.path} ${found.why}\n--- expected\n${found.want}\n--- got\n${lines[0]}`);
}

// What a client of the server finds in its environment, and nothing of whoever runs the tests.
function command_env(server) {
    return { ...process.env, DASHSCOPE_API_KEY: 'sk-test', DASHSCOPE_HTTP_BASE_URL: `http://${server.host}:${server.port}/api/v1` };
}

async function run_command(step, server, options, bound) {
    if (step.words[0] === 'log' || step.words[0] === 'log-lacks') return check_log(step, server, bound);
    if (step.words[0] === 'wait') return new Promise(resolve => setTimeout(resolve, Number(step.words[1])));
    const words = step.words.map(w => w.replace('$DATA', server.data).replace(/\$\{([a-z0-9_]+)\}/g, (_, n) => bound.get(n) ?? _));
    const { code, out, complaint } = await new Promise(resolve => {
        const child = execFile(path.resolve(options.binary), words, { timeout: options.timeout, env: command_env(server) },
            (error, stdout, stderr) => resolve({ code: error ? error.code ?? 'killed' : 0, out: stdout + stderr, complaint: stderr }));
        child.stdin.end();
    });
    if (step.fails) {
        const said = complaint.split('\n')[0].replace(/^dashbox \w+: /, '');
        if (code !== step.fails.status || said !== step.fails.says)
            throw new Mismatch(step.line, `--- expected ${step.fails.status}\n${step.fails.says}\n--- got ${code}\n${out}`);
        return;
    }
    if (code !== 0) throw new Mismatch(step.line, `the command ended with ${code}\n--- got\n${out}`);
    for (const line of step.lines) {
        const found = new RegExp(line.replace(/\$\{([a-z0-9_]+)\}/g, (_, n) => escape_regex(bound.get(n) ?? _)), 'm').exec(out);
        if (!found) throw new Mismatch(step.line, `nothing matches /${line}/\n--- got\n${out}`);
        for (const [name, value] of Object.entries(found.groups ?? {})) bound.set(name, value);
    }
}

async function run_case(test, server, options) {
    const bound = new Map([['upstream', server.upstream]]);
    let connection = null;
    let pending = [];           // methods of requests that were sent ahead
    let name = '';              // of the connection
    const others = new Map();   // those that are not in use now: name -> [connection, pending]
    const change = to => {
        if (to === name) return;
        others.set(name, [connection, pending]);
        [connection, pending] = others.get(to) ?? [null, []];
        others.delete(to);
        name = to;
    };
    const open = async () => {
        if (connection) return;
        connection = new Connection(server.host, server.port, options.timeout);
        try { await connection.opened; } catch (error) { throw new Wire_error(`cannot connect: ${error.message}`); }
    };
    const drop = () => { connection?.destroy(); connection = null; pending = []; };
    // The same request again and again, some of them ahead of the answers.
    const repeat = async (step, times, bytes) => {
        for (let left = times; left > 0;) {
            const some = Math.min(left, 100);
            connection.send(Buffer.concat(Array(some).fill(bytes)));
            for (let i = 0; i < some; i++)
                check_reply(test, step.expects[0], await connection.reply(step.method), bound, server);
            left -= some;
        }
    };
    let line = test.line;
    try {
        for (const step of test.steps) {
            line = step.line;
            if (step.kind === 'command') {
                await run_command(step, server, options, bound);
                continue;
            }
            change(step.flags.find(f => f.startsWith('on='))?.slice(3) ?? '');
            if (step.flags.includes('new')) drop();
            await open();
            let rest = null;
            const times = Number(step.flags.find(f => f.startsWith('times='))?.slice(6) ?? 1);
            if (step.kind === 'raw') {
                const bytes = step.bytes.replace(/\$HOST/g, `${server.host}:${server.port}`)
                    .replace(/\$\{([a-z0-9_]+)\}/g, (whole, name) => bound.has(name) ? bound.get(name) : whole);
                connection.send(Buffer.from(bytes, 'latin1'));
                if (step.flags.includes('fin')) connection.socket.end();
                const methods = [...bytes.matchAll(/(?:^|\n)([A-Z]+) \S+ HTTP\/1/g)].map(m => m[1]);
                pending.push(...methods);
            } else {
                const { head, body } = request_bytes(step, bound, `${server.host}:${server.port}`);
                const waits = step.headers.some(h => h.name.toLowerCase() === 'expect' && !h.drop);
                if (waits) { connection.send(head); rest = body; }
                else if (step.flags.includes('slow')) {
                    const all = Buffer.concat([head, body]);
                    const part = Math.ceil(all.length / 6);
                    for (let at = 0; at < all.length; at += part) {
                        connection.send(all.subarray(at, at + part));
                        await new Promise(resolve => setTimeout(resolve, 8));
                    }
                } else if (times > 1) {
                    await repeat(step, times, Buffer.concat([head, body]));
                    continue;
                } else connection.send(Buffer.concat([head, body]));
                pending.push(step.method);
                if (step.flags.includes('pipelined')) continue;
            }
            for (const expect of step.expects) {
                line = expect.line;
                if (expect.end) {
                    if (!await connection.until(() => false)) throw new Wire_error('the connection is not closed');
                    if (connection.bytes.length) throw new Wire_error(`more bytes before the end: ${connection.sample()}`);
                    drop();
                    continue;
                }
                if (expect.silent) {
                    await connection.until(() => connection.bytes.length > 0, 150);
                    if (connection.bytes.length || connection.ended) throw new Wire_error(`not silent: ${connection.sample()}`);
                    continue;
                }
                if (expect.held) {
                    await connection.need(() => connection.bytes.includes('\n\n'), 'a first event');
                    continue;
                }
                let reply = await connection.reply(pending[0] ?? 'GET', expect.abort, expect.cut);
                const until = step.flags.find(f => f.startsWith('until='))?.slice(6);
                for (const end = Date.now() + 4 * options.timeout; until && !new RegExp(until).test(reply.body) && Date.now() < end;) {
                    await new Promise(resolve => setTimeout(resolve, 20));
                    const { head, body } = request_bytes(step, bound, `${server.host}:${server.port}`);
                    connection.send(Buffer.concat([head, body]));
                    reply = await connection.reply(step.method);
                }
                if (reply.status >= 200) pending.shift();
                check_reply(test, expect, reply, bound, server);
                if (reply.status === 100 && rest) { connection.send(rest); rest = null; }
                if (expect.abort || expect.cut) { drop(); continue; }
                if (expect.may_close) {
                    if (connection.ended || reply.to_the_end || /close/i.test(reply.headers.find(h => h[0] === 'connection')?.[1] ?? ''))
                        drop();
                    continue;
                }
                if (expect.closes) {
                    if (!await connection.until(() => false)) throw new Wire_error('the connection is not closed');
                    if (connection.bytes.length) throw new Wire_error(`more bytes before the end: ${connection.sample()}`);
                    drop();
                } else if (reply.headers.some(h => h[0] === 'connection' && /close/i.test(h[1]))) {
                    throw new Wire_error(`the reply says connection: close\n--- got\n${show_reply(reply)}`);
                }
            }
            if (connection && pending.length === 0 && connection.bytes.length)
                throw new Wire_error(`bytes that nobody asked for: ${connection.sample()}`);
        }
        return null;
    } catch (error) {
        if (error instanceof Mismatch) return { line: error.line, text: error.message };
        if (error instanceof Wire_error) return { line, text: error.message };
        return { line, text: error.stack };
    } finally {
        drop();
        for (const [other] of others.values()) other?.destroy();
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Servers

const sanitizer = /(ERROR: (Address|Leak|Memory)Sanitizer|WARNING: ThreadSanitizer|SUMMARY: \w+Sanitizer|: runtime error: )/;

async function start_server(setup, options, upstream) {
    const data = fs.mkdtempSync(path.join(os.tmpdir(), 'dashbox-wire-'));
    const config_file = path.join(data, 'config.yaml');
    const scenario_file = path.join(data, 'scenario.yaml');
    const rules_file = path.join(data, 'rules.txt');
    const fill = text => text.replaceAll('$UPSTREAM', upstream ?? '$UPSTREAM').replaceAll('$SCENARIO', scenario_file)
        .replaceAll('$RULES', rules_file).replaceAll('$DATA', data).replaceAll('$HERE', here);
    fs.writeFileSync(config_file, fill(setup.config) || '{}\n');
    if (setup.scenario) fs.writeFileSync(scenario_file, fill(setup.scenario));
    if (setup.rules) fs.writeFileSync(rules_file, setup.rules);
    const words = ['serve', '--listen', '127.0.0.1:0', '--data', path.join(data, 'data'), '--api-key', 'sk-test',
        '--config', config_file, ...setup.args.map(fill)];
    const server = { data: path.join(data, 'data'), folder: data, output: '', ended: null, upstream };
    for (const line of setup.setup.split('\n').filter(l => l)) {
        const failed = await new Promise(resolve => execFile(path.resolve(options.binary),
            [...line.split(/\s+/), '--data', server.data, '--config', config_file],
            (error, stdout, stderr) => resolve(error ? `${error.message}${stdout}${stderr}` : null)));
        if (failed) {
            server.failed = `its setup failed: ${line}: ${failed}`;
            return server;
        }
    }
    const child = spawn(path.resolve(options.binary), words, { stdio: ['ignore', 'pipe', 'pipe'] });
    server.child = child;
    server.exit = new Promise(resolve => {
        child.once('error', error => { server.ended = { error: error.message }; resolve(); });
        child.once('exit', (code, signal) => { server.ended = { code, signal }; resolve(); });
    });
    const address = await new Promise(resolve => {
        const timer = setTimeout(() => resolve(null), 20000);
        const done = value => { clearTimeout(timer); resolve(value); };
        const take = piece => {
            server.output += piece;
            if (server.output.length > 4e6) server.output = server.output.slice(-2e6);
            const found = /\bhttps?:\/\/([^\s:\/"']+):(\d+)/.exec(server.output);
            if (found) done(found);
        };
        child.stdout.on('data', take);
        child.stderr.on('data', take);
        server.exit.then(() => done(null));
    });
    if (!address) {
        server.failed = `the server did not start (${JSON.stringify(server.ended)}):\n${shorten(server.output)}`;
        child.kill('SIGKILL');
        return server;
    }
    server.host = address[1];
    server.port = Number(address[2]);
    return server;
}

// Stops a server; what was wrong with its end, or null.
async function stop_server(server) {
    const show = () => shorten(server.output.split('\n').filter(l => !l.startsWith('{')).slice(-60).join('\n'), 6000);
    if (!server.ended) server.child.kill('SIGTERM');
    const early = server.ended;
    const timer = setTimeout(() => { server.killed = true; server.child.kill('SIGKILL'); }, 30000);
    await server.exit;
    clearTimeout(timer);
    await new Promise(resolve => setTimeout(resolve, 20));
    fs.rmSync(server.folder, { recursive: true, force: true });
    if (sanitizer.test(server.output)) {
        const at = server.output.search(sanitizer);
        return `a sanitizer report:\n${shorten(server.output.slice(Math.max(0, at - 200)), 6000)}`;
    }
    if (early) return `the server ended during the run: ${JSON.stringify(early)}\n${show()}`;
    if (server.killed) return `the server did not end within 15 s of SIGTERM\n${show()}`;
    if (server.ended.code !== 0) return `the server ended with ${JSON.stringify(server.ended)}\n${show()}`;
    return null;
}

// ---------------------------------------------------------------------------------------------------------------------
// Coverage of the error reference

function read_error_rows() {
    const folder = path.join(root, 'data', 'errors');
    const rows = new Map();
    for (const name of fs.readdirSync(folder).filter(n => n.endsWith('.txt') && n !== 'codes.txt')) {
        let row = null, key = null;
        for (const line of fs.readFileSync(path.join(folder, name), 'utf8').split('\n')) {
            if (line.startsWith('#')) continue;
            if (line.trim() === '') { key = null; continue; }
            if (/^\s/.test(line)) {
                if (row && key) row[key] += ` ${line.trim()}`;
                continue;
            }
            const [, word, rest] = /^(\S+)\s*(.*)$/.exec(line);
            if (word === 'error') row = { name: rest };
            else if (word === 'code' || !row) { row = null; continue; }
            else row[word] = rest;
            key = word;
            if (word === 'id') rows.set(rest.trim(), row);
        }
    }
    for (const row of rows.values())
        for (const key of ['text', 'wire'])
            if (row[key]?.startsWith('"')) {
                try { row[key] = JSON.parse(row[key]); } catch { /* a sentence that happens to begin with a quote */ }
            }
    return rows;
}

// Whether a case's expectations hold the sentence of a row: exactly, with {…} standing for any text, with or without
// the prefix of the engine level and the help link.
function expects_row(test, row) {
    const templates = [row.text, row.wire].filter(t => t !== undefined && t !== '');
    const regexes = templates.map(t => new RegExp('^(<\\d+> InternalError\\.Algo(\\.\\w+)?: )?' +
        t.split(/\{\w+\}/).map(escape_regex).join('[^]+?').replace(/\\\\n/g, '\\s*(?:\\\\n|\\n)') +
        '(\\.? ?For details, see: \\S+)?$'));
    // A client's own error is no answer: it must be all that the command says.
    if (test.steps.some(step => step.fails && regexes.some(regex => regex.test(step.fails.says)))) return true;
    for (const step of test.steps)
        for (const expect of step.expects ?? []) {
            const texts = [];
            if (expect.body?.json !== undefined) every_text(expect.body.json, texts);
            for (const [, message] of (expect.body?.text ?? '').matchAll(/<Message>(.*)<\/Message>/g))
                texts.push(message.replaceAll('&quot;', '"').replaceAll('&amp;', '&')); // as an object store refuses
            for (const frame of expect.frames ?? [])
                for (const line of frame.lines) if (line.json !== undefined) every_text(line.json, texts);
            if (templates.length === 0) {
                if (expect.statuses.includes(Number(row.status)) && texts.includes(row.native)) return true;
            } else if (texts.some(text => !/\$(RE:|ANY|STR)/.test(text) && regexes.some(regex => regex.test(text)))) {
                return true;
            }
        }
    return false;
}

// Whether a test program names the row and holds its sentence, with something in the places of its arguments.
function test_has_row(file, id, row) {
    const text = fs.existsSync(path.join(root, file)) ? fs.readFileSync(path.join(root, file), 'utf8') : '';
    const sentence = row.text.split(/\{\w+\}/).map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')).join('.+');
    return new RegExp(`\\b${id}\\b`).test(text) && new RegExp(sentence).test(text);
}

function check_coverage(tests, problems, whole) {
    const rows = read_error_rows();
    const lines = fs.readFileSync(path.join(here, 'coverage.txt'), 'utf8').split('\n')
        .map(line => line.replace(/#.*/, '').trim().split(/\s+/)).filter(([id]) => id);
    const listed = lines.map(([id]) => id), covered = new Set();
    for (const [id, program] of lines.filter(line => whole && line[1] && rows.has(line[0])))
        if (test_has_row(program, id, rows.get(id))) covered.add(id);
        else problems.push(`test/wire/coverage.txt: ${program} does not name ${id}, or has nowhere its sentence`);
    for (const test of tests)
        for (const { id, line } of test.covers) {
            const row = rows.get(id);
            if (!row) problems.push(`${test.file}:${line}: covers ${id}, which no error has`);
            else if (!expects_row(test, row)) problems.push(`${test.file}:${line}: covers ${id}, but expects nowhere its sentence: ${row.text}`);
            else if (test.passed) covered.add(id);
        }
    const reference = [...rows.keys()].filter(id => id.startsWith('E'));
    if (whole) {
        const missing = [];
        for (const id of listed) {
            if (!rows.has(id)) problems.push(`test/wire/coverage.txt: ${id} is no error`);
            else if (!covered.has(id)) missing.push(`${id} ${rows.get(id).name}`);
        }
        if (missing.length) problems.push(`test/wire/coverage.txt: listed, and covered by no case that passes: ${missing.join(', ')}`);
        const unlisted = [...covered].filter(id => id.startsWith('E') && !listed.includes(id));
        if (unlisted.length) problems.push(`test/wire/coverage.txt: covered and not listed: ${unlisted.join(' ')}`);
    }
    return { reference: reference.length, covered: [...covered].filter(id => id.startsWith('E')).length,
        others: [...covered].filter(id => !id.startsWith('E')).length };
}

// ---------------------------------------------------------------------------------------------------------------------
// The run

// The requests of all cases for a program that makes load (./dev bench soak): before each its length and a line end. Left out is
// what such a program does not read: answers without the body that they announce, and two answers to one request.
function write_requests(file, tests) {
    const pieces = [];
    for (const step of tests.flatMap(test => test.steps)) {
        if (step.kind !== 'http' || step.method === 'HEAD' || step.headers.some(h => /^(expect|upgrade)$/i.test(h.name))) continue;
        const { head, body } = request_bytes(step, new Map(), 'localhost');
        pieces.push(Buffer.from(`${head.length + body.length}\n`), head, body);
    }
    fs.writeFileSync(file, Buffer.concat(pieces));
}

async function main() {
    const options = read_options(process.argv.slice(2));
    const problems = [];            // failures that belong to no case
    let tests = [];
    for (const file of options.files) {
        try {
            tests.push(...read_case_file(file));
        } catch (error) {
            problems.push(error instanceof Bad_case ? error.message : `${file}: ${error.message}`);
        }
    }
    if (options.requests) {
        write_requests(options.requests, tests);
        process.exit(problems.length ? 1 : 0);
    }
    const all = tests;
    if (options.only) tests = tests.filter(t => options.only.test(t.name) || options.only.test(t.file));

    const setups = new Map();
    for (const test of tests) {
        const key = JSON.stringify([test.config, test.args, test.scenario, test.rules, test.setup, test.alone]);
        if (!setups.has(key)) setups.set(key, { config: test.config, args: test.args, scenario: test.scenario, rules: test.rules,
            setup: test.setup, tests: [] });
        setups.get(key).tests.push(test);
    }
    let upstream = null;
    if ([...setups.values()].some(s => (JSON.stringify(s.tests.map(t => t.steps)) + s.config + s.scenario + s.args.join(' ')).match(/\$UPSTREAM|\$\{upstream\}/))) {
        try {
            const module = await import('./faulty_engine.mjs');
            upstream = await module.start();
        } catch (error) {
            problems.push(`test/wire/faulty_engine.mjs does not start: ${error.message}`);
        }
    }
    const upstream_url = upstream?.url ?? (upstream?.port ? `http://127.0.0.1:${upstream.port}` : null);

    let running = 0, next = 0, passed = 0;
    const failures = [];
    const work = [];                // [test, server promise]
    const servers = [];
    for (const setup of setups.values()) {
        let server = null;
        const get = () => server ??= start_server(setup, options, upstream_url);
        servers.push({ setup, get: () => server });
        let left = setup.tests.length;
        for (const test of setup.tests) {
            const after = async () => {
                if (--left > 0) return;
                const up = await server;
                if (up.failed) { fs.rmSync(up.folder, { recursive: true, force: true }); return; }
                const wrong = await stop_server(up);
                if (wrong) problems.push(`${setup.tests[0].file}:${setup.tests[0].line}: its server: ${wrong}`);
            };
            work.push({ test, get, after });
        }
    }
    await new Promise(resolve => {
        const step = () => {
            if (next >= work.length && running === 0) return resolve();
            while (running < options.jobs && next < work.length) {
                const { test, get, after } = work[next++];
                running++;
                (async () => {
                    const server = await get();
                    const before = Date.now();
                    const failure = server.failed ? { line: test.line, text: server.told ? 'its server did not start, see above' : server.failed } : await run_case(test, server, options);
                    if (server.failed) server.told = true;
                    test.passed = !failure;
                    if (failure) failures.push({ test, ...failure });
                    else passed++;
                    if (options.verbose) console.log(`${failure ? 'FAIL' : 'ok  '} ${Date.now() - before} ms ${test.file}: ${test.name}`);
                    await after();
                })().catch(error => problems.push(error.stack)).finally(() => { running--; step(); });
            }
        };
        step();
    });
    await upstream?.stop?.();
    await upstream?.close?.();

    let report = null;
    try {
        report = check_coverage(options.coverage ? all : tests, problems, options.coverage);
    } catch (error) {
        problems.push(`coverage: ${error.message}`);
    }

    failures.sort((a, b) => a.test.file.localeCompare(b.test.file) || a.line - b.line);
    for (const { test, line, text } of failures)
        console.log(`\nFAIL ${test.file}:${line}: ${test.name}\n${text.split('\n').map(l => `    ${l}`).join('\n')}`);
    for (const problem of problems) console.log(`\nFAIL ${problem}`);
    if (report) {
        const wrong = options.coverage ? '' : ' by this run';
        console.log(`\ncoverage${wrong}: ${report.covered} of the ${report.reference} rows of the error reference, ` +
            `and ${report.others} refusals outside it, each by its real cause`);
    }
    const failed = failures.length + problems.length;
    console.log(`${passed} passed, ${failed} failed`);
    if (process.env.DASHBOX_TEST_COUNTS) fs.writeFileSync(process.env.DASHBOX_TEST_COUNTS, `${passed} ${failed}\n`);
    process.exit(failed ? 1 : 0);
}

await main();
