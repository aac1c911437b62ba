#!/usr/bin/env python3
"""documents.py FOLDER: writes the documents that test_document.c has read, each by hand."""
import io
import os
import struct
import sys
import zipfile

folder = sys.argv[1]


def write(name, content):
    with open(os.path.join(folder, name), 'wb') as f:
        f.write(content if isinstance(content, bytes) else content.encode())


def archive(name, parts, method=zipfile.ZIP_DEFLATED):
    b = io.BytesIO()
    with zipfile.ZipFile(b, 'w', method) as z:
        for part, content in parts:
            z.writestr(part, content)
    write(name, b.getvalue())
    return b.getvalue()


# ---- text in many encodings ----

chinese = '从前有一座山，山里有一座庙，庙里有个老和尚在给小和尚讲故事。\n他说：今天的天气很好，我们一起去看看吧！\n'
taiwan = '從前有一座山，山裡有一座廟，廟裡有個老和尚在給小和尚講故事。\n他說：今天的天氣很好，我們一起去看看吧！\n'
japanese = '吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\nコンピュータの世界へようこそ。\n'
korean = '동해물과 백두산이 마르고 닳도록 하느님이 보우하사 우리나라 만세\n무궁화 삼천리 화려강산\n'
western = 'Größe und Äußeres: “naïve café”, it’s déjà vu — garçon, señor, 5 €\n'

write('plain.txt', 'Hello\r\nworld\rand\fall\x00'.replace('\x00', ''))
write('utf8.txt', chinese)
write('utf8-mark.txt', b'\xef\xbb\xbf' + chinese.encode())
write('utf8-broken.txt', chinese.encode() + b'\xe4\xb8' + b'\n' + chinese.encode())
for encoding in 'utf-16-le', 'utf-16-be', 'utf-32-le', 'utf-32-be':
    write(f'{encoding}-mark.txt', ('\ufeff' + chinese).encode(encoding))
for encoding in 'utf-16-le', 'utf-16-be':
    write(f'{encoding}.txt', western.encode(encoding))
