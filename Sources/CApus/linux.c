// What Swift's view of glibc leaves out, because it needs _GNU_SOURCE.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "CApus.h"

int capus_fallocate(int descriptor, int64_t bytes) {
    for (;;) {
        if (fallocate(descriptor, 0, 0, bytes) == 0) return 0;
        if (errno != EINTR) return errno;
    }
}

int capus_punch_hole(int descriptor, int64_t position, int64_t length) {
    for (;;) {
        if (fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, position, length) == 0) return 0;
        if (errno != EINTR) return errno;
    }
}

ssize_t capus_read_cached(int descriptor, void *bytes, size_t length, int64_t position) {
    struct iovec piece = {bytes, length};
    return preadv2(descriptor, &piece, 1, position, RWF_NOWAIT);
}

// cachestat(2) has the same number everywhere but on Alpha; C libraries do not know it yet.
#define CAPUS_CACHESTAT 451

int capus_is_cached(int descriptor, int64_t position, int64_t length) {
    struct {
        uint64_t position, length;
    } range = {(uint64_t)position, (uint64_t)length};
    struct {
        uint64_t cached, dirty, written_back, evicted, recently_evicted;
    } pages = {0};
    // A length of 0 would mean "to the end of the file".
    if (length <= 0) return 1;
    if (syscall(CAPUS_CACHESTAT, descriptor, &range, &pages, 0) != 0) return -1;
    int64_t size = sysconf(_SC_PAGESIZE);
    int64_t wanted = (position + length - 1) / size - position / size + 1;
    return pages.cached >= (uint64_t)wanted;
}

// Linux counts niceness for each thread, whatever POSIX says.
void capus_give_way(int steps) { (void)!nice(steps); }

// Not repeated when interrupted: what an interrupted sync did is unknown.
int capus_sync_file_system(int descriptor) { return syncfs(descriptor) == 0 ? 0 : errno; }

int64_t capus_file_system_kind(int descriptor) {
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 ? (int64_t)status.f_type : 0;
}

void capus_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
