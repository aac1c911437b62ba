/* err.h - the one error type.
 *
 * A function that can fail returns `enum err` and nothing else; OK is zero. The values below are what code has to tell
 * apart. A refusal that a client will read is always ERR_FAULT: which one, and with which arguments, is recorded in the
 * request's `struct fault` (contract/fault.h) by the fail_…() constructor that returned it.
 */
#ifndef DASHBOX_BASE_ERR_H
#define DASHBOX_BASE_ERR_H

#define ERRS(X)                                    \
    X(OK, "no error")                              \
    X(ERR_FAULT, "refused; see the fault")         \
    X(ERR_EOF, "the peer closed the connection")   \
    X(ERR_TIMEOUT, "the deadline passed")          \
    X(ERR_CANCELLED, "cancelled")                  \
    X(ERR_LIMIT, "a limit was reached")            \
    X(ERR_PROTOCOL, "the peer broke the protocol") \
    X(ERR_REFUSED, "connection refused")           \
    X(ERR_UNREACHABLE, "cannot be reached")        \
    X(ERR_NOT_FOUND, "not found")                  \
    X(ERR_EXISTS, "exists already")                \
    X(ERR_INVALID, "malformed")                    \
    X(ERR_IO, "input/output error")

#define ERR_ENUM(name, text) name,
enum err { ERRS(ERR_ENUM) };
#undef ERR_ENUM

/* The text for the log, never for a client. */
const char *err_text(enum err e);

#endif
