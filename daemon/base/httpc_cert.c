/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/httpc_priv.h"

#include <curl/curl.h>
#include <string.h>

/* libcurl tells each certificate as lines; the first one is the server's, the rest vouch for it. */
int64_t httpc_certificate_ends_s(const struct httpc_response *r)
{
	static const char name[] = "Expire date:";
	struct curl_certinfo *info = NULL;

	if (curl_easy_getinfo(r->easy, CURLINFO_CERTINFO, &info) != CURLE_OK || !info ||
	    info->num_of_certs < 1)
		return -1;
	for (const struct curl_slist *l = info->certinfo[0]; l; l = l->next)
		if (!strncmp(l->data, name, strlen(name)))
			return curl_getdate(l->data + strlen(name), NULL);
	return -1;
}
