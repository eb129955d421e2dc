/*
 * Taking away what stands under some subjects of a stream that keeps one message of each.
 *
 * A server can do that by one request, a purge with a filter. But replicas of 2.9.10 that start again carry out the
 * purges of their log without the filter, and everything is gone. So each message is replaced by an empty one, which
 * tells its number, and that number is deleted: several at once, for one way to the server and back each.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats/server.h"

#define WINDOW 32u

struct subjects {
    char (*all)[TG_NATS_SUBJECT_SIZE];
    size_t n;
    size_t size;
};

static int keep_subject(void *arg, const char *subject)
{
    struct subjects *subjects = arg;
    if (subjects->n == subjects->size) {
        const size_t size = subjects->size == 0 ? 16 : 2 * subjects->size;
        void *all = realloc(subjects->all, size * sizeof subjects->all[0]);
        if (all == NULL) {
            return -ENOMEM;
        }
        subjects->all = all;
        subjects->size = size;
    }
    struct tg_text copy = { subjects->all[subjects->n], sizeof subjects->all[0], 0, false };
    tg_text_add(&copy, subject);
    subjects->n += !copy.is_over;
    return 0;
}

/* The answers to n requests, the first of which has this number; of publishes the numbers. Refused: the error. */
static int await_all(const struct tg_js *js, uint64_t first, size_t n, uint64_t *ret_seqs)
{
    int refused = 0;
    for (size_t i = 0; i < n; i++) {
        struct tg_nats_msg msg;
        const int nth = tg_js_await_one_of(js, first, n, &msg);
        if (nth < 0) {
            return nth;
        }
        const struct tg_js_answer answer = tg_js_read(&msg);
        if (ret_seqs != NULL) {
            ret_seqs[nth] = answer.seq;
            refused = refused != 0 ? refused : tg_js_errno(&answer);
        } /* who was refused a deletion was forestalled */
    }
    return refused;
}

static int clear_some(const struct tg_js *js, const char *stream,
                      char (*subjects)[TG_NATS_SUBJECT_SIZE], size_t n)
{
    uint64_t seqs[WINDOW];
    uint64_t first = 0;
    int r = 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        uint64_t reply;
        r = tg_js_post(js->conn, subjects[i], NULL, NULL, 0, &reply);
        first = i == 0 ? reply : first;
    }
    r = r < 0 ? r : await_all(js, first, n, seqs);
    for (size_t i = 0; i < n && r == 0; i++) {
        uint64_t reply;
        r = tg_js_post_delete(js->conn, stream, seqs[i], &reply);
        first = i == 0 ? reply : first;
    }
    return r < 0 ? r : await_all(js, first, n, NULL);
}

int tg_js_clear(const struct tg_js *js, const char *stream, const char *filter)
{
    struct subjects subjects = { .n = 0 };
    int r = tg_js_list_subjects(js, stream, filter, keep_subject, &subjects);
    for (size_t at = 0; at < subjects.n && r == 0; at += WINDOW) {
        const size_t rest = subjects.n - at;
        r = clear_some(js, stream, subjects.all + at, rest < WINDOW ? rest : WINDOW);
    }
    free(subjects.all);
    return r;
}
