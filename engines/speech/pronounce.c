/* pronounce.c - flite's lexicon. */
#include "pronounce.h"

#include "base/buf.h"

#include <flite/flite.h>

cst_lexicon *cmu_lex_init(void);

static bool add_word(struct buf *b, const char *word)
{
    static cst_lexicon *lexicon;
    cst_val            *sounds;

    if (!lexicon)
        lexicon = cmu_lex_init();
    sounds = lex_lookup(lexicon, word, NULL, NULL);
    for (const cst_val *v = sounds; v; v = val_cdr(v)) {
        const char *s = val_string(val_car(v));

        if (b->len)
            buf_add_char(b, ' ');
        if (s[0] == 'a' && s[1] == 'x') { /* CMU's dictionary writes the schwa so */
            buf_add(b, S("AH"));
            continue;
        }
        for (; *s; s++) {
            if (*s >= 'a' && *s <= 'z')
                buf_add_char(b, (char)(*s - 'a' + 'A'));
        }
    }
    delete_val(sounds);
    return sounds;
}

const char *pronounce(struct arena *a, str text)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    while (text.len) {
        str   word = str_cut(&text, ' ');
        char *lower = arena_bytes(a, word.len + 1);

        for (size_t i = 0; i < word.len; i++) {
            char c = word.ptr[i];

            lower[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
            if (!(lower[i] >= 'a' && lower[i] <= 'z') && lower[i] != '\'')
                return NULL;
        }
        lower[word.len] = 0;
        if (word.len && !add_word(&b, lower))
            return NULL;
    }
    if (!b.len)
        return NULL;
    buf_add_char(&b, 0);
    return buf_str(&b).ptr;
}
