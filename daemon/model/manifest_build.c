/* SPDX-License-Identifier: Apache-2.0 */
/* Making a manifest. Paths are checked one by one as they come. finish() sorts them by
 * components in natural order, so that everything below a directory stands together and a path
 * meets its duplicate or its own directory as its neighbour; one pass over neighbours then finds
 * conflicts and the exact size of every array, and a second one fills them and cannot fail. */
#include "daemon/model/manifest_priv.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/err.h"

#define WHY_PATH_MAX 160 /* bytes of a path worth showing */

struct entry {
	uint32_t path; /* offset in paths */
	struct manifest_file file;
};

struct manifest_builder {
	struct buf paths; /* NUL-terminated */
	struct entry *entries;
	uint32_t count, cap;
	bool lenient;
	uint32_t left_out;
};

void manifest_builder_be_lenient(struct manifest_builder *b)
{
	b->lenient = true;
}

uint32_t manifest_builder_left_out(const struct manifest_builder *b)
{
	return b->left_out;
}

int manifest_builder_leave_out(struct manifest_builder *b, int r)
{
	if (!b->lenient)
		return r;
	b->left_out++;
	return 0;
}

int manifest_builder_new(struct manifest_builder **ret)
{
	struct manifest_builder *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	*ret = b;
	return 0;
}

void manifest_builder_free(struct manifest_builder *b)
{
	if (!b)
		return;
	buf_free(&b->paths);
	free(b->entries);
	free(b);
}

void manifest_builder_freep(struct manifest_builder **b)
{
	manifest_builder_free(*b);
}

/* --- what a path may be */

/* Refuses: a sentence about the path goes to why. The path may hold anything, a log may not. */
static int hostile(struct buf *why, const char *path, const char *what)
{
	size_t len = strnlen(path, WHY_PATH_MAX);

	if (why->len)
		return ERR_HOSTILE; /* of several that are left out the first is told */
	buf_add_str(why, "The path '");
	for (size_t i = 0; i < len; i++)
		buf_add(why, path[i] < 0x20 || path[i] == 0x7f ? "?" : &path[i], 1);
	buf_printf(why, "%s' %s.", path[len] ? "..." : "", what);
	return ERR_HOSTILE;
}

