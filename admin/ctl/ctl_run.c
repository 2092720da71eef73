/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_run.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "admin/ctl/ctl_print.h"
#include "daemon/base/url.h"
#include "daemon/base/why.h"

#define NAME_MAX_LEN 31
#define PAGES_MAX 100000 /* a hub that gives no end is not asked for ever */

/* --- the question */

/* One thing the line says: an operand, part of one, or an option. */
struct word {
	char name[NAME_MAX_LEN + 1]; /* as the hub calls it */
	const char *value;           /* NULL: not given */
	size_t len;                  /* of it */
	const char *arg;             /* as ctl_option's */
};

/* "full-name" and "NAME" as the hub writes them. */
static void set_name(struct word *w, const char *name, size_t len)
{
	size_t i = 0;

	for (; i < len && i < NAME_MAX_LEN; i++)
		w->name[i] = name[i] == '-' ? '_' : (char)tolower((unsigned char)name[i]);
	w->name[i] = '\0';
}

static struct word operand_word(const struct ctl_line *l, const char *name, size_t len)
{
	bool revision = len == 3 && !strncmp(name, "REV", len);
	char key[NAME_MAX_LEN + 1];
	struct word w = { .arg = "" };

	snprintf(key, sizeof(key), "%.*s", (int)len, name);
	w.value = ctl_operand(l, revision ? "REPO" : key);
	set_name(&w, revision ? "revision" : name, revision ? 8 : len);
	w.len = w.value ? strlen(w.value) : 0;
	if (w.value && revision) {
		w.value = strchr(w.value, '@');
		w.value += w.value ? 1 : 0;
		w.len = w.value ? strlen(w.value) : 0;
	} else if (w.value && !strcmp(key, "REPO")) {
		w.len = strcspn(w.value, "@");
	}
	return w;
}

static struct word option_word(const struct ctl_line *l, const struct ctl_option *o)
{
	struct word w = { .arg = o->arg };

	set_name(&w, o->name, strlen(o->name));
	w.value = o->ours ? NULL : ctl_option(l, o->name);
	w.len = w.value ? strlen(w.value) : 0;
	return w;
}

/* True if the path holds {that}. */
static bool is_in_path(const struct ctl_verb *v, const char *name, size_t len)
{
	for (const char *at = v->path; (at = strchr(at, '{')); at++)
		if (!strncmp(at + 1, name, len) && at[1 + len] == '}')
			return true;
	return false;
}

/* Calls fn for each word that is given and does not stand in the path. */
static int each_word(const struct ctl_line *l, int (*fn)(void *arg, const struct word *w),
		     void *arg)
{
	const struct ctl_verb *v = l->verb;
	const char *name = v->operands;
	int r = 0;

	for (name += strspn(name, " []@"); r == 0 && *name; name += strspn(name, " []@")) {
		size_t len = strcspn(name, " []@");
		struct word w = operand_word(l, name, len);

		if (w.value && !is_in_path(v, name, len))
			r = fn(arg, &w);
		name += len;
	}
	for (const struct ctl_option *o = v->options; r == 0 && o && o->name; o++) {
		struct word w = option_word(l, o);

		if (w.value && !is_in_path(v, o->name, strlen(o->name)))
			r = fn(arg, &w);
	}
	return r;
}

/* Kinds of repositories are models unless something else is said. */
static struct word find_word(const struct ctl_line *l, const char *name, size_t len)
{
	const struct ctl_option *o = l->verb->options;

	for (; o && o->name; o++)
		if (!strncmp(o->name, name, len) && !o->name[len])
			break;
	if (!o || !o->name)
		return operand_word(l, name, len);
	if (!strcmp(o->name, "type") && !ctl_option(l, "type"))
		return (struct word){ .value = "model", .len = 5 };
	return option_word(l, o);
}

static int add_word(const struct word *w, bool encoded, struct buf *ret)
{
	CLEANUP(freep) char *text = w->value ? strndup(w->value, w->len) : strdup("");

	if (!text)
		return -ENOMEM;
	return encoded ? url_encode(ret, text, 0) : buf_add_str(ret, text);
}

