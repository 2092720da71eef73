/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of matrixctl that are more than a question and its answer: what takes long, what holds a
 * secret, what is followed. Each is a row's `run`. */
#ifndef MATRIXFS_CTL_WORK_H
#define MATRIXFS_CTL_WORK_H

#include "admin/ctl/ctl_run.h"

/* Shapes that more than one command prints. */
extern const char ctl_shape_job[], ctl_shape_collected[], ctl_shape_scrubbed[], ctl_shape_token[],
	ctl_shape_record[];

/* pull, pin: starts the job, and shows how far it is until it has ended. It goes on without us. */
int ctl_pull(struct ctl *c);
/* The job of a pull that is done, owned; one that failed is a failure, told in c->why. */
MUST_USE int ctl_pull_job(struct ctl *c, struct jdoc **ret);
/* collect, scrub: starts the job, waits for its end, and tells what it found. */
int ctl_collect(struct ctl *c);
int ctl_scrub(struct ctl *c);
int ctl_scrub_node(struct ctl *c);
/* peers forgive: says whether there was a ban. */
int ctl_forgive(struct ctl *c);
/* token create: the value is the output, and is nowhere else. */
int ctl_token_create(struct ctl *c);
/* token import: the value comes out of a file. */
int ctl_token_import(struct ctl *c);
/* audit tail: the last records, and with --follow those that come. */
int ctl_audit_tail(struct ctl *c);
/* audit verify: fails if the trail is not whole. */
int ctl_audit_verify(struct ctl *c);
/* audit export: to the output, or into a file that nobody else may read. */
int ctl_audit_export(struct ctl *c);

#endif
