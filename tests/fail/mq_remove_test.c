/* Removing a mailbox that a queue of the kernel carries: every call in it fails once. See fail.h. */
/* What is removed gets a name that nothing else ever had. */
#define FAIL_NEVER EEXIST
#define FAIL_BOX "mq:box"
#include "fail.h"

static void with_an_open_one(struct fail_stage *s)
{
    const tong_options options = kit_capacity(8);
    s->in = kit_open(FAIL_BOX, TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
    s->out = kit_open(FAIL_BOX, TONG_SEND, NULL);
    kit_ok(fail_send(s, s->out, 100, 0));
    kit_ok(fail_send(s, s->out, 100000, 0));
}

static void with_waiting_ones(struct fail_stage *s)
{
    with_an_open_one(s);
    kit_ok(tong_close(s->in));
    kit_ok(tong_close(s->out));
    s->in = s->out = NULL;
}

static int64_t remove_it(struct fail_stage *s)
{
    (void)s;
    return tong_remove(FAIL_BOX);
}

/* Who has it open is told; what is left of it, the queue too, goes with the next visit. */
static void removed(struct fail_stage *s, int64_t answer)
{
    tong_status status = TONG_STATUS_INIT;
    s->may_be_gone = true;
    if (answer < 0 && tong_stat(FAIL_BOX, &status) == 0) {
        return; /* it is there as before */
    }
    tong_mailbox *box = NULL;
    kit_gives(tong_open(FAIL_BOX, TONG_SEND, NULL, &box), -ENOENT);
    s->n_waiting = 0;
    if (s->in != NULL) {
        kit_gives(tong_skip(s->in), -EIDRM);
        kit_ok(tong_close(s->in));
        kit_ok(tong_close(s->out));
        s->in = s->out = NULL;
    }
}

FAIL_SCENE(removing, "mq: remove", "tong_remove", with_waiting_ones, remove_it, removed)
FAIL_SCENE(removing_an_open_one, "mq: remove, open", "tong_remove", with_an_open_one, remove_it,
           removed)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(removing, 120),
    KIT_TEST_LONG(removing_an_open_one, 120),
};

/* So that the kit looks for queues that are left. */
int main(int argc, char **argv)
{
    kit_equal(setenv("TONG_CARRIER", "mq:", 1), 0);
    return kit_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