int ctl_expand(const struct ctl *c, const char *text, bool encoded, struct buf *ret)
{
	while (*text) {
		size_t len = strcspn(text, "{"), name;
		struct word w;
		int r;

		buf_add(ret, text, len);
		text += len;
		if (!*text)
			break;
		name = strcspn(++text, "}");
		w = find_word(c->line, text, name);
		r = add_word(&w, encoded, ret);
		if (r < 0)
			return r;
		text += name + (text[name] == '}');
	}
	return ret->failed;
}

struct query {
	struct buf *to;
	bool begun;
};

/* "2h" is two hours ago; anything else is the hub's to understand. */
static int add_time(const struct word *w, struct buf *ret)
{
	static const struct {
		const char *unit;
		int64_t seconds;
	} units[] = { { "s", 1 }, { "min", 60 }, { "h", 3600 }, { "d", 86400 } };
	size_t digits = strspn(w->value, "0123456789");
	char text[sizeof("2026-11-21T19:00:00Z")];
	struct tm tm;

	for (size_t i = 0; digits > 0 && digits < 7 && i < ARRAY_LEN(units); i++) {
		time_t at = time(NULL) - strtoll(w->value, NULL, 10) * units[i].seconds;

		if (!strcmp(w->value + digits, units[i].unit) && gmtime_r(&at, &tm) &&
		    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm))
			return url_encode(ret, text, 0);
	}
	return add_word(w, true, ret);
}

static int add_query(void *arg, const struct word *w)
{
	struct query *q = arg;

	buf_printf(q->to, "%c%s=", q->begun ? '&' : '?', w->name);
	q->begun = true;
	if (!w->arg)
		return buf_add_str(q->to, "true");
	return strcmp(w->arg, "TIME") ? add_word(w, true, q->to) : add_time(w, q->to);
}

static bool has_content(const char *method)
{
	return strcmp(method, "GET") != 0 && strcmp(method, "DELETE") != 0;
}

int ctl_path(const struct ctl *c, struct buf *ret)
{
	const struct ctl_verb *v = c->line->verb;
	struct query q = { .to = ret };
	int r = ctl_expand(c, v->path, true, ret);

	if (r == 0 && !has_content(v->method))
		r = each_word(c->line, add_query, &q);
	return r;
}

/* "models/org/name:read,org:write" */
static void add_grants(struct jwrite *to, const char *name, char *text)
{
	char *grant;

	jwrite_array(to, name);
	while ((grant = strsep(&text, ","))) {
		char *colon = strrchr(grant, ':');

		if (colon)
			*colon++ = '\0';
		jwrite_object(to, NULL);
		jwrite_text(to, "what", grant);
		jwrite_text(to, "role", colon ? colon : "");
		jwrite_object_end(to);
	}
	jwrite_array_end(to);
}

static bool is_list(const struct word *w)
{
	size_t len = strlen(w->arg);

	return len > 4 && !strcmp(w->arg + len - 4, ",...");
}

/* "a,b" */
static void add_list(struct jwrite *to, const char *name, char *text)
{
	char *item;

	jwrite_array(to, name);
	while ((item = strsep(&text, ",")))
		jwrite_text(to, NULL, item);
	jwrite_array_end(to);
}

static int add_member(void *arg, const struct word *w)
{
	CLEANUP(freep) char *text = strndup(w->value, w->len);
	struct jwrite *to = arg;

	if (!text)
		return -ENOMEM;
	if (!w->arg)
		jwrite_bool(to, w->name, true);
	else if (!strcmp(w->arg, "yes|no"))
		jwrite_bool(to, w->name, *text == 'y');
	else if (!strcmp(w->arg, "N"))
		jwrite_uint(to, w->name, strtoull(text, NULL, 10));
	else if (!strcmp(w->name, "grants"))
		add_grants(to, w->name, text);
	else if (is_list(w))
		add_list(to, w->name, text);
	else
		jwrite_text(to, w->name, text);
	return to->to->failed;
}

