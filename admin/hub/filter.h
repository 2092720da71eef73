/* SPDX-License-Identifier: Apache-2.0 */
/* What of the hubs upstream may be read here: rules "[KIND/]REPOSITORY[:FILE]" with globs
 * (matrixhubd(8), RULES). A rule without FILE is of the repository and all in it. What a deny rule
 * matches may not be read, also by a name that it had; where there are allow rules, nothing else
 * than what one matches, by the name that it has. Pure; made once, then read by any thread. */
#ifndef MATRIXFS_FILTER_H
#define MATRIXFS_FILTER_H

#include <stdbool.h>

#include "daemon/base/conf.h"
#include "daemon/base/lock.h"
#include "daemon/model/repo_id.h"

struct filter;

/* ERR_CONF with a sentence in `why`: one of them is none. -ENOMEM. */
MUST_USE int filter_new(const struct conf_list *allow, const struct conf_list *deny,
			struct filter **ret, struct buf *why);
/* NULL is none. */
void filter_unref(struct filter *f);
/* Another number for each that was ever made. */
unsigned filter_version(const struct filter *f);

/* The one that counts; another takes its place while requests look into it. Threads: any. */
struct filter_now {
	struct lock lock;
	struct filter *filter; /* guarded by lock */
};
/* Before others share it: with none until filter_change. And after that. */
void filter_now_init(struct filter_now *n);
void filter_now_fini(struct filter_now *n);
/* Owned: filter_unref. */
struct filter *filter_hold(struct filter_now *n);
/* The filter is taken. */
void filter_change(struct filter_now *n, struct filter *f);

/* True if the repository may be asked for, and some of its files perhaps. */
bool filter_repo(const struct filter *f, const struct repo_names *names);
/* True if this file of it may be read. */
bool filter_file(const struct filter *f, const struct repo_names *names, const char *path);
/* True if it cannot be that some of its files may be read and others not. */
bool filter_all_files(const struct filter *f, const struct repo_names *names);

#endif
