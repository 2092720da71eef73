/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/tree.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/document.h"
#include "admin/hub/expanded.h"
#include "admin/git/githash.h"
#include "admin/git/gitorder.h"
#include "admin/hub/resolve.h"
#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/url.h"

#define PAGE_ITEMS 1000
#define PATHS_MAX 10000     /* that one request may ask about */
#define NODES_AT_ONCE 50000 /* more of a commit are put in order by a worker */
#define OID_HEX 40
#define NOTHING (PARKED + 1) /* no list of the hub's */
#define REFUSED (PARKED + 2) /* and that has been answered */
#define TOO_MANY "\"paths\" must contain less than or equal to 10000 items"

/* --- what is shown */

/* The node after this one in a walk below `top`: first what is in it, then what is beside it.
 * MANIFEST_NONE at the end. */
static uint32_t next_below(const struct manifest *m, uint32_t top, uint32_t node)
{
	uint32_t count, first = manifest_children(m, node, &count);

	if (!manifest_file(m, node) && count)
		return first;
	for (; node != top; node = manifest_parent(m, node)) {
		first = manifest_children(m, manifest_parent(m, node), &count);
		if (node + 1 < first + count)
			return node + 1;
	}
	return MANIFEST_NONE;
}

void tree_view(const struct ask *a, struct repo *repo, const struct snapshot *s,
	       struct tree_view *ret)
{
	*ret = (struct tree_view){ .filter = a->filter, .files = s->files };
	known_names(node_known(a->server->node), repo, &ret->names);
	ret->all = filter_all_files(ret->filter, &ret->names);
}

/* A directory is shown for the files in it. */
static bool is_shown(const struct tree_view *v, uint32_t node)
{
	const struct manifest *m = v->files;
	CLEANUP(buf_free) struct buf path = { 0 };

	if (v->all)
		return true;
	for (uint32_t at = node; at != MANIFEST_NONE; at = next_below(m, node, at)) {
		buf_clear(&path);
		if (manifest_file(m, at) && manifest_path(m, at, &path) == 0 &&
		    filter_file(v->filter, &v->names, buf_str(&path)))
			return true;
	}
	return false;
}

/* --- one item */

static void write_lfs(struct jwrite *w, const struct manifest_file *f, const char *name)
{
	CLEANUP(buf_free) struct buf pointer = { 0 };
	char etag[DIGEST_HEX_MAX + 1];

	manifest_etag(f, etag);
	resolve_pointer(f, &pointer);
	jwrite_object(w, "lfs");
	jwrite_text(w, name, etag);
	jwrite_uint(w, "size", f->size);
	jwrite_uint(w, "pointerSize", pointer.len);
	jwrite_object_end(w);
}

static void write_oid(struct jwrite *w, const char *key, const uint8_t oid[static 20])
{
	char text[OID_HEX + 1];

	hex_print(oid, 20, text);
	jwrite_text(w, key, text);
}

/* What is kept of all nodes is of so many: a request that was under way while files went, or came
 * again, may leave behind what fits those it has seen. */
static int key_of_nodes(const struct ask *a, const char *what, struct buf *ret)
{
	return buf_printf(ret, "%s %s %s %" PRIu32, what, repo_key(a->repo), a->commit,
			  manifest_count(a->snapshot->files));
}

/* Git's ids of the directories of the request's commit: worked out for all of them, once. */
static int find_trees(struct ask *a)
{
	CLEANUP(buf_free) struct buf key = { 0 }, trees = { 0 };
	int r = a->trees ? 0 : key_of_nodes(a, "trees", &key);

	if (r < 0 || a->trees)
		return r;
	a->trees = ready_find(a->server->ready, buf_str(&key));
	if (a->trees)
		return 0;
	r = githash_trees(a->snapshot->files, &trees);
	return r < 0 ? r
		     : answer_ready_put(a, buf_str(&key), &trees, &(struct ready_note){ 0 },
					&a->trees);
}

