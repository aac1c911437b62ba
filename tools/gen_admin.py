#!/usr/bin/env python3
"""gen_admin.py - data/routes/admin.txt → the admin API's table, its OpenAPI description, its reference page.

    gen_admin.py --data FILE --version V --header H --source C
    gen_admin.py --data FILE --doc DIR

The format is described at the head of the data file. Bad data is refused with file:line and status 1.
"""

import argparse
import json
import os
import re
import sys

sys.dont_write_bytecode = True
import stanza as st  # noqa: E402

FIELD_KEYS = {'type', 'range', 'choice', 'doc'}
OBJECT_KEYS = {'fields', 'doc', 'example'}
ADMIN_KEYS = {'tag', 'summary', 'tests', 'job', 'handler', 'query', 'body', 'answer'}
METHODS = ('GET', 'POST', 'PUT', 'PATCH', 'DELETE')
IN_C = {'text': 'ADMIN_TEXT', 'int': 'ADMIN_INT', 'bool': 'ADMIN_BOOL', 'choice': 'ADMIN_CHOICE', 'texts': 'ADMIN_TEXTS',
        'time': 'ADMIN_TIME'}
RANGE = re.compile(r'\[(-?[0-9]+), (-?[0-9]+)\]$')
PARAMETER = re.compile(r'\{([a-z_]+)\}')
TEXT_MAX, INT_MAX = 4096, (1 << 53) - 1  # where the data has no range
PAGE = ['limit', 'after']


class Table:
    """What the data file says: fields and objects by name, functions in order."""

    def __init__(self, path):
        self.fields, self.objects, self.functions = {}, {}, []
        for s in st.read_file(path, {'field', 'object', 'admin'}):
            if s.kind == 'admin':
                self.functions.append(s)
                continue
            into = self.fields if s.kind == 'field' else self.objects
            if s.name in into:
                s.fail('is there twice')
            into[s.name] = s
        for s in self.fields.values():
            self.check_field(s)
        for s in self.objects.values():
            self.check_object(s)
        for s in self.functions:
            self.check_function(s)

    def check_field(self, s):
        s.only(FIELD_KEYS)
        s.need('doc')
        kind, _, name = s.need('type').partition(':')
        if kind in ('list', 'object'):
            if name not in self.objects:
                s.fail(f'there is no object "{name}"', 'type')
        elif kind not in IN_C and kind != 'pairs':
            s.fail(f'unknown type "{kind}"', 'type')
        if (kind == 'choice') != ('choice' in s.values):
            s.fail('"choice" goes with type choice, and is needed there')
        if 'range' in s.values and not RANGE.match(s.get('range')):
            s.fail('a range is [a, b]', 'range')

    def check_object(self, s):
        s.only(OBJECT_KEYS)
        s.need('doc')
        for name in s.need('fields').split():
            self.field(s, 'fields', name.rstrip('?'))
        try:
            json.loads(s.need('example'))
        except ValueError as error:
            s.fail(f'the example is no JSON: {error}', 'example')

    def check_function(self, s):
        s.only(ADMIN_KEYS)
        s.need('tag'), s.need('summary')
        method, _, path = s.name.partition(' ')
        if method not in METHODS or not path.startswith('/admin/v1/'):
            s.fail('is no METHOD and path below /admin/v1/')
        if s.get('tests', 'yes') != 'yes':
            s.fail('"tests" is yes, or absent', 'tests')
        if ('job' in s.values) == ('handler' in s.values):
            s.fail('has one of "job" and "handler"')
        for key in ('query', 'body'):
            for name in s.get(key, '').split():
                field = self.field(s, key, name.rstrip('!'))
                if field.get('type') not in IN_C:
                    s.fail(f'{name} is only for answers', key)
        for name in PARAMETER.findall(path):
            self.field(s, 'query', name)
        answer = s.get('answer', 'json').split()[-1]
        if answer != 'json' and answer not in self.objects:
            s.fail(f'there is no object "{answer}"', 'answer')

    def field(self, s, key, name):
        if name not in self.fields:
            s.fail(f'there is no field "{name}"', key)
        return self.fields[name]


def wire_name(name):
    return name.rpartition('.')[2]


def bounds(s):
    match = RANGE.match(s.get('range', ''))
    if match:
        return int(match[1]), int(match[2])
    return 0, INT_MAX if s.get('type') == 'int' else TEXT_MAX


