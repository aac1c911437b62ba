// LangChain's ChatAlibabaTongyi (`@langchain/community`), which speaks the native protocol in its text form.
//
// It has no option for the address, but a public, typed field `apiUrl`, read at each call: setting that is all.
// It sends no X-DashScope-SSE: `Accept: text/event-stream` alone asks for the stream, and `parameters.stream` is to be
// ignored.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { ChatAlibabaTongyi } from '@langchain/community/chat_models/alibaba_tongyi';
import { AIMessage, HumanMessage, SystemMessage } from '@langchain/core/messages';
import { ChatPromptTemplate } from '@langchain/core/prompts';
import { StringOutputParser } from '@langchain/core/output_parsers';
import { KEY, SCENARIO, serve, UUID } from './server.mjs';

const box = await serve({ scenario: SCENARIO });
const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';

const chat = (fields = {}) => {
    const model = new ChatAlibabaTongyi({ model: 'qwen-plus', alibabaApiKey: KEY, maxRetries: 0, ...fields });
    model.apiUrl = `${box.native}/services/aigc/text-generation/generation`;
    return model;
};

describe('invoke', () => {
    test('one message', async () => {
        const answer = await chat().invoke('poem');
        assert(answer instanceof AIMessage);
        assert.equal(answer.content, POEM);
    });

    test('a conversation, with all its parameters', async () => {
        const answer = await chat({ temperature: 0.5, topP: 0.9, topK: 20, seed: 3, maxTokens: 3, repetitionPenalty: 1.1,
            enableSearch: false }).invoke([new SystemMessage('Be brief.'), new HumanMessage('hello'), new AIMessage('hello!'),
            new HumanMessage('count to ten')]);
        assert.equal(answer.content, 'one two three');
    });

    test('usage', async () => {
        const { generations, llmOutput } = await chat().generate([[new HumanMessage('poem')]]);
        assert.equal(generations[0][0].text, POEM);
        const { tokenUsage } = await chat()._generate([new HumanMessage('poem')], {}).then(answer => answer.llmOutput);
        assert(tokenUsage.promptTokens > 0 && tokenUsage.completionTokens > 10);
        assert.equal(tokenUsage.totalTokens, tokenUsage.promptTokens + tokenUsage.completionTokens);
        assert(llmOutput);
    });

    test('streaming: true gathers the increments', async () => {
        const tokens = [];
        const answer = await chat({ streaming: true, callbacks: [{ handleLLMNewToken: token => { tokens.push(token); } }] })
            .invoke('poem');
        assert.equal(answer.content, POEM);
        assert(tokens.filter(Boolean).length > 3);
        assert.equal(tokens.join(''), POEM);
    });

    test('in a chain', async () => {
        const chain = ChatPromptTemplate.fromMessages([['system', 'Be brief.'], ['human', '{what}']])
            .pipe(chat()).pipe(new StringOutputParser());
        assert.equal(await chain.invoke({ what: 'poem' }), POEM);
        assert.deepEqual(await chain.batch([{ what: 'poem' }, { what: 'count to ten' }]),
            [POEM, 'one two three four five six seven eight nine ten']);
    });
});

describe('stream', () => {
    test('increments, and one finish with usage and request id', async () => {
        const pieces = [], ends = [];
        for await (const chunk of chat()._streamResponseChunks([new HumanMessage('poem')], {})) {
            pieces.push(chunk.text);
            if (chunk.generationInfo) ends.push(chunk.generationInfo);
        }
        assert.equal(pieces.join(''), POEM);
        assert(pieces.filter(Boolean).length > 3);
        assert.equal(ends.length, 1);
        assert.equal(ends[0].finish_reason, 'stop');
        assert.match(ends[0].request_id, UUID);
        assert(ends[0].usage.output_tokens > 10);
        const line = await box.logged(ends[0].request_id);
        assert.equal(line.stream, true);
        assert.equal(line.completion_tokens, ends[0].usage.output_tokens);
    });

    test('by the public method', async () => {
        let text = '';
        for await (const chunk of await chat().stream('count to ten')) text += chunk.content;
        assert.equal(text, 'one two three four five six seven eight nine ten');
    });
});

describe('errors', () => {
    test('a wrong key', () => assert.rejects(chat({ alibabaApiKey: 'sk-wrong' }).invoke('x'), /Invalid API-key provided/));

    test('a number out of its range', () => assert.rejects(chat({ topP: 4 }).invoke('x'), /top_p/i));

    test('an unknown model', () => assert.rejects(chat({ model: 'no-such-model' }).invoke('x'), error => {
        assert(error.message.length > 5 && !/undefined/.test(error.message), error.message);
        return true;
    }));

    test('streaming: true, refused', () =>
        assert.rejects(chat({ streaming: true, alibabaApiKey: 'sk-wrong' }).invoke('x'), /Invalid API-key provided/));

    test('a stream, refused', async () => {
        await assert.rejects(async () => { for await (const _ of await chat({ alibabaApiKey: 'sk-wrong' }).stream('x')); },
            /Tongyi call failed with status code 401/);
    });

    test('in the middle of a stream', async () => {
        let text = '';
        await assert.rejects(async () => {
            for await (const chunk of await chat().stream('break off')) text += chunk.content;
        }, error => {
            const body = JSON.parse(error.message); // the client throws the frame's data
            assert.match(body.request_id, UUID);
            assert(body.code && body.message);
            return true;
        });
        assert.equal(text, 'one two three');
    });
});
