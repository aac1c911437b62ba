// What knowledge bases find, beside BM25 alone: recall@5 and nDCG@10, with the stand-in's vectors and its rerank. Two retrieval sets that
// this tree has: test/unit/engine/retrieval.txt, questions written for it; and the error reference (data/errors), where the question is what
// a row says of the cause, and what is to be found is its sentence with what to do about it: in English and in Chinese.
// doc/knowledge.md has the figures.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { serve, until, KEY } from './server.mjs';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..');
const box = await serve({ config: 'admin: { key: admin-sdk }\nlimits: { catalog: off }\n' });

const WAYS = {
    'BM25 alone': { dense_similarity_top_k: 0, enable_reranking: false },
    'vectors alone': { sparse_similarity_top_k: 0, enable_reranking: false },
    'both, fused': { enable_reranking: false },
    'both, fused, rerank': { enable_reranking: true, rerank_min_score: 0 },
};

async function call(where, method, body, key = KEY) {
    const answer = await fetch(`${box.url}${where}`, { method, body: body && JSON.stringify(body),
        headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${key}` } });
    const json = await answer.json();
    assert(answer.ok, JSON.stringify(json));
    return json;
}

async function fill(name, documents) {
    const { id } = await call('/admin/v1/knowledge', 'POST', { name }, 'admin-sdk');
    for (const [title, text] of documents) {
        const form = new FormData();
        form.append('purpose', 'file-extract');
        form.append('file', new Blob([text]), `${title}.txt`);
        const answer = await fetch(`${box.compatible}/files`, { method: 'POST', body: form, headers: { Authorization: `Bearer ${KEY}` } });
        const file = (await answer.json()).id;
        await call(`/admin/v1/knowledge/${id}/documents/${file}`, 'PUT', {}, 'admin-sdk');
    }
    const base = await until(async () => {
        const now = await call(`/admin/v1/knowledge/${id}`, 'GET', undefined, 'admin-sdk');
        return now.waiting === 0 && now;
    }, 'the indexing', 120_000);
    assert.equal(base.failed, 0);
    return id;
}

// questions: [text, the title of the one document that answers it].
async function measure(id, questions, way) {
    let recall = 0, gain = 0;
    for (const [query, wanted] of questions) {
        const { nodes } = await call(`/api/v1/indices/pipeline/${id}/retrieve`, 'POST', { query, rerank_top_n: 10, ...way });
        const names = [...new Set(nodes.map(n => n.node.metadata.doc_name))]; // documents, by their best chunk
        const place = names.indexOf(`${wanted}.txt`) + 1;
        recall += place >= 1 && place <= 5;
        gain += place ? 1 / Math.log2(place + 1) : 0; // one document is wanted: the ideal is 1
    }
    return { recall: recall / questions.length, ndcg: gain / questions.length };
}

async function compare(context, name, documents, questions) {
    const id = await fill(name, documents);
    const found = {};
    for (const [way, options] of Object.entries(WAYS)) {
        found[way] = await measure(id, questions, options);
        context.diagnostic(`${name}: ${documents.length} documents, ${questions.length} questions, ${way}: recall@5 ${found[way].recall.toFixed(3)}, nDCG@10 ${found[way].ndcg.toFixed(3)}`);
    }
    return found;
}

// The stanzas of data/errors; a value goes on in lines that are indented.
function rows() {
    const all = [];
    for (const file of fs.readdirSync(path.join(root, 'data', 'errors'))) {
        if (file === 'codes.txt' || file === 'extra.txt') continue;
        for (const stanza of fs.readFileSync(path.join(root, 'data', 'errors', file), 'utf8').split(/\n\n+/)) {
            const row = {};
            let key;
            for (const line of stanza.split('\n')) {
                if (line.startsWith('#') || !line) continue;
                const more = /^\s+(.*)/.exec(line);
                const own = /^(\S+)\s+(.*)/.exec(line);
                if (more && key) row[key] += ` ${more[1]}`;
                else if (own) { key = own[1]; row[key] = own[2]; }
            }
            if (row.error && row.cause && row.fix) all.push(row);
        }
    }
    return all;
}

test('questions written for their documents', async t => {
    const lines = fs.readFileSync(path.join(root, 'test', 'unit', 'engine', 'retrieval.txt'), 'utf8').split('\n');
    const of = kind => lines.map(l => new RegExp(`^${kind} (\\S+) (.*)`).exec(l)).filter(Boolean);
    const found = await compare(t, 'written', of('d').map(m => [m[1], m[2]]), of('q').map(m => [m[2], m[1]]));
    assert(found['both, fused'].recall >= found['BM25 alone'].recall);
    assert(found['both, fused'].ndcg >= found['BM25 alone'].ndcg);
});

for (const [language, zh] of [['English', ''], ['Chinese', '.zh']]) {
    test(`the error reference in ${language}`, async t => {
        const all = rows();
        assert(all.length > 250);
        const found = await compare(t, language, all.map(r => [r.error, `${zh ? '' : r.text || ''}\n${r[`fix${zh}`]}`]),
            all.map(r => [r[`cause${zh}`], r.error]));
        assert(found['both, fused'].recall >= found['BM25 alone'].recall - 0.01);
        assert(found['both, fused'].ndcg >= found['BM25 alone'].ndcg);
    });
}
