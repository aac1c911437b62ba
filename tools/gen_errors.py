#!/usr/bin/env python3
"""gen_errors.py - data/errors → the C table, the fail_…() constructors, and the reference pages.

    gen_errors.py --data data/errors --header errors.gen.h --source errors.gen.c [--depfile F] [--doc DIR]

Each output is optional. The format is described at the head of data/errors/codes.txt. Bad data is refused with
file:line and status 1.
"""

import argparse
import os
import re
import sys

sys.dont_write_bytecode = True
import stanza as st  # noqa: E402

ARGS_MAX = 4  # FAULT_ARGS_MAX
ARG_KINDS = {'str': ('FAULT_ARG_STR', 'str', 's'), 'int': ('FAULT_ARG_INT', 'int64_t', 'i'),
             'num': ('FAULT_ARG_NUM', 'double', 'n')}
ROW_KEYS = {'id', 'area', 'status', 'native', 'compat', 'args', 'text', 'wire', 'wire.status', 'wire.native',
            'wire.compat', 'level', 'param', 'anchor', 'older', 'words', 'cause', 'fix', 'cause.zh', 'fix.zh'}
CODE_KEYS = {'compat', 'wire', 'anthropic'}
HTTP_CLASSES = ('400', '500')  # what a status without a stanza of its own is told as
ID = re.compile(r'([EXWD])([0-9]{3})([a-z]?)$')
ID_ORDER = 'EXWD'
NAME = re.compile(r'[A-Z][A-Z0-9_]*$')
PLACE = re.compile(r'\{([^{}]*)\}')
C_WORDS = {'int', 'char', 'long', 'short', 'float', 'double', 'struct', 'union', 'enum', 'const', 'static', 'for', 'if',
           'else', 'do', 'while', 'switch', 'case', 'default', 'return', 'void', 'signed', 'unsigned', 'inline', 'f',
           'str', 'bool', 'auto', 'break', 'continue', 'goto', 'register', 'sizeof', 'typedef', 'volatile', 'extern'}


class Row:
    pass


def read_pair(s, key):
    """"code / type"; "none" is an absent member."""
    parts = [part.strip() for part in s.get(key).split(' / ')]
    if len(parts) != 2 or not all(parts):
        s.fail(f'"{key}" must be "code / type"', key)
    return tuple('' if part == 'none' else part for part in parts)


def read_code(s):
    s.only(CODE_KEYS)
    s.need('compat')
    reference = read_pair(s, 'compat')
    return reference, read_pair(s, 'wire') if 'wire' in s.values else reference


def read_http(s, types):
    s.only({'anthropic'})
    if not re.match(r'[45][0-9][0-9]$', s.name) or s.name in types:
        s.fail('a status of HTTP, once')
    types[s.name] = s.need('anthropic')


def map_code(codes, native):
    """(code, type) under each wording."""
    if not native:
        return ('', ''), ('', '')
    if native in codes:
        return codes[native]
    stem = native
    while '.' in stem:
        stem = stem.rpartition('.')[0]
        if stem + '.*' in codes:
            return codes[stem + '.*']
    return (native, native), (native, native)


def read_status(s, key):
    value = s.get(key)
    if value == 'none':
        return 0
    if not re.match(r'[2345][0-9][0-9]$', value):
        s.fail(f'"{key}" must be a status of HTTP or "none"', key)
    return int(value)


def read_args(s):
    args = []
    for word in s.get('args', '').split():
        name, colon, kind = word.partition(':')
        if not colon or kind not in ARG_KINDS:
            s.fail(f'argument "{word}" must be name:str, name:int or name:num', 'args')
        if not re.match(r'[a-z][a-z0-9_]*$', name) or name in C_WORDS:
            s.fail(f'argument "{name}" cannot be a name in C', 'args')
        if name in [a[0] for a in args]:
            s.fail(f'argument "{name}" is there twice', 'args')
        args.append((name, kind))
    if len(args) > ARGS_MAX:
        s.fail(f'more than {ARGS_MAX} arguments', 'args')
    return args


def check_places(s, row):
    used = set()
    for key in ('text', 'wire'):
        text = s.get(key, '')
        for place in PLACE.findall(text):
            if place not in [a[0] for a in row.args]:
                s.fail(f'placeholder {{{place}}} is no argument', key)
            used.add(place)
        if re.search(r'[{}]', PLACE.sub('', text)):
            s.fail('a brace that is no placeholder', key)
    for name, _ in row.args:
        if name not in used:
            s.fail(f'argument "{name}" is used in no text', 'args')


