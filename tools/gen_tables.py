#!/usr/bin/env python3
"""gen_tables.py - data/params, data/routes and data/options.txt → C tables and reference pages.

    gen_tables.py params  --data FILE --name chat --header H --source C
    gen_tables.py routes  --data FILE --header H --source C
    gen_tables.py options --data FILE --header H --source C
    gen_tables.py counters --data FILE --header H --source C
    gen_tables.py languages --data FILE --header H --source C
    gen_tables.py plans --data FILE --source C
    gen_tables.py people --data FILE --source C
    gen_tables.py doc     --params FILE… --routes FILE --options FILE --doc DIR

The formats are described at the head of each data file. Bad data is refused with file:line and status 1.
"""

import argparse
import os
import re
import sys

sys.dont_write_bytecode = True
import stanza as st  # noqa: E402

HEAD = '/* Made by tools/gen_tables.py from {}. */\n'
RANGE = re.compile(r'([\[(])\s*([^,\s]*)\s*,\s*([^,\s]*)\s*([\])])$')
UNITS = {'ms': 1, 's': 1000, 'm': 60000, 'h': 3600000}
SIZES = {'': 1, 'k': 1 << 10, 'm': 1 << 20, 'g': 1 << 30}


def guard(path):
    return 'DASHBOX_' + re.sub(r'[^A-Za-z0-9]', '_', os.path.basename(path)).upper()


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def read_range(s, key):
    match = RANGE.match(s.get(key))
    if not match:
        s.fail(f'"{key}" must be [a, b], with ( or ) for an open bound', key)
    return match.groups()


# ---- params ----

PARAM_KINDS = {'param', 'limit', 'name', 'word'}
PARAM_SURFACES = ('native', 'openai', 'anthropic')
PARAM_KEYS = {'type', 'into', 'range', 'choice', 'read', 'path', 'type_error', 'range_error', *PARAM_SURFACES,
              *(surface + '.range' for surface in PARAM_SURFACES)}
PARAM_TYPES = {'num', 'int', 'bool', 'str', 'choice', 'any', 'read'}


def bound_c(text, is_open):
    if not text:
        return '{ .set = false, .model_offset = -1 }'
    number = re.match(r'-?[0-9.]+$', text)
    value = f'.v = {text}{"" if "." in text else ".0"}' if number else '.v = 0'
    offset = '-1' if number else f'(int)offsetof(struct model, {text})'
    return f'{{ .set = true, .open = {"true" if is_open else "false"}, {value}, .model_offset = {offset} }}'


def whole(s, key):
    if not re.match(r'[0-9]{1,18}$', s.need(key)):
        s.fail(f'"{key}" must be a number', key)
    return s.get(key)


def name_chars(s):
    """A-Za-z0-9_- written out; a "-" at the end is itself."""
    out, text = '', s.need('chars')
    while text:
        if len(text) > 2 and text[1] == '-':
            out += ''.join(chr(c) for c in range(ord(text[0]), ord(text[2]) + 1))
            text = text[3:]
        else:
            out, text = out + text[0], text[1:]
    return out


