/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/document.h"

#include "admin/hub/answer.h"
#include "admin/hub/history.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"

/* What we say ourselves is as new as it can be. */
static int ask_ourselves(struct ask *a, const char *tail, struct doc *doc)
{
	int r = history_doc(a, tail, doc);

	if (r == PARKED)
		return r; /* it may be gone already */
	if (r < 0)
		doc->version = 0;
	return r == ERR_NOENTRY ? 0 : r;
}

int document_ask(struct ask *a, const char *tail, int64_t max_age_ms, struct doc *doc)
{
	int r;

	if (repo_is_hosted(a->repo))
		return ask_ourselves(a, tail, doc);

	if (a->without) {
		doc->version = 0;
		return 0;
	}
	if (!a->patient_until_ms)
		a->patient_until_ms = clock_ms() + HUB_PATIENCE_MS;
	doc->patient_until_ms = a->patient_until_ms;
	a->dispensable = true;
	r = node_doc(a->server->node, a->repo, tail, max_age_ms, &a->waiter, doc);
	if (r == PARKED)
		return r; /* it may be gone already */
	a->dispensable = false;
	if (r < 0)
		doc->version = 0;
	else if (doc->stale)
		ask_stale(a, doc->age_ms == CLOCK_FOREVER ? 0 : doc->age_ms - max_age_ms);
	return 0;
}

struct httpd_head document_head(const struct ask *a, const struct doc *doc)
{
	struct httpd_head h = answer_head(a, 200, ANSWER_JSON);

	if (doc->total)
		httpd_head_add(&h, "X-Total-Count", "%ju", (uintmax_t)doc->total);
	if (doc->next.len)
		answer_next(a, &h, "/api/%s/%s%s", repo_type_plural(a->asked.target.repo.type),
			    repo_id_of(a->repo)->name, buf_str(&doc->next));
	return h;
}
