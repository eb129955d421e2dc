/* Who sends or receives a descriptor is killed at every point: it ends with the last one who has it. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/deaths_test.h"
#include "kit.h"

#define BOX "unix:box"
#define VALUE UINT64_C(7)

struct world {
    int out; /* the write end of a pipe */
    unsigned long n;
    kit_event ready;
    kit_event go;
    _Atomic uint64_t points;
};

static struct world *new_world(const struct crash_case *c, int *ret_in)
{
    struct world *w = kit_shared(sizeof *w);
    int ends[2];
    kit_true(pipe2(ends, O_CLOEXEC) == 0);
    *ret_in = ends[0];
    w->out = ends[1];
    w->n = c->n;
    return w;
}

static void arm(struct world *w)
{
    kit_event_set(&w->ready);
    kit_event_wait(&w->go);
    tg_point_arm(w->n);
}

static void disarm(struct world *w)
{
    atomic_store(&w->points, tg_point_count());
    tg_point_arm(0);
}

/* Nobody has the write end. */
static void is_closed(int in)
{
    char c;
    kit_equal(read(in, &c, 1), 0);
    close(in);
}

static void end(struct crash_case *c, struct kit_child *victim, const struct world *w)
{
    c->killed = crash_dies(victim);
    c->points = c->killed ? 0 : atomic_load(&w->points);
}

/* ---- the sender */

static int send_victim(void *arg)
{
    struct world *w = arg;
    tong_mailbox *box = NULL;
    const uint64_t value = VALUE;
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    arm(w);
    kit_ok(tong_send_fd(box, &value, sizeof value, w->out, KIT_PATIENCE));
    disarm(w);
    return tong_close(box);
}

/* The message is there with its descriptor, or neither is. */
static void sender_dies(struct crash_run *run, struct crash_case *c)
{
    (void)run;
    int in;
    int fd = -1;
    uint64_t value = 0;
    tong_mailbox *box = NULL;
    struct world *w = new_world(c, &in);
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, NULL, &box));
    struct kit_child victim = kit_spawn(send_victim, w);
    close(w->out);
    kit_event_wait(&w->ready);
    kit_event_set(&w->go);
    end(c, &victim, w);
    const ssize_t n = tong_receive_fd(box, &value, sizeof value, 0, &fd, NULL);
    if (n != -EAGAIN) {
        kit_gives(n, sizeof value);
        kit_true(value == VALUE && fd >= 0);
        kit_equal(write(fd, "x", 1), 1);
        close(fd);
        kit_equal(read(in, &value, 1), 1);
    }
    kit_true(n != -EAGAIN || c->killed);
    is_closed(in);
    kit_ok(tong_close(box));
}

static void a_sender_of_a_descriptor(void)
{
    struct crash_run run = { .operation = "tong_send_fd",
                             .role = "sender over a socket",
                             .variants = 1,
                             .once = sender_dies,
                             .test = kit_test_name };
    crash_points(&run);
}

/* ---- the receiver, with which its mailbox ends */

static int receive_victim(void *arg)
{
    struct world *w = arg;
    tong_mailbox *box = NULL;
    uint64_t value = 0;
    int fd = -1;
    close(w->out);
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, NULL, &box));
    arm(w);
    kit_gives(tong_receive_fd(box, &value, sizeof value, KIT_PATIENCE, &fd, NULL), sizeof value);
    disarm(w);
    kit_true(value == VALUE && fd >= 0);
    close(fd);
    return tong_close(box);
}

static void receiver_dies(struct crash_run *run, struct crash_case *c)
{
    (void)run;
    int in;
    const uint64_t value = VALUE;
    tong_mailbox *box = NULL;
    struct world *w = new_world(c, &in);
    struct kit_child victim = kit_spawn(receive_victim, w);
    kit_event_wait(&w->ready);
    kit_ok(tong_open(BOX, TONG_SEND, NULL, &box));
    kit_ok(tong_send_fd(box, &value, sizeof value, w->out, 0));
    close(w->out);
    kit_event_set(&w->go);
    end(c, &victim, w);
    is_closed(in);
    kit_gives(tong_send_fd(box, &value, sizeof value, STDIN_FILENO, 0), -EOWNERDEAD);
    kit_ok(tong_close(box));
    kit_ok(tong_open(BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, NULL, &box));
    kit_is_empty(box);
    kit_ok(tong_close(box));
}

static void a_receiver_of_a_descriptor(void)
{
    struct crash_run run = { .operation = "tong_receive_fd",
                             .role = "owner over a socket, a message waits",
                             .variants = 1,
                             .once = receiver_dies,
                             .test = kit_test_name };
    crash_points(&run);
}

static const struct kit_test tests[] = {
    KIT_TEST_LONG(a_sender_of_a_descriptor, 120),
    KIT_TEST_LONG(a_receiver_of_a_descriptor, 120),
};

KIT_MAIN(tests)
