// What Swift's view of glibc leaves out, because it needs _GNU_SOURCE.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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

ssize_t capus_read_cached(int descriptor, void *bytes, size_t length, int64_t position) {
    struct iovec piece = {bytes, length};
    return preadv2(descriptor, &piece, 1, position, RWF_NOWAIT);
}

// Not repeated when interrupted: what an interrupted sync did is unknown.
int capus_sync_file_system(int descriptor) { return syncfs(descriptor) == 0 ? 0 : errno; }

int64_t capus_file_system_kind(int descriptor) {
    struct statfs status;
    return fstatfs(descriptor, &status) == 0 ? (int64_t)status.f_type : 0;
}

void capus_name_thread(const char *name) { pthread_setname_np(pthread_self(), name); }