# ---- C ----

def symbol(name):
    return 'field_' + name.replace('.', '_')


def uses(s, key, table, extra=()):
    names = list(extra) + s.get(key, '').split()
    return [f'{{ &{symbol(n.rstrip("!"))}, {"true" if n.endswith("!") else "false"} }}' for n in names], \
        [n.rstrip('!') for n in names]


def c_source(table, data_name, header, openapi, openapi_production):
    used, out, rows = [], [], []
    for index, s in enumerate(table.functions):
        method, _, path = s.name.partition(' ')
        lists = {}
        for key in ('query', 'body'):
            entries, names = uses(s, key, table, PAGE if key == 'query' and s.get('answer', '').startswith('list ') else ())
            used += names
            lists[key] = (f'{key}_{index}', len(entries)) if entries else ('NULL', 0)
            if entries:
                out.append(f'static const struct admin_use {key}_{index}[] = {{ {", ".join(entries)} }};\n')
        function = f'.job = admin_job_{s.get("job")}' if 'job' in s.values else f'.handler = admin_handle_{s.get("handler")}'
        rows.append(f'    {{ .method = {st.c_str(method)}, .path = {st.c_str(path)}, .query = {lists["query"][0]}, '
                    f'.query_count = {lists["query"][1]}, .body = {lists["body"][0]}, .body_count = {lists["body"][1]}, '
                    f'.writes = {"false" if method == "GET" else "true"}, .for_tests = {"true" if "tests" in s.values else "false"}, '
                    f'{function} }},\n')
    fields = []
    for name in dict.fromkeys(used):
        s = table.fields[name]
        choices = s.get('choice', '').split()
        low, high = bounds(s)
        if choices:
            fields.append(f'static const str choices_{symbol(name)}[] = {{ {", ".join(st.c_str(c) for c in choices)} }};\n')
        fields.append(f'static const struct admin_field {symbol(name)} = {{ .name = {st.c_str(wire_name(name))}, '
                      f'.type = {IN_C[s.get("type")]}, .min = {low}, .max = {high}, '
                      f'.choices = {"choices_" + symbol(name) if choices else "NULL"}, .choice_count = {len(choices)} }};\n')
    return f'/* Made by tools/gen_admin.py from {data_name}. */\n#include "{os.path.basename(header)}"\n\n' + \
        ''.join(fields) + '\n' + ''.join(out) + f'\nconst struct admin_op admin_ops[] = {{\n{"".join(rows)}}};\n' \
        f'const unsigned admin_op_count = {len(rows)};\n\nconst str admin_openapi = {st.c_str(openapi)};\n' \
        f'const str admin_openapi_production = {st.c_str(openapi_production)};\n'


def c_header(table, data_name, path):
    guard = 'DASHBOX_' + re.sub(r'[^A-Za-z0-9]', '_', os.path.basename(path)).upper()
    jobs = sorted({s.get('job') for s in table.functions if 'job' in s.values})
    handlers = sorted({s.get('handler') for s in table.functions if 'handler' in s.values})
    return f'/* Made by tools/gen_admin.py from {data_name}. */\n#ifndef {guard}\n#define {guard}\n\n#include "api/admin/admin.h"\n\n' + \
        ''.join(f'enum err admin_job_{n}(struct admin_call *c);\n' for n in jobs) + \
        ''.join(f'SUSPENDS enum err admin_handle_{n}(struct admin_call *c);\n' for n in handlers) + \
        '\nextern const str admin_openapi, admin_openapi_production;\n\n#endif\n'


# ---- OpenAPI 3.1 ----

