#!/usr/bin/env python3
"""gen_models.py - data/models → the C table of models, its index, and the reference page.

    gen_models.py --data data/models --header models.gen.h --source models.gen.c [--depfile F] [--doc DIR]

Each output is optional. The format is described at the head of data/models/paths.txt. Bad data is refused with
file:line and status 1.
"""

import argparse
import fnmatch
import os
import re
import sys

sys.dont_write_bytecode = True
import stanza as st  # noqa: E402

# key → (member, {word: constant})
CHOICES = {
    'status': ('status', {'active': 'MODEL_ACTIVE', 'retiring': 'MODEL_RETIRING', 'named': 'MODEL_NAMED',
                          'retired': 'MODEL_RETIRED'}),
    'thinking': ('thinking', {'none': 'MODEL_THINKING_NONE', 'hybrid': 'MODEL_THINKING_HYBRID',
                              'only': 'MODEL_THINKING_ONLY'}),
    'stream_only': ('stream_only', {'thinking': 'MODEL_STREAM_THINKING', 'yes': 'MODEL_STREAM_ONLY',
                                    'breaks': 'MODEL_STREAM_BREAKS'}),
    'incremental': ('incremental', {'default': 'MODEL_INCREMENTAL_ON', 'only': 'MODEL_INCREMENTAL_ONLY',
                                    'never': 'MODEL_INCREMENTAL_NEVER'}),
    'result': ('result', {'message': 'MODEL_RESULT_MESSAGE', 'always': 'MODEL_RESULT_ALWAYS'}),
    'content': ('content', {'string': 'MODEL_CONTENT_STRING', 'preprocess': 'MODEL_CONTENT_PREPROCESS'}),
    'media': ('media', {'single': 'MODEL_MEDIA_SINGLE', 'one_audio': 'MODEL_MEDIA_ONE_AUDIO'}),
    'voice_refusal': ('voice_refusal', {'other': 'MODEL_VOICE_OTHER'}),
    'languages': ('languages', {'lite': 'MODEL_LANGUAGES_LITE'}),
    'failure': ('failure', {'computation': 'MODEL_FAILURE_COMPUTATION'}),
    'contents': ('contents', {'payload': 'MODEL_CONTENTS_PAYLOAD'}),
    'usage': ('usage', {'media': 'MODEL_USAGE_MEDIA', 'flat': 'MODEL_USAGE_FLAT'}),
    'vectors': ('vectors', {'fused': 'MODEL_VECTORS_FUSED', 'either': 'MODEL_VECTORS_EITHER',
                            'object': 'MODEL_VECTORS_OBJECT'}),
    'max_tokens': ('max_tokens', {'all': 'MODEL_MAX_TOKENS_ALL', 'unbudgeted': 'MODEL_MAX_TOKENS_UNBUDGETED',
                                  'above': 'MODEL_MAX_TOKENS_ABOVE'}),
}
REGIONS = {'cn': 'MODEL_CN', 'global': 'MODEL_GLOBAL', 'intl': 'MODEL_INTL', 'us': 'MODEL_US', 'eu': 'MODEL_EU'}
MODALITIES = {'text': 'MODEL_TEXT', 'image': 'MODEL_IMAGE', 'video': 'MODEL_VIDEO', 'audio': 'MODEL_AUDIO',
              'vector': 'MODEL_VECTOR', 'scores': 'MODEL_SCORES', 'json': 'MODEL_JSON', '3d': 'MODEL_3D',
              'template': 'MODEL_TEMPLATE', 'resource': 'MODEL_RESOURCE'}
BITS = {
    'call': ('calls', {'sync': 'MODEL_CALL_SYNC', 'sse': 'MODEL_CALL_SSE', 'async': 'MODEL_CALL_ASYNC',
                       'run-task': 'MODEL_CALL_RUN_TASK', 'realtime': 'MODEL_CALL_REALTIME'}),
    'in': ('in', MODALITIES), 'out': ('out', MODALITIES), 'regions': ('regions', REGIONS), 'batch': ('batch', REGIONS),
}
NUMBERS = {'context': 'context', 'input': 'input_max', 'output': 'output_max', 'budget': 'budget_max', 'rpm': 'rpm',
           'tpm': 'tpm', 'rps': 'rps', 'rpm.intl': 'rpm_intl', 'tpm.intl': 'tpm_intl', 'rps.intl': 'rps_intl',
           'rows': 'rows_max', 'tokens': 'tokens_max', 'images': 'images_max', 'videos': 'videos_max'}
