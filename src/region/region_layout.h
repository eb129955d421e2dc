/*
 * Shared bytes of layer 1: the record of a process and the head of a named region.
 */
#ifndef TG_REGION_REGION_LAYOUT_H
#define TG_REGION_REGION_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"

#define TG_LIFE_MAGIC UINT32_C(0x6c676e74)   /* "tngl" */
#define TG_REGION_MAGIC UINT32_C(0x72676e74) /* "tngr" */
#define TG_REGION_VERSION 1u

/* A life word: what its process wrote, and what the kernel or its end made of it. */
#define TG_LIFE_DEAD UINT32_C(0x40000000)    /* FUTEX_OWNER_DIED */
#define TG_LIFE_WAITERS UINT32_C(0x80000000) /* FUTEX_WAITERS: always set, so that death wakes */
/* A word of 0: the thread that held it has ended, the lock of the file alone tells. */

#define TG_LIFE_SIZE 4096u
/* At the page's end, so that the robust-list node which must stand at a fixed distance behind it
 * lies in a private page and no pointer is ever in shared memory. */
#define TG_LIFE_WORD_OFF (TG_LIFE_SIZE - 16u)

struct tg_life_record {
    tg_a32 magic;   /* TG_LIFE_MAGIC; its process, once, last */
    tg_a32 version; /* TG_REGION_VERSION */
    tg_a64 id;      /* the record's number, also the file's name */
    tg_a32 pid;     /* the process's number in its own namespace; for people only */
    tg_a32 threads; /* 1: several threads use its handles; never back */
    tg_a32 left; /* 1: it closed its last handle; before the word says dead. Partner: tong_watch */
    tg_a32 unused;
};

_Static_assert(sizeof(struct tg_life_record) == 32, "format: life record");

/* State of a named thing; only ever rises. */
enum tg_state {
    TG_ALIVE = 1,      /* usable */
    TG_REMOVED = 2,    /* tong_remove: -EIDRM */
    TG_OWNER_GONE = 3, /* its process closed it or died: -EOWNERDEAD */
};

/* The first page of a region's file; the data follow at 4096. */
struct tg_region_head {
    tg_a32 magic;      /* TG_REGION_MAGIC */
    tg_a32 version;    /* TG_REGION_VERSION */
    tg_a32 state;      /* enum tg_state; its owner's user */
    tg_a32 owner_kind; /* enum tong_owner; once */
    tg_a32 mode;       /* once */
    tg_a32 owner_pid;  /* once, for people only */
    tg_a64 size;       /* bytes of data; once */
    tg_a64 owner;      /* record number of the owning process, 0 the system; once */
    uint8_t unused0[24];
    tg_a64 lock; /* token; anybody who may write, compare-and-swap */
    uint8_t unused1[56];
    tg_a32 events; /* events counted; anybody who may write, atomic add */
    tg_a32 waits;  /* sleeps for an event begun; whoever waits, atomic add */
    uint8_t unused2[56];
};

_Static_assert(offsetof(struct tg_region_head, lock) == 64, "format: region lock");
_Static_assert(offsetof(struct tg_region_head, events) == 128, "format: region events");
_Static_assert(sizeof(struct tg_region_head) == 192, "format: region head");

#endif
