/*
 * What the tests of max_deliveries share: the mailbox JOBS, and DEAD for its dead letters.
 *
 * After every step the counts of a mailbox add up: sent = done + claimed + waiting + set aside.
 */
#ifndef TONG_CONFORMANCE_DEAD_LETTER_H
#define TONG_CONFORMANCE_DEAD_LETTER_H

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "kit.h"

#define JOBS kit_name("jobs")
#define DEAD kit_name("dead")

static inline tong_options jobs_options(uint32_t max_deliveries)
{
    tong_options options = kit_options();
    options.max_deliveries = max_deliveries;
    options.dead_letter = "dead";
    return options;
}

static inline tong_mailbox *create_jobs(uint32_t max_deliveries)
{
    kit_needs(KIT_DEAD_LETTER);
    const tong_options options = jobs_options(max_deliveries);
    return kit_create(JOBS, &options);
}

static inline uint64_t value_of(const tong_message *message)
{
    uint64_t value = 0;
    kit_equal(message->len, sizeof(value));
    memcpy(&value, message->data, sizeof(value));
    return value;
}

static inline void expect_counts(const char *name, uint64_t done, uint64_t claimed,
                                 uint64_t waiting, uint64_t set_aside)
{
    const tong_status status = kit_stat(name);
    kit_equal(status.done, done);
    kit_equal(status.claimed, claimed);
    kit_equal(status.waiting, waiting);
    kit_equal(status.set_aside, set_aside);
    kit_equal(status.sent, done + claimed + waiting + set_aside);
}

static inline tong_message claim(tong_mailbox *box, uint32_t deliveries)
{
    tong_message message = TONG_MESSAGE_INIT;
    kit_ok(tong_claim(box, KIT_PATIENCE, &message));
    kit_equal(message.deliveries, deliveries);
    return message;
}

/* The next message is claimed and given back, from its first delivery to the last it may have. */
static inline void return_until(tong_mailbox *box, uint64_t value, uint32_t max_deliveries)
{
    for (uint32_t i = 1; i <= max_deliveries; i++) {
        tong_message message = claim(box, i);
        kit_equal(value_of(&message), value);
        kit_ok(tong_return(box, &message));
    }
}

static inline void send_and_return(tong_mailbox *box, uint64_t value, uint32_t max_deliveries)
{
    kit_ok(kit_send_u64(box, value, 0));
    return_until(box, value, max_deliveries);
}

/* The next dead letter is of this mailbox, with this number. Finished here. */
static inline void expect_letter(tong_mailbox *dead, uint64_t value, uint64_t sequence,
                                 uint32_t deliveries)
{
    tong_message message = claim(dead, 1);
    tong_origin origin = TONG_ORIGIN_INIT;
    kit_equal(value_of(&message), value);
    kit_equal(message.pid, getpid());
    kit_gives(tong_origin_of(dead, &message, &origin), 1);
    kit_equal(origin.deliveries, deliveries);
    kit_equal(origin.sequence, sequence);
    kit_equal(origin.uid, geteuid());
    kit_equal(origin.pid, getpid());
    kit_true(strcmp(origin.name, "jobs") == 0);
    kit_true(memcmp(origin.id, kit_stat(JOBS).id, 16) == 0);
    kit_ok(tong_done(dead, &message));
}

#endif
