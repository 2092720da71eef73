/* SPDX-License-Identifier: Apache-2.0 */
/* How parsers of parameters refuse: a sentence for the user in `why`, and ERR_CONF. */
#ifndef MATRIXFS_WHY_H
#define MATRIXFS_WHY_H

#include <string.h>

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#define complain(why, ...) complain_as(ERR_CONF, why, __VA_ARGS__)
/* The same with another failure. */
#define complain_as(r, why, ...) ((void)buf_printf(why, __VA_ARGS__), (r))

/* Ends a sentence whose end is in the words of others: they may have done so already. */
static inline void why_end(struct buf *why)
{
	if (why->len && !strchr(".?!", why->data[why->len - 1]))
		buf_add(why, ".", 1);
}

/* complain, of such a sentence. */
#define complain_ended(why, ...) ((void)complain(why, __VA_ARGS__), why_end(why), ERR_CONF)

#endif
