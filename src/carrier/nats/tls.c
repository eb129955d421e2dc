/*
 * TLS by OpenSSL over two buffers in memory: bytes go through net.c, so that no call here blocks and none
 * raises SIGPIPE. And the signatures of nkeys, which are Ed25519.
 */
#include "carrier/nats/tls.h"

#include <errno.h>

#if TONG_NATS_TLS

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "carrier/nats/net.h"

#define PIECE 16384

struct tg_nats_tls {
    int fd;
    SSL_CTX *context;
    SSL *ssl;
    BIO *in;  /* what the network gave */
    BIO *out; /* what it is to get */
    char piece[PIECE];
    size_t piece_at; /* of out, read and not sent yet: piece[piece_at..piece_end) */
    size_t piece_end;
};

/* ---- bytes */

/* What TLS wants to say goes to the network: 0, -EAGAIN, -ENOTCONN. */
static int push(struct tg_nats_tls *tls)
{
    for (;;) {
        if (tls->piece_at == tls->piece_end) {
            const int n = BIO_read(tls->out, tls->piece, PIECE);
            if (n <= 0) {
                return 0;
            }
            tls->piece_at = 0;
            tls->piece_end = (size_t)n;
        }
        const ssize_t n =
            tg_net_send(tls->fd, tls->piece + tls->piece_at, tls->piece_end - tls->piece_at);
        if (n < 0) {
            return (int)n;
        }
        tls->piece_at += (size_t)n;
    }
}

/* What the network has goes to TLS: 0, -EAGAIN, -ENOTCONN, -ENOMEM. */
static int pull(struct tg_nats_tls *tls)
{
    char bytes[PIECE];
    const ssize_t n = tg_net_receive(tls->fd, bytes, sizeof bytes);
    if (n < 0) {
        return (int)n;
    }
    return BIO_write(tls->in, bytes, (int)n) == (int)n ? 0 : -ENOMEM;
}

ssize_t tg_nats_tls_send(struct tg_nats_tls *tls, const void *data, size_t len)
{
    int r = push(tls);
    if (r < 0) {
        return r;
    }
    ERR_clear_error(); /* what others left in this thread's queue is no error of this call */
    const int n = SSL_write(tls->ssl, data, (int)(len < PIECE ? len : PIECE));
    if (n <= 0) {
        ERR_clear_error();
        return -ENOTCONN;
    }
    r = push(tls);
    return r < 0 && r != -EAGAIN ? r : n;
}

size_t tg_nats_tls_unsent(const struct tg_nats_tls *tls)
{
    return tls->piece_end - tls->piece_at + BIO_ctrl_pending(tls->out);
}

int tg_nats_tls_flush(struct tg_nats_tls *tls)
{
    return push(tls);
}

ssize_t tg_nats_tls_receive(struct tg_nats_tls *tls, void *ret_data, size_t size)
{
    for (;;) {
        ERR_clear_error();
        const int n = SSL_read(tls->ssl, ret_data, (int)(size < PIECE ? size : PIECE));
        if (n > 0) {
            return n;
        }
        if (SSL_get_error(tls->ssl, n) != SSL_ERROR_WANT_READ) {
            ERR_clear_error();
            return -ENOTCONN;
        }
        int r = push(tls);
        if (r == 0 || r == -EAGAIN) {
            r = pull(tls);
        }
        if (r < 0) {
            return r;
        }
    }
}

/* ---- begin, end */

/* An error's place in the queue of this thread is no one else's business. */
static int failed(int r)
{
    ERR_clear_error();
    return r;
}

static int load_files(SSL_CTX *context)
{
    const char *ca = secure_getenv("TONG_NATS_CA");
    const char *cert = secure_getenv("TONG_NATS_CERT");
    const char *key = secure_getenv("TONG_NATS_KEY");
    const int ok = ca != NULL ? SSL_CTX_load_verify_locations(context, ca, NULL)
                              : SSL_CTX_set_default_verify_paths(context);
    if (ok != 1) {
        return -EACCES;
    }
    if (cert == NULL) {
        return 0;
    }
    return SSL_CTX_use_certificate_chain_file(context, cert) == 1 &&
                   SSL_CTX_use_PrivateKey_file(context, key != NULL ? key : cert,
                                               SSL_FILETYPE_PEM) == 1
               ? 0
               : -EACCES;
}

