#!/usr/bin/env python3
"""gen_text.py - a text file as a C constant: gen_text.py NAME INPUT OUTPUT."""

import sys

name, source, target = sys.argv[1:]
with open(source, 'rb') as file:
    data = file.read()
rows = [data[i:i + 20] for i in range(0, len(data), 20)]
with open(target, 'w', encoding='ascii') as file:
    file.write(f'/* Made by tools/gen_text.py; not to be edited. */\nstatic const char {name}[] = {{\n')
    file.writelines('    ' + ' '.join(f'{byte},' for byte in row) + '\n' for row in rows)
    file.write(f'}};\n#define {name}_len sizeof({name})\n')
