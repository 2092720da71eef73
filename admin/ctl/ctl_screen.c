/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_screen.h"

#include <string.h>
#include <sys/ioctl.h>

#include "admin/ctl/ctl_held.h"
#include "admin/ctl/ctl_print.h"
#include "admin/ctl/ctl_style.h"
#include "daemon/base/num.h"
#include "daemon/base/why.h"

#define BAR_WIDTH 24
#define LABEL_WIDTH 13
#define INTERVAL_S 1
#define LINES_DEFAULT 24

/* --- the parts of the screen */

struct screen {
	bool coloured;
	struct buf *to;
};

static void label(const struct screen *s, const char *name)
{
	ctl_style_add(s->coloured, CTL_FAINT, name, s->to);
	buf_printf(s->to, "%*s", (int)(LABEL_WIDTH - strlen(name)), "");
}

static void paint(const struct screen *s, enum ctl_colour colour, const char *text)
{
	ctl_style_add(s->coloured, colour, text, s->to);
}

static void line_end(const struct screen *s)
{
	buf_add_str(s->to, "\n");
}

static double real(const struct jval *object, const char *name)
{
	double value = 0;

	return jval_real(jval_get(object, name), &value) ? value : 0;
}

static const char *text_or(const struct jval *object, const char *name, const char *otherwise)
{
	const char *text = jval_get_str(object, name);

	return text ? text : otherwise;
}

static void print_process(const struct screen *s, const char *name, const struct jval *v)
{
	label(s, name);
	paint(s, CTL_BOLD, text_or(v, "version", "?"));
	if (jval_get_size_or_0(v, "pid"))
		buf_printf(s->to, ", process %llu",
			   (unsigned long long)jval_get_size_or_0(v, "pid"));
	buf_add_str(s->to, ", up ");
	ctl_print_span((int64_t)jval_get_size_or_0(v, "uptime_seconds"), s->to);
	if (jval_bool(jval_get(v, "offline")) > 0) {
		buf_add_str(s->to, ", ");
		paint(s, CTL_ODD, "offline");
	}
	line_end(s);
}

static void print_mount(const struct screen *s, const struct jval *v)
{
	const char *mountpoint = jval_get_str(v, "mountpoint");
	const char *why_not = jval_get_str(v, "passthrough_why_not");
	CLEANUP(buf_free) struct buf held = { 0 };

	label(s, "mount");
	ctl_print_text(mountpoint ? mountpoint : "none: it exports alone", s->to);
	buf_add_str(s->to, ", passthrough ");
	paint(s, why_not ? CTL_ODD : CTL_GOOD, why_not ? "off" : "on");
	if (why_not) {
		buf_add_str(s->to, " (");
		ctl_print_text(why_not, s->to);
		buf_add_str(s->to, ")");
	}
	line_end(s);
	ctl_held_print(v, &held);
	if (held.len) {
		label(s, "held by");
		ctl_print_text(buf_str(&held), s->to);
		line_end(s);
	}
	label(s, "requests");
	buf_printf(s->to, "%llu under way",
		   (unsigned long long)jval_get_size_or_0(v, "requests_under_way"));
	if (jval_get_size_or_0(v, "requests_under_way"))
		buf_printf(s->to, ", the oldest for %.1f s", real(v, "oldest_request_seconds"));
	line_end(s);
}

/* A bar needs an end: of a cache without a limit only its bytes are told. */
static void print_cache(const struct screen *s, uint64_t used, uint64_t capacity, const char *where)
{
	label(s, "cache");
	if (capacity)
		ctl_print_bar(used, capacity, 0, BAR_WIDTH, s->to);
	else
		ctl_print_size(used, s->to);
	buf_add_str(s->to, "  ");
	ctl_print_text(where, s->to);
	line_end(s);
}

static void print_disk(const struct screen *s, uint64_t left, uint64_t total, uint64_t keep)
{
	label(s, "disk");
	ctl_print_part(left, total, s->to);
	buf_add_str(s->to, " free");
	if (keep) {
		buf_add_str(s->to, ", ");
		ctl_print_size(keep, s->to);
		buf_add_str(s->to, " stay so");
	}
	line_end(s);
}

static void print_hub(const struct screen *s, const char *name, const struct jval *hub)
{
	const char *state = text_or(hub, "state", "unknown"), *error;
	bool down = !strcmp(state, "down");

	label(s, name);
	ctl_print_text(text_or(hub, "url", ""), s->to);
	buf_add_str(s->to, " ");
	paint(s,
	      down                  ? CTL_BAD
	      : strcmp(state, "ok") ? CTL_FAINT
				    : CTL_GOOD,
	      !strcmp(state, "unknown") ? "not asked yet" : state);
	error = down ? jval_get_str(hub, "last_error") : NULL;
	if (error) {
		buf_add_str(s->to, ": ");
		ctl_print_text(error, s->to);
	}
	line_end(s);
}

