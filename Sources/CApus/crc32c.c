// CRC-32C, in three ways.
//
// Portable: eight tables, eight bytes a step.
//
// Hardware: the processor's instruction takes eight bytes in one cycle but answers after three, so one chain of them runs
// at a third of its speed. Three chains over three neighbouring blocks run side by side, and are then joined: the CRC
// of A followed by B is the CRC of A followed by as many zero bytes as B has, xor the CRC of B (started from zero).
// Passing over n zero bytes is linear in the 32 bits of the register, so for a fixed n it is four table lookups.

#include "CApus.h"

#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#define POLYNOMIAL 0x82F63B78u  // Castagnoli's, bits reversed

// Bytes of one of three neighbouring blocks: large ones for batches, small ones for what is left. Multiples of eight.
#define LARGE 2048
#define SMALL 256

static uint32_t step[8][256];
static uint32_t over_large[4][256];
static uint32_t over_small[4][256];
static int has_hardware;

static uint32_t times(const uint32_t matrix[32], uint32_t vector) {
    uint32_t sum = 0;
    for (int bit = 0; vector; bit++, vector >>= 1)
        if (vector & 1) sum ^= matrix[bit];
    return sum;
}

/// Fills `table` with the effect of `length` zero bytes (a power of two) on each byte of the register.
static void make_over(uint32_t table[4][256], size_t length) {
    uint32_t matrix[32], square[32];
    for (int bit = 0; bit < 32; bit++) {
        uint32_t crc = 1u << bit;
        matrix[bit] = (crc >> 8) ^ step[0][crc & 0xff];
    }
    for (size_t bytes = 1; bytes < length; bytes *= 2) {
        for (int bit = 0; bit < 32; bit++) square[bit] = times(matrix, matrix[bit]);
        memcpy(matrix, square, sizeof matrix);
    }
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t value = 0; value < 256; value++) table[byte][value] = times(matrix, value << (8 * byte));
}

static int detect(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("sse4.2") != 0;
#elif defined(__aarch64__) && defined(__APPLE__)
    return 1;
#elif defined(__aarch64__) && defined(__linux__)
    return (getauxval(AT_HWCAP) & (1 << 7)) != 0;  // HWCAP_CRC32
#else
    return 0;
#endif
}

__attribute__((constructor)) static void make_tables(void) {
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (POLYNOMIAL & (0u - (crc & 1)));
        step[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int t = 1; t < 8; t++) step[t][n] = (step[t - 1][n] >> 8) ^ step[0][step[t - 1][n] & 0xff];
    make_over(over_large, LARGE);
    make_over(over_small, SMALL);
    has_hardware = detect();
}

static uint32_t portable(uint32_t crc, const uint8_t *p, size_t n) {
    while (n >= 8) {
        uint32_t low, high;
        memcpy(&low, p, 4);
        memcpy(&high, p + 4, 4);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        low = __builtin_bswap32(low);
        high = __builtin_bswap32(high);
#endif
        low ^= crc;
        crc = step[7][low & 0xff] ^ step[6][(low >> 8) & 0xff] ^ step[5][(low >> 16) & 0xff] ^ step[4][low >> 24]
            ^ step[3][high & 0xff] ^ step[2][(high >> 8) & 0xff] ^ step[1][(high >> 16) & 0xff] ^ step[0][high >> 24];
        p += 8;
        n -= 8;
    }
    while (n--) crc = (crc >> 8) ^ step[0][(crc ^ *p++) & 0xff];
    return crc;
}

#if defined(__x86_64__)
#define HARDWARE __attribute__((target("sse4.2")))
#define CRC8(crc, word) ((uint32_t)__builtin_ia32_crc32di((crc), (word)))
#define CRC1(crc, byte) (__builtin_ia32_crc32qi((crc), (byte)))
#elif defined(__aarch64__)
#define HARDWARE __attribute__((target("crc")))
#define CRC8(crc, word) (__builtin_arm_crc32cd((crc), (word)))
#define CRC1(crc, byte) (__builtin_arm_crc32cb((crc), (byte)))
#endif

#ifdef HARDWARE
static inline uint32_t over(const uint32_t table[4][256], uint32_t crc) {
    return table[0][crc & 0xff] ^ table[1][(crc >> 8) & 0xff] ^ table[2][(crc >> 16) & 0xff] ^ table[3][crc >> 24];
}

static inline uint64_t word_at(const uint8_t *p) {
    uint64_t word;
    memcpy(&word, p, 8);
    return word;
}

HARDWARE static inline uint32_t three_blocks(
    uint32_t crc, const uint8_t *p, size_t block, const uint32_t table[4][256]
) {
    uint32_t second = 0, third = 0;
    for (const uint8_t *end = p + block; p < end; p += 8) {
        crc = CRC8(crc, word_at(p));
        second = CRC8(second, word_at(p + block));
        third = CRC8(third, word_at(p + 2 * block));
    }
    return over(table, over(table, crc) ^ second) ^ third;
}

HARDWARE static uint32_t hardware(uint32_t crc, const uint8_t *p, size_t n) {
    for (; n >= 3 * LARGE; p += 3 * LARGE, n -= 3 * LARGE) crc = three_blocks(crc, p, LARGE, over_large);
    for (; n >= 3 * SMALL; p += 3 * SMALL, n -= 3 * SMALL) crc = three_blocks(crc, p, SMALL, over_small);
    for (; n >= 8; p += 8, n -= 8) crc = CRC8(crc, word_at(p));
    while (n--) crc = CRC1(crc, *p++);
    return crc;
}
#else
static uint32_t hardware(uint32_t crc, const uint8_t *p, size_t n) { return portable(crc, p, n); }
#endif

uint32_t capus_crc32c(uint32_t crc, const void *bytes, size_t length) {
    return ~(has_hardware ? hardware(~crc, bytes, length) : portable(~crc, bytes, length));
}

uint32_t capus_crc32c_portable(uint32_t crc, const void *bytes, size_t length) {
    return ~portable(~crc, bytes, length);
}

int capus_crc32c_is_hardware(void) { return has_hardware; }
