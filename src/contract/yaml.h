/* yaml.h - YAML as JSON values, for definitions that people write: YAML is read, and so is JSON.
 *
 * Plain scalars become null, booleans and numbers where they look like it, all others text. What an alias repeats is counted, so that
 * nothing can be expanded beyond the limits.
 */
#ifndef DASHBOX_CONTRACT_YAML_H
#define DASHBOX_CONTRACT_YAML_H

#include "base/err.h"
#include "contract/json.h"

#define YAML_VALUES_MAX 20000
#define YAML_DEPTH_MAX  32

/* The one document of `text` as a value in the arena. ERR_INVALID: *ret_problem says where and why. It needs an ordinary stack: not for
 * fibers. */
enum err yaml_read(struct arena *a, str text, yyjson_val **ret, str *ret_problem);

#endif
