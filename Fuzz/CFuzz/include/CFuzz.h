#pragma once

#include <stddef.h>
#include <stdint.h>

// libFuzzer's entry for programs that have a main of their own.
int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*one_input)(const uint8_t *data, size_t size));

// Starts counting what this thread takes from the heap.
void cfuzz_count_from_here(void);
// The most bytes held at once since then, and stops counting.
size_t cfuzz_peak_bytes(void);
