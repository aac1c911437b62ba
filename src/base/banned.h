/* banned.h - functions that do not compile here, and what to use instead.
 *
 * Force-included by the build for our own sources. A use becomes a name that does not exist and says so.
 */
#ifndef DASHBOX_BASE_BANNED_H
#define DASHBOX_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BANNED(func) sorry_##func##_is_banned_see_base_banned_h

/* buf_add(), arena_str() */
#undef strcpy
#define strcpy(a, b) BANNED(strcpy)
#undef strcat
#define strcat(a, b) BANNED(strcat)
#undef strncpy
#define strncpy(a, b, n) BANNED(strncpy)
#undef strncat
#define strncat(a, b, n) BANNED(strncat)
/* buf_addf(), arena_printf() */
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
/* str_cut() */
#undef strtok
#define strtok(a, b) BANNED(strtok)
/* str_to_i64(), str_to_f64() */
#undef atoi
#define atoi(s) BANNED(atoi)
#undef atol
#define atol(s) BANNED(atol)
#undef atof
#define atof(s) BANNED(atof)
/* clock_http(), clock_iso() */
#undef gmtime
#define gmtime(t) BANNED(gmtime)
#undef localtime
#define localtime(t) BANNED(localtime)
#undef ctime
#define ctime(t) BANNED(ctime)
/* rand_u64(), rand_secret() */
#undef rand
#define rand() BANNED(rand)
#undef srand
#define srand(seed) BANNED(srand)

#endif
