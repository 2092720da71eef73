/* SPDX-License-Identifier: Apache-2.0 */
/* What of a record one can ask for: the admin API and matrixctl make their parameters of this. */
#ifndef MATRIXFS_AUDIT_FILTER_H
#define MATRIXFS_AUDIT_FILTER_H

#include "admin/account/accounts.h"
#include "admin/audit/audit_record.h"
#include "admin/account/client_address.h"
#include "daemon/model/repo_id.h"

/* TIME(name, matrixctl's words), WORD(name, words, what),
 * TEXT(name, how it looks, letters, what) */
#define AUDIT_FILTER_LIST(TIME, WORD, TEXT) \
	TIME("since", "Not before: 2026-11-21T19:00:00Z, or 90min, 2h, 7d ago."), \
		TIME("until", "Before."), WORD("kind", AUDIT_KINDS, "Only this kind."), \
		TEXT("user", "NAME", ACCOUNT_NAME_MAX, "Only of this user."), \
		TEXT("repo", "TYPE/ID", REPO_KEY_MAX, \
		     "Only of this repository: models/org/name."), \
		TEXT("address", "ADDRESS", CLIENT_ADDRESS_MAX, "Only from there."), \
		WORD("outcome", AUDIT_OUTCOMES, "Only with this outcome.")

#endif
