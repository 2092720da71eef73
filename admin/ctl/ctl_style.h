/* SPDX-License-Identifier: Apache-2.0 */
/* Colours: on a terminal that has them, and nowhere else. */
#ifndef MATRIXFS_CTL_STYLE_H
#define MATRIXFS_CTL_STYLE_H

#include <stdbool.h>

#include "daemon/base/buf.h"

enum ctl_colour { CTL_GOOD, CTL_ODD, CTL_BAD, CTL_FAINT, CTL_BOLD };

/* True if what goes to fd is to be coloured: it is a terminal, and neither NO_COLOR nor a dumb TERM
 * says otherwise. getenv_fn is getenv, or a test's. */
bool ctl_style_wanted(int fd, char *(*getenv_fn)(const char *));
/* Appends text (ctl_print_text's) in that colour, or plain if it is not `coloured`. */
void ctl_style_add(bool coloured, enum ctl_colour colour, const char *text, struct buf *ret);

#endif
