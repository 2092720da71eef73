/* SPDX-License-Identifier: Apache-2.0 */
/* What a model of transformers is for, by what its config.json says. Pure. */
#ifndef MATRIXFS_TASKS_H
#define MATRIXFS_TASKS_H

#include "daemon/base/jdoc.h"

struct task {
	const char *suffix;     /* of the class: "ForCausalLM" */
	const char *pipeline;   /* "text-generation" */
	const char *auto_model; /* "AutoModelForCausalLM" */
	const char *processor;  /* "AutoTokenizer" */
};

/* The task of the first architecture that is named; NULL if it tells nothing. Static. */
const struct task *task_of(const struct jval *config);

#endif
