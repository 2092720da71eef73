/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file of a parameter table. */
#ifndef MATRIXFS_CONF_FILE_H
#define MATRIXFS_CONF_FILE_H

#include "daemon/base/conf.h"

/* Sets what the file says: `named`, which must be there, or with NULL the usual one, which need
 * not. *config is the field of the table's parameter "config" in conf: it is set to the file's
 * path if there was one; the file cannot name another. *ret_text is its text. ERR_CONF with a
 * sentence in why, -ENOMEM. */
MUST_USE int conf_file(const struct conf_table *t, void *conf, char *const *config,
		       const char *named, const char *usual, struct buf *ret_text, struct buf *why);

#endif
