// Text-to-SQL by an engine elsewhere, a server of this file: what it is told, what is taken out of its answers, and that it is asked
// twice and no more. Specification: platform.md §5; doc/text2sql.md.

import { after, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import http from 'node:http';
import { KEY, serve } from './server.mjs';

let answers = [], calls = [];

const engine = http.createServer((request, answer) => {
    let body = '';
    request.on('data', piece => { body += piece; });
    request.on('end', () => {
        const call = JSON.parse(body), contents = answers.shift(), usage = { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 };
        calls.push(call);
        const choices = contents.map((content, index) => ({ index, content }));
        if (!call.stream) {
            answer.writeHead(200, { 'content-type': 'application/json' });
            return answer.end(JSON.stringify({ id: 'c', object: 'chat.completion', created: 1, model: 'm', usage,
                choices: choices.map(({ index, content }) => ({ index, finish_reason: 'stop', message: { role: 'assistant', content } })) }));
        }
        answer.writeHead(200, { 'content-type': 'text/event-stream' });
        const chunk = more => answer.write(`data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', ...more })}\n\n`);
        for (const { index, content } of choices) {
            for (const word of content.split(/(?<= )/)) chunk({ choices: [{ index, delta: { content: word }, finish_reason: null }] });
            chunk({ choices: [{ index, delta: {}, finish_reason: 'stop' }] });
        }
        chunk({ choices: [], usage });
        answer.end('data: [DONE]\n\n');
    });
});
await new Promise(resolve => engine.listen(0, '127.0.0.1', resolve));
after(() => { engine.closeAllConnections(); engine.close(); });

const box = await serve({ config: `
engines:
  - { name: theirs, upstream: "http://127.0.0.1:${engine.address().port}/v1", models: { '*': m } }
route: { '*': theirs }
` });

const META = {
    synonym_infos: { score: 'points|mark' },
    recall_infos: [{ content: "student_score.name='Ming'", score: '0.83' }],
    schema_infos: [{ table_id: 'student_score', table_desc: 'scores of "all"', columns: [
        { col_name: 'name', col_caption: 'student', col_type: 'varchar(20)' },
        { col_name: 'total score', col_caption: 'score', col_desc: 'e.g. 90', col_type: 'int' }] }],
};

// What the engine answers, one list of choices a call.
async function ask(said, { meta = META, stream, ...parameters } = {}) {
    answers = said;
    calls = [];
    const reply = await fetch(`${box.url}/api/v1/services/aigc/code-generation/generation`, {
        method: 'POST',
        headers: { authorization: `Bearer ${KEY}`, 'content-type': 'application/json', ...(stream && { 'x-dashscope-sse': 'enable' }) },
        body: JSON.stringify({ model: 'tongyi-lingma-v1', parameters, input: { scene: 'nl2sql',
            message: [{ role: 'user', content: 'total score of Ming' }, { role: 'attachment', meta }] } }),
    });
    const text = await reply.text();
    assert.equal(answers.length, 0, 'the engine was not asked as often as expected');
    if (!stream) return { status: reply.status, body: JSON.parse(text), id: reply.headers.get('x-request-id') };
    return { status: reply.status, events: text.split('\n').filter(line => line.startsWith('data:')).map(line => JSON.parse(line.slice(5))) };
}

const GOOD = 'SELECT "total score" FROM student_score WHERE name = \'Ming\'';
const contents = body => body.output.choices.map(choice => choice.content);

describe('text-to-SQL by an engine elsewhere', () => {
    test('it is told the tables, the synonyms and the values', async () => {
        const { body } = await ask([[`Of course:\n\`\`\`sql\n${GOOD};\n\`\`\``]]);
        assert.deepEqual(contents(body), [GOOD]);
        assert.deepEqual(body.usage, { input_tokens: 100, output_tokens: 10 });
        const [system, user] = calls[0].messages;
        assert.equal(system.role, 'system');
        assert.match(system.content, /SQLite/);
        assert.ok(system.content.includes('\nCREATE TABLE student_score ( -- scores of "all"\n  name TEXT, -- student; varchar(20)\n' +
            '  "total score" INTEGER -- score; e.g. 90; int\n);\n'), system.content);
        assert.ok(system.content.includes('score: points|mark'));
        assert.ok(system.content.includes("student_score.name='Ming'"));
        assert.deepEqual(user, { role: 'user', content: 'total score of Ming' });
    });

    test('a statement that does not fit is said back, and both attempts are counted', async () => {
        const { body } = await ask([['SELECT score FROM student_score'], [GOOD]]);
        assert.deepEqual(contents(body), [GOOD]);
        assert.deepEqual(body.usage, { input_tokens: 200, output_tokens: 20 });
        assert.equal(calls.length, 2);
        const [assistant, user] = calls[1].messages.slice(-2);
        assert.deepEqual(calls[1].messages.slice(0, 2), calls[0].messages);
        assert.deepEqual(assistant, { role: 'assistant', content: 'SELECT score FROM student_score' });
        assert.match(user.content, /no such column: score/);
    });

    test('after two that do not the call fails, and the log says why', async () => {
        const { status, body, id } = await ask([['SELECT score FROM student_score'], ['SELECT name FROM students']]);
        assert.equal(status, 500);
        assert.equal(body.code, 'InternalError.Algo');
        const line = await box.logged(id);
        assert.equal(line.error, 'E225a');
        assert.match(line.detail, /no such table: students/);
    });

    test('of several choices each one fits', async () => {
        const { body } = await ask([[GOOD, 'I do not know', 'SELECT 1'], ['SELECT 2']], { n: 3 });
        assert.deepEqual(contents(body), [GOOD, 'SELECT 2', 'SELECT 1']);
        assert.equal(calls[0].n, 3);
        assert.ok(calls[1].n === undefined || calls[1].n === 1);
    });

    test('streamed, only what fits goes out', async () => {
        const { events } = await ask([['SELECT score FROM student_score'], [GOOD]], { stream: true, incremental_output: true });
        assert.ok(events.length > 2);
        assert.equal(events.map(event => event.output.choices[0].content).join(''), GOOD);
        assert.equal(events.at(-1).output.choices[0].finish_reason, 'stop');
        assert.deepEqual(events.at(-1).usage, { input_tokens: 200, output_tokens: 20 });
    });

    test('streamed, a failure is the only event', async () => {
        const { status, events } = await ask([['no'], ['no']], { stream: true });
        assert.equal(status, 500);
        assert.equal(events.length, 1);
        assert.equal(events[0].code, 'InternalError.Algo');
    });

    test('for tables that no database could have it is not asked', async () => {
        const columns = Array.from({ length: 10_000 }, (_, i) => ({ col_name: `c${i}` }));
        const { status, body, id } = await ask([], { meta: { schema_infos: [{ table_id: 't', columns }] } });
        assert.equal(status, 400);
        assert.equal(body.code, 'InvalidSchema');
        assert.equal(calls.length, 0);
        assert.match((await box.logged(id)).detail, /too many columns/);
    });
});
