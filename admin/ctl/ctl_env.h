/* SPDX-License-Identifier: Apache-2.0 */
/* What a client is to be told in its environment, by the engine that it is. */
#ifndef MATRIXFS_CTL_ENV_H
#define MATRIXFS_CTL_ENV_H

#include "admin/ctl/ctl_run.h"

/* The engines that are known, as a choice: "transformers|vllm". */
#define CTL_ENGINES "transformers|vllm|sglang|llama.cpp|sentence-transformers|tgi"

/* env: a row's `run`. Of a matrixfs the models are files of its mount, of a hub they come by
 * HTTP. */
int ctl_env(struct ctl *c);

#endif
