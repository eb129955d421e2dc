#include "carrier/nats/login.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "carrier/nats/net.h"
#include "carrier/nats/text.h"
#include "carrier/nats/tls.h"

#define INFO_MOST 65536u
#define FILE_MOST 16384u

/* What INFO asks for. */
struct info {
    bool wants_tls;
    char nonce[128];
};

const char *tg_nats_inbox_prefix(void)
{
    const char *prefix = secure_getenv("TONG_NATS_INBOX");
    return prefix != NULL && prefix[0] != '\0' && strlen(prefix) < 20 ? prefix : "_INBOX";
}

void tg_nats_read_info(struct tg_nats_conn *conn, const char *json, size_t len)
{
    while (len > 0 && *json == ' ') {
        json++;
        len--;
    }
    const struct tg_json info = { json, len };
    const uint64_t most = tg_json_u64(tg_json_get(info, "max_payload"));
    if (most > TG_NATS_HEAD_MOST && most <= UINT32_MAX) {
        conn->max_payload = (uint32_t)most;
    }
    conn->is_clustered = tg_json_get(info, "cluster").len > 2;
}

/* The line INFO, byte by byte where TLS may begin behind it: nothing of that may be read. */
static int await_info(struct tg_nats_conn *conn, int64_t deadline, struct info *ret_info)
{
    char *line = malloc(INFO_MOST);
    if (line == NULL) {
        return -ENOMEM;
    }
    size_t len = 0;
    int r = 0;
    while (r == 0 && (len == 0 || line[len - 1] != '\n')) {
        const ssize_t n = len == INFO_MOST ? -EPROTO : tg_net_receive(conn->fd, line + len, 1);
        if (n == -EAGAIN) {
            r = tg_net_wait(conn->fd, TG_NET_IN, -1, deadline);
            r = r > 0 || r == -EINTR ? 0 : r;
        } else {
            r = n < 0 ? (int)n : 0;
            len += n > 0;
        }
    }
    if (r == 0 && (len < 7 || strncasecmp(line, "INFO ", 5) != 0)) {
        r = -EPROTO;
    }
    if (r == 0) {
        const struct tg_json info = { line + 5, len - 5 };
        tg_nats_read_info(conn, info.at, info.len);
        ret_info->wants_tls = tg_json_bool(tg_json_get(info, "tls_required"));
        (void)tg_json_string(tg_json_get(info, "nonce"), ret_info->nonce, sizeof ret_info->nonce);
    }
    free(line);
    return r;
}

/* A small file of the user's, NUL at its end. */
static int read_file(const char *path, char *ret_text, size_t size)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return errno == ENOMEM ? -ENOMEM : -EACCES;
    }
    const size_t n = fread(ret_text, 1, size - 1, file);
    (void)fclose(file);
    ret_text[n] = '\0';
    return n == size - 1 ? -EACCES : 0;
}

/* The lines of a credentials file between "BEGIN WHAT" and "END", as one word. */
static bool find_block(const char *text, const char *begin, char *ret_word, size_t size)
{
    const char *at = strstr(text, begin);
    at = at != NULL ? strchr(at, '\n') : NULL;
    const char *end = at != NULL ? strstr(at, "----") : NULL;
    size_t len = 0;
    for (; at != NULL && end != NULL && at < end; at++) {
        if (*at != '\n' && *at != '\r' && *at != ' ') {
            if (len + 1 == size) {
                return false;
            }
            ret_word[len++] = *at;
        }
    }
    ret_word[len] = '\0';
    return len > 0;
}

static int add_signature(const char *seed, const struct info *info, struct tg_text *line)
{
    char signature[128];
    const int r = tg_nats_sign(seed, info->nonce, strlen(info->nonce), signature, sizeof signature);
    if (r == 0) {
        tg_text_add(line, ",\"sig\":");
        tg_text_add_json(line, signature);
    }
    return r;
}

