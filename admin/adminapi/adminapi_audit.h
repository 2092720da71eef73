/* SPDX-License-Identifier: Apache-2.0 */
/* Admin API: the audit trail. What is long goes out while it is read. Handlers as api_fn says. */
#ifndef MATRIXFS_ADMINAPI_AUDIT_H
#define MATRIXFS_ADMINAPI_AUDIT_H

#include "admin/adminapi/adminapi_call.h"

extern const struct api_shape api_records_shape, api_verdict_shape;

/* GET /audit: records of a query, a page of them. */
int api_audit(struct api_call *c);
/* GET /audit/verify. */
int api_audit_verify(struct api_call *c);
/* GET /audit/export. */
int api_audit_export(struct api_call *c);

#endif
