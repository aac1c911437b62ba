/* test_channel.c - messages and descriptors over a pair of sockets, and to a child. */
#include "loop/channel.c"

#include "loop/process.h"
#include "run.h"

#include <fcntl.h>

static void whole(void *arg)
{
    struct channel *c;
    char            text[CHANNEL_MESSAGE_MAX];
    size_t          len = 0;
    int             other;

    (void)arg;
    CHECK(channel_open(loop, &c, &other) == OK);
    CHECK(channel_receive(c, text, sizeof(text), after_ms(10), &len) == ERR_TIMEOUT);
    CHECK(send(other, "one", 3, 0) == 3 && send(other, "two!", 4, 0) == 4);
    CHECK(channel_receive(c, text, sizeof(text), after_ms(5000), &len) == OK);
    CHECK_STR(str_of(text, len), "one");
    CHECK(channel_receive(c, text, 2, after_ms(5000), &len) == ERR_LIMIT);
    CHECK(channel_send(c, S("three"), -1) == OK);
    CHECK(recv(other, text, sizeof(text), 0) == 5);
    close(other);
    CHECK(channel_receive(c, text, sizeof(text), after_ms(5000), &len) == ERR_EOF);
    CHECK(channel_send(c, S("four"), -1) == ERR_EOF);
    channel_close(c);
}

static void messages_stay_whole(void **state)
{
    (void)state;
    run_fiber(whole);
}

static void full(void *arg)
{
    struct channel *c;
    char            text[CHANNEL_MESSAGE_MAX] = "";
    int             other, sent = 0;
    enum err        e;

    (void)arg;
    CHECK(channel_open(loop, &c, &other) == OK);
    while ((e = channel_send(c, str_of(text, sizeof(text)), -1)) == OK && sent < 100000)
        sent++;
    CHECK(e == ERR_LIMIT);
    CHECK(sent > 0);
    close(other);
    channel_close(c);
}

static void who_is_not_heard_is_told(void **state)
{
    (void)state;
    run_fiber(full);
}

/* The child reads the file that comes with the message, and says what it has as environment and as descriptors. */
static const char child_script[] =
    "import array, os, socket\n"
    "s = socket.socket(fileno=3)\n"
    "m, control, flags, where = s.recvmsg(100, 100)\n"
    "fd = array.array('i', control[0][2])[0]\n"
    "s.send(m + b' ' + os.pread(fd, 100, 0) + b' ' + os.environ.get('HOME', 'none').encode() + b' ' + os.environ['A'].encode())\n";

static void child(void *arg)
{
    const char *const      argv[] = { "/usr/bin/env", "python3", "-c", child_script, NULL };
    const char *const      env[] = { "A=b", "PATH=/usr/bin:/bin:/usr/local/bin", NULL };
    struct process_options o = { .argv = argv, .env = env, .bare = true };
    struct process        *p;
    struct channel        *c;
    char                   text[CHANNEL_MESSAGE_MAX], name[] = "/tmp/dashbox-channel-XXXXXX";
    size_t                 len = 0;
    int                    fd = mkstemp(name);

    (void)arg;
    CHECK(fd >= 0 && write(fd, "content", 7) == 7);
    (void)unlink(name);
    CHECK(channel_open(loop, &c, &o.channel) == OK);
    CHECK(process_start(loop, &o, &p) == OK);
    close(o.channel);
    CHECK(channel_send(c, S("read it"), fd) == OK);
    close(fd);
    CHECK(channel_receive(c, text, sizeof(text), after_ms(20000), &len) == OK);
    CHECK_STR(str_of(text, len), "read it content none b");
    CHECK(channel_receive(c, text, sizeof(text), after_ms(20000), &len) == ERR_EOF); /* it has ended */
    CHECK(process_wait(p, after_ms(20000)) == OK);
    process_free(p);
    channel_close(c);
}

static void a_child_has_its_end_and_the_file_and_no_more(void **state)
{
    (void)state;
    run_fiber(child);
}

static struct channel *cancelled_channel;

static void receiver(void *arg)
{
    char   text[10];
    size_t len;

    (void)arg;
    CHECK(channel_receive(cancelled_channel, text, sizeof(text), DEADLINE_NONE, &len) == ERR_CANCELLED);
}

static void canceller(void *arg)
{
    struct fiber *f;
    int           other;

    (void)arg;
    CHECK(channel_open(loop, &cancelled_channel, &other) == OK);
    f = spawn(receiver, NULL);
    yield();
    fiber_cancel(f);
    yield();
    yield();
    channel_close(cancelled_channel);
    close(other);
}

static void waiting_can_be_cancelled(void **state)
{
    (void)state;
    run_fiber(canceller);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(messages_stay_whole),
        loop_test(who_is_not_heard_is_told),
        loop_test(a_child_has_its_end_and_the_file_and_no_more),
        loop_test(waiting_can_be_cancelled),
    };

    hang_guard();
    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