/* TONG_NATS_CREDS: a file with a user's JWT and its nkey's seed. */
static int add_creds(const char *path, const struct info *info, struct tg_text *line, char *text,
                     char *word)
{
    int r = read_file(path, text, FILE_MOST);
    if (r == 0 && !find_block(text, "BEGIN NATS USER JWT", word, FILE_MOST)) {
        r = -EACCES;
    }
    if (r == 0) {
        tg_text_add(line, ",\"jwt\":");
        tg_text_add_json(line, word);
        r = find_block(text, "BEGIN USER NKEY SEED", word, FILE_MOST)
                ? add_signature(word, info, line)
                : -EACCES;
    }
    return r;
}

/* TONG_NATS_NKEY: a file with a seed alone; its public key stands in the server's configuration. */
static int add_nkey(const char *path, const struct info *info, struct tg_text *line, char *text)
{
    int r = read_file(path, text, FILE_MOST);
    if (r < 0) {
        return r;
    }
    text[strcspn(text, " \r\n")] = '\0';
    char public_key[64];
    r = tg_nats_public_key(text, public_key, sizeof public_key);
    if (r == 0) {
        tg_text_add(line, ",\"nkey\":");
        tg_text_add_json(line, public_key);
        r = add_signature(text, info, line);
    }
    return r;
}

static int add_identity(const struct tg_nats_url *url, const struct info *info,
                        struct tg_text *line)
{
    const char *creds = secure_getenv("TONG_NATS_CREDS");
    const char *nkey = secure_getenv("TONG_NATS_NKEY");
    if (url->user[0] != '\0') {
        tg_text_add(line, url->pass[0] != '\0' ? ",\"user\":" : ",\"auth_token\":");
        tg_text_add_json(line, url->user);
        if (url->pass[0] != '\0') {
            tg_text_add(line, ",\"pass\":");
            tg_text_add_json(line, url->pass);
        }
        return 0;
    }
    if (creds == NULL && nkey == NULL) {
        return 0;
    }
    char *text = malloc(2 * (size_t)FILE_MOST);
    if (text == NULL) {
        return -ENOMEM;
    }
    const int r = creds != NULL ? add_creds(creds, info, line, text, text + FILE_MOST)
                                : add_nkey(nkey, info, line, text);
    explicit_bzero(text, 2 * (size_t)FILE_MOST);
    free(text);
    return r;
}

static int put_connect(struct tg_nats_conn *conn, const struct tg_nats_url *url,
                       const struct info *info)
{
    const size_t size = FILE_MOST + 2048;
    char *buffer = malloc(size);
    if (buffer == NULL) {
        return -ENOMEM;
    }
    struct tg_text line = { buffer, size, 0, false };
    tg_text_add(&line,
                "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"c\",\"name\":\"tong\","
                "\"version\":\"0\",\"protocol\":1,\"echo\":true,\"headers\":true,"
                "\"no_responders\":true,\"tls_required\":");
    tg_text_add(&line, conn->tls != NULL ? "true" : "false");
    int r = add_identity(url, info, &line);
    tg_text_add(&line, "}\r\n");
    if (r == 0) {
        r = tg_nats_put(conn, &line);
    }
    explicit_bzero(buffer, size);
    free(buffer);
    return r;
}

/* Who says whose certificate counts, or has one to show, talks to nobody without TLS. */
static bool insists_on_tls(const struct tg_nats_place *place)
{
    return place->tls || secure_getenv("TONG_NATS_CA") != NULL ||
           secure_getenv("TONG_NATS_CERT") != NULL || secure_getenv("TONG_NATS_KEY") != NULL;
}

int tg_nats_login(struct tg_nats_conn *conn, const struct tg_nats_url *url,
                  const struct tg_nats_place *place, int64_t deadline)
{
    struct info info = { .wants_tls = false };
    int r = await_info(conn, deadline, &info);
    if (r == 0 && (info.wants_tls || insists_on_tls(place))) {
        r = tg_nats_tls_begin(conn->fd, place->host, deadline, &conn->tls);
    }
    return r < 0 ? r : put_connect(conn, url, &info);
}
