/* markdown.c - md4c's callbacks. */
#include "engines/document/markdown.h"

#include "base/buf.h"
#include "engines/document/html.h"

#include <limits.h>
#include <md4c.h>

#define LIST_DEPTH_MAX 64

struct walk {
    struct out *out;
    struct buf  html;                    /* of the block that is open */
    unsigned    numbers[LIST_DEPTH_MAX]; /* of the next item; 0: a list with dashes */
    size_t      lists;
    size_t      cells;               /* of the row so far */
    str         link;                /* the last piece of text of the link that is open */
    bool        in_html, after_mark; /* an item's first paragraph stands behind its mark */
};

static void item_begin(struct walk *w)
{
    size_t depth = w->lists < LIST_DEPTH_MAX ? w->lists : LIST_DEPTH_MAX;
    char   text[16];
    int    n;

    out_line(w->out);
    for (size_t i = 1; i < depth; i++)
        out_add(w->out, S("  "));
    if (depth && w->numbers[depth - 1]) {
        n = snprintf(text, sizeof(text), "%u. ", w->numbers[depth - 1]++);
        out_add(w->out, str_of(text, (size_t)n));
    } else {
        out_add(w->out, S("- "));
    }
    w->after_mark = true;
}

static void list_begin(struct walk *w, unsigned number)
{
    if (!w->lists && !w->after_mark)
        out_gap(w->out);
    if (w->lists < LIST_DEPTH_MAX)
        w->numbers[w->lists] = number;
    w->lists++;
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *arg)
{
    struct walk *w = arg;

    switch (type) {
    case MD_BLOCK_UL:
        list_begin(w, 0);
        break;
    case MD_BLOCK_OL:
        list_begin(w, ((MD_BLOCK_OL_DETAIL *)detail)->start);
        break;
    case MD_BLOCK_LI:
        item_begin(w);
        break;
    case MD_BLOCK_HTML:
        buf_reset(&w->html);
        w->in_html = true;
        break;
    case MD_BLOCK_TR:
        w->cells = 0;
        break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
        if (w->cells++)
            out_add(w->out, S("\t"));
        break;
    case MD_BLOCK_H:
    case MD_BLOCK_P:
    case MD_BLOCK_CODE:
    case MD_BLOCK_TABLE:
        if (!w->after_mark)
            out_gap(w->out);
        w->after_mark = false;
        break;
    case MD_BLOCK_DOC:
    case MD_BLOCK_QUOTE:
    case MD_BLOCK_HR:
    case MD_BLOCK_THEAD:
    case MD_BLOCK_TBODY:
        break;
    }
    return w->out->full;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *arg)
{
    struct walk *w = arg;

    (void)detail;
    switch (type) {
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
        w->lists--;
        out_line(w->out);
        break;
    case MD_BLOCK_LI:
        w->after_mark = false;
        out_line(w->out);
        break;
    case MD_BLOCK_HTML:
        out_gap(w->out);
        html_to_text(buf_str(&w->html), w->out);
        w->in_html = false;
        break;
    case MD_BLOCK_H:
    case MD_BLOCK_P:
    case MD_BLOCK_CODE:
    case MD_BLOCK_TR:
        out_line(w->out);
        break;
    case MD_BLOCK_DOC:
    case MD_BLOCK_QUOTE:
    case MD_BLOCK_HR:
    case MD_BLOCK_TABLE:
    case MD_BLOCK_THEAD:
    case MD_BLOCK_TBODY:
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
        break;
    }
    return w->out->full;
}

static int enter_span(MD_SPANTYPE type, void *detail, void *arg)
{
    struct walk *w = arg;

    (void)detail;
    if (type == MD_SPAN_A)
        w->link = (str){ 0 };
    return 0;
}

/* The address, unless it is what the link says. */
static int leave_span(MD_SPANTYPE type, void *detail, void *arg)
{
    struct walk            *w = arg;
    const MD_SPAN_A_DETAIL *a = detail;
    str                     href = type == MD_SPAN_A ? str_of(a->href.text, a->href.size) : (str){ 0 };

    if (href.len && !(w->link.len && str_ends(href, w->link))) {
        out_add(w->out, S(" ("));
        out_add(w->out, href);
        out_add(w->out, S(")"));
    }
    return w->out->full;
}

static int text(MD_TEXTTYPE type, const MD_CHAR *ptr, MD_SIZE len, void *arg)
{
    struct walk *w = arg;
    str          s = str_of(ptr, len);
    uint32_t     cp;

    w->after_mark = false;
    w->link = s;
    if (w->in_html) {
        buf_add(&w->html, s);
        return w->out->full;
    }
    switch (type) {
    case MD_TEXT_BR:
    case MD_TEXT_SOFTBR:
        out_add(w->out, S("\n"));
        break;
    case MD_TEXT_ENTITY:
        cp = html_entity(s);
        if (cp)
            out_add_char(w->out, cp);
        else
            out_add(w->out, s);
        break;
    case MD_TEXT_HTML: /* a tag between words */
        if (str_starts_nocase(s, S("<br")))
            out_add(w->out, S("\n"));
        break;
    case MD_TEXT_NULLCHAR:
        break;
    case MD_TEXT_NORMAL:
    case MD_TEXT_CODE:
    case MD_TEXT_LATEXMATH:
        out_add(w->out, s);
        break;
    }
    return w->out->full;
}

void markdown_to_text(str markdown, struct arena *a, struct out *out)
{
    static const MD_PARSER parser = { .flags = MD_DIALECT_GITHUB,
                                      .enter_block = enter_block,
                                      .leave_block = leave_block,
                                      .enter_span = enter_span,
                                      .leave_span = leave_span,
                                      .text = text };
    struct walk            w = { .out = out };

    buf_init(&w.html, a, SIZE_MAX / 2);
    /* What it gives up on has come too far for it: the text as it stands says the same. */
    if (markdown.len > UINT_MAX || (md_parse(markdown.ptr, (MD_SIZE)markdown.len, &parser, &w) && !out->full))
        out_add(out, markdown);
}
