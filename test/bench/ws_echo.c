/* ws_echo.c - sends every WebSocket message back: what the protocol's conformance (test/sdk/websocket.test.mjs) and its speed
 * (./dev bench ws) are tried on.
 *
 *   ws_echo [MESSAGE-MAX]        prints "listening on 127.0.0.1:PORT", ends with SIGTERM
 */
#include "base/num.h"
#include "loop/loop.h"
#include "net/ws_session.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static size_t message_max = 32u << 20;

static struct http_body_plan plan(void *arg, struct http_exchange *x)
{
    (void)arg;
    (void)x;
    return (struct http_body_plan){ .max = 0 };
}

static void handle(void *arg, struct http_exchange *x)
{
    const char       *problem = ws_wanted(http_request(x)) ? ws_handshake_problem(http_request(x)) : "no WebSocket";
    struct ws_session s;
    struct ws_message m;

    (void)arg;
    if (problem) {
        struct http_field version = { S("sec-websocket-version"), S("13") };

        (void)http_answer(x, 400, &version, 1, str_from_cstr(problem));
        return;
    }
    if (ws_session_begin(&s, x, message_max, NULL, 0))
        return;
    while (!ws_session_receive(&s, DEADLINE_NONE, &m)) {
        if (m.payload.len > HTTP_STREAM_MARK) {
            if (ws_session_send(&s, m.opcode, m.payload))
                return;
            continue;
        }
        ws_session_add(&s, m.opcode, m.payload); /* several that came together go together */
        if (s.out.len > HTTP_STREAM_MARK && ws_session_flush(&s))
            return;
    }
}

int main(int argc, char **argv)
{
    struct loop               *l = loop_new();
    struct http_server_options o = { .connection_max = 100000, .plan = plan, .handle = handle };
    struct http_server        *server;
    struct address             at;
    char                       text[ADDRESS_TEXT_MAX];
    int64_t                    max;

    if (argc > 1 && (!str_to_i64(str_from_cstr(argv[1]), &max) || max < 0))
        return 2;
    if (argc > 1)
        message_max = (size_t)max;
    signal(SIGPIPE, SIG_IGN); /* clients leave in the middle */
    if (!address_parse(S("127.0.0.1:0"), &at) || http_server_open(l, &at, &o, &server))
        return 1;
    http_server_address(server, &at);
    address_format(&at, text);
    printf("listening on %s\n", text);
    (void)fflush(stdout);
    loop_run(l);
    return 0;
}
