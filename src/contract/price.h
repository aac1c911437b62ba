/* price.h - what the cloud asks for a model, in integers.
 *
 * Money is int64_t millionths of the region's currency. The rows come from the facts price.cn and price.usd of data/models,
 * which tools/gen_models.py reads (and refuses what it cannot). Spec: models.md §4.
 */
#ifndef DASHBOX_CONTRACT_PRICE_H
#define DASHBOX_CONTRACT_PRICE_H

#include "base/str.h"

struct model;

/* Whose list holds: the mainland's in CNY, or the international one in USD. */
enum price_region { PRICE_CN, PRICE_INTL, PRICE_REGION_COUNT };

/* What is counted; an amount is for so many of them. */
enum price_unit {
    PRICE_TOKENS,  /* 1,000,000 */
    PRICE_CHARS,   /* 10,000 */
    PRICE_SECONDS, /* 1 */
    PRICE_IMAGES,  /* 1 */
    PRICE_CALLS,   /* 1 */
};

/* Tokens have a price by what they are; every other unit has the first alone. */
enum price_part {
    PRICE_IN,
    PRICE_IN_AUDIO,
    PRICE_IN_IMAGE, /* and video */
    PRICE_OUT,
    PRICE_OUT_THINKING,   /* the whole answer, when it thinks */
    PRICE_OUT_MULTIMODAL, /* text that answers more than text */
    PRICE_OUT_AUDIO,
    PRICE_PART_COUNT
};

struct price_row {
    int64_t upto; /* tokens: holds for requests of at most so many input tokens; 0: of any size */
    str     when; /* other units: "1080P", "images<=25", as printed; mostly empty */
    int64_t amount[PRICE_PART_COUNT];
};

struct price {
    enum price_unit         unit;
    unsigned                row_count; /* at least 1 */
    const struct price_row *rows;      /* tokens: in the order of upto */
};

/* The free quota that an account is given of each model. */
struct price_free {
    enum price_unit unit;
    int64_t         amount;     /* 0: none */
    int             valid_days; /* from the account's activation; 0: `monthly` */
    bool            monthly;
};

/* The tokens of one request, or what was made. */
struct price_use {
    int64_t prompt;        /* all input */
    int64_t cached;        /* part of it that an implicit cache had */
    int64_t cache_created; /* parts of it that an explicit cache took, and gave */
    int64_t cache_read;
    int64_t completion; /* all output, with reasoning */
    bool    thinking;
    bool    batch;
    int64_t images,
        play_ms;        /* made or heard, of the size `when` ("720P"): what models without a price by tokens cost */
    int64_t characters; /* spoken: the same */
    str     when;
    int64_t
        free; /* tokens that the free quota pays: of the prompt first (never of the explicit cache), then of the answer */
};

/* How much of the model's unit that is, rounded up: what its free quota is counted in. */
int64_t price_units(const struct model *m, enum price_region region, const struct price_use *use);

/* Whether that is anything. */
static inline bool price_is_made(const struct price_use *use)
{
    return use->images || use->play_ms || use->characters;
}

/* Millionths of what was made, by images, by seconds, by characters or by calls; `free` are units. The row is the one whose words have `when` in them,
 * else the first. 0 for a model with a price by tokens. */
int64_t price_made(const struct model *m, enum price_region region, const struct price_use *use);

/* Millionths; 0 for a model without a price by tokens. Rounded once a request, half up.
 *
 * The row is chosen by the whole prompt, and holds for the whole request; a prompt beyond the last row pays the last.
 * Batch is half of all. Otherwise what an implicit cache had costs the model's share of the input price, and an explicit
 * cache takes at 125 % and gives at 10 %. */
int64_t price_chat(const struct model *m, enum price_region region, const struct price_use *use);

/* "CNY", "USD". */
str price_currency(enum price_region region);

/* "12.345678" of millionths, without needless zeros beyond two places. NUL-terminated. */
#define PRICE_TEXT_MAX 32
void price_format(char text[PRICE_TEXT_MAX], int64_t millionths);
/* "100", "-0.5": at most six places. False when it is no amount. */
bool price_parse(str text, int64_t *ret);

#endif
