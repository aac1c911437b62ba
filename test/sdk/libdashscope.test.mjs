// libdashscope as a stranger's program finds it: installed, through pkg-config, from C and C++, shared and static.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { KEY, SCENARIO, scratch, serve } from './server.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const build = path.dirname(process.env.DASHBOX || path.join(root, 'build', 'dashbox'));
const folder = scratch('client');

const run = (command, words, env = {}) => new Promise(resolve => {
    execFile(command, words, { timeout: 120_000, cwd: folder, env: { ...process.env, ...env } }, (error, stdout, stderr) =>
        resolve({ status: error ? error.code : 0, stdout, stderr }));
});
async function good(command, words, env) {
    const { status, stdout, stderr } = await run(command, words, env);
    assert.equal(status, 0, `${command} ${words.join(' ')}\n${stdout}${stderr}`);
    return stdout.trim();
}

const box = await serve({ scenario: SCENARIO });
await good('meson', ['install', '-C', path.resolve(build), '--no-rebuild', '--quiet', '--destdir', folder]);
const header = await good('find', [folder, '-name', 'dashscope.h']);
const pc = await good('find', [folder, '-name', 'dashscope.pc']);
const lib = path.dirname(path.dirname(pc));
const shared = path.join(lib, 'libdashscope.so.0');
const env = { PKG_CONFIG_PATH: path.dirname(pc), PKG_CONFIG_SYSROOT_DIR: folder, LD_LIBRARY_PATH: lib,
    DASHSCOPE_API_KEY: KEY, DASHSCOPE_HTTP_BASE_URL: box.native };

const names = async (...words) => (await good('nm', words)).split('\n').filter(line => / [A-Z] /.test(line))
    .map(line => line.split(' ').pop());
const sanitizer = (await good('nm', ['-D', shared])).match(/__(asan|tsan)_init/)?.[1];
const flags = { asan: ['-fsanitize=address,undefined'], tsan: ['-fsanitize=thread'] }[sanitizer] ?? [];

async function compile(compiler, source, out, archive) {
    const words = ['--cflags', '--libs', ...archive ? ['--static'] : [], 'dashscope'];
    const found = (await good('pkg-config', words, env)).split(/\s+/).map(word => archive && word === '-ldashscope' ? archive : word);
    await good(compiler, ['-Wall', '-Wextra', '-Werror', ...flags, '-o', path.join(folder, out),
        path.join(root, 'test', 'client', source), ...found, '-pthread']);
    return path.join(folder, out);
}

test('only dashscope_… is seen from outside', async () => {
    assert.ok(fs.existsSync(header));
    for (const seen of [await names('-D', '--defined-only', shared), await names('-g', '--defined-only', path.join(lib, 'libdashscope.a'))]) {
        assert.ok(seen.includes('dashscope_open'));
        assert.deepEqual(seen.filter(name => !name.startsWith('dashscope_')), []);
    }
});

test('a program in C', async () => {
    const program = await compile('gcc', 'hello.c', 'hello');
    assert.equal(await good(program, ['poem'], env), 'Willows bend low; the river carries petals — 春眠不觉晓。');
    assert.deepEqual(await run(program, [], { ...env, DASHSCOPE_API_KEY: '' }),
        { status: 1, stdout: '', stderr: '0 NetworkError: NoApiKeyException: Can not find api-key.\n' });
    assert.match((await run(program, [], { ...env, DASHSCOPE_API_KEY: 'sk-wrong' })).stderr, /^401 InvalidApiKey: /);
});

test('a program in C++', async () => {
    assert.equal(await good(await compile('g++', 'hello.cpp', 'hello++'), [], env), 'dashbox stand-in: hello from C++');
});

test('a program with the archive in it', async () => {
    const program = await compile('gcc', 'hello.c', 'hello-static', path.join(lib, 'libdashscope.a'));
    assert.doesNotMatch(await good('ldd', [program]), /libdashscope/);
    assert.equal(await good(program, ['riddle'], env), 'A piano.');
});

test('pull, callbacks, both protocols, refusals, cancelling, deadlines, the other calls, tasks, files, four threads', async () => {
    const lines = path.join(folder, 'lines.txt');
    fs.writeFileSync(lines, 'the wind blows\nstock prices fell\n');
    assert.equal(await good(await compile('gcc', 'modes.c', 'modes'), [lines], env), 'good');
});

test('a server\'s certificate is verified', async t => {
    const [certificate, key] = ['cert.pem', 'key.pem'].map(name => path.join(folder, name));
    await good('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost',
        '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', certificate]);
    const secure = await serve({ args: ['--set', `tls.certificate=${certificate}`, '--set', `tls.key=${key}`] });
    t.after(() => secure.stop());
    const chat = (...words) => run(path.resolve(build, 'dashbox'), ['chat', 'hello', ...words], env);
    const there = secure.native.replace('127.0.0.1', 'localhost');
    assert.equal((await chat('--base-url', there, '--ca-file', certificate)).stdout, 'dashbox stand-in: hello\n');
    assert.equal((await chat('--base-url', there)).status, 4); // an authority that nobody knows
    await good('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=other', '-key', key,
        '-addext', 'subjectAltName=DNS:other.example', '-out', certificate]);
    const other = await serve({ args: ['--set', `tls.certificate=${certificate}`, '--set', `tls.key=${key}`] });
    t.after(() => other.stop());
    assert.equal((await chat('--base-url', other.native.replace('127.0.0.1', 'localhost'), '--ca-file', certificate)).status, 4);
});

test('connections are kept', async () => {
    const count = () => box.metric('dashbox_connections_total');
    await count(); // its own connection
    const before = await count();
    const texts = Array.from({ length: 95 }, (_, i) => `text ${i}`);
    const lines = await good(path.resolve(build, 'dashbox'), ['embed', '--dimension', '64', ...texts], env);
    assert.equal(lines.split('\n').length, 95); // in ten calls
    assert.ok(await count() - before < 4);
});
