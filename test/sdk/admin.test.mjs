// The admin API against its own description: /admin/v1/openapi.json is what data/routes/admin.txt says, its examples fit its
// schemas, and what the server answers fits them too.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { serve } from './server.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const box = await serve({ config: 'admin: { key: admin-test }\n' });
const origin = new URL(box.url).origin;

async function call(method, target, body) {
    const answer = await fetch(`${origin}${target}`, { method, headers: { authorization: 'Bearer admin-test' },
        body: body === undefined ? undefined : JSON.stringify(body) });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
}

const openapi = (await call('GET', '/admin/v1/openapi.json')).body;

// Where a value does not fit a schema, or null. Knows what the generator writes, and throws at anything else.
const KNOWN = new Set(['$ref', 'type', 'enum', 'properties', 'required', 'additionalProperties', 'items', 'description', 'example',
    'format', 'minimum', 'maximum', 'minLength', 'maxLength']);

function misfit(schema, value, where = '$') {
    for (const key of Object.keys(schema)) assert.ok(KNOWN.has(key), `unknown keyword ${key}`);
    if (schema.$ref && !Array.isArray(schema.type)) return misfit(at(schema.$ref), value, where);
    const types = [schema.type ?? []].flat();
    const type = value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
    if (types.length && !types.includes(type)) return `${where} is ${type}, not ${types}`;
    if (schema.enum && !schema.enum.includes(value)) return `${where} is ${value}, not one of ${schema.enum}`;
    if (schema.format === 'date-time' && typeof value === 'string' && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z$/.test(value))
        return `${where} is no time: ${value}`;
    if (type === 'array' && schema.items)
        for (const [i, item] of value.entries()) {
            const wrong = misfit(schema.items, item, `${where}[${i}]`);
            if (wrong) return wrong;
        }
    if (type !== 'object') return null;
    for (const name of schema.required ?? []) if (!(name in value)) return `${where}.${name} is missing`;
    for (const [name, member] of Object.entries(value)) {
        const of = schema.properties?.[name] ?? schema.additionalProperties;
        if (of === false) return `${where}.${name} is not known`;
        const wrong = of ? misfit(of, member, `${where}.${name}`) : null;
        if (wrong) return wrong;
    }
    return null;
}

const at = ref => ref.slice(2).split('/').reduce((value, name) => value[name], openapi);
const content = answer => (answer.$ref ? at(answer.$ref) : answer).content?.['application/json'];

// Calls a function and holds its answer against the description.
async function ask(method, target, pattern, body) {
    const operation = openapi.paths[pattern][method.toLowerCase()];
    const sent = operation.requestBody?.content['application/json'].schema;
    const answer = await call(method, target, body);
    const described = operation.responses[answer.status];
    assert.ok(described, `${method} ${target}: ${answer.status} ${JSON.stringify(answer.body)}`);
    if (body !== undefined) assert.equal(misfit(sent, body), null);
    if (answer.status === 204) assert.equal(answer.body, undefined);
    else assert.equal(misfit(content(described).schema, answer.body), null);
    return answer.body;
}

test('the description has every function of data/routes/admin.txt, and no other', () => {
    const stanzas = fs.readFileSync(path.join(root, 'data/routes/admin.txt'), 'utf8').matchAll(/^admin +(\S+) (\S+)$/gm);
    const wanted = [...stanzas].map(m => `${m[1]} ${m[2]}`).sort();
    const found = Object.entries(openapi.paths).flatMap(([p, methods]) => Object.keys(methods).map(m => `${m.toUpperCase()} ${p}`));
    assert.equal(openapi.openapi, '3.1.0');
    assert.ok(wanted.length > 20);
    assert.deepEqual(found.sort(), wanted);
});

test('every parameter of a path is described, and every name of a function is its own', () => {
    const names = new Set();
    for (const [pattern, methods] of Object.entries(openapi.paths))
        for (const operation of Object.values(methods)) {
            const inPath = [...pattern.matchAll(/\{(\w+)\}/g)].map(m => m[1]);
            assert.deepEqual((operation.parameters ?? []).filter(p => p.in === 'path').map(p => p.name), inPath);
            assert.ok(!names.has(operation.operationId), operation.operationId);
            names.add(operation.operationId);
        }
});

test('examples fit their schemas', () => {
    for (const [name, schema] of Object.entries(openapi.components.schemas))
        if (schema.example) assert.equal(misfit(schema, schema.example), null, name);
    for (const methods of Object.values(openapi.paths))
        for (const operation of Object.values(methods))
            for (const answer of Object.values(operation.responses)) {
                const json = content(answer);
                if (json?.example) assert.equal(misfit(json.schema, json.example), null, operation.operationId);
            }
});

