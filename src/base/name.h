/*
 * Names of mailboxes and regions: 1 to 127 of A-Z a-z 0-9 . _ - and not a dot or hyphen first.
 * What the library itself puts into a folder begins with a dot or a plus, so it never collides.
 */
#ifndef TG_BASE_NAME_H
#define TG_BASE_NAME_H

/* 0, -EINVAL, -ENAMETOOLONG. */
int tg_name_check(const char *name);

#endif