static int directory_oid(struct ask *a, uint32_t node, const uint8_t **ret)
{
	const void *trees;
	size_t len;
	int r = find_trees(a);

	if (r < 0)
		return r;
	ready_bytes(a->trees, READY_PLAIN, &trees, &len);
	*ret = githash_find(trees, len, node);
	return *ret ? 0 : ERR_CORRUPT;
}

/* What a list of the hub's says of it beside what is known anyway; told NULL: nothing. */
static int write_last(const struct jval *told, struct jwrite *w)
{
	const struct jval *last = jval_get(told, "lastCommit");
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = last ? jdoc_print(last, NULL, NULL, &text) : 0;

	if (last && r == 0)
		jwrite_json(w, "lastCommit", buf_str(&text));
	return r;
}

static int write_item(struct ask *a, struct jwrite *w, uint32_t node, const struct jval *told)
{
	const struct manifest_file *f = manifest_file(a->snapshot->files, node);
	CLEANUP(buf_free) struct buf path = { 0 };
	const uint8_t *oid = f ? f->oid : NULL;
	int r = manifest_path(a->snapshot->files, node, &path);

	if (r == 0 && !f)
		r = directory_oid(a, node, &oid);
	if (r < 0)
		return r;
	jwrite_object(w, NULL);
	jwrite_text(w, "type", f ? "file" : "directory");
	write_oid(w, "oid", oid);
	jwrite_uint(w, "size", f ? f->size : 0);
	if (f && f->kind == DIGEST_SHA256)
		write_lfs(w, f, "oid");
	jwrite_text(w, "path", buf_str(&path));
	r = write_last(told, w);
	jwrite_object_end(w);
	return r;
}

int tree_siblings(const struct tree_view *v, bool blobs, struct jwrite *w)
{
	const struct manifest *m = v->files;
	CLEANUP(buf_free) struct buf path = { 0 };
	int r = 0;

	jwrite_array(w, "siblings");
	for (uint32_t i = 0; r == 0 && i < manifest_count(m); i++) {
		const struct manifest_file *f = manifest_file(m, i);

		if (!f || !is_shown(v, i))
			continue;
		buf_clear(&path);
		r = manifest_path(m, i, &path);
		jwrite_object(w, NULL);
		jwrite_text(w, "rfilename", buf_str(&path));
		if (blobs) {
			jwrite_uint(w, "size", f->size);
			write_oid(w, "blobId", f->oid);
			if (f->kind == DIGEST_SHA256)
				write_lfs(w, f, "sha256");
		}
		jwrite_object_end(w);
	}
	jwrite_array_end(w);
	return r;
}

/* --- pages */

/* What one request lists: some of the nodes of its commit, in the order of all. */
struct listing {
	struct tree_view view;
	struct ready_text *text; /* holds the order */
	const uint32_t *order;
	uint32_t count;
	uint32_t top;   /* what is in this directory, ... */
	bool recursive; /* ... or anywhere below it */
};

static void listing_fini(struct listing *l)
{
	ready_unref(l->text);
}

/* The order of the request's commit: worked out for all of it, once. */
static int find_order(struct ask *a, struct listing *l)
{
	CLEANUP(buf_free) struct buf key = { 0 }, order = { 0 };
	int r = key_of_nodes(a, "order", &key);
	const void *data;
	size_t len;

	if (r < 0)
		return r;
	l->text = ready_find(a->server->ready, buf_str(&key));
	if (!l->text)
		r = gitorder(a->snapshot->files, &order);
	if (r == 0 && !l->text)
		r = answer_ready_put(a, buf_str(&key), &order, &(struct ready_note){ 0 }, &l->text);
	if (r < 0)
		return r;
	ready_bytes(l->text, READY_PLAIN, &data, &len);
	l->order = data;
	l->count = (uint32_t)(len / sizeof(*l->order));
	return 0;
}

