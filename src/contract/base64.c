/* base64.c - by OpenSSL. Thread: any. */
#include "contract/base64.h"

#include <limits.h>
#include <openssl/evp.h>

void base64_add(struct buf *b, str bytes)
{
    size_t n = (bytes.len + 2) / 3 * 4;

    ASSERT(bytes.len < INT_MAX / 2);
    if (!n)
        return;
    (void)EVP_EncodeBlock((unsigned char *)buf_room(b, n + 1), (const unsigned char *)bytes.ptr, (int)bytes.len);
    b->len += n;
}

enum err base64_read(struct arena *a, str text, str *ret)
{
    size_t pads = str_ends(text, S("==")) ? 2 : str_ends(text, S("=")) ? 1 : 0;
    char  *to = arena_bytes(a, text.len / 4 * 3 + 1);
    int    n;

    *ret = (str){ 0 };
    if (text.len % 4 || text.len > INT_MAX / 2)
        return ERR_INVALID;
    n = text.len ? EVP_DecodeBlock((unsigned char *)to, (const unsigned char *)text.ptr, (int)text.len) : 0;
    if (n < 0)
        return ERR_INVALID;
    *ret = str_of(to, (size_t)n - pads);
    return OK;
}
