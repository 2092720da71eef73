/* SPDX-License-Identifier: Apache-2.0 */
/* Who asks to be let in to the files of a gated repository, and who lets them (hf-contract §1.8,
 * the public hub's answers of October 2026). */
#ifndef MATRIXFS_GATE_REQUESTS_H
#define MATRIXFS_GATE_REQUESTS_H

#include "admin/hub/ask.h"

/* POST /{type}/{repo}/ask-access: of who asks, with what they say of themselves, JSON or a form. */
int gate_ask(struct ask *a);
/* POST .../user-access-request/cancel: who asked does not wish it any more. */
int gate_cancel(struct ask *a);
/* GET .../user-access-request/{pending|accepted|rejected|reset}. */
int gate_list(struct ask *a);
/* POST .../user-access-request/handle {user|requestId, status, rejectionReason?}. */
int gate_handle(struct ask *a);
/* POST .../user-access-request/grant {user}: also without having been asked. */
int gate_grant(struct ask *a);

#endif
