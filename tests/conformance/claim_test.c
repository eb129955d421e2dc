/* Reading in place: claim, done, return, and what happens to claims of the dead. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

static uint64_t value_of(const tong_message *message)
{
    uint64_t value = 0;
    kit_equal(message->len, sizeof(value));
    memcpy(&value, message->data, sizeof(value));
    return value;
}

static tong_message claim(tong_mailbox *box)
{
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    return message;
}

static void a_claim_shows_the_message_and_its_sender(void)
{
    tong_mailbox *box = kit_create(kit_name("look"), NULL);
    for (uint64_t i = 0; i < 10; i++) {
        kit_ok(kit_send_u64(box, i + 100, 0));
        tong_message message = claim(box);
        kit_equal(value_of(&message), i + 100);
        kit_equal((uintptr_t)message.data % 16, 0);
        kit_equal(message.deliveries, 1);
        kit_equal(message.sequence, i);
        kit_equal(message.uid, geteuid());
        kit_equal(message.gid, getegid());
        kit_equal(message.pid, getpid());
        kit_equal(message.verified & TONG_VERIFIED_UID, kit_verified());
        kit_ok(tong_done(box, &message));
    }
    kit_end(box, kit_name("look"));
}

static void claims_of_any_length(void)
{
    static const size_t lens[] = { 0, 1, 17, 5000, 70000, 1 << 20, (1 << 20) + 1, 20 << 20 };
    tong_mailbox *box = kit_create(kit_name("lengths"), NULL);
    for (uint64_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        char *data = malloc(lens[i] + 1);
        kit_true(data != NULL);
        kit_payload_write(data, lens[i], 1, i);
        kit_ok(tong_send(box, data, lens[i], 0));
        memset(data, 0, lens[i]);
        tong_message message = claim(box);
        kit_equal(message.len, lens[i]);
        kit_true(kit_payload_is(message.data, message.len, 1, i));
        kit_ok(tong_done(box, &message));
        free(data);
    }
    kit_end(box, kit_name("lengths"));
}

static void an_empty_mailbox_has_nothing_to_claim(void)
{
    tong_mailbox *box = kit_create(kit_name("empty"), NULL);
    tong_message message = TONG_MESSAGE_INIT;
    message.deliveries = 77;
    kit_gives(tong_claim(box, 0, &message), -EAGAIN);
    kit_gives(tong_claim(box, TONG_MS(1), &message), -ETIMEDOUT);
    kit_equal(message.deliveries, 77);
    kit_true(message.data == NULL);
    kit_end(box, kit_name("empty"));
}

static void claims_are_done_in_any_order(void)
{
    enum {
        N = 60
    };
    tong_mailbox *box = kit_create(kit_name("order"), NULL);
    struct kit_random random = kit_random_stream(1);
    for (uint64_t round = 0; round < 30; round++) {
        tong_message messages[N];
        for (uint64_t i = 0; i < N; i++) {
            kit_ok(kit_send_u64(box, i, 0));
            messages[i] = claim(box);
        }
        for (size_t left = N; left > 0; left--) {
            const size_t which = kit_random_below(&random, left);
            const tong_message last = messages[left - 1];
            kit_true(value_of(&messages[which]) < N);
            kit_ok(tong_done(box, &messages[which]));
            messages[which] = last;
        }
        kit_equal(kit_stat(kit_name("order")).claimed, 0);
        kit_equal(kit_stat(kit_name("order")).done, (round + 1) * N);
    }
    kit_end(box, kit_name("order"));
}

static void a_claimed_message_stays_whole_while_others_pass(void)
{
    tong_mailbox *box = kit_create(kit_name("whole"), NULL);
    static char data[3000];
    kit_payload_write(data, sizeof(data), 1, 0);
    kit_ok(tong_send(box, data, sizeof(data), 0));
    tong_message held = claim(box);
    for (uint64_t i = 1; i < 1000; i++) {
        kit_payload_write(data, sizeof(data), 1, i);
        kit_ok(tong_send(box, data, sizeof(data), 0));
        kit_gives(tong_receive(box, data, sizeof(data), 0), (int64_t)sizeof(data));
        kit_true(kit_payload_is(data, sizeof(data), 1, i));
        kit_true(kit_payload_is(held.data, held.len, 1, 0));
    }
    kit_ok(tong_done(box, &held));
    kit_end(box, kit_name("whole"));
}

static void a_65th_claim_is_enobufs(void)
{
    tong_mailbox *box = kit_create(kit_name("many"), NULL);
    tong_mailbox *other = kit_open(kit_name("many"), TONG_RECEIVE, NULL);
    tong_message messages[64];
    for (uint64_t i = 0; i < 67; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (uint64_t i = 0; i < 64; i++) {
        messages[i] = claim(box);
        kit_equal(value_of(&messages[i]), i);
    }
    tong_message more = TONG_MESSAGE_INIT;
    kit_gives(tong_claim(box, 0, &more), -ENOBUFS);
    kit_gives(tong_claim(box, KIT_PATIENCE, &more), -ENOBUFS);
    /* The limit is this handle's; a copy needs no claim. */
    kit_equal(kit_receive_u64(box), 64);
    kit_ok(tong_claim(other, 0, &more));
    kit_equal(value_of(&more), 65);
    kit_ok(tong_done(other, &more));
    kit_ok(tong_done(box, &messages[30]));
    kit_ok(tong_claim(box, 0, &messages[30]));
    kit_equal(value_of(&messages[30]), 66);
    for (uint64_t i = 0; i < 64; i++) {
        kit_ok(tong_done(box, &messages[i]));
    }
    kit_is_empty(box);
    kit_ok(tong_close(other));
    kit_end(box, kit_name("many"));
}

