#include "scene.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME "victim"
#define BUFFER 8192u
#define SHORT_NS 20000

static uint8_t buffer[4][BUFFER];

/* ---- the honest sender's messages */

struct proof {
    uint64_t secret;
    uint32_t number;
    uint32_t len;
};

static uint8_t filling(uint32_t number, uint32_t i)
{
    return (uint8_t)(number * 31 + i * 7);
}

static void write_message(uint8_t *to, uint32_t number, uint32_t len)
{
    const struct proof proof = { fuzz_secret(), number, len };
    memcpy(to, &proof, sizeof(proof));
    for (uint32_t i = sizeof(proof); i < len; i++) {
        to[i] = filling(number, i);
    }
}

static void check_whole(const uint8_t *data, size_t len, const struct proof *proof)
{
    fuzz_true(proof->len == len && proof->number < SCENE_MESSAGES);
    for (uint32_t i = sizeof(*proof); i < len; i++) {
        fuzz_true(data[i] == filling(proof->number, i));
    }
}

/* A message was handed out: NULL if it is the hostile one's. */
static struct scene_message *look(struct scene *s, const uint8_t *data, size_t len)
{
    struct proof proof;
    if (len < sizeof(proof)) {
        return NULL;
    }
    memcpy(&proof, data, sizeof(proof));
    if (proof.secret != fuzz_secret()) {
        return NULL;
    }
    check_whole(data, len, &proof);
    struct scene_message *m = &s->messages[proof.number];
    fuzz_true(m->sent && !m->taken);
    while (s->fresh < proof.number && !s->messages[s->fresh].sent) {
        s->fresh++;
    }
    fuzz_true(proof.number == s->fresh || m->n_back != 0);
    if (proof.number == s->fresh) {
        s->fresh++;
    }
    fuzz_true(s->max_deliveries == 0 || m->n_back < s->max_deliveries);
    m->taken = true;
    return m;
}

static void honest_send(struct scene *s, uint32_t how, uint32_t len)
{
    static uint8_t data[BUFFER];
    if (s->honest == NULL || s->n_sent == SCENE_MESSAGES) {
        return;
    }
    const uint32_t number = s->n_sent++;
    len = (uint32_t)sizeof(struct proof) + len;
    write_message(data, number, len);
    int r;
    if (how % 4 == 0) {
        tong_slot slot = TONG_SLOT_INIT;
        r = tong_reserve(s->honest, len, SHORT_NS, &slot);
        if (r == 0) {
            memcpy(slot.data, data, len);
            r = how % 8 == 0 ? tong_commit(s->honest, &slot, len) : tong_abort(s->honest, &slot);
            r = how % 8 == 0 ? r : -EAGAIN;
        }
    } else {
        r = tong_send(s->honest, data, len, how % 4 == 1 ? SHORT_NS : 0);
    }
    s->messages[number].sent = r == 0;
}

/* ---- the receiver's calls */

static void receive(struct scene *s, tong_mailbox *box, size_t size, int64_t timeout_ns)
{
    const ssize_t n = tong_receive(box, buffer[0], size, timeout_ns);
    if (n >= 0) {
        fuzz_true((size_t)n <= size);
        (void)look(s, buffer[0], (size_t)n);
    }
}

static void receive_with(struct scene *s, tong_mailbox *box, int64_t timeout_ns)
{
    tong_message info = TONG_MESSAGE_INIT;
    const ssize_t n = tong_receive_with(box, buffer[0], BUFFER, NULL, timeout_ns, &info);
    if (n >= 0) {
        fuzz_true((size_t)n <= BUFFER && info.len == (size_t)n && info.data == buffer[0]);
        fuzz_true(info.priority <= TONG_PRIORITY_MAX);
        fuzz_true(strlen(info.reply_to) < sizeof(info.reply_to));
        (void)look(s, buffer[0], (size_t)n);
    }
}

