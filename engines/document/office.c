/* office.c - DOCX and PPTX, which are paragraphs of runs of text, in tables or not; XLSX is in sheets.c. ECMA-376, parts 1 and 2. */
#include "engines/document/office.h"

#include "base/map.h"
#include "base/num.h"
#include "engines/document/xml.h"

/* ---- relations ---- */

static void relation_begins(void *arg, str name, const char **attributes)
{
    struct relations *r = arg;
    str               type = xml_attribute(attributes, "Type");

    if (!str_eq(name, S("Relationship")) || str_eq(xml_attribute(attributes, "TargetMode"), S("External")) ||
        r->count == RELATIONS_MAX)
        return;
    if (r->count == r->cap) {
        size_t cap = max_size(2 * r->cap, 16);

        r->at = arena_realloc(r->arena, r->at, r->cap * sizeof(*r->at), cap * sizeof(*r->at));
        r->cap = cap;
    }
    while (str_find(type, '/') != STR_NONE)
        (void)str_cut(&type, '/');
    r->at[r->count] =
        (struct relation){ .id = arena_str(r->arena, xml_attribute(attributes, "Id")),
                           .type = arena_str(r->arena, type),
                           .target = package_resolve(r->arena, r->from, xml_attribute(attributes, "Target"), true) };
    map_put(r->ids, r->at[r->count].id, (void *)r->at[r->count].target);
    r->count++;
}

static void free_map(void *arg)
{
    map_free(arg);
}

enum document_verdict relations_read(struct package *p, struct arena *a, const char *part, struct relations *ret)
{
    static const struct xml_events events = { .begins = relation_begins };
    const char                    *name = strrchr(part, '/'), *list;
    int                            folder = name ? (int)(name + 1 - part) : 0;

    *ret = (struct relations){ .arena = a, .from = str_from_cstr(part), .ids = arena_new(a, struct map) };
    map_init(ret->ids);
    arena_defer(a, free_map, ret->ids);
    list = arena_printf(a, "%.*s_rels/%s.rels", folder, part, part + folder).ptr;
    return package_has(p, list) ? xml_read(p, list, &events, ret) : DOCUMENT_OK;
}

const char *relation_target(const struct relations *r, str id)
{
    return map_get(r->ids, id);
}

const char *relation_of_type(const struct relations *r, str type)
{
    for (size_t i = 0; i < r->count; i++) {
        if (str_eq(r->at[i].type, type))
            return r->at[i].target;
    }
    return NULL;
}

/* ---- paragraphs ---- */

struct walk {
    struct out *out;
    size_t      skipped; /* depth of what is left out */
    size_t      runs, texts, cells;
    bool        in_row;  /* it has a cell before */
    bool        in_cell; /* it has text already */
};

static void text_begins(void *arg, str name, const char **attributes)
{
    struct walk *w = arg;

    (void)attributes;
    if (w->skipped || str_eq(name, S("Fallback"))) { /* the same again, for older programs */
        w->skipped++;
    } else if (str_eq(name, S("t"))) {
        w->texts++;
    } else if (str_eq(name, S("r"))) {
        w->runs++;
    } else if (str_eq(name, S("tr"))) {
        w->in_row = false;
    } else if (str_eq(name, S("tc"))) {
        if (w->in_row)
            out_add(w->out, S("\t"));
        w->cells++;
        w->in_cell = false;
    } else if (str_eq(name, S("br")) || str_eq(name, S("cr"))) {
        out_add(w->out, w->cells ? S(" ") : S("\n"));
    } else if (str_eq(name, S("tab")) && w->runs) { /* elsewhere it is a place */
        out_add(w->out, S("\t"));
    } else if (str_eq(name, S("noBreakHyphen"))) {
        out_add(w->out, S("-"));
    } else if (str_eq(name, S("p")) && w->cells && w->in_cell) {
        out_add(w->out, S(" "));
    }
}

static void text_ends(void *arg, str name)
{
    struct walk *w = arg;

    if (w->skipped) {
        w->skipped--;
    } else if (str_eq(name, S("t"))) {
        w->texts--;
    } else if (str_eq(name, S("r"))) {
        w->runs--;
    } else if (str_eq(name, S("tc"))) {
        w->cells--;
        w->in_row = true;
    } else if (str_eq(name, S("tr"))) {
        out_line(w->out);
        w->in_row = false;
    } else if (str_eq(name, S("p")) && !w->cells && w->out->breaks < 2) {
        out_add(w->out, S("\n"));
    }
}

static void text_text(void *arg, str text)
{
    struct walk *w = arg;

    if (!w->texts || w->skipped)
        return;
    w->in_cell = true;
    out_add(w->out, text);
}

