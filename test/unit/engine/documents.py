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

# As streaming writers have it: ZIP64, though nothing asks for it.
plain = archive('zip64.docx', word(p('wide')))
end = plain.rindex(b'PK\5\6')
entries, size, start = struct.unpack('<HII', plain[end + 10:end + 20])
write('zip64.docx', plain[:end] + b'PK\6\6' + struct.pack('<QHHIIQQQQ', 44, 45, 45, 0, 0, entries, entries, size, start) +
      b'PK\6\7' + struct.pack('<IQI', 0, end, 1) + b'PK\5\6' + struct.pack('<HHHHIIH', 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0))

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
archive('token.docx', word(p('x') + '<w:p a="' + os.urandom(12 << 20).hex() + '"/>'))
archive('crowd.docx', word(p('x'), [(f'x{i}', '') for i in range(30000)]))
# A directory of half a million parts, in ZIP64, and the same with a small number at its end.
count = 500000
directory = b''.join(b'PK\1\2' + struct.pack('<HHHHHHIIIHHHHHII', 20, 20, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0) + b'%07d' % i for i in range(count))
first = b'PK\3\4' + struct.pack('<HHHHHIIIHH', 20, 0, 0, 0, 0, 0, 0, 0, 7, 0) + b'0000000'
write('directory.docx', first + directory + b'PK\6\6' + struct.pack('<QHHIIQQQQ', 44, 45, 45, 0, 0, count, count, len(directory), len(first)) +
      b'PK\6\7' + struct.pack('<IQI', 0, len(first) + len(directory), 1) + b'PK\5\6' + struct.pack('<HHHHIIH', 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0))
write('small-number.docx', first + directory + b'PK\5\6' + struct.pack('<HHHHIIH', 0, 0, 5, 5, len(directory), len(first), 0))
archive('escape.docx', [('_rels/.rels', relations(('r1', 'officeDocument', '../../../../../../etc/passwd'))),
                        ('../../../../tmp/escaped.txt', 'gone'), ('/etc/passwd', f'<w:document {W}>{p("taken")}</w:document>'),
                        ('C:\\windows\\x', 'x')])

# ---- PPTX ----

A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main"'
R = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'


def slide(*paragraphs):
    body = ''.join(f'<a:p><a:pPr><a:tabLst><a:tab/></a:tabLst></a:pPr><a:r><a:t>{text}</a:t></a:r></a:p>' for text in paragraphs)
    return f'<p:sld {A}><p:cSld><p:spTree><p:sp><p:txBody>{body}</p:txBody></p:sp></p:spTree></p:cSld></p:sld>'


def slides(order):
    return [('_rels/.rels', relations(('r1', 'officeDocument', '/ppt/presentation.xml'))),
            ('ppt/presentation.xml', f'<p:presentation {A} {R}><p:sldIdLst>' +
             ''.join(f'<p:sldId id="{256 + i}" r:id="s{i}"/>' for i in order) + '</p:sldIdLst></p:presentation>'),
            ('ppt/_rels/presentation.xml.rels', relations(*((f's{i}', 'slide', f'slides/slide{i}.xml') for i in range(1, 3)))),
            ('ppt/slides/slide1.xml', slide('Second', 'of two')), ('ppt/slides/slide2.xml', slide('First', '杭州'))]


archive('slides.pptx', slides([2, 1]))
archive('many-slides.pptx', slides([1] * 15001))

# ---- XLSX ----

X = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def book(sheets, strings='', styles='', properties=''):
    ids = [(f'r{i}', 'worksheet', f'worksheets/sheet{i}.xml') for i in range(len(sheets))]
    return [('_rels/.rels', relations(('r1', 'officeDocument', 'xl/workbook.xml'))),
            ('xl/workbook.xml', f'<workbook {X} {R}>{properties}<sheets>' + ''.join(
                f'<sheet name="{name}" sheetId="{i + 1}" r:id="r{i}"/>' for i, (name, _) in enumerate(sheets)) + '</sheets></workbook>'),
            ('xl/_rels/workbook.xml.rels', relations(*ids, ('rs', 'sharedStrings', 'sharedStrings.xml'), ('rt', 'styles', 'styles.xml'))),
            ('xl/sharedStrings.xml', f'<sst {X}>{strings}</sst>'), ('xl/styles.xml', f'<styleSheet {X}>{styles}</styleSheet>'),
            *((f'xl/worksheets/sheet{i}.xml', f'<worksheet {X}><sheetData>{rows}</sheetData></worksheet>') for i, (_, rows) in enumerate(sheets))]


styles = ('<numFmts><numFmt numFmtId="164" formatCode="&quot;day&quot;yyyy\\-mm"/><numFmt numFmtId="165" formatCode="[Red]0.0&quot;m&quot;"/></numFmts>'
          '<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/><xf numFmtId="164"/>'
          '<xf numFmtId="165"/><xf numFmtId="21"/></cellXfs>')
