/*
 * Request and reply: what a caller learns when nobody will answer, and who else then does.
 *
 * Each death here comes alone, so no sleep may be ended by the back-stop; the same program runs as
 * no_backstop.call_end with all of them switched off.
 */
#include "call.h"

/* ------------------------------------------------------------------ nobody answers */

static void a_server_that_dies_is_told_at_once(void)
{
    const uint32_t capacities[] = { TONG_UNBOUNDED, 1, 0 };
    for (size_t c = 0; c < 3; c++) {
        for (int how = 0; how < 2; how++) {
            if (is_refused(capacities[c])) {
                continue;
            }
            const tong_options options = kit_capacity(capacities[c]);
            tong_mailbox *box = kit_create(BOX, &options);
            struct server s = server_starts("s");
            struct server other = server_starts("other");
            struct puppet p = caller_starts("p");
            asks(&p, 1, TONG_FOREVER);
            kit_gives(has(&s, how), 1001);
            kit_until(puppet_waits(&p));
            const int64_t began = kit_now_ns();
            server_goes(&s);
            kit_gives(puppet_answer(&p), -EOWNERDEAD);
            printf("# told %.3f ms after its end began\n",
                   (double)(kit_now_ns() - began) / 1000000);
            /* At most once: no other one gets it. */
            kit_gives(server_takes(&other, true, 0), -EAGAIN);
            kit_is_empty(box);
            /* And the others go on. */
            asks(&p, 2, TONG_FOREVER);
            kit_gives(has(&other, how), 1002);
            kit_ok(replies(&other, 4));
            kit_gives(puppet_answer(&p), 4);
            puppet_end(&p);
            server_ends(&other);
            kit_equal(kit_stat(BOX).waiting + kit_stat(BOX).claimed, 0);
            kit_end(box, BOX);
        }
    }
}

static void the_death_of_another_server_is_no_end(void)
{
    for (int how = 0; how < 2; how++) {
        tong_mailbox *box = kit_create(BOX, NULL);
        struct server s = server_starts("s");
        struct server other = server_starts("other");
        struct puppet p = caller_starts("p");
        asks(&p, 1, TONG_FOREVER);
        kit_gives(has(&s, how), 1001);
        server_goes(&other);
        kit_until(puppet_waits(&p));
        kit_ok(replies(&s, 3));
        kit_gives(puppet_answer(&p), 3);
        puppet_end(&p);
        server_ends(&s);
        kit_end(box, BOX);
    }
}

static void a_server_that_lets_go_is_told_at_once(void)
{
    for (int how = 0; how < 4; how++) {
        tong_mailbox *box = kit_create(BOX, NULL);
        struct server s = server_starts("s");
        struct puppet p = caller_starts("p");
        asks(&p, 1, TONG_FOREVER);
        switch (how) {
        case 0: /* it closes with a claim */
        case 1: /* ... with one that it received */
            kit_gives(has(&s, how), 1001);
            kit_until(puppet_waits(&p));
            kit_ok(closes(&s));
            break;
        case 2: /* it finishes it without a reply */
            kit_gives(claims(&s), 1001);
            kit_until(puppet_waits(&p));
            kit_ok(finishes(&s));
            break;
        default: /* it receives it by a call that tells of no request */
            kit_until(puppet_waits(&p));
            kit_gives(only_receives(&s), 1);
        }
        kit_gives(puppet_answer(&p), -EOWNERDEAD);
        kit_is_empty(box);
        puppet_end(&p);
        server_ends(&s);
        kit_end(box, BOX);
    }
}

static void a_request_that_is_thrown_away_is_told_at_once(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    struct puppet p = caller_starts("p");
    asks(&p, 1, TONG_FOREVER);
    kit_until(puppet_waits(&p));
    kit_until(kit_stat(BOX).waiting == 1);
    kit_gives(tong_skip(box), 8);
    kit_gives(puppet_answer(&p), -EOWNERDEAD);
    puppet_end(&p);
    kit_end(box, BOX);
}

static void one_given_back_is_handed_out_again(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    struct server s = server_starts("s");
    struct puppet p = caller_starts("p");
    asks(&p, 1, TONG_FOREVER);
    for (int i = 1; i <= 3; i++) {
        kit_gives(claims(&s), 1000 * i + 1);
        kit_ok(gives_back(&s));
    }
    kit_gives(takes(&s), 4001);
    kit_ok(replies(&s, 5));
    kit_gives(puppet_answer(&p), 5);
    puppet_end(&p);
    server_ends(&s);
    kit_end(box, BOX);
}