THINKING_NUMBERS = {'input.thinking': ('input_max_thinking', 'input'),
                    'output.thinking': ('output_max_thinking', 'output')}
TEXTS = ('family', 'provider', 'equals', 'offline', 'effort', 'audio_voices')
ABILITIES = ('tools', 'required', 'search', 'json', 'json_thinking', 'partial', 'cache', 'logprobs', 'logit_bias', 'code', 'mixed',
             'tool_stream', 'sparse', 'terms')
# Whose answers are sampled from text.
SAMPLED = {'chat', 'vision-chat', 'audio-chat', 'document-chat', 'ocr-vision', 'omni', 'translation'}
# Published, and for people only.
FACTS = ('sampling', 'sampling.thinking', 'voices', 'price.cn', 'price.intl', 'price.usd', 'price.global', 'price.us', 'price.eu', 'price.unit', 'free',
         'concurrency', 'concurrency.intl', 'window', 'limits.global', 'limits.us', 'limits.eu', 'notes')
# "50 req/6s; 1000000 total_tokens/60s; running<=5, queued<=500" → what the unit counts in
WINDOW_UNITS = {'req': 'window_requests', 'total_tokens': 'window_tokens', 'tokens': 'window_tokens',
                'total_usage': 'window_tokens', 'output_tokens': 'window_tokens', 'characters': 'window_tokens'}
TASK_LIMITS = {'running': 'tasks_running_max', 'queued': 'tasks_queued_max'}
# key → members, in the order of the numbers
PIXELS = {'image_pixels': ('image_pixels_min', 'image_pixels_max'),
          'video_pixels': ('video_pixels_min', 'video_pixels_max', 'video_total_pixels_max')}
# price region → the fact with its list in its own currency; models.md §4
PRICES = {'PRICE_CN': 'price.cn', 'PRICE_INTL': 'price.usd'}
KEYS = {'task', 'cached', 'default', 'can', 'paths', 'frames', 'effort.budget', 'dimensions', 'speech_rate', *PIXELS,
        *CHOICES, *BITS, *NUMBERS, *THINKING_NUMBERS, *TEXTS, *FACTS[2:]}


PRICE_PARTS = {'input_token': ['IN'], 'text_input_token': ['IN'], 'embedding_token': ['IN'], 'text': ['IN'],
               'embedding_image_token': ['IN_IMAGE'], 'image,video': ['IN_IMAGE'],
               'output_token': ['OUT'], 'qwen_tts_multi_output_token': ['OUT_AUDIO'],
               'translate_audio_input_token': ['IN_AUDIO'], 'translate_vision_input_token': ['IN_IMAGE'],
               'translate_multi_text_output_token': ['OUT'], 'translate_multi_output_token': ['OUT_AUDIO']}
PRICE_TUPLES = {1: ['IN'], 2: ['IN', 'OUT'], 3: ['IN', 'OUT', 'OUT_THINKING'], 4: ['IN', 'IN_AUDIO', 'OUT', 'OUT_AUDIO'],
                6: ['IN', 'IN_AUDIO', 'IN_IMAGE', 'OUT', 'OUT_MULTIMODAL', 'OUT_AUDIO']}
PRICE_TUPLES_TASK = {('embedding-multimodal', 2): ['IN', 'IN_IMAGE'],
                     ('speech-translation-realtime', 4): ['IN_AUDIO', 'IN_IMAGE', 'OUT', 'OUT_AUDIO']}
PRICE_UNITS = {'1M tokens': 'TOKENS', '10K chars': 'CHARS', 's': 'SECONDS', 'image': 'IMAGES', 'call': 'CALLS'}
FREE_UNITS = {'tokens': 'TOKENS', 'chars': 'CHARS', 's': 'SECONDS', 'images': 'IMAGES', 'jobs': 'CALLS'}
SCALE = {'': 1, 'K': 1000, 'M': 1000000}
NUMBER = r'[0-9]+(?:\.[0-9]+)?'