def params(args):
    tables, reads, out, constants = {}, set(), [], ''
    for s in st.read_file(args.data, PARAM_KINDS):
        if s.kind == 'limit':
            s.only({'value'})
            constants += f'#define {args.name.upper()}_{s.name.upper()} {whole(s, "value")}\n'
            continue
        if s.kind == 'word':
            s.only({'value'})
            constants += f'#define {args.name.upper()}_{s.name.upper()} S({st.c_string(s.need("value"))})\n'
            continue
        if s.kind == 'name':
            s.only({'chars', 'length_max', 'reserved'})
            symbol = f'{args.name}_{s.name}'
            constants += f'extern const struct param_name {symbol};\n'
            out.append(f'const struct param_name {symbol} = {{ {st.c_str(name_chars(s))}, {whole(s, "length_max")}, '
                       f'{st.c_str(s.get("reserved", ""))} }};\n')
            continue
        s.only(PARAM_KEYS)
        kind = s.need('type')
        if kind not in PARAM_TYPES:
            s.fail(f'unknown type "{kind}"', 'type')
        if kind == 'read':
            reads.add(s.need('read'))
        elif 'read' in s.values:
            s.fail('"read" goes with type read', 'read')
        else:
            s.need('into')
        if not s.values.keys() & set(PARAM_SURFACES):
            s.fail('on no surface')
        choices = s.get('choice', '').split()
        if (kind == 'choice') != bool(choices):
            s.fail('"choice" goes with type choice, and is needed there')
        for surface in PARAM_SURFACES:
            if surface not in s.values:
                continue
            place, _, name = s.get(surface).partition('.')
            name = name or s.name
            low_open, low, high, high_open = '[', '', '', ']'
            for key in (f'{surface}.range', 'range'):
                if key in s.values:
                    low_open, low, high, high_open = read_range(s, key)
                    break
            symbol = f'choices_{s.name}'
            row = [f'.name = {st.c_str(name)}', f'.type = PARAM_{kind.upper()}',
                   f'.min = {bound_c(low, low_open == "(")}', f'.max = {bound_c(high, high_open == ")")}',
                   f'.type_error = ERROR_{s.get("type_error", "PARAMETER_MISSING_NAMED")}',
                   f'.range_error = ERROR_{s.get("range_error", s.get("type_error", "PARAMETER_MISSING_NAMED"))}']
            if 'into' in s.values:
                row.append(f'.offset = offsetof(struct {args.name}_input, {s.get("into")})')
            if 'path' in s.values:
                row.append(f'.path = {st.c_str(s.get("path"))}')
            if kind == 'read':
                row.append(f'.read = {s.get("read")}')
            if choices:
                row.append(f'.choices = {symbol}, .choice_count = {len(choices)}')
            tables.setdefault(f'{args.name}_params_{surface}_{place}', []).append('    { ' + ', '.join(row) + ' },\n')
        if choices:
            out.append(f'static const str {symbol}[] = {{ {", ".join(st.c_str(c) for c in choices)} }};\n')
    source = HEAD.format(args.data_name) + f'#include "{os.path.basename(args.header)}"\n\n' + ''.join(out)
    header = HEAD.format(args.data_name) + f'#ifndef {guard(args.header)}\n#define {guard(args.header)}\n\n' \
        + (f'#include "contract/{args.name}.h"\n' if tables or reads else '') \
        + ('#include "contract/params.h"\n\n' if tables or out or reads else '')
    for name in sorted(reads):
        header += f'enum err {name}(struct request *rq, const struct param *p, yyjson_val *v, void *into);\n'
    header += '\n' + constants + '\n'
    for name, rows in tables.items():
        source += f'\nstatic const struct param rows_{name}[] = {{\n{"".join(rows)}}};\n' \
            f'const struct param_table {name} = {{ rows_{name}, {len(rows)} }};\n'
        header += f'extern const struct param_table {name};\n'
    header += '\n#endif\n'
    write(args.header, header)
    write(args.source, source)


# ---- routes ----

ROUTE_KEYS = {'method', 'surface', 'handler', 'auth', 'body', 'manages', 'pieces'}
SURFACES = {'native', 'openai', 'anthropic', 'admin', 'plain'}
ROUTE_AUTHS = ('none', 'key', 'plan', 'admin')
METHODS = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH']


