/* arguments.c - reads command lines. */
#include "server/arguments.h"

#include "base/num.h"

#include <stdint.h>
#include <stdio.h>

#define NAME_MAX_LEN 64
#define KNOWN_MAX    32

/* How many edits apart two short names are. */
static size_t distance(str a, str b)
{
    size_t row[NAME_MAX_LEN + 1];

    if (a.len > NAME_MAX_LEN || b.len > NAME_MAX_LEN)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t corner = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            size_t best = corner + (a.ptr[i - 1] != b.ptr[j - 1]);

            best = min_size(best, min_size(above + 1, row[j - 1] + 1));
            corner = above;
            row[j] = best;
        }
    }
    return row[b.len];
}

str name_nearest(str name, const str *names, size_t count)
{
    str    best = { 0 };
    size_t best_distance = min_size(4, name.len / 2 + 1); /* of a short name, less */

    for (size_t i = 0; i < count; i++) {
        size_t d = distance(name, names[i]);

        if (d < best_distance) {
            best = names[i];
            best_distance = d;
        }
    }
    return best;
}

static int unknown(const struct arguments *a, str name)
{
    str names[KNOWN_MAX], near;

    ASSERT(a->known_count <= KNOWN_MAX);
    for (size_t i = 0; i < a->known_count; i++)
        names[i] = a->known[i].name;
    near = name_nearest(name, names, a->known_count);
    fprintf(stderr, "%s: there is no option %.*s", a->command, STR_ARG(name));
    if (near.len)
        fprintf(stderr, "; did you mean %.*s?", STR_ARG(near));
    fputc('\n', stderr);
    return ARGUMENT_WRONG;
}

/* "-0.50" is a word. */
static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

int arguments_next(struct arguments *a)
{
    str    word, name;
    size_t equals;

    a->value = *a->words;
    if (!a->value)
        return ARGUMENT_END;
    a->words++;
    word = str_from_cstr(a->value);
    if (!a->only_words && str_eq(word, S("--"))) {
        a->only_words = true;
        return arguments_next(a);
    }
    if (a->only_words || word.len < 2 || word.ptr[0] != '-' || is_digit(word.ptr[1]))
        return ARGUMENT_WORD;
    equals = str_find(word, '=');
    name = str_first(word, equals);
    for (size_t i = 0; i < a->known_count; i++) {
        if (!str_eq(a->known[i].name, name))
            continue;
        if (!a->known[i].takes_value && equals != STR_NONE) {
            fprintf(stderr, "%s: %.*s takes no value\n", a->command, STR_ARG(name));
            return ARGUMENT_WRONG;
        }
        if (a->known[i].takes_value && equals == STR_NONE) {
            if (!*a->words) {
                fprintf(stderr, "%s: %.*s needs a value\n", a->command, STR_ARG(name));
                return ARGUMENT_WRONG;
            }
            a->value = *a->words++;
        } else if (a->known[i].takes_value) {
            a->value += equals + 1;
        }
        return (int)i;
    }
    return unknown(a, name);
}
