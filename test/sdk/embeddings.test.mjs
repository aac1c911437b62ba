// Embeddings and rerank through the clients that people use: `openai` (numbers and Base64), the Vercel AI SDK, and LangChain's
// AlibabaTongyiEmbeddings on the native protocol, whose address is fixed: its fetch is led to the server.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import OpenAI, { BadRequestError, NotFoundError } from 'openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, cosineSimilarity, embed, embedMany } from 'ai';
import { AlibabaTongyiEmbeddings } from '@langchain/community/embeddings/alibaba_tongyi';
import { OpenAIEmbeddings } from '@langchain/openai';
import { KEY, UUID, scratch, serve, until } from './server.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;
const box = await serve();
const openai = new OpenAI({ apiKey: KEY, baseURL: box.compatible, maxRetries: 0 });
const TEXTS = ['Baking bread at home', 'How do I bake a bread?', '数据库的备份'];

const length = v => Math.sqrt(v.reduce((sum, x) => sum + x * x, 0));
const near = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

function check_meaning([bread, baking, backup], dimension = 1024) {
    for (const v of [bread, baking, backup]) {
        assert.equal(v.length, dimension);
        assert(Math.abs(length(v) - 1) < 1e-5);
    }
    assert(near(bread, baking) > 0.3 && near(bread, baking) > 2 * near(bread, backup));
}

describe('openai', () => {
    test('texts, as Base64 unless asked otherwise', async () => {
        const { data, request_id } = await openai.embeddings.create({ model: 'text-embedding-v4', input: TEXTS }).withResponse();
        assert.equal(data.object, 'list');
        assert.equal(data.model, 'text-embedding-v4');
        assert.deepEqual(data.data.map(one => [one.object, one.index]), [['embedding', 0], ['embedding', 1], ['embedding', 2]]);
        check_meaning(data.data.map(one => one.embedding));
        assert(data.usage.prompt_tokens > 8 && data.usage.total_tokens === data.usage.prompt_tokens);
        assert.match(request_id, UUID);
        assert.equal(data.id, request_id);
        const line = await box.logged(request_id);
        assert.equal(line.prompt_tokens, data.usage.prompt_tokens);
        assert(!JSON.stringify(line).includes('bread'));
    });

    test('both encodings say the same, to the last bit', async () => {
        const ask = encoding_format => openai.embeddings.create({ model: 'text-embedding-v3', input: TEXTS[0], dimensions: 128, encoding_format });
        const [floats, text] = [await ask('float'), await ask('base64')];
        assert.equal(floats.data[0].embedding.length, 128);
        assert.equal(typeof text.data[0].embedding, 'string');
        const bytes = Buffer.from(text.data[0].embedding, 'base64');
        assert.deepEqual(floats.data[0].embedding, Array.from({ length: 128 }, (_, i) => bytes.readFloatLE(4 * i)));
    });

    test('a vector that is cut is the shorter vector', async () => {
        const [long, short] = await Promise.all([2048, 256].map(dimensions =>
            openai.embeddings.create({ model: 'text-embedding-v4', input: TEXTS[1], dimensions })));
        const cut = long.data[0].embedding.slice(0, 256);
        assert(near(cut.map(x => x / length(cut)), short.data[0].embedding) > 0.99999);
    });

    test('refusals', async () => {
        const refused = body => openai.embeddings.create(body).then(() => assert.fail('was answered'), error => error);
        const rows = await refused({ model: 'text-embedding-v4', input: Array(11).fill('a') });
        assert(rows instanceof BadRequestError);
        assert.equal(rows.code, 'InvalidParameter');
        assert.equal(rows.type, 'InvalidParameter');
        assert.match(rows.message, /it should not be larger than 10\./);
        assert.match((await refused({ model: 'text-embedding-v4', input: [[1, 2]] })).message, /neither str nor list of str/);
        assert((await refused({ model: 'qwen-plus', input: 'a' })) instanceof NotFoundError);
    });

    test('rerank by its own path', async () => {
        const answer = await openai.post('/reranks', { body: { model: 'qwen3-rerank', query: 'baking bread', documents: TEXTS, top_n: 2 } });
        assert.deepEqual(answer.results.map(one => one.index).sort(), [0, 1]);
        assert(answer.results[0].relevance_score >= answer.results[1].relevance_score);
    });
});

