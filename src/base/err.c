#include "base/err.h"

#include <stddef.h>

const char *tg_err_text(int error)
{
    switch (error) {
#define ROW(code, text)                                                                            \
    case code:                                                                                     \
        return text;
        TG_ERRORS(ROW)
#undef ROW
    default:
        return NULL;
    }
}
