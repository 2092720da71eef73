/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_print.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/base/num.h"

#define KEY_MAX 63
#define DAY_S 86400

/* --- values */

void ctl_print_text(const char *text, struct buf *ret)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		buf_add(ret, c < 0x20 || c == 0x7f ? "?" : text, 1);
	}
}

void ctl_print_size(uint64_t bytes, struct buf *ret)
{
	static const char units[] = "BKMGTPE";
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 1000 && unit < sizeof(units) - 2) {
		value /= 1024;
		unit++;
	}
	if (unit == 0)
		buf_printf(ret, "%u B", (unsigned)bytes);
	else
		buf_printf(ret, "%.*f %ciB",
			   value < 10    ? 2
			   : value < 100 ? 1
					 : 0,
			   value, units[unit]);
}

static void print_time(int64_t s, struct buf *ret)
{
	time_t t = (time_t)s;
	char text[32];
	struct tm tm;

	if (localtime_r(&t, &tm) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm))
		buf_add_str(ret, text);
}

void ctl_print_span(int64_t s, struct buf *ret)
{
	if (s >= DAY_S)
		buf_printf(ret, "%lld d ", (long long)s / DAY_S);
	buf_printf(ret, "%02lld:%02lld:%02lld", (long long)s % DAY_S / 3600, (long long)s / 60 % 60,
		   (long long)s % 60);
}

static void print_number(const char *format, const struct jval *v, struct buf *ret)
{
	double real = 0;
	int64_t n = 0;

	if (!jval_int(v, &n)) {
		if (!jval_real(v, &real))
			return;
		n = (int64_t)real;
	}
	if (!strcmp(format, "size"))
		ctl_print_size((uint64_t)n, ret);
	else if (!strcmp(format, "time"))
		print_time(n, ret);
	else if (!strcmp(format, "span"))
		ctl_print_span(n, ret);
	else
		buf_printf(ret, "%lld", (long long)n);
}

static void print_value(const char *format, const struct jval *v, struct buf *ret);

/* The values alone: {"what": "org", "role": "read"} is "org:read". */
static void print_values(const struct jval *object, struct buf *ret)
{
	const char *name = NULL;
	const struct jval *v;
	size_t start = ret->len;

	while ((v = jval_next(object, &name))) {
		buf_add_str(ret, ret->len > start ? ":" : "");
		print_value("", v, ret);
	}
}

static void print_value(const char *format, const struct jval *v, struct buf *ret)
{
	if (jval_is_object(v)) {
		print_values(v, ret);
		return;
	}
	if (jval_str(v))
		ctl_print_text(jval_str(v), ret);
	else if (jval_bool(v) >= 0)
		buf_add_str(ret, jval_bool(v) ? "yes" : "no");
	else if (!jval_is_array(v))
		print_number(format, v, ret);
	for (size_t i = 0; i < jval_count(v); i++) {
		buf_add_str(ret, i ? ", " : "");
		print_value(format, jval_at(v, i), ret);
	}
}

/* --- shapes */

struct member {
	char key[KEY_MAX + 1];
	char format[8];
};

/* Takes the next member off the shape; false at its end. */
static bool next_member(const char **shape, struct member *ret)
{
	size_t len, key;

	*shape += strspn(*shape, " ");
	len = strcspn(*shape, " ");
	key = min_u64(strcspn(*shape, " :"), KEY_MAX);
	if (!len)
		return false;
	memcpy(ret->key, *shape, key);
	ret->key[key] = '\0';
	ret->format[0] = '\0';
	if (key < len)
		snprintf(ret->format, sizeof(ret->format), "%.*s", (int)(len - key - 1),
			 *shape + key + 1);
	*shape += len;
	return true;
}

static const struct jval *find(const struct jval *object, const char *key)
{
	char part[KEY_MAX + 1];

	while (*key) {
		size_t len = strcspn(key, ".");

		memcpy(part, key, len);
		part[len] = '\0';
		object = jval_get(object, part);
		key += len + (key[len] == '.');
	}
	return object;
}

static void print_member(const struct member *m, const struct jval *object, struct buf *ret)
{
	const struct jval *v = find(object, m->key);

	if (v)
		print_value(m->format, v, ret);
}