static void receive_many(struct scene *s, tong_mailbox *box, int64_t timeout_ns)
{
    size_t lens[4];
    struct iovec parts[4];
    for (size_t i = 0; i < 4; i++) {
        parts[i] = (struct iovec){ buffer[i], i == 3 ? 64 : BUFFER };
    }
    const ssize_t n = tong_receive_many(box, parts, 4, timeout_ns, lens);
    for (ssize_t i = 0; i < n; i++) {
        fuzz_true(lens[i] <= parts[i].iov_len);
        (void)look(s, buffer[i], lens[i]);
    }
}

/* H3. Of a long one the ends and a page each are touched. */
static void read_claim(const tong_message *m)
{
    const volatile uint8_t *data = m->data;
    const size_t step = m->len > BUFFER ? 4096 : 1;
    for (size_t i = 0; i < m->len; i += step) {
        (void)data[i];
    }
    if (m->len != 0) {
        (void)data[m->len - 1];
    }
}

static void claim(struct scene *s, tong_mailbox *box, int64_t timeout_ns)
{
    uint32_t i = 0;
    while (i < SCENE_CLAIMS && s->claimed_by[i] != NULL) {
        i++;
    }
    tong_message m = TONG_MESSAGE_INIT;
    if (i == SCENE_CLAIMS || tong_claim(box, timeout_ns, &m) != 0) {
        return;
    }
    const struct scene_message *known = look(s, m.data, m.len);
    fuzz_true(m.verified == TONG_VERIFIED_UID);
    if (known != NULL) {
        fuzz_true(m.uid == (uint32_t)geteuid());
        fuzz_true(m.deliveries == known->n_back + 1);
    } else if (s->forge.is_other_user) {
        fuzz_true(m.uid == FUZZ_OTHER_UID);
    }
    s->claims[i] = m;
    s->claimed_by[i] = box;
}

/* Which of the honest messages a claim is, so that its end can be noted: looked up before. */
static struct scene_message *of_claim(struct scene *s, const tong_message *m)
{
    struct proof proof;
    if (m->len < sizeof(proof)) {
        return NULL;
    }
    memcpy(&proof, m->data, sizeof(proof));
    return proof.secret == fuzz_secret() && proof.number < SCENE_MESSAGES
               ? &s->messages[proof.number]
               : NULL;
}

static void give_back(struct scene_message *known)
{
    if (known != NULL) {
        known->taken = false;
        known->n_back++;
    }
}

static void finish(struct scene *s, uint32_t i, bool done)
{
    if (s->claimed_by[i] == NULL) {
        return;
    }
    tong_message *m = &s->claims[i];
    struct scene_message *known = of_claim(s, m);
    read_claim(m);
    fuzz_true((done ? tong_done : tong_return)(s->claimed_by[i], m) == 0);
    s->claimed_by[i] = NULL;
    if (!done) {
        give_back(known);
    }
}

static void close_receiver(struct scene *s, tong_mailbox **box)
{
    for (uint32_t i = 0; i < SCENE_CLAIMS; i++) {
        if (s->claimed_by[i] == *box && *box != NULL) {
            give_back(of_claim(s, &s->claims[i]));
            s->claimed_by[i] = NULL;
        }
    }
    (void)tong_close(*box);
    *box = NULL;
}

/* One that was given back too often is set aside, and may be thrown away. */
static bool is_owed(const struct scene *s)
{
    for (uint32_t i = 0; i < s->n_sent; i++) {
        const struct scene_message *m = &s->messages[i];
        if (m->sent && !m->taken && (s->max_deliveries == 0 || m->n_back < s->max_deliveries)) {
            return true;
        }
    }
    return false;
}

static void skip(struct scene *s, tong_mailbox *box)
{
    /* What it throws away is not seen: only while nothing honest can be meant. */
    if (!is_owed(s)) {
        (void)tong_skip(box);
    }
}

static int count(const tong_status *status, int error, void *arg)
{
    (void)status;
    (void)error;
    (void)arg;
    return 0;
}

static int look_at_party(const tong_party *party, void *arg)
{
    (void)arg;
    fuzz_true(party->role == TONG_SEND || party->role == TONG_RECEIVE);
    return 0;
}

