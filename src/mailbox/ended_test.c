/* A mailbox that ends inside of a call. See ended_test.h. */
#include "mailbox/ended_test.h"

static const struct kit_test tests[] = { ENDED_BY_REMOVAL, ENDED_BY_ITS_PROCESS };

KIT_MAIN(tests)