/* Of a matrixfs what they wait for is known, too. */
static void print_readers(const struct screen *s, const struct jval *t)
{
	const char *class = jval_get_str(t, "class");
	uint64_t waiting = jval_get_size_or_0(t, "waiting"),
		 readers = jval_get_size_or_0(t, "readers");

	buf_add_str(s->to, " (");
	if (class)
		buf_add_str(s->to, class);
	else
		buf_printf(s->to, "%llu read", (unsigned long long)readers);
	if (waiting)
		buf_printf(s->to, ", %llu wait", (unsigned long long)waiting);
	buf_add_str(s->to, ")");
}

static void print_transfer(const struct screen *s, const struct jval *t)
{
	const struct jval *error = jval_get(t, "last_error");

	buf_add_str(s->to, "  ");
	ctl_print_text(text_or(t, "repo", ""), s->to);
	buf_add_str(s->to, " ");
	paint(s, CTL_BOLD, text_or(t, "path", ""));
	print_readers(s, t);
	buf_add_str(s->to, "\n    ");
	ctl_print_bar(jval_get_size_or_0(t, "present") + jval_get_size_or_0(t, "present_bytes"),
		      jval_get_size_or_0(t, "size"), jval_get_size_or_0(t, "bytes_per_second"),
		      BAR_WIDTH, s->to);
	if (error) {
		buf_add_str(s->to, "  ");
		paint(s, CTL_BAD, text_or(error, "message", ""));
	}
	line_end(s);
}

static void print_transfers(const struct screen *s, const struct jval *list)
{
	uint64_t rate = 0;

	for (size_t i = 0; i < jval_count(list); i++)
		rate += jval_get_size_or_0(jval_at(list, i), "bytes_per_second");
	label(s, "transfers");
	buf_printf(s->to, "%zu", jval_count(list));
	if (rate) {
		buf_add_str(s->to, ", ");
		ctl_print_size(rate, s->to);
		buf_add_str(s->to, "/s");
	}
	line_end(s);
	for (size_t i = 0; i < jval_count(list); i++)
		print_transfer(s, jval_at(list, i));
}

static void print_job(const struct screen *s, const struct jval *j)
{
	label(s, "job");
	buf_printf(s->to, "%llu %s ", (unsigned long long)jval_get_size_or_0(j, "id"),
		   text_or(j, "kind", "?"));
	paint(s, CTL_BOLD, text_or(j, "what", ""));
	buf_add_str(s->to, jval_bool(jval_get(j, "waits")) > 0 ? " waits for its turn  " : "  ");
	if (jval_get_size_or_0(j, "bytes_total"))
		ctl_print_bar(jval_get_size_or_0(j, "bytes_done"),
			      jval_get_size_or_0(j, "bytes_total"), 0, BAR_WIDTH, s->to);
	line_end(s);
}

static void print_node(const struct screen *s, const struct jval *status,
		       const struct jval *transfers)
{
	const struct jval *hubs = jval_get(status, "hubs"), *used = jval_get(status, "used");

	print_process(s, "matrixfs", status);
	print_mount(s, status);
	print_cache(s, jval_get_size_or_0(used, "cache_bytes"),
		    jval_get_size_or_0(used, "capacity_bytes"), text_or(status, "cache", ""));
	print_disk(s, jval_get_size_or_0(used, "disk_free_bytes"),
		   jval_get_size_or_0(used, "disk_bytes"),
		   jval_get_size_or_0(jval_get(status, "limits"), "cache_min_free"));
	for (size_t i = 0; i < jval_count(hubs); i++)
		print_hub(s, "hub", jval_at(hubs, i));
	print_transfers(s, transfers);
}

/* What it says is amiss; ready may be NULL: it said nothing that we understand. */
static void print_health(const struct screen *s, const struct jval *ready)
{
	const struct jval *reasons = jval_get(ready, "reasons");

	label(s, "health");
	if (!ready)
		paint(s, CTL_BAD, "unknown");
	else if (!jval_count(reasons))
		paint(s, CTL_GOOD, "ok");
	for (size_t i = 0; i < jval_count(reasons); i++) {
		const char *reason = jval_str(jval_at(reasons, i));

		buf_add_str(s->to, i ? ", " : "amiss: ");
		paint(s, CTL_BAD, reason ? reason : "?");
	}
	if (jval_count(reasons))
		buf_add_str(s->to, " (matrixctl doctor says what to do)");
	line_end(s);
}

