/* app_flow.c - runs a flow, node after node. */
#include "service/app_run.h"

enum err app_run_flow(struct app_run *r)
{
    return app_fail(r, "flows are not run yet");
}