int ctl_members(const struct ctl *c, struct jwrite *w)
{
	return each_word(c->line, add_member, w);
}

/* --- the answer */

int ctl_ask(struct ctl *c, const char *method, const char *path, const struct buf *json,
	    struct jdoc **ret)
{
	CLEANUP(buf_free) struct buf answer = { 0 };
	int r = ctl_hub_ask(&c->hub, method, path, json, &answer, &c->why);

	if (r == 0 && jdoc_parse(buf_str(&answer), answer.len, ret) < 0)
		r = complain(&c->why, "The answer of the hub at %s is no JSON; is it a matrixhubd?",
			     c->hub.url);
	if (answer.data)
		explicit_bzero(answer.data, answer.len);
	return r;
}

int ctl_put(struct ctl *c, const struct buf *text)
{
	if (text->failed)
		return text->failed;
	if (fwrite(buf_str(text), 1, text->len, c->out) != text->len || fflush(c->out) != 0)
		return complain(&c->why, "The answer cannot be written: %s.", err_text(-errno));
	return 0;
}

/* Appends the list that a part of a shape names, with a blank line before it. */
static void show_list(const char *part, const struct jval *answer, struct buf *ret)
{
	size_t len = strcspn(part, " ");
	CLEANUP(freep) char *name = strndup(part, len);
	CLEANUP(freep) char *shape = strndup(part + len, strcspn(part + len, ";"));
	CLEANUP(ctl_grid_fini) struct ctl_grid g = { .shape = shape };
	const struct jval *list = name && shape ? jval_get(answer, name) : NULL;

	if (!name || !shape)
		ret->failed = -ENOMEM;
	for (size_t i = 0; i < jval_count(list); i++)
		ctl_grid_add(&g, jval_at(list, i));
	if (g.rows && ret->len)
		buf_add_str(ret, "\n");
	ctl_grid_print(&g, ret);
}

int ctl_render(const struct ctl *c, const char *shape, const struct jval *answer, struct buf *ret)
{
	size_t len = strcspn(shape, ";");
	CLEANUP(freep) char *members = strndup(shape, len);
	int r = 0;

	if (c->json) {
		r = jdoc_print(answer, NULL, NULL, ret);
		buf_add_str(ret, "\n");
		return r;
	}
	if (!members)
		return -ENOMEM;
	ctl_print_object(members, answer, ret);
	for (const char *part = shape + len; *part == ';'; part += strcspn(part, ";"))
		show_list(++part, answer, ret);
	return ret->failed;
}

int ctl_show(struct ctl *c, const char *shape, const struct jval *answer)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = ctl_render(c, shape, answer, &text);

	return r < 0 ? r : ctl_put(c, &text);
}

void ctl_nap(int64_t ms)
{
	const struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

/* --- lists, page after page */

struct pages {
	struct ctl_grid grid;
	struct buf json;
};

static void pages_fini(struct pages *p)
{
	ctl_grid_fini(&p->grid);
	buf_free(&p->json);
}

static int take_page(struct pages *p, bool json, const struct jval *items)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < jval_count(items); i++) {
		if (!json) {
			ctl_grid_add(&p->grid, jval_at(items, i));
			continue;
		}
		buf_add_str(&p->json, p->json.len ? "," : "[");
		r = jdoc_print(jval_at(items, i), NULL, NULL, &p->json);
	}
	return r;
}

static int ask_page(struct ctl *c, const struct buf *path, struct pages *p, struct buf *ret_cursor)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	int r = ctl_ask(c, "GET", buf_str(path), NULL, &d);
	const char *next;

	if (r < 0)
		return r;
	next = jval_get_str(jdoc_root(d), "next");
	buf_clear(ret_cursor);
	if (next)
		r = buf_add_str(ret_cursor, next);
	return r < 0 ? r : take_page(p, c->json, jval_get(jdoc_root(d), "items"));
}

