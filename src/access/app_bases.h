/* app_bases.h - which knowledge bases the definition of an application may name. The other half is service/app_retrieve.h. */
#ifndef DASHBOX_ACCESS_APP_BASES_H
#define DASHBOX_ACCESS_APP_BASES_H

#include "access/edit.h"

/* All of them must be the workspace's. */
enum err app_bases_check(struct edit *e, str workspace, const str *ids, size_t count);

#endif
