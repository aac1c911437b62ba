/* model.c - looks up what is known of a model. Thread: any; the tables are constant. Spec: models.md §2, §3. */
#include "contract/model_tables.h"

#include "base/defs.h"

/* FNV-1a, folded; tools/gen_models.py fills the slots with the same. The keys are ours, so that it need not be keyed. */
static uint64_t model_hash(str s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < s.len; i++)
        h = (h ^ (unsigned char)s.ptr[i]) * UINT64_C(0x100000001b3);
    return h ^ h >> 32;
}

const struct model *model_find(str id)
{
    enum { ID_MAX = 128 }; /* longer than any id, so that a peer cannot make us hash a megabyte */
    uint64_t slot;

    if (id.len > ID_MAX)
        return NULL;
    for (slot = model_hash(id) & model_slot_mask; model_slots[slot]; slot = (slot + 1) & model_slot_mask) {
        const struct model *m = &models[model_slots[slot] - 1];

        if (str_eq(m->id, id))
            return m;
    }
    return NULL;
}

str model_fact(const struct model *m, str key)
{
    str rest = m->facts;

    while (rest.len) {
        str line = str_cut(&rest, '\n');

        if (str_eq(str_cut(&line, ' '), key))
            return line;
    }
    return (str){ 0 };
}

str model_task_name(enum model_task task)
{
    ASSERT(task < MODEL_TASK_COUNT);
    return model_task_names[task];
}

bool words_have(str words, str word)
{
    while (words.len) {
        if (str_eq(str_cut(&words, ' '), word))
            return true;
    }
    return false;
}

bool model_takes_effort(const struct model *m, str word)
{
    return words_have(m->effort, word) || words_have(m->effort, S("..."));
}

int64_t model_effort_budget(const struct model *m, str word)
{
    str words = m->effort;

    for (size_t i = 0; words.len && i < ARRAY_LEN(m->effort_budgets); i++) {
        if (str_eq(str_cut(&words, ' '), word))
            return m->effort_budgets[i];
    }
    return 0;
}
