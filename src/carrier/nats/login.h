/* What is said before the first message: the server's INFO, this side's CONNECT. */
#ifndef TG_CARRIER_NATS_LOGIN_H
#define TG_CARRIER_NATS_LOGIN_H

#include "carrier/nats/conn.h"
#include "carrier/nats/text.h"

/* Read INFO, shake hands for TLS where the server or the place wants it, and put CONNECT into the
 * buffer. -EACCES: a credentials file cannot be read; -EKEYREJECTED, -ENOTCONN, -ETIMEDOUT, -EPROTO. */
int tg_nats_login(struct tg_nats_conn *conn, const struct tg_nats_url *url,
                  const struct tg_nats_place *place, int64_t deadline);
/* An INFO that came later. */
void tg_nats_read_info(struct tg_nats_conn *conn, const char *json, size_t len);
/* Put a whole line into the buffer. */
int tg_nats_put(struct tg_nats_conn *conn, const struct tg_text *line);
/* $TONG_NATS_INBOX, or "_INBOX". */
const char *tg_nats_inbox_prefix(void);

#endif
