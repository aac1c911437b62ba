/* catalog.h - every refusal that is documented or seen, as rows, and the search behind `dashbox explain`.
 *
 * The rows come from data/errors (tools/gen_errors.py) and are static: never freed, valid for ever, in the order of their
 * ids. Code refuses through the generated fail_…() constructors of "contract/errors.gen.h"; what a row becomes on the wire
 * is fault.c's business. Nothing here allocates but in the arena it is given.
 */
#ifndef DASHBOX_CONTRACT_CATALOG_H
#define DASHBOX_CONTRACT_CATALOG_H

#include "contract/fault.h"

enum error_level { ERROR_GATEWAY, ERROR_ENGINE };

struct error_arg {
    str                 name;
    enum fault_arg_kind kind;
};

/* What is answered under one wording. */
struct error_form {
    int status;      /* of HTTP; 0: this text never is an HTTP answer */
    str native;      /* code; empty where the reference has none */
    str compat_code; /* OpenAI-compatible; empty: the member is left out */
    str compat_type;
    str text; /* {name} stands for an argument */
};

struct error_row {
    str               id;      /* "E010a"; X, W and D rows: see data/errors/codes.txt */
    str               name;    /* "TEMPERATURE_RANGE" */
    str               area;    /* "chat" */
    struct error_form form[2]; /* by enum wording */
    unsigned          arg_count;
    struct error_arg  args[FAULT_ARGS_MAX];
    enum error_level  level;
    str               anchor; /* section of the help page; empty: no link */
    str               param;  /* error.param of the OpenAI-compatible protocol; empty: null */
    int               older;  /* index of the row used under EDITION_2024; -1: none */
    str               words;  /* what else it is called, parted by blanks; may be empty */
    str               cause, fix, cause_zh, fix_zh;
};

/* The rows, for indexes of enum error_number: &error_rows[ERROR_TEMPERATURE_RANGE]. */
extern const struct error_row error_rows[];
extern const unsigned         error_row_count;

/* By id ("E010a") or name ("TEMPERATURE_RANGE"), in any case. NULL when there is none. */
const struct error_row *error_find(str id_or_name);

/* What the OpenAI-compatible protocol answers for a native code, one line a native code; `native` may end in ".*". */
struct error_code {
    str native;
    struct {
        str code, type;
    } compat[2];   /* by enum wording */
    str anthropic; /* error.type of the Anthropic-compatible protocol; empty: the status says it */
};

extern const struct error_code error_codes[];
extern const unsigned          error_code_count;

/* The error.type of a status. */
struct error_http {
    int status;
    str anthropic;
};

extern const struct error_http error_https[];
extern const unsigned          error_http_count;

/* What error.type the Anthropic-compatible protocol tells for a status and a native code (chat.md §7.5). */
str error_anthropic_type(int status, str native);

/* The line of a native code, sub-codes included, or the first one that has this compatible code. NULL when there is
 * none. */
const struct error_code *error_code_by_native(str native);
const struct error_code *error_code_by_compat(str code);

enum error_how {
    ERROR_HOW_ID,      /* the id or the name */
    ERROR_HOW_EXACT,   /* the sentence, apart from case, blanks, "please", prefix, link and final period */
    ERROR_HOW_NUMBERS, /* the same with other numbers in it */
    ERROR_HOW_INSIDE,  /* the sentence stands in a longer text */
    ERROR_HOW_CODE,    /* the code only */
    ERROR_HOW_WORDS,   /* all words of the text occur in the row */
    ERROR_HOW_NEAR,    /* some of them: a guess */
};

struct error_hit {
    const struct error_row *row;
    enum error_how          how;
    int                     score;                /* higher is better; comparable within one search */
    str                     args[FAULT_ARGS_MAX]; /* as found in the text; empty when not bound */
};

/* Looks for what a person pastes: an id, a name, a code, a sentence with or without prefix and link, a reply body of
 * either protocol, an error frame of a stream. Fills at most `max` hits, best first, and returns how many. When the
 * first is ERROR_HOW_NEAR, nothing was found and all are guesses. Texts of the hits are views of `a` or of `query`. */
size_t error_search(struct arena *a, str query, struct error_hit *hits, size_t max);

#endif
