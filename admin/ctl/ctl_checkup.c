/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_checks.h"

#include <stdarg.h>

#include "admin/ctl/ctl_print.h"
#include "admin/ctl/ctl_style.h"

static const struct {
	const char *word;
	enum ctl_colour colour;
} states[] = {
	[CTL_OK] = { "ok", CTL_GOOD },
	[CTL_WARN] = { "warn", CTL_ODD },
	[CTL_FAIL] = { "fail", CTL_BAD },
};

void ctl_checkup_begin(struct ctl_checkup *u)
{
	u->to.to = &u->json;
	jwrite_array(&u->to, "checks");
}

void ctl_checkup_fini(struct ctl_checkup *u)
{
	buf_free(&u->text);
	buf_free(&u->json);
}

void ctl_checkup_add(struct ctl_checkup *u, enum ctl_finding state, const char *name,
		     const char *advice, const char *fmt, ...)
{
	CLEANUP(buf_free) struct buf found = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&found, fmt, ap);
	va_end(ap);
	u->counts[state]++;
	ctl_style_add(u->coloured, states[state].colour, states[state].word, &u->text);
	buf_printf(&u->text, "%s%-13s ", state == CTL_OK ? "    " : "  ", name);
	ctl_print_text(buf_str(&found), &u->text);
	buf_add_str(&u->text, "\n");
	if (advice)
		buf_printf(&u->text, "      %-13s %s\n", "", advice);
	jwrite_object(&u->to, NULL);
	jwrite_text(&u->to, "name", name);
	jwrite_text(&u->to, "state", states[state].word);
	jwrite_text(&u->to, "found", buf_str(&found));
	jwrite_text(&u->to, "advice", advice);
	jwrite_object_end(&u->to);
}
