/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/audit/audit_metrics.h"

#include "daemon/exposition.h"

static void counter(struct buf *ret, const char *name, uint64_t v, const char *help)
{
	exposition_head(ret, name, "counter", help);
	exposition_sample(ret, name, NULL, NULL, v);
}

void audit_metrics(struct audit *a, struct buf *ret)
{
	struct audit_stats s;

	if (!a)
		return;
	audit_stats(a, &s);
	exposition_gauge(ret, "audit_writable", audit_may_change(a) == 0,
			 "0 while the audit trail cannot be written.");
	counter(ret, "audit_records_total", s.records, "Records that were written.");
	counter(ret, "audit_lost_total", s.lost,
		"Events that could not be recorded; the trail says how many.");
	exposition_gauge(ret, "audit_queued_bytes", s.queued, "Records that wait to be written.");
	exposition_gauge(ret, "audit_open_downloads", s.open, "Downloads that are not over.");
	exposition_gauge(ret, "audit_bytes", s.bytes, "Bytes of the audit trail.");
	exposition_gauge(ret, "audit_segments", s.segments, "Its files.");
}
