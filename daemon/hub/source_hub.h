/* SPDX-License-Identifier: Apache-2.0 */
/* A hub as a source of bytes. */
#ifndef MATRIXFS_SOURCE_HUB_H
#define MATRIXFS_SOURCE_HUB_H

#include "daemon/hub/hub.h"
#include "daemon/hub/source.h"

/* The hub is borrowed until source_hub_free. */
MUST_USE int source_hub_new(struct hub *h, struct source **ret);
void source_hub_free(struct source *s);

#endif
