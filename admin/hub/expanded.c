/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/expanded.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/document.h"
#include "daemon/base/clock.h"
#include "daemon/base/url.h"

#define PAGES_MAX 200 /* of one directory */

static void forget(struct expanded *e)
{
	for (size_t i = 0; i < e->count; i++)
		jdoc_free(e->pages[i]);
	free(e->pages);
	e->pages = NULL;
	e->count = 0;
	buf_free(&e->dir);
	buf_free(&e->next);
}

void expanded_fini(struct expanded *e)
{
	forget(e);
}

/* Begins with the directory a path is in. */
static int begin(struct expanded *e, const struct ask *a, const char *path)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;

	if (e->dirs && e->dir.len == len && strncmp(buf_str(&e->dir), path, len) == 0)
		return 0;
	forget(e);
	if (e->dirs == EXPANDED_DIRS_MAX)
		return 0;
	e->dirs++;
	buf_add(&e->dir, path, len);
	buf_printf(&e->next, "/tree/%s%s", a->commit, len ? "/" : "");
	url_encode(&e->next, buf_str(&e->dir), 1);
	return buf_add_str(&e->next, "?expand=true");
}

static int read_page(struct expanded *e, struct ask *a)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *page = NULL;
	struct jdoc **grown;
	int r = document_ask(a, buf_str(&e->next), CLOCK_FOREVER, &doc);

	if (r != 0)
		return r;
	buf_clear(&e->next);
	if (!doc.text.len || jdoc_parse(doc.text.data, doc.text.len, &page) < 0)
		return 0;
	grown = reallocarray(e->pages, e->count + 1, sizeof(struct jdoc *));
	if (!grown)
		return -ENOMEM;
	e->pages = grown;
	e->pages[e->count++] = steal(page);
	return e->count < PAGES_MAX ? buf_add_str(&e->next, buf_str(&doc.next)) : 0;
}

static const struct jval *find_in(const struct jdoc *page, const char *path)
{
	const struct jval *list = jdoc_root(page);

	for (size_t i = 0; i < jval_count(list); i++) {
		const char *name = jval_get_str(jval_at(list, i), "path");

		if (name && strcmp(name, path) == 0)
			return jval_at(list, i);
	}
	return NULL;
}

int expanded_find(struct expanded *e, struct ask *a, const char *path, const struct jval **ret)
{
	int r = begin(e, a, path);

	*ret = NULL;
	for (size_t i = 0; r == 0 && !*ret; i++) {
		if (i == e->count && e->next.len)
			r = read_page(e, a);
		if (r != 0 || i >= e->count)
			break;
		*ret = find_in(e->pages[i], path);
	}
	return r;
}
