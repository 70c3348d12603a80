// The allocator of the fuzzing executable: glibc's own, with an account of the peak. A decoder that makes much of few
// bytes is as dangerous as one that crashes, and only the peak shows it: what fails to decode is freed at once.
#include "CFuzz.h"

#include <errno.h>
#include <malloc.h>
#include <string.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static __thread int counting;
static __thread int64_t held, peak;

static void *taken(void *memory) {
    if (counting && memory) {
        held += (int64_t)malloc_usable_size(memory);
        if (held > peak) peak = held;
    }
    return memory;
}

static void given_back(void *memory) {
    if (counting && memory) held -= (int64_t)malloc_usable_size(memory);
}

void *malloc(size_t size) { return taken(__libc_malloc(size)); }
void *calloc(size_t count, size_t size) { return taken(__libc_calloc(count, size)); }
void *memalign(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, size)); }
void *aligned_alloc(size_t alignment, size_t size) { return taken(__libc_memalign(alignment, size)); }

int posix_memalign(void **result, size_t alignment, size_t size) {
    *result = taken(__libc_memalign(alignment, size));
    return *result ? 0 : ENOMEM;
}

void *realloc(void *memory, size_t size) {
    given_back(memory);
    return taken(__libc_realloc(memory, size));
}

void free(void *memory) {
    given_back(memory);
    __libc_free(memory);
}

void cfuzz_count_from_here(void) {
    held = peak = 0;
    counting = 1;
}

size_t cfuzz_peak_bytes(void) {
    counting = 0;
    return peak > 0 ? (size_t)peak : 0;
}