def read_row(s, codes, file_area):
    s.only(ROW_KEYS)
    for key in ('id', 'status', 'text', 'level', 'cause', 'fix', 'cause.zh', 'fix.zh'):
        s.need(key)
    row = Row()
    row.stanza, row.name, row.id = s, s.name, s.get('id')
    if not NAME.match(row.name):
        s.fail('the name must be like MAX_TOKENS_RANGE')
    match = ID.match(row.id)
    if not match:
        s.fail('the id must be like E010a', 'id')
    row.order = (ID_ORDER.index(match[1]), int(match[2]), match[3])
    row.area = s.get('area', file_area)
    if row.area is None:
        s.fail('"area" is missing')
    row.status = read_status(s, 'status')
    row.native = s.get('native', '')
    row.args = read_args(s)
    row.text = s.get('text')
    row.level = s.get('level')
    if row.level not in ('gateway', 'engine'):
        s.fail('"level" must be gateway or engine', 'level')
    row.anchor = s.get('anchor', '')
    row.param = s.get('param', '')
    row.words = s.get('words', '')
    row.cause, row.fix, row.cause_zh, row.fix_zh = (s.get(k) for k in ('cause', 'fix', 'cause.zh', 'fix.zh'))
    check_places(s, row)

    reference, wire = map_code(codes, row.native)
    row.wire_native = s.get('wire.native', row.native)
    if 'wire.native' in s.values:
        wire = map_code(codes, row.wire_native)[1]
    if 'compat' in s.values:
        reference = read_pair(s, 'compat')
        if 'wire.native' not in s.values:
            wire = reference
    if 'wire.compat' in s.values:
        wire = read_pair(s, 'wire.compat')
    row.compat, row.wire_compat = reference, wire
    row.wire_status = read_status(s, 'wire.status') if 'wire.status' in s.values else row.status
    row.wire = s.get('wire', row.text)
    return row


def read_all(folder):
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith('.txt'))
    codes_path = os.path.join(folder, 'codes.txt')
    codes, rows, by_name, by_id = {}, [], {}, {}
    anthropic = {'status': {}, 'code': {}}

    for s in st.read_file(codes_path, ['code', 'http']):
        if s.kind == 'http':
            read_http(s, anthropic['status'])
            continue
        if s.name in codes:
            s.fail('is there twice')
        codes[s.name] = read_code(s)
        anthropic['code'][s.name] = s.get('anthropic', '')
    for status in HTTP_CLASSES:
        if status not in anthropic['status']:
            raise st.BadData(f'{codes_path}: there is no http {status}')
    for path in paths:
        if path == codes_path:
            continue
        base = os.path.basename(path)[:-len('.txt')]
        last = None
        for s in st.read_file(path, ['error']):
            row = read_row(s, codes, None if base == 'extra' else base)
            if row.name in by_name:
                s.fail(f'the name is taken: {by_name[row.name].stanza.path}:{by_name[row.name].stanza.line}')
            if row.id in by_id:
                s.fail(f'the id {row.id} is taken: {by_id[row.id].stanza.path}:{by_id[row.id].stanza.line}', 'id')
            if last and last.order > row.order:
                s.fail(f'not in the order of the ids: {row.id} after {last.id}', 'id')
            by_name[row.name] = by_id[row.id] = last = row
            rows.append(row)
    rows.sort(key=lambda row: row.order)
    for row in rows:
        older = row.stanza.get('older')
        row.older = None
        if older is None:
            continue
        if older not in by_id:
            row.stanza.fail(f'the older row {older} does not exist', 'older')
        row.older = by_id[older]
        for name, kind in row.older.args:
            if (name, kind) not in row.args:
                row.stanza.fail(f'the older row {older} needs the argument {name}:{kind}', 'older')
        if row.older.stanza.get('older'):
            row.stanza.fail(f'the older row {older} has an older row itself', 'older')
    return codes, anthropic, rows, paths


# --- C ----------------------------------------------------------------------------------------------------------------