def schema(s, asked, nullable=False):
    kind, _, name = s.get('type').partition(':')
    low, high = bounds(s)
    out = {
        'text': {'type': 'string'},
        'int': {'type': 'integer'},
        'bool': {'type': 'boolean'},
        'choice': {'type': 'string', 'enum': s.get('choice', '').split()},
        'texts': {'type': 'array', 'items': {'type': 'string'}},
        'time': {'type': ['string', 'integer'] if asked else 'string'},
        'pairs': {'type': 'object', 'additionalProperties': {'type': 'string'}},
        'list': {'type': 'array', 'items': {'$ref': f'#/components/schemas/{name}'}},
        'object': {'$ref': f'#/components/schemas/{name}'},
    }[kind]
    if asked and 'range' in s.values:
        out |= {'minimum': low, 'maximum': high} if kind == 'int' else {'minLength': low, 'maxLength': high}
    if kind == 'time':
        out['format'] = 'date-time'
    out['description'] = s.get('doc') + (' A date and time, or milliseconds since 1970.' if kind == 'time' and asked else '')
    if nullable:
        if isinstance(out['type'], list):
            out['type'] = out['type'] + ['null']
        else:
            out['type'] = [out['type'], 'null']
        if 'enum' in out:
            out['enum'] = out['enum'] + [None]
    return out


def object_schema(s, table):
    names = s.get('fields').split()
    return {
        'type': 'object', 'description': s.get('doc'), 'additionalProperties': False,
        'required': [wire_name(n.rstrip('?')) for n in names],
        'properties': {wire_name(n.rstrip('?')): schema(table.fields[n.rstrip('?')], False, n.endswith('?')) for n in names},
        'example': json.loads(s.get('example')),
    }


def body_schema(s, table):
    names = s.get('body').split()
    required = [wire_name(n[:-1]) for n in names if n.endswith('!')]
    return {
        'type': 'object', 'additionalProperties': False, **({'required': required} if required else {}),
        'properties': {wire_name(n.rstrip('!')): schema(table.fields[n.rstrip('!')], True, not n.endswith('!')) for n in names},
    }


def answer(s, table):
    words = s.get('answer', '').split()
    if not words:
        return {'204': {'description': 'Done.'}}
    if words[-1] == 'json':
        return {'200': {'description': 'JSON.', 'content': {'application/json': {'schema': {}}}}}
    one = {'$ref': f'#/components/schemas/{words[-1]}'}
    example = json.loads(table.objects[words[-1]].get('example'))
    if words[0] == 'list':
        one = {'type': 'object', 'additionalProperties': False, 'required': ['data', 'next'], 'properties': {
            'data': {'type': 'array', 'items': one},
            'next': {'type': ['string', 'null'], 'description': 'For "after" of the next page; null: this is the last.'}}}
        example = {'data': [example], 'next': None}
    return {'200': {'description': 'Done.', 'content': {'application/json': {'schema': one, 'example': example}}}}


def operation(s, table):
    method, _, path = s.name.partition(' ')
    parameters = [{'name': n, 'in': 'path', 'required': True, 'description': table.fields[n].get('doc'),
                   'schema': {'type': 'string'}} for n in PARAMETER.findall(path)]
    query = (PAGE if s.get('answer', '').startswith('list ') else []) + s.get('query', '').split()
    for name in query:
        parameters.append({'name': wire_name(name.rstrip('!')), 'in': 'query', 'required': name.endswith('!'),
                           'description': table.fields[name.rstrip('!')].get('doc'),
                           'schema': schema(table.fields[name.rstrip('!')], True)})
    out = {'operationId': s.get('job') or s.get('handler'), 'tags': [s.get('tag')], 'summary': s.get('summary')}
    if parameters:
        out['parameters'] = parameters
    if 'body' in s.values:
        body = body_schema(s, table)
        out['requestBody'] = {'required': True, 'content': {'application/json': {'schema': body}}}
    out['responses'] = answer(s, table) | {'default': {'$ref': '#/components/responses/error'}}
    return out


def openapi(table, version, production=False):
    paths = {}
    for s in table.functions:
        if production and 'tests' in s.values:
            continue
        method, _, path = s.name.partition(' ')
        if method.lower() in paths.setdefault(path, {}):
            s.fail('is there twice')
        paths[path][method.lower()] = operation(s, table)
    error = {'type': 'object', 'required': ['error'], 'properties': {'error': {
        'type': 'object', 'required': ['code', 'message'],
        'properties': {'code': {'type': 'string'}, 'message': {'type': 'string'}}}}}
    return {
        'openapi': '3.1.0',
        'info': {'title': 'dashbox admin API', 'version': version, 'license': {'name': 'Apache-2.0'},
                 'description': 'What the administrator of a dashbox server sees and changes. The key is in the file admin-key '
                                "of the server's data folder, or the option admin.key."},
        'servers': [{'url': '/'}],
        'security': [{'admin_key': []}],
        'paths': paths,
        'components': {
            'securitySchemes': {'admin_key': {'type': 'http', 'scheme': 'bearer'}},
            'responses': {'error': {'description': 'Refused.', 'content': {'application/json': {
                'schema': {'$ref': '#/components/schemas/error'}}}}},
            'schemas': {name: object_schema(s, table) for name, s in table.objects.items()} | {'error': error},
        },
    }