static void print_hubd(const struct screen *s, const struct jval *status, const struct jval *ready)
{
	const struct jval *ups = jval_get(status, "upstreams"), *jobs = jval_get(status, "jobs");
	const struct jval *cache = jval_get(status, "cache"), *disk = jval_get(status, "disk");

	print_process(s, "matrixhubd", status);
	print_health(s, ready);
	label(s, "repositories");
	buf_printf(s->to, "%llu known\n",
		   (unsigned long long)jval_get_size_or_0(status, "repositories"));
	print_cache(s, jval_get_size_or_0(cache, "used_bytes"),
		    jval_get_size_or_0(cache, "max_bytes"), "of upstreams");
	print_disk(s, jval_get_size_or_0(disk, "free_bytes"),
		   jval_get_size_or_0(disk, "total_bytes"),
		   jval_get_size_or_0(cache, "min_free_bytes"));
	for (size_t i = 0; i < jval_count(ups); i++)
		print_hub(s, "upstream", jval_at(ups, i));
	print_transfers(s, jval_get(status, "transfers"));
	for (size_t i = 0; i < jval_count(jobs); i++)
		print_job(s, jval_at(jobs, i));
}

/* --- one look */

/* One object: the status, and the transfers as a member of it. */
static int add_json(const struct jval *status, const struct jval *transfers, struct buf *ret)
{
	int r = jdoc_print(status, NULL, NULL, ret);

	if (r == 0 && ret->len)
		ret->len--;
	buf_add_str(ret, ",\"transfers\":");
	if (r == 0)
		r = jdoc_print(transfers, NULL, NULL, ret);
	buf_add_str(ret, "}\n");
	return r < 0 ? r : ret->failed;
}

static int look_at_node(struct ctl *c, struct buf *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *status = NULL, *transfers = NULL;
	const struct screen s = { c->coloured, ret };
	const struct jval *list;
	int r = ctl_ask(c, "GET", "/status", NULL, &status);

	if (r == 0)
		r = ctl_ask(c, "GET", "/transfers", NULL, &transfers);
	if (r < 0)
		return r;
	list = jval_get(jdoc_root(transfers), "transfers");
	if (c->json)
		return add_json(jdoc_root(status), list, ret);
	print_node(&s, jdoc_root(status), list);
	return ret->failed;
}

static int look_at_hub(struct ctl *c, struct buf *ret)
{
	CLEANUP(ctl_door_fini) struct ctl_door door = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL, *ready = NULL;
	const struct screen s = { c->coloured, ret };
	int r = ctl_ask(c, "GET", "/status", NULL, &d);

	if (r < 0)
		return r;
	if (c->json)
		return ctl_render(c, "", jdoc_root(d), ret);
	if (ctl_hub_look(&c->hub, "/readyz", &door, &c->why) < 0 ||
	    jdoc_parse(buf_str(&door.body), door.body.len, &ready) < 0)
		buf_clear(&c->why);
	print_hubd(&s, jdoc_root(d), ready ? jdoc_root(ready) : NULL);
	return ret->failed;
}

static int look(struct ctl *c, struct buf *ret)
{
	return c->hub.socket ? look_at_node(c, ret) : look_at_hub(c, ret);
}

int ctl_status(struct ctl *c)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = look(c, &text);

	return r < 0 ? r : ctl_put(c, &text);
}

/* --- again and again */

static unsigned screen_lines(struct ctl *c)
{
	struct winsize size;

	return ioctl(fileno(c->out), TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row
										: LINES_DEFAULT;
}

/* Over what is there, as far as there is room: each line to its end, then the rest below.
 * What is wider is cut: a line that took two would drive the first ones out above. */
static void over(const char *text, unsigned lines, struct buf *ret)
{
	buf_add_str(ret, "\033[?7l\033[H");
	for (unsigned i = 1; i < lines && *text; i++) {
		size_t len = strcspn(text, "\n");

		buf_add(ret, text, len);
		buf_add_str(ret, "\033[K\n");
		text += len + (text[len] == '\n');
	}
	buf_add_str(ret, "\033[J\033[?7h");
}

/* On a screen a daemon that is started anew is waited for; what goes into a file ends there. */
static int draw(struct ctl *c, bool screen, bool first)
{
	CLEANUP(buf_free) struct buf text = { 0 }, drawn = { 0 };
	int r = look(c, &text);

	if (r < 0 && (first || !screen))
		return r;
	if (r < 0) {
		buf_clear(&text);
		buf_printf(&text, "%s\n", buf_str(&c->why));
		buf_clear(&c->why);
	}
	if (!screen)
		return ctl_put(c, &text);
	if (first)
		buf_add_str(&drawn, "\033[2J");
	over(buf_str(&text), screen_lines(c), &drawn);
	return ctl_put(c, &drawn);
}

static uint64_t option_number(struct ctl *c, const char *name, uint64_t otherwise)
{
	const char *text = ctl_option(c->line, name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

int ctl_top(struct ctl *c)
{
	uint64_t count = option_number(c, "count", UINT64_MAX);
	uint64_t interval = max_u64(option_number(c, "interval", INTERVAL_S), 1);
	bool screen = !c->json && isatty(fileno(c->out));
	int r = 0;

	for (uint64_t n = 0; r == 0 && n < count; n++) {
		if (n > 0)
			ctl_nap((int64_t)interval * 1000);
		r = draw(c, screen, n == 0);
	}
	return r;
}
