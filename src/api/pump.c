/* pump.c - takes the events of a chat answer from the service to a surface. */
#include "api/pump.h"

#include "api/reply.h"
#include "net/http_server.h"

enum err pump_whole(struct gathered *all, struct chat_run *run)
{
    struct chat_event ev;
    enum err          e;

    while (!(e = chat_next(run, &ev)))
        gather_event(all, &ev);
    return e == ERR_EOF ? OK : e;
}

enum err pump_stream(struct request *rq, struct chat_run *run, void (*send)(void *arg, const struct chat_event *ev),
                     void *arg)
{
    struct chat_event ev;
    enum err          e = chat_next(run, &ev);

    if (e)
        return e;
    reply_stream_begin(rq, 200);
    request_phase(rq, PHASE_STREAM);
    while (!e) {
        send(arg, &ev);
        if (!chat_ready(run) || http_stream_buf(rq->x)->len >= HTTP_STREAM_MARK) {
            e = http_stream_flush(rq->x);
            if (e)
                return e == ERR_EOF ? ERR_CANCELLED : e; /* the client's end is not the answer's */
        }
        e = chat_next(run, &ev);
    }
    return e;
}
