// An engine for process.test.mjs: node child_engine.mjs PORT. It answers with its process id, so that a test sees which
// child answered, and ends itself when it is told to.

import http from 'node:http';

http.createServer((request, answer) => {
    if (request.url === '/health') return answer.end('ok');
    let body = '';
    request.on('data', piece => { body += piece; });
    request.on('end', () => {
        const said = JSON.parse(body).messages.at(-1).content;
        if (said === 'die') process.exit(3);
        answer.writeHead(200, { 'content-type': 'application/json' });
        answer.end(JSON.stringify({ id: 'x', object: 'chat.completion', created: 1, model: 'child',
            choices: [{ index: 0, message: { role: 'assistant', content: String(process.pid) }, finish_reason: 'stop' }],
            usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7 } }));
    });
}).listen(Number(process.argv[2]), '127.0.0.1');