static int ask_pages(struct ctl *c, const struct buf *first, struct pages *p)
{
	CLEANUP(buf_free) struct buf path = { 0 }, cursor = { 0 };
	bool limited = ctl_option(c->line, "limit") != NULL;
	int r = buf_add_str(&path, buf_str(first));

	for (unsigned n = 0; r == 0 && n < PAGES_MAX; n++) {
		r = ask_page(c, &path, p, &cursor);
		if (r < 0 || limited || !cursor.len)
			break;
		buf_clear(&path);
		buf_printf(&path, "%s%ccursor=", buf_str(first),
			   strchr(buf_str(first), '?') ? '&' : '?');
		r = url_encode(&path, buf_str(&cursor), 0);
	}
	return r;
}

static int run_list(struct ctl *c, const struct buf *path, const char *shape)
{
	CLEANUP(pages_fini) struct pages p = { .grid = { .shape = shape } };
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = ask_pages(c, path, &p);

	if (r < 0)
		return r;
	if (!c->json) {
		ctl_grid_print(&p.grid, &text);
		return ctl_put(c, &text);
	}
	buf_add_str(&p.json, p.json.len ? "]\n" : "[]\n");
	return ctl_put(c, &p.json);
}

/* --- one command */

/* A route that takes nothing wants nothing. */
static bool is_empty(const struct buf *json)
{
	return !strcmp(buf_str(json), "{}");
}

int ctl_post(struct ctl *c, const char *name, const char *value, struct jdoc **ret)
{
	const struct ctl_verb *v = c->line->verb;
	struct buf json = { 0 };
	struct jwrite w = { .to = &json };
	int r;

	jwrite_object(&w, NULL);
	r = ctl_members(c, &w);
	if (value)
		jwrite_text(&w, name, value);
	jwrite_object_end(&w);
	if (r == 0)
		r = json.failed
			    ? json.failed
			    : ctl_ask(c, v->method, v->path, is_empty(&json) ? NULL : &json, ret);
	if (json.data)
		explicit_bzero(json.data, json.cap);
	buf_free(&json);
	return r;
}

static int tell_done(struct ctl *c)
{
	CLEANUP(buf_free) struct buf words = { 0 }, text = { 0 };
	int r = ctl_expand(c, c->line->verb->done, false, &words);

	ctl_print_text(buf_str(&words), &text);
	buf_add_str(&text, "\n");
	return r < 0 ? r : ctl_put(c, &text);
}

/* Who only does something sends nothing; who changes something must say what. */
static bool says_much(const struct ctl_verb *v, const struct buf *json)
{
	return json->len > strlen("{}") || !strcmp(v->method, "PATCH");
}

static int run_one(struct ctl *c, const struct buf *path)
{
	const struct ctl_verb *v = c->line->verb;
	CLEANUP(buf_free) struct buf json = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct jwrite w = { .to = &json };
	int r = 0;

	if (has_content(v->method)) {
		jwrite_object(&w, NULL);
		r = ctl_members(c, &w);
		jwrite_object_end(&w);
	}
	if (r == 0 && json.failed)
		r = json.failed;
	if (r == 0)
		r = ctl_ask(c, v->method, buf_str(path), says_much(v, &json) ? &json : NULL, &d);
	if (r < 0)
		return r;
	return v->shape || c->json ? ctl_show(c, v->shape ? v->shape : "", jdoc_root(d))
				   : tell_done(c);
}

int ctl_run(struct ctl *c)
{
	static const char items[] = ";items ";
	const struct ctl_verb *v = c->line->verb;
	CLEANUP(buf_free) struct buf path = { 0 };
	int r;

	if (v->run)
		return v->run(c);
	r = ctl_path(c, &path);
	if (r < 0)
		return r;
	if (v->shape && !strncmp(v->shape, items, sizeof(items) - 1))
		return run_list(c, &path, v->shape + sizeof(items) - 1);
	return run_one(c, &path);
}

int ctl_run_as(struct ctl *c, const struct ctl_verb *v)
{
	const struct ctl_line *line = c->line;
	struct ctl_line other = *line;
	int r;

	other.verb = v;
	c->line = &other;
	r = ctl_run(c);
	c->line = line;
	return r;
}
