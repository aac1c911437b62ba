// The servers that are measured, each as a Process that listens.

import fs from 'node:fs';
import path from 'node:path';
import { Process, cores, folder, free_port, from_template, root, write } from './machine.mjs';
import { KEY, paths } from './measure.mjs';

export const binary = process.env.DASHBOX || path.join(root, 'build', 'dashbox');

const where = name => ['/usr/sbin', '/usr/local/sbin', ...(process.env.PATH ?? '').split(':')]
    .map(place => path.join(place, name)).find(file => fs.existsSync(file));

export const have = { nginx: where('nginx'), haproxy: where('haproxy'), wrk: where('wrk'), taskset: where('taskset') };

let count = 0;

// The line of each request is written, as always, to a file in memory; trim_log() empties it between the rounds.
export async function dashbox(name, { workers = 1, scenario, engines, set = {}, args = [], cpus, files, data } = {}) {
    const label = `dashbox-${++count}`;
    const log = path.join(folder, `${label}.log`);
    const words = [binary, 'serve', '--listen', '127.0.0.1:0', '--data', data ?? path.join(folder, label), '--api-key', KEY,
        '--workers', String(workers), '--set', `log.file=${log}`];
    if (scenario) words.push('--scenario', write(`${label}-scenario.yaml`, scenario));
    if (engines) words.push('--config', write(`${label}.yaml`, engines));
    for (const [option, value] of Object.entries(set)) words.push('--set', `${option}=${value}`);
    words.push(...args);
    const self = Process.start(name, words, { cpus: cpus ?? (workers > 1 ? cores.servers : cores.server), files });
    self.log = log;
    self.ends_with = 0;
    self.port = Number((await self.says(/listening on http:\/\/127\.0\.0\.1:(\d+)/))[1]);
    return self;
}

export function trim_log(server) {
    if (server.log && fs.existsSync(server.log)) fs.truncateSync(server.log);
}

export function gateway_config(port, url = `http://127.0.0.1:${port}/compatible-mode/v1`) {
    return `engines:\n  - name: up\n    upstream: ${url}\n    api_key: ${KEY}\nroute: { '*': up }\n`;
}

export const url_of = (server, kind) => `http://127.0.0.1:${server.port}${paths[kind]}`;

// The command of an nginx that answers all with `answer`. nginx takes words of up to 4 KB: longer answers are put together
// from variables.
export function nginx_fixed_words(answer, { workers = 1, type = 'application/json', files = 20_000, port }) {
    if (/['\\$]/.test(answer)) throw new Error('an answer for nginx must be free of \', $ and \\');
    const label = `nginx-${++count}`, dir = path.join(folder, label);
    fs.mkdirSync(dir);
    const parts = answer.match(/[^]{1,3000}/g) ?? [''];
    const conf = from_template('nginx-fixed.conf.in', `${label}.conf`, { WORKERS: workers, PORT: port, DIR: dir, TYPE: type,
        FILES: files, SETS: parts.length > 1 ? parts.map((part, i) => `        set $part${i} '${part}';\n`).join('') : '',
        ANSWER: parts.length > 1 ? `"${parts.map((_, i) => `\${part${i}}`).join('')}"` : `'${answer}'` });
    return [have.nginx, '-c', conf, '-p', dir, '-e', 'stderr'];
}

// nginx answering all with `answer`.
export async function nginx_fixed(name, answer, { workers = 1, cpus, type = 'application/json', files = 20_000 } = {}) {
    const port = await free_port();
    return Process.start(name, nginx_fixed_words(answer, { workers, type, files, port }),
        { cpus: cpus ?? (workers > 1 ? cores.servers : cores.server) }).listens(port);
}

export async function nginx_proxy(name, upstream, { buffering = 'on', cpus } = {}) {
    const port = await free_port(), label = `nginx-${++count}`, dir = path.join(folder, label);
    fs.mkdirSync(dir);
    const conf = from_template('nginx-proxy.conf.in', `${label}.conf`,
        { PORT: port, UPSTREAM: upstream, DIR: dir, BUFFERING: buffering, FILES: 20_000 });
    return Process.start(name, [have.nginx, '-c', conf, '-p', dir, '-e', 'stderr'], { cpus }).listens(port);
}

export async function haproxy(name, upstream, { cpus } = {}) {
    const port = await free_port();
    const conf = from_template('haproxy.conf.in', `haproxy-${++count}.conf`, { PORT: port, UPSTREAM: upstream });
    return Process.start(name, [have.haproxy, '-db', '-q', '-f', conf], { cpus }).listens(port);
}
