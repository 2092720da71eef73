/* SPDX-License-Identifier: Apache-2.0 */
/* Clients have a README.md checked before they upload anything (hf-contract §1.5). */
#ifndef MATRIXFS_VALIDATE_H
#define MATRIXFS_VALIDATE_H

#include "admin/hub/ask.h"

/* POST /api/validate-yaml {content, repoType}: 200 with warnings, 400 with errors; always JSON,
 * which clients read before they look at the status. */
int validate_yaml(struct ask *a);

#endif
