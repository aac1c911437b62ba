/* picture.c - asks a terminal what it can, and writes pictures in its protocol.
 *
 * Spec: kitty's "Terminal graphics protocol", iTerm2's "Inline images protocol", ECMA-48 (device attributes).
 */
#include "cli/picture.h"

#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define ANSWER_MS 200
#define CHUNK     4096 /* base64 in one escape of kitty's; a multiple of 4 */

/* A query of kitty's that shows nothing, and one that every terminal answers, so that its answer ends the waiting. */
static const char query[] = "\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\033\\\033[c";

/* What the terminal sends back, up to the "c" of its device attributes. */
static str ask(int fd, char *room, size_t size)
{
    struct pollfd wait = { .fd = fd, .events = POLLIN };
    size_t        len = 0;

    if (write(fd, query, sizeof(query) - 1) != (ssize_t)sizeof(query) - 1)
        return (str){ 0 };
    while (len < size && poll(&wait, 1, ANSWER_MS) == 1) {
        ssize_t n = read(fd, room + len, size - len);

        if (n <= 0)
            break;
        len += (size_t)n;
        if (str_find_str(str_of(room, len), S("\033[?")) != STR_NONE && room[len - 1] == 'c')
            break;
    }
    return str_of(room, len);
}

/* Without echo, and not line by line: the answer is not typed by anybody. */
static bool is_kitty(void)
{
    char           room[256];
    struct termios before, raw;
    int            fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    bool           is = false;

    if (fd < 0)
        return false;
    if (!tcgetattr(fd, &before)) {
        raw = before;
        raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        raw.c_cc[VMIN] = 1;
        raw.c_cc[VTIME] = 0;
        if (!tcsetattr(fd, TCSAFLUSH, &raw)) {
            is = str_find_str(ask(fd, room, sizeof(room)), S("_Gi=31;OK")) != STR_NONE;
            (void)tcsetattr(fd, TCSAFLUSH, &before); /* it was so before */
        }
    }
    close(fd);
    return is;
}

static bool env_is(const char *name, const char *value)
{
    const char *text = getenv(name);

    return text && strcmp(text, value) == 0;
}

enum picture_protocol picture_protocol(void)
{
    if (!isatty(STDOUT_FILENO) || env_is("TERM", "dumb"))
        return PICTURE_NONE;
    if (env_is("TERM_PROGRAM", "iTerm.app") || env_is("LC_TERMINAL", "iTerm2") || env_is("TERM_PROGRAM", "WezTerm"))
        return PICTURE_ITERM;
    return is_kitty() ? PICTURE_KITTY : PICTURE_NONE;
}

static str base64(struct arena *a, str s)
{
    char *text = arena_bytes(a, s.len / 3 * 4 + 8);

    return str_of(text, (size_t)EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)s.ptr, (int)s.len));
}

static void show_kitty(str text)
{
    for (bool first = true; text.len; first = false) {
        str piece = str_first(text, CHUNK);

        text = str_from(text, piece.len);
        printf("\033_G%sm=%d;%.*s\033\\", first ? "f=100,a=T," : "", text.len > 0, STR_ARG(piece));
    }
    putchar('\n');
}

bool picture_show(struct cli_client *c, enum picture_protocol p, str picture)
{
    if (p == PICTURE_NONE || !picture.len || picture.len > INT32_MAX / 2)
        return false;
    if (p == PICTURE_KITTY && !str_starts(picture, S("\x89PNG")))
        return false; /* its other forms are raw pixels */
    if (p == PICTURE_KITTY)
        show_kitty(base64(&c->arena, picture));
    else
        printf("\033]1337;File=inline=1;size=%zu:%.*s\a\n", picture.len, STR_ARG(base64(&c->arena, picture)));
    return true;
}