def constant(prefix, word):
    return prefix + re.sub(r'[^A-Z0-9]', '_', word.upper())


def choice(s, key, words):
    value = s.get(key)
    if value is not None and value not in words:
        s.fail(f'"{key}" must be one of: {" ".join(words)}', key)
    return value


def word_list(s, key, words):
    values = s.get(key, '').split()
    for value in values:
        if value not in words:
            s.fail(f'"{key}": "{value}" is none of: {" ".join(words)}', key)
    return values


def number(s, key):
    value = s.get(key)
    if value is None:
        return 0
    if not re.match(r'[0-9]{1,15}$', value):
        s.fail(f'"{key}" must be a number', key)
    return int(value)


def frame_numbers(s):
    """["4", "80", "narrow"?], or None."""
    value = s.get('frames')
    if value is None:
        return None
    if not re.match(r'[0-9]{1,9} [0-9]{1,9}( narrow)?$', value):
        s.fail('"frames" must be two numbers, and "narrow" or nothing', 'frames')
    return value.split()


def dimensions(s):
    """["1024", "2048", …], the default first."""
    values = s.get('dimensions', '').split()
    if any(not re.match(r'[1-9][0-9]{0,4}$', v) for v in values):
        s.fail('"dimensions" must be numbers', 'dimensions')
    return values
def pixel_numbers(s, key):
    numbers = s.get(key, '').split()
    if numbers and (len(numbers) != len(PIXELS[key]) or not all(re.match(r'[1-9][0-9]{0,9}$', n) for n in numbers)):
        s.fail(f'"{key}" must be {len(PIXELS[key])} numbers', key)
    return numbers


def speech_mtokens(s):
    """Thousandths of a token a second; 0 when it does not speak."""
    match = re.match(r'([0-9]{1,4})(?:\.([0-9]{1,3}))?$', s.get('speech_rate', '0'))
    if not match:
        s.fail('"speech_rate" must be a number such as 12.5', 'speech_rate')
    return int(match[1]) * 1000 + int((match[2] or '').ljust(3, '0'))


def windows(s):
    """The members that the published windows come to: {member: C value}."""
    found = {}
    for part in re.split(r'[;,] *', s.get('window', '')) if s.get('window') else ():
        window = re.match(r'([1-9][0-9]{0,14}) ([a-z_]+)/([1-9][0-9]{0,5})s$', part)
        task = re.match(r'([a-z]+)<=([1-9][0-9]{0,8})$', part)
        if window and window[2] in WINDOW_UNITS:
            member, value = WINDOW_UNITS[window[2]], f'{{ {window[1]}, {window[3]}000 }}'
        elif task and task[1] in TASK_LIMITS:
            member, value = TASK_LIMITS[task[1]], task[2]
        else:
            s.fail(f'"window": "{part}" is no window', 'window')
        if member in found:
            s.fail('"window": two of one kind', 'window')
        found[member] = value
    return found


def read_all(folder):
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith('.txt'))
    paths, found, by_id, lists, samplings, groups = {}, [], {}, {}, [], {}
    for file in files:
        for s in st.read_file(file, ['model', 'path', 'list', 'sampling', 'group']):
            if s.kind == 'list':
                s.only({'created', 'owned_by'})
                s.need('created')
                lists[s.name] = (number(s, 'created'), s.need('owned_by'))
                continue
            if s.kind == 'sampling':
                s.only({'mode', 'models', 'values'})
                choice(s, 'mode', ('thinking',))
                s.need('models'), s.need('values')
                samplings.append(s)
                continue
            if s.kind == 'group':
                s.only({'models'})
                groups[s.name] = s.need('models').split()
                continue
            if s.kind == 'path':
                s.only({'url'})
                if s.name in paths:
                    s.fail('is there twice')
                paths[s.name] = s.need('url')
                continue
            if not re.match(r'[A-Za-z0-9][A-Za-z0-9._/-]*$', s.name):
                s.fail('the id has a strange character')
            if s.name in by_id:
                s.fail(f'is there twice: {by_id[s.name].path}:{by_id[s.name].line}')
            by_id[s.name] = s
            found.append(s)
    found.sort(key=lambda s: s.name.encode())
    if len(paths) > 64:
        raise st.BadData(f'{folder}: more than 64 paths')
    for s in found:
        check(s, paths, by_id)
    if set(groups) != {'partial_answer'}:
        raise st.BadData(f'{folder}: there is one group, partial_answer')
    for s in found:
        s.partial_answer = s.get('in') == 'text' and any(fnmatch.fnmatchcase(s.name, p) for p in groups['partial_answer'])
    sample(found, samplings)
    if set(lists) != {'openai'}:
        raise st.BadData(f'{folder}: there is one list, openai')
    return paths, found, lists, files


