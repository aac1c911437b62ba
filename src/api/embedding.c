/* embedding.c - vectors as JSON. */
#include "api/embedding.h"

#include "contract/json.h"

#include <openssl/evp.h>

#define NUMBER_TEXT 22 /* "-0.06951998919248581," */
#define AROUND      64 /* bytes around a vector */

static void add_base64(struct buf *b, const double *v, size_t count)
{
    unsigned char *bytes = (unsigned char *)arena_bytes(b->arena, 4 * count);
    char          *text = arena_bytes(b->arena, (4 * count + 2) / 3 * 4 + 1);

    for (size_t i = 0; i < count; i++) {
        float    f = (float)v[i];
        uint32_t bits;

        memcpy(&bits, &f, 4);
        for (unsigned k = 0; k < 4; k++)
            bytes[4 * i + k] = (unsigned char)(bits >> 8 * k);
    }
    buf_add_char(b, '"');
    buf_add(b, str_of(text, (size_t)EVP_EncodeBlock((unsigned char *)text, bytes, (int)(4 * count))));
    buf_add_char(b, '"');
}

void embedding_add(struct buf *b, const struct embed_answer *a, size_t index, enum embed_encoding encoding)
{
    if (encoding == EMBED_BASE64)
        add_base64(b, a->vectors[index].dense, a->dimension);
    else
        json_add_nums(b, a->vectors[index].dense, a->dimension);
}

void embedding_room(struct buf *b, const struct embed_answer *a)
{
    (void)buf_room(b, a->count * (a->dimension * NUMBER_TEXT + AROUND) + 4 * AROUND);
}