static tong_options redelivery(uint32_t max)
{
    tong_options options = kit_options();
    options.max_deliveries = max;
    return options;
}

static void where_it_is_redelivered_another_server_answers(void)
{
    const tong_options options = redelivery(3);
    tong_mailbox *box = kit_create(BOX, &options);
    struct puppet p = caller_starts("p");
    asks(&p, 1, TONG_FOREVER);
    for (int i = 1; i <= 2; i++) {
        struct server s = server_starts("s");
        kit_gives(claims(&s), 1000 * i + 1);
        kit_until(puppet_waits(&p));
        server_goes(&s);
    }
    struct server s = server_starts("s");
    kit_gives(takes(&s), 3001);
    kit_ok(replies(&s, 5));
    kit_gives(puppet_answer(&p), 5);
    puppet_end(&p);
    server_ends(&s);
    kit_end(box, BOX);
}

static void what_was_received_is_never_redelivered(void)
{
    const tong_options options = redelivery(3);
    tong_mailbox *box = kit_create(BOX, &options);
    struct server s = server_starts("s");
    struct puppet p = caller_starts("p");
    asks(&p, 1, TONG_FOREVER);
    kit_gives(takes(&s), 1001);
    kit_until(puppet_waits(&p));
    server_goes(&s);
    kit_gives(puppet_answer(&p), -EOWNERDEAD);
    kit_is_empty(box);
    puppet_end(&p);
    kit_end(box, BOX);
}

static void handed_out_too_often_it_ends(void)
{
    for (int how = 0; how < 2; how++) {
        tong_mailbox *dead = kit_create(kit_name("dead"), NULL);
        tong_options options = redelivery(2);
        options.dead_letter = how == 0 ? "dead" : NULL;
        tong_mailbox *box = kit_create(BOX, &options);
        struct server s = server_starts("s");
        struct puppet p = caller_starts("p");
        asks(&p, 1, TONG_FOREVER);
        for (int i = 1; i <= 2; i++) {
            kit_gives(claims(&s), 1000 * i + 1);
            kit_ok(gives_back(&s));
        }
        kit_until(puppet_waits(&p));
        kit_gives(server_takes(&s, true, 0), -EAGAIN);
        kit_gives(puppet_answer(&p), -EOWNERDEAD);
        /* Who has it from there answers in vain. */
        tong_message letter = TONG_MESSAGE_INIT;
        if (how == 0) {
            kit_ok(tong_claim(dead, 0, &letter));
            kit_ok(tong_reply(dead, &letter, "x", 1, 0));
        }
        puppet_end(&p);
        server_ends(&s);
        kit_end(box, BOX);
        kit_end(dead, kit_name("dead"));
    }
}

/* Those that had it died: it is a dead letter then, and its caller is told. */
static void whoever_dies_with_it_it_is_a_dead_letter_then(void)
{
    kit_needs(KIT_OTHERS_RECEIVE);
    for (uint32_t max = 1; max <= 2; max++) {
        tong_mailbox *dead = kit_create(kit_name("dead"), NULL);
        tong_options options = redelivery(max);
        options.dead_letter = "dead";
        tong_mailbox *box = kit_create(BOX, &options);
        struct puppet p = caller_starts("p");
        asks(&p, 1, TONG_FOREVER);
        for (uint32_t i = 1; i <= max; i++) {
            struct server s = server_starts("s");
            kit_gives(claims(&s), 1000 * i + 1);
            kit_until(puppet_waits(&p));
            server_goes(&s);
        }
        kit_until(
            (tong_receive(box, NULL, 0, TONG_MS(300)), kit_stat(kit_name("dead")).waiting == 1));
        kit_gives(puppet_answer(&p), -EOWNERDEAD);
        puppet_end(&p);
        kit_end(box, BOX);
        kit_end(dead, kit_name("dead"));
    }
}

/* ------------------------------------------------------------------ ends */