static bool is_below(const struct manifest *m, uint32_t top, uint32_t node)
{
	while (node != top && node != MANIFEST_ROOT)
		node = manifest_parent(m, node);
	return node == top;
}

static bool is_listed(const struct listing *l, uint32_t node)
{
	uint32_t parent = manifest_parent(l->view.files, node);

	return (l->recursive ? is_below(l->view.files, l->top, parent) : parent == l->top) &&
	       is_shown(&l->view, node);
}

/* The first place from this one on whose node is listed; l->count: none is. */
static uint32_t next_listed(const struct listing *l, uint32_t at)
{
	while (at < l->count && !is_listed(l, l->order[at]))
		at++;
	return at;
}

static int write_listed(struct ask *a, struct expanded *e, struct jwrite *w, uint32_t node)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	const struct jval *told = NULL;
	int r = 0;

	if (target_flag(a->asked.query, "expand") && repo_is_hosted(a->repo))
		r = manifest_path(a->snapshot->files, node, &path);
	if (r == 0 && path.len)
		r = expanded_find(e, a, buf_str(&path), &told);
	return r != 0 ? r : write_item(a, w, node, told);
}

/* From *at on, which becomes where the next page begins. */
static int write_page(struct ask *a, const struct listing *l, struct jwrite *w, uint32_t *at,
		      unsigned limit)
{
	CLEANUP(expanded_fini) struct expanded e = { 0 };
	int r = 0;

	jwrite_array(w, NULL);
	for (*at = next_listed(l, *at); r == 0 && limit-- && *at < l->count;
	     *at = next_listed(l, *at + 1))
		r = write_listed(a, &e, w, l->order[*at]);
	jwrite_array_end(w);
	return r;
}

/* The same list from there on: cursors are places in the order of an immutable commit. */
static void add_next(const struct ask *a, struct httpd_head *h, uint32_t at, bool recursive,
		     unsigned limit)
{
	const char *target = httpd_target(a->http);

	answer_next(a, h, "%.*s?recursive=%s%s&limit=%u&cursor=%s.%u", (int)strcspn(target, "?"),
		    target, recursive ? "true" : "false",
		    target_flag(a->asked.query, "expand") ? "&expand=true" : "", limit, a->commit,
		    at);
}

/* Where the client's cursor stands; a list of another commit than this is not gone on with. */
static int read_cursor(const struct ask *a, uint32_t count, uint32_t *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	unsigned long at;
	char *end;

	*ret = 0;
	if (!target_field(a->asked.query, "cursor", &text))
		return 0;
	if (text.len > COMMIT_HEX + 1 && strncmp(text.data, a->commit, COMMIT_HEX) == 0 &&
	    text.data[COMMIT_HEX] == '.') {
		at = strtoul(text.data + COMMIT_HEX + 1, &end, 10);
		*ret = (uint32_t)at;
		if (!*end && at < count)
			return 0;
	}
	answer_refuse(a, 400,
		      "\"cursor\" is none of this list, as it is now: begin with its first page");
	return ANSWERED;
}

/* Of the hub's list, what is shown here. */
static int print_shown(const struct tree_view *shown, struct buf *text)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	CLEANUP(buf_free) struct buf item = { 0 }, json = { 0 };
	struct jwrite w = { .to = &json };
	int r = jdoc_parse(buf_str(text), text->len, &doc);

	jwrite_array(&w, NULL);
	for (size_t i = 0; r == 0 && i < jval_count(jdoc_root(doc)); i++) {
		const struct jval *v = jval_at(jdoc_root(doc), i);
		const char *path = jval_get_str(v, "path");
		uint32_t node = path ? manifest_find(shown->files, path) : MANIFEST_NONE;

		if (node == MANIFEST_NONE || !is_shown(shown, node))
			continue;
		buf_clear(&item);
		r = jdoc_print(v, NULL, NULL, &item);
		jwrite_json(&w, NULL, buf_str(&item));
	}
	jwrite_array_end(&w);
	buf_free(text);
	*text = json;
	json = (struct buf){ 0 };
	return r < 0 ? r : text->failed;
}