/* Length of the well-formed UTF-8 sequence at s (Unicode 15, table 3-7), or 0. */
static size_t utf8_length(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t len = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if ((s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0; /* shorter forms exist */
	if (s[0] == 0xed)
		high = 0x9f; /* surrogates */
	if (s[0] == 0xf0)
		low = 0x90; /* shorter forms exist */
	if (s[0] == 0xf4)
		high = 0x8f; /* beyond U+10FFFF */
	for (size_t i = 1; i < len; i++) {
		if (s[i] < low || s[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}

/* What is wrong with the bytes of a path, or NULL. */
static const char *bad_text(const char *path)
{
	const unsigned char *s = (const unsigned char *)path;

	while (*s) {
		size_t len = utf8_length(s);

		if (len == 0)
			return "is not UTF-8";
		if (*s < 0x20 || *s == 0x7f)
			return "holds a control character";
		s += len;
	}
	return NULL;
}

/* What is wrong with the components of a path, or NULL. */
static const char *bad_components(const char *path)
{
	for (;;) {
		size_t len = strcspn(path, "/");

		if (len == 0)
			return "is absolute or has an empty component";
		if (len > MANIFEST_NAME_MAX)
			return "has a component that is too long";
		if (path[0] == '.' && (len == 1 || (len == 2 && path[1] == '.')))
			return "has a component '.' or '..'";
		if (!path[len])
			return NULL;
		path += len + 1;
	}
}

int manifest_check_path(const char *path, struct buf *why)
{
	size_t len = strlen(path);
	const char *what = NULL;

	if (len > MANIFEST_PATH_MAX)
		what = "is too long";
	if (!what)
		what = bad_text(path);
	if (!what)
		what = bad_components(path);
	return what ? hostile(why, path, what) : 0;
}

/* --- adding */

static int reserve_entry(struct manifest_builder *b)
{
	uint32_t cap = b->cap ? b->cap * 2 : 64;
	struct entry *entries;

	if (b->count < b->cap)
		return 0;
	entries = reallocarray(b->entries, cap, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	b->entries = entries;
	b->cap = cap;
	return 0;
}

/* Copies what means something, so that unused bytes are zero and digests compare as a whole. */
static struct manifest_file clean_file(const struct manifest_file *f)
{
	struct manifest_file copy = { .size = f->size, .kind = f->kind };

	memcpy(copy.digest, f->digest, digest_size(f->kind));
	memcpy(copy.oid, f->kind == DIGEST_GIT_SHA1 ? f->digest : f->oid, sizeof(copy.oid));
	return copy;
}

int manifest_builder_add(struct manifest_builder *b, const char *path,
			 const struct manifest_file *file, struct buf *why)
{
	size_t len = strlen(path), offset = b->paths.len;
	int r = manifest_check_path(path, why);

	if (r == 0 && file->size > MANIFEST_SIZE_MAX)
		r = hostile(why, path, "claims an impossible size");
	if (r < 0)
		return manifest_builder_leave_out(b, r);
	if (b->count == MANIFEST_FILES_MAX || offset + len >= UINT32_MAX)
		return hostile(why, path, "is one too many for a listing");
	r = reserve_entry(b);
	if (r == 0)
		r = buf_add(&b->paths, path, len + 1);
	if (r < 0)
		return r;
	b->entries[b->count++] = (struct entry){
		.path = (uint32_t)offset,
		.file = clean_file(file),
	};
	return 0;
}

/* --- order */

typedef int (*order_fn)(const void *a, const void *b, void *arg);

/* Listings come sorted as a rule: look first, sort only what is not. */
static void sort(void *items, uint32_t count, size_t size, order_fn order, void *arg)
{
	const char *item = items;

	for (uint32_t i = 1; i < count; i++, item += size) {
		if (order(item, item + size, arg) > 0) {
			qsort_r(items, count, size, order, arg);
			return;
		}
	}
}

/* Where two paths differ first: a byte of the shorter, or its end. */
static size_t common_length(const char *a, const char *b)
{
	size_t i = 0;

	while (a[i] && a[i] == b[i])
		i++;
	return i;
}

/* Beginning of the component that byte `at` belongs to. */
static size_t component_start(const char *path, size_t at)
{
	while (at > 0 && path[at - 1] != '/')
		at--;
	return at;
}

/* What is sorted: a path's offset stands beside its entry's number, since a comparison that
 * looks the offset up in the entry first takes twice as long. */
struct place {
	uint32_t path, entry;
};

static size_t component_length(const char *text)
{
	return (size_t)(strchrnul(text, '/') - text);
}

/* What two paths share decides nothing, but for the digits of a number that goes on. */
static int order_paths(const void *a, const void *b, void *arg)
{
	const char *paths = arg;
	const char *x = paths + ((const struct place *)a)->path;
	const char *y = paths + ((const struct place *)b)->path;
	size_t at = common_length(x, y), from = at;
	int diff;

	while (from > 0 && x[from - 1] >= '0' && x[from - 1] <= '9')
		from--;
	diff = manifest_natural_n(x + from, component_length(x + from), y + from,
				  component_length(y + from));
	return diff ? diff : (x[at] != '\0') - (y[at] != '\0');
}

static int order_names(const void *a, const void *b, void *arg)
{
	const struct manifest *m = arg;

	return strcmp(m->names + m->nodes[*(const uint32_t *)a].name,
		      m->names + m->nodes[*(const uint32_t *)b].name);
}

/* --- finishing */

struct build {
	struct manifest_builder *b;
	struct place *order; /* entries in order of their paths */
	uint16_t *skip;      /* by placed directory: bytes of its path and '/' */
	struct manifest *m;
	uint32_t node_count, name_bytes; /* what is needed; then what is used */
};

static void build_fini(struct build *w)
{
	free(w->order);
	free(w->skip);
	manifest_free(w->m);
}

static const struct entry *entry_at(const struct build *w, uint32_t i)
{
	return &w->b->entries[w->order[i].entry];
}

static const char *path_at(const struct build *w, uint32_t i)
{
	return w->b->paths.data + w->order[i].path;
}

static int sort_paths(struct build *w)
{
	w->order = calloc((size_t)w->b->count + 1, sizeof(*w->order));
	if (!w->order)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->b->count; i++)
		w->order[i] = (struct place){ .path = w->b->entries[i].path, .entry = i };
	sort(w->order, w->b->count, sizeof(*w->order), order_paths, w->b->paths.data);
	return 0;
}

/* 0 if both a path and its neighbour can be there. */
static int check_neighbour(const char *before, const char *path, struct buf *why)
{
	size_t at = common_length(before, path);

	if (!path[at])
		return hostile(why, path, "is listed twice");
	if (at > 0 && !before[at] && path[at] == '/')
		return hostile(why, before, "is a file and also a directory");
	return 0;
}

/* Of two the first stays: nothing is below a file. A list of which nothing stays makes no sense. */
static int settle_conflicts(struct build *w, struct buf *why)
{
	const char *before = "";
	uint32_t kept = 0;
	int r = 0;

	for (uint32_t i = 0; i < w->b->count && r == 0; i++) {
		r = check_neighbour(before, path_at(w, i), why);
		if (r < 0) {
			r = manifest_builder_leave_out(w->b, r);
			continue;
		}
		before = path_at(w, i);
		w->order[kept++] = w->order[i];
	}
	w->b->count = kept;
	return r == 0 && !kept && w->b->left_out ? ERR_PROTO : r;
}

/* Counts the nodes that a path has more than its neighbour, and the bytes of their names. */
static void count_path(struct build *w, const char *before, const char *path)
{
	size_t at = component_start(path, common_length(before, path));

	w->name_bytes += (uint32_t)strlen(path + at) + 1;
	w->node_count++;
	for (const char *slash = strchr(path + at, '/'); slash; slash = strchr(slash + 1, '/'))
		w->node_count++;
}

static void count_nodes(struct build *w)
{
	const char *before = "";

	w->node_count = 1; /* the root, */
	w->name_bytes = 1; /* whose name is "" */
	for (uint32_t i = 0; i < w->b->count; i++) {
		count_path(w, before, path_at(w, i));
		before = path_at(w, i);
	}
}

static int allocate(struct build *w)
{
	size_t files = (size_t)w->b->count + 1; /* never 0, which calloc may answer with NULL */
	struct manifest *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	w->m = m;
	w->skip = calloc(w->node_count, sizeof(*w->skip));
	m->nodes = calloc(w->node_count, sizeof(*m->nodes));
	m->names = calloc(w->name_bytes, 1);
	m->by_name = calloc(w->node_count, sizeof(*m->by_name));
	m->files = calloc(files, sizeof(*m->files));
	m->by_etag = calloc(files, sizeof(*m->by_etag));
	if (!w->skip || !m->nodes || !m->names || !m->by_name || !m->files || !m->by_etag)
		return -ENOMEM;
	return 0;
}

static void place_file(struct manifest *m, struct manifest_node *n,
		       const struct manifest_file *file)
{
	n->first = m->file_count;
	n->count = MANIFEST_IS_FILE;
	m->files[m->file_count++] = *file;
	if (__builtin_add_overflow(m->total_bytes, file->size, &m->total_bytes))
		m->total_bytes = UINT64_MAX;
}

/* Makes the node for the component at `skip` of the entries first ... end-1. Until a directory's
 * turn comes, its first and count say which entries are below it. */
static void place_node(struct build *w, uint32_t parent, uint32_t first, uint32_t end)
{
	uint32_t number = w->m->node_count++;
	struct manifest_node *n = &w->m->nodes[number];
	uint16_t skip = w->skip[parent];
	const char *name = path_at(w, first) + skip;
	size_t len = component_length(name);

	n->name = w->name_bytes;
	n->parent = parent;
	memcpy(w->m->names + n->name, name, len);
	w->name_bytes += (uint32_t)len + 1;
	if (!name[len]) {
		place_file(w->m, n, &entry_at(w, first)->file);
		return;
	}
	n->first = first;
	n->count = end - first;
	w->skip[number] = (uint16_t)(skip + len + 1);
}

/* True if entries i and j have the same component at skip. */
static bool same_component(const struct build *w, uint32_t i, uint32_t j, uint16_t skip)
{
	const char *a = path_at(w, i) + skip, *b = path_at(w, j) + skip;
	size_t len = component_length(a);

	return strncmp(a, b, len) == 0 && b[len] == '/';
}

static void place_children(struct build *w, uint32_t node)
{
	struct manifest_node *n = &w->m->nodes[node];
	uint32_t first = n->first, end = first + n->count;

	n->first = w->m->node_count;
	while (first < end) {
		uint32_t next = first + 1;

		while (next < end && same_component(w, first, next, w->skip[node]))
			next++;
		place_node(w, node, first, next);
		first = next;
	}
	n->count = w->m->node_count - n->first;
}

static void place_all(struct build *w)
{
	struct manifest *m = w->m;

	assert(m);
	w->name_bytes = 1;
	m->node_count = 1;
	m->nodes[MANIFEST_ROOT] = (struct manifest_node){ .count = w->b->count };
	for (uint32_t node = 0; node < m->node_count; node++) {
		if (m->nodes[node].count != MANIFEST_IS_FILE)
			place_children(w, node);
	}
	assert(m->node_count == w->node_count);
}

static void sort_names(struct manifest *m)
{
	for (uint32_t node = 0; node < m->node_count; node++)
		m->by_name[node] = node;
	for (uint32_t node = 0; node < m->node_count; node++) {
		const struct manifest_node *n = &m->nodes[node];

		if (n->count != MANIFEST_IS_FILE)
			sort(m->by_name + n->first, n->count, sizeof(*m->by_name), order_names, m);
	}
}

/* Sorting pairs keeps the first bytes of a digest near: a million files sort five times as fast. */
struct pair {
	uint64_t head;
	uint32_t node;
};

static int order_pairs(const void *a, const void *b, void *arg)
{
	const struct pair *x = a, *y = b;
	const struct manifest *m = arg;

	if (x->head != y->head)
		return x->head < y->head ? -1 : 1;
	return manifest_digest_compare(&m->files[m->nodes[x->node].first],
				       &m->files[m->nodes[y->node].first]);
}

static int sort_etags(struct manifest *m)
{
	CLEANUP(freep) struct pair *pairs = calloc((size_t)m->file_count + 1, sizeof(*pairs));
	uint32_t count = 0;

	if (!pairs)
		return -ENOMEM;
	for (uint32_t node = 0; node < m->node_count; node++) {
		const struct manifest_file *f = manifest_file(m, node);
		struct pair *p = &pairs[count];

		if (!f)
			continue;
		memcpy(&p->head, f->digest, sizeof(p->head));
		p->head = __builtin_bswap64(p->head);
		p->node = node;
		count++;
	}
	sort(pairs, count, sizeof(*pairs), order_pairs, m);
	for (uint32_t i = 0; i < count; i++)
		m->by_etag[i] = pairs[i].node;
	return 0;
}

int manifest_builder_finish(struct manifest_builder *b, struct manifest **ret, struct buf *why)
{
	CLEANUP(build_fini) struct build w = { .b = b };
	int r = sort_paths(&w);

	if (r == 0)
		r = settle_conflicts(&w, why);
	count_nodes(&w);
	if (r == 0)
		r = allocate(&w);
	if (r < 0)
		return r;
	place_all(&w);
	sort_names(w.m);
	r = sort_etags(w.m);
	if (r == 0)
		*ret = steal(w.m);
	return r;
}