static void a_claim_is_over_once(void)
{
    tong_mailbox *box = kit_create(kit_name("once"), NULL);
    tong_mailbox *other = kit_open(kit_name("once"), TONG_RECEIVE, NULL);
    tong_message message = TONG_MESSAGE_INIT;
    kit_gives(tong_done(box, &message), -EINVAL);
    kit_gives(tong_return(box, &message), -EINVAL);
    kit_gives(tong_done(box, NULL), -EINVAL);
    kit_ok(kit_send_u64(box, 1, 0));
    message = claim(box);
    kit_gives(tong_done(other, &message), -EINVAL);
    kit_gives(tong_return(other, &message), -EINVAL);
    tong_message copy = message;
    kit_ok(tong_done(box, &message));
    kit_gives(tong_done(box, &copy), -EINVAL);
    kit_gives(tong_return(box, &copy), -EINVAL);
    kit_ok(kit_send_u64(box, 2, 0));
    message = claim(box);
    /* The place of the first claim is in use again; it is another claim. */
    kit_gives(tong_done(box, &copy), -EINVAL);
    copy = message;
    kit_ok(tong_return(box, &message));
    kit_gives(tong_done(box, &copy), -EINVAL);
    kit_gives(tong_return(box, &copy), -EINVAL);
    kit_equal(kit_receive_u64(box), 2);
    kit_is_empty(box);
    kit_ok(tong_close(other));
    kit_end(box, kit_name("once"));
}

