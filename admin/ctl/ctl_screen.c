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

const char ctl_shape_status[] =
	"version uptime_seconds:span offline repositories cache.used_bytes:size "
	"cache.max_bytes:size cache.incomplete_bytes:size disk.total_bytes:size "
	"disk.free_bytes:size"
	";upstreams url state down_seconds:span last_error"
	";transfers repo path present_bytes:size size:size bytes_per_second:size readers"
	";jobs id kind state what bytes_done:size bytes_total:size error";

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

static uint64_t number(const struct jval *object, const char *name)
{
	int64_t n = jval_get_size(object, name);

	return n > 0 ? (uint64_t)n : 0;
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

static void print_process(const struct screen *s, const struct jval *v)
{
	label(s, "matrixfs");
	paint(s, CTL_BOLD, text_or(v, "version", "?"));
	buf_printf(s->to, ", process %llu, up ", (unsigned long long)number(v, "pid"));
	ctl_print_span((int64_t)number(v, "uptime_seconds"), s->to);
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
	buf_printf(s->to, "%llu under way", (unsigned long long)number(v, "requests_under_way"));
	if (number(v, "requests_under_way"))
		buf_printf(s->to, ", the oldest for %.1f s", real(v, "oldest_request_seconds"));
	line_end(s);
}

static void print_cache(const struct screen *s, const struct jval *v)
{
	const struct jval *used = jval_get(v, "used");

	label(s, "cache");
	ctl_print_bar(number(used, "cache_bytes"), number(used, "capacity_bytes"), 0, BAR_WIDTH,
		      s->to);
	buf_add_str(s->to, "  ");
	ctl_print_text(text_or(v, "cache", ""), s->to);
	line_end(s);
	label(s, "disk");
	ctl_print_size(number(used, "disk_free_bytes"), s->to);
	buf_add_str(s->to, " of ");
	ctl_print_size(number(used, "disk_bytes"), s->to);
	buf_add_str(s->to, " free");
	if (number(jval_get(v, "limits"), "cache_min_free")) {
		buf_add_str(s->to, ", ");
		ctl_print_size(number(jval_get(v, "limits"), "cache_min_free"), s->to);
		buf_add_str(s->to, " stay so");
	}
	line_end(s);
}

static void print_hub(const struct screen *s, const struct jval *hub)
{
	const char *state = text_or(hub, "state", "unknown"), *error;
	bool down = !strcmp(state, "down");

	label(s, "hub");
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

static void print_transfer(const struct screen *s, const struct jval *t)
{
	const struct jval *error = jval_get(t, "last_error");

	buf_add_str(s->to, "  ");
	ctl_print_text(text_or(t, "repo", ""), s->to);
	buf_add_str(s->to, " ");
	paint(s, CTL_BOLD, text_or(t, "path", ""));
	buf_printf(s->to, " (%s", text_or(t, "class", "?"));
	if (number(t, "waiting"))
		buf_printf(s->to, ", %llu wait", (unsigned long long)number(t, "waiting"));
	buf_add_str(s->to, ")\n    ");
	ctl_print_bar(number(t, "present"), number(t, "size"), number(t, "bytes_per_second"),
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
		rate += number(jval_at(list, i), "bytes_per_second");
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

static void print_screen(const struct screen *s, const struct jval *status,
			 const struct jval *transfers)
{
	const struct jval *hubs = jval_get(status, "hubs");

	print_process(s, status);
	print_mount(s, status);
	print_cache(s, status);
	for (size_t i = 0; i < jval_count(hubs); i++)
		print_hub(s, jval_at(hubs, i));
	print_transfers(s, transfers);
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
	print_screen(&s, jdoc_root(status), list);
	return ret->failed;
}

static int look_at_hub(struct ctl *c, struct buf *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	int r = ctl_ask(c, "GET", "/status", NULL, &d);

	return r < 0 ? r : ctl_render(c, ctl_shape_status, jdoc_root(d), ret);
}

int ctl_status_node(struct ctl *c)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = look_at_node(c, &text);

	return r < 0 ? r : ctl_put(c, &text);
}

/* --- again and again */

static unsigned screen_lines(struct ctl *c)
{
	struct winsize size;

	return ioctl(fileno(c->out), TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row
										: LINES_DEFAULT;
}

/* Over what is there, as far as there is room: each line to its end, then the rest below. */
static void over(const char *text, unsigned lines, struct buf *ret)
{
	buf_add_str(ret, "\033[H");
	for (unsigned i = 1; i < lines && *text; i++) {
		size_t len = strcspn(text, "\n");

		buf_add(ret, text, len);
		buf_add_str(ret, "\033[K\n");
		text += len + (text[len] == '\n');
	}
	buf_add_str(ret, "\033[J");
}

/* On a screen a daemon that is started anew is waited for; what goes into a file ends there. */
static int draw(struct ctl *c, bool screen, bool first)
{
	CLEANUP(buf_free) struct buf text = { 0 }, drawn = { 0 };
	int r = c->hub.socket ? look_at_node(c, &text) : look_at_hub(c, &text);

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
