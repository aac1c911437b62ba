/* xml.c - expat. */
#include "engines/document/xml.h"

#include <expat.h>

struct walk {
    XML_Parser               parser;
    const struct xml_events *events;
    void                    *arg;
    size_t                   depth;
    int64_t                  fed; /* bytes */
    bool                     refused, wrong;
};

static str local(const char *name)
{
    const char *colon = strrchr(name, ':');

    return str_from_cstr(colon ? colon + 1 : name);
}

static void refuse(struct walk *w)
{
    w->refused = true;
    (void)XML_StopParser(w->parser, XML_FALSE);
}

static void begins(void *arg, const char *name, const char **attributes)
{
    struct walk *w = arg;

    if (++w->depth > XML_DEPTH_MAX)
        refuse(w);
    else
        w->events->begins(w->arg, local(name), attributes);
}

static void ends(void *arg, const char *name)
{
    struct walk *w = arg;

    w->depth--;
    if (w->events->ends)
        w->events->ends(w->arg, local(name));
}

static void text(void *arg, const char *ptr, int len)
{
    struct walk *w = arg;

    if (w->events->text)
        w->events->text(w->arg, str_of(ptr, (size_t)len));
}

static void entity(void *arg, const char *name, int is_parameter, const char *value, int len, const char *base,
                   const char *system_id, const char *public_id, const char *notation)
{
    (void)name;
    (void)is_parameter;
    (void)value;
    (void)len;
    (void)base;
    (void)system_id;
    (void)public_id;
    (void)notation;
    refuse(arg);
}

static bool take(void *arg, str piece, bool last)
{
    struct walk *w = arg;

    if (XML_Parse(w->parser, piece.ptr, (int)piece.len, last) != XML_STATUS_OK)
        w->wrong = true;
    w->fed += (int64_t)piece.len;
    w->wrong = w->wrong || w->fed - XML_GetCurrentByteIndex(w->parser) > XML_TOKEN_MAX;
    return !w->wrong && !w->refused && !(w->events->enough && w->events->enough(w->arg));
}

enum document_verdict xml_read(struct package *p, const char *part, const struct xml_events *events, void *arg)
{
    struct walk           w = { .parser = XML_ParserCreate(NULL), .events = events, .arg = arg };
    enum document_verdict v;

    if (!w.parser)
        return DOCUMENT_LARGE;
    XML_SetUserData(w.parser, &w);
    XML_SetElementHandler(w.parser, begins, ends);
    XML_SetCharacterDataHandler(w.parser, text);
    XML_SetEntityDeclHandler(w.parser, entity);
    v = package_pieces(p, part, take, &w);
    if (v == DOCUMENT_OK && (w.wrong || w.refused))
        v = DOCUMENT_BROKEN;
    XML_ParserFree(w.parser);
    return v;
}

str xml_attribute(const char **attributes, const char *name)
{
    for (; attributes[0]; attributes += 2) {
        if (str_eq(local(attributes[0]), str_from_cstr(name)))
            return str_from_cstr(attributes[1]);
    }
    return (str){ 0 };
}
