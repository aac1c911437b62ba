// Python's `requests`, as Debian has it (python3-requests): what a program sees that asks only for the status.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { KEY, serve } from './server.mjs';

const box = await serve();
const url = `${box.url}/api/v1/services/aigc/text-generation/generation`;

// The program gets the address, the key and the body as its arguments. Debian's own Python: another one has other packages.
const python = async (program, body) => {
    const { stdout } = await promisify(execFile)('/usr/bin/python3', ['-c', program, url, KEY, JSON.stringify(body)],
        { env: { ...process.env, PYTHONUTF8: '1' } });
    return stdout.trimEnd();
};

const CALL = `
import json, sys, requests
answer = requests.post(sys.argv[1], json=json.loads(sys.argv[3]), headers={"Authorization": "Bearer " + sys.argv[2]})
`;

describe('requests', () => {
    test('E239: raise_for_status() hides the body', async () => {
        const seen = await python(`${CALL}
try:
    answer.raise_for_status()
except requests.HTTPError as e:
    print(e)
`, { model: 'qwen-plus', input: {} });
        assert.match(seen, /^400 Client Error: Bad Request for url: http:\/\/127\.0\.0\.1:\d+\/api\/v1\/services\//);
        assert.ok(seen.endsWith(url), seen);
        assert.doesNotMatch(seen, /InvalidParameter/);
    });

    test('the body has what was wrong', async () => {
        const body = JSON.parse(await python(`${CALL}print(answer.text)`, { model: 'qwen-plus', input: {} }));
        assert.equal(body.code, 'InvalidParameter');
        assert.ok(body.message.length > 0);
        assert.ok(body.request_id.length > 0);
    });

    test('an answer raises nothing', async () => {
        const seen = await python(`${CALL}answer.raise_for_status()\nprint(answer.json()["output"]["text"])`,
            { model: 'qwen-plus', input: { prompt: 'hello' } });
        assert.equal(seen, 'dashbox stand-in: hello');
    });
});
