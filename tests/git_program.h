/* SPDX-License-Identifier: Apache-2.0 */
/* The git program, for tests of what must do as it does. */
#ifndef MATRIXFS_GIT_PROGRAM_H
#define MATRIXFS_GIT_PROGRAM_H

#include "daemon/base/buf.h"
#include "tests/workdir.h"

/* Runs a script of the shell in an empty repository of its own; what it says comes into ret,
 * without the last newline. It must not fail. */
void git_says(const struct workdir *w, const char *script, struct buf *ret);
/* Writes a file in that repository. */
void git_file(const struct workdir *w, const char *name, const struct buf *bytes);

#endif
