/* Processes that do what they are told. */
#include "puppet.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

struct stage {
    tong_mailbox *handles[4];
    tong_message claims[8];
    tong_process *me;
};

static int64_t receive(tong_mailbox *box, const struct puppet_order *order)
{
    uint64_t value = 0;
    const ssize_t n = tong_receive(box, &value, sizeof(value), order->timeout_ns);
    return n < 0 ? n : (int64_t)value;
}

static int64_t receive_many(tong_mailbox *box, const struct puppet_order *order)
{
    uint64_t value = 0;
    size_t len = 0;
    const struct iovec one = { &value, sizeof(value) };
    const ssize_t n = tong_receive_many(box, &one, 1, order->timeout_ns, &len);
    return n < 0 ? n : (int64_t)value;
}

static int64_t wait_any(tong_mailbox *box, const struct puppet_order *order)
{
    const int r = tong_wait_any(&box, 1, order->timeout_ns);
    return r != 0 ? r : receive(box, &(struct puppet_order){ .timeout_ns = 0 });
}

static int64_t claim(tong_mailbox *box, const struct puppet_order *order, tong_message *message)
{
    uint64_t value = 0;
    *message = (tong_message)TONG_MESSAGE_INIT;
    const int r = tong_claim(box, order->timeout_ns, message);
    if (r != 0) {
        return r;
    }
    memcpy(&value, message->data, sizeof(value));
    return (int64_t)(value + 1000u * message->deliveries);
}

static int64_t take(tong_mailbox *box, const struct puppet_order *order, tong_message *message)
{
    uint64_t value = 0;
    *message = (tong_message)TONG_MESSAGE_INIT;
    const ssize_t n =
        tong_receive_with(box, &value, sizeof(value), NULL, order->timeout_ns, message);
    return n < 0 ? n : (int64_t)(value + 1000u * message->deliveries);
}

static int64_t call(tong_mailbox *box, const struct puppet_order *order)
{
    uint64_t value = 0;
    const ssize_t n = tong_call(box, &order->value, sizeof(order->value), &value, sizeof(value),
                                order->timeout_ns);
    return n < 0 ? n : (int64_t)value;
}

static int64_t watch(tong_mailbox *box, const struct puppet_order *order)
{
    tong_death death = TONG_DEATH_INIT;
    const int r = tong_watch(box, order->timeout_ns, &death);
    return r != 0 ? r : (int64_t)death.pid * 4 + (int64_t)death.roles;
}

/* ---- named processes */

static int64_t be_process(struct stage *stage, const struct puppet_order *order)
{
    if (order->name[0] != '\0') {
        return tong_process_open(kit_name(order->name), order->has_options ? &order->options : NULL,
                                 &stage->me);
    }
    const int r = tong_process_close(stage->me);
    stage->me = NULL;
    return r;
}

static int64_t receive_named(struct stage *stage, const struct puppet_order *order)
{
    uint64_t value = 0;
    char from[TONG_NAME_MAX] = "untouched";
    if (order->verb == PUPPET_RECEIVE_FROM) {
        const ssize_t n = tong_receive_from(stage->me, kit_name(order->name), &value, sizeof(value),
                                            order->timeout_ns);
        return n < 0 ? n : (int64_t)value;
    }
    const ssize_t n = tong_receive_any(stage->me, &value, sizeof(value), order->timeout_ns, from);
    if (strcmp(from, n < 0 ? "untouched" : order->name) != 0) {
        return -EBADMSG;
    }
    return n < 0 ? n : (int64_t)value;
}

