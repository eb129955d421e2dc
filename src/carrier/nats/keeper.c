#include "carrier/nats/keeper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/sys.h"
#include "carrier/nats/fork.h"
#include "carrier/nats/net.h"

#define BEAT_NS (TG_NATS_ACK_WAIT_NS / 5)
#define RETRY_NS INT64_C(50000000)
#define LONG_NS INT64_C(3600000000000)

struct tg_nats_keeper {
    const struct tg_nats_url *url;
    char subject[96];
    uint32_t forks;
    struct tg_nats_conn *conn; /* the thread's alone, once there is one */
    bool has_thread;
    pthread_t thread;
    int bell;            /* rung for the thread to look at what changed */
    tg_a32 stop;         /* 1: the thread ends */
    struct tg_gate gate; /* guards the list */
    struct tg_nats_kept *kept;
};

static void enter(struct tg_gate *gate)
{
    while (tg_gate_enter(gate, TG_NEVER, NULL, 0) < 0) {
    }
}

static int be_there(struct tg_nats_keeper *keeper)
{
    if (keeper->conn != NULL && !keeper->conn->is_lost) {
        return 0;
    }
    tg_nats_disconnect(keeper->conn);
    keeper->conn = NULL;
    const int64_t deadline = tg_now_ns() + TG_NATS_PATIENCE_NS;
    int r = tg_nats_connect(keeper->url, deadline, &keeper->conn);
    uint64_t sid;
    r = r < 0 ? r : tg_nats_subscribe(keeper->conn, keeper->subject, NULL, &sid);
    r = r < 0 ? r : tg_nats_ping(keeper->conn);
    const struct tg_nats_wait wait = { .deadline = deadline, .cancel_fd = -1 };
    while (r == 0 && !tg_nats_is_answered(keeper->conn)) {
        struct tg_nats_msg msg;
        r = tg_nats_next(keeper->conn, &wait, &msg);
        r = r == -ETIMEDOUT ? (tg_nats_is_answered(keeper->conn) ? 0 : -ENOTCONN) : r;
    }
    if (r < 0 && keeper->conn != NULL) {
        keeper->conn->is_lost = true;
    }
    return r;
}

int tg_nats_keeper_new(const struct tg_nats_server *server, struct tg_nats_keeper **ret_keeper)
{
    struct tg_nats_keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL) {
        return -ENOMEM;
    }
    keeper->url = &server->url;
    keeper->forks = tg_nats_forks();
    struct tg_text subject = TG_TEXT(keeper->subject);
    tg_text_add(&subject, server->space);
    tg_text_add(&subject, ".p.");
    tg_text_add(&subject, server->proc);
    keeper->bell = tg_net_bell();
    if (keeper->bell < 0) {
        const int r = keeper->bell;
        free(keeper);
        return r;
    }
    *ret_keeper = keeper;
    return 0;
}

int tg_nats_keeper_look(struct tg_nats_keeper *keeper)
{
    if (keeper->has_thread) {
        return 0;
    }
    const struct tg_nats_wait now = { .deadline = 0, .cancel_fd = -1 };
    struct tg_nats_msg msg;
    while (keeper->conn != NULL && tg_nats_next(keeper->conn, &now, &msg) == 0) {
    }
    return be_there(keeper);
}

/* ---- the thread */

static void beat(struct tg_nats_keeper *keeper)
{
    enter(&keeper->gate);
    for (const struct tg_nats_kept *kept = keeper->kept; kept != NULL; kept = kept->next) {
        (void)tg_nats_publish_text(keeper->conn, kept->ack, NULL, "+WPI");
    }
    tg_gate_leave(&keeper->gate);
}

static bool has_claims(struct tg_nats_keeper *keeper)
{
    enter(&keeper->gate);
    const bool has = keeper->kept != NULL;
    tg_gate_leave(&keeper->gate);
    return has;
}

static void pause_a_moment(struct tg_nats_keeper *keeper)
{
    if (tg_net_wait(-1, 0, keeper->bell, tg_now_ns() + RETRY_NS) > 0) {
        tg_net_silence(keeper->bell); /* it stays rung otherwise, and ends each pause */
    }
}

/* Read what comes until the time for a beat, or until something has changed. */
static void listen_until(struct tg_nats_keeper *keeper, int64_t deadline)
{
    const struct tg_nats_wait wait = { .deadline = deadline, .cancel_fd = keeper->bell };
    struct tg_nats_msg msg;
    int r = 0;
    while (r == 0 && tg_now_ns() < deadline) {
        r = tg_nats_next(keeper->conn, &wait, &msg);
        /* What the server refuses is refused again: nothing is tried sooner for it. */
        r = r == -EACCES ? 0 : r;
    }
    if (r == -ECANCELED) {
        tg_net_silence(keeper->bell);
    } else if (r < 0 && r != -ETIMEDOUT && r != -ENOTCONN) {
        pause_a_moment(keeper);
    }
}

static void *be_keeper(void *arg)
{
    struct tg_nats_keeper *keeper = arg;
    int64_t next_beat = 0;
    while (tg_load_acquire(&keeper->stop) == 0) {
        if (be_there(keeper) < 0) {
            pause_a_moment(keeper);
            continue;
        }
        const bool beats = has_claims(keeper);
        if (beats && tg_now_ns() >= next_beat) {
            beat(keeper);
            next_beat = tg_now_ns() + BEAT_NS;
        }
        listen_until(keeper, beats ? next_beat : tg_now_ns() + LONG_NS);
    }
    return NULL;
}

int tg_nats_keeper_start(struct tg_nats_keeper *keeper)
{
    if (keeper->has_thread) {
        return 0;
    }
    /* Signals are for the program's threads. */
    sigset_t every;
    pthread_attr_t attributes;
    (void)sigfillset(&every);
    int r = -pthread_attr_init(&attributes);
    if (r == 0) {
        r = -pthread_attr_setsigmask_np(&attributes, &every);
        r = r == 0 ? -pthread_create(&keeper->thread, &attributes, be_keeper, keeper) : r;
        (void)pthread_attr_destroy(&attributes);
    }
    keeper->has_thread = r == 0;
    return r == -EAGAIN ? -ENOMEM : r;
}

void tg_nats_keeper_free(struct tg_nats_keeper *keeper)
{
    if (keeper == NULL) {
        return;
    }
    if (keeper->has_thread && keeper->forks == tg_nats_forks()) {
        tg_store_release(&keeper->stop, 1);
        tg_net_ring(keeper->bell);
        (void)pthread_join(keeper->thread, NULL);
    }
    tg_nats_disconnect(keeper->conn);
    tg_sys_close(keeper->bell);
    free(keeper);
}

void tg_nats_keep_claim(struct tg_nats_keeper *keeper, struct tg_nats_kept *kept)
{
    enter(&keeper->gate);
    kept->next = keeper->kept;
    kept->before = &keeper->kept;
    if (keeper->kept != NULL) {
        keeper->kept->before = &kept->next;
    }
    keeper->kept = kept;
    const bool is_first = kept->next == NULL;
    tg_gate_leave(&keeper->gate);
    if (is_first) {
        tg_net_ring(keeper->bell);
    }
}

void tg_nats_forget_claim(struct tg_nats_keeper *keeper, struct tg_nats_kept *kept)
{
    enter(&keeper->gate);
    if (kept->before != NULL) {
        *kept->before = kept->next;
        if (kept->next != NULL) {
            kept->next->before = kept->before;
        }
        kept->before = NULL;
    }
    tg_gate_leave(&keeper->gate);
}
