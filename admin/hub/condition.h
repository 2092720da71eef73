/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions of a request (RFC 9110 §13). Files have entity tags and no dates of their own: the
 * same bytes stand under many commits. So conditions that give a date do not hold a request
 * back, and a part is not given for one. Fields may be NULL; `etag` is what stands between the
 * quotes. Pure. */
#ifndef MATRIXFS_CONDITION_H
#define MATRIXFS_CONDITION_H

#include <stdbool.h>

/* What If-Match and If-None-Match of a GET or HEAD say of a file that is there: 0 to go on, or the
 * status to answer, 304 or 412. */
int condition_check(const char *if_match, const char *if_none_match, const char *etag);
/* True if a part may be given: If-Range is absent, or is exactly this file's tag, and a strong
 * one. */
bool condition_allows_part(const char *if_range, const char *etag);

#endif
