/* SPDX-License-Identifier: Apache-2.0 */
/* One parameter's value: from text to the field, and what it may be in words. All but
 * sizes is for conf alone. */
#ifndef MATRIXFS_CONF_VALUE_H
#define MATRIXFS_CONF_VALUE_H

#include <stdbool.h>

#include "daemon/base/conf.h"

/* Parses value into the field, which is only written on success. An empty value makes a text
 * NULL and a list empty, or is none (conf_param.min). -EINVAL (not such a value), -ERANGE (out of
 * bounds), -ENOMEM. */
MUST_USE int conf_value_set(const struct conf_param *p, const char *value, void *field);
/* Sets the zeroed field to the parameter's default; a list's is its items with commas between them.
 * Errors as above. */
MUST_USE int conf_value_default(const struct conf_param *p, void *field);
/* Frees and zeroes a text or a list. */
void conf_value_clear(const struct conf_param *p, void *field);
/* True if two fields of the parameter hold the same. */
bool conf_value_same(const struct conf_param *p, const void *a, const void *b);
/* Appends a field as text that would set it: "10GiB", "yes", a word; of a list, its item i. */
void conf_value_print(const struct conf_param *p, const void *field, size_t i, struct buf *ret);
/* Each gets what the other held. */
void conf_value_swap(const struct conf_param *p, void *a, void *b);
/* Appends what is allowed: "a whole number from 1 to 64". */
void conf_value_allowed(const struct conf_param *p, struct buf *ret);
/* "10GiB" to bytes; -EINVAL. */
MUST_USE int conf_value_bytes(const char *text, uint64_t *ret);

#endif
