/* ws_echo_lws.c - the same as ws_echo.c with libwebsockets, for ./dev bench ws: its plain event loop, one thread, no extensions. */
#include <libwebsockets.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE = 64 * 1024, DEPTH = 16 }; /* as the bench sends at most */

/* Messages that wait to be written, in a ring. */
struct message {
    unsigned char *bytes; /* LWS_PRE free before it */
    size_t         len;
    int            binary;
};

struct session {
    struct message ring[DEPTH];
    unsigned       head, count;
};

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
    struct session *s = user;
    struct message *m;

    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        memset(s, 0, sizeof(*s));
        break;
    case LWS_CALLBACK_CLOSED:
        for (unsigned i = 0; i < DEPTH; i++)
            free(s->ring[i].bytes);
        break;
    case LWS_CALLBACK_RECEIVE:
        if (s->count == DEPTH)
            return -1;
        m = &s->ring[(s->head + s->count) % DEPTH];
        if (!m->bytes)
            m->bytes = malloc(LWS_PRE + MESSAGE);
        if (lws_is_first_fragment(wsi))
            m->len = 0;
        if (!m->bytes || len > MESSAGE - m->len)
            return -1;
        memcpy(m->bytes + LWS_PRE + m->len, in, len);
        m->len += len;
        m->binary = lws_frame_is_binary(wsi);
        if (lws_is_final_fragment(wsi)) {
            s->count++;
            lws_callback_on_writable(wsi);
        }
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        while (s->count && !lws_send_pipe_choked(wsi)) {
            m = &s->ring[s->head];
            if (lws_write(wsi, m->bytes + LWS_PRE, m->len, m->binary ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < (int)m->len)
                return -1;
            s->head = (s->head + 1) % DEPTH;
            s->count--;
        }
        if (s->count)
            lws_callback_on_writable(wsi);
        break;
    default:
        break;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct lws_protocols protocols[] = {
        { .name = "echo",
          .callback = on_event,
          .per_session_data_size = sizeof(struct session),
          .rx_buffer_size = 65536 },
        { 0 },
    };
    struct lws_context_creation_info info = { .protocols = protocols, .iface = "127.0.0.1", .gid = -1, .uid = -1 };
    struct lws_context              *context;

    if (argc != 2)
        return 2;
    signal(SIGPIPE, SIG_IGN); /* loads end in the middle */
    info.port = atoi(argv[1]);
    lws_set_log_level(LLL_ERR, NULL);
    context = lws_create_context(&info);
    if (!context)
        return 1;
    printf("listening on 127.0.0.1:%d\n", info.port);
    (void)fflush(stdout);
    while (lws_service(context, 0) >= 0)
        ;
    return 0;
}
