/* SPDX-License-Identifier: Apache-2.0 */
/* What a hub's URL may be: http or https, a host, perhaps a port and a path. Pure. */
#ifndef MATRIXFS_HUB_URL_H
#define MATRIXFS_HUB_URL_H

#include <stdbool.h>

#include "daemon/base/conf.h"

/* NULL if this can be a hub's URL, or a sentence that says why not and does not repeat it (it may
 * hold a password); static. */
const char *hub_url_problem(const char *url);
/* True if it begins with http:// or https://, in either case of letters. */
bool hub_url_has_scheme(const char *text);
/* Writes it the one way in which two can be compared: small letters up to the path, no slashes at
 * the end. The url has no problem; *ret is owned. -ENOMEM. */
MUST_USE int hub_url_clean(const char *url, char **ret);
/* The same for each of a list. ERR_CONF if two are the same, with a sentence in why, which begins
 * with `where` they are from. */
MUST_USE int hub_url_clean_all(struct conf_list *urls, const char *where, struct buf *why);

#endif
