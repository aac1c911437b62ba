/* hash.c - multiply-and-fold over 16 bytes at a time.
 *
 * Each step multiplies two 64-bit words, each XORed with a secret, to 128 bits and folds the halves together; three
 * lanes run side by side on long texts. The constants are odd words with evenly spread bits.
 */
#include "base/hash.h"

static const uint64_t secret[4] = { 0x9E3779B97F4A7C15u, 0xC2B2AE3D27D4EB4Fu, 0x165667B19E3779F9u,
                                    0xD6E8FEB86659FD93u };

/* With the factors themselves mixed in, a zero (which a peer could arrange) does not wipe out what came before. */
static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 r = (unsigned __int128)a * b;

    return a ^ b ^ (uint64_t)r ^ (uint64_t)(r >> 64);
}

static uint64_t load(const char *p, size_t n)
{
    uint64_t v = 0;

    memcpy(&v, p, n);
    return v;
}

uint64_t hash_u64(uint64_t hash, uint64_t v)
{
    return fold(hash ^ secret[0], v ^ secret[1]);
}

uint64_t hash_bytes(str s, uint64_t seed)
{
    const char *p = s.ptr;
    size_t      left = s.len;
    uint64_t    h = seed ^ fold(seed ^ secret[0], secret[1]);

    if (left >= 48) {
        uint64_t h1 = h, h2 = h;

        do {
            h = fold(load(p, 8) ^ secret[1], load(p + 8, 8) ^ h);
            h1 = fold(load(p + 16, 8) ^ secret[2], load(p + 24, 8) ^ h1);
            h2 = fold(load(p + 32, 8) ^ secret[3], load(p + 40, 8) ^ h2);
            p += 48;
            left -= 48;
        } while (left >= 48);
        h ^= h1 ^ h2;
    }
    while (left >= 16) {
        h = fold(load(p, 8) ^ secret[1], load(p + 8, 8) ^ h);
        p += 16;
        left -= 16;
    }
    if (left > 8)
        h = fold(load(p, 8) ^ secret[1], load(p + 8, left - 8) ^ h);
    else if (left)
        h = fold(load(p, left) ^ secret[1], h);
    return fold(h ^ secret[0], s.len ^ secret[2]);
}

static uint64_t halves_of_product(uint64_t a, uint64_t b)
{
    unsigned __int128 r = (unsigned __int128)a * b;

    return (uint64_t)r ^ (uint64_t)(r >> 64);
}

static uint64_t secret_step(const uint64_t secrets[3], const char *p, uint64_t h)
{
    return halves_of_product(load(p, 8) ^ secrets[0] ^ h, load(p + 8, 8) ^ secrets[1]) + h;
}

/* Sixteen bytes a step, each half hidden by a secret before it is multiplied; two rows of steps side by side, since a step
 * waits for the one before it. */
uint64_t hash_secret(const uint64_t secrets[3], str s, uint64_t h)
{
    const char *p = s.ptr;
    size_t      left = s.len;
    uint64_t    other = secrets[2];

    for (; left >= 32; p += 32, left -= 32) {
        h = secret_step(secrets, p, h);
        other = secret_step(secrets, p + 16, other);
    }
    if (left >= 16) {
        h = secret_step(secrets, p, h);
        p += 16;
        left -= 16;
    }
    if (left > 0) {
        char last[16] = { 0 };

        memcpy(last, p, left);
        h = secret_step(secrets, last, h);
    }
    return halves_of_product(h ^ secrets[1], s.len ^ other);
}
