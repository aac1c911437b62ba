/* moderation_book.h - which set is whose: the policies of the workspaces, compiled.
 *
 * A book is one state of the table `policies`, never changed and shared by all workers; it is made anew, on a lane, when
 * the
 * table or the configuration has changed, and takes over from the book before what is still the same.
 */
#ifndef DASHBOX_ACCESS_MODERATION_BOOK_H
#define DASHBOX_ACCESS_MODERATION_BOOK_H

#include "access/moderation.h"

/* A row of the table. `kind` is its word: block, custom, faq, ip. */
struct moderation_policy {
    str  workspace, id, kind, pattern;
    bool is_regex;
};

struct moderation_book;

/* `global` are the rules of the configuration, NULL for none; `old` may be NULL. A policy that cannot be compiled was
 * refused when it was made (moderation_policy_check()); one that is there nevertheless is logged and left out. */
struct moderation_book *moderation_book_make(struct moderation_set *global, const struct moderation_policy *policies,
                                             size_t count, const struct moderation_book *old);
/* Counted, as a set is; made with one holder. NULL is accepted by both. */
struct moderation_book *moderation_book_hold(struct moderation_book *b);
void                    moderation_book_release(struct moderation_book *b);

/* The workspace's set, the global one where it has no policies, NULL where there is neither. Valid while the book is. */
struct moderation_set *moderation_book_find(const struct moderation_book *b, str workspace);

/* Whether a policy may be stored: ERR_INVALID or ERR_LIMIT with the reason, which is in the arena. On a lane. */
enum err moderation_policy_check(const struct moderation_policy *p, struct arena *a, str *ret_problem);

#endif
