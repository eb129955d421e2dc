/* An open descriptor comes with a message. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

#define BOX kit_name("box")
#define LETTERS kit_name("letters")
#define LONG (3 << 20)

/* The write end is in a message; at the read end is seen who has it. */
struct pipe {
    int in;
    int out;
};

static struct pipe make_pipe(void)
{
    int ends[2];
    kit_true(pipe2(ends, O_CLOEXEC) == 0);
    return (struct pipe){ .in = ends[0], .out = ends[1] };
}

static tong_mailbox *create(const tong_options *options)
{
    kit_needs(KIT_DESCRIPTORS);
    return kit_create(BOX, options);
}

/* The message has the write end alone. */
static struct pipe send_pipe(tong_mailbox *box, const char *text)
{
    struct pipe p = make_pipe();
    kit_ok(tong_send_fd(box, text, strlen(text), p.out, 0));
    close(p.out);
    p.out = -1;
    return p;
}

/* Nobody has the write end any more. */
static void is_closed(const struct pipe *p)
{
    char c;
    kit_equal(read(p->in, &c, 1), 0);
    close(p->in);
}

/* What was received is the write end, and the only one. */
static void takes_writes(const struct pipe *p, int fd)
{
    char text[6] = "";
    kit_true(fd > STDERR_FILENO && fd != p->in);
    kit_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    kit_equal(write(fd, "hello", 5), 5);
    kit_equal(read(p->in, text, 5), 5);
    kit_true(strcmp(text, "hello") == 0);
    close(fd);
    is_closed(p);
}

static void receive_pipe(tong_mailbox *box, const char *text, const struct pipe *p)
{
    char buf[64] = "";
    int fd = -1;
    tong_message info = TONG_MESSAGE_INIT;
    const ssize_t n = tong_receive_fd(box, buf, sizeof buf, KIT_PATIENCE, &fd, &info);
    kit_gives(n, (ssize_t)strlen(text));
    kit_true(strcmp(buf, text) == 0);
    kit_equal(info.uid, geteuid());
    kit_equal(info.verified & kit_verified(), kit_verified());
    takes_writes(p, fd);
}

/* ------------------------------------------------------------------ what comes */

static void the_owner_sends_itself_a_descriptor(void)
{
    tong_mailbox *box = create(NULL);
    const struct pipe p = send_pipe(box, "one");
    const struct pipe q = send_pipe(box, "");
    receive_pipe(box, "one", &p);
    receive_pipe(box, "", &q);
    kit_end(box, BOX);
}

struct sending {
    struct pipe p;
    size_t len;
    int64_t timeout_ns;
    int r;
};

static int send_it(void *arg)
{
    const struct sending *s = arg;
    tong_mailbox *box = NULL;
    char *data = calloc(1, s->len + 1);
    kit_true(data != NULL);
    kit_payload_write(data, s->len, 0, 1);
    close(s->p.in);
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    kit_gives(tong_send_fd(box, data, s->len, s->p.out, s->timeout_ns), s->r);
    free(data);
    return tong_close(box);
}

static void pass_from_another_process(const tong_options *options, size_t len)
{
    tong_mailbox *box = create(options);
    struct sending s = { .p = make_pipe(), .len = len, .timeout_ns = KIT_PATIENCE };
    struct kit_child child = kit_spawn(send_it, &s);
    char *data = calloc(1, len + 1);
    int fd = -1;
    tong_message info = TONG_MESSAGE_INIT;
    close(s.p.out);
    kit_gives(tong_receive_fd(box, data, len, KIT_PATIENCE, &fd, &info), (ssize_t)len);
    kit_equal(info.pid, child.pid);
    kit_true(kit_payload_is(data, len, 0, 1));
    kit_join(&child);
    takes_writes(&s.p, fd);
    free(data);
    kit_end(box, BOX);
}

static void another_process_sends_a_descriptor(void)
{
    const tong_options two = kit_capacity(2);
    pass_from_another_process(NULL, 100);
    pass_from_another_process(NULL, 0);
    pass_from_another_process(NULL, LONG);
    pass_from_another_process(&two, 100);
}

static void at_capacity_0_it_is_handed_over(void)
{
    const tong_options none = kit_capacity(0);
    pass_from_another_process(&none, 100);
    pass_from_another_process(&none, LONG);
}

static void an_offer_that_is_taken_back_is_closed(void)
{
    const tong_options none = kit_capacity(0);
    tong_mailbox *box = create(&none);
    struct sending s = { .p = make_pipe(), .len = 10, .timeout_ns = TONG_MS(5), .r = -ETIMEDOUT };
    struct kit_child child = kit_spawn(send_it, &s);
    kit_join(&child);
    kit_gives(tong_send_fd(box, "x", 1, s.p.out, TONG_MS(5)), -ETIMEDOUT);
    close(s.p.out);
    is_closed(&s.p);
    kit_end(box, BOX);
}

static void a_message_without_one_brings_none(void)
{
    tong_mailbox *box = create(NULL);
    uint64_t value = 0;
    int fd = 99;
    const struct pipe p = send_pipe(box, "first");
    kit_ok(kit_send_u64(box, 7, 0));
    receive_pipe(box, "first", &p);
    kit_gives(tong_receive_fd(box, &value, sizeof value, 0, &fd, NULL), sizeof value);
    kit_equal(value, 7);
    kit_gives(fd, -1);
    kit_end(box, BOX);
}

/* ------------------------------------------------------------------ what is not taken */

