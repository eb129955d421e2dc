#include "carrier/nats/fork.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/gate.h"
#include "base/sys.h"
#include "carrier/nats/conn.h"

static tg_a32 forks;
static struct tg_gate gate; /* guards the list */
static struct tg_nats_conn *first;

static void enter(void)
{
    while (tg_gate_enter(&gate, TG_NEVER, NULL, 0) < 0) {
    }
}

void tg_nats_list_conn(struct tg_nats_conn *conn)
{
    enter();
    conn->next = first;
    conn->before = &first;
    if (first != NULL) {
        first->before = &conn->next;
    }
    first = conn;
    tg_gate_leave(&gate);
}

void tg_nats_unlist_conn(struct tg_nats_conn *conn)
{
    enter();
    if (conn->before != NULL) {
        *conn->before = conn->next;
        if (conn->next != NULL) {
            conn->next->before = conn->before;
        }
        conn->before = NULL;
    }
    tg_sys_close(conn->fd); /* no child has it and does not know it */
    conn->fd = -1;
    tg_gate_leave(&gate);
}

void tg_nats_hold_forks(void)
{
    enter();
}

void tg_nats_release_forks(void)
{
    tg_gate_leave(&gate);
}

static void prepare(void)
{
    tg_nats_servers_before_fork();
    enter();
}

static void in_parent(void)
{
    tg_gate_leave(&gate);
    tg_nats_servers_after_fork(false);
}

static void in_child(void)
{
    (void)tg_add(&forks, 1);
    while (first != NULL) {
        struct tg_nats_conn *conn = first;
        first = conn->next;
        conn->before = NULL;
        tg_nats_abandon(conn);
    }
    tg_gate_leave(&gate);
    tg_nats_servers_after_fork(true);
}

static int registered;

static void register_handlers(void)
{
    registered = -pthread_atfork(prepare, in_parent, in_child);
}

int tg_nats_watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, register_handlers);
    return registered;
}

uint32_t tg_nats_forks(void)
{
    return tg_load_relaxed(&forks);
}
