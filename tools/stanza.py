"""stanza.py - reads the files of data/: stanzas of "key  value" lines.

    # a comment: a line of its own
    error     TEMPERATURE_RANGE       the first key of a stanza says its kind, the value its name
    id        E010a
    cause     a long value goes on
              in lines that begin with a blank
                                      (an empty line ends the stanza)

A value that begins or ends with a blank, or is empty, is written in JSON quotes. Nothing else has a meaning here: what
the keys stand for is the business of the generators.
"""

import json
import re
import sys

KEY = re.compile(r'([a-z][a-z0-9_.]*)(?:[ \t]+(.*))?$')


class BadData(Exception):
    """A mistake in a data file; the text begins with file:line."""


class Stanza:
    """One stanza: kind, name, and the fields in `values`, each with its line in `lines`."""

    def __init__(self, path, line, kind, name):
        self.path, self.line, self.kind, self.name = path, line, kind, name
        self.values, self.lines = {}, {}

    def fail(self, why, key=None):
        raise BadData(f'{self.path}:{self.lines.get(key, self.line)}: {self.kind} {self.name}: {why}')

    def get(self, key, default=None):
        return self.values.get(key, default)

    def need(self, key):
        if key not in self.values:
            self.fail(f'"{key}" is missing')
        return self.values[key]

    def only(self, known):
        for key in self.values:
            if key not in known:
                self.fail(f'unknown key "{key}"', key)


def read_file(path, kinds):
    """The stanzas of a file, in order. `kinds` are the first keys that may begin one."""
    stanzas, current, last = [], None, None
    with open(path, encoding='utf-8', newline='\n') as file:
        text = file.read()
    for number, line in enumerate(text.split('\n'), 1):
        where = f'{path}:{number}'
        if not line.strip():
            current = last = None
        elif line.startswith('#'):
            pass
        elif line[0] in ' \t':
            if last is None:
                raise BadData(f'{where}: nothing is continued here')
            current.values[last] += ' ' + line.strip()
        else:
            match = KEY.match(line.rstrip())
            if not match:
                raise BadData(f'{where}: expected "key  value"')
            key, value = match[1], match[2] or ''
            if current is None:
                if key not in kinds:
                    raise BadData(f'{where}: a stanza begins with {" or ".join(kinds)}, not with "{key}"')
                current, last = Stanza(path, number, key, value), None
                stanzas.append(current)
            elif key in current.values:
                raise BadData(f'{where}: "{key}" is there twice')
            else:
                current.values[key], current.lines[key], last = value, number, key
    for stanza in stanzas:
        for key, value in stanza.values.items():
            if len(value) > 1 and value[0] == '"' == value[-1]:
                try:
                    stanza.values[key] = json.loads(value)
                except ValueError:
                    stanza.fail(f'"{key}": broken quotes', key)
            elif not value:
                stanza.fail(f'"{key}" has no value', key)
    return stanzas


def c_string(text):
    """A C literal with the bytes of the text in UTF-8; what stands after it cannot join an escape."""
    out = []
    for byte in text.encode('utf-8'):
        if byte in b'"\\':
            out.append('\\' + chr(byte))
        elif byte == 0x3f or byte < 32 or byte > 126:
            out.append(f'\\{byte:03o}')
        else:
            out.append(chr(byte))
    return '"' + ''.join(out) + '"'


def c_str(text):
    """An initialiser of a `str`."""
    return f'{{ {c_string(text)}, {len(text.encode("utf-8"))} }}'


def write_depfile(path, target, sources):
    """For meson's depfile: the target is made again when one of these changes."""
    with open(path, 'w', encoding='utf-8') as file:
        file.write(f'{target}: {" ".join(source.replace(" ", chr(92) + " ") for source in sources)}\n')


def run(main):
    """Calls main(); bad data ends the program with its message and status 1."""
    try:
        main()
    except BadData as bad:
        print(bad, file=sys.stderr)
        sys.exit(1)
