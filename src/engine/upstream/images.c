/* images.c - the words of the images API. */
#include "engine/upstream/images.h"

#include "contract/json.h"

#include <limits.h>
#include <openssl/evp.h>

str images_body(struct arena *a, const struct image_input *in, str model, bool strict)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, S("{\"model\":"));
    json_add_str(&b, model);
    buf_add(&b, S(",\"prompt\":"));
    json_add_str(&b, in->prompt);
    buf_addf(&b, ",\"n\":1,\"size\":\"%lldx%lld\",\"response_format\":\"b64_json\"", (long long)in->width,
             (long long)in->height);
    if (!strict) {
        json_add_count(&b, S(",\"seed\":"), in->seed);
        if (in->negative_prompt.len) {
            buf_add(&b, S(",\"negative_prompt\":"));
            json_add_str(&b, in->negative_prompt);
        }
    }
    buf_add_char(&b, '}');
    return buf_str(&b);
}

const char *images_read(struct arena *a, yyjson_val *root, struct image_answer *ret)
{
    str    text = json_str(json_get(yyjson_arr_get_first(json_get(root, "data")), "b64_json"));
    size_t padding = str_ends(text, S("==")) ? 2 : str_ends(text, S("="));
    char  *bytes;

    if (!text.len)
        return "it has no picture as b64_json";
    if (text.len % 4 || text.len > INT_MAX)
        return "its picture is no Base64";
    bytes = arena_bytes(a, text.len / 4 * 3);
    if (EVP_DecodeBlock((unsigned char *)bytes, (const unsigned char *)text.ptr, (int)text.len) < 0)
        return "its picture is no Base64";
    ret->bytes = str_of(bytes, text.len / 4 * 3 - padding);
    return NULL;
}