static int prepare(struct tg_nats_tls *tls, const char *host)
{
    tls->context = SSL_CTX_new(TLS_client_method());
    if (tls->context == NULL) {
        return -ENOMEM;
    }
    const int r = load_files(tls->context);
    if (r < 0) {
        return r;
    }
    SSL_CTX_set_min_proto_version(tls->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(tls->context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tls->context, SSL_MODE_ENABLE_PARTIAL_WRITE);
    tls->ssl = SSL_new(tls->context);
    tls->in = BIO_new(BIO_s_mem());
    tls->out = BIO_new(BIO_s_mem());
    if (tls->ssl == NULL || tls->in == NULL || tls->out == NULL) {
        BIO_free(tls->in);
        BIO_free(tls->out);
        return -ENOMEM;
    }
    SSL_set_bio(tls->ssl, tls->in, tls->out); /* it frees both from here on */
    SSL_set_connect_state(tls->ssl);
    /* A host that is a number is looked for among the certificate's addresses. */
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls->ssl), host) != 1) {
        ERR_clear_error();
        if (SSL_set1_host(tls->ssl, host) != 1 || SSL_set_tlsext_host_name(tls->ssl, host) != 1) {
            return -ENOMEM;
        }
    }
    return 0;
}

static int wait_for_more(struct tg_nats_tls *tls, int64_t deadline)
{
    const unsigned what = TG_NET_IN | (tls->piece_at < tls->piece_end ? TG_NET_OUT : 0);
    const int r = tg_net_wait(tls->fd, what, -1, deadline);
    return r == -EINTR || r > 0 ? 0 : r;
}

static int shake_hands(struct tg_nats_tls *tls, int64_t deadline)
{
    for (;;) {
        ERR_clear_error();
        const int done = SSL_do_handshake(tls->ssl);
        const int error = SSL_get_error(tls->ssl, done);
        int r = push(tls); /* an alert, too */
        if (done == 1) {
            return r == -EAGAIN ? 0 : r;
        }
        if (error != SSL_ERROR_WANT_READ) {
            const bool refused = SSL_get_verify_result(tls->ssl) != X509_V_OK;
            return refused ? -EKEYREJECTED : -EPROTO;
        }
        if (r == 0) {
            r = pull(tls);
        }
        r = r == -EAGAIN ? wait_for_more(tls, deadline) : r;
        if (r < 0) {
            return r;
        }
    }
}

int tg_nats_tls_begin(int fd, const char *host, int64_t deadline, struct tg_nats_tls **ret_tls)
{
    struct tg_nats_tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) {
        return -ENOMEM;
    }
    tls->fd = fd;
    int r = prepare(tls, host);
    if (r == 0) {
        r = shake_hands(tls, deadline);
    }
    if (r < 0) {
        tg_nats_tls_end(tls);
        return failed(r);
    }
    *ret_tls = tls;
    return 0;
}

void tg_nats_tls_end(struct tg_nats_tls *tls)
{
    if (tls != NULL) {
        SSL_free(tls->ssl);
        SSL_CTX_free(tls->context);
        free(tls);
    }
}

/* ---- nkeys: base32 of a prefix byte or two, 32 bytes, and a CRC-16 */

#define SEED_BYTES 36 /* prefix 2, seed 32, sum 2 */

static int from_base32(const char *text, unsigned char *ret_bytes, size_t size)
{
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;
    for (; *text != '\0'; text++) {
        const char c = *text;
        const int value = c >= 'A' && c <= 'Z' ? c - 'A' : c >= '2' && c <= '7' ? c - '2' + 26 : -1;
        if (value < 0) {
            return -EACCES;
        }
        bits = bits << 5 | (uint32_t)value;
        n_bits += 5;
        if (n_bits >= 8) {
            if (n == size) {
                return -EACCES;
            }
            n_bits -= 8;
            ret_bytes[n++] = (unsigned char)(bits >> n_bits);
        }
    }
    return n == size ? 0 : -EACCES;
}

static uint16_t sum_of(const unsigned char *bytes, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i < len; i++) {
        sum ^= (uint32_t)bytes[i] << 8;
        for (int bit = 0; bit < 8; bit++) {
            sum = (sum & 0x8000) != 0 ? sum << 1 ^ 0x1021 : sum << 1;
        }
    }
    return (uint16_t)sum;
}