static int64_t do_it(struct stage *stage, const struct puppet_order *order)
{
    tong_mailbox **box = &stage->handles[order->handle];
    tong_message *message = &stage->claims[order->claim];
    int r;
    switch (order->verb) {
    case PUPPET_OPEN:
        return tong_open(kit_name(order->name), order->flags,
                         order->has_options ? &order->options : NULL, box);
    case PUPPET_CLOSE:
        r = tong_close(*box);
        *box = NULL;
        return r;
    case PUPPET_SEND:
        return kit_send_u64(*box, order->value, order->timeout_ns);
    case PUPPET_RECEIVE:
        return receive(*box, order);
    case PUPPET_RECEIVE_MANY:
        return receive_many(*box, order);
    case PUPPET_WAIT_ANY:
        return wait_any(*box, order);
    case PUPPET_CLAIM:
        return claim(*box, order, message);
    case PUPPET_DONE:
        return tong_done(*box, message);
    case PUPPET_RETURN:
        return tong_return(*box, message);
    case PUPPET_TAKE:
        return take(*box, order, message);
    case PUPPET_CALL:
        return call(*box, order);
    case PUPPET_REPLY:
        return tong_reply(*box, message, &order->value, sizeof(order->value), order->timeout_ns);
    case PUPPET_GIVE:
        return tong_give(*box, order->name[0] ? order->name : NULL);
    case PUPPET_WATCH:
        return watch(*box, order);
    case PUPPET_PROCESS:
        return be_process(stage, order);
    case PUPPET_SEND_TO:
        return tong_send_to(stage->me, kit_name(order->name), &order->value, sizeof(order->value),
                            order->timeout_ns);
    case PUPPET_RECEIVE_FROM:
    case PUPPET_RECEIVE_ANY:
        return receive_named(stage, order);
    case PUPPET_RENAME:
        return tong_rename(stage->me, kit_name(order->name));
    case PUPPET_END:
        _exit(0);
    }
    return -EINVAL;
}

static int perform(void *arg)
{
    struct puppet_order order;
    struct stage stage = { .handles = { NULL } };
    tong_options options = kit_options();
    options.owner = TONG_PROCESS;
    options.capacity = kit_carrier_is_small() ? 8 : options.capacity;
    tong_mailbox *orders =
        kit_open(kit_name(arg), TONG_RECEIVE | TONG_CREATE | TONG_EXCL, &options);
    kit_report("r", 1);
    for (;;) {
        const ssize_t n = tong_receive(orders, &order, sizeof(order), TONG_FOREVER);
        if (n == 0) {
            break;
        }
        kit_gives(n, (int64_t)sizeof(order));
        const int64_t answer = do_it(&stage, &order);
        kit_report(&answer, sizeof(answer));
    }
    for (size_t i = 0; i < 4; i++) {
        kit_ok(tong_close(stage.handles[i]));
    }
    kit_ok(tong_process_close(stage.me));
    return tong_close(orders);
}

struct puppet puppet_start(const char *name)
{
    char ready;
    struct puppet puppet = { .child = kit_spawn(perform, (void *)(uintptr_t)name), .name = name };
    kit_read_report(&puppet.child, &ready, 1);
    puppet.orders = kit_open(kit_name(name), TONG_SEND, NULL);
    return puppet;
}

void puppet_tell(struct puppet *puppet, const struct puppet_order *order)
{
    kit_ok(tong_send(puppet->orders, order, sizeof(*order), KIT_PATIENCE));
}

int64_t puppet_answer(struct puppet *puppet)
{
    int64_t answer = 0;
    kit_read_report(&puppet->child, &answer, sizeof(answer));
    return answer;
}

int64_t puppet_ask(struct puppet *puppet, const struct puppet_order *order)
{
    puppet_tell(puppet, order);
    return puppet_answer(puppet);
}

void puppet_end(struct puppet *puppet)
{
    kit_ok(tong_send(puppet->orders, NULL, 0, KIT_PATIENCE));
    kit_join(&puppet->child);
    kit_ok(tong_close(puppet->orders));
}

void puppet_kill(struct puppet *puppet)
{
    kit_kill(&puppet->child);
    kit_ok(tong_close(puppet->orders));
}

bool puppet_waits(const struct puppet *puppet)
{
    const tong_status status = kit_stat(kit_name(puppet->name));
    return status.waiting == 0 && status.receivers_asleep == 0 && kit_sleeps(puppet->child.pid);
}
