/*
 * Time, random numbers, answers, and payloads that prove themselves.
 *
 * A payload's bytes come from one pool of random words, read from a place that depends on sender
 * and counter, so that writing one is a memcpy and bytes of another message never fit.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kit.h"
#include "kit_private.h"

int64_t kit_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum {
    SLOW = 3
};
#else
enum {
    SLOW = 1
};
#endif

int64_t kit_patience_ns(void)
{
    return TONG_SEC(1) * SLOW * (int64_t)kit_count("KIT_SECONDS", 20);
}

struct kit_poll kit_poll_begin(void)
{
    return (struct kit_poll){ .end_ns = kit_now_ns() + KIT_PATIENCE, .pause_ns = 20000 };
}

void kit_poll_next(struct kit_poll *poll, const char *file, int line, const char *what)
{
    if (kit_now_ns() > poll->end_ns) {
        kit_fail_at(file, line, "did not happen in time: %s", what);
    }
    const struct timespec pause = { .tv_nsec = poll->pause_ns };
    nanosleep(&pause, NULL);
    poll->pause_ns = poll->pause_ns < 2500000 ? poll->pause_ns * 2 : 5000000;
}

uint64_t kit_count(const char *variable, uint64_t short_form)
{
    const char *text = getenv(variable);
    if (!text || text[0] == '\0') {
        return short_form;
    }
    char *end = NULL;
    const unsigned long long n = strtoull(text, &end, 10);
    if (*end != '\0' || n == 0) {
        fprintf(stderr, "%s=%s is not a count\n", variable, text);
        exit(2);
    }
    return n;
}

/* ------------------------------------------------------------------ random numbers */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

uint64_t kit_seed(void)
{
    static uint64_t seed;
    if (seed == 0) {
        seed = kit_count("KIT_SEED", (uint64_t)kit_now_ns() % 1000000 + 1);
    }
    return seed;
}

struct kit_random kit_random_stream(uint64_t stream)
{
    uint64_t name = 0;
    for (const char *p = kit_test_name; *p; p++) {
        name = mix(name ^ (uint64_t)(unsigned char)*p);
    }
    const uint64_t start = mix(kit_seed() ^ name) ^ mix(stream);
    return (struct kit_random){ .state = { mix(start), mix(~start) | 1 } };
}

/* xorshift128+ */
uint64_t kit_random(struct kit_random *random)
{
    uint64_t a = random->state[0];
    const uint64_t b = random->state[1];
    random->state[0] = b;
    a ^= a << 23;
    random->state[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
    return random->state[1] + b;
}

uint64_t kit_random_below(struct kit_random *random, uint64_t limit)
{
    return kit_random(random) % limit;
}

void kit_random_moment(struct kit_random *random)
{
    const struct timespec some = { .tv_nsec = (long)kit_random_below(random, 3000000) };
    nanosleep(&some, NULL);
}

/* ------------------------------------------------------------------ answers */

void kit_gives_at(const char *file, int line, const char *call, int64_t got, int64_t want)
{
    if (got != want) {
        kit_fail_at(file, line, "%s gave %lld (%s), wanted %lld (%s)", call, (long long)got,
                    got < 0 ? strerrorname_np((int)-got) : "", (long long)want,
                    want < 0 ? strerrorname_np((int)-want) : "");
    }
}

void kit_equal_at(const char *file, int line, const char *what, uint64_t got, const char *as,
                  uint64_t want)
{
    if (got != want) {
        kit_fail_at(file, line, "%s is %llu, wanted %s, which is %llu", what,
                    (unsigned long long)got, as, (unsigned long long)want);
    }
}

/* ------------------------------------------------------------------ payloads */

enum {
    POOL_WORDS = 16384
};
static uint64_t pool[POOL_WORDS];
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;

static void fill_pool(void)
{
    for (uint64_t i = 0; i < POOL_WORDS; i++) {
        pool[i] = mix(i * 3 + 1);
    }
}

static uint64_t sum_of(const unsigned char *data, size_t len, uint64_t start)
{
    uint64_t a = start;
    uint64_t b = ~start;
    size_t i = 0;
    for (; i + 16 <= len; i += 16) {
        uint64_t x;
        uint64_t y;
        memcpy(&x, data + i, 8);
        memcpy(&y, data + i + 8, 8);
        a = (a ^ x) * UINT64_C(0xff51afd7ed558ccd);
        b = (b ^ y) * UINT64_C(0xc4ceb9fe1a85ec53);
        a ^= a >> 32;
        b ^= b >> 29;
    }
    for (; i < len; i++) {
        a = (a ^ data[i]) * UINT64_C(0x100000001b3);
    }
    return mix(a ^ (b << 1));
}

static uint64_t sum_of_payload(const struct kit_payload *head, const unsigned char *body)
{
    const uint64_t start =
        mix(head->counter ^ ((uint64_t)head->sender << 40) ^ ((uint64_t)head->len << 8));
    return sum_of(body, head->len - KIT_PAYLOAD_MIN, start);
}

static void write_body(unsigned char *body, size_t len, uint32_t sender, uint64_t counter)
{
    size_t at = mix(counter ^ ((uint64_t)sender << 48)) % POOL_WORDS;
    while (len > 0) {
        const size_t room = (POOL_WORDS - at) * sizeof(pool[0]);
        const size_t part = len < room ? len : room;
        memcpy(body, &pool[at], part);
        body += part;
        len -= part;
        at = 0;
    }
}

void kit_payload_write(void *data, size_t len, uint32_t sender, uint64_t counter)
{
    _Static_assert(sizeof(struct kit_payload) == KIT_PAYLOAD_MIN, "the head has no gaps");
    pthread_once(&pool_once, fill_pool);
    struct kit_payload head = { .sender = sender, .len = (uint32_t)len, .counter = counter };
    if (len < KIT_PAYLOAD_MIN) {
        if (len > 0) {
            memcpy(data, &head, len);
        }
        return;
    }
    unsigned char *body = (unsigned char *)data + KIT_PAYLOAD_MIN;
    write_body(body, len - KIT_PAYLOAD_MIN, sender, counter);
    head.sum = sum_of_payload(&head, body);
    memcpy(data, &head, KIT_PAYLOAD_MIN);
}

bool kit_payload_read(const void *data, size_t len, struct kit_payload *ret_head)
{
    struct kit_payload head;
    if (len < KIT_PAYLOAD_MIN) {
        return false;
    }
    memcpy(&head, data, KIT_PAYLOAD_MIN);
    if (head.len != len ||
        head.sum != sum_of_payload(&head, (const unsigned char *)data + KIT_PAYLOAD_MIN)) {
        return false;
    }
    *ret_head = head;
    return true;
}

bool kit_payload_is(const void *data, size_t len, uint32_t sender, uint64_t counter)
{
    struct kit_payload head = { .sender = sender, .len = (uint32_t)len, .counter = counter };
    if (len < KIT_PAYLOAD_MIN) {
        return len == 0 || memcmp(data, &head, len) == 0;
    }
    return kit_payload_read(data, len, &head) && head.sender == sender && head.counter == counter;
}