static bool text_enough(void *arg)
{
    const struct walk *w = arg;

    return w->out->full || w->out->failed;
}

static const struct xml_events text_events = {
    .begins = text_begins, .ends = text_ends, .text = text_text, .enough = text_enough
};

static enum document_verdict part_read(struct reading *r, struct package *p, const char *part)
{
    struct walk           w = { .out = r->out };
    enum document_verdict v;

    out_gap(r->out);
    v = xml_read(p, part, &text_events, &w);
    return v ? reading_fails(r, v, arena_printf(r->arena, "the part %s", part).ptr) : v;
}

/* ---- DOCX ---- */

static enum document_verdict word_read(struct reading *r, struct package *p, const char *part)
{
    static const char *const notes[] = { "footnotes", "endnotes" };
    struct relations         relations;
    enum document_verdict    v = part_read(r, p, part);

    r->format = DOCUMENT_FORMAT_DOCX;
    if (v == DOCUMENT_OK)
        v = relations_read(p, r->arena, part, &relations);
    for (size_t i = 0; i < ARRAY_LEN(notes) && v == DOCUMENT_OK; i++) {
        const char *target = relation_of_type(&relations, str_from_cstr(notes[i]));

        if (target && package_has(p, target))
            v = part_read(r, p, target);
    }
    return v;
}

/* ---- PPTX ---- */

struct slides {
    struct reading  *r;
    struct relations relations;
    const char     **parts; /* in their order */
    size_t           count, cap;
};

static void presentation_begins(void *arg, str name, const char **attributes)
{
    struct slides *s = arg;
    const char    *part;

    if (!str_eq(name, S("sldId")))
        return;
    /* It has an id and an r:id: the second one is meant. */
    for (; attributes[0] && !strchr(attributes[0], ':'); attributes += 2)
        ;
    part = attributes[0] ? relation_target(&s->relations, str_from_cstr(attributes[1])) : NULL;
    if (!part)
        return;
    if (s->count == s->cap) {
        size_t cap = max_size(2 * s->cap, 16);

        s->parts = arena_realloc(s->r->arena, s->parts, s->cap * sizeof(*s->parts), cap * sizeof(*s->parts));
        s->cap = cap;
    }
    s->parts[s->count++] = part;
}

static enum document_verdict slides_read(struct reading *r, struct package *p, const char *part)
{
    static const struct xml_events events = { .begins = presentation_begins };
    struct slides                  s = { .r = r };
    enum document_verdict          v = relations_read(p, r->arena, part, &s.relations);

    r->format = DOCUMENT_FORMAT_PPTX;
    if (v == DOCUMENT_OK)
        v = xml_read(p, part, &events, &s);
    r->pages = (int64_t)s.count;
    if (v == DOCUMENT_OK && r->pages > r->page_max)
        return DOCUMENT_PAGES;
    for (size_t i = 0; i < s.count && v == DOCUMENT_OK && !r->out->full; i++)
        v = part_read(r, p, s.parts[i]);
    return v;
}

/* ---- which one ---- */

struct root {
    char name[16];
};

static void root_begins(void *arg, str name, const char **attributes)
{
    struct root *root = arg;

    (void)attributes;
    if (!root->name[0])
        snprintf(root->name, sizeof(root->name), "%.*s", STR_ARG(name));
}

static bool root_enough(void *arg)
{
    return ((struct root *)arg)->name[0];
}

/* By the element that its main part begins with. */
static enum document_verdict main_read(struct reading *r, struct package *p, const char *part)
{
    static const struct xml_events events = { .begins = root_begins, .enough = root_enough };
    struct root                    root = { 0 };
    enum document_verdict          v = xml_read(p, part, &events, &root);

    if (strcmp(root.name, "document") == 0)
        return word_read(r, p, part);
    if (strcmp(root.name, "presentation") == 0)
        return slides_read(r, p, part);
    if (strcmp(root.name, "workbook") == 0)
        return sheets_read(r, p, part);
    return v ? v : reading_fails(r, DOCUMENT_FORMAT, "a package of another program");
}

enum document_verdict office_read(struct reading *r, struct package *p)
{
    struct relations      relations;
    enum document_verdict v = relations_read(p, r->arena, "", &relations);
    const char           *part = v ? NULL : relation_of_type(&relations, S("officeDocument"));

    if (part)
        v = main_read(r, p, part);
    else if (!v)
        v = reading_fails(r, DOCUMENT_FORMAT, "a package of another program");
    return v ? reading_fails(r, v, "a part that cannot be read") : v;
}