test('the checker of this file sees what does not fit', () => {
    const key = openapi.components.schemas.key;
    for (const change of [{ id: 1 }, { created: 'now' }, { kind: 'gold' }, { color: 'red' }])
        assert.notEqual(misfit(key, { ...key.example, ...change }), null, JSON.stringify(change));
    const { hint, ...without } = key.example;
    assert.notEqual(misfit(key, without), null);
});

test('every list and every thing without parameters answers as described', async () => {
    for (const [pattern, methods] of Object.entries(openapi.paths))
        if (methods.get && !pattern.includes('{')) await ask('GET', pattern, pattern);
});

test('workspaces, keys, members, models and policies live and end', async () => {
    const w = '/admin/v1/workspaces', k = '/admin/v1/keys', m = '/admin/v1/members', p = '/admin/v1/policies', a = '/admin/v1/models';
    await ask('POST', w, w, { id: 'ws-t', name: 'T', commodity: 'prepaid', paid_until: '2030-01-01T00:00:00Z' });
    const renamed = await ask('PATCH', `${w}/ws-t`, `${w}/{workspace}`, { name: 'U', paid_until: null });
    assert.deepEqual([renamed.name, renamed.commodity, renamed.paid_until], ['U', 'prepaid', null]);
    await ask('PUT', `${w}/ws-t/models/*`, `${w}/{workspace}/models/{model}`, { allowed: true });
    const limited = await ask('PUT', `${w}/ws-t/models/${encodeURIComponent('kimi-k2.5')}`, `${w}/{workspace}/models/{model}`,
        { allowed: false, tpm: 1000 });
    assert.deepEqual(limited.models.map(x => [x.model, x.allowed, x.tpm]), [['*', true, null], ['kimi-k2.5', false, 1000]]);
    const without = await ask('DELETE', `${w}/ws-t/models/kimi-k2.5`, `${w}/{workspace}/models/{model}`);
    assert.equal(without.models.length, 1);

    const member = await ask('POST', m, m, { id: 'li', name: '李伟', workspaces: ['ws-t'] });
    assert.equal(member.name, '李伟');
    assert.deepEqual((await ask('PUT', `${m}/li/workspaces/default`, `${m}/{member}/workspaces/{workspace}`)).workspaces,
        ['default', 'ws-t']);
    assert.deepEqual((await ask('DELETE', `${m}/li/workspaces/default`, `${m}/{member}/workspaces/{workspace}`)).workspaces, ['ws-t']);

    const key = await ask('POST', k, k, { workspace: 'ws-t', member: 'li', networks: '127.0.0.0/8', expires: Date.now() + 60_000 });
    assert.match(key.key, /^sk-[0-9a-f]{32}$/);
    assert.deepEqual(await ask('GET', `${k}/${key.id}`, `${k}/{key}`), { ...key, key: null });
    assert.equal((await ask('GET', `${k}?workspace=ws-t`, k)).data.length, 1);
    await ask('DELETE', `${k}/${key.id}`, `${k}/{key}`);
    assert.notEqual((await ask('GET', `${k}/${key.id}`, `${k}/{key}`)).revoked, null);

    const policy = await ask('POST', p, p, { workspace: 'ws-t', kind: 'block', pattern: 'x+', is_regex: true });
    assert.deepEqual((await ask('GET', `${p}?workspace=ws-t`, p)).data, [policy]);
    await ask('DELETE', `${p}/${policy.id}`, `${p}/{policy}`);

    assert.equal((await ask('PATCH', `${a}/qwen-plus`, `${a}/{model}`, { free_only: true })).free_only, true);
    assert.equal((await ask('GET', `${a}/qwen-plus`, `${a}/{model}`)).free_only, true);
    await ask('PATCH', '/admin/v1/account', '/admin/v1/account', { free_only: true });
    await ask('DELETE', `${m}/li`, `${m}/{member}`);
    await ask('DELETE', `${w}/ws-t`, `${w}/{workspace}`);
    assert.equal((await call('GET', `${k}/${key.id}`)).status, 404); // gone with its workspace
    const refused = await call('GET', `${w}/ws-t`);
    assert.equal(refused.status, 404);
    assert.equal(misfit(openapi.components.schemas.error, refused.body), null);
});

test('the pages of the models are all of them, once', async () => {
    const seen = [];
    for (let after = ''; after !== null;) {
        const page = await ask('GET', `/admin/v1/models?limit=250${after && `&after=${encodeURIComponent(after)}`}`, '/admin/v1/models');
        seen.push(...page.data.map(model => model.id));
        after = page.next;
    }
    assert.ok(seen.length > 600);
    assert.equal(new Set(seen).size, seen.length);
});
