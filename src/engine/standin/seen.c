/* seen.c - words for what was looked at. */
#include "engine/standin/seen.h"

#include "base/utf8.h"
#include "contract/json.h"

static str kind_word(enum media_kind kind)
{
    switch (kind) {
    case MEDIA_IMAGE:
        return S("picture");
    case MEDIA_VIDEO:
        return S("video");
    case MEDIA_AUDIO:
        return S("sound");
    case MEDIA_UNKNOWN:
        break;
    }
    return S("file");
}

static void add_lines(struct buf *b, const struct picture *p)
{
    struct buf all;
    str        text;

    buf_init(&all, b->arena, SIZE_MAX / 2);
    for (size_t i = 0; i < p->lines.count; i++) {
        buf_add(&all, i ? S(" / ") : S(""));
        buf_add(&all, p->lines.at[i].text);
    }
    text = buf_str(&all);
    if (!text.len) {
        buf_add(b, S(", no text"));
        return;
    }
    buf_add(b, S(", text \""));
    buf_add(b, str_first(text, utf8_cut(text, SEEN_TEXT_MAX < text.len ? SEEN_TEXT_MAX : text.len)));
    buf_add(b, text.len > SEEN_TEXT_MAX ? S(" […]\"") : S("\""));
}

void seen_add(struct buf *b, unsigned number, const struct picture *p)
{
    buf_addf(b, " [%.*s %u: %.*s", STR_ARG(kind_word(p->kind)), number, STR_ARG(p->format));
    if (p->width && p->height)
        buf_addf(b, ", %lld x %lld pixels", (long long)p->width, (long long)p->height);
    if (p->duration_ms && p->kind != MEDIA_IMAGE)
        buf_addf(b, ", %lld.%lld s", (long long)(p->duration_ms / 1000), (long long)(p->duration_ms % 1000 / 100));
    for (size_t i = 0; i < p->colour_count; i++)
        buf_addf(b, ", %.*s %lld %%", STR_ARG(p->colours[i].name), (long long)p->colours[i].percent);
    if (p->faces >= 0)
        buf_addf(b, ", %lld %s", (long long)p->faces, p->faces == 1 ? "face" : "faces");
    if (p->read)
        add_lines(b, p);
    buf_add_char(b, ']');
}

static str name_of(const struct chat_document *d)
{
    return d->name.len ? d->name : d->id;
}

void seen_add_documents(struct buf *b, struct seen_documents *s, const struct chat_document *d, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        s->count++;
        if (s->told == SEEN_DOCUMENTS_MAX) {
            s->tokens += d[i].tokens;
            continue;
        }
        s->told++;
        buf_addf(b, " [document %zu: %.*s, %.*s", s->count, STR_ARG(name_of(&d[i])), STR_ARG(d[i].format));
        if (d[i].pages)
            buf_addf(b, ", %lld %s", (long long)d[i].pages, d[i].pages == 1 ? "page" : "pages");
        buf_addf(b, ", %lld tokens]", (long long)d[i].tokens);
    }
}

void seen_add_passages(struct buf *b, const struct seen_documents *s, const struct chat_passage *p, size_t count)
{
    if (s->count > s->told)
        buf_addf(b, " [and %zu more documents, %lld tokens]", s->count - s->told, (long long)s->tokens);
    for (size_t i = 0; i < count; i++)
        buf_addf(b, " [nearest in %.*s: \"%.*s\"]", STR_ARG(name_of(p[i].document)), STR_ARG(p[i].text));
    if (!count)
        buf_add(b, S(" [nothing in them has a word of the question]"));
}

void seen_add_found(struct buf *b, const struct chat_excerpt *f, size_t count, bool marks)
{
    for (size_t i = 0; i < count && i < SEEN_FOUND_MAX; i++) {
        bool long_one = f[i].text.len > SEEN_FOUND_TEXT;
        str  text = long_one ? str_first(f[i].text, utf8_cut(f[i].text, SEEN_FOUND_TEXT)) : f[i].text;

        buf_addf(b, " [knowledge %zu, %.*s: \"%.*s%s\"]", i + 1, STR_ARG(f[i].name), STR_ARG(text),
                 long_one ? "…" : "");
        if (marks)
            buf_addf(b, "<ref>[%zu]</ref>", i + 1);
    }
}

str seen_text(struct arena *a, const struct picture *p)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    for (size_t i = 0; i < p->lines.count; i++) {
        buf_add(&b, i ? S("\n") : S(""));
        buf_add(&b, p->lines.at[i].text);
    }
    return buf_str(&b);
}

str seen_value(const struct picture *p, str word)
{
    for (size_t i = 0; i < p->lines.count && word.len; i++) {
        str line = p->lines.at[i].text, rest;

        if (!str_eq_nocase(str_first(line, word.len), word))
            continue;
        rest = str_trim(str_from(line, word.len));
        if (str_starts(rest, S("：")))
            return str_trim(str_from(rest, S("：").len));
        if (str_starts(rest, S(":")))
            return str_trim(str_from(rest, 1));
    }
    return (str){ 0 };
}

void seen_add_words(struct buf *b, const struct picture *p)
{
    buf_add_char(b, '[');
    for (size_t i = 0; i < p->lines.count; i++) {
        const struct picture_line *l = &p->lines.at[i];
        long long                  left = l->x, top = l->y, right = l->x + l->width, bottom = l->y + l->height;

        buf_addf(
            b,
            "%s\n\t{\"rotate_rect\": [%lld, %lld, %lld, %lld, 90], \"location\": [%lld, %lld, %lld, %lld, %lld, %lld, %lld, %lld], \"text\": ",
            i ? "," : "", (left + right) / 2, (top + bottom) / 2, bottom - top, right - left, left, top, right, top,
            right, bottom, left, bottom);
        json_add_str(b, l->text);
        buf_add_char(b, '}');
    }
    buf_add(b, S("\n]"));
}
