// An engine for process.test.mjs: node child_engine.mjs PORT. It answers with its process id, so that a test sees which
// child answered, and ends itself when it is told to. A stream of it takes half a second.

import http from 'node:http';

http.createServer((request, answer) => {
    if (request.url === '/health') return answer.end('ok');
    let body = '';
    request.on('data', piece => { body += piece; });
    request.on('end', () => {
        const asked = JSON.parse(body);
        if (asked.messages.at(-1).content === 'die') process.exit(3);
        if (asked.stream) return stream(answer);
        answer.writeHead(200, { 'content-type': 'application/json' });
        answer.end(JSON.stringify({ id: 'x', object: 'chat.completion', created: 1, model: 'child',
            choices: [{ index: 0, message: { role: 'assistant', content: String(process.pid) }, finish_reason: 'stop' }],
            usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } }));
    });
}).listen(Number(process.argv[2]), '127.0.0.1');

async function stream(answer) {
    answer.writeHead(200, { 'content-type': 'text/event-stream' });
    for (let i = 0; i < 10; i++) {
        const choice = { index: 0, delta: { content: `${i} ` }, finish_reason: i === 9 ? 'stop' : null };
        answer.write(`data: ${JSON.stringify({ id: 'x', choices: [choice] })}\n\n`);
        await new Promise(resolve => setTimeout(resolve, 50));
    }
    answer.end('data: [DONE]\n\n');
}