def routes(args):
    stanzas = st.read_file(args.data, {'route'})
    handlers, rows = [], []
    # exact paths first, then the longest prefix: the first hit is the right one
    order = sorted(stanzas, key=lambda s: (s.name.endswith('*'), -len(s.name), s.name))
    for s in order:
        s.only(ROUTE_KEYS)
        methods = s.need('method').split()
        if any(m not in METHODS for m in methods):
            s.fail(f'methods are {" ".join(METHODS)}', 'method')
        if s.need('surface') not in SURFACES:
            s.fail(f'surfaces are {" ".join(sorted(SURFACES))}', 'surface')
        if s.need('auth') not in ROUTE_AUTHS:
            s.fail(f'auth is one of {" ".join(ROUTE_AUTHS)}', 'auth')
        if s.get('manages', 'yes') != 'yes':
            s.fail('"manages" is yes, or absent', 'manages')
        if s.get('pieces', 'yes') != 'yes':
            s.fail('"pieces" is yes, or absent', 'pieces')
        handler = s.need('handler')
        if handler not in handlers:
            handlers.append(handler)
        prefix = s.name.endswith('*')
        path = s.name[:-1] if prefix else s.name
        bits = ' | '.join(f'ROUTE_{m}' for m in methods)
        body = s.get('body', '0')
        option = '-1' if body.isdigit() else f'(int)offsetof(struct options, {body})'
        rows.append(f'    {{ .path = {st.c_str(path)}, .prefix = {"true" if prefix else "false"}, .methods = {bits}, '
                    f'.surface = SURFACE_{s.get("surface").upper()}, .handler = handle_{handler}, '
                    f'.auth = ROUTE_AUTH_{s.get("auth").upper()}, .manages = {"true" if "manages" in s.values else "false"}, '
                    f'.pieces = {"true" if "pieces" in s.values else "false"}, '
                    f'.body_max = {body if body.isdigit() else 0}, .body_max_option = {option} }},\n')
    header = HEAD.format(args.data_name) + f'#ifndef {guard(args.header)}\n#define {guard(args.header)}\n\n' \
        '#include "server/route.h"\n\n'
    header += ''.join(f'SUSPENDS enum err handle_{h}(struct request *rq);\n' for h in sorted(handlers)) + '\n#endif\n'
    source = HEAD.format(args.data_name) + f'#include "{os.path.basename(args.header)}"\n\n#include "server/options.gen.h"\n\n'
    source += f'const struct route route_rows[] = {{\n{"".join(rows)}}};\n'
    source += f'const unsigned route_count = {len(rows)};\n'
    write(args.header, header)
    write(args.source, source)


# ---- options ----

OPTION_KEYS = {'type', 'default', 'range', 'choice', 'reload', 'doc'}
OPTION_C = {'text': 'str', 'path': 'str', 'int': 'int64_t', 'ms': 'int64_t', 'bytes': 'int64_t', 'bool': 'bool', 'choice': 'int'}


def option_value(s, kind, text):
    if kind in ('text', 'path'):
        return st.c_string(text)
    if kind == 'bool':
        if text not in ('true', 'false'):
            s.fail('a bool is true or false', 'default')
        return text
    if kind == 'choice':
        if text not in s.get('choice', '').split():
            s.fail('the default is none of the choices', 'default')
        return str(s.get('choice').split().index(text))
    match = re.match(r'([0-9]+)([a-z]*)$', text)
    units = UNITS if kind == 'ms' else SIZES
    if not match or (match[2] not in units and not (kind == 'ms' and not match[2])):
        s.fail(f'"{text}" is no number of type {kind}', 'default')
    return str(int(match[1]) * units.get(match[2], 1))


def options(args):
    stanzas = st.read_file(args.data, {'option'})
    fields, rows, defaults, out = [], [], [], []
    for s in stanzas:
        s.only(OPTION_KEYS)
        kind = s.need('type')
        if kind not in OPTION_C:
            s.fail(f'unknown type "{kind}"', 'type')
        s.need('doc')
        if s.get('reload', 'no') != 'no':
            s.fail('reload is no, or not there', 'reload')
        field = s.name.replace('.', '_')
        if kind == 'ms':
            field += '_ms'
        low, high = '0', 'INT64_MAX'
        if 'range' in s.values:
            _, low, high, _ = read_range(s, 'range')
        choices = s.get('choice', '').split()
        if choices:
            out.append(f'static const str choices_{field}[] = {{ {", ".join(st.c_str(c) for c in choices)} }};\n')
        value = option_value(s, kind, s.need('default'))
        defaults.append(f'    .{field} = {"S(" + value + ")" if kind in ("text", "path") else value},\n')
        fields.append(f'    {OPTION_C[kind]} {field};\n')
        rows.append(f'    {{ .name = {st.c_str(s.name)}, .type = OPTION_{kind.upper()}, '
                    f'.offset = offsetof(struct options, {field}), .min = {low}, .max = {high}, '
                    f'.choices = {"choices_" + field if choices else "NULL"}, .choice_count = {len(choices)}, '
                    f'.until_restart = {"true" if "reload" in s.values else "false"} }},\n')
    header = HEAD.format(args.data_name) + f'#ifndef {guard(args.header)}\n#define {guard(args.header)}\n\n' \
        '#include "base/str.h"\n\nstruct options {\n' + ''.join(fields) + '};\n\n' \
        'extern const struct options options_default;\n\n#endif\n'
    source = HEAD.format(args.data_name) + '#include "server/config.h"\n\n' + ''.join(out) + \
        '\nconst struct options options_default = {\n' + ''.join(defaults) + '};\n\n' \
        'const struct option option_rows[] = {\n' + ''.join(rows) + '};\n' \
        f'const unsigned option_count = {len(rows)};\n'
    write(args.header, header)
    write(args.source, source)


