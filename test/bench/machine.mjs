// Processes for the benches: cores, ports, start, stop, CPU time and memory from /proc. Whatever was started here is ended
// by its pid when the bench ends, in whatever way it ends.

import { execFile, execFileSync, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = path.dirname(fileURLToPath(import.meta.url));
export const root = path.join(here, '..', '..');

// ---- cores ----

function cores_allowed() {
    const list = /Cpus_allowed_list:\s*(\S+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))[1];
    return list.split(',').flatMap(part => {
        const [from, to = from] = part.split('-').map(Number);
        return Array.from({ length: to - from + 1 }, (_, i) => from + i);
    });
}

const all = cores_allowed(); // before we pin ourselves
const at = i => String(all[i]);

// What runs where. With two cores the upstream shares the load's, and two workers share both with the load.
export const cores = {
    count: all.length,
    all: all.join(','),
    server: at(0),
    servers: all.length < 2 ? at(0) : `${at(0)},${at(1)}`,
    load: all.length < 2 ? at(0) : at(1),
    loads: all.length < 4 ? all.slice(0, 2).join(',') : `${at(2)},${at(3)}`,
    upstream: all.length < 3 ? at(all.length - 1) : at(2),
};

export function cores_text() {
    const shared = cores.upstream === cores.load ? ', shared with upstreams' : `, upstreams core ${cores.upstream}`;
    return `server core ${cores.server}, load core ${cores.load}${shared}; with two workers: servers cores ${cores.servers}, ` +
        `load cores ${cores.loads}`;
}

// The bench itself, which is a client too, stays off the servers' core.
export function pin_self(cpus = cores.load) {
    try {
        execFileSync('taskset', ['-a', '-p', '-c', cpus, String(process.pid)], { stdio: 'ignore' });
    } catch { /* no taskset: the benches that need it say so */ }
}
pin_self();

// ---- a folder that goes with the bench; in memory where there is such a place ----

export const folder = fs.mkdtempSync(path.join(fs.existsSync('/dev/shm') ? '/dev/shm' : os.tmpdir(), 'dashbox-bench-'));

export function write(name, text) {
    const file = path.join(folder, name);
    fs.mkdirSync(path.dirname(file), { recursive: true });
    fs.writeFileSync(file, text);
    return file;
}

// A *.conf.in with each @NAME@ replaced.
export function from_template(template, name, values) {
    const text = fs.readFileSync(path.join(here, template), 'utf8').replace(/@([A-Z]+)@/g, (_, word) => {
        if (!(word in values)) throw new Error(`${template}: no value for @${word}@`);
        return values[word];
    });
    return write(name, text);
}

// ---- ports ----

export function free_port() {
    return new Promise((resolve, reject) => {
        const server = net.createServer();
        server.once('error', reject);
        server.listen(0, '127.0.0.1', () => {
            const { port } = server.address();
            server.close(() => resolve(port));
        });
    });
}

export const can_connect = port => new Promise(resolve => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.once('connect', () => { socket.destroy(); resolve(true); });
    socket.once('error', () => resolve(false));
});

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

// ---- processes ----

const running = new Set();

// What went wrong without spoiling a figure, such as a server that crashed at its end.
export const complaints = [];

