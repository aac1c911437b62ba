/* objects_knowledge.h - knowledge bases as JSON, for the admin API and `dashbox … --json`. */
#ifndef DASHBOX_API_ADMIN_OBJECTS_KNOWLEDGE_H
#define DASHBOX_API_ADMIN_OBJECTS_KNOWLEDGE_H

#include "access/knowledge_edit.h"
#include "base/buf.h"

void object_knowledge(struct buf *b, const struct knowledge_base *k);
void object_knowledge_document(struct buf *b, const struct knowledge_document *d);

#endif
