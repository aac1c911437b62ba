// Knowledge bases over plain HTTP, in the order of the calls of llama_index's DashScopeCloudIndex and DashScopeParse and of Spring AI Alibaba's
// DashScopeApi (platform.md §4.8); what a kill in the middle of indexing leaves; the command line; and what is found, beside words alone.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { scratch, serve, until, KEY, UUID } from './server.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const folder = scratch('knowledge');
const CONFIG = 'admin: { key: admin-sdk }\nlimits: { catalog: off }\n';

async function call(box, method, where, body, headers = {}) {
    const answer = await fetch(`${box.url}/api/v1${where}`, { method, body: body && JSON.stringify(body),
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${KEY}`, ...headers } });
    return { status: answer.status, ...await answer.json() };
}

async function good(box, method, where, body, headers) {
    const answer = await call(box, method, where, body, headers);
    assert.equal(answer.status, 'SUCCESS', JSON.stringify(answer));
    assert.equal(answer.code, 'Success');
    assert.match(answer.request_id, UUID);
    return answer;
}

async function admin(box, method, where, body) {
    const answer = await fetch(`${box.url}/admin/v1${where}`, { method, body: body && JSON.stringify(body),
        headers: { 'Content-Type': 'application/json', Authorization: 'Bearer admin-sdk' } });
    assert(answer.ok, `${where}: ${answer.status}`);
    return answer.status === 204 ? undefined : answer.json();
}

// Both clients bring a file so; md5: as the client writes it.
async function bring(box, name, text, md5, category = 'default') {
    const { data: lease } = await good(box, 'POST', `/datacenter/category/${category}/upload_lease`,
        { file_name: name, size_bytes: Buffer.byteLength(text), content_md5: md5(text) });
    assert.equal(lease.type, 'OSS.PreSignedUrl');
    assert.equal(lease.param.method, 'PUT');
    const put = await fetch(lease.param.url, { method: 'PUT', headers: lease.param.headers, body: text });
    assert.equal(put.status, 200);
    assert.equal(await put.text(), '');
    const { data: file } = await good(box, 'POST', `/datacenter/category/${category}/add_file`, { lease_id: lease.lease_id, parser: 'DASHSCOPE_DOCMIND' });
    assert.equal(file.parser, 'DASHSCOPE_DOCMIND');
    return file.file_id;
}

const parsed = (box, id) => until(async () => {
    const { data } = await good(box, 'POST', `/datacenter/category/default/file/${id}/query`, { file_id: id });
    return ['PARSE_SUCCESS', 'PARSE_FAILED'].includes(data.status) && data;
}, 'the file to be read');

const hex = text => crypto.createHash('md5').update(text).digest('hex');
const base64 = text => crypto.createHash('md5').update(text).digest('base64');

const TRANSFORMATIONS = [
    { configurable_transformation_type: 'DASHSCOPE_JSON_NODE_PARSER', component: { chunk_size: 500, overlap_size: 100, input_type: 'idp',
        separator: ' |,|，|。|？|！|\n|\\?|\\!', language: 'cn' } },
    { configurable_transformation_type: 'DASHSCOPE_EMBEDDING', component: { model_name: 'text-embedding-v2' } },
    { configurable_transformation_type: 'DASHSCOPE_RETRIEVER', component: { enable_rewrite: false, sparse_similarity_top_k: 100,
        dense_similarity_top_k: 100, enable_reranking: true, rerank: [{ model_name: 'gte-rerank-hybrid' }], rerank_min_score: 0, rerank_top_n: 5 } },
];
const pipeline = (name, ids) => ({ name, pipeline_type: 'MANAGED_SHARED', data_type: 'unstructured', config_model: 'recommend',
    configured_transformations: TRANSFORMATIONS, data_sinks: [{ sink_type: 'BUILT_IN' }],
    data_sources: [{ source_type: 'DATA_CENTER_FILE', component: { doc_ids: ids } }] });

const box = await serve({ config: CONFIG });

test('the calls of llama_index', async () => {
    const id = await bring(box, 'kettle.txt', 'The warranty of the kettle lasts 24 months.\n', hex);
    const file = await parsed(box, id);
    assert.equal(file.status, 'PARSE_SUCCESS');
    assert.equal(file.file_name, 'kettle.txt');
    assert.equal(file.file_type, 'txt');
    assert.match(file.upload_time, /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/);
    const { data: lease } = await good(box, 'POST', `/datacenter/category/default/file/${id}/download_lease`, { file_id: id });
    assert.equal(lease.type, 'HTTP');
    const text = await (await fetch(lease.param.url, { headers: lease.param.headers })).text();
    assert.match(JSON.parse(text).text, /lasts 24 months/);

    // DashScopeJsonNodeParser: the text is what was downloaded
    const { chunkService: { chunkResult } } = await good(box, 'POST', '/indices/component/configed_transformations/spliter',
        { text, chunk_size: 500, overlap_size: 100, separator: ' |,|，|。|？|！|\n|\\?|\\!', language: 'cn', file_type: 'idp' });
    assert.equal(chunkResult.length, 1);
    assert.equal(['\n', chunkResult[0].title, chunkResult[0].hier_title, chunkResult[0].content].join('').trim(),
        'The warranty of the kettle lasts 24 months.');

    const workspace = { 'X-DashScope-WorkSpace': 'default', 'X-DashScope-OpenAPISource': 'CloudSDK' };
    const { id: pipeline_id } = await good(box, 'PUT', '/indices/pipeline', pipeline('llama', [id]), workspace);
    assert.match(pipeline_id, /^[a-z0-9]{10}$/);
    // without a body
    const { ingestionId } = await good(box, 'POST', `/indices/pipeline/${pipeline_id}/managed_ingest`, undefined, workspace);
    const status = at => until(async () => {
        const answer = await good(box, 'GET', `/indices/pipeline/${pipeline_id}/managed_ingest/${at}/status`, undefined, workspace);
        return answer.ingestion_status !== 'RUNNING' && answer;
    }, 'the ingestion');
    assert.deepEqual((await status(ingestionId)).failed_docs, []);
    assert.equal((await status(ingestionId)).ingestion_status, 'COMPLETED');

    assert.equal((await good(box, 'GET', '/indices/pipeline_simple?pipeline_name=llama', undefined, workspace)).id, pipeline_id);
    assert(!('id' in await good(box, 'GET', '/indices/pipeline_simple?pipeline_name=none', undefined, workspace)));
    const ask = query => good(box, 'POST', `/indices/pipeline/${pipeline_id}/retrieve`, { query, dense_similarity_top_k: 100,
        sparse_similarity_top_k: 100, enable_rewrite: false, rewrite: [{ model_name: 'conv-rewrite-qwen-1.8b', class_name: 'DashScopeTextRewrite' }],
        enable_reranking: true, rerank: [{ model_name: 'gte-rerank-hybrid' }], rerank_min_score: 0, rerank_top_n: 5 }, workspace);
    const { nodes, total } = await ask('How long is the warranty?');
    assert.equal(total, 1);
    assert.equal(nodes[0].node.text, 'The warranty of the kettle lasts 24 months.');
    assert.equal(nodes[0].node.metadata.doc_id, id);
    assert.equal(nodes[0].node.metadata.doc_name, 'kettle.txt');
    assert(nodes[0].score > 0 && nodes[0].score <= 1);
    assert(nodes[0].node.id_);

    // documents are put; delete_ref_doc has a list of components
    const more = await bring(box, 'lamp.txt', 'The warranty of the lamp lasts a year.\n', hex);
    const { ingestionId: second } = await good(box, 'PUT', `/indices/pipeline/${pipeline_id}/documents`,
        { data_sources: [{ source_type: 'DATA_CENTER_FILE', component: { doc_ids: [more] } }] }, workspace);
    assert.equal((await status(second)).ingestion_status, 'COMPLETED');
    assert.equal((await ask('warranty')).total, 2);
    await good(box, 'POST', `/indices/pipeline/${pipeline_id}/delete`,
        { data_sources: [{ source_type: 'DATA_CENTER_FILE', component: [{ doc_ids: [id] }] }] }, workspace);
    assert.deepEqual((await ask('warranty')).nodes.map(n => n.node.metadata.doc_name), ['lamp.txt']);
});

test('the calls of Spring AI', async () => {
    const id = await bring(box, 'pump.txt', 'Prime the pump before you use it. 每周清洗过滤器。', base64);
    await parsed(box, id);
    const upserted = await good(box, 'PUT', '/indices/pipeline', pipeline('spring', [id]));
    assert.equal(upserted.pipline_name, 'spring');
    const { ingestionId } = await good(box, 'POST', `/indices/pipeline/${upserted.id}/managed_ingest`, pipeline('spring', [id]));
    assert(ingestionId);
    await until(async () => (await good(box, 'GET', `/indices/pipeline/${upserted.id}/managed_ingest/${ingestionId}/status`)).ingestion_status === 'COMPLETED', 'the ingestion');
    assert.equal((await good(box, 'PUT', '/indices/pipeline', pipeline('spring', [id]))).id, upserted.id); // the same
    assert.equal((await good(box, 'GET', '/indices/pipeline_simple?pipeline_name=spring')).id, upserted.id);
    const { nodes } = await good(box, 'POST', `/indices/pipeline/${upserted.id}/retrieve`, { query: '清洗过滤器', dense_similarity_top_k: 100,
        sparse_similarity_top_k: 100, enable_rewrite: true, rewrite: [{ model_name: 'conv-rewrite-qwen-1.8b', class_name: 'DashScopeTextRewrite' }],
        enable_reranking: true, rerank: [{ model_name: 'gte-rerank-hybrid' }], rerank_min_score: 0.01, rerank_top_n: 5, search_filters: [] });
    assert.equal(nodes[0].node.metadata.doc_name, 'pump.txt');
    // search_filters: of what the document has no value of, nothing
    assert.equal((await good(box, 'POST', `/indices/pipeline/${upserted.id}/retrieve`, { query: 'pump', search_filters: [{ year: 2026 }] })).total, 0);
});

test('what cannot be is refused', async () => {
    const refused = async (method, where, body, message) => {
        const answer = await call(box, method, where, body);
        assert.equal(answer.code, 'InvalidParameter', JSON.stringify(answer));
        assert.equal(answer.message, `Required parameter(${message}) missing or invalid, check the request parameters.`);
    };
    await refused('PUT', '/indices/pipeline', { data_type: 'unstructured' }, 'name');
    await refused('PUT', '/indices/pipeline', pipeline('x', ['file-fe-0']), 'data_sources');
    await refused('PUT', '/indices/pipeline', { ...pipeline('x', []), configured_transformations: [{ configurable_transformation_type: 'OTHER' }] }, 'configured_transformations');
    await refused('POST', '/indices/pipeline/0123456789/documents', { data_sources: [{ component: { doc_ids: ['file-fe-0'] } }] }, 'data_sources');
    await refused('POST', '/indices/pipeline/0123456789/managed_ingest', undefined, 'pipeline_id');
    await refused('PUT', '/indices/pipeline', { ...pipeline('x', []), data_sources: [{ component: { doc_ids: [] } }] }, 'data_sources');
    await refused('GET', '/indices/pipeline_simple', undefined, 'pipeline_name');
    await refused('POST', '/indices/component/configed_transformations/spliter', { text: 'x', separator: '(a|b)*' }, 'separator');
    await refused('POST', '/datacenter/category/default/add_file', { lease_id: '0' }, 'lease_id');
    await refused('POST', '/datacenter/category/default/file/file-fe-0/query', {}, 'file_id');
    assert.equal((await call(box, 'POST', '/indices/pipeline/0123456789/retrieve', { query: 'x' })).code, 'RetrievalFailed');
    const { data: lease } = await good(box, 'POST', '/datacenter/category/default/upload_lease', { file_name: 'a.txt', size_bytes: 5, content_md5: hex('other') });
    assert.equal((await fetch(lease.param.url, { method: 'PUT', body: 'hello' })).status, 400);
    await refused('POST', '/datacenter/category/default/add_file', { lease_id: lease.lease_id }, 'lease_id');
});

// ---- kills ----

// An engine that embeds as long as it may, then holds what is asked.
async function embedder() {
    const engine = { limit: Infinity, asked: 0 };
    const server = http.createServer((request, answer) => {
        let text = '';
        request.on('data', piece => { text += piece; }).on('end', () => {
            if (!request.url.endsWith('/embeddings')) return answer.writeHead(200, { 'Content-Type': 'application/json' }).end('{"data":[]}');
            const { input } = JSON.parse(text);
            if (input.length > 1) engine.asked += input.length; // a question is one text, and answered
            if (input.length > 1 && engine.asked > engine.limit) return;
            answer.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify({ object: 'list', model: 'm',
                data: input.map((one, index) => ({ object: 'embedding', index, embedding: [one.length, 1, 0, 1] })), usage: { prompt_tokens: 1, total_tokens: 1 } }));
        });
    });
    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    engine.url = `http://127.0.0.1:${server.address().port}`;
    engine.close = () => { server.close(); server.closeAllConnections(); };
    return engine;
}

test('a kill in the middle of indexing leaves nothing half, and the next start ends it', async () => {
    const engine = await embedder();
    const config = `${CONFIG}engines: [{ name: e, upstream: ${engine.url}/v1, retries: 0 }]\nroute: { text-embedding-v3: e }\n`;
    const args = ['--data', path.join(folder, 'killed')];
    const first = await serve({ config, args });
    const text = Array.from({ length: 2000 }, (_, i) => `Sentence ${i} says that number ${i * 7} is good.`).join(' ');
    const file = await bring(first, 'long.txt', text, hex);
    const { id } = await admin(first, 'POST', '/knowledge', { name: 'k', model: 'text-embedding-v3', chunk_size: 60, overlap: 0 });
    engine.limit = 150; // of some 500 chunks: two pieces of them are rows by then
    await admin(first, 'PUT', `/knowledge/${id}/documents/${file}`, {});
    await until(() => engine.asked > engine.limit, 'it to be in the middle', 20_000);
    const half = await call(first, 'POST', `/indices/pipeline/${id}/retrieve`, { query: 'number' });
    assert.equal(half.code, 'RetrievalFailed'); // it is being built
    await first.kill();

    engine.limit = Infinity;
    const second = await serve({ config, args });
    const base = await until(async () => {
        const now = await admin(second, 'GET', `/knowledge/${id}`);
        return now.waiting === 0 && now;
    }, 'the indexing', 20_000);
    assert.equal(base.failed, 0);
    const { nodes } = await good(second, 'POST', `/indices/pipeline/${id}/retrieve`, { query: 'Sentence', enable_reranking: false, rerank_top_n: 20, dense_similarity_top_k: 0 });
    assert.equal(new Set(nodes.map(n => n.node.text)).size, 20); // none twice
    await second.stop();
    second.process = undefined;

    // The tables themselves
    const counts = `import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for sql in ('COUNT(*) FROM knowledge_chunks', 'COUNT(DISTINCT position) FROM knowledge_chunks', 'COUNT(*) FROM knowledge_words'):
    print(db.execute('SELECT ' + sql).fetchone()[0])`;
    const { stdout } = await promisify(execFile)('python3', ['-c', counts, path.join(folder, 'killed', 'dashbox.db')]);
    assert.deepEqual(stdout.trim().split('\n').map(Number), [base.chunks, base.chunks, base.chunks]);
    engine.close();
});

test('a reset takes what calls have made, and files take their documents along', async () => {
    const own = await serve({ config: CONFIG });
    const id = await bring(own, 'a.txt', 'A text about whales.', hex);
    const { id: kept } = await admin(own, 'POST', '/knowledge', { name: 'kept' });
    await admin(own, 'PUT', `/knowledge/${kept}/documents/${id}`, {});
    await good(own, 'PUT', '/indices/pipeline', pipeline('gone', [id]));
    await until(async () => (await admin(own, 'GET', `/knowledge/${kept}`)).waiting === 0, 'the indexing');
    await admin(own, 'POST', '/reset');
    assert.deepEqual((await admin(own, 'GET', '/knowledge')).data.map(b => [b.name, b.documents, b.chunks]), [['kept', 0, 0]]);
});

// ---- the command line ----

test('dashbox knowledge', async () => {
    const data = path.join(folder, 'cli');
    const own = await serve({ config: CONFIG, args: ['--data', data] });
    const run = async (...words) => (await promisify(execFile)(process.env.DASHBOX || path.join(root, 'build', 'dashbox'), ['knowledge', ...words, '--data', data],
        { env: { ...process.env, DASHBOX_URL: own.url, DASHBOX_ADMIN_KEY: 'admin-sdk' } })).stdout;
    const file = path.join(folder, 'whales.md');
    fs.writeFileSync(file, 'Blue whales feed on krill.\n');
    const base = (await run('create', 'Sea', '--chunk-size', '100')).trim();
    const id = (await run('add', base, file, '--tags', 'sea, big', '--metadata', '{"year":2026}')).trim();
    assert.match(id, /^file-fe-[0-9a-f]{24}$/);
    await until(async () => JSON.parse(await run('list', '--json')).waiting === 0, 'the indexing', 20_000);
    assert.match(await run('show', base), /whales\.md/);
    assert.deepEqual(JSON.parse(await run('show', base, '--json')).tags, ['sea', 'big']);
    assert.match(await run('search', base, 'what do whales eat?', '--top', '1'), /krill/);
    assert.equal(JSON.parse(await run('search', base, 'whales', '--tags', 'big', '--json')).name, 'whales.md');
    assert.equal(await run('search', base, 'whales', '--tags', 'small', '--json'), '');
    await run('remove', base, id);
    assert.equal(await run('show', base, '--json'), '');
    await run('delete', base);
    assert.equal(await run('list', '--json'), '');
    await assert.rejects(run('show', base), /there is no knowledge base/);
});
