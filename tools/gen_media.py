#!/usr/bin/env python3
"""gen_media.py - data/media/*.txt → the tables of contract/media_service.h.

    gen_media.py --data DIR --errors DIR --models FILE --source C --depfile D

The format is described at the head of data/media/image.txt. Bad data is refused with file:line and status 1.
"""

import argparse
import copy
import glob
import os
import re
import shlex
import sys

sys.dont_write_bytecode = True
import stanza as st  # noqa: E402

RANGE = re.compile(r'([\[(])\s*([^,\s]*)\s*,\s*([^,\s]*)\s*([\])])$')
REFUSALS = ('missing', 'type.error', 'range.error', 'count.error')
FAULTS = ('download', 'url', 'refused', 'timeout', 'denied', 'gone', 'unknown', 'unreadable', 'format', 'bytes', 'sides', 'pixels', 'ratio',
          'seconds', 'fps', 'codec', 'alpha', 'dark', 'content_type', 'no_length')
FAULT_NAMES = {'seconds': 'DURATION'}
RANGES = ('bytes', 'sides', 'pixels', 'ratio', 'seconds', 'fps', 'brightness')
TYPES = ('text', 'int', 'num', 'bool', 'choice', 'size', 'list', 'object', 'any', 'box', 'image', 'video', 'audio', 'visual')
ROLES = ('prompt', 'negative', 'count', 'seed', 'size', 'tier', 'ratio', 'duration', 'fps', 'watermark', 'extend', 'sound', 'side', 'box',
         'template', 'asked_ratio', 'lengthen', 'threshold', 'garments')
LENGTHS = ('video', 'sound', 'shorter', 'template')
PEOPLE = set()  # the lists of data/people.txt
MEMBER_KEYS = {'leads', 'beside', 'joined', 'same_count', 'content_types', 'length_needed', 'same_size', 'same_size.error', 'type', 'is', 'required', 'as', 'default', 'range', 'choice', 'length', 'count', 'formats', 'codecs', 'alpha', 'unread',
               'people', 'people.if', 'match', 'match.error', 'says',
               *REFUSALS, *RANGES, *(fault + '.error' for fault in FAULTS)}
LOOK_KEYS = {'patch', 'pixels_max', 'pixels_min', 'audio_tokens', 'video_pixels', 'video_total'}
SERVICE_KEYS = {*LOOK_KEYS, 'case', 'at_most', 'floor', 'sound', 'keep_sound', 'seconds_max', 'together', 'together.count', 'media.error', 'one_of', 'one_of.error', 'like', 'models', 'path', 'mode', 'body', 'parameters', 'output', 'usage', 'render', 'file', 'watermark', 'size',
                'refused', 'reason', 'area', 'length', 'follow', 'short_side', 'exact', 'multiple', 'tiers', 'fps', 'seconds', 'without', 'failed', 'unstored', 'moderated', 'messages.missing', 'messages.count', 'content.count',
                'part.wrong', *REFUSALS, *(fault + '.error' for fault in FAULTS)}


class Rows:
    """The rows of data/errors by name, with the names of their arguments."""

    def __init__(self, folder, files):
        self.args = {}
        for path in sorted(glob.glob(os.path.join(folder, '*.txt'))):
            files.append(path)
            with open(path, encoding='utf-8') as file:
                name = None
                for line in file:
                    words = line.split()
                    if line.startswith('error ') and len(words) == 2:
                        name = words[1]
                        self.args[name] = []
                    elif name and line.startswith('args'):
                        self.args[name] = [word.split(':')[0] for word in words[1:]]


def refusal_c(s, key, text, rows):
    """NAME word=value …"""
    if text is None:
        return '{ .set = false }'
    try:
        words = shlex.split(text)
    except ValueError:
        s.fail('broken quotes', key)
    name, args = words[0], []
    if name not in rows.args:
        s.fail(f'no row of data/errors is called {name}', key)
    for word in words[1:]:
        arg, sep, value = word.partition('=')
        if not sep or arg not in rows.args[name]:
            s.fail(f'"{word}" is no argument of {name}', key)
        args.append(f'{{ {st.c_str(arg)}, {st.c_str(value)} }}')
    if len(args) > 3:
        s.fail('more than three arguments', key)
    listed = f', .arg_count = {len(args)}, .args = {{ {", ".join(args)} }}' if args else ''
    return f'{{ .error = ERROR_{name}, .set = true{listed} }}'