/* What each file's last commit was, only the hub can tell: then its list is given on, page by page.
 * NOTHING if there is none. */
static int list_expanded(struct ask *a)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };
	CLEANUP(buf_free) struct buf tail = { 0 };
	struct tree_view view;
	struct httpd_head h;
	int r;

	buf_printf(&tail, "/tree/%s%s", a->commit, *a->asked.target.path ? "/" : "");
	url_encode(&tail, a->asked.target.path, 1);
	r = buf_printf(&tail, "?%s", a->asked.query);
	if (r == 0)
		r = document_ask(a, buf_str(&tail), CLOCK_FOREVER, &doc);
	if (r != 0)
		return r;
	if (!doc.text.len)
		return NOTHING;
	tree_view(a, a->repo, a->snapshot, &view);
	if (!view.all)
		r = print_shown(&view, &doc.text);
	if (r < 0)
		return r;
	h = document_head(a, &doc);
	answer_json_head(a, &h, &doc.text);
	return 0;
}

/* The directory that the path names, and what of it the query asks for. */
static int begin_listing(struct ask *a, struct listing *l)
{
	const struct manifest *m = a->snapshot->files;

	tree_view(a, a->repo, a->snapshot, &l->view);
	l->recursive = target_flag(a->asked.query, "recursive");
	l->top = manifest_find(m, a->asked.target.path);
	if (l->top == MANIFEST_NONE || manifest_file(m, l->top) ||
	    (l->top != MANIFEST_ROOT && !is_shown(&l->view, l->top)))
		return ERR_NOENTRY;
	return find_order(a, l);
}

/* Makes the page that the query asks for, and keeps it: its note says where another follows. */
static int make_page(struct ask *a, unsigned limit, const char *key, struct ready_text **ret)
{
	CLEANUP(listing_fini) struct listing l = { 0 };
	struct ready_note note = { .next = MANIFEST_NONE };
	CLEANUP(buf_free) struct buf json = { 0 };
	struct jwrite w = { .to = &json };
	uint32_t at;
	int r = begin_listing(a, &l);

	if (r == 0)
		r = read_cursor(a, l.count, &at);
	if (r == 0)
		r = write_page(a, &l, &w, &at, limit);
	if (r != 0) /* it may be gone already */
		return r;
	if (at < l.count)
		note.next = at;
	return answer_ready_put(a, key, &json, &note, ret);
}

static int list_here(struct ask *a)
{
	bool recursive = target_flag(a->asked.query, "recursive");
	unsigned limit = target_limit(a->asked.query, PAGE_ITEMS);
	CLEANUP(ready_unrefp) struct ready_text *page = NULL;
	CLEANUP(buf_free) struct buf key = { 0 };
	struct httpd_head h;
	int r = answer_ready_key(a, "tree", &key);

	if (r == 0)
		page = ready_find(a->server->ready, buf_str(&key));
	if (r == 0 && !page && manifest_count(a->snapshot->files) > NODES_AT_ONCE &&
	    !ask_aside(a, 0, &r))
		return r;
	if (r == 0 && !page)
		r = make_page(a, limit, buf_str(&key), &page);
	if (r != 0)
		return r == ANSWERED ? 0 : r;
	h = answer_head(a, 200, ANSWER_JSON);
	if (ready_note_of(page)->next != MANIFEST_NONE)
		add_next(a, &h, ready_note_of(page)->next, recursive, limit);
	answer_ready(a, &h, page);
	return 0;
}

int tree_list(struct ask *a)
{
	int r = ask_snapshot(a);

	if (r == 0 && target_flag(a->asked.query, "expand") && !repo_is_hosted(a->repo)) {
		r = list_expanded(a);
		if (r != NOTHING)
			return r;
		r = 0;
	}
	return r != 0 ? r : list_here(a);
}

/* --- paths */

