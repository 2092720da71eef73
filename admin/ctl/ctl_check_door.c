/* SPDX-License-Identifier: Apache-2.0 */
/* A hub as everybody sees it. */
#include "admin/ctl/ctl_checks.h"

#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

#define DAY_S (24 * 3600)
#define CERTIFICATE_WARN_DAYS 14
#define CERTIFICATE_FAIL_DAYS 2

/* --- TLS */

static bool is_this_machine(const char *url)
{
	static const char *const hosts[] = { "http://127.",
					     "http://localhost:", "http://localhost/",
					     "http://[::1]" };

	for (size_t i = 0; i < ARRAY_LEN(hosts); i++)
		if (!strncasecmp(url, hosts[i], strlen(hosts[i])))
			return true;
	return !strcasecmp(url, "http://localhost");
}

static void check_tls(struct ctl_checkup *u, const struct ctl_door *d, const char *url)
{
	long long days = (d->certificate_ends_s - clock_wall_s()) / DAY_S;
	bool between = d->between.len > 0;

	if (d->certificate_ends_s >= 0)
		ctl_checkup_add(u,
				days < CERTIFICATE_FAIL_DAYS   ? CTL_FAIL
				: days < CERTIFICATE_WARN_DAYS ? CTL_WARN
							       : CTL_OK,
				"TLS",
				days >= CERTIFICATE_WARN_DAYS ? NULL
				: between ? "renew it where TLS ends, in front of the hub"
					  : "put a new one in the place of tls-cert and tls-key, "
					    "then systemctl reload matrixhubd",
				"the certificate of %s ends in %lld days",
				between ? buf_str(&d->between) : "matrixhubd", days);
	else if (!strncasecmp(url, "https:", strlen("https:")))
		ctl_checkup_add(u, CTL_WARN, "TLS", "openssl s_client -connect tells it",
				"when its certificate ends is not known");
	else if (is_this_machine(url))
		ctl_checkup_add(u, CTL_OK, "TLS", NULL, "none, and none is needed on one machine");
	else
		ctl_checkup_add(u, CTL_WARN, "TLS",
				"set tls-cert and tls-key, or ask by https a proxy in front of it",
				"none: tokens can be read on their way to %s", url);
}

/* --- what it says of itself */

/* In the order of what is worst. */
static const struct {
	const char *word;
	enum ctl_finding state;
	const char *found, *advice;
} reasons[] = {
	{ "index", CTL_FAIL, "its own data cannot be read",
	  "dmesg there, for the disk; then restore a backup: docs/operations.md" },
	{ "disk", CTL_FAIL, "there is no room on its disk: it can be read, and not changed",
	  "matrixctl collect, delete repositories, or grow the disk" },
	{ "audit", CTL_FAIL, "the audit trail cannot be written: changes are refused",
	  "its log says why: the disk of DATA/audit is full, or gives errors" },
	{ "uploads", CTL_FAIL, "bytes of people are damaged or missing",
	  "matrixctl scrub names them; put them back from a backup, or upload them again" },
	{ "rules", CTL_WARN, "a rule about tags is damaged: it holds until it is removed",
	  "matrixctl promotion list names it" },
	{ "names", CTL_WARN, "damage keeps a name that was given up", "its log names which" },
	{ "upstream", CTL_WARN, "an upstream is down: what is here is served",
	  "matrixctl status says since when, and why" },
};

static bool says(const struct jval *list, const char *word)
{
	for (size_t i = 0; i < jval_count(list); i++) {
		const char *text = jval_str(jval_at(list, i));

		if (text && !strcmp(text, word))
			return true;
	}
	return false;
}

void ctl_check_ready(struct ctl_checkup *u, const struct ctl_door *d)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *root, *list;
	size_t told = 0;

	if (jdoc_parse(buf_str(&d->body), d->body.len, &doc) < 0 ||
	    jval_bool(jval_get(jdoc_root(doc), "ready")) < 0) {
		ctl_checkup_add(u, CTL_FAIL, "ready", "curl -i HUB/readyz shows who answers",
				"its answer to /readyz, with HTTP status %d, is not a matrixhubd's",
				d->status);
		return;
	}
	root = jdoc_root(doc);
	list = jval_get(root, "reasons");
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (says(list, reasons[i].word)) {
			ctl_checkup_add(u, reasons[i].state, "ready", reasons[i].advice, "%s: %s",
					reasons[i].word, reasons[i].found);
			told++;
		}
	if (told < jval_count(list))
		ctl_checkup_add(u, CTL_WARN, "ready", "a newer matrixctl has words for it",
				"something else is amiss, too: curl HUB/readyz");
	if (!jval_count(list))
		ctl_checkup_add(u, CTL_OK, "ready", NULL, "nothing is amiss, by its own words");
}

/* --- whether it is one */

bool ctl_check_door(struct ctl_checkup *u, const struct ctl_door *d, const char *url)
{
	if (d->status != 200 || !strstr(buf_str(&d->body), "\"ok\"")) {
		ctl_checkup_add(
			u, CTL_FAIL, "hub",
			"is the name right, and the port? A proxy in front of it is to pass "
			"/healthz on",
			"%s answers /healthz with HTTP status %d, as no matrixhubd does", url,
			d->status);
		return false;
	}
	ctl_checkup_add(u, CTL_OK, "hub", NULL, "%s answers in %lld ms", url,
			(long long)d->took_ms);
	check_tls(u, d, url);
	if (d->clock_s >= 0)
		ctl_check_clock(u, url, d->clock_s - clock_wall_s());
	return true;
}

void ctl_check_no_door(struct ctl_checkup *u, int r, const char *why)
{
	if (r == ERR_TLS)
		ctl_checkup_add(u, CTL_FAIL, "TLS",
				"a certificate that has ended is to be replaced there; "
				"SSL_CERT_FILE names who vouches for it here",
				"%s", why);
	else
		ctl_checkup_add(
			u, CTL_FAIL, "hub",
			"there: systemctl status matrixhubd, journalctl -u matrixhubd; here: "
			"HTTPS_PROXY, and what lies between",
			"%s", why);
}