static void observe(const char *name)
{
    static uint8_t seen[4096];
    tong_observer *observer;
    tong_message info = TONG_MESSAGE_INIT;
    uint64_t missed;
    if (tong_observer_open(name, &observer) != 0) {
        return;
    }
    for (int i = 0; i < 20; i++) {
        const ssize_t n = tong_peek(observer, seen, sizeof(seen), 0, &info, &missed);
        if (n == -EAGAIN) {
            break;
        }
        fuzz_true(n < 0 ||
                  (info.len == (size_t)n && memchr(info.sender, '\0', TONG_NAME_MAX) != NULL));
    }
    (void)tong_observer_close(observer);
}

static void look_around(struct scene *s, uint32_t how)
{
    tong_status status = TONG_STATUS_INIT;
    tong_death death = TONG_DEATH_INIT;
    tong_origin origin = TONG_ORIGIN_INIT;
    (void)tong_stat(NAME, &status);
    (void)tong_parties(NAME, look_at_party, NULL);
    observe(NAME);
    if (how % 4 == 0) {
        (void)tong_list(count, NULL);
    } else if (how % 4 == 1 && s->box != NULL) {
        (void)tong_watch(s->box, SHORT_NS, &death);
    } else if (how % 4 == 2 && s->claimed_by[0] != NULL) {
        (void)tong_origin_of(s->claimed_by[0], &s->claims[0], &origin);
    }
}

/* ---- opening */

static void reopen(struct scene *s, uint32_t how)
{
    if (how % 4 == 0) {
        close_receiver(s, &s->box);
        (void)tong_open(NAME, TONG_RECEIVE, NULL, &s->box);
    } else if (how % 4 == 1 && s->second == NULL) {
        (void)tong_open(NAME, TONG_RECEIVE, NULL, &s->second);
    } else if (how % 4 == 2) {
        close_receiver(s, &s->second);
    } else if (s->forge.is_other_user) {
        (void)tong_close(s->honest);
        s->honest = NULL;
        (void)tong_open(NAME, TONG_SEND, NULL, &s->honest);
    }
}

static void strike_at_point(void *arg)
{
    struct scene *s = arg;
    if (fuzz_is_over(&s->during)) {
        return;
    }
    if (s->pause > 0) {
        s->pause--;
        return;
    }
    forge_strike_receiver(&s->forge, &s->during);
    s->pause = fuzz_u8(&s->during);
}

static tong_options options(struct scene *s)
{
    static const uint32_t capacities[] = { TONG_UNBOUNDED, TONG_UNBOUNDED, 3, 0 };
    const uint8_t how = fuzz_u8(&s->script);
    tong_options o = TONG_OPTIONS_INIT;
    o.capacity = capacities[how % 4];
    o.delivery = how / 4 % 2 == 0 ? TONG_FIRST_COME : TONG_ANY;
    o.full = how / 8 % 2 == 0 ? TONG_BLOCK : how / 128 == 0 ? TONG_DROP_NEWEST : TONG_DROP_OLDEST;
    if (o.full == TONG_DROP_OLDEST && o.capacity != 0) {
        o.capacity = TONG_UNBOUNDED; /* nothing honest is dropped */
    }
    o.max_deliveries = how / 16 % 4 == 0 ? 2 : 0;
    if (o.max_deliveries != 0 && how / 64 % 2 == 0) {
        tong_mailbox *dead;
        o.dead_letter = "dead";
        fuzz_true(tong_open("dead", TONG_SEND | TONG_CREATE, NULL, &dead) == 0);
        (void)tong_close(dead);
    }
    s->capacity = o.capacity;
    s->max_deliveries = o.max_deliveries;
    return o;
}

static void open_forge(struct scene *s, const char *folder)
{
    const uint8_t how = fuzz_u8(&s->script);
    forge_begin(&s->forge, folder, NAME, fuzz_is_root() && how % 4 != 0);
    s->forge.may_resize = s->forge.is_other_user;
    forge_make_life(&s->forge, how / 4 % 2 == 0);
    forge_make_link(&s->forge);
    forge_make_bells(&s->forge);
}

