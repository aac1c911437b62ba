/* hello.c - what a program with libdashscope looks like: asks one thing and prints the answer as it comes. */
#include <dashscope.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    struct dashscope             *c = dashscope_open(NULL);
    struct dashscope_message      m = { "user", argc > 1 ? argv[1] : "hello" };
    struct dashscope_chat_input   q = { .model = "qwen-plus", .messages = &m, .message_count = 1 };
    struct dashscope_stream      *s;
    const struct dashscope_chunk *k;
    const struct dashscope_error *e;
    int                           failed;

    if (!c)
        return 1;
    if (dashscope_chat_open(c, &q, &s) == DASHSCOPE_OK) {
        while (dashscope_chat_next(s, &k) == DASHSCOPE_OK)
            fputs(k->text, stdout);
        dashscope_chat_close(s);
        putchar('\n');
    }
    e = dashscope_last_error(c);
    failed = e->result != DASHSCOPE_OK;
    if (failed)
        fprintf(stderr, "%d %s: %s\n", e->status, e->code, e->message);
    dashscope_close(c);
    return failed;
}
