/* batches.h - batches: made of a file, asked after, cancelled. Who runs them: service/batch_runner.h. Spec: platform.md §2. */
#ifndef DASHBOX_SERVICE_BATCHES_H
#define DASHBOX_SERVICE_BATCHES_H

#include "contract/json.h"
#include "contract/request.h"
#include "service/services.h"
#include "store/batches.h"

/* Of a call's body; committed when it returns. What is wrong with the file shows later. W280-W283. */
SUSPENDS enum err batch_create(struct request *rq, yyjson_val *body, struct batch_row *ret);
/* W284. */
SUSPENDS enum err batch_get(struct request *rq, str id, struct batch_row *ret);
/* W284, W285. */
SUSPENDS enum err batch_cancel(struct request *rq, str id, struct batch_row *ret);
/* Fills in whose they are. W284: `after` is none. */
SUSPENDS enum err batch_list(struct request *rq, struct batch_list *l);

/* The object as the wire has it. */
void batch_add_object(struct buf *b, const struct batch_row *row);

/* Whether Batch Chat serves the model. REF: E197. */
enum err batch_check_chat(struct request *rq, const struct model *m);

SUSPENDS enum err batches_forget(struct services *s);

#endif