void scene_open(struct scene *s, const uint8_t *data, size_t size, bool is_race)
{
    const char *folder = fuzz_begin();
    memset(s, 0, sizeof(*s));
    s->input = (struct fuzz_input){ data, data + size };
    s->script = (struct fuzz_bytes){ &s->input, false };
    s->during = (struct fuzz_bytes){ &s->input, true };
    const tong_options o = options(s);
    fuzz_true(tong_open(NAME, TONG_RECEIVE | TONG_CREATE, &o, &s->box) == 0);
    fuzz_true(tong_open(NAME, TONG_SEND, NULL, &s->honest) == 0);
    /* Now it has its link; at capacity 0 the message is refused, for nobody waits. */
    honest_send(s, 2, 8);
    fuzz_true(s->messages[0].sent == (s->capacity != 0));
    open_forge(s, folder);
    s->is_race = is_race;
    if (!is_race) {
        fuzz_at_points(strike_at_point, s);
    }
}

/* ---- steps */

static void receiver_step(struct scene *s, tong_mailbox *box, uint8_t what)
{
    const int64_t timeout_ns = what / 8 % 4 == 3 ? SHORT_NS : 0;
    switch (what % 8) {
    case 0:
    case 1:
        receive(s, box, BUFFER, timeout_ns);
        break;
    case 2:
        if (fuzz_u8(&s->script) % 2 == 0) {
            receive(s, box, fuzz_u8(&s->script), timeout_ns);
        } else {
            receive_with(s, box, timeout_ns);
        }
        break;
    case 3:
        receive_many(s, box, timeout_ns);
        break;
    case 4:
    case 5:
        claim(s, box, timeout_ns);
        break;
    case 6:
        (void)tong_wait_any(&box, 1, timeout_ns);
        break;
    default:
        skip(s, box);
        break;
    }
}

void scene_step(struct scene *s)
{
    const uint8_t what = fuzz_u8(&s->script);
    switch (what % 8) {
    case 0:
    case 1:
        if (!s->is_race) {
            forge_strike_receiver(&s->forge, &s->script);
        }
        break;
    case 2:
        honest_send(s, what / 8, fuzz_u8(&s->script));
        break;
    case 3:
        finish(s, what / 8 % SCENE_CLAIMS, what / 64 % 2 == 0);
        break;
    case 4:
        for (uint32_t i = 0; i < SCENE_CLAIMS; i++) {
            if (s->claimed_by[i] != NULL) {
                read_claim(&s->claims[i]);
            }
        }
        break;
    case 5:
        if (what / 8 % 2 == 0) {
            look_around(s, what / 16);
        } else {
            reopen(s, what / 16);
        }
        break;
    default:
        if (what >= 0xe0 && s->second != NULL) {
            receiver_step(s, s->second, fuzz_u8(&s->script));
        } else if (s->box != NULL) {
            receiver_step(s, s->box, fuzz_u8(&s->script));
        }
        break;
    }
    fuzz_call_ends();
}

/* ---- the end */

/* H1: take everything; a message too long for the buffer is the hostile one's. */
static void drain(struct scene *s)
{
    int last = 0;
    for (uint32_t tries = 0; is_owed(s); tries++) {
        if (tries == 100000) {
            fuzz_fail("an honest message does not come; the last answer was %d", last);
        }
        const ssize_t n = tong_receive(s->box, buffer[0], BUFFER, 0);
        last = n < 0 ? (int)n : 0;
        if (n >= 0) {
            (void)look(s, buffer[0], (size_t)n);
        } else if (n == -EMSGSIZE) {
            last = (int)tong_skip(s->box);
        }
    }
}

void scene_close(struct scene *s)
{
    fuzz_at_points(NULL, NULL);
    close_receiver(s, &s->second);
    for (uint32_t i = 0; i < SCENE_CLAIMS; i++) {
        finish(s, i, true);
    }
    if (s->box == NULL) {
        /* It was refused while others struck; now it must not be. */
        forge_mend_room(&s->forge);
        const int r = tong_open(NAME, TONG_RECEIVE, NULL, &s->box);
        if (r != 0 && s->forge.is_other_user) {
            fuzz_fail("the mailbox cannot be opened any more: %d", r);
        }
    }
    if (s->box != NULL) {
        drain(s);
    }
    close_receiver(s, &s->box);
    (void)tong_close(s->honest);
    forge_end(&s->forge);
    fuzz_end();
}