archive('sheets.xlsx', book([
    ('Sales &amp; more', '<row r="1"><c r="A1" t="s"><v>0</v></c><c r="C1" t="s"><v>1</v></c></row>'
     '<row r="2"><c r="A2"><v>1.50</v></c><c r="B2" t="b"><v>1</v></c><c r="C2" t="str"><f>A2</f><v>a\nb</v></c><c r="D2" t="e"><v>#DIV/0!</v></c></row>'
     '<row r="3"/><row r="4"><c t="inlineStr"><is><r><t>in</t></r><r><t>line</t></r></is></c><c><v>7</v></c></row>'),
    ('日期', '<row><c r="A1" s="1"><v>45413</v></c><c r="B1" s="2"><v>45413.5208333333</v></c><c r="C1" s="3"><v>1</v></c><c r="D1" s="4"><v>45413</v></c>'
     '<c r="E1" s="5"><v>0.75</v></c><c r="F1" s="1"><v>99999999</v></c></row>'),
], '<si><t>Name</t><rPh><t>spoken</t></rPh></si><si><r><t>Val</t></r><r><t>ue</t></r></si>', styles))
archive('sheets-1904.xlsx', book([('x', '<row><c s="1"><v>43951</v></c></row>')], '', styles, '<workbookPr date1904="1"/>'))
archive('wide.xlsx', book([('x', '<row><c r="XFD1"><v>1</v></c></row>' * 50000)]))
archive('shared.xlsx', book([('x', '<row><c t="s"><v>0</v></c></row>' * 200000)], f'<si><t>{"abcdefgh" * 4000}</t></si>'))

# ---- EPUB ----


def epub(name, chapters, more=(), base='OEBPS/'):
    items = ''.join(f'<item id="c{i}" href="text/chapter%20{i}.xhtml" media-type="application/xhtml+xml"/>' for i in range(len(chapters)))
    spine = ''.join(f'<itemref idref="c{i}"/>' for i in reversed(range(len(chapters))))
    archive(name, [('mimetype', 'application/epub+zip'),
                   ('META-INF/container.xml', f'<container><rootfiles><rootfile full-path="{base}book.opf"/></rootfiles></container>'),
                   (f'{base}book.opf', f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{items}</manifest><spine>{spine}</spine></package>'),
                   *((f'{base}text/chapter {i}.xhtml', text) for i, text in enumerate(chapters)), *more])


chapter = '''<?xml version="1.0"?><!DOCTYPE html><html><head><title>No</title><style>p { color: red }</style></head><body>
<h1>One &amp; only</h1>
<p>A  <i>first</i>
paragraph&nbsp;&mdash;&#20013;&#x6587; &Omega;&omega;&bogus; 1 < 2 &amp; more<br/>next</p><!-- not > this --><script>var x = "</p>";</script>
<ul><li>one</li><li><p>two</p></li></ul><table><tr><td>a</td><td title="x>y">b</td></tr></table><pre>x
  y</pre></body></html>'''
epub('book.epub', [chapter, '<html><body><p>Before it.</p></body></html>'])
epub('lost.epub', [])
epub('locked.epub', [bytes(range(256)) * 4])
epub('up.epub', ['<p>up</p>'], base='../../../etc/')
archive('spine-bomb.epub', [('META-INF/container.xml', '<container><rootfile full-path="b.opf"/></container>'),
                            ('b.opf', '<package><manifest><item id="a" href="a.html"/></manifest><spine>' + '<itemref idref="a"/>' * 5000 + '</spine></package>'),
                            ('a.html', '<p>' + ' ' * 3000000 + '</p>')])
archive('unclosed.epub', [('META-INF/container.xml', '<container><rootfile full-path="b.opf"/></container>'),
                          ('b.opf', '<package><manifest><item id="a" href="a.html"/></manifest><spine><itemref idref="a"/></spine></package>'),
                          ('a.html', '<p>x' + '<!-- <script <' * 100000)])

# ---- MOBI ----


def palm(kind, records):
    places, at = b'', 78 + 8 * len(records) + 2
    for i, record in enumerate(records):
        places += struct.pack('>IBBH', at, 0, 0, 2 * i)
        at += len(record)
    return (b'Book'.ljust(32, b'\0') + struct.pack('>HHIIIIII', 0, 0, 0, 0, 0, 0, 0, 0) + kind + struct.pack('>IIH', 0, 0, len(records)) +
            places + b'\0\0' + b''.join(records))


def mobi(markup, encoding, compression=1, locked=0, length=None):
    pieces = [markup[i:i + 4096] for i in range(0, len(markup), 4096)]
    head = struct.pack('>HHIHHHH', compression, 0, length or len(markup), len(pieces), 4096, locked, 0)
    body = bytearray(b'\xff' * 232)
    body[0:24] = b'MOBI' + struct.pack('>IIIII', 232, 2, encoding, 1, 6)
    body[64:72] = struct.pack('>II', len(pieces) + 1, 16 + 232)   # the first record that is no text; where the name is
    body[72:76] = struct.pack('>I', 4)
    body[112:116] = struct.pack('>I', 0)                          # no EXTH
    body[224:228] = struct.pack('>I', 0)                          # no extra bytes behind text
    return palm(b'BOOKMOBI', [head + bytes(body) + b'Book' + bytes(4), *pieces, b'\xe9\x8e\r\n'])


markup = '<html><head><guide></guide></head><body><h1>Größe</h1><p>Ein Text, &amp; mehr.</p><mbp:pagebreak/><p>' + 'x ' * 3000 + '</p></body></html>'
write('book.mobi', mobi(markup.encode(), 65001))
write('western.mobi', mobi(markup.encode('cp1252'), 1252))
write('locked.mobi', mobi(markup.encode(), 65001, locked=2))
write('cut.mobi', mobi(markup.encode(), 65001)[:200])
write('huff.mobi', mobi(b'\xff' * 5000, 65001, compression=17480))
write('palm.mobi', palm(b'TEXtREAd', [struct.pack('>HHIHHHH', 1, 0, 12, 1, 4096, 0, 0), b'Plain <text>']))
packed = b'\x08abcdefgh' + b'\xff\xff' * 2000  # a back reference further than there is anything
write('reference.mobi', mobi(packed, 65001, compression=2))