static void the_end_of_the_mailbox_ends_the_call(void)
{
    tong_mailbox *box = kit_create(BOX, NULL);
    for (int how = 0; how < 2; how++) {
        struct puppet p = caller_starts("p");
        asks(&p, 1, TONG_FOREVER);
        if (how == 0) {
            kit_until(puppet_waits(&p));
        }
        kit_ok(tong_remove(BOX));
        kit_ok(tong_close(box));
        const int64_t answer = puppet_answer(&p);
        kit_gives(answer, -EIDRM);
        puppet_end(&p);
        box = kit_create(BOX, NULL);
    }
    kit_end(box, BOX);
}

/* Who has taken the request, or not; what it says is in its hands or on the way. */
static void the_death_of_its_owner_ends_the_call(void)
{
    for (int how = 0; how < 3; how++) {
        struct puppet owner = puppet_start("o");
        tong_options options = kit_options();
        options.owner = TONG_PROCESS;
        kit_ok(PUPPET(&owner, .verb = PUPPET_OPEN, .name = "service",
                      .flags = TONG_RECEIVE | TONG_CREATE, .has_options = true,
                      .options = options));
        struct puppet p = caller_starts("p");
        asks(&p, 1, TONG_FOREVER);
        if (how != 0) {
            const enum puppet_verb verb = how == 1 ? PUPPET_CLAIM : PUPPET_TAKE;
            kit_gives(PUPPET(&owner, .verb = verb, .timeout_ns = KIT_PATIENCE), 1001);
        }
        kit_until(puppet_waits(&p));
        puppet_kill(&owner);
        kit_gives(puppet_answer(&p), -EOWNERDEAD);
        kit_gives(PUPPET(&p, .verb = PUPPET_CALL, .timeout_ns = TONG_FOREVER), -EOWNERDEAD);
        puppet_end(&p);
    }
}

static void a_process_is_called_by_its_mailbox(void)
{
    tong_process *me = NULL;
    kit_ok(tong_process_open(kit_name("service"), NULL, &me));
    struct puppet p = caller_starts("p");
    for (int how = 0; how < 2; how++) {
        tong_message request = TONG_MESSAGE_INIT;
        asks(&p, 1, TONG_FOREVER);
        kit_ok(tong_claim(tong_process_mailbox(me), KIT_PATIENCE, &request));
        const uint64_t value = 17;
        kit_ok(tong_reply(tong_process_mailbox(me), &request, &value, 8, 0));
        kit_gives(puppet_answer(&p), 17);
    }
    asks(&p, 1, TONG_FOREVER);
    kit_until(kit_stat(BOX).waiting == 1);
    kit_ok(tong_process_close(me));
    kit_gives(puppet_answer(&p), -EOWNERDEAD);
    puppet_end(&p);
}

static void a_caller_that_is_gone_is_told(void)
{
    for (int how = 0; how < 2; how++) {
        tong_mailbox *box = kit_create(BOX, NULL);
        struct puppet p = caller_starts("p");
        struct server s = server_starts("s");
        asks(&p, 1, TONG_FOREVER);
        kit_gives(has(&s, how), 1001);
        asks(&p, 2, TONG_FOREVER);
        puppet_kill(&p);
        kit_gives(replies(&s, 2), -ENOENT);
        kit_gives(replies(&s, 2), -EINVAL);
        kit_equal(kit_stat(BOX).claimed, 0);
        server_ends(&s);
        kit_end(box, BOX);
    }
}

static const struct kit_test tests[] = {
    KIT_TEST(a_server_that_dies_is_told_at_once),
    KIT_TEST(the_death_of_another_server_is_no_end),
    KIT_TEST(a_server_that_lets_go_is_told_at_once),
    KIT_TEST(a_request_that_is_thrown_away_is_told_at_once),
    KIT_TEST(one_given_back_is_handed_out_again),
    KIT_TEST(where_it_is_redelivered_another_server_answers),
    KIT_TEST(what_was_received_is_never_redelivered),
    KIT_TEST(handed_out_too_often_it_ends),
    KIT_TEST(whoever_dies_with_it_it_is_a_dead_letter_then),
    KIT_TEST(the_end_of_the_mailbox_ends_the_call),
    KIT_TEST(the_death_of_its_owner_ends_the_call),
    KIT_TEST(a_process_is_called_by_its_mailbox),
    KIT_TEST(a_caller_that_is_gone_is_told),
};

KIT_MAIN(tests)