# ---- counters ----

def counters(args):
    stanzas = st.read_file(args.data, {'counter'})
    names, rows, series_names, series_rows = [], [], [], []
    for s in stanzas:
        s.only({'type', 'help', 'labels', 'by'})
        if s.need('type') not in ('counter', 'gauge'):
            s.fail('type is counter or gauge', 'type')
        if 'by' in s.values:
            if s.get('by') not in ('engine', 'upstream', 'model'):
                s.fail('by is engine, upstream or model', 'by')
            series_names.append(f'    SERIES_{s.name.removesuffix("_total").upper()},\n')
            series_rows.append(f'    {{ .name = {st.c_str("dashbox_" + s.name)}, .by = BY_{s.get("by").upper()}, '
                               f'.type = {st.c_str(s.get("type"))}, .help = {st.c_str(s.need("help"))} }},\n')
            continue
        for label in s.get('labels', '').split() or ['']:
            symbol = s.name + ('_' + label.split('=')[1].strip('"') if label else '')
            names.append(f'    COUNTER_{symbol.upper()},\n')
            rows.append(f'    {{ .name = {st.c_str("dashbox_" + s.name)}, .label = {st.c_str(label)}, '
                        f'.type = {st.c_str(s.get("type"))}, .help = {st.c_str(s.need("help"))} }},\n')
    header = HEAD.format(args.data_name) + f'#ifndef {guard(args.header)}\n#define {guard(args.header)}\n\n' \
        'enum counter {\n' + ''.join(names) + '    COUNTER_COUNT\n};\n\n' \
        'enum series_counter {\n' + ''.join(series_names) + '    SERIES_COUNT\n};\n\n#endif\n'
    source = HEAD.format(args.data_name) + '#include "server/metrics.h"\n\n' \
        f'const struct counter_row counter_rows[COUNTER_COUNT] = {{\n{"".join(rows)}}};\n\n' \
        f'const struct series_row series_rows[SERIES_COUNT] = {{\n{"".join(series_rows)}}};\n'
    write(args.header, header)
    write(args.source, source)


# ---- languages ----

def languages(args):
    rows = []
    for s in st.read_file(args.data, {'language'}):
        s.only({'name', 'lite'})
        rows.append(f'    {{ .code = {st.c_str(s.name)}, .name = {st.c_str(s.need("name"))}, '
                    f'.lite = {"true" if s.get("lite") == "yes" else "false"} }},\n')
    header = HEAD.format(args.data_name) + f'#ifndef {guard(args.header)}\n#define {guard(args.header)}\n\n' \
        '#include "base/str.h"\n\nstruct language {\n    str  code, name;\n    bool lite; /* the small model knows it too */\n};\n\n' \
        f'#define LANGUAGE_COUNT {len(rows)}\nextern const struct language languages[LANGUAGE_COUNT];\n\n#endif\n'
    source = HEAD.format(args.data_name) + f'#include "{os.path.basename(args.header)}"\n\n' \
        f'const struct language languages[LANGUAGE_COUNT] = {{\n{"".join(rows)}}};\n'
    write(args.header, header)
    write(args.source, source)


# ---- plans ----

