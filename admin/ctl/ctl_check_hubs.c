/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_checks.h"

#include <string.h>

#define SKEW_WARN_S 5
#define SKEW_FAIL_S 60

static void check_answer(struct ctl_checkup *u, const char *url, const struct jval *hub)
{
	long long status = jval_get_size(hub, "status"), ms = jval_get_size(hub, "milliseconds");
	const char *error = jval_get_str(hub, "error");

	if (jval_bool(jval_get(hub, "answers")) != 1)
		ctl_checkup_add(u, CTL_FAIL, "hub",
				"is the name right? A proxy is named by HTTPS_PROXY, authorities "
				"by SSL_CERT_FILE, in matrixfs's environment",
				"%s does not answer: %s", url, error ? error : "unknown");
	else if (status >= 500 || status == 429)
		ctl_checkup_add(u, CTL_FAIL, "hub", "ask those who run it; what is cached is read",
				"%s is in trouble: HTTP status %lld", url, status);
	else
		ctl_checkup_add(u, CTL_OK, "hub", NULL, "%s answers in %lld ms", url, ms);
}

void ctl_check_clock(struct ctl_checkup *u, const char *url, int64_t ahead_s)
{
	int64_t skew = ahead_s < 0 ? -ahead_s : ahead_s;

	if (skew <= SKEW_WARN_S) {
		ctl_checkup_add(u, CTL_OK, "clock", NULL, "as that of %s", url);
		return;
	}
	ctl_checkup_add(u, skew > SKEW_FAIL_S ? CTL_FAIL : CTL_WARN, "clock",
			"timedatectl set-ntp true: certificates, signed links and peers' keys end "
			"too soon",
			"%lld s %s that of %s", (long long)skew, ahead_s > 0 ? "behind" : "before",
			url);
}

static void check_token(struct ctl_checkup *u, const char *url, const struct jval *hub)
{
	const char *token = jval_get_str(hub, "token");

	if (!token || jval_bool(jval_get(hub, "answers")) != 1)
		return;
	if (!strcmp(token, "refused"))
		ctl_checkup_add(u, CTL_FAIL, "token",
				"put one that is valid into token-file, and restart matrixfs",
				"%s refuses it: HTTP status %lld", url,
				(long long)jval_get_size(hub, "status"));
	else if (!strcmp(token, "unknown"))
		ctl_checkup_add(u, CTL_WARN, "token", "try it: matrixctl pull of what is private",
				"%s does not tell whether it is valid", url);
	else
		ctl_checkup_add(u, CTL_OK, "token", NULL, "%s %s", url,
				!strcmp(token, "none") ? "is asked without: public models alone"
						       : "accepts it");
}

void ctl_check_hubs(struct ctl_checkup *u, const struct jval *answer, bool offline)
{
	const struct jval *hubs = jval_get(answer, "hubs");

	if (offline)
		ctl_checkup_add(u, CTL_WARN, "hub", "take offline = yes out of the configuration",
				"offline: none is asked, and what is not cached cannot be read");
	for (size_t i = 0; i < jval_count(hubs); i++) {
		const struct jval *hub = jval_at(hubs, i);
		const char *url = jval_get_str(hub, "url");
		int64_t ahead;

		url = url ? url : "";
		check_answer(u, url, hub);
		if (jval_int(jval_get(hub, "clock_ahead_seconds"), &ahead))
			ctl_check_clock(u, url, ahead);
		check_token(u, url, hub);
	}
}
