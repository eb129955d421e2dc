/* A mailbox behind a socket that ends inside of a call. See mailbox/ended_test.h. */
#include <stdlib.h>

#include "mailbox/ended_test.h"

static const struct kit_test tests[] = { ENDED_BY_ITS_PROCESS };

int main(int argc, char **argv)
{
    kit_equal(setenv("TONG_CARRIER", "unix:", 1), 0);
    return kit_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
