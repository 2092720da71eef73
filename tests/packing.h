/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of every way to pack bytes. cmocka assertions; single-threaded. */
#ifndef MATRIXFS_TESTS_PACKING_H
#define MATRIXFS_TESTS_PACKING_H

#include <stddef.h>

struct packing {
	int (*pack)(const void *data, size_t len, void **ret, size_t *ret_len);
	/* The library's own way back, into `room` bytes: how many there were. */
	size_t (*unpack)(const void *packed, size_t len, char *to, size_t room);
};

/* A long text becomes less than half, and is itself again. */
void packing_there_and_back(const struct packing *p);
void packing_of_nothing(const struct packing *p);
void packing_is_the_same_each_time(const struct packing *p);

#endif
