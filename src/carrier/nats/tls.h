/* TLS on a connection, by OpenSSL. Built without it there is none: -EOPNOTSUPP. */
#ifndef TG_CARRIER_NATS_TLS_H
#define TG_CARRIER_NATS_TLS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct tg_nats_tls;

/*
 * Shake hands as a client. The server's certificate must name host and be signed by one that TONG_NATS_CA
 * holds, a file, or that the system trusts; TONG_NATS_CERT and TONG_NATS_KEY are what this process shows.
 * -EKEYREJECTED: the certificate is not as it should be; -EACCES: the files of this process cannot be
 * read; -ETIMEDOUT, -ENOTCONN, -ENOMEM.
 */
int tg_nats_tls_begin(int fd, const char *host, int64_t deadline, struct tg_nats_tls **ret_tls);
/* NULL is allowed. The descriptor stays open. */
void tg_nats_tls_end(struct tg_nats_tls *tls);
/* As tg_net_send() and tg_net_receive(). */
ssize_t tg_nats_tls_send(struct tg_nats_tls *tls, const void *data, size_t len);
ssize_t tg_nats_tls_receive(struct tg_nats_tls *tls, void *ret_data, size_t size);
/* What was taken by tg_nats_tls_send() and has not gone: how much, and send it: 0, -EAGAIN, -ENOTCONN. */
size_t tg_nats_tls_unsent(const struct tg_nats_tls *tls);
int tg_nats_tls_flush(struct tg_nats_tls *tls);
/* The public key of an nkey's seed, as text. -EACCES: it is no seed; -EOPNOTSUPP. */
int tg_nats_public_key(const char *seed, char *ret_text, size_t size);
/* The signature of a server's nonce by an nkey's seed: base64url text. -EACCES: it is no seed. */
int tg_nats_sign(const char *seed, const void *nonce, size_t len, char *ret_text, size_t size);

#endif
