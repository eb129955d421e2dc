/* Inside layer 3: TONG_DROP_OLDEST, the receiving side. See overtaken.c; the token is held unless said. */
#ifndef TG_MAILBOX_OVERTAKEN_H
#define TG_MAILBOX_OVERTAKEN_H

#include <stdbool.h>
#include <stdint.h>

struct tg_attached;
struct tg_box;
struct tg_box_entry;
struct tg_box_row;

/* Whether the sender has given up what lies at a place; whatever was copied from there before this call
 * may be torn then. */
bool tg_overtaken(const struct tg_attached *at, uint64_t place);
/* The same of a message that was found where it lies. */
bool tg_overtaken_message(const struct tg_attached *at, uint32_t sequence);
/* Go on where the sender has given up; count what was. 0; 1: overtaken again and again; -errno. */
int tg_overtaken_settle(struct tg_box *box, struct tg_attached *at);
/* Whether that `oldest`, just read, is past the tail: then its sender lies. */
bool tg_overtaken_is_damaged(const struct tg_attached *at, uint64_t oldest);
/* Before next is stored: up to there it is handed out. */
void tg_overtaken_hand_out(struct tg_attached *at, uint32_t next);
/* The number of the first message never handed out. */
uint32_t tg_overtaken_next(const struct tg_box_row *row);
/* One that was given back and is gone meanwhile: counted, its entry freed. True: it was. */
bool tg_overtaken_entry(struct tg_box *box, struct tg_box_entry *entry);
/* How many wait; 0 also where the link is damaged. */
uint32_t tg_overtaken_count(struct tg_box *box, struct tg_attached *at);
/* Whether something may be there; a hint, no token needed. */
bool tg_overtaken_hint(const struct tg_attached *at);

#endif
