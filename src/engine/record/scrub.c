/* scrub.c - takes what is secret out of a text that will be kept in a file. */
#include "engine/record/scrub.h"

#include "base/num.h"

#define SK_MIN     16 /* characters of a key behind "sk-" */
#define BEARER_MIN 8
#define REMOVED    S("REMOVED")

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_name(char c)
{
    return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

static bool is_key(char c)
{
    return is_alnum(c) || c == '_' || c == '-';
}

static bool is_token(char c)
{
    return is_name(c) || c == '~' || c == '+' || c == '/' || c == '=';
}

/* ---- names ---- */

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

/* Whether a name ends in `end`, or is it: "X-Api-Key" and "x_api_key" are "xapikey". */
static bool name_is(str name, str end, bool whole)
{
    while (name.len) {
        char c = name.ptr[--name.len];

        if (!is_alnum(c))
            continue;
        if (!end.len)
            return !whole;
        if (lower(c) != end.ptr[--end.len])
            return false;
    }
    return !end.len;
}

bool scrub_is_secret_name(str name)
{
    static const struct {
        char last;
        str  ends[6];
    } groups[] = {
        /* by their last letter: each header of each request that the journal notes is asked for */
        { 'd', { S("accesskeyid"), S("password"), S("passwd") } },
        { 'e', { S("cookie") } },
        { 'n',
          { S("authorization"), S("accesstoken"), S("refreshtoken"), S("sessiontoken"), S("securitytoken"),
            S("authtoken") } },
        { 't', { S("secret") } },
        { 'y', { S("apikey"), S("accesskey"), S("secretkey"), S("privatekey") } },
    };

    while (name.len && !is_alnum(name.ptr[name.len - 1]))
        name.len--;
    for (size_t i = 0; i < ARRAY_LEN(groups) && name.len; i++) {
        if (groups[i].last != lower(name.ptr[name.len - 1]))
            continue;
        for (size_t k = 0; k < ARRAY_LEN(groups[i].ends) && groups[i].ends[k].len; k++) {
            if (name_is(name, groups[i].ends[k], false))
                return true;
        }
    }
    return false;
}

/* In a query there are more: an answer may well have a member "token", which is a word, but no ?token=. */
static bool is_secret_parameter(str name)
{
    static const str whole[] = { S("key"), S("sig"), S("sign"), S("auth"), S("expires") };
    static const str ends[] = { S("token"), S("signature"), S("credential") };
    bool             secret = scrub_is_secret_name(name);

    for (size_t i = 0; i < ARRAY_LEN(whole); i++)
        secret = secret || name_is(name, whole[i], true);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        secret = secret || name_is(name, ends[i], false);
    return secret;
}

/* ---- forms ----
 *
 * Each says whether one begins at the beginning of `s`: how many bytes of it stay, and how many secret ones follow. */

struct found {
    size_t stays, secret;
};

static struct found known_at(str s, const struct scrub_known *known)
{
    for (size_t i = 0; known && i < known->count; i++) {
        if (known->secrets[i].len >= SCRUB_KNOWN_MIN && str_starts(s, known->secrets[i]))
            return (struct found){ 0, known->secrets[i].len };
    }
    return (struct found){ 0 };
}

/* A run of what `allowed` lets through, with a digit in it: words have none. */
static size_t run_len(str s, bool (*allowed)(char c), size_t min)
{
    size_t len = 0;
    bool   digit = false;

    while (len < s.len && allowed(s.ptr[len]))
        digit = is_digit(s.ptr[len++]) || digit;
    return digit && len >= min ? len : 0;
}

static struct found key_at(str s)
{
    if (!str_starts(s, S("sk-")) && !str_starts(s, S("st-")))
        return (struct found){ 0 };
    return (struct found){ 3, run_len(str_from(s, 3), is_key, SK_MIN) };
}

static struct found bearer_at(str s)
{
    if (!str_starts_nocase(s, S("bearer ")))
        return (struct found){ 0 };
    return (struct found){ 7, run_len(str_from(s, 7), is_token, BEARER_MIN) };
}

/* ?name=value, &name=value */
static struct found parameter_at(str s)
{
    size_t name = 1, end;

    if (s.ptr[0] != '?' && s.ptr[0] != '&')
        return (struct found){ 0 };
    while (name < s.len && is_name(s.ptr[name]))
        name++;
    if (name == s.len || s.ptr[name] != '=' || !is_secret_parameter(str_of(s.ptr + 1, name - 1)))
        return (struct found){ 0 };
    for (end = name + 1; end < s.len && (unsigned char)s.ptr[end] > ' '; end++) {
        if (str_find(S("&#\"'\\<>()"), s.ptr[end]) != STR_NONE)
            break;
    }
    return (struct found){ name + 1, end - name - 1 };
}

/* How long the JSON string is that begins at `s` and ends with `quote`. */
static size_t string_len(str s, str quote)
{
    size_t at = 0;

    while (at < s.len && !str_starts(str_from(s, at), quote)) {
        /* In JSON \x is one character; in JSON inside a string its backslash is two. */
        if (quote.len == 1)
            at += s.ptr[at] == '\\' ? 2 : 1;
        else if (!str_starts(str_from(s, at), S("\\\\")))
            at++;
        else
            at += at + 2 < s.len && s.ptr[at + 2] == '\\' ? 4 : 3;
    }
    return min_size(at, s.len);
}

/* "name": "value", and \"name\": \"value\" */
static struct found member_at(str s)
{
    str    quote = str_starts(s, S("\\\"")) ? S("\\\"") : S("\"");
    size_t at = quote.len;

    if (!str_starts(s, quote))
        return (struct found){ 0 };
    while (at < s.len && is_name(s.ptr[at]))
        at++;
    if (!str_starts(str_from(s, at), quote) || !scrub_is_secret_name(str_of(s.ptr + quote.len, at - quote.len)))
        return (struct found){ 0 };
    for (at += quote.len; at < s.len && str_find(S(" :\n"), s.ptr[at]) != STR_NONE; at++)
        ;
    if (!str_starts(str_from(s, at), quote))
        return (struct found){ 0 };
    at += quote.len;
    return (struct found){ at, string_len(str_from(s, at), quote) };
}

static struct found found_at(str s, bool begins_word, const struct scrub_known *known)
{
    struct found f = known_at(s, known);

    if (!f.secret && begins_word)
        f = key_at(s);
    if (!f.secret && begins_word)
        f = bearer_at(s);
    if (!f.secret)
        f = parameter_at(s);
    if (!f.secret)
        f = member_at(s);
    return f;
}

void scrub(struct buf *b, str text, const struct scrub_known *known)
{
    size_t kept = 0, at = 0;

    while (at < text.len) {
        struct found f = found_at(str_from(text, at), at == 0 || !is_key(text.ptr[at - 1]), known);

        if (!f.secret) {
            at++;
            continue;
        }
        buf_add(b, str_of(text.ptr + kept, at + f.stays - kept));
        buf_add(b, REMOVED);
        at += f.stays + f.secret;
        kept = at;
    }
    buf_add(b, str_from(text, kept));
}
