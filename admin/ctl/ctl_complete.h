/* SPDX-License-Identifier: Apache-2.0 */
/* What may stand next on a command line, by the table that parses it; and the scripts by which
 * shells ask. */
#ifndef MATRIXFS_CTL_COMPLETE_H
#define MATRIXFS_CTL_COMPLETE_H

#include "admin/ctl/ctl_run.h"

/* Appends the words, a line each, that may stand where a line ends ("matrixctl us"): commands,
 * options ("--type=" if it has a value), values of those that have a choice. Pure. */
void ctl_complete(const struct ctl_table *t, const char *line, struct buf *ret);

/* completion bash, zsh, words: each is a row's `run`. */
int ctl_completion_bash(struct ctl *c);
int ctl_completion_zsh(struct ctl *c);
int ctl_completion_words(struct ctl *c);

#endif