static void whoever_takes_the_message_otherwise_closes_it(void)
{
    char buf[16];
    size_t len;
    tong_mailbox *box = create(NULL);
    tong_message claim = TONG_MESSAGE_INIT;
    const struct iovec part = { buf, sizeof buf };
    struct pipe p = send_pipe(box, "a");
    kit_gives(tong_receive(box, buf, sizeof buf, 0), 1);
    is_closed(&p);
    p = send_pipe(box, "b");
    kit_gives(tong_receive_with(box, buf, sizeof buf, NULL, 0, NULL), 1);
    is_closed(&p);
    p = send_pipe(box, "c");
    kit_gives(tong_receive_many(box, &part, 1, 0, &len), 1);
    is_closed(&p);
    p = send_pipe(box, "d");
    kit_gives(tong_skip(box), 1);
    is_closed(&p);
    p = send_pipe(box, "e");
    kit_ok(tong_claim(box, 0, &claim));
    kit_ok(tong_done(box, &claim));
    is_closed(&p);
    p = send_pipe(box, "f");
    kit_end(box, BOX);
    is_closed(&p);
}

static void what_is_given_back_keeps_it(void)
{
    tong_mailbox *box = create(NULL);
    tong_message claim = TONG_MESSAGE_INIT;
    const struct pipe p = send_pipe(box, "again");
    kit_ok(tong_claim(box, 0, &claim));
    kit_ok(tong_return(box, &claim));
    receive_pipe(box, "again", &p);
    kit_end(box, BOX);
}

static void what_is_dropped_is_closed(void)
{
    for (unsigned full = TONG_DROP_NEWEST; full <= TONG_DROP_OLDEST; full++) {
        tong_options one = kit_capacity(1);
        one.full = full;
        tong_mailbox *box = create(&one);
        struct pipe old = send_pipe(box, "old");
        struct pipe new = make_pipe();
        kit_gives(tong_send_fd(box, "new", 3, new.out, 0), TONG_DROPPED);
        close(new.out);
        is_closed(full == TONG_DROP_OLDEST ? &old : &new);
        receive_pipe(box, full == TONG_DROP_OLDEST ? "new" : "old",
                     full == TONG_DROP_OLDEST ? &new : &old);
        kit_end(box, BOX);
    }
}

static void what_cannot_be_delivered_keeps_it_in_the_dead_letter_mailbox(void)
{
    tong_options options = kit_options();
    tong_message claim = TONG_MESSAGE_INIT;
    options.max_deliveries = 1;
    options.dead_letter = "letters";
    tong_mailbox *box = create(&options);
    tong_mailbox *letters = kit_create(LETTERS, NULL);
    const struct pipe p = send_pipe(box, "nobody's");
    kit_ok(tong_claim(box, 0, &claim));
    kit_ok(tong_return(box, &claim));
    kit_is_empty(box);
    receive_pipe(letters, "nobody's", &p);
    kit_end(letters, LETTERS);
    kit_end(box, BOX);
}

/* ------------------------------------------------------------------ what cannot be */

static void mistakes_are_told(void)
{
    tong_mailbox *box = create(NULL);
    tong_mailbox *receiver = NULL;
    char buf[4];
    int fd = 99;
    tong_message info = TONG_MESSAGE_INIT;
    const struct pipe p = send_pipe(box, "longer");
    const int closed = dup(p.in);
    close(closed);
    kit_gives(tong_send_fd(box, "x", 1, -1, 0), -EINVAL);
    kit_gives(tong_send_fd(box, "x", 1, closed, 0), -EINVAL);
    kit_gives(tong_send_fd(box, NULL, 1, p.in, 0), -EINVAL);
    kit_gives(tong_send_fd(NULL, "x", 1, p.in, 0), -EINVAL);
    kit_gives(tong_send_fd(box, "x", 1, p.in, -2), -EINVAL);
    kit_gives(tong_receive_fd(box, buf, sizeof buf, 0, NULL, NULL), -EINVAL);
    kit_gives(tong_receive_fd(NULL, buf, sizeof buf, 0, &fd, NULL), -EINVAL);
    info.struct_size = 4;
    kit_gives(tong_receive_fd(box, buf, sizeof buf, 0, &fd, &info), -EINVAL);
    info.struct_size = sizeof info;
    kit_ok(tong_open(BOX, TONG_RECEIVE, NULL, &receiver));
    kit_gives(tong_send_fd(receiver, "x", 1, p.in, 0), -EBADF);
    kit_ok(tong_close(receiver));
    kit_gives(tong_receive_fd(box, buf, sizeof buf, 0, &fd, &info), -EMSGSIZE);
    kit_equal(info.len, 6);
    kit_gives(fd, 99);
    receive_pipe(box, "longer", &p);
    kit_gives(tong_receive_fd(box, buf, sizeof buf, 0, &fd, NULL), -EAGAIN);
    kit_gives(fd, 99);
    kit_end(box, BOX);
}

static const struct kit_test tests[] = {
    KIT_TEST(the_owner_sends_itself_a_descriptor),
    KIT_TEST(another_process_sends_a_descriptor),
    KIT_TEST(at_capacity_0_it_is_handed_over),
    KIT_TEST(an_offer_that_is_taken_back_is_closed),
    KIT_TEST(a_message_without_one_brings_none),
    KIT_TEST(whoever_takes_the_message_otherwise_closes_it),
    KIT_TEST(what_is_given_back_keeps_it),
    KIT_TEST(what_is_dropped_is_closed),
    KIT_TEST(what_cannot_be_delivered_keeps_it_in_the_dead_letter_mailbox),
    KIT_TEST(mistakes_are_told),
};

KIT_MAIN(tests)
