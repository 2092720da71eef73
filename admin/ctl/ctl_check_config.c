/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration file against what a daemon runs with. Who changed the one, and did not have the
 * other read it, looks for the failure where it is not. */
#include "admin/ctl/ctl_checks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/conf.h"
#include "daemon/base/conf_value.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"

#define FILE_BYTES_MAX (1 << 20)

/* What a file says, as lists of texts: what they mean is the daemon's to know. */
struct said {
	struct conf_table table;
	struct conf_param *params; /* owned, with names borrowed of the answer */
	struct conf_list *lists;   /* owned */
};

static void said_fini(struct said *s)
{
	if (s->params && s->lists)
		conf_fini(&s->table, s->lists);
	free(s->params);
	free(s->lists);
}

static int read_file(struct said *s, const struct jval *list, const char *path, struct buf *why)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	size_t count = jval_count(list);
	int r = file_read_all(AT_FDCWD, path, FILE_BYTES_MAX, &text);

	s->params = calloc(count + 1, sizeof(*s->params));
	s->lists = calloc(count + 1, sizeof(*s->lists));
	if (r < 0 || !s->params || !s->lists)
		return r < 0 ? r : -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const char *name = jval_get_str(jval_at(list, i), "name");

		s->params[i] = (struct conf_param){ .name = name ? name : "",
						    .type = CONF_LIST,
						    .offset = i * sizeof(*s->lists) };
	}
	s->table = (struct conf_table){ s->params, count };
	return conf_parse(&s->table, s->lists, buf_str(&text), text.len, path, why);
}

/* "3GiB" and "3072MiB" are the same. */
static bool is_same(const char *a, const char *b)
{
	uint64_t bytes_a, bytes_b;

	return !strcmp(a, b) || (conf_value_bytes(a, &bytes_a) == 0 &&
				 conf_value_bytes(b, &bytes_b) == 0 && bytes_a == bytes_b);
}

/* True if a parameter runs with what the file says last, or (of a list) with all of it. */
static bool runs(const struct jval *value, const struct conf_list *l)
{
	const char *text = jval_str(value);

	if (!jval_is_array(value))
		return is_same(text ? text : "", l->items[l->count - 1]);
	if (jval_count(value) != l->count)
		return false;
	for (size_t i = 0; i < l->count; i++) {
		text = jval_str(jval_at(value, i));
		if (!text || !is_same(text, l->items[i]))
			return false;
	}
	return true;
}

/* Appends the names of what the file says otherwise. */
static void add_different(const struct said *s, const struct jval *list, struct buf *ret)
{
	for (size_t i = 0; i < s->table.count; i++)
		if (s->lists[i].count && !runs(jval_get(jval_at(list, i), "value"), &s->lists[i]))
			buf_printf(ret, "%s%s", ret->len ? ", " : "", s->params[i].name);
}

static const struct jval *find_config(const struct jval *list)
{
	for (size_t i = 0; i < jval_count(list); i++) {
		const char *name = jval_get_str(jval_at(list, i), "name");

		if (name && !strcmp(name, "config"))
			return jval_at(list, i);
	}
	return NULL;
}

static void add_wrong(struct ctl_checkup *u, const char *path, int r, const struct buf *why)
{
	static const char advice[] = "mend it: matrixctl config check; the next start would fail";

	if (why->len)
		ctl_checkup_add(u, CTL_WARN, "configuration", advice, "%s", buf_str(why));
	else
		ctl_checkup_add(u, CTL_WARN, "configuration", advice, "%s: %s", path, err_text(r));
}

void ctl_check_config(struct ctl_checkup *u, const struct jval *answer, int64_t since_s)
{
	const struct jval *list = jval_get(answer, "parameters");
	const struct jval *config = find_config(list);
	const char *path = jval_get_str(config, "value");
	CLEANUP(said_fini) struct said s = { 0 };
	CLEANUP(buf_free) struct buf why = { 0 }, names = { 0 };
	struct stat st;
	int r = path && stat(path, &st) < 0 ? -errno : 0;

	if (!path || (r == -ENOENT && jval_bool(jval_get(config, "default")) > 0)) {
		ctl_checkup_add(u, CTL_OK, "configuration", NULL, "there is no file");
		return;
	}
	if (r == 0)
		r = read_file(&s, list, path, &why);
	if (r < 0) {
		add_wrong(u, path, r, &why);
		return;
	}
	add_different(&s, list, &names);
	/* Not when its bytes were written: a copy may be older than what it replaces. */
	if (st.st_ctime <= since_s || !names.len)
		ctl_checkup_add(u, CTL_OK, "configuration", NULL, "%s is what runs", path);
	else
		ctl_checkup_add(u, CTL_WARN, "configuration",
				"matrixctl config check, then systemctl reload matrixfs; matrixctl "
				"config show tells what runs",
				"%s came after the start, and says otherwise: %s", path,
				buf_str(&names));
}