static void a_returned_message_comes_first_and_marked(void)
{
    tong_mailbox *box = kit_create(kit_name("return"), NULL);
    tong_mailbox *other = kit_open(kit_name("return"), TONG_RECEIVE, NULL);
    for (uint64_t i = 0; i < 3; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (uint32_t i = 1; i <= 10; i++) {
        tong_mailbox *who = i % 2 ? box : other;
        tong_message message = claim(who);
        kit_equal(value_of(&message), 0);
        kit_equal(message.deliveries, i);
        kit_equal(message.sequence, 0);
        kit_ok(tong_return(who, &message));
        kit_equal(kit_stat(kit_name("return")).waiting, 3);
        kit_equal(kit_stat(kit_name("return")).redelivered, i);
    }
    kit_equal(kit_receive_u64(other), 0);
    tong_message message = claim(other);
    kit_equal(value_of(&message), 1);
    kit_equal(message.deliveries, 1);
    kit_ok(tong_done(other, &message));
    kit_equal(kit_receive_u64(box), 2);
    kit_is_empty(box);
    kit_ok(tong_close(other));
    kit_end(box, kit_name("return"));
}

static void a_returned_message_can_be_skipped(void)
{
    tong_mailbox *box = kit_create(kit_name("skip"), NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    kit_ok(tong_send(box, "abc", 3, 0));
    tong_message message = claim(box);
    kit_ok(tong_return(box, &message));
    kit_gives(tong_skip(box), 8);
    kit_gives(tong_skip(box), 3);
    kit_gives(tong_skip(box), -EAGAIN);
    kit_end(box, kit_name("skip"));
}

static void closing_returns_the_claims(void)
{
    tong_mailbox *box = kit_create(kit_name("close"), NULL);
    tong_mailbox *other = kit_open(kit_name("close"), TONG_RECEIVE, NULL);
    for (uint64_t i = 0; i < 5; i++) {
        kit_ok(kit_send_u64(box, i, 0));
    }
    for (uint64_t i = 0; i < 3; i++) {
        const tong_message message = claim(other);
        kit_equal(value_of(&message), i);
    }
    tong_message done = claim(other);
    kit_ok(tong_done(other, &done));
    kit_ok(tong_close(other));
    bool seen[3] = { false };
    for (uint64_t i = 0; i < 3; i++) {
        tong_message message = claim(box);
        const uint64_t value = value_of(&message);
        kit_true(value < 3 && !seen[value]);
        seen[value] = true;
        kit_equal(message.deliveries, 2);
        kit_ok(tong_done(box, &message));
    }
    tong_message message = claim(box);
    kit_equal(value_of(&message), 4);
    kit_equal(message.deliveries, 1);
    kit_ok(tong_done(box, &message));
    kit_is_empty(box);
    kit_end(box, kit_name("close"));
}

struct holder {
    uint64_t n_claims;
    uint64_t n_done;
};

static int hold_claims(void *arg)
{
    const struct holder *holder = arg;
    tong_mailbox *box = kit_open(kit_name("killed"), TONG_RECEIVE, NULL);
    tong_message messages[64];
    for (uint64_t i = 0; i < holder->n_claims; i++) {
        messages[i] = claim(box);
    }
    for (uint64_t i = 0; i < holder->n_done; i++) {
        kit_ok(tong_done(box, &messages[i]));
    }
    kit_report("h", 1);
    kit_await_death();
}

static void claims_of_a_killed_receiver_come_again_marked(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(kit_name("killed"), NULL);
    for (uint64_t round = 1; round <= 8; round++) {
        struct holder holder = { .n_claims = round * 8, .n_done = round };
        for (uint64_t i = 0; i < holder.n_claims; i++) {
            kit_ok(kit_send_u64(box, i, 0));
        }
        struct kit_child child = kit_spawn(hold_claims, &holder);
        char c;
        kit_read_report(&child, &c, 1);
        kit_is_empty(box);
        kit_kill(&child);
        bool seen[64] = { false };
        for (uint64_t i = holder.n_done; i < holder.n_claims; i++) {
            tong_message message = claim(box);
            const uint64_t value = value_of(&message);
            kit_true(value >= holder.n_done && value < holder.n_claims && !seen[value]);
            seen[value] = true;
            kit_equal(message.deliveries, 2);
            kit_ok(tong_done(box, &message));
        }
        kit_is_empty(box);
        kit_equal(kit_stat(kit_name("killed")).deaths, round);
    }
    kit_end(box, kit_name("killed"));
}

static void a_message_that_kills_again_and_again_counts_its_deliveries(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(kit_name("killed"), NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    for (uint32_t i = 0; i < 10; i++) {
        struct holder holder = { .n_claims = 1 };
        struct kit_child child = kit_spawn(hold_claims, &holder);
        char c;
        kit_read_report(&child, &c, 1);
        kit_kill(&child);
    }
    tong_message message = claim(box);
    kit_equal(message.deliveries, 11);
    kit_ok(tong_done(box, &message));
    kit_end(box, kit_name("killed"));
}

static int claim_when_it_comes(void *arg)
{
    (void)arg;
    tong_mailbox *box = kit_open(kit_name("killed"), TONG_RECEIVE, NULL);
    tong_message message = claim(box);
    kit_equal(message.deliveries, 2);
    kit_ok(tong_done(box, &message));
    return tong_close(box);
}

static void a_sleeping_receiver_wakes_for_the_claim_of_a_killed_one(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(kit_name("killed"), NULL);
    for (size_t i = 0; i < 10; i++) {
        struct holder one = { .n_claims = 1 };
        kit_ok(kit_send_u64(box, 1, 0));
        struct kit_child holder = kit_spawn(hold_claims, &one);
        char c;
        kit_read_report(&holder, &c, 1);
        struct kit_child waiter = kit_spawn(claim_when_it_comes, NULL);
        kit_until_asleep(kit_name("killed"), 1);
        kit_kill(&holder);
        kit_join(&waiter);
        kit_is_empty(box);
    }
    kit_end(box, kit_name("killed"));
}

static void a_sleeping_receiver_wakes_for_a_returned_message(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(kit_name("killed"), NULL);
    for (size_t i = 0; i < 10; i++) {
        kit_ok(kit_send_u64(box, 1, 0));
        tong_message message = claim(box);
        struct kit_child waiter = kit_spawn(claim_when_it_comes, NULL);
        kit_until_asleep(kit_name("killed"), 1);
        kit_ok(tong_return(box, &message));
        kit_join(&waiter);
    }
    kit_end(box, kit_name("killed"));
}

static int sleep_forever(void *arg)
{
    (void)arg;
    kit_report("s", 1);
    kit_await_death();
}

/* A forked child keeps nothing of its parent alive, and takes nothing away when it ends. */
static int claim_fork_and_wait(void *arg)
{
    kit_event *end = arg;
    tong_mailbox *box = kit_open(kit_name("forked"), TONG_RECEIVE, NULL);
    claim(box);
    const pid_t pid = fork();
    if (pid == 0) {
        kit_event_wait(end);
        _exit(0);
    }
    kit_report("f", 1);
    kit_await_death();
}

static void a_living_child_of_the_dead_holds_no_claim(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    tong_mailbox *box = kit_create(kit_name("forked"), NULL);
    kit_event *end = kit_shared(sizeof(*end));
    kit_ok(kit_send_u64(box, 1, 0));
    struct kit_child child = kit_spawn(claim_fork_and_wait, end);
    char c;
    kit_read_report(&child, &c, 1);
    kit_is_empty(box);
    kit_kill(&child);
    tong_message message = claim(box);
    kit_equal(message.deliveries, 2);
    kit_ok(tong_done(box, &message));
    kit_event_set(end);
    kit_end(box, kit_name("forked"));
}

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static void the_end_of_a_forked_child_is_not_its_parents_death(void)
{
    tong_mailbox *box = kit_create(kit_name("forked"), NULL);
    kit_ok(kit_send_u64(box, 1, 0));
    tong_message message = claim(box);
    for (size_t i = 0; i < 5; i++) {
        struct kit_child child = kit_spawn(end_at_once, NULL);
        kit_join(&child);
        child = kit_spawn(sleep_forever, NULL);
        char c;
        kit_read_report(&child, &c, 1);
        kit_kill(&child);
        tong_mailbox *other = kit_open(kit_name("forked"), TONG_RECEIVE, NULL);
        kit_is_empty(other);
        kit_ok(tong_close(other));
    }
    kit_equal(value_of(&message), 1);
    kit_ok(tong_done(box, &message));
    kit_equal(kit_stat(kit_name("forked")).deaths, 0);
    kit_end(box, kit_name("forked"));
}

/* ------------------------------------------------------------------ against a plain model */

enum {
    WINDOW = 48,
    HANDLES = 3
};

struct model {
    uint64_t next_send;
    uint64_t next_take;
    struct {
        uint64_t value;
        uint32_t deliveries;
    } returned[HANDLES * WINDOW];
    size_t n_returned;
    struct {
        tong_message message;
        uint64_t value;
        uint32_t deliveries;
    } held[HANDLES][WINDOW];
    size_t n_held[HANDLES];
    tong_mailbox *box[HANDLES];
};

/* A taken message must be one of the returned ones if there are any, else the oldest new one. */
static uint32_t model_take(struct model *model, uint64_t value)
{
    if (model->n_returned == 0) {
        kit_equal(value, model->next_take);
        model->next_take++;
        return 1;
    }
    for (size_t i = 0; i < model->n_returned; i++) {
        if (model->returned[i].value == value) {
            const uint32_t deliveries = model->returned[i].deliveries;
            model->returned[i] = model->returned[--model->n_returned];
            return deliveries;
        }
    }
    kit_fail("message %llu came before a returned one", (unsigned long long)value);
}

static void model_give_back(struct model *model, size_t who, size_t which)
{
    model->returned[model->n_returned].value = model->held[who][which].value;
    model->returned[model->n_returned].deliveries = model->held[who][which].deliveries + 1;
    model->n_returned++;
    model->held[who][which] = model->held[who][--model->n_held[who]];
}

static void step_claim(struct model *model, size_t who)
{
    const bool any = model->n_returned > 0 || model->next_take < model->next_send;
    const size_t at = model->n_held[who];
    tong_message message = TONG_MESSAGE_INIT;
    if (at == WINDOW) {
        return;
    }
    kit_gives(tong_claim(model->box[who], 0, &message), any ? 0 : -EAGAIN);
    if (any) {
        const uint64_t value = value_of(&message);
        const uint32_t deliveries = model_take(model, value);
        kit_equal(message.deliveries, deliveries);
        model->held[who][at].message = message;
        model->held[who][at].value = value;
        model->held[who][at].deliveries = deliveries;
        model->n_held[who]++;
    }
}

static void step_finish(struct model *model, size_t who, struct kit_random *random)
{
    if (model->n_held[who] == 0) {
        return;
    }
    const size_t which = kit_random_below(random, model->n_held[who]);
    tong_message *message = &model->held[who][which].message;
    kit_equal(value_of(message), model->held[who][which].value);
    if (kit_random_below(random, 3) > 0) {
        kit_ok(tong_done(model->box[who], message));
        model->held[who][which] = model->held[who][--model->n_held[who]];
        return;
    }
    kit_ok(tong_return(model->box[who], message));
    model_give_back(model, who, which);
}

static void step_receive(struct model *model, size_t who)
{
    const bool any = model->n_returned > 0 || model->next_take < model->next_send;
    uint64_t value = 0;
    kit_gives(tong_receive(model->box[who], &value, sizeof(value), 0), any ? 8 : -EAGAIN);
    if (any) {
        model_take(model, value);
    }
}

static void step_reopen(struct model *model, size_t who)
{
    kit_ok(tong_close(model->box[who]));
    while (model->n_held[who] > 0) {
        model_give_back(model, who, 0);
    }
    model->box[who] = kit_open(kit_name("model"), TONG_RECEIVE, NULL);
}

static void random_steps_agree_with_a_plain_model(void)
{
    if (strcmp(kit_carrier(), "nats") == 0) {
        kit_skip("over nats a new message may now and then overtake one that was given back");
    }
    struct model *model = kit_shared(sizeof(*model));
    struct kit_random random = kit_random_stream(1);
    tong_mailbox *sender = kit_create(kit_name("model"), NULL);
    for (size_t i = 0; i < HANDLES; i++) {
        model->box[i] = kit_open(kit_name("model"), TONG_RECEIVE, NULL);
    }
    for (uint64_t step = 0; step < 60000; step++) {
        const size_t who = kit_random_below(&random, HANDLES);
        const uint64_t what = kit_random_below(&random, 100);
        if (what < 35) {
            if (kit_send_u64(sender, model->next_send, 0) == 0) {
                model->next_send++;
            }
        } else if (what < 60) {
            step_claim(model, who);
        } else if (what < 85) {
            step_finish(model, who, &random);
        } else if (what < 99) {
            step_receive(model, who);
        } else {
            step_reopen(model, who);
        }
        if (step % 512 == 0) {
            const tong_status status = kit_stat(kit_name("model"));
            size_t held = 0;
            for (size_t i = 0; i < HANDLES; i++) {
                held += model->n_held[i];
            }
            kit_equal(status.claimed, held);
            kit_equal(status.waiting, model->n_returned + model->next_send - model->next_take);
            kit_equal(status.sent, model->next_send);
            kit_equal(status.done, status.sent - status.waiting - status.claimed);
        }
    }
    kit_true(model->next_take > 10000);
    for (size_t i = 0; i < HANDLES; i++) {
        kit_ok(tong_close(model->box[i]));
    }
    kit_end(sender, kit_name("model"));
}

static const struct kit_test tests[] = {
    KIT_TEST(a_claim_shows_the_message_and_its_sender),
    KIT_TEST(claims_of_any_length),
    KIT_TEST(an_empty_mailbox_has_nothing_to_claim),
    KIT_TEST(claims_are_done_in_any_order),
    KIT_TEST(a_claimed_message_stays_whole_while_others_pass),
    KIT_TEST(a_65th_claim_is_enobufs),
    KIT_TEST(a_claim_is_over_once),
    KIT_TEST(a_returned_message_comes_first_and_marked),
    KIT_TEST(a_returned_message_can_be_skipped),
    KIT_TEST(closing_returns_the_claims),
    KIT_TEST(claims_of_a_killed_receiver_come_again_marked),
    KIT_TEST(a_message_that_kills_again_and_again_counts_its_deliveries),
    KIT_TEST(a_sleeping_receiver_wakes_for_the_claim_of_a_killed_one),
    KIT_TEST(a_sleeping_receiver_wakes_for_a_returned_message),
    KIT_TEST(a_living_child_of_the_dead_holds_no_claim),
    KIT_TEST(the_end_of_a_forked_child_is_not_its_parents_death),
    KIT_TEST(random_steps_agree_with_a_plain_model),
};

KIT_MAIN(tests)
