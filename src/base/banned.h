/* banned.h - functions that do not compile here, and what to use instead.
 *
 * Force-included by the build for our own sources, after the system headers that declare the functions.
 */
#ifndef DASHBOX_BASE_BANNED_H
#define DASHBOX_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncpy strncat /* buf_add(), arena_strdup() */
#pragma GCC poison sprintf vsprintf              /* buf_addf() */
#pragma GCC poison strtok strtok_r               /* str_cut() */
#pragma GCC poison atoi atol atoll atof          /* str_to_i64(), str_to_f64() */
#pragma GCC poison gets gmtime localtime ctime asctime /* clock_*() */
#pragma GCC poison rand srand                    /* rand_u64() */

#endif
