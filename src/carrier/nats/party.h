/* Who uses a mailbox, as the book says it, and who of them is alive. */
#ifndef TG_CARRIER_NATS_PARTY_H
#define TG_CARRIER_NATS_PARTY_H

#include "carrier/nats/box.h"

/* A line of the book about a handle. */
struct tg_nats_party {
    char kind; /* h, b, c, v, w */
    char role; /* of h: s, r */
    bool is_there;
    char proc[TG_NATS_PROC_SIZE];
    uint32_t handle;
    uint64_t number; /* of c, w */
    int32_t pid;     /* of h */
    uint32_t uid;
    char as[TG_NATS_ID_SIZE]; /* of h: the process that it sends as, "" none */
    char subject[TG_NATS_SUBJECT_SIZE];
};

struct tg_nats_parties {
    struct tg_nats_party *all;
    size_t n;
    size_t size;
};

/* Between enter and leave: all lines of a mailbox's handles, and whether their processes are there. */
int tg_nats_find_parties(struct tg_nats_server *server, const struct tg_js *js, const char *name,
                         const char *id, struct tg_nats_parties *ret_parties);
void tg_nats_free_parties(struct tg_nats_parties *parties);

/* Publish something about a message in hand, and wait until the server has carried it out. */
int tg_nats_say_of(const struct tg_js *js, const char *ack, const char *word);
/* Whether a text of the book is the subject for that, of a message of this mailbox. */
bool tg_nats_is_ack_of(const struct tg_nats_box *box, const char *text);

#endif