def plans(args):
    out, rows = [], []
    for s in st.read_file(args.data, {'plan'}):
        s.only({'prefix', 'base', 'host', 'zone', 'models'} | {k for k in s.values if k.startswith('window.')})
        symbol = re.sub(r'[^a-z0-9]', '_', s.name)
        windows = []
        for key in s.values:
            if not key.startswith('window.'):
                continue
            requests, _, span = s.get(key).partition(' ')
            match = re.match(r'([0-9]+)h$', span)
            if not requests.isdigit() or not (match or span == 'calendar'):
                s.fail('a window is REQUESTS and a span: "5h" or "calendar"', key)
            windows.append(f'{{ .name = {st.c_str(key[7:])}, .requests = {requests}, '
                           f'.seconds = {int(match[1]) * 3600 if match else 0} }}')
        if not windows or windows[0].endswith('.seconds = 0 }'):
            s.fail('the first window slides')
        if not re.match(r'-?[0-9]+$', s.need('zone')):
            s.fail('a zone is hours', 'zone')
        models = s.need('models').split()
        out.append(f'static const struct plan_window windows_{symbol}[] = {{ {", ".join(windows)} }};\n'
                   f'static const str models_{symbol}[] = {{ {", ".join(st.c_str(m) for m in models)} }};\n')
        rows.append(f'    {{ .id = {st.c_str(s.name)}, .prefix = {st.c_str(s.need("prefix"))}, '
                    f'.base = {st.c_str(s.need("base"))}, .host = {st.c_str(s.need("host"))}, '
                    f'.zone_s = {int(s.get("zone")) * 3600}, .windows = windows_{symbol}, .window_count = {len(windows)}, '
                    f'.models = models_{symbol}, .model_count = {len(models)} }},\n')
    write(args.source, HEAD.format(args.data_name) + '#include "contract/plan.h"\n\n' + ''.join(out) +
          f'\nconst struct plan plan_rows[] = {{\n{"".join(rows)}}};\nconst unsigned plan_count = {len(rows)};\n')


# ---- voices ----

VOICE_GENDERS = {'female': 'F', 'male': 'M', 'child': 'C', 'neutral': 'N', 'either': '?'}


def voices(args):
    rows = []
    for s in st.read_file(args.data, {'voices'}):
        s.only({'models', 'languages', 'rate'} | set(VOICE_GENDERS))
        rate = whole(s, 'rate') if 'rate' in s.values else 0
        for key, gender in VOICE_GENDERS.items():
            for name in s.get(key, '').split(', ') if key in s.values else []:
                rows.append(f'    {{ .models = {st.c_str(s.need("models"))}, .name = {st.c_str(name)}, '
                            f'.languages = {st.c_str(s.need("languages"))}, .gender = \'{gender}\', .rate = {rate} }},\n')
    write(args.source, HEAD.format(args.data_name) + '#include "contract/voice.h"\n\n' +
          f'const struct voice voice_rows[] = {{\n{"".join(rows)}}};\nconst unsigned voice_count = {len(rows)};\n')


# ---- people ----

PEOPLE_RULE = re.compile(r'([A-Z][A-Z0-9_]*) ([a-z_]+) ([<>]) ([0-9.]+)(?: for (\S+))?$')


def people(args):
    out, rows, seen = [], [], None
    for s in st.read_file(args.data, {'seen', 'people'}):
        if s.kind == 'seen':
            s.only({'face', 'body', 'joint', 'distance'})
            seen = ', '.join(f'.{key} = {float(s.need(key))}' for key in ('face', 'body', 'joint', 'distance'))
            continue
        s.only({'rules'})
        symbol, rules = re.sub(r'[^a-z0-9]', '_', s.name), []
        for text in s.get('rules').split(',') if s.get('rules') else []:
            match = PEOPLE_RULE.match(text.strip())
            if not match:
                s.fail(f'"{text.strip()}" is no rule: ROW MEASURE < NUMBER', 'rules')
            row, measure, sign, number, only = match.groups()
            rules.append(f'    {{ .row = &error_rows[ERROR_{row}], .measure = PEOPLE_{measure}, '
                         f'.above = {"true" if sign == ">" else "false"}, .number = {float(number)}, '
                         f'.only = {st.c_str(only or "")} }},\n')
        if rules:
            out.append(f'static const struct people_rule rules_{symbol}[] = {{\n{"".join(rules)}}};\n')
        rows.append(f'    {{ .name = {st.c_str(s.name)}, .rules = {"rules_" + symbol if rules else "NULL"}, .count = {len(rules)} }},\n')
    if not seen:
        raise st.BadData(f'{args.data}: there is no "seen"')
    write(args.source, HEAD.format(args.data_name) + '#include "contract/errors.gen.h"\n'
          '#include "contract/people_tables.h"\n\n' + ''.join(out) +
          f'\nconst struct people_seen people_seen = {{ {seen} }};\n'
          f'const struct people_rules people_rules_rows[] = {{\n{"".join(rows)}}};\n'
          f'const size_t people_rules_count = {len(rows)};\n')


