/* SPDX-License-Identifier: Apache-2.0 */
/* Words of ownership: cleanup attributes, moving a pointer or descriptor out, results that must be
 * looked at. Contracts in this project use three terms: "owned" (you free it), "borrowed until ..."
 * (names the event), "taken" (the callee frees it, also when it fails). */
#ifndef MATRIXFS_OWN_H
#define MATRIXFS_OWN_H

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(f) __attribute__((cleanup(f)))
#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#define UNUSED __attribute__((unused))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* Moves a pointer out of a variable that would be cleaned up. */
#define steal(p) \
	({ \
		__typeof__(p) *p_ = &(p); \
		__typeof__(p) v_ = *p_; \
		*p_ = NULL; \
		v_; \
	})

/* The struct that embeds a member, from a pointer to that member. */
#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))

/* Moves a descriptor out of a variable that would be closed; -1 is "none". */
static inline int steal_fd(int *fd)
{
	int v = *fd;

	*fd = -1;
	return v;
}

/* CLEANUP functions for plain memory, descriptors and directory streams. */
static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

#endif
