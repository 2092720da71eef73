/* SPDX-License-Identifier: Apache-2.0 */
/* How the parsers of fs/ refuse: a sentence for the user in `why`, and ERR_CONF. */
#ifndef MATRIXFS_WHY_H
#define MATRIXFS_WHY_H

#include "daemon/base/buf.h"
#include "daemon/base/err.h"

#define complain(why, ...) ((void)buf_printf(why, __VA_ARGS__), ERR_CONF)

#endif
