/*
 * The row of the network carrier. What it does is in a library of its own, libtong-nats, because it needs more
 * than a C library: it is loaded when a name that begins with "nats:" is first used, and stays.
 */
#include "carrier/carrier.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "carrier/nats_library.h"

static const struct tg_carrier *loaded; /* NULL: it is not there */

/* Where the linker looks, and beside this library, wherever that was put. */
static void *open_library(void)
{
    void *library = dlopen(TG_NATS_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    Dl_info here;
    if (library != NULL || dladdr(&tg_carrier_nats, &here) == 0 || here.dli_fname[0] != '/') {
        return library;
    }
    char path[4096];
    const char *slash = strrchr(here.dli_fname, '/');
    const int n = snprintf(path, sizeof path, "%.*s/%s", (int)(slash - here.dli_fname),
                           here.dli_fname, TG_NATS_LIBRARY);
    return n > 0 && (size_t)n < sizeof path ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
}

static void load_once(void)
{
    void *library = open_library();
    void *symbol = library != NULL ? dlsym(library, "tg_nats_library") : NULL;
    if (symbol != NULL) {
        tg_nats_library_fn *function;
        memcpy(&function, &symbol, sizeof function); /* the way from an object to a function */
        loaded = function(sizeof *loaded, TG_NATS_VERSION);
    }
}

static const struct tg_carrier *load(int *ret_error)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, load_once);
    *ret_error = loaded == NULL ? -ELIBACC : 0;
    return loaded;
}

/* Who has said nothing of a server needs no library to be told of none. */
static int list(tong_list_fn *each, void *arg)
{
    int r = 0;
    const struct tg_carrier *carrier = secure_getenv("TONG_NATS_URL") != NULL ? load(&r) : NULL;
    return carrier != NULL ? carrier->list(each, arg) : r;
}

static int links(tong_links_fn *each, void *arg)
{
    int r = 0;
    const struct tg_carrier *carrier = secure_getenv("TONG_NATS_URL") != NULL ? load(&r) : NULL;
    return carrier != NULL ? carrier->links(each, arg) : r;
}

const struct tg_carrier tg_carrier_nats = {
    .prefix = "nats",
    .load = load,
    .list = list,
    .links = links,
};