def write_header(path, rows):
    out = ['/* Made by tools/gen_errors.py from data/errors; not to be edited. */',
           '#ifndef DASHBOX_CONTRACT_ERRORS_GEN_H', '#define DASHBOX_CONTRACT_ERRORS_GEN_H', '',
           '#include "contract/catalog.h"', '', 'enum error_number {']
    out += [f'    ERROR_{row.name}, /* {row.id} */' for row in rows]
    out += ['    ERROR_COUNT', '};', '']
    for row in rows:
        parameters = ''.join(f', {ARG_KINDS[kind][1]} {name}' for name, kind in row.args)
        out += [f'/* {row.id}: {c_comment(row.text)} */',
                f'static inline enum err fail_{row.name.lower()}(struct fault *f{parameters})', '{']
        given = 'NULL'
        if row.args:
            values = ', '.join(f'{{ .kind = {ARG_KINDS[kind][0]}, .{ARG_KINDS[kind][2]} = {name} }}'
                               for name, kind in row.args)
            out += [f'    const struct fault_arg args[] = {{ {values} }};', '']
            given = 'args'
        out += [f'    return fault_raise(f, &error_rows[ERROR_{row.name}], {given}, {len(row.args)});', '}', '']
    out += ['#endif', '']
    write(path, '\n'.join(out))


def c_comment(text):
    return text.replace('*/', '* /').replace('\\', '')


def c_form(status, native, compat, text):
    return (f'{{ .status = {status}, .native = {st.c_str(native)}, .compat_code = {st.c_str(compat[0])}, '
            f'.compat_type = {st.c_str(compat[1])},\n          .text = {st.c_str(text)} }}')


def write_source(path, codes, anthropic, rows):
    index = {row.name: i for i, row in enumerate(rows)}
    out = ['/* Made by tools/gen_errors.py from data/errors; not to be edited. */',
           '#include "contract/errors.gen.h"', '', 'const struct error_row error_rows[] = {']
    for row in rows:
        args = ', '.join(f'{{ {st.c_str(name)}, {ARG_KINDS[kind][0]} }}' for name, kind in row.args)
        out += [f'    [ERROR_{row.name}] = {{',
                f'        .id = {st.c_str(row.id)}, .name = {st.c_str(row.name)}, .area = {st.c_str(row.area)},',
                '        .form = {',
                f'        [WORDING_REFERENCE] = {c_form(row.status, row.native, row.compat, row.text)},',
                f'        [WORDING_WIRE] = {c_form(row.wire_status, row.wire_native, row.wire_compat, row.wire)},',
                '        },',
                f'        .arg_count = {len(row.args)},' + (f' .args = {{ {args} }},' if args else ''),
                f'        .level = ERROR_{row.level.upper()}, .anchor = {st.c_str(row.anchor)}, .param = {st.c_str(row.param)},',
                f'        .older = {index[row.older.name] if row.older else -1},',
                *([f'        .words = {st.c_str(row.words)},'] if row.words else []),
                f'        .cause = {st.c_str(row.cause)},', f'        .fix = {st.c_str(row.fix)},',
                f'        .cause_zh = {st.c_str(row.cause_zh)},', f'        .fix_zh = {st.c_str(row.fix_zh)},',
                '    },']
    out += ['};', '', 'const unsigned error_row_count = ERROR_COUNT;', '', 'const struct error_code error_codes[] = {']
    for native in codes:
        pairs = ', '.join(f'{{ {st.c_str(code)}, {st.c_str(kind)} }}' for code, kind in codes[native])
        out += [f'    {{ {st.c_str(native)}, {{ {pairs} }}, {st.c_str(anthropic["code"][native])} }},']
    out += ['};', '', f'const unsigned error_code_count = {len(codes)};', '',
            'const struct error_http error_https[] = {']
    out += [f'    {{ {status}, {st.c_str(name)} }},' for status, name in anthropic['status'].items()]
    out += ['};', '', f'const unsigned error_http_count = {len(anthropic["status"])};', '']
    write(path, '\n'.join(out))


# --- The reference pages ----------------------------------------------------------------------------------------------

