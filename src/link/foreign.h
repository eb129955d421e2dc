/*
 * Inside layer 2: a link whose file belongs to another user, which may cut it at any moment.
 *
 * It is not mapped. Its head and table are read into a private copy, which takes the place of the
 * mapping (reader->head), its records into a buffer. See foreign.c.
 */
#ifndef TG_LINK_FOREIGN_H
#define TG_LINK_FOREIGN_H

#include "link/link.h"

/* Whether a file's owner could cut it without our user's or root's doing. */
bool tg_is_foreign(uint32_t uid);
/* The file in fd is the link's: read its head. On 0 r->head is the copy. fd is taken over or left. */
int tg_foreign_attach(struct tg_reader *r, int *fd);
void tg_foreign_detach(struct tg_reader *r);
/* What reader.c's functions of these names do. */
int tg_foreign_look(struct tg_reader *r, uint64_t place, struct tg_message_view *ret_view);
int tg_foreign_find(struct tg_reader *r, uint64_t offset, uint32_t len);

/* reader.c: open the file again, if it is still this link's. */
int tg_reader_open_again(const struct tg_reader *r, int flags, struct stat *ret_st);

#endif