def sample(found, samplings):
    """Gives each model the sampling defaults of the first stanza whose pattern fits, for each mode that the model has."""
    used = set()
    for s in found:
        thinking = s.get('thinking', 'none')
        if s.get('task') not in SAMPLED:
            continue
        for fact, mode, has in (('sampling', None, thinking != 'only'), ('sampling.thinking', 'thinking', thinking != 'none')):
            for sampling in samplings if has else ():
                fits = [p for p in sampling.get('models').split() if fnmatch.fnmatchcase(s.name, p)]
                if sampling.get('mode') == mode and fits:
                    s.values[fact] = sampling.get('values')
                    used.update((sampling.name, p) for p in fits)
                    break
    for sampling in samplings:
        for pattern in sampling.get('models').split():
            if (sampling.name, pattern) not in used:
                sampling.fail(f'"models": {pattern} fits no model, or only ones that an earlier stanza has', 'models')


def effort_budgets(s):
    """The tokens of thinking that each word of "effort" means; [] when nobody tells."""
    budgets = s.get('effort.budget', '').split()
    if budgets and (len(budgets) != len(s.get('effort', '').split()) or not all(re.match(r'[0-9]{1,9}$', b) for b in budgets)):
        s.fail('"effort.budget" must be a number for each word of "effort"', 'effort.budget')
    if len(budgets) > 8:
        s.fail('"effort.budget": more than 8 words', 'effort.budget')
    return budgets


def check(s, paths, by_id):
    s.only(KEYS)
    s.need('task')
    s.need('status')
    for key, (_, words) in CHOICES.items():
        choice(s, key, words)
    for key, (_, words) in BITS.items():
        word_list(s, key, words)
    word_list(s, 'can', ABILITIES)
    word_list(s, 'paths', paths)
    for key in (*NUMBERS, *THINKING_NUMBERS):
        number(s, key)
    for key in ('input', 'input.thinking', 'output', 'output.thinking'):
        if s.get('context') and s.get(key) and int(s.get(key)) > int(s.get('context')):
            s.fail(f'"{key}" is more than "context"', key)
    frame_numbers(s)
    dimensions(s)
    effort_budgets(s)
    for key in PIXELS:
        pixel_numbers(s, key)
    speech_mtokens(s)
    windows(s)
    default = choice(s, 'default', ('on', 'off'))
    for key in PRICES.values():
        price(s, key)
    free_quota(s)
    cached_permille(s)
    if (default is not None) != (s.get('thinking') == 'hybrid'):
        s.fail('"default" belongs to thinking hybrid, and only there', 'default')
    equals = s.get('equals')
    if equals is not None and equals not in by_id:
        s.fail(f'equals {equals}, which is no model', 'equals')


def millionths(s, key, text):
    whole, _, places = text.partition('.')
    if len(places) > 6:
        s.fail(f'"{key}": {text} has more than six places', key)
    return int(whole + places.ljust(6, '0'))


def token_row(s, key, text):
    """"0<t<=128K: 9/54", "<=32K 0.2/1.6", "2/6": → (upto, amounts by part). A K of tokens is 1024."""
    match = re.match(rf'(?:(?:(?:0|[0-9]+[KM])<t)?<=([0-9]+)([KM])[: ] *)?({NUMBER}(?:/{NUMBER})*)(?: \(output free\))?$', text)
    if not match:
        s.fail(f'"{key}": cannot read "{text}"', key)
    values = match[3].split('/')
    parts = PRICE_TUPLES_TASK.get((s.get('task'), len(values))) or PRICE_TUPLES.get(len(values))
    if not parts:
        s.fail(f'"{key}": {len(values)} prices in "{text}"', key)
    upto = int(match[1]) * {'K': 1024, 'M': 1024 * 1024}[match[2]] if match[1] else 0
    return upto, '', dict(zip(parts, (millionths(s, key, v) for v in values)))