export class Process {
    // cpus: for taskset. files: descriptors that it needs. env: added to ours.
    static start(name, command, { cpus = cores.server, files = 0, env = {}, cwd } = {}) {
        const self = new Process();
        self.name = name;
        self.said = '';
        const words = ['taskset', '-c', cpus, ...command];
        const limit = files ? `ulimit -Sn ${files} 2>/dev/null || ulimit -n ${files} 2>/dev/null; ` : '';
        self.child = spawn('/bin/sh', ['-c', `${limit}exec "$@"`, 'sh', ...words],
            { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, ...env }, cwd });
        self.pid = self.child.pid;
        self.child.on('error', error => { self.said += String(error); });
        self.child.stdin.on('error', () => {});
        for (const stream of [self.child.stdout, self.child.stderr])
            stream.on('data', piece => { self.said = (self.said + piece).slice(-20_000); });
        self.ended = new Promise(resolve => self.child.once('exit', (code, signal) => {
            self.how = signal ?? code;
            running.delete(self);
            resolve(self.how);
        }));
        running.add(self);
        return self;
    }

    get alive() {
        return this.how === undefined;
    }

    check() {
        if (!this.alive) throw new Error(`${this.name} ended (${this.how})\n${this.said}`);
    }

    // Until its output matches; the match.
    async says(pattern, ms = 15_000) {
        for (const end = Date.now() + ms; ;) {
            const found = pattern.exec(this.said);
            if (found) return found;
            this.check();
            if (Date.now() > end) throw new Error(`${this.name} did not say ${pattern}\n${this.said}`);
            await sleep(5);
        }
    }

    async listens(port, ms = 20_000) {
        for (const end = Date.now() + ms; !(await can_connect(port));) {
            this.check();
            if (Date.now() > end) throw new Error(`${this.name} does not listen\n${this.said}`);
            await sleep(10);
        }
        this.port = port;
        return this;
    }

    async stop(signal = 'SIGTERM') {
        if (!this.alive) return this.how;
        const family = pids_of(this.pid);
        this.child.kill(signal);
        const timer = setTimeout(() => family.forEach(kill), 5000);
        await this.ended;
        clearTimeout(timer);
        family.filter(pid => pid !== this.pid).forEach(kill);
        if (this.ends_with !== undefined && this.how !== this.ends_with) complaints.push(`${this.name} ended with ${this.how}`);
        return this.how;
    }
}

function kill(pid) {
    try {
        process.kill(pid, 'SIGKILL');
    } catch { /* has ended */ }
}

// The output of a program that runs to its end; it too is ended with the bench.
export function output_of(command, words) {
    return new Promise((resolve, reject) => {
        const child = execFile(command, words, { maxBuffer: 1 << 20 }, (error, stdout, stderr) => {
            running.delete(child);
            if (error) reject(new Error(`${words.join(' ')}: ${error.message}\n${stderr}`));
            else resolve(stdout);
        });
        child.stop = () => child.kill('SIGTERM');
        running.add(child);
    });
}

export async function stop_all() {
    await Promise.all([...running].map(one => one.stop()));
}

process.on('exit', () => {
    for (const one of running) pids_of(one.pid).forEach(kill);
    fs.rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(130));

// ---- /proc ----

// A process and all below it.
export function pids_of(pid) {
    const found = [pid];
    try {
        for (const task of fs.readdirSync(`/proc/${pid}/task`))
            for (const child of fs.readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean))
                found.push(...pids_of(Number(child)));
    } catch { /* has ended */ }
    return found;
}

const TICK_US = 1e6 / Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }));

// utime + stime of a process and all below it, in microseconds.
export function cpu_us(pid) {
    let ticks = 0;
    for (const one of pids_of(pid)) {
        const text = fs.readFileSync(`/proc/${one}/stat`, 'utf8');
        const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
        ticks += Number(fields[11]) + Number(fields[12]);
    }
    return ticks * TICK_US;
}

// VmRSS and RssAnon of a process and all below it, in bytes.
export function memory(pid) {
    const sum = { rss: 0, anon: 0 };
    for (const one of pids_of(pid)) {
        const text = fs.readFileSync(`/proc/${one}/status`, 'utf8');
        const kib = name => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
        sum.rss += kib('VmRSS') * 1024;
        sum.anon += kib('RssAnon') * 1024;
    }
    return sum;
}

// How many descriptors a process that we start can have.
export function files_max(want) {
    const text = execFileSync('/bin/sh', ['-c', `ulimit -n ${want} 2>/dev/null; ulimit -Sn $(ulimit -Hn); ulimit -Sn`],
        { encoding: 'utf8' }).trim();
    return text === 'unlimited' ? want : Number(text);
}