def range_c(s, key):
    text = s.get(key)
    if text is None:
        return '{ .set = false }'
    match = RANGE.match(text)
    if not match:
        s.fail('must be [a, b], with ( or ) for an open bound', key)
    low_open, low, high, high_open = match.groups()
    for number in (low, high):
        if number and not re.match(r'-?[0-9.]+$', number):
            s.fail(f'"{number}" is no number', key)
    fields = ['.set = true', f'.low = {low or "-HUGE_VAL"}', f'.high = {high or "HUGE_VAL"}']
    if low_open == '(':
        fields.append('.low_open = true')
    if high_open == ')':
        fields.append('.high_open = true')
    return '{ ' + ', '.join(fields) + ' }'


def whole_range(s, key):
    match = RANGE.match(s.get(key, ''))
    if not match or not match[2].isdigit() or not match[3].isdigit():
        s.fail('must be [a, b] of whole numbers', key)
    return match[2], match[3]


class Service:
    def __init__(self, s):
        self.s, self.members = s, []

    def at(self, s, key, path):
        """Which member that is."""
        found = [i for i, m in enumerate(self.members) if m.name == path]
        if not found:
            s.fail(f'there is no member {path}', key)
        return found[0]


def read_services(folder, files):
    services, tables = {}, {}
    for path in sorted(glob.glob(os.path.join(folder, '*.txt'))):
        files.append(path)
        current = None
        for s in st.read_file(path, {'service', 'member', 'sizes'}):
            if s.kind == 'sizes':
                tables[s.name] = s
            elif s.kind == 'service':
                s.only(SERVICE_KEYS | {key for key in s.values if key.startswith('render.')})
                if s.name in services:
                    s.fail('is there twice')
                current = services[s.name] = Service(s)
                base = s.get('like')
                if base is None:
                    continue
                if base not in services:
                    s.fail(f'there is no service {base} before it', 'like')
                without = s.get('without', '').split()
                for key, value in services[base].s.values.items():
                    if key not in ('like', 'models', 'without'):
                        s.values.setdefault(key, value)
                current.members = [copy.copy(m) for m in services[base].members if m.name not in without]
            elif current is None:
                s.fail('stands before any service')
            else:
                s.only(MEMBER_KEYS)
                same = [i for i, m in enumerate(current.members) if m.name == s.name]
                if same:  # of the service that this one is like
                    base = current.members[same[0]]
                    merged = copy.copy(s)
                    merged.values = {**base.values, **s.values}
                    current.members[same[0]] = merged
                else:
                    current.members.append(s)
    return services, tables


def member_c(service, s, rows, out, symbol):
    kind = s.need('type')
    if kind not in TYPES:
        s.fail(f'unknown type "{kind}"', 'type')
    is_file = kind in ('image', 'video', 'audio', 'visual')
    role = s.get('is')
    if role is not None and role not in ROLES:
        s.fail(f'unknown role "{role}"', 'is')

    def refusal(key):
        own = s.get(key)
        return refusal_c(s if own else service.s, key, own or service.s.get(key), rows)

    fields = [f'.path = {st.c_str(s.name)}', f'.name = {st.c_str(s.name.rpartition(".")[2])}',
              f'.type = MEDIA_{"FILE" if is_file else kind.upper()}']
    if role:
        fields.append(f'.role = MEDIA_ROLE_{role.upper()}')
    if s.get('required') == 'yes':
        fields.append('.required = true')
    if s.get('length_needed') == 'yes':
        fields.append('.length_needed = true')
    if s.get('unread') == 'yes':
        fields.append('.unread = true')
    if 'count' in s.values:
        fields.append('.array = true')
    if s.get('unread') == 'rest':
        fields.append('.first_only = true')
    for key in ('leads', 'beside', 'joined'):
        if s.get(key) == 'yes':
            fields.append(f'.{key} = true')
    if 'same_count' in s.values:
        fields.append(f'.same_count = {service.at(s, "same_count", s.get("same_count")) + 1}')
    if 'same_size' in s.values:
        at = [i for i, m in enumerate(service.members) if m.name == s.get('same_size')]
        if not at:
            s.fail('there is no such member', 'same_size')
        fields.append(f'.same_size = {at[0] + 1}, .other_size = {refusal_c(s, "same_size.error", s.get("same_size.error"), rows)}')
    for key in ('people', 'people.if', 'match'):
        if key in s.values:
            fields.append(f'.{key.replace(".", "_")} = {st.c_str(s.get(key))}')
    if 'people' in s.values and s.get('people') not in PEOPLE:
        s.fail('there is no such list in data/people.txt', 'people')
    if 'match.error' in s.values:
        fields.append(f'.mismatch = {refusal_c(s, "match.error", s.get("match.error"), rows)}')
    if 'as' in s.values:
        fields.append(f'.as = {st.c_str(s.get("as"))}')
    if 'default' in s.values:
        fields.append(f'.default_text = {st.c_str(s.get("default"))}')
    if 'range' in s.values:
        fields.append(f'.range = {range_c(s, "range")}')
    if 'length' in s.values:
        fields.append(f'.length_max = {int(s.get("length"))}')
    low, high = whole_range(s, 'count') if 'count' in s.values else ('0', '1')
    fields.append(f'.count_min = {low}, .count_max = {high}')
    for key, field in (('choice', 'choice'), ('formats', 'format'), ('codecs', 'codec'), ('content_types', 'content_type')):
        words = shlex.split(s.get(key, ''))
        if words:
            name = f'{symbol}_{field}s'
            out.append(f'static const str {name}[] = {{ {", ".join(st.c_str(w) for w in words)} }};\n')
            fields.append(f'.{field}s = {name}, .{field}_count = {len(words)}')
    says = shlex.split(s.get('says', ''))
    if says:
        if len(says) != len(shlex.split(s.get('choice', ''))):
            s.fail('one word for each choice', 'says')
        out.append(f'static const str {symbol}_says[] = {{ {", ".join(st.c_str(w) for w in says)} }};\n')
        fields.append(f'.said = {symbol}_says')
    if kind == 'choice' and 'choice' not in s.values:
        s.fail('a choice of nothing')
    for key, field in zip(REFUSALS, ('missing', 'wrong_type', 'out_of_range', 'wrong_count')):
        fields.append(f'.{field} = {refusal(key)}')
    for key in RANGES:
        if key in s.values:
            fields.append(f'.{key} = {range_c(s, key)}')
    if is_file:
        fields.append(f'.kind = MEDIA_{"UNKNOWN" if kind == "visual" else kind.upper()}')
        alpha = {None: 0, 'required': 1, 'forbidden': -1}.get(s.get('alpha'))
        if alpha is None:
            s.fail('must be "required" or "forbidden"', 'alpha')
        if alpha:
            fields.append(f'.alpha = {alpha}')
        faults = [f'[MEDIA_FAULT_{FAULT_NAMES.get(f, f.upper())}] = {refusal(f + ".error")}' for f in FAULTS
                  if s.get(f + '.error') or service.s.get(f + '.error')]
        if faults:
            fields.append('.faults = { ' + ', '.join(faults) + ' }')
    return '    { ' + ', '.join(fields) + ' },\n'


