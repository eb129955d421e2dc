/*
 * scene - one receiver, one honest sender, one hostile sender; and what must hold between them.
 *
 * H1  What an honest send answered 0 for is received: whole, in order, once; a second time only
 *     after it was given back, and then marked.
 * H2  What an honest send refused is never received.
 * H3  A claim's memory can be read until it is done, and says whose it is.
 * H4  Every call ends, soon.
 *
 * A hostile sender of the receiver's own user may do more than one of another user (docs/security.md):
 * it may change the link that an honest sender takes over. So there the honest one keeps its first link.
 */
#ifndef TONG_FUZZ_SCENE_H
#define TONG_FUZZ_SCENE_H

#include "forge.h"

#include <tong/tong.h>

#define SCENE_MESSAGES 256u
#define SCENE_CLAIMS 8u

struct scene_message {
    bool sent;       /* its send answered 0 */
    bool taken;      /* received, or claimed and not given back */
    uint32_t n_back; /* how often it was given back */
};

struct scene {
    struct fuzz_input input;
    struct fuzz_bytes script;
    struct fuzz_bytes during;
    uint32_t pause; /* points until the next strike */
    struct forge forge;
    tong_mailbox *box;    /* the victim */
    tong_mailbox *second; /* another receiver of its process, now and then */
    tong_mailbox *honest;
    struct scene_message messages[SCENE_MESSAGES];
    uint32_t n_sent; /* attempts: the number of the next honest message */
    uint32_t fresh;  /* numbers below were handed out, or never sent */
    tong_message claims[SCENE_CLAIMS];
    tong_mailbox *claimed_by[SCENE_CLAIMS];
    uint32_t capacity;
    uint32_t max_deliveries;
    bool is_race; /* somebody else strikes: the script leaves names and sizes alone */
};

void scene_open(struct scene *s, const uint8_t *data, size_t size, bool is_race);
/* One step of the script. */
void scene_step(struct scene *s);
/* Everything that was promised must come now. */
void scene_close(struct scene *s);

#endif
