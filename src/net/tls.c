/* tls.c - TLS with OpenSSL over two memory buffers.
 *
 *   wire --> [ in BIO ] --> SSL --> plain
 *   wire <-- [ out BIO ] <-- SSL <-- plain
 */
#include "net/tls.h"

#include "base/arena.h"
#include "base/log.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct tls_context {
    SSL_CTX    *ctx;
    atomic_uint refs;
    bool        verify;
};

struct tls {
    struct tls_context *context;
    SSL                *ssl;
    BIO                *in, *out;
};

static void log_ssl(const char *what, const char *file)
{
    FILE *f = fopen(file, "r");
    char  text[160];

    if (f)
        (void)fclose(f);
    ERR_error_string_n(ERR_peek_last_error(), text, sizeof(text));
    log_error("%s %s: %s", what, file,
              !f                                                        ? strerror(errno)
              : ERR_GET_REASON(ERR_peek_error()) == PEM_R_NO_START_LINE ? "this is not PEM"
                                                                        : text);
    ERR_clear_error();
}

static struct tls_context *context_new(const SSL_METHOD *method)
{
    struct tls_context *c = xcalloc(1, sizeof(*c));

    c->ctx = SSL_CTX_new(method);
    ASSERT(c->ctx);
    c->refs = 1;
    SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(c->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE);
    SSL_CTX_set_options(c->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    return c;
}

static int choose_http1(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                        unsigned in_len, void *arg)
{
    static const unsigned char http1[] = "\x08http/1.1";

    (void)ssl, (void)arg;
    if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, http1, sizeof(http1) - 1, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    return SSL_TLSEXT_ERR_OK;
}

enum err tls_context_server(const char *certificate_file, const char *key_file, struct tls_context **ret)
{
    struct tls_context *c = context_new(TLS_server_method());

    SSL_CTX_set_alpn_select_cb(c->ctx, choose_http1, NULL);
    if (SSL_CTX_use_certificate_chain_file(c->ctx, certificate_file) != 1) {
        log_ssl("certificate", certificate_file);
    } else if (SSL_CTX_use_PrivateKey_file(c->ctx, key_file, SSL_FILETYPE_PEM) != 1 ||
               SSL_CTX_check_private_key(c->ctx) != 1) {
        log_ssl("private key", key_file);
    } else {
        *ret = c;
        return OK;
    }
    tls_context_free(c);
    return ERR_INVALID;
}

enum err tls_context_client(const char *ca_file, bool verify, struct tls_context **ret)
{
    struct tls_context *c = context_new(TLS_client_method());

    c->verify = verify;
    SSL_CTX_set_verify(c->ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    if (ca_file ? SSL_CTX_load_verify_locations(c->ctx, ca_file, NULL) != 1
                : SSL_CTX_set_default_verify_paths(c->ctx) != 1) {
        log_ssl("certificate authorities", ca_file ? ca_file : "of the system");
        tls_context_free(c);
        return ERR_INVALID;
    }
    *ret = c;
    return OK;
}

struct tls_context *tls_context_ref(struct tls_context *c)
{
    atomic_fetch_add(&c->refs, 1);
    return c;
}

void tls_context_free(struct tls_context *c)
{
    if (!c || atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    SSL_CTX_free(c->ctx);
    free(c);
}

static struct tls *session_new(struct tls_context *c)
{
    struct tls *t = xcalloc(1, sizeof(*t));

    t->context = tls_context_ref(c);
    t->ssl = SSL_new(c->ctx);
    t->in = BIO_new(BIO_s_mem());
    t->out = BIO_new(BIO_s_mem());
    ASSERT(t->ssl && t->in && t->out);
    SSL_set_bio(t->ssl, t->in, t->out);
    return t;
}

struct tls *tls_new_server(struct tls_context *c)
{
    struct tls *t = session_new(c);

    SSL_set_accept_state(t->ssl);
    return t;
}

struct tls *tls_new_client(struct tls_context *c, const char *host)
{
    struct tls *t = session_new(c);

    SSL_set_connect_state(t->ssl);
    SSL_set_tlsext_host_name(t->ssl, host);
    if (c->verify)
        SSL_set1_host(t->ssl, host);
    return t;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_free(t->ssl);
    tls_context_free(t->context);
    free(t);
}

enum err tls_feed(struct tls *t, str bytes)
{
    ASSERT(bytes.len <= INT32_MAX);
    return BIO_write(t->in, bytes.ptr, (int)bytes.len) == (int)bytes.len ? OK : ERR_LIMIT;
}

static enum err failed(struct tls *t, int result)
{
    int why = SSL_get_error(t->ssl, result);

    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return OK;
    if (why == SSL_ERROR_ZERO_RETURN)
        return ERR_EOF;
    ERR_clear_error();
    return ERR_PROTOCOL;
}

enum err tls_read(struct tls *t, char *buffer, size_t size, size_t *ret_n)
{
    int n;

    ERR_clear_error();
    *ret_n = 0;
    n = SSL_read(t->ssl, buffer, (int)size);
    if (n > 0) {
        *ret_n = (size_t)n;
        return OK;
    }
    return failed(t, n);
}

enum err tls_write(struct tls *t, str bytes)
{
    ERR_clear_error();
    while (bytes.len) {
        int chunk = bytes.len > INT32_MAX ? INT32_MAX : (int)bytes.len;
        int n = SSL_write(t->ssl, bytes.ptr, chunk);

        if (n <= 0) {
            enum err e = failed(t, n);

            return e ? e : ERR_PROTOCOL; /* a memory buffer takes everything once the handshake is done */
        }
        bytes = str_from(bytes, (size_t)n);
    }
    return OK;
}

void tls_shutdown(struct tls *t)
{
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl); /* the peer may have gone: nothing depends on it */
}

bool tls_ready(const struct tls *t)
{
    return SSL_is_init_finished(t->ssl);
}

str tls_pending(struct tls *t)
{
    char *p = NULL;
    long  n = BIO_get_mem_data(t->out, &p);

    return str_of(p, n > 0 ? (size_t)n : 0);
}

void tls_sent(struct tls *t)
{
    (void)BIO_reset(t->out); /* a memory buffer cannot fail to be emptied */
}
