/* account_rate.h - how often functions of the account may be called, beside the models. */
#ifndef DASHBOX_API_ACCOUNT_RATE_H
#define DASHBOX_API_ACCOUNT_RATE_H

#include "contract/request.h"
#include "loop/fiber.h"

/* One more call of a function of the account, of which so many are admitted in a window of so many milliseconds, with the option
 * `limits.catalog`. REF: E204. */
SUSPENDS enum err account_rate_admit(struct request *rq, str function, int64_t calls, int64_t window_ms);

#endif
