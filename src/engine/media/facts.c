/* facts.c - the media engine's answer. */
#include "engine/media/facts.h"

#include "contract/json.h"

#define WORD_MAX  32 /* of a format or codec */
#define ERROR_MAX ((size_t)1024)

static const char *const kinds[] = {
    [MEDIA_UNKNOWN] = "unknown", [MEDIA_IMAGE] = "image", [MEDIA_VIDEO] = "video", [MEDIA_AUDIO] = "audio"
};

const char *media_kind_name(enum media_kind k)
{
    return kinds[k];
}

static bool read_kind(yyjson_val *v, enum media_kind *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (str_eq(json_str(v), str_from_cstr(kinds[i]))) {
            *ret = (enum media_kind)i;
            return true;
        }
    }
    return false;
}

/* Letters, digits and _: such a name may stand in an answer to a client. */
static bool read_word(struct arena *a, yyjson_val *v, str *ret)
{
    str s = json_str(v);

    if (!yyjson_is_str(v) || s.len > WORD_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'))
            return false;
    }
    *ret = arena_str(a, s);
    return true;
}

static bool read_count(yyjson_val *v, int64_t *ret)
{
    int64_t n;

    if (!json_to_i64(v, &n) || n < 0)
        return false;
    *ret = n;
    return true;
}

/* From `min` to `max`. */
static bool read_num(yyjson_val *v, double min, double max, double *ret)
{
    double n;

    if (!json_to_num(v, &n) || !(n >= min && n <= max))
        return false;
    *ret = n;
    return true;
}

static bool read_bool(yyjson_val *v, bool *ret)
{
    *ret = yyjson_is_true(v);
    return yyjson_is_bool(v);
}

enum err media_facts_read(struct arena *a, str json, struct media_facts *ret)
{
    yyjson_val        *root = json_parse_copy(a, json);
    yyjson_val        *brightness = json_get(root, "brightness"), *error = json_get(root, "error");
    struct media_facts f = { .brightness = -1 };

    if (!yyjson_is_obj(root) || !read_kind(json_get(root, "kind"), &f.kind) ||
        !read_word(a, json_get(root, "format"), &f.format) || !read_count(json_get(root, "bytes"), &f.bytes) ||
        !read_count(json_get(root, "width"), &f.width) || !read_count(json_get(root, "height"), &f.height) ||
        !read_count(json_get(root, "frames"), &f.frames) || !read_num(json_get(root, "fps"), 0, 1e6, &f.fps) ||
        !read_count(json_get(root, "duration_ms"), &f.duration_ms) ||
        !read_word(a, json_get(root, "video_codec"), &f.video_codec) ||
        !read_word(a, json_get(root, "audio_codec"), &f.audio_codec) ||
        !read_count(json_get(root, "sample_rate"), &f.sample_rate) ||
        !read_count(json_get(root, "channels"), &f.channels) ||
        (brightness && !read_num(brightness, 0, 255, &f.brightness)) || !read_bool(json_get(root, "alpha"), &f.alpha) ||
        !read_bool(json_get(root, "animated"), &f.animated) || !read_bool(json_get(root, "truncated"), &f.truncated) ||
        !yyjson_is_str(error) || json_str(error).len > ERROR_MAX || !read_count(json_get(root, "cpu_us"), &f.cpu_us))
        return ERR_PROTOCOL;
    f.error = arena_str(a, json_str(error));
    *ret = f;
    return OK;
}