describe('Vercel AI', () => {
    const model = (id = 'text-embedding-v4') => createOpenAICompatible({ name: 'dashbox', baseURL: box.compatible, apiKey: KEY }).textEmbeddingModel(id);

    test('embed', async () => {
        const { embedding, usage } = await embed({ model: model(), value: TEXTS[0], providerOptions: { openaiCompatible: { dimensions: 512 } } });
        assert.equal(embedding.length, 512);
        assert(usage.tokens >= 4);
    });

    test('embedMany, in batches of ten', async () => {
        const values = [...TEXTS, ...Array.from({ length: 20 }, (_, i) => `text ${i}`)];
        const ten = model();
        // Its own default is far above the model's ten.
        const { embeddings } = await embedMany({ model: Object.create(ten, { maxEmbeddingsPerCall: { value: 10 } }), values, maxRetries: 0 });
        assert.equal(embeddings.length, values.length);
        check_meaning(embeddings);
        assert(cosineSimilarity(embeddings[0], embeddings[1]) > 0.3);
    });

    test('a refusal', async () => {
        const error = await embedMany({ model: model(), values: Array(11).fill('a'), maxRetries: 0 }).catch(e => e);
        assert(APICallError.isInstance(error));
        assert.equal(error.statusCode, 400);
        assert.match(error.responseBody, /batch size is invalid/);
    });
});

describe('LangChain', () => {
    const real = globalThis.fetch;
    const led = (url, init) => real(String(url).replace('https://dashscope.aliyuncs.com/api/v1', box.native), init);

    test('AlibabaTongyiEmbeddings', async t => {
        globalThis.fetch = led;
        t.after(() => { globalThis.fetch = real; });
        const tongyi = new AlibabaTongyiEmbeddings({ apiKey: KEY, modelName: 'text-embedding-v2', maxRetries: 0 });
        const vectors = await tongyi.embedDocuments([...TEXTS, ...Array(30).fill('more')]); // two calls, of 24 and 9
        assert.equal(vectors.length, 33);
        check_meaning(vectors.slice(0, 3), 1536);
        assert.equal((await tongyi.embedQuery(TEXTS[0])).length, 1536);
        const wrong = new AlibabaTongyiEmbeddings({ apiKey: KEY, modelName: 'text-embedding-v9', maxRetries: 0 });
        await assert.rejects(wrong.embedQuery('a'), /InvalidParameter: Model not found/);
    });

    test('OpenAIEmbeddings', async () => {
        const embeddings = new OpenAIEmbeddings({ apiKey: KEY, model: 'text-embedding-v4', dimensions: 768, batchSize: 10,
            configuration: { baseURL: box.compatible }, maxRetries: 0 });
        check_meaning(await embeddings.embedDocuments(TEXTS), 768);
    });
});

// Another dashbox in front of this one, as it would be in front of the cloud.
describe('an engine behind', () => {
    const tapes = scratch('tapes');
    const config = `engines: [{ name: behind, upstream: "${box.compatible}", api_key: ${KEY}, cloud: true }]\nroute: { "*": behind }\n`;
    const client = front => new OpenAI({ apiKey: KEY, baseURL: front.compatible, maxRetries: 0 });
    const body = { model: 'text-embedding-v4', input: TEXTS, dimensions: 64 };
    const ranking = { model: 'qwen3-rerank', query: 'baking bread', documents: TEXTS };
    const all = async front => [(await client(front).embeddings.create(body)).data,
        (await client(front).post('/reranks', { body: ranking })).results,
        (await client(front).embeddings.create({ ...body, input: TEXTS.slice(0, 1) })).data,
        (await client(front).embeddings.create({ model: 'text-embedding-v4', input: Array(10).fill('a '.repeat(8000)) })
            .then(answer => answer.usage.prompt_tokens))];
    let seen;

    test('is asked, and what it says is recorded', async () => {
        const front = await serve({ config, args: ['--record', tapes] });
        seen = await all(front);
        assert.deepEqual(seen, await all(box));
        await until(() => fs.readdirSync(tapes).length === 4, 'the recordings');
    });

    test('is replayed, each question by its own recording', async () => {
        assert.deepEqual(await all(await serve({ args: ['--replay', tapes] })), seen);
    });
});
