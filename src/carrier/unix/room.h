/* Inside the carrier unix: rooms of a bounded mailbox, and the rows of its senders, in the room file. */
#ifndef TG_CARRIER_UNIX_ROOM_H
#define TG_CARRIER_UNIX_ROOM_H

#include <stdbool.h>

#include "carrier/unix/layout.h"

/* Rooms for a row: 0 and 1 to want of them; -EAGAIN: there is none. */
int tg_unix_room_take(int room, int box, uint32_t row, uint32_t capacity, uint64_t want,
                      uint64_t *ret_n);
/* By the owner, for a row that waits; -ESRCH: it does not; -EBUSY: somebody has the lock. */
int tg_unix_room_grant(int room, int box, uint32_t row, uint32_t capacity, uint64_t want,
                       uint64_t *ret_n);
/* What the own row has, grants included; that it waits from now on, or does not. */
int tg_unix_room_mine(int room, uint32_t row, uint64_t *ret_taken);
int tg_unix_room_wait(int room, uint32_t row, bool waits);
void tg_unix_row_set_blocked(int room, uint32_t row, bool blocked);
/* One room more, whether there is one or not: the owner frees another one for it. */
int tg_unix_room_force(int room, uint32_t row);
/* Rooms that were taken and are not used. */
int tg_unix_room_put(int room, uint32_t row, uint64_t n);
int tg_unix_room_put_own(int room, uint64_t n);
int tg_unix_row_read(int room, uint32_t row, struct tg_unix_row *ret_row);
int tg_unix_row_write(int room, uint32_t row, const struct tg_unix_row *r);
/* One field of the own row. */
void tg_unix_row_set(int room, uint32_t row, size_t field, const void *value, size_t size);
struct tg_unix_tally {
    uint32_t rows;    /* in use */
    uint32_t senders; /* of these, living ones */
    uint32_t blocked; /* of these, asleep for want of room */
    uint64_t dropped;
    uint64_t unread; /* messages that their senders say are in the sockets */
};
int tg_unix_room_tally(int room, int box, struct tg_unix_tally *ret_tally);
/* Who has a row: the record number of its process, and the id of that one's own mailbox, if it sends as
 * a named process. */
struct tg_unix_who {
    uint64_t process;
    uint8_t as[16];
    bool more; /* its handle has another row */
};
/* A row for a new sender: its number and the number of its first message. -EUSERS. */
int tg_unix_row_get(int room, int box, const struct tg_unix_who *who, uint32_t *ret_row,
                    uint64_t *ret_base);
/* It is nobody's from now on, and free when its last message is finished. */
void tg_unix_row_close(int room, uint32_t row);
/* It is somebody's again, who goes on in it. */
void tg_unix_row_open(int room, uint32_t row, const struct tg_unix_who *who);
/* What stands of a row of somebody, for who looks. */
struct tg_unix_row_look {
    uint32_t row;
    bool alive;
    const struct tg_unix_row *r;
    const struct tg_unix_told *told;
};
uint64_t tg_unix_unread(const struct tg_unix_row_look *look);
/* Those in use: 0, or what each returned. */
int tg_unix_room_look(int room, int box,
                      int (*each)(const struct tg_unix_row_look *look, void *arg), void *arg);

/* Of what a sender took, nothing beyond that is left; the row is anybody's, what it dropped is added. */
int tg_unix_room_settle(int room, uint32_t row, uint64_t taken);
void tg_unix_row_free(int room, uint32_t row, tg_a64 *dropped);

#endif
