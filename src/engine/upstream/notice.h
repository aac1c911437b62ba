/* notice.h - what the log has said of endpoints: one line a change, for the whole process.
 *
 * Each worker finds out by itself that a server is down, and a reload makes all of them find out again; the operator wants
 * to read it once. An entry lives as long as somebody holds it: over a reload, since the new ones come before the old go.
 *
 * Thread: any.
 */
#ifndef DASHBOX_ENGINE_UPSTREAM_NOTICE_H
#define DASHBOX_ENGINE_UPSTREAM_NOTICE_H

#include "base/str.h"

struct notice;

/* That of the URL of this engine. */
struct notice *notice_hold(str engine, str url);
void           notice_release(struct notice *n); /* NULL is nothing */

/* True when that is news, and the caller the one to tell it. */
bool notice_down(struct notice *n);
bool notice_up(struct notice *n);

#endif
