/* tuning.h - what a fine-tuning job is asked for with: the input of data/params/tuning.txt. */
#ifndef DASHBOX_CONTRACT_TUNING_H
#define DASHBOX_CONTRACT_TUNING_H

#include "contract/optional.h"

/* training_type, in the order of its choices; 0: none. */
enum tuning_type { TUNING_TYPE_NONE, TUNING_CPT, TUNING_SFT, TUNING_EFFICIENT_SFT, TUNING_DPO_FULL, TUNING_DPO_LORA };
enum tuning_save { TUNING_SAVE_NONE, TUNING_SAVE_EPOCH, TUNING_SAVE_STEPS };

struct tuning_input {
    str     model, job_name, model_name, suffix;
    int     type; /* enum tuning_type */
    opt_int epochs, batch_size, max_length, validation_max, eval_steps, logging_steps, lora_rank, lora_alpha,
        save_steps, save_total;
    opt_num  learning_rate, split, warmup_ratio, weight_decay, lora_dropout;
    opt_bool freeze_vit, augmentation;
    str      scheduler;
    int      save_strategy; /* enum tuning_save */
};

#endif
