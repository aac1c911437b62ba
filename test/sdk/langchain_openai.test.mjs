// LangChain's ChatOpenAI (`@langchain/openai`) against the OpenAI-compatible protocol, pointed there by `baseURL` alone.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { ChatOpenAI } from '@langchain/openai';
import { AIMessageChunk, HumanMessage, SystemMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { z } from 'zod';
import { KEY, SCENARIO, serve, until } from './server.mjs';

const box = await serve({ scenario: SCENARIO });
const POEM = 'Willows bend low; the river carries petals — 春眠不觉晓。';

const chat = (fields = {}) =>
    new ChatOpenAI({ model: 'qwen-plus', apiKey: KEY, maxRetries: 0, configuration: { baseURL: box.compatible }, ...fields });

const all = async stream => {
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    return pieces;
};

describe('one answer', () => {
    test('text, usage, finish reason', async () => {
        const answer = await chat().invoke([new SystemMessage('Be brief.'), new HumanMessage('poem')]);
        assert.equal(answer.content, POEM);
        assert.equal(answer.response_metadata.finish_reason, 'stop');
        assert(answer.usage_metadata.input_tokens > 0 && answer.usage_metadata.output_tokens > 10);
        assert.equal(answer.usage_metadata.total_tokens,
            answer.usage_metadata.input_tokens + answer.usage_metadata.output_tokens);
    });

    test('maxTokens and stop', async () => {
        const cut = await chat({ maxTokens: 3 }).invoke('count to ten');
        assert.equal(cut.content, 'one two three');
        assert.equal(cut.response_metadata.finish_reason, 'length');
        assert.equal((await chat({ stop: [' four'] }).invoke('count to ten')).content, 'one two three');
    });
});

describe('streams', () => {
    test('pieces that add up, with usage', async () => {
        const pieces = await all(await chat().stream('poem'));
        assert(pieces.filter(piece => piece.content).length > 3);
        const whole = pieces.reduce((sum, piece) => (sum ? sum.concat(piece) : piece));
        assert(whole instanceof AIMessageChunk);
        assert.equal(whole.content, POEM);
        assert(whole.usage_metadata.output_tokens > 10);
    });

    test('an abort ends the work', async () => {
        const stop = new AbortController();
        const before = box.log().length;
        await assert.rejects(async () => {
            for await (const piece of await chat().stream('slow', { signal: stop.signal })) if (piece.content) stop.abort();
        });
        await until(() => box.log().slice(before).includes('"phases_us"'), 'the request to end');
        const line = JSON.parse(box.log().slice(before).split('\n').find(one => one.includes('"phases_us"')));
        assert(line.completion_tokens < 100, `${line.completion_tokens} tokens were made`);
    });
});

describe('tools', () => {
    const weather = tool(async ({ location, unit }) => `21 degrees ${unit} in ${location}`, {
        name: 'get_weather',
        description: 'The weather of a town',
        schema: z.object({ location: z.string(), unit: z.enum(['celsius', 'fahrenheit']) }),
    });

    test('a loop: the call, its result, the answer', async () => {
        const model = chat().bindTools([weather]);
        const messages = [new HumanMessage('What is the weather?')];
        const asked = await model.invoke(messages);
        assert.equal(asked.response_metadata.finish_reason, 'tool_calls');
        assert.deepEqual(asked.tool_calls.map(({ name, args }) => ({ name, args })),
            [{ name: 'get_weather', args: { location: 'Hangzhou', unit: 'celsius' } }]);
        const result = await weather.invoke(asked.tool_calls[0]);
        assert(result instanceof ToolMessage);
        const answer = await model.invoke([...messages, asked, result]);
        assert.equal(answer.content, 'It is 21 degrees in Hangzhou.');
    });

    // The service names a call in its first piece and says `id: ""` in the others, and so does dashbox. LangChain.js then lets ""
    // win and files the call as invalid (its issue 9237). The pieces themselves are whole.
    test('two calls of one answer, streamed piece by piece', async () => {
        const calls = [];
        for await (const { tool_call_chunks: chunks } of await chat().bindTools([weather]).stream('in both towns'))
            for (const { index, id, name, args } of chunks) {
                calls[index] ??= { id, name, args: '' };
                calls[index].args += args;
            }
        assert.deepEqual(calls.map(call => JSON.parse(call.args).location), ['Hangzhou', 'São Paulo']);
        assert(calls.every(call => call.name === 'get_weather' && /^call_[0-9a-f]+$/.test(call.id)));
        assert.notEqual(calls[0].id, calls[1].id);
    });
});

describe('structured output', () => {
    const Recipe = z.object({ dish: z.string(), minutes: z.number(), steps: z.array(z.string()) });
    const congee = { dish: 'congee', minutes: 40, steps: ['rinse', 'simmer'] };

    test('json_schema', async () => {
        const model = chat({ model: 'qwen3.7-max' }).withStructuredOutput(Recipe, { name: 'recipe', method: 'jsonSchema' });
        assert.deepEqual(await model.invoke('a recipe as JSON'), congee);
    });

    test('json_object', async () => {
        const model = chat().withStructuredOutput(Recipe, { name: 'recipe', method: 'jsonMode' });
        assert.deepEqual(await model.invoke('a recipe as JSON'), congee);
    });

    test('by a tool that must be called', async () => {
        const model = chat().withStructuredOutput(Recipe, { name: 'write_recipe', method: 'functionCalling' });
        Recipe.parse(await model.invoke('dinner')); // the stand-in makes the arguments up, under the schema
    });
});

describe('the Responses API', () => {
    const model = (fields = {}) => chat({ useResponsesApi: true, ...fields });

    test('text, usage, and going on from it', async () => {
        const answer = await model().invoke([new SystemMessage('Be brief.'), new HumanMessage('poem')]);
        assert.equal(answer.text, POEM);
        assert.match(answer.response_metadata.id, /^resp_/);
        assert(answer.usage_metadata.input_tokens > 0 && answer.usage_metadata.output_tokens > 10);
        const next = await model().invoke('poem', { previous_response_id: answer.response_metadata.id });
        assert(next.usage_metadata.input_tokens > answer.usage_metadata.input_tokens);
    });

    test('a stream whose pieces add up', async () => {
        const pieces = await all(await model().stream('poem'));
        assert(pieces.filter(piece => piece.text).length > 3);
        const whole = pieces.reduce((sum, piece) => sum.concat(piece));
        assert.equal(whole.text, POEM);
        assert(whole.usage_metadata.output_tokens > 10);
    });

    const weather = tool(async ({ location }) => `21 degrees in ${location}`, {
        name: 'get_weather', description: 'The weather of a town', schema: z.object({ location: z.string(), unit: z.string() }) });

    for (const way of ['whole', 'streamed'])
        test(`a loop of tools, ${way}`, async () => {
            const bound = model().bindTools([weather]);
            const ask = async messages => (way === 'whole' ? bound.invoke(messages)
                : (await all(await bound.stream(messages))).reduce((sum, piece) => sum.concat(piece)));
            const messages = [new HumanMessage('What is the weather?')];
            const asked = await ask(messages);
            assert.deepEqual(asked.tool_calls.map(({ name, args }) => ({ name, args })),
                [{ name: 'get_weather', args: { location: 'Hangzhou', unit: 'celsius' } }]);
            const answer = await ask([...messages, asked, await weather.invoke(asked.tool_calls[0])]);
            assert.match(answer.text, /degrees in Hangzhou/);
        });

    test('structured output', async () => {
        const Recipe = z.object({ dish: z.string(), minutes: z.number(), steps: z.array(z.string()) });
        const answer = await model({ model: 'qwen3.7-max' }).withStructuredOutput(Recipe, { name: 'recipe', method: 'jsonSchema' })
            .invoke('a recipe as JSON');
        assert.equal(answer.dish, 'congee');
    });

    test('thoughts', async () => {
        const answer = await model({ modelKwargs: { enable_thinking: true } }).invoke('riddle');
        assert.equal(answer.text, 'A piano.');
        assert(answer.usage_metadata.output_tokens_details.reasoning_tokens > 5); // this version hands the usage on as it came
        assert.equal(answer.additional_kwargs.reasoning.summary[0].text, 'It has keys and opens nothing. So it plays.');
    });

    test('refusals', () => assert.rejects(model({ topP: 2 }).invoke('hello'), error => error.status === 400));
});

describe('thinking', () => {
    test('it is counted, and the text is the answer alone', async () => {
        const answer = await chat({ modelKwargs: { enable_thinking: true } }).invoke('riddle');
        assert.equal(answer.content, 'A piano.');
        assert(answer.usage_metadata.output_token_details.reasoning > 5);
    });
});

describe('refusals', () => {
    const refused = async (fields, status, code) => {
        await assert.rejects(chat(fields).invoke('hello'), error => {
            assert.equal(error.status, status);
            assert.equal(error.code, code);
            return true;
        });
    };

    test('a wrong key', () => refused({ apiKey: 'sk-wrong' }, 401, 'invalid_api_key'));
    test('an unknown model', () => refused({ model: 'no-such-model' }, 404, 'model_not_found'));
    test('a number out of its range', () => refused({ topP: 2 }, 400, 'invalid_parameter_error'));

    test('in the middle of a stream', async () => {
        await assert.rejects(async () => all(await chat().stream('break off')));
    });
});
