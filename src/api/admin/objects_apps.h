/* objects_apps.h - applications and plug-ins as JSON, for the admin API and `dashbox … --json`. */
#ifndef DASHBOX_API_ADMIN_OBJECTS_APPS_H
#define DASHBOX_API_ADMIN_OBJECTS_APPS_H

#include "access/app_edit.h"
#include "access/plugin_edit.h"
#include "base/buf.h"

void object_app(struct buf *b, const struct app_row *a);
/* With its steps when `steps` is set. */
void object_app_run(struct buf *b, const struct app_run_row *r, bool steps);
/* Never its secret. */
void object_plugin(struct buf *b, const struct plugin_row *p);

#endif
