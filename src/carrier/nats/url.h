/* Where the servers are, and what this process has to show there. */
#ifndef TG_CARRIER_NATS_URL_H
#define TG_CARRIER_NATS_URL_H

#include <stdbool.h>
#include <tong/tong.h>

#define TG_NATS_SERVERS_MOST 8

struct tg_nats_place {
    char host[256];
    char port[8];
    bool tls;
};

struct tg_nats_url {
    struct tg_nats_place places[TG_NATS_SERVERS_MOST];
    unsigned n_places;
    char user[128]; /* "" none; with pass "" it is a token */
    char pass[256];
    char text[512]; /* as it was said, to know it again */
};

/*
 * The servers and the mailbox that a name means: "//HOST[:PORT]/NAME", or "NAME" with the servers of
 * TONG_NATS_URL, without that localhost. -EINVAL, -ENAMETOOLONG.
 */
int tg_nats_parse(const char *rest, struct tg_nats_url *ret_url, char ret_name[TONG_NAME_MAX]);
/* The servers of TONG_NATS_URL alone. */
int tg_nats_parse_default(struct tg_nats_url *ret_url);

#endif