def price(s, key):
    """A price fact → (unit, rows of (upto, when, {part: millionths})); None when there is none."""
    text = s.get(key)
    if text is None:
        return None
    text = re.sub(r'^(hybrid|non-thinking|thinking-only|flat)( flat)?:? ', '', text.removeprefix('~'))
    unit = s.get('price.unit', '').removeprefix('per ')
    if unit and unit not in PRICE_UNITS:
        s.fail(f'"price.unit": per what? {" ".join(PRICE_UNITS)}', 'price.unit')
    rows, named = [], {}
    for part in re.split(r'[;,] ', text):
        # "720P: 0.6/s", "video_ratio 0.08/s", "0.10 per 10K chars", "<=125: 0.275" after a row that had the unit
        match = re.match(rf'(?:(.*?):? )?({NUMBER})(?:(?:/| per )(1M tokens|10K chars|s|image|call))?(?: \((.*)\))?$', part)
        if match and match[3] == '1M tokens':
            if match[1] not in PRICE_PARTS:
                s.fail(f'"{key}": what is "{match[1]}"?', key)
            named.update({p: millionths(s, key, match[2]) for p in PRICE_PARTS[match[1]]})
        elif match and match[1] in PRICE_PARTS:
            named.update({p: millionths(s, key, match[2]) for p in PRICE_PARTS[match[1]]})
        elif match and (match[3] or rows and rows[-1][1] or unit not in ('', '1M tokens')):
            unit = match[3] or unit
            comment = match[4] if match[4] != 'output free' else None
            rows.append((0, match[1] or comment or '', {'IN': millionths(s, key, match[2])}))
        elif unit == '1M tokens' or '/' in part:
            rows.append(token_row(s, key, part))
            unit = unit or '1M tokens'
        else:
            s.fail(f'"{key}": "{part}" of what? (price.unit)', key)
    if named:
        rows, unit = [*rows, (0, '', named)], '1M tokens'
    uptos = [row[0] for row in rows]
    if unit == '1M tokens':
        if uptos != sorted(set(uptos)) or len(rows) > 1 and not uptos[0]:
            s.fail(f'"{key}": its tiers do not rise', key)
        for _, _, amounts in rows:
            for missing, same in (('OUT_THINKING', 'OUT'), ('OUT_MULTIMODAL', 'OUT'), ('IN_IMAGE', 'IN')):
                if same in amounts:
                    amounts.setdefault(missing, amounts[same])
    return PRICE_UNITS[unit], rows


def free_quota(s):
    """ "1M tokens/90 d", "36,000 s (10 h), renewed monthly" → members of struct price_free; "" for none."""
    text = s.get('free', 'none')
    if text == 'none':
        return ''
    match = re.match(r'([0-9,]+)([KM]?) (tokens|chars|s|images|jobs)(?: \(.*\))?(?:/([0-9]+) d|, renewed (monthly))(?: \(.*\))?$', text)
    if not match:
        s.fail(f'"free": cannot read "{text}"', 'free')
    amount = int(match[1].replace(',', '')) * SCALE[match[2]]
    until = '.monthly = true' if match[5] else f'.valid_days = {match[4]}'
    return f'{{ .unit = PRICE_{FREE_UNITS[match[3]]}, .amount = {amount}, {until} }}'


def cached_permille(s):
    """What a token that an implicit cache had costs, in thousandths of the input price."""
    match = re.match(r'([0-9]{1,2})(?:\.([0-9]))?%$', s.get('cached', '20%'))
    if not match:
        s.fail('"cached" must be a share such as 8.3%', 'cached')
    return 10 * int(match[1]) + int(match[2] or 0)