def size_c(s, key):
    match = re.match(r'([0-9]+)\*([0-9]+)$', s.get(key))
    if not match:
        s.fail('must be W*H', key)
    return match.groups()


def table_c(s, out, symbol):
    """Keys are "tier.720p", values "16:9=1280*720 9:16=…"; what has no ratio stands alone."""
    rows = []
    for key, text in s.values.items():
        if not key.startswith('tier.'):
            s.fail('must be tier.NAME', key)
        tier = key[5:]
        for word in text.split():
            ratio, _, size = word.rpartition('=')
            match = re.match(r'([0-9]+)\*([0-9]+)$', size)
            if not match:
                s.fail(f'"{word}" is no ratio=W*H', key)
            rows.append(f'    {{ {st.c_str(tier.upper())}, {st.c_str(ratio)}, {match[1]}, {match[2]} }},\n')
    out.append(f'static const struct media_tier {symbol}[] = {{\n{"".join(rows)}}};\n')


def service_c(service, tables, rows, out):
    s = service.s
    symbol = 'media_' + re.sub(r'[^a-z0-9]', '_', s.name.lower())
    if len(service.members) > 40:
        s.fail('more than 40 members')
    lines = [member_c(service, m, rows, out, f'{symbol}_{i}') for i, m in enumerate(service.members)]
    out.append(f'static const struct media_member {symbol}_members[] = {{\n{"".join(lines)}}};\n\n')
    mode, body = s.need('mode'), s.get('body', 'input')
    if mode not in ('sync', 'async', 'either', 'look'):
        s.fail('must be sync, async, either or look', 'mode')
    if body not in ('input', 'messages'):
        s.fail('must be input or messages', 'body')
    fields = [f'.name = {st.c_str(s.name)}', f'.models = {st.c_str(s.need("models"))}', f'.path = {"MODEL_PATH_COUNT" if mode == "look" else "MODEL_PATH_" + s.need("path").upper()}',
              f'.mode = MEDIA_{mode.upper()}', f'.partial = {"true" if chr(34) + "results" + chr(34) + ":[<" in (s.get("output") or "") else "false"}', f'.body = MEDIA_BODY_{body.upper()}', f'.output = {st.c_str("" if mode == "look" else s.need("output"))}',
              f'.usage = {st.c_str(s.get("usage", ""))}', f'.render = {st.c_str(s.get("render", ""))}',
              f'.file = {st.c_str(s.get("file", "png"))}', f'.watermark = {st.c_str(s.get("watermark", ""))}',
              f'.members = {symbol}_members, .member_count = {len(lines)}']
    if s.get('parameters') == 'required':
        fields.append('.parameters_required = true')
    for key in ('refused', 'reason'):
        if key in s.values:
            fields.append(f'.{key} = {st.c_str(s.get(key))}')
    if 'area' in s.values:
        fields.append(f'.area = {float(s.get("area"))}')
    if 'length' in s.values:
        if s.get('length') not in LENGTHS:
            s.fail('must be ' + ' '.join(LENGTHS), 'length')
        fields.append(f'.length = MEDIA_LENGTH_{s.get("length").upper()}')
    if 'size' in s.values:
        width, height = size_c(s, 'size')
        fields.append(f'.size_width = {width}, .size_height = {height}')
    if 'follow' in s.values:
        fields.append(f'.follow_pixels = {int(s.get("follow"))}')
    if 'short_side' in s.values:
        fields.append(f'.short_side = {int(s.get("short_side"))}')
    if s.get('exact') == 'yes':
        fields.append('.exact = true')
    fields.append(f'.multiple = {int(s.get("multiple", "1"))}')
    for key in ('floor', 'sound', 'keep_sound'):
        if s.get(key) == 'yes':
            fields.append(f'.{key} = true')
    if 'case' in s.values:
        path, sep, value = s.get('case').partition('=')
        if not sep:
            s.fail('must be PATH=VALUE', 'case')
        fields.append(f'.case_path = {st.c_str(path)}, .case_value = {st.c_str(value)}')
    if 'together' in s.values:
        bits = sum(1 << service.at(s, 'together', path) for path in s.get('together').split())
        low, high = whole_range(s, 'together.count')
        fields.append(f'.together = UINT64_C({bits}), .together_min = {low}, .together_max = {high}')
    for key in ('fps', 'seconds', 'seconds_max', 'at_most'):
        if key in s.values:
            fields.append(f'.{key} = {int(s.get(key))}')
    for key in sorted(LOOK_KEYS):
        if key in s.values:
            fields.append(f'.{key} = {float(s.get(key))}')
    if 'one_of' in s.values:
        bits = 0
        for path in s.get('one_of').split():
            at = [i for i, m in enumerate(service.members) if m.name == path]
            if not at:
                s.fail(f'there is no member {path}', 'one_of')
            bits |= 1 << at[0]
        fields.append(f'.one_of = UINT64_C({bits}), .none_of = {refusal_c(s, "one_of.error", s.get("one_of.error"), rows)}')
    by = s.get('render.by')
    if by:
        ways = [f'{{ {st.c_str(key[7:])}, {st.c_str(text)} }}' for key, text in s.values.items() if key.startswith('render.') and key != 'render.by']
        out.append(f'static const struct media_way {symbol}_ways[] = {{ {", ".join(ways)} }};\n')
        decides = '.by_media = true' if by == 'media' else f'.by = {service.at(s, "render.by", by)}'
        fields.append(f'{decides}, .ways = {symbol}_ways, .way_count = {len(ways)}')
    if 'tiers' in s.values:
        if s.get('tiers') not in tables:
            s.fail('there is no such table of sizes', 'tiers')
        fields.append(f'.tiers = sizes_{s.get("tiers")}, .tier_count = ARRAY_LEN(sizes_{s.get("tiers")})')
    for key, field in (('messages.missing', 'messages_missing'), ('messages.count', 'messages_count'), ('content.count', 'content_count'),
                       ('part.wrong', 'part_wrong'), ('media.error', 'media_wrong'), ('failed', 'failed'), ('unstored', 'unstored'), ('moderated', 'moderated')):
        fields.append(f'.{field} = {refusal_c(s, key, s.get(key), rows)}')
    return '    {\n        ' + ',\n        '.join(fields) + ',\n    },\n'


def main():
    parser = argparse.ArgumentParser()
    for name in ('data', 'errors', 'source', 'depfile'):
        parser.add_argument('--' + name, required=True)
    args = parser.parse_args()
    files = []
    people = os.path.join(os.path.dirname(args.data), 'people.txt')
    files.append(people)
    PEOPLE.update(s.name for s in st.read_file(people, {'seen', 'people'}) if s.kind == 'people')
    services, tables = read_services(args.data, files)
    rows = Rows(args.errors, files)
    out = ['/* Made by tools/gen_media.py from data/media. */\n#include "contract/media_service.h"\n\n#include <math.h>\n\n']
    for name, s in tables.items():
        table_c(s, out, f'sizes_{name}')
    listed = [service_c(service, tables, rows, out) for service in services.values()]
    out.append(f'const struct media_service media_services[] = {{\n{"".join(listed)}}};\n')
    out.append('const unsigned media_service_count = ARRAY_LEN(media_services);\n')
    with open(args.source, 'w', encoding='utf-8') as file:
        file.write(''.join(out))
    st.write_depfile(args.depfile, args.source, files)


st.run(main)
