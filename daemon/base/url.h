/* SPDX-License-Identifier: Apache-2.0 */
/* http and https URLs. Pure. Anything that two parsers might read differently is no URL here, so
 * that what is compared is what httpc will connect to. Source: RFC 3986. */
#ifndef MATRIXFS_URL_H
#define MATRIXFS_URL_H

#include <stdbool.h>

#include "daemon/base/buf.h"

/* Appends text percent-encoded; '/' stays if keep_slash. */
int url_encode(struct buf *b, const char *text, int keep_slash);
/* Undoes percent-encoding in place and returns the new length. %00 stays as it is: a decoded NUL
 * would end the text before its end; so does what is no two hex digits. */
size_t url_decode(char *text);
/* Appends base resolved against reference (RFC 3986 §5, absolute, scheme-relative, absolute-path or
 * relative-path), without fragment. ERR_PROTO if the result is no http(s) URL. */
MUST_USE int url_join(const char *base, const char *reference, struct buf *ret);
/* True if both URLs have the same scheme, host (case-insensitive) and port. */
int url_same_origin(const char *a, const char *b);
/* True if text is a host, perhaps with a port, as a Host field names it: "hub.example:8443",
 * "[2001:db8::1]". */
bool url_is_host(const char *text);
/* Appends an http(s) URL without user name, password, query, fragment and trailing slashes: fit for
 * logs and for paths to be appended to. -EINVAL if it is none. */
MUST_USE int url_public(const char *url, struct buf *ret);
/* The path of a request's target: what stands behind the host of an absolute one ("http://h/path",
 * RFC 9112 §3.2.2; "/" if nothing does), else the target itself. Borrowed from it. */
const char *url_target_path(const char *target);

#endif
