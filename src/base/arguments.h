/* What tong_open() is given, as far as every carrier looks at it alike. */
#ifndef TG_BASE_ARGUMENTS_H
#define TG_BASE_ARGUMENTS_H

#include <tong/tong.h>

/* name without its carrier's prefix; options may be NULL. 0, -EINVAL, -ENAMETOOLONG. Who gets the messages
 * (delivery, policy) is the carrier's to check. */
int tg_arguments_check(const char *name, unsigned flags, const tong_options *options);

#endif