# ---- the reference page ----

def doc_link(name):
    return f'[{name.replace("_", " ")}](#{name.replace("_", "-")}-object)'


def doc_type(s):
    kind, _, name = s.get('type').partition(':')
    if kind in ('list', 'object'):
        return doc_link(name) if kind == 'object' else f'list of {doc_link(name)}'
    if kind == 'choice':
        return ' \\| '.join(f'`{c}`' for c in s.get('choice').split())
    return {'int': 'number', 'bool': 'true or false', 'texts': 'list of texts', 'pairs': 'texts by name'}.get(kind, kind)


def doc_fields(names, table, where, note):
    rows = ''
    for name in names:
        s = table.fields[name.rstrip('?!')]
        more = f' {s.get("range")}' if where and 'range' in s.values else ''
        rows += f'| `{wire_name(name.rstrip("?!"))}`{where} | {doc_type(s)}{more} | {s.get("doc")}{note(name)} |\n'
    return rows


def doc_function(s, table):
    method, _, path = s.name.partition(' ')
    page = f'\n### {method} {path}\n\n{s.get("summary")}\n'
    query = (PAGE if s.get('answer', '').startswith('list ') else []) + s.get('query', '').split()
    rows = doc_fields(PARAMETER.findall(path), table, ' (path)', lambda name: '') + \
        doc_fields(query, table, ' (query)', lambda name: ' Needed.' if name.endswith('!') else '') + \
        doc_fields(s.get('body', '').split(), table, '', lambda name: ' Needed.' if name.endswith('!') else '')
    if rows:
        page += f'\n| asked | type | |\n| --- | --- | --- |\n{rows}'
    words = s.get('answer', '').split()
    if not words:
        return page + '\nAnswers 204.\n'
    if words[-1] == 'json':
        return page
    link = doc_link(words[-1])
    return page + (f'\nAnswers `{{"data": […], "next": …}}`, a page of {link}.\n' if words[0] == 'list' else f'\nAnswers: {link}.\n')


def doc(table, folder):
    page = '# Admin API\n\n`Authorization: Bearer` with the admin key: the file `admin-key` of the data folder, or the option ' \
        '`admin.key`.\nBodies are JSON; members that are not known are refused. Refusals are `{"error": {"code": …, "message": …}}`.\n' \
        'A running server describes all this itself: `GET /admin/v1/openapi.json`.\n'
    for tag in dict.fromkeys(s.get('tag') for s in table.functions):
        page += f'\n## {tag}\n' + ''.join(doc_function(s, table) for s in table.functions if s.get('tag') == tag)
    page += '\n## What is answered\n'
    for name, s in table.objects.items():
        page += f'\n### {name.replace("_", " ")} object\n\n{s.get("doc")}\n\n| member | type | |\n| --- | --- | --- |\n' + \
            doc_fields(s.get('fields').split(), table, '', lambda n: ' Or null.' if n.endswith('?') else '') + \
            f'\n```json\n{s.get("example")}\n```\n'
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, 'admin.md'), 'w', encoding='utf-8') as file:
        file.write(page)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument('--data', required=True)
    for option in ('version', 'header', 'source', 'doc'):
        parser.add_argument('--' + option)
    args = parser.parse_args()
    table = Table(args.data)
    if args.doc:
        return doc(table, args.doc)
    parts = args.data.split('/')
    data_name = '/'.join(parts[parts.index('data'):]) if 'data' in parts else args.data
    descriptions = [json.dumps(openapi(table, args.version, production), ensure_ascii=False, separators=(',', ':'))
                    for production in (False, True)]
    with open(args.header, 'w', encoding='utf-8') as file:
        file.write(c_header(table, data_name, args.header))
    with open(args.source, 'w', encoding='utf-8') as file:
        file.write(c_source(table, data_name, args.header, *descriptions))


st.run(main)