/* "full_name" and "fullName" are "full name". */
static void print_label(const char *key, bool capitals, struct buf *ret)
{
	for (; *key; key++) {
		char c = *key == '_' || *key == '.' ? ' ' : *key;

		if (isupper((unsigned char)c))
			buf_add_str(ret, " ");
		c = (char)(capitals ? toupper((unsigned char)c) : tolower((unsigned char)c));
		buf_add(ret, &c, 1);
	}
}

/* Letters a terminal shows: the first bytes of UTF-8 sequences. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* --- lists */

void ctl_grid_fini(struct ctl_grid *g)
{
	buf_free(&g->cells);
}

void ctl_grid_add(struct ctl_grid *g, const struct jval *object)
{
	const char *shape = g->shape;
	struct member m;

	while (next_member(&shape, &m)) {
		size_t start = g->cells.len;

		print_member(&m, object, &g->cells);
		buf_add(&g->cells, g->cells.len > start ? "" : "-", g->cells.len > start ? 1 : 2);
	}
	g->rows++;
}

static void add_headings(struct ctl_grid *to)
{
	const char *shape = to->shape;
	struct member m;

	while (next_member(&shape, &m)) {
		print_label(m.key, true, &to->cells);
		buf_add(&to->cells, "", 1);
	}
	to->rows++;
}

static void measure(const struct ctl_grid *g, size_t columns, size_t *widths)
{
	const char *cell = buf_str(&g->cells);

	for (size_t i = 0; i < g->rows * columns; i++) {
		widths[i % columns] = max_u64(widths[i % columns], width_of(cell));
		cell += strlen(cell) + 1;
	}
}

static void print_rows(const struct ctl_grid *g, size_t columns, const size_t *widths,
		       struct buf *ret)
{
	const char *cell = buf_str(&g->cells);

	for (size_t i = 0; i < g->rows * columns; i++) {
		bool last = i % columns == columns - 1;

		buf_add_str(ret, cell);
		if (!last)
			buf_printf(ret, "%*s", (int)(widths[i % columns] - width_of(cell) + 2), "");
		else
			buf_add_str(ret, "\n");
		cell += strlen(cell) + 1;
	}
}

void ctl_grid_print(const struct ctl_grid *g, struct buf *ret)
{
	CLEANUP(ctl_grid_fini) struct ctl_grid head = { .shape = g->shape };
	size_t widths[CTL_COLUMNS_MAX] = { 0 }, columns = 0;
	const char *shape = g->shape;
	struct member m;

	if (g->cells.failed) {
		ret->failed = g->cells.failed;
		return;
	}
	while (next_member(&shape, &m))
		columns++;
	if (!g->rows || columns > CTL_COLUMNS_MAX)
		return;
	add_headings(&head);
	if (head.cells.failed)
		return;
	measure(&head, columns, widths);
	measure(g, columns, widths);
	print_rows(&head, columns, widths, ret);
	print_rows(g, columns, widths, ret);
}

/* --- objects */

void ctl_print_object(const char *shape, const struct jval *object, struct buf *ret)
{
	const char *at = shape;
	struct member m;
	size_t widest = 0;

	while (next_member(&at, &m))
		widest = max_u64(widest, strlen(m.key));
	for (at = shape; next_member(&at, &m);) {
		if (!find(object, m.key))
			continue;
		print_label(m.key, false, ret);
		buf_printf(ret, "%*s", (int)(widest - strlen(m.key) + 2), "");
		print_member(&m, object, ret);
		buf_add_str(ret, "\n");
	}
}

/* --- how far */

void ctl_print_part(uint64_t part, uint64_t whole, struct buf *ret)
{
	ctl_print_size(part, ret);
	buf_add_str(ret, " of ");
	ctl_print_size(whole, ret);
}

void ctl_print_bar(uint64_t done, uint64_t total, uint64_t rate, unsigned width, struct buf *ret)
{
	double share = total ? (double)min_u64(done, total) / (double)total : 0;
	unsigned filled = (unsigned)(share * width);

	buf_add_str(ret, "[");
	for (unsigned i = 0; i < width; i++)
		buf_add_str(ret, i < filled ? "=" : i == filled ? ">" : " ");
	buf_printf(ret, "] %3u %%  ", (unsigned)(share * 100));
	ctl_print_part(done, total, ret);
	if (!rate)
		return;
	buf_add_str(ret, "  ");
	ctl_print_size(rate, ret);
	buf_add_str(ret, "/s");
	if (done < total) {
		buf_add_str(ret, "  ");
		ctl_print_span((int64_t)((total - done) / rate), ret);
	}
}
