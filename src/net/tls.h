/* tls.h - TLS with OpenSSL, without sockets: bytes of the wire in, plain bytes out, and the other way.
 *
 * Thread: a session belongs to its connection's loop; a context may be shared.
 */
#ifndef DASHBOX_NET_TLS_H
#define DASHBOX_NET_TLS_H

#include "base/err.h"
#include "base/str.h"

struct tls_context;
struct tls;

/* PEM files. On failure ERR_INVALID, and the reason goes to the log. */
enum err tls_context_server(const char *certificate_file, const char *key_file, struct tls_context **ret);
/* For connections to others; `ca_file` NULL: the system's authorities. */
enum err tls_context_client(const char *ca_file, bool verify, struct tls_context **ret);
/* Counted: a session holds its context. */
struct tls_context *tls_context_ref(struct tls_context *c);
void                tls_context_free(struct tls_context *c);

struct tls *tls_new_server(struct tls_context *c);
/* `host` is what the certificate must be for (and SNI). */
struct tls *tls_new_client(struct tls_context *c, const char *host);
void        tls_free(struct tls *t);

/* Bytes that came from the wire. */
enum err tls_feed(struct tls *t, str bytes);

/* Plain bytes that have arrived, *ret_n 0 when there are none yet. Drives the handshake. ERR_EOF at the peer's close
 * notification, ERR_PROTOCOL when the session is broken. */
enum err tls_read(struct tls *t, char *buffer, size_t size, size_t *ret_n);

/* Encrypts; the result waits in tls_pending(). Only when the handshake is done. */
enum err tls_write(struct tls *t, str bytes);
void     tls_shutdown(struct tls *t);
bool     tls_ready(const struct tls *t);

/* Bytes for the wire, valid until tls_sent(). */
str  tls_pending(struct tls *t);
void tls_sent(struct tls *t);

#endif
