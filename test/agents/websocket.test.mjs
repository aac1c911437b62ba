// The WebSocket client that newer versions of Node.js have themselves, on the build's echo server.

import { after, test } from 'node:test';
import assert from 'node:assert/strict';
import path from 'node:path';
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const node = path.join(here, 'node_modules', `node-linux-${process.arch}`, 'bin', 'node');
const build = path.dirname(path.resolve(process.env.DASHBOX || path.join(here, '..', '..', 'build', 'dashbox')));

const echo = spawn(path.join(build, 'test', 'bench', 'ws_echo'), [], { stdio: ['ignore', 'pipe', 'inherit'] });
after(() => echo.kill('SIGTERM'));
const port = await new Promise(resolve => echo.stdout.on('data', said => resolve(/:(\d+)/.exec(said)[1])));

const program = `
    const socket = new WebSocket('ws://127.0.0.1:${port}/');
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => { socket.send('春眠不觉晓'); socket.send(new Uint8Array(70000)); };
    let count = 0;
    socket.onmessage = ({ data }) => {
        console.log(typeof data === 'string' ? data : data.byteLength);
        if (++count === 2) socket.close(4000, 'bye');
    };
    socket.onclose = ({ code, wasClean }) => console.log(code, wasClean);
`;

test('it sends, gets back, and closes', async () => {
    const child = spawn(node, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    let said = '';
    child.stdout.on('data', piece => { said += piece; });
    assert.equal(await new Promise(resolve => child.once('close', resolve)), 0);
    assert.equal(said, '春眠不觉晓\n70000\n4000 true\n');
});
