#ifndef CAPUS_H
#define CAPUS_H

#include <stddef.h>
#include <stdint.h>

/// CRC-32C (Castagnoli, RFC 3720) of `length` bytes, continuing from `crc` (0 to start).
/// Uses the processor's CRC instructions where it has them.
uint32_t capus_crc32c(uint32_t crc, const void *bytes, size_t length);

#endif
