#ifndef CAPUS_H
#define CAPUS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/// CRC-32C (Castagnoli, RFC 3720) of `length` bytes, continuing from `crc` (0 to start).
/// Uses the processor's CRC instructions where it has them.
uint32_t capus_crc32c(uint32_t crc, const void *bytes, size_t length);

/// The same without the processor's instructions. For processors that have none, and to test one path by the other.
uint32_t capus_crc32c_portable(uint32_t crc, const void *bytes, size_t length);

/// 1 when `capus_crc32c` uses the processor's instructions, else 0.
int capus_crc32c_is_hardware(void);

/// Sets aside blocks for the first `bytes` bytes of a file and grows it to that size; never shrinks it. Unlike
/// posix_fallocate it never falls back to writing zeros. Answers 0 or the error number.
int capus_fallocate(int descriptor, int64_t bytes);

/// Gives the blocks of a range of a file back to the file system; it reads as zeros from then on, and the file keeps its
/// size. Answers 0 or the error number: EOPNOTSUPP where the file system has no such thing.
int capus_punch_hole(int descriptor, int64_t position, int64_t length);

/// Reads what the page cache has, without waiting for the device: as pread, and -1 with EAGAIN in `errno` when the first
/// byte is not there. Answers fewer bytes where the cache ends. EOPNOTSUPP where the file system can not tell.
ssize_t capus_read_cached(int descriptor, void *bytes, size_t length, int64_t position);

/// 1 when the page cache has all of these bytes, 0 when it has not, -1 when the kernel can not tell (cachestat(2), since
/// Linux 6.5; may be forbidden in a container). Reads nothing, waits for nothing.
int capus_is_cached(int descriptor, int64_t position, int64_t length);

/// Lets the calling thread give way to the others of its process: it is nicer by so many steps, to 19 at most. A favour:
/// nothing happens where it is refused.
void capus_give_way(int steps);

/// syncfs(2), which Swift's Glibc does not know: writes back all of the file system that `descriptor` is on. Answers 0 or
/// the error number.
int capus_sync_file_system(int descriptor);

/// The magic number (statfs(2)) of the file system that `descriptor` is on; 0 when it can not be told.
int64_t capus_file_system_kind(int descriptor);

/// Names the calling thread, as `top -H` shows it: at most 15 characters, else it keeps its name.
void capus_name_thread(const char *name);

#endif