write('gb18030.txt', chinese.encode('gb18030'))
write('gb18030-four.txt', (chinese + '㐀 𠮷\n').encode('gb18030'))
write('big5.txt', taiwan.encode('big5'))
write('shift-jis.txt', japanese.encode('cp932'))
write('euc-jp.txt', japanese.encode('euc-jp'))
write('euc-kr.txt', korean.encode('cp949'))
write('windows-1252.txt', western.encode('cp1252'))
write('quotes.txt', 'Don’t: the cat’s “hat”, isn’t it? It’s O’Hara’s\n'.encode('cp1252'))
write('table.csv', 'Name,Größe\nÄpfel,3\n'.encode('cp1252'))
write('data.json', '{"name":"Zoë"}\n')
write('empty.txt', b'')
write('blank.txt', b' \n\t\r\n  \n')
write('binary.txt', bytes(range(256)) * 16)
write('picture.png', b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0\0\0\1\0\x08\2\0\0\0' + bytes(100))
write('old.doc', b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1' + bytes(600))
write('rich.rtf', r'{\rtf1\ansi Hello}')
write('long.txt', b'0123456789' * 2000)

# ---- Markdown ----

write('page.md', '''# Title & more

A *first* paragraph with `code`, a [link](http://a.example/b) and <http://c.example>, 3 &lt; 4 &copy; &#x4e2d;.
Second line.

- one
- two
  1. deep
  2. deeper

| Name | Value |
|------|-------|
| a    | 1     |

```c
int x = 1;

return x;
```

<div>An <b>HTML</b>
block</div>
''')

# ---- PDF ----


def pdf(objects, tail=b''):
    """objects: bodies of 1, 2, 3…; the first is the catalogue."""
    out = io.BytesIO()
    out.write(b'%PDF-1.5\n')
    places = []
    for i, body in enumerate(objects):
        places.append(out.tell())
        out.write(b'%d 0 obj\n%s\nendobj\n' % (i + 1, body if isinstance(body, bytes) else body.encode()))
    start = out.tell()
    out.write(b'xref\n0 %d\n0000000000 65535 f \n' % (len(objects) + 1))
    for place in places:
        out.write(b'%010d 00000 n \n' % place)
    out.write(b'trailer\n<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n' % (len(objects) + 1, tail, start))
    return out.getvalue()


def stream(content, more=''):
    content = content if isinstance(content, bytes) else content.encode()
    return f'<</Length {len(content)}{more}>>stream\n'.encode() + content + b'\nendstream'


def pages(contents, font='<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>', extra=''):
    """A page for each content stream; the objects 3 and 4 are a font and a picture."""
    picture = stream(b'\x80' * 64, '/Type/XObject/Subtype/Image/Width 8/Height 8/ColorSpace/DeviceGray/BitsPerComponent 8')
    objects = [f'<</Type/Catalog/Pages 2 0 R{extra}>>', None, font, picture]
    kids = []
    for content in contents:
        objects.append(stream(content))
        objects.append(f'<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents {len(objects)} 0 R'
                       '/Resources<</Font<</F 3 0 R>>/XObject<</I 4 0 R>>>>>>')
        kids.append(f'{len(objects)} 0 R')
    objects[1] = f'<</Type/Pages/Count {len(kids)}/Kids[{" ".join(kids)}]>>'
    return objects


def lines(*texts):
    return 'BT /F 12 Tf 72 760 Td 20 TL ' + ' '.join(f'({text}) Tj T*' for text in texts) + ' ET'


image = 'q 500 0 0 700 40 40 cm /I Do Q '
words = 'The quick brown fox jumps over the lazy dog, and again.'
two = pdf(pages([lines('Chapter one', words), lines('Chapter two', words)]))
write('two.pdf', two)
write('named.txt', two)
write('noise.pdf', b'noise before it\n' + two)
write('scan.pdf', pdf(pages([image] * 3)))
write('scan-stamped.pdf', pdf(pages([image + lines('Page 7 of 9')] * 3)))
write('scan-read.pdf', pdf(pages([image + lines(words, words)] * 3)))
write('illustrated.pdf', pdf(pages([image] * 2 + [lines(words)])))
write('drawn.pdf', pdf(pages(['10 10 m 300 300 l S'])))
write('locked.pdf', pdf(pages([lines(words)]), b'/Encrypt<</Filter/Standard/V 1/R 2/O<' + b'41' * 32 + b'>/U<' + b'42' * 32 +
                        b'>/P -4>>/ID[<01><01>]'))
# A font without a table of its own: the characters are those of poppler-data.
write('chinese.pdf', pdf(pages(['BT /F 20 Tf 72 700 Td <' + '天气很好'.encode('gbk').hex() + '> Tj ET'],
                               '<</Type/Font/Subtype/Type0/BaseFont/STSong-Light/Encoding/GBK-EUC-H/DescendantFonts[<</Type/Font'
                               '/Subtype/CIDFontType0/BaseFont/STSong-Light/CIDSystemInfo<</Registry(Adobe)/Ordering(GB1)'
                               '/Supplement 2>>>>]>>')))
write('cut.pdf', two[:len(two) // 2])
write('head.pdf', b'%PDF-1.7\n')
write('not.pdf', 'This is no PDF.\n')
many = ['BT /F 12 Tf 72 700 Td (Page %d) Tj ET' % i for i in range(10000)]
write('ten-thousand.pdf', pdf(pages(many)))
loop = pages([lines(words)])
loop[1] = '<</Type/Pages/Count 9999/Kids[2 0 R 2 0 R]>>'
write('loop.pdf', pdf(loop))
liar = pages([lines(words)])
liar[1] = liar[1].replace('/Count 1', '/Count 2147483647')
write('liar.pdf', pdf(liar))
form = pages(['/X Do'])
form[5] = form[5].replace('/XObject<</I 4 0 R>>', '/XObject<</X 7 0 R>>')
form.append(stream('/X Do /X Do', '/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 7 0 R>>>>'))
write('form-loop.pdf', pdf(form))

# ---- DOCX ----

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
TYPE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships/'


def relations(*list):
    return ('<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">' +
            ''.join(f'<Relationship Id="{id}" Type="{TYPE}{type}" Target="{target}"/>' for id, type, target in list) + '</Relationships>')


def word(body, more=(), head=''):
    return [('[Content_Types].xml', '<Types/>'), ('_rels/.rels', relations(('r1', 'officeDocument', 'word/document.xml'))),
            ('word/document.xml', f'<?xml version="1.0"?>{head}<w:document {W}><w:body>{body}</w:body></w:document>'), *more]


def p(*texts):
    return '<w:p><w:pPr><w:tabs><w:tab w:val="left"/></w:tabs></w:pPr>' + ''.join(f'<w:r><w:t>{text}</w:t></w:r>' for text in texts) + '</w:p>'


letter = archive('letter.docx', word(
    p('Dear ', 'Sir &amp; Madam,') + '<w:p/>' + p('杭州') +
    '<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:instrText>PAGE</w:instrText></w:r></w:p>'
    '<w:tbl><w:tr><w:tc>' + p('Name') + p('first') + '</w:tc><w:tc>' + p('Value') + '</w:tc></w:tr>'
    '<w:tr><w:tc>' + p('x') + '</w:tc><w:tc>' + p('1') + '</w:tc></w:tr></w:tbl>'
    '<w:p><w:r><AlternateContent><Choice><w:t>new</w:t></Choice><Fallback><w:t>old</w:t></Fallback></AlternateContent></w:r></w:p>',
    [('word/_rels/document.xml.rels', relations(('r1', 'footnotes', 'footnotes.xml'))),
     ('word/footnotes.xml', f'<w:footnotes {W}><w:footnote>{p("A note.")}</w:footnote></w:footnotes>')]))
archive('empty.docx', word('<w:p/>'))
archive('stored.docx', word(p('stored')), zipfile.ZIP_STORED)
archive('compressed.docx', word(p('bzip2')), zipfile.ZIP_BZIP2)
write('cut.docx', letter[:len(letter) - 60])
write('wrong-name.txt', letter)
damaged = bytearray(letter)
at = letter.index(b'word/document.xml') + 17 + 20
damaged[at:at + 20] = bytes(20)
write('damaged.docx', bytes(damaged))
archive('program.jar', [('META-INF/MANIFEST.MF', 'Manifest-Version: 1.0\n')])
archive('drawing.vsdx', [('_rels/.rels', relations(('r1', 'document', 'visio/document.xml')))])
archive('missing.docx', [('_rels/.rels', relations(('r1', 'officeDocument', 'word/document.xml')))])
archive('unclosed.docx', word('<w:p><w:r><w:t>a'))

# ---- harm ----

laughs = ''.join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
archive('laughs.docx', word(p('&l9;'), head=f'<!DOCTYPE w [<!ENTITY l0 "ha">{laughs}]>'))
archive('quadratic.docx', word(p('&a;' * 50000), head=f'<!DOCTYPE w [<!ENTITY a "{"a" * 50000}">]>'))
archive('outside.docx', word(p('&a;'), head='<!DOCTYPE w [<!ENTITY a SYSTEM "file:///etc/passwd">]>'))
archive('parameter.docx', word(p('x'), head='<!DOCTYPE w [<!ENTITY % a SYSTEM "http://127.0.0.1/x"> %a;]>'))
archive('bomb.docx', word(p(' ' * (300 << 20))))
archive('large.docx', word(p('abcdefgh' * 128) * 20000))
archive('deep.docx', word('<w:p>' * 100000))
archive('attributes.docx', word('<w:p ' + ' '.join(f'a{i}="{i}"' for i in range(200000)) + '/>' + p('x')))
archive('crowd.docx', word(p('x'), [(f'x{i}', '') for i in range(30000)]))
archive('escape.docx', [('_rels/.rels', relations(('r1', 'officeDocument', '../../../../../../etc/passwd'))),
                        ('../../../../tmp/escaped.txt', 'gone'), ('/etc/passwd', f'<w:document {W}>{p("taken")}</w:document>'),
                        ('C:\\windows\\x', 'x')])