static int key_of(const char *seed, EVP_PKEY **ret_key)
{
    unsigned char bytes[SEED_BYTES];
    int r = from_base32(seed, bytes, sizeof bytes);
    const uint16_t sum = (uint16_t)(bytes[34] | bytes[35] << 8);
    if (r < 0 || (bytes[0] & 0xf8) != 18 << 3 || sum != sum_of(bytes, 34)) {
        r = -EACCES;
    } else {
        *ret_key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, bytes + 2, 32);
        r = *ret_key == NULL ? failed(-ENOMEM) : 0;
    }
    explicit_bzero(bytes, sizeof bytes);
    return r;
}

int tg_nats_public_key(const char *seed, char *ret_text, size_t size)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    EVP_PKEY *key = NULL;
    int r = key_of(seed, &key);
    if (r < 0) {
        return r;
    }
    unsigned char bytes[35] = { 20 << 3 }; /* a user */
    size_t len = 32;
    r = EVP_PKEY_get_raw_public_key(key, bytes + 1, &len) == 1 && size > 56 ? 0 : failed(-EACCES);
    EVP_PKEY_free(key);
    const uint16_t sum = sum_of(bytes, 33);
    bytes[33] = (unsigned char)(sum & 0xff);
    bytes[34] = (unsigned char)(sum >> 8);
    for (size_t i = 0; r == 0 && i < 56; i++) {
        uint32_t value = 0;
        for (size_t bit = 5 * i; bit < 5 * i + 5; bit++) {
            value = value << 1 | ((unsigned)bytes[bit / 8] >> (7 - bit % 8) & 1u);
        }
        ret_text[i] = letters[value];
        ret_text[i + 1] = '\0';
    }
    return r;
}

static int to_base64url(const unsigned char *bytes, size_t len, char *ret_text, size_t size)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const size_t n = (len * 8 + 5) / 6;
    if (n >= size) {
        return -ENAMETOOLONG;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t value = 0;
        for (size_t bit = 6 * i; bit < 6 * i + 6; bit++) {
            value =
                value << 1 | (bit / 8 < len ? (unsigned)bytes[bit / 8] >> (7 - bit % 8) & 1u : 0u);
        }
        ret_text[i] = letters[value];
    }
    ret_text[n] = '\0';
    return 0;
}

int tg_nats_sign(const char *seed, const void *nonce, size_t len, char *ret_text, size_t size)
{
    EVP_PKEY *key = NULL;
    int r = key_of(seed, &key);
    if (r < 0) {
        return r;
    }
    unsigned char signature[64];
    size_t n = sizeof signature;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL || EVP_DigestSignInit(context, NULL, NULL, NULL, key) != 1 ||
        EVP_DigestSign(context, signature, &n, nonce, len) != 1) {
        r = failed(-ENOMEM);
    }
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return r < 0 ? r : to_base64url(signature, n, ret_text, size);
}

#else

int tg_nats_tls_begin(int fd, const char *host, int64_t deadline, struct tg_nats_tls **ret_tls)
{
    (void)fd;
    (void)host;
    (void)deadline;
    (void)ret_tls;
    return -EOPNOTSUPP;
}

void tg_nats_tls_end(struct tg_nats_tls *tls)
{
    (void)tls;
}

ssize_t tg_nats_tls_send(struct tg_nats_tls *tls, const void *data, size_t len)
{
    (void)tls;
    (void)data;
    (void)len;
    return -ENOTCONN;
}

size_t tg_nats_tls_unsent(const struct tg_nats_tls *tls)
{
    (void)tls;
    return 0;
}

int tg_nats_tls_flush(struct tg_nats_tls *tls)
{
    (void)tls;
    return 0;
}

ssize_t tg_nats_tls_receive(struct tg_nats_tls *tls, void *ret_data, size_t size)
{
    (void)tls;
    (void)ret_data;
    (void)size;
    return -ENOTCONN;
}

int tg_nats_public_key(const char *seed, char *ret_text, size_t size)
{
    (void)seed;
    (void)ret_text;
    (void)size;
    return -EOPNOTSUPP;
}

int tg_nats_sign(const char *seed, const void *nonce, size_t len, char *ret_text, size_t size)
{
    (void)seed;
    (void)nonce;
    (void)len;
    (void)ret_text;
    (void)size;
    return -EOPNOTSUPP;
}

#endif
