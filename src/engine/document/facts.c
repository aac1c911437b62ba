/* facts.c - the document engine's answer. */
#include "engine/document/facts.h"

#include "contract/json.h"

#define ERROR_MAX ((size_t)512)

static const char *const verdicts[] = {
#define X(name, word) [DOCUMENT_##name] = word,
    DOCUMENT_VERDICTS(X)
#undef X
};

static const char *const formats[] = {
#define X(name, word) [DOCUMENT_FORMAT_##name] = word,
    DOCUMENT_FORMATS(X)
#undef X
};

const char *document_verdict_name(enum document_verdict v)
{
    return verdicts[v];
}

const char *document_format_name(enum document_format f)
{
    return formats[f];
}

enum document_verdict document_verdict_of(str word)
{
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        if (str_eq(word, str_from_cstr(verdicts[i])))
            return (enum document_verdict)i;
    }
    return DOCUMENT_BROKEN;
}

static bool read_word(yyjson_val *v, const char *const *words, size_t count, size_t *ret)
{
    for (size_t i = 0; i < count; i++) {
        if (yyjson_is_str(v) && str_eq(json_str(v), str_from_cstr(words[i]))) {
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool read_count(yyjson_val *v, int64_t *ret)
{
    return json_to_i64(v, ret) && *ret >= 0;
}

enum err document_facts_read(struct arena *a, str json, struct document_facts *ret)
{
    yyjson_val           *root = json_parse_copy(a, json), *error = json_get(root, "error");
    struct document_facts f = { 0 };
    size_t                verdict, format;

    if (!yyjson_is_obj(root) || !read_word(json_get(root, "verdict"), verdicts, ARRAY_LEN(verdicts), &verdict) ||
        !read_word(json_get(root, "format"), formats, ARRAY_LEN(formats), &format) ||
        !read_count(json_get(root, "pages"), &f.pages) || !read_count(json_get(root, "text_bytes"), &f.text_bytes) ||
        !read_count(json_get(root, "cpu_us"), &f.cpu_us) || !yyjson_is_str(error) || json_str(error).len > ERROR_MAX)
        return ERR_PROTOCOL;
    f.verdict = (enum document_verdict)verdict;
    f.format = (enum document_format)format;
    f.scanned = f.verdict == DOCUMENT_SCANNED;
    f.error = arena_str(a, json_str(error));
    if ((f.verdict == DOCUMENT_OK) != (f.text_bytes > 0))
        return ERR_PROTOCOL;
    *ret = f;
    return OK;
}
