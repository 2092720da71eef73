/* SPDX-License-Identifier: Apache-2.0 */
/* Which repositories clients of which networks may see: rules "NETWORK[,NETWORK]=PATTERN[,PATTERN]"
 * (docs/nfs.md), with patterns as repo_glob.h has them. Where there are rules, a client sees what
 * one for its network names, and nothing else; without any, all. Pure; made once, then read by any
 * thread. */
#ifndef MATRIXFS_SCOPE_H
#define MATRIXFS_SCOPE_H

#include <stdbool.h>

#include "daemon/base/conf.h"
#include "daemon/model/repo_id.h"

struct scope_rules;
struct scope; /* what clients of one address may see */

/* ERR_CONF with a sentence in why: one of them is none. -ENOMEM. */
MUST_USE int scope_rules_new(const struct conf_list *texts, struct scope_rules **ret,
			     struct buf *why);
/* NULL is fine. */
void scope_rules_free(struct scope_rules *rules);
/* Calls fn with each network that has a rule and is one of these as well, or with what both have in
 * common; without rules, with all of these. */
void scope_each_network(const struct scope_rules *rules, char *const networks[], size_t count,
			void (*fn)(void *arg, const char *network), void *arg);

/* Borrows the rules. *ret is NULL if there are none: then all is seen. -ENOMEM. */
MUST_USE int scope_new(const struct scope_rules *rules, const char *address, struct scope **ret);
/* NULL is fine for this and what follows. */
void scope_free(struct scope *s);
/* True if no rule is for that address. */
bool scope_is_empty(const struct scope *s);
/* May a repository be seen that has this name now? */
bool scope_has(const struct scope *s, const struct repo_id *id);

#endif
