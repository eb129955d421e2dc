/* Removing a mailbox: every call in it fails once. See fail.h. */
/* What is removed gets a name that nothing else ever had. */
#define FAIL_NEVER EEXIST
#include "fail.h"

static tong_mailbox *make(unsigned flags)
{
    return kit_open(FAIL_BOX, flags | TONG_CREATE | TONG_EXCL, NULL);
}

static void with_waiting_ones(struct fail_stage *s)
{
    tong_mailbox *box = make(TONG_SEND);
    kit_ok(fail_send(s, box, 100, 0));
    kit_ok(fail_send(s, box, 100000, 0));
    kit_ok(tong_close(box));
}

static void with_an_open_one(struct fail_stage *s)
{
    s->in = s->out = make(TONG_SEND | TONG_RECEIVE);
    kit_ok(fail_send(s, s->out, 100, 0));
}

static int64_t remove_it(struct fail_stage *s)
{
    (void)s;
    return tong_remove(FAIL_BOX);
}

static void removed(struct fail_stage *s, int64_t answer)
{
    s->may_be_gone = true;
    if (answer == 0) {
        tong_mailbox *box = NULL;
        kit_gives(tong_open(FAIL_BOX, TONG_SEND, NULL, &box), -ENOENT);
        s->n_waiting = 0;
        if (s->in != NULL) {
            kit_gives(tong_skip(s->in), -EIDRM);
            kit_ok(tong_close(s->in));
            s->in = s->out = NULL;
        }
        return;
    }
    /* It is there as before, or its end has begun; then it is not there for anyone. */
    tong_status status = TONG_STATUS_INIT;
    const int r = tong_stat(FAIL_BOX, &status);
    kit_true(r == 0 || r == -ENOENT);
    if (r == -ENOENT) {
        removed(s, 0);
    }
}

FAIL_SCENE(removing, "remove", "tong_remove", with_waiting_ones, remove_it, removed)
FAIL_SCENE(removing_an_open_one, "remove, open", "tong_remove", with_an_open_one, remove_it,
           removed)

static const struct kit_test tests[] = {
    KIT_TEST_LONG(removing, 120),
    KIT_TEST_LONG(removing_an_open_one, 120),
};

KIT_MAIN(tests)
