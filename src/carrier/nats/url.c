#include "carrier/nats/url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/name.h"

#define DEFAULT_PORT "4222"

static int copy(const char *from, size_t len, char *ret_to, size_t size)
{
    if (len >= size) {
        return -ENAMETOOLONG;
    }
    memcpy(ret_to, from, len);
    ret_to[len] = '\0';
    return 0;
}

/* "USER:PASS" or "TOKEN", what stands before an @. */
static int parse_user(const char *text, size_t len, struct tg_nats_url *url)
{
    const char *colon = memchr(text, ':', len);
    const size_t user_len = colon != NULL ? (size_t)(colon - text) : len;
    int r = copy(text, user_len, url->user, sizeof url->user);
    if (r == 0 && colon != NULL) {
        r = copy(colon + 1, len - user_len - 1, url->pass, sizeof url->pass);
    }
    return r;
}

/* "[SCHEME://][USER[:PASS]@]HOST[:PORT]", len bytes. */
static int parse_place(const char *text, size_t len, struct tg_nats_url *url)
{
    if (url->n_places == TG_NATS_SERVERS_MOST) {
        return -EINVAL;
    }
    struct tg_nats_place *place = &url->places[url->n_places];
    const char *end = text + len;
    if (len >= 6 && strncmp(text, "tls://", 6) == 0) {
        place->tls = true;
        text += 6;
    } else if (len >= 7 && strncmp(text, "nats://", 7) == 0) {
        text += 7;
    }
    const char *at = memchr(text, '@', (size_t)(end - text));
    if (at != NULL) {
        const int r = parse_user(text, (size_t)(at - text), url);
        if (r < 0) {
            return r;
        }
        text = at + 1;
    }
    const char *host_end = end;
    const char *port = NULL;
    if (text < end && *text == '[') {
        host_end = memchr(text, ']', (size_t)(end - text));
        if (host_end == NULL) {
            return -EINVAL;
        }
        text++;
        port = host_end + 1 < end && host_end[1] == ':' ? host_end + 2 : NULL;
    } else {
        const char *colon = memchr(text, ':', (size_t)(end - text));
        if (colon != NULL) {
            host_end = colon;
            port = colon + 1;
        }
    }
    int r = text == host_end
                ? -EINVAL
                : copy(text, (size_t)(host_end - text), place->host, sizeof place->host);
    if (r == 0 && port != NULL && port < end) {
        r = copy(port, (size_t)(end - port), place->port, sizeof place->port);
    } else if (r == 0) {
        memcpy(place->port, DEFAULT_PORT, sizeof DEFAULT_PORT);
    }
    if (r == 0) {
        url->n_places++;
    }
    return r;
}

/* Places with commas between them. */
static int parse_places(const char *text, size_t len, struct tg_nats_url *url)
{
    const char *end = text + len;
    int r = copy(text, len, url->text, sizeof url->text);
    while (r == 0) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *stop = comma != NULL ? comma : end;
        r = parse_place(text, (size_t)(stop - text), url);
        if (comma == NULL) {
            break;
        }
        text = comma + 1;
    }
    return r;
}

int tg_nats_parse_default(struct tg_nats_url *ret_url)
{
    memset(ret_url, 0, sizeof *ret_url);
    const char *text = secure_getenv("TONG_NATS_URL");
    if (text == NULL || text[0] == '\0') {
        text = "localhost";
    }
    return parse_places(text, strlen(text), ret_url);
}

int tg_nats_parse(const char *rest, struct tg_nats_url *ret_url, char ret_name[TONG_NAME_MAX])
{
    int r;
    if (strncmp(rest, "//", 2) == 0) {
        const char *host = rest + 2;
        const char *slash = strchr(host, '/');
        if (slash == NULL) {
            return -EINVAL;
        }
        memset(ret_url, 0, sizeof *ret_url);
        r = parse_places(host, (size_t)(slash - host), ret_url);
        rest = slash + 1;
    } else {
        r = tg_nats_parse_default(ret_url);
    }
    const int named = tg_name_check(rest);
    r = named < 0 ? named : r;
    return r < 0 ? r : copy(rest, strlen(rest), ret_name, TONG_NAME_MAX);
}
