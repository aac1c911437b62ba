/* objects_knowledge.c - knowledge bases as JSON. */
#include "api/admin/objects_knowledge.h"

#include "api/admin/objects.h"

void object_knowledge(struct buf *b, const struct knowledge_base *k)
{
    buf_add_char(b, '{');
    object_text(b, "id", k->id);
    object_text(b, "workspace", k->workspace);
    object_text(b, "name", k->name);
    object_text(b, "model", k->model);
    object_int(b, "dimension", k->dimension);
    object_int(b, "chunk_size", k->chunk_size);
    object_int(b, "overlap", k->overlap);
    buf_add(b, S(",\"separators\":"));
    buf_add(b, k->separators.len ? k->separators : S("[]"));
    object_text(b, "way", k->way);
    object_int(b, "documents", k->documents);
    object_int(b, "waiting", k->waiting);
    object_int(b, "failed", k->failed);
    object_int(b, "chunks", k->chunks);
    object_time(b, "created", k->created_ms);
    buf_add_char(b, '}');
}

void object_knowledge_document(struct buf *b, const struct knowledge_document *d)
{
    buf_add_char(b, '{');
    object_text(b, "file", d->file);
    object_text(b, "name", d->name);
    buf_add(b, S(",\"tags\":"));
    buf_add(b, d->tags);
    object_text(b, "metadata", d->details);
    object_text(b, "state", knowledge_state_name(d->state));
    object_text(b, "problem", d->problem);
    object_int(b, "chunks", d->chunks);
    object_time(b, "created", d->created_ms);
    buf_add_char(b, '}');
}
