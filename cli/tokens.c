/* tokens.c - dashbox tokens: how many tokens a text is, counted here as the server counts. */
#include "cli/cli.h"
#include "cli/client.h"

#include "contract/json.h"
#include "server/server.h"
#include "tokens/tokenizer.h"

static const char usage[] = "usage: dashbox tokens FILE|- [--ids | --tokens | --json]\n"
                            "\n"
                            "Prints how many tokens the text is for Qwen's models; no server is asked.\n"
                            "\n"
                            "  --ids              the tokens' numbers, one a line\n"
                            "  --tokens           their texts, each a line of JSON; U+FFFD for parts of characters\n"
                            "  --json             all of it as one object\n"
                            "  --tokenizer FILE   the vocabulary [the installed one]\n";

enum form { FORM_COUNT, FORM_IDS, FORM_TOKENS, FORM_JSON };

static void print_json(struct arena *a, const struct tokenizer *t, const uint32_t *ids, size_t count)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    json_add_count(&b, S("{\"count\":"), (int64_t)count);
    buf_add(&b, S(",\"token_ids\":["));
    for (size_t i = 0; i < count; i++)
        buf_addf(&b, i ? ",%u" : "%u", ids[i]);
    buf_add(&b, S("],\"tokens\":["));
    for (size_t i = 0; i < count; i++) {
        buf_add(&b, i ? S(",") : S(""));
        json_add_lossy(&b, tokenizer_decode(t, ids[i]));
    }
    buf_add(&b, S("]}"));
    cli_print(&b);
}

static void print(struct arena *a, const struct tokenizer *t, str text, enum form form)
{
    size_t     count = tokenizer_count(t, text);
    uint32_t  *ids;
    struct buf b;

    if (form == FORM_COUNT) {
        printf("%zu\n", count);
        return;
    }
    ids = arena_array(a, uint32_t, count);
    (void)tokenizer_encode(t, text, ids, count); /* as many as were counted */
    if (form == FORM_JSON) {
        print_json(a, t, ids, count);
        return;
    }
    buf_init(&b, a, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        buf_reset(&b);
        if (form == FORM_IDS)
            buf_add_i64(&b, ids[i]);
        else
            json_add_lossy(&b, tokenizer_decode(t, ids[i]));
        cli_print(&b);
    }
}

int cli_tokens(int argc, char **argv)
{
    const char             *table = "";
    bool                    ids = false, tokens = false, json = false;
    const struct cli_option options[] = { { "--tokenizer", &table, NULL },
                                          { "--ids", NULL, &ids },
                                          { "--tokens", NULL, &tokens },
                                          { "--json", NULL, &json } };
    struct cli_client       c;
    struct tokenizer       *t;
    str                     text;
    int                     status;

    if (!cli_client_begin(&c, argc, argv, usage, options, ARRAY_LEN(options), &status))
        return status;
    if (c.word_count != 1 || ids + tokens + json > 1) {
        fputs(usage, stderr);
        return cli_client_end(&c, CLI_USAGE);
    }
    if (!cli_client_read(&c, c.words[0], &text))
        return cli_client_end(&c, CLI_FAILED);
    if (server_tokenizer_open(str_from_cstr(table), &c.arena, &t))
        return cli_client_end(&c, cli_client_complain(&c, CLI_FAILED, "the vocabulary qwen.tok cannot be read"));
    print(&c.arena, t, text, json ? FORM_JSON : tokens ? FORM_TOKENS : ids ? FORM_IDS : FORM_COUNT);
    tokenizer_close(t);
    return cli_client_end(&c, CLI_DONE);
}
