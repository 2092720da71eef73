/* SPDX-License-Identifier: Apache-2.0 */
/* What kv.c and kv_old.c share. */
#ifndef MATRIXFS_KV_PRIV_H
#define MATRIXFS_KV_PRIV_H

#include "daemon/base/kv.h"

struct MDB_val;

/* The only place where LMDB's codes become ours. */
int kv_translate(int rc);
/* Takes the sum off a row; ERR_CORRUPT if it is not the right one. */
int kv_strip_sum(struct kv_key key, struct MDB_val *v);
/* The name of a table. */
const char *kv_table_name(const struct kv *kv, unsigned table);

#endif