WORDS = {
    'en': {'title': 'Errors', 'contents': 'Areas', 'code': 'Code', 'compat': 'OpenAI-compatible code / type',
           'status': 'HTTP status', 'none': 'none', 'wire': 'On the wire', 'cause': 'Cause', 'fix': 'What to do',
           'older': 'Older reference', 'engine': 'Checked by the model engine',
           'intro': 'Each sentence that dashbox can refuse a request with, what it means and what to do. '
                    '`dashbox explain` finds them by number, by code, by sentence or by a whole reply. '
                    '`{name}` stands for a value of the request or of the model.'},
    'zh': {'title': '错误码', 'contents': '分类', 'code': '错误码', 'compat': 'OpenAI 兼容接口的 code / type',
           'status': 'HTTP 状态码', 'none': '无', 'wire': '线上实际文案', 'cause': '原因', 'fix': '处理方法',
           'older': '旧版文档', 'engine': '由模型引擎检查',
           'intro': '这里列出 dashbox 拒绝请求时可能返回的每一条错误信息，以及它的原因和处理方法。'
                    '用 `dashbox explain` 可以按编号、错误码、错误信息或完整响应体查找。'
                    '`{name}` 表示来自请求或模型的取值。'},
}


def md_code(text):
    if not text:
        return ''
    ticks = '`' * (max((len(run) for run in re.findall('`+', text)), default=0) + 1)
    pad = ' ' if text.startswith('`') or text.endswith('`') else ''
    return f'{ticks}{pad}{text}{pad}{ticks}'


def doc_row(row, lang):
    w = WORDS[lang]
    cause, fix = (row.cause_zh, row.fix_zh) if lang == 'zh' else (row.cause, row.fix)
    facts = [f'{w["status"]}: {row.status or w["none"]}']
    if row.native:
        facts.append(f'{w["code"]}: `{row.native}`')
    if row.compat[1]:
        facts.append(f'{w["compat"]}: `{row.compat[0] or "-"}` / `{row.compat[1]}`')
    if row.level == 'engine':
        facts.append(w['engine'])
    out = [f'<a id="{row.id.lower()}"></a>', f'### {row.id} {row.name}', '']
    if row.text:
        out += [f'> {md_code(row.text)}', '']
    out += [' · '.join(facts), '']
    if row.wire != row.text:
        out += [f'{w["wire"]}: {md_code(row.wire.strip())}', '']
    if row.older:
        older = row.older
        out += [f'{w["older"]} ([{older.id}](#{older.id.lower()})): {older.status or w["none"]} `{older.native}` '
                f'{md_code(older.text)}', '']
    out += [f'**{w["cause"]}.** {cause}', '', f'**{w["fix"]}.** {fix}', '']
    return out


def write_doc(path, rows, lang):
    w = WORDS[lang]
    areas = sorted({row.area for row in rows})
    out = [f'# {w["title"]}', '', w['intro'], '', f'{w["contents"]}: ' + ' · '.join(f'[{a}](#{a})' for a in areas), '']
    for area in areas:
        out += [f'## {area}', '']
        for row in rows:
            if row.area == area:
                out += doc_row(row, lang)
    write(path, '\n'.join(out))


def write_client(path, rows):
    """The sentences that clients raise by themselves, as formats of printf where they have arguments."""
    out = ['/* Generated by tools/gen_errors.py from data/errors/client-sdk.txt. */']
    for row in rows:
        if row.area == 'client-sdk':
            text = PLACE.sub('%s', row.text.replace('%', '%%') if row.args else row.text)
            out += [f'#define {row.name}_CODE {st.c_string(row.native)}', f'#define {row.name}_TEXT {st.c_string(text)} /* {row.id} */']
    write(path, '\n'.join(out) + '\n')


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def main():
    parser = argparse.ArgumentParser(description='data/errors to C tables and reference pages')
    parser.add_argument('--data', required=True, help='the folder data/errors')
    parser.add_argument('--header', help='errors.gen.h to write')
    parser.add_argument('--source', help='errors.gen.c to write')
    parser.add_argument('--client', help="client_errors.gen.h to write: the clients' own")
    parser.add_argument('--depfile', help='what the outputs depend on, for the build')
    parser.add_argument('--doc', help='folder for errors.md and errors.zh.md')
    args = parser.parse_args()

    codes, anthropic, rows, paths = read_all(args.data)
    if args.header:
        write_header(args.header, rows)
    if args.source:
        write_source(args.source, codes, anthropic, rows)
    if args.client:
        write_client(args.client, rows)
    if args.doc:
        os.makedirs(args.doc, exist_ok=True)
        write_doc(os.path.join(args.doc, 'errors.md'), rows, 'en')
        write_doc(os.path.join(args.doc, 'errors.zh.md'), rows, 'zh')
    if args.depfile:
        target = args.header or args.source or args.client or os.path.join(args.doc or '.', 'errors.md')
        st.write_depfile(args.depfile, target, paths + [os.path.abspath(st.__file__)])


st.run(main)
