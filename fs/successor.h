/* SPDX-License-Identifier: Apache-2.0 */
/* The program that goes on after this one: where it lies, whether it is another one, and whether it
 * could begin. Threads: any. */
#ifndef MATRIXFS_SUCCESSOR_H
#define MATRIXFS_SUCCESSOR_H

#include <limits.h>
#include <stdbool.h>

#include "daemon/base/buf.h"

/* What this process is, though its file may be gone. */
#define SUCCESSOR_THIS_ONE "/proc/self/exe"

/* The path of this program, where the next version comes to lie, if this one is not there any more,
 * too. What readlink(2) says. */
MUST_USE int successor_find(char ret_program[static PATH_MAX]);
/* True if there is another file now, or none. */
bool successor_is_other(const char *program);
/* Runs it with the arguments of this process, argv, and --check: 0 if it could begin as it is
 * installed and configured now. Else its exit status or what child_say returns, with what it says
 * in *ret_said. Takes ten seconds at most. */
MUST_USE int successor_check(const char *program, char *const argv[], struct buf *ret_said);

#endif
