/* SPDX-License-Identifier: Apache-2.0 */
/* What people give in the wrong place must not be repeated where others read it: in messages and
 * logs. Pure. */
#ifndef MATRIXFS_SECRET_H
#define MATRIXFS_SECRET_H

#include <stdbool.h>

#include "daemon/base/buf.h"

/* Puts "..." in place of what looks like a hub's token ("hf_" and more) anywhere in the text. */
void secret_hide(struct buf *text);
/* True if this may be told as the name of a file that is not there: it begins with '/', "./" or
 * "../", or is one of these directories. Any other word may be the secret that was to be in the
 * file. */
bool secret_is_path(const char *word);

#endif
