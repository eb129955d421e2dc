/* Request and reply: the side of the mailbox's owner. What the two sides say, and I1 to I6, stand in call.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/unix/call.h"

/* One that was received and is to be answered, or has ended and its caller is to be told. */
struct tg_unix_request {
    struct tg_unix_request *next;
    uint64_t note;
    uint64_t call;
    uint32_t uid;
    char reply_to[TONG_NAME_MAX];
};

/* ---- who is told */

bool tg_unix_is_request(const struct tg_unix_message *m)
{
    return m->said != NULL && m->said->attributes.call != 0 && m->said->reply_to[0] != '\0';
}

static struct tg_unix_request *new_request(const struct tg_said *said, uint32_t uid)
{
    struct tg_unix_request *request = malloc(sizeof *request);
    if (request != NULL) {
        *request = (struct tg_unix_request){ .call = said->attributes.call, .uid = uid };
        memcpy(request->reply_to, said->reply_to, sizeof request->reply_to);
    }
    return request;
}

void tg_unix_requests_free(struct tg_unix_request *requests)
{
    while (requests != NULL) {
        struct tg_unix_request *request = requests;
        requests = request->next;
        free(request);
    }
}

static struct tg_unix_link *find_hearer(const struct tg_unix_box *box, const char *reply_to,
                                        uint32_t uid)
{
    struct tg_unix_link *link = box->links;
    while (link != NULL && !(link->hears && link->control.fd >= 0 && link->peer.uid == uid &&
                             strcmp(link->name, reply_to) == 0)) {
        link = link->next;
    }
    return link;
}

/* No packet is being read. */
static void tell(struct tg_unix_box *box, const char *reply_to, uint32_t uid, uint64_t call)
{
    const struct tg_unix_packet packet = { .kind = TG_UNIX_ENDED, .number = call };
    const struct iovec part = { (void *)(uintptr_t)&packet, sizeof packet };
    const struct tg_unix_link *link = box->ended != 0 ? NULL : find_hearer(box, reply_to, uid);
    if (link == NULL && box->ended == 0) {
        tg_unix_drive_let_in(box); /* I1 */
        link = find_hearer(box, reply_to, uid);
    }
    if (link != NULL) {
        (void)tg_socket_send(link->control.fd, &part, 1, NULL, 0);
    }
}

/* Without memory for one that waits its caller hears of the end at its time-out. */
void tg_unix_call_over(struct tg_unix_box *box, uint32_t uid, const struct tg_said *said)
{
    struct tg_unix_request *request = box->is_reading ? new_request(said, uid) : NULL;
    if (request != NULL) {
        request->next = box->untold;
        box->untold = request;
    } else if (!box->is_reading) {
        tell(box, said->reply_to, uid, said->attributes.call);
    }
}

void tg_unix_call_tell(struct tg_unix_box *box)
{
    struct tg_unix_request *request;
    while ((request = box->untold) != NULL) {
        box->untold = request->next;
        tell(box, request->reply_to, request->uid, request->call);
        free(request);
    }
}

struct tg_said *tg_unix_call_unanswered(struct tg_unix_message *m)
{
    if (m->note != 0 || !tg_unix_is_request(m)) {
        return NULL;
    }
    struct tg_said *said = m->said;
    m->said = NULL;
    return said;
}

void tg_unix_call_set_aside(struct tg_unix_box *box, const struct tg_unix_message *m)
{
    if (tg_unix_is_request(m)) {
        tg_unix_call_over(box, m->link->peer.uid, m->said);
    }
}

/* ---- who answers */

int tg_unix_call_note(struct tg_unix_handle *h, struct tg_unix_message *m)
{
    if (!tg_unix_is_request(m)) {
        return 0;
    }
    struct tg_unix_request *request = new_request(m->said, m->link->peer.uid);
    if (request == NULL) {
        return -ENOMEM;
    }
    request->note = ++h->notes;
    m->note = request->note;
    request->next = h->requests;
    h->requests = request;
    return 0;
}

void tg_unix_call_forget(struct tg_unix_handle *h, uint64_t at)
{
    if (!h->receives) {
        return;
    }
    (void)pthread_mutex_lock(&h->box->lock);
    struct tg_unix_request **found = &h->requests;
    while (*found != NULL && (*found)->note != TG_UNIX_RECEIVED - at) {
        found = &(*found)->next;
    }
    struct tg_unix_request *request = *found;
    if (request != NULL) {
        *found = request->next;
        free(request);
    }
    tg_unix_box_unlock(h->box);
}

void tg_unix_call_leave(struct tg_unix_handle *h)
{
    struct tg_unix_request *request;
    while ((request = h->requests) != NULL) {
        h->requests = request->next;
        tell(h->box, request->reply_to, request->uid, request->call);
        free(request);
    }
}

int tg_unix_caller_open(tg_handle handle, const char *rest, tg_handle *ret_caller)
{
    const struct tg_unix_handle *h = handle;
    tg_handle opened = NULL;
    if (h->fork_count != tg_fork_count()) {
        return -ECHILD;
    }
    const int r = tg_unix_open(rest, TONG_SEND, NULL, 0, &opened);
    if (r == 0) {
        struct tg_unix_handle *caller = opened;
        caller->interrupts = h->interrupts;
        *ret_caller = caller;
    }
    return r;
}