def price_c(value):
    unit, rows = value
    cells = []
    for upto, when, amounts in rows:
        fields = [f'.upto = {upto}'] * bool(upto) + [f'.when = {st.c_str(when)}'] * bool(when)
        fields += ['.amount = { ' + ', '.join(f'[PRICE_{p}] = {a}' for p, a in amounts.items()) + ' }']
        cells.append('{ ' + ', '.join(fields) + ' }')
    return (f'{{ .unit = PRICE_{unit}, .row_count = {len(rows)}, .rows = (const struct price_row[]){{ '
            + ', '.join(cells) + ' } }')


def members(s, prices):
    out = [f'.id = {st.c_str(s.name)}']
    out += [f'.{key} = {st.c_str(s.get(key))}' for key in TEXTS if s.get(key)]
    out.append(f'.task = {constant("MODEL_TASK_", s.get("task"))}')
    out += [f'.{member} = {words[s.get(key)]}' for key, (member, words) in CHOICES.items() if s.get(key)]
    out += [f'.{member} = {number(s, key)}' for key, member in NUMBERS.items() if number(s, key)]
    for key, (member, otherwise) in THINKING_NUMBERS.items():
        value = number(s, key) or number(s, otherwise)
        if value:
            out.append(f'.{member} = {value}')
    frames = frame_numbers(s)
    if frames:
        out.append(f'.frames_min = {frames[0]}, .frames_max = {frames[1]}')
        if len(frames) > 2:
            out.append('.frames_narrow = true')
    if dimensions(s):
        out.append(f'.dimension = {dimensions(s)[0]}, .dimensions = {st.c_str(" ".join(dimensions(s)))}')
    if effort_budgets(s):
        out.append(f'.effort_budgets = {{ {", ".join(effort_budgets(s))} }}')
    for key, names in PIXELS.items():
        out += [f'.{member} = {value}' for member, value in zip(names, pixel_numbers(s, key))]
    if speech_mtokens(s):
        out.append(f'.speech_mtokens = {speech_mtokens(s)}')
    out += [f'.{member} = {value}' for member, value in windows(s).items()]
    if s.get('thinking') == 'only' or s.get('default') == 'on':
        out.append('.thinking_default = true')
    if s.partial_answer:
        out.append('.partial_answer = true')
    out += [f'.can_{word} = true' for word in s.get('can', '').split()]
    for key, (member, words) in BITS.items():
        if s.get(key):
            out.append(f'.{member} = ' + ' | '.join(f'BIT({words[w]})' for w in s.get(key).split()))
    names = s.get('paths', '').split()
    lists = {region: price(s, key) for region, key in PRICES.items()}
    lists = [f'[{region}] = &prices[{prices[price_c(value)]}]' for region, value in lists.items() if value]
    if lists:
        out.append('.prices = { ' + ', '.join(lists) + ' }')
    out.append(f'.cached_permille = {cached_permille(s)}')
    if free_quota(s):
        out.append(f'.free = {free_quota(s)}')
    if names:
        out.append('.paths = ' + ' | '.join(f'UINT64_C(1) << {constant("MODEL_PATH_", name)}' for name in names))
    if any(name.startswith('openai') for name in names):
        out.append('.openai = true')
    facts = ''.join(f'{key} {s.get(key)}\n' for key in FACTS if s.get(key))
    if facts:
        out.append(f'.facts = {st.c_str(facts)}')
    return out


def fnv1a(data):
    """As model_hash() of src/contract/model.c."""
    h = 0xcbf29ce484222325
    for byte in data:
        h = ((h ^ byte) * 0x100000001b3) & 0xffffffffffffffff
    return h ^ h >> 32


def index(found):
    """Open addressing with linear probing: slot → row + 1, 0 is free. A quarter full, so that most ids are met at once."""
    size = 1
    while size < 4 * len(found):
        size *= 2
    slots = [0] * size
    for row, s in enumerate(found):
        slot = fnv1a(s.name.encode()) % size
        while slots[slot]:
            slot = (slot + 1) % size
        slots[slot] = row + 1
    return slots