# ---- reference pages ----

def doc(args):
    os.makedirs(args.doc, exist_ok=True)
    page = '# Options\n\nOf the configuration file (YAML), with their defaults. A dot is one level of nesting.\n' \
        'SIGHUP reads the file again; what is marked "at the start" holds until the next start.\n\n' \
        '| option | type | default | what it does |\n| --- | --- | --- | --- |\n'
    for s in st.read_file(args.options, {'option'}):
        kind = ' \\| '.join(s.get('choice').split()) if 'choice' in s.values else s.get('type')
        page += f'| `{s.name}` | {kind} | {"`" + s.get("default") + "`" if s.get("default") else "nothing"} | {s.get("doc")}{" At the start." if "reload" in s.values else ""} |\n'
    write(os.path.join(args.doc, 'options.md'), page)

    page = '# Routes\n\n| path | methods | protocol | served |\n| --- | --- | --- | --- |\n'
    for s in st.read_file(args.routes, {'route'}):
        page += f'| `{s.name}` | {s.get("method")} | {s.get("surface")} | ' \
            f'{"not yet: 501" if s.get("handler") == "later" else "yes"} |\n'
    write(os.path.join(args.doc, 'routes.md'), page)

    page = '# Parameters\n\nIn the order in which they are checked. Names in capitals are rows of the [error reference](errors.md).\n'
    for path in args.params:
        page += f'\n## {os.path.splitext(os.path.basename(path))[0]}\n\n' \
            '| parameter | type | range | DashScope | OpenAI-compatible | Anthropic-compatible | refused with |\n' \
            '| --- | --- | --- | --- | --- | --- | --- |\n'
        for s in st.read_file(path, PARAM_KINDS):
            if s.kind != 'param':
                continue
            ranges = s.get('range', '')
            for surface in PARAM_SURFACES:
                if f'{surface}.range' in s.values:
                    ranges += f'; {surface}: {s.get(surface + ".range")}'
            if 'choice' in s.values:
                ranges = ' \\| '.join(s.get('choice').split())
            errors = sorted({s.get('type_error', 'PARAMETER_MISSING_NAMED'),
                             s.get('range_error', s.get('type_error', 'PARAMETER_MISSING_NAMED'))})

            def place(surface):
                where, _, name = s.get(surface, '').partition('.')
                if not where:
                    return ''
                name = name or s.name
                return f'`{name}`' if where == 'top' else f'`{where}.{name}`'
            page += f'| {s.name} | {"own rules" if s.get("type") == "read" else s.get("type")} | {ranges} | {place("native")} | ' \
                f'{place("openai")} | {place("anthropic")} | {", ".join(errors)} |\n'
    write(os.path.join(args.doc, 'parameters.md'), page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('what', choices=['params', 'routes', 'options', 'counters', 'languages', 'plans', 'people', 'voices', 'doc'])
    parser.add_argument('--data')
    parser.add_argument('--name')
    parser.add_argument('--header')
    parser.add_argument('--source')
    parser.add_argument('--params', nargs='*', default=[])
    parser.add_argument('--routes')
    parser.add_argument('--options')
    parser.add_argument('--doc')
    args = parser.parse_args()
    if args.data:
        parts = args.data.split('/')
        args.data_name = '/'.join(parts[parts.index('data'):]) if 'data' in parts else args.data
    {'params': params, 'routes': routes, 'options': options, 'counters': counters, 'languages': languages,
     'plans': plans, 'people': people, 'voices': voices, 'doc': doc}[args.what](args)


st.run(main)
