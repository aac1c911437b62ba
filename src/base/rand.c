/* rand.c - randomness: splitmix64 for one seed, xoshiro256** a thread, getrandom() for secrets. */
#include "base/rand.h"

#include "base/num.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

static _Thread_local uint64_t state[4];
static _Thread_local bool     seeded;

uint64_t rand_next(uint64_t *seed)
{
    uint64_t z = *seed += 0x9E3779B97F4A7C15u;

    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

void rand_fix(uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_LEN(state); i++)
        state[i] = rand_next(&seed);
    seeded = true;
}

void rand_secret(void *bytes, size_t n)
{
    char *p = bytes;

    while (n) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            perror("dashbox: getrandom");
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}

static uint64_t rotl(uint64_t x, int k)
{
    return x << k | x >> (64 - k);
}

uint64_t rand_u64(void)
{
    uint64_t result, t;

    if (UNLIKELY(!seeded)) {
        rand_secret(state, sizeof(state));
        state[0] |= 1; /* all zero is the one state it cannot leave */
        seeded = true;
    }
    result = rotl(state[1] * 5, 7) * 9;
    t = state[1] << 17;
    state[2] ^= state[0];
    state[3] ^= state[1];
    state[1] ^= state[2];
    state[0] ^= state[3];
    state[2] ^= t;
    state[3] = rotl(state[3], 45);
    return result;
}

void rand_uuid(char text[UUID_LEN + 1], char version)
{
    uint64_t bits[2] = { rand_u64(), rand_u64() };
    char     hex[32];

    num_hex(hex, bits, sizeof(bits));
    hex[12] = version;
    hex[16] = "89ab"[bits[1] & 3];
    memcpy(text, hex, 8);
    memcpy(text + 9, hex + 8, 4);
    memcpy(text + 14, hex + 12, 4);
    memcpy(text + 19, hex + 16, 4);
    memcpy(text + 24, hex + 20, 12);
    text[8] = text[13] = text[18] = text[23] = '-';
    text[UUID_LEN] = 0;
}

void rand_hex(char *text, size_t n)
{
    while (n) {
        uint64_t bits = rand_u64();
        char     hex[16];
        size_t   take = min_size(n, sizeof(hex));

        num_hex(hex, &bits, sizeof(bits));
        memcpy(text, hex, take);
        text += take;
        n -= take;
    }
}