def write_header(path, paths, found):
    tasks = sorted({s.get('task') for s in found})
    out = ['/* Made by tools/gen_models.py from data/models; not to be edited. */',
           '#ifndef DASHBOX_CONTRACT_MODELS_GEN_H', '#define DASHBOX_CONTRACT_MODELS_GEN_H', '', '#include "base/str.h"', '', 'enum model_task {']
    out += [f'    {constant("MODEL_TASK_", task)}, /* {task} */' for task in tasks]
    out += ['    MODEL_TASK_COUNT', '};', '', 'enum model_path {']
    out += [f'    {constant("MODEL_PATH_", name)}, /* {url} */' for name, url in paths.items()]
    out += ['    MODEL_PATH_COUNT', '};', '', '/* "/api/v1/…" */', 'extern const str model_path_urls[MODEL_PATH_COUNT];', '', '#endif', '']
    write(path, out)


def write_source(path, paths, found, lists):
    tasks = sorted({s.get('task') for s in found})
    slots = index(found)
    prices = {}  # C text → place; most prices are those of many models
    for value in (price(s, key) for s in found for key in PRICES.values()):
        if value:
            prices.setdefault(price_c(value), len(prices))
    out = ['/* Made by tools/gen_models.py from data/models; not to be edited. */',
           '#include "contract/model_tables.h"', '', 'static const struct price prices[] = {']
    out += [f'    {text},' for text in prices]
    out += ['};', '', 'const struct model models[] = {']
    for s in found:
        out += ['    {', *(f'        {member},' for member in members(s, prices)), '    },']
    out += ['};', '', f'const unsigned model_count = {len(found)};', '',
            f'const unsigned model_slot_mask = {len(slots) - 1};', '', 'const uint16_t model_slots[] = {']
    out += ['    ' + ' '.join(f'{slot},' for slot in slots[i:i + 20]) for i in range(0, len(slots), 20)]
    out += ['};', '', 'const str model_task_names[] = {']
    out += [f'    [{constant("MODEL_TASK_", task)}] = {st.c_str(task)},' for task in tasks]
    out += ['};', '', 'const str model_path_urls[MODEL_PATH_COUNT] = {']
    out += [f'    [{constant("MODEL_PATH_", name)}] = {st.c_str(url)},' for name, url in paths.items()]
    created, owner = lists['openai']
    out += ['};', '', f'const struct model_listing model_listing = {{ {created}, {st.c_str(owner)} }};', '']
    write(path, out)


def write_doc(path, found):
    out = ['# Models', '', 'Every model id that dashbox knows, with its limits in tokens. `explain` and the error pages say what '
           'a refusal means.', '']
    for task in sorted({s.get('task') for s in found}):
        out += [f'## {task}', '', '| id | status | context | input | output | thinking | budget | can | paths |',
                '|---|---|---|---|---|---|---|---|---|']
        for s in found:
            if s.get('task') != task:
                continue
            thinking = s.get('thinking', '')
            if s.get('default'):
                thinking += ', ' + s.get('default')
            out.append(f'| {s.name} | {s.get("status")} | {s.get("context", "")} | {s.get("input", "")} | '
                       f'{s.get("output", "")} | {thinking} | {s.get("budget", "")} | {s.get("can", "")} | '
                       f'{s.get("paths", "")} |')
        out.append('')
    write(path, out)


def write(path, lines):
    with open(path, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines))


def main():
    parser = argparse.ArgumentParser(description='data/models to C tables and a reference page')
    parser.add_argument('--data', required=True, help='the folder data/models')
    parser.add_argument('--header', help='models.gen.h to write')
    parser.add_argument('--source', help='models.gen.c to write')
    parser.add_argument('--depfile', help='what the outputs depend on, for the build')
    parser.add_argument('--doc', help='folder for models.md')
    args = parser.parse_args()

    paths, found, lists, files = read_all(args.data)
    if args.header:
        write_header(args.header, paths, found)
    if args.source:
        write_source(args.source, paths, found, lists)
    if args.doc:
        os.makedirs(args.doc, exist_ok=True)
        write_doc(os.path.join(args.doc, 'models.md'), found)
    if args.depfile:
        target = args.header or args.source or os.path.join(args.doc or '.', 'models.md')
        st.write_depfile(args.depfile, target, files + [os.path.abspath(st.__file__)])


st.run(main)