struct paths {
	struct ask *a;
	struct tree_view view;
	struct jwrite w;
	bool expands;
	struct expanded expanded;
};

static int write_node(struct paths *p, const char *path, uint32_t node)
{
	CLEANUP(buf_free) struct buf item = { 0 };
	const struct jval *v = NULL;
	int r = p->expands ? expanded_find(&p->expanded, p->a, path, &v) : 0;

	if (r == 0 && (!v || repo_is_hosted(p->a->repo)))
		return write_item(p->a, &p->w, node, v);
	if (r == 0)
		r = jdoc_print(v, NULL, NULL, &item);
	if (r != 0)
		return r;
	jwrite_json(&p->w, NULL, buf_str(&item));
	return 0;
}

static int write_path(struct paths *p, const char *path)
{
	size_t len = strlen(path);
	char whole[MANIFEST_PATH_MAX + 1];
	uint32_t node;

	while (len && path[len - 1] == '/')
		len--;
	if (len == 0 || len >= sizeof(whole))
		return 0;
	memcpy(whole, path, len);
	whole[len] = '\0';
	node = manifest_find(p->a->snapshot->files, whole);
	if (node == MANIFEST_NONE || !is_shown(&p->view, node))
		return 0;
	return write_node(p, whole, node);
}

static int refuse_body(const struct ask *a, const char *what)
{
	answer_refuse(a, 400, "%s", what);
	return REFUSED;
}

/* Clients of one language send a form, those of another JSON. */
static int write_form_paths(struct paths *p, const char *form)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	int r = 0;

	p->expands = target_flag(form, "expand");
	for (unsigned n = 0; r == 0 && target_next_field(&form, "paths", &path); n++)
		r = n < PATHS_MAX ? write_path(p, buf_str(&path)) : refuse_body(p->a, TOO_MANY);
	return r;
}

static int write_path_list(struct paths *p, const struct jval *list)
{
	int r = 0;

	if (!list)
		return refuse_body(p->a, "\"paths\" is required");
	if (!jval_is_array(list))
		return refuse_body(p->a, "\"paths\" must be an array");
	for (size_t i = 0; r == 0 && i < jval_count(list); i++) {
		if (i == PATHS_MAX)
			return refuse_body(p->a, TOO_MANY);
		if (!jval_str(jval_at(list, i)))
			return refuse_body(p->a, "\"paths\" must hold strings");
		r = write_path(p, jval_str(jval_at(list, i)));
	}
	return r;
}

/* The hub's words for bodies that are not what they should be (its schema's names for them). */
static int write_json_paths(struct paths *p, const struct buf *body)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *list;
	int r = jdoc_parse(buf_str(body), body->len, &doc);

	if (r < 0)
		return r == ERR_PROTO ? refuse_body(p->a, "Invalid JSON") : r;
	if (!jval_is_object(jdoc_root(doc)))
		return refuse_body(p->a, "\"value\" must be of type object");
	p->expands = jval_bool(jval_get(jdoc_root(doc), "expand")) == 1;
	list = jval_get(jdoc_root(doc), "paths");
	return jval_str(list) ? write_path(p, jval_str(list)) : write_path_list(p, list);
}

int tree_paths(struct ask *a)
{
	const struct buf *body = httpd_body(a->http);
	CLEANUP(buf_free) struct buf json = { 0 };
	struct paths p = { .a = a, .w = { .to = &json } };
	int r = ask_snapshot(a);

	if (r != 0)
		return r;
	tree_view(a, a->repo, a->snapshot, &p.view);
	jwrite_array(&p.w, NULL);
	r = a->asked.sends_json || buf_str(body)[strspn(buf_str(body), " \t\r\n")] == '{'
		    ? write_json_paths(&p, body)
		    : write_form_paths(&p, buf_str(body));
	jwrite_array_end(&p.w);
	expanded_fini(&p.expanded);
	if (r == 0)
		answer_json(a, 200, &json);
	return r == REFUSED ? 0 : r;
}
