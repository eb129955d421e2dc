/* The public calls about the library and its folder. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <tong/tong.h>

#include "base/err.h"
#include "base/key.h"
#include "carrier/carrier.h"
#include "mailbox/mailbox.h"
#include "region/region.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

int tong_doctor(int repair, tong_doctor_fn *each, void *arg)
{
    int found = 0;
    const struct tg_carrier *carrier;
    if (each == NULL) {
        return -EINVAL;
    }
    for (size_t i = 0; (carrier = tg_carrier_at(i)) != NULL; i++) {
        const int r = carrier->doctor == NULL ? 0 : carrier->doctor(repair, each, arg);
        if (r < 0) {
            return r;
        }
        found += r;
    }
    return found;
}

int tong_policy_register(const char *name, tong_choose_fn *choose, void *arg)
{
    return tg_policy_register(name, choose, arg);
}

int tong_folder(char *ret_path, size_t size)
{
    return ret_path == NULL ? -EINVAL : tg_root_path(ret_path, size);
}

const char *tong_strerror(int error)
{
    if (error == 0) {
        return "done";
    }
    const char *text = tg_err_text(error > 0 || error == INT_MIN ? error : -error);
    return text != NULL ? text : "an error that tong never answers";
}

uint64_t tong_key(const void *bytes, size_t len)
{
    return tg_key(bytes, bytes != NULL ? len : 0);
}

const char *tong_version(void)
{
    return TEXT(TONG_VERSION_MAJOR) "." TEXT(TONG_VERSION_MINOR) "." TEXT(TONG_VERSION_PATCH);
}
