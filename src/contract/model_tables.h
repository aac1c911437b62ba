/* model_tables.h - what tools/gen_models.py makes for model.c alone. */
#ifndef DASHBOX_CONTRACT_MODEL_TABLES_H
#define DASHBOX_CONTRACT_MODEL_TABLES_H

#include "contract/model.h"

/* The index by id: slot → row + 1, 0 is free; open addressing, the next slot on a collision. */
extern const uint16_t model_slots[];
extern const unsigned model_slot_mask;

extern const str model_task_names[]; /* by enum model_task */

#endif
