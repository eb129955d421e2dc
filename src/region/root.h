/* Inside layer 1: what a root is made of. */
#ifndef TG_REGION_ROOT_H
#define TG_REGION_ROOT_H

#include <pthread.h>

#include "region/region.h"
#include "region/region_layout.h"

struct tg_life;
struct tg_peer;

struct tg_root {
    struct tg_root *next;
    dev_t dev;
    ino_t ino;
    uint32_t uid; /* as whom this process opened it: its record is that user's */
    uint32_t refs;
    uint32_t mode; /* of the folder */
    int fd;
    int life_fd;          /* of ".life", -1 until needed */
    pthread_mutex_t lock; /* guards what stands below */
    struct tg_life *life;
    uint32_t life_refs;
    uint32_t temp_count;
    uint32_t watchers;     /* threads between watch_begin and watch_end */
    struct tg_peer *peers; /* open addressing, n_peer_slots a power of two */
    uint32_t n_peer_slots;
    uint32_t n_peers;
    atomic_bool found_dead; /* a visit cleared a record away */
    atomic_bool visited;    /* by who is about to leave */
};

/* A folder in the root for all who use that; 0 also if it is there. */
int tg_root_make_folder(struct tg_root *root, const char *name);
/* For the fork handlers in root.c. */
void tg_life_after_fork(struct tg_root *root);
int tg_life_process_init(void);
/* Whether who comes now would find this process's record. Not if the folder was emptied. */
bool tg_life_is_published(struct tg_root *root);
/* The file of a record. */
#define TG_LIFE_NAME_SIZE 17
void tg_life_name(uint64_t id, char ret_name[TG_LIFE_NAME_SIZE]);
/* Open ".life", if it is not; root->lock held. */
int tg_life_open_dir(struct tg_root *root, bool create);
/* The own number, 0 none; root->lock held. */
uint64_t tg_life_own(const struct tg_root *root);
static inline tg_a32 *tg_life_word(const uint8_t *page)
{
    return (tg_a32 *)(uintptr_t)(page + TG_LIFE_WORD_OFF);
}
/* Forget all peers. */
void tg_life_forget_peers(struct tg_root *root);

#endif
