/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/git/gitobject.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/err.h"
#include "daemon/model/manifest.h"

#define ZONE_MAX (24 * 60)

/* ---- trees ---- */

/* On NTFS: ends of blanks and dots do not count, nor does what follows a colon or a backslash. */
static bool is_ntfs_git(const char *name)
{
	size_t len = strncasecmp(name, ".git", 4) == 0    ? 4
		     : strncasecmp(name, "git~1", 5) == 0 ? 5
							  : 0;

	name += len + strspn(name + len, " .");
	return len && (!*name || strchr(":\\", *name));
}

/* Letters that HFS+ passes over when it compares names: U+200C-F, U+202A-E, U+206A-F, U+FEFF. */
static size_t unseen(const char *at)
{
	const unsigned char *c = (const unsigned char *)at;

	if (c[0] == 0xef)
		return c[1] == 0xbb && c[2] == 0xbf ? 3 : 0;
	if (c[0] != 0xe2 || (c[1] != 0x80 && c[1] != 0x81))
		return 0;
	if (c[1] == 0x81)
		return c[2] >= 0xaa && c[2] <= 0xaf ? 3 : 0;
	return (c[2] >= 0x8c && c[2] <= 0x8f) || (c[2] >= 0xaa && c[2] <= 0xae) ? 3 : 0;
}

static bool is_hfs_git(const char *name)
{
	char seen[sizeof(".git")] = "";
	size_t len = 0;

	while (*name && len < sizeof(seen) - 1) {
		size_t skip = unseen(name);

		if (!skip)
			seen[len++] = *name++;
		name += skip;
	}
	while (unseen(name))
		name += unseen(name);
	return !*name && strcasecmp(seen, ".git") == 0;
}

bool git_name_valid(const char *name)
{
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	if (is_hfs_git(name) || is_ntfs_git(name))
		return false;
	for (const char *at = strchr(name, '\\'); at; at = strchr(at + 1, '\\'))
		if (is_ntfs_git(at + 1))
			return false;
	return true;
}

bool git_path_valid(const char *path)
{
	char name[MANIFEST_NAME_MAX + 1];

	for (;; path++) {
		size_t len = strcspn(path, "/");

		if (len > MANIFEST_NAME_MAX)
			return false;
		memcpy(name, path, len);
		name[len] = '\0';
		if (!git_name_valid(name))
			return false;
		path += len;
		if (!*path)
			return true;
	}
}

/* git sorts a directory as if its name ended in a slash. */
static int byte_at(const struct git_entry *e, size_t at)
{
	return e->name[at] ? (unsigned char)e->name[at] : e->mode == GIT_DIRECTORY ? '/' : 0;
}

int git_entry_order(const struct git_entry *a, const struct git_entry *b)
{
	size_t at = 0;

	while (a->name[at] && a->name[at] == b->name[at])
		at++;
	return byte_at(a, at) - byte_at(b, at);
}

static int by_name(const void *a, const void *b)
{
	return git_entry_order(a, b);
}

/* They stand in order as a rule, but for what was added. */
static void sort(struct git_entry *list, size_t count)
{
	for (size_t i = 1; i < count; i++)
		if (by_name(&list[i - 1], &list[i]) > 0) {
			qsort(list, count, sizeof(*list), by_name);
			return;
		}
}

/* Of a file and a directory the names can be the same and stand apart. */
static int check_entries(const struct git_entry *list, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct git_entry file = { .mode = GIT_FILE, .name = list[i].name };

		if (!*list[i].name || strchr(list[i].name, '/'))
			return -EINVAL;
		if (i > 0 && by_name(&list[i - 1], &list[i]) == 0)
			return -EEXIST;
		if (list[i].mode == GIT_DIRECTORY &&
		    bsearch(&file, list, i, sizeof(*list), by_name))
			return -EEXIST;
	}
	return 0;
}

static const struct {
	const char *text;
	enum git_mode mode;
} modes[] = {
	{ "40000 ", GIT_DIRECTORY }, { "100644 ", GIT_FILE },      { "100755 ", GIT_EXECUTABLE },
	{ "120000 ", GIT_LINK },     { "160000 ", GIT_SUBMODULE },
};

static const char *mode_text(enum git_mode mode)
{
	for (size_t i = 0; i < ARRAY_LEN(modes); i++)
		if (modes[i].mode == mode)
			return modes[i].text;
	return NULL;
}

int git_tree_print(struct git_entry *list, size_t count, struct buf *ret)
{
	int r;

	sort(list, count);
	r = check_entries(list, count);
	for (size_t i = 0; r == 0 && i < count; i++) {
		const char *mode = mode_text(list[i].mode);

		if (!mode)
			return -EINVAL;
		buf_add_str(ret, mode);
		buf_add(ret, list[i].name, strlen(list[i].name) + 1);
		r = buf_add(ret, list[i].id, GIT_ID);
	}
	return r < 0 ? r : ret->failed;
}

static const char *read_mode(const char *at, size_t left, enum git_mode *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
		size_t len = strlen(modes[i].text);

		if (left < len || memcmp(at, modes[i].text, len) != 0)
			continue;
		*ret = modes[i].mode;
		return at + len;
	}
	return NULL;
}

int git_tree_next(const char **at, size_t *left, struct git_entry *ret)
{
	const char *end = *at + *left, *name, *nul;

	if (!*left)
		return 0;
	name = read_mode(*at, *left, &ret->mode);
	nul = name ? memchr(name, '\0', (size_t)(end - name)) : NULL;
	if (!nul || nul == name || memchr(name, '/', (size_t)(nul - name)) ||
	    end - (nul + 1) < GIT_ID)
		return ERR_CORRUPT;
	ret->name = name;
	ret->id = (const uint8_t *)nul + 1;
	*at = nul + 1 + GIT_ID;
	*left = (size_t)(end - *at);
	return 1;
}

/* Each takes its id, the shortest mode, a blank, a name and a NUL at least. */
#define ENTRY_MIN (sizeof("40000 x") + GIT_ID)

int git_tree_list(const char *bytes, size_t len, struct git_entry **ret, size_t *ret_count)
{
	CLEANUP(freep) struct git_entry *list = calloc(len / ENTRY_MIN + 1, sizeof(*list));
	size_t count = 0;
	int r;

	if (!list)
		return -ENOMEM;
	while ((r = git_tree_next(&bytes, &len, &list[count])) == 1) {
		if (count && by_name(&list[count - 1], &list[count]) >= 0)
			return ERR_CORRUPT;
		count++;
	}
	if (r < 0)
		return r;
	*ret = steal(list);
	*ret_count = count;
	return 0;
}

const struct git_entry *git_entry_find(const struct git_entry *list, size_t count, const char *name,
				       bool directory)
{
	const struct git_entry key = { .mode = directory ? GIT_DIRECTORY : GIT_FILE, .name = name };

	return count ? bsearch(&key, list, count, sizeof(key), by_name) : NULL;
}

/* ---- commits: printed ---- */

/* What git takes off both ends of names (ident.c); the dot only in older releases, so it stays. */
static bool is_crud(char c)
{
	return (unsigned char)c <= ' ' || strchr(",:;<>\"\\'", c);
}

static void print_clean(const char *text, struct buf *ret)
{
	size_t len;

	while (*text && is_crud(*text))
		text++;
	len = strlen(text);
	while (len && is_crud(text[len - 1]))
		len--;
	for (size_t i = 0; i < len; i++)
		if (!strchr("\n<>", text[i]))
			buf_add(ret, text + i, 1);
}

static int print_person(const char *field, const struct git_person *p, struct buf *ret)
{
	int zone = p->zone_min < 0 ? -p->zone_min : p->zone_min;

	if (p->at_s < 0 || zone > ZONE_MAX)
		return -EINVAL;
	buf_printf(ret, "%s ", field);
	print_clean(p->name, ret);
	buf_add_str(ret, " <");
	print_clean(p->email, ret);
	return buf_printf(ret, "> %" PRId64 " %c%02d%02d\n", p->at_s, p->zone_min < 0 ? '-' : '+',
			  zone / 60, zone % 60);
}

static void print_id(const char *field, const uint8_t id[static GIT_ID], struct buf *ret)
{
	char hex[2 * GIT_ID + 1];

	hex_print(id, GIT_ID, hex);
	buf_printf(ret, "%s %s\n", field, hex);
}

int git_commit_print(const struct git_commit *c, struct buf *ret)
{
	int r = c->parent_count <= GIT_PARENTS_MAX ? 0 : -EINVAL;

	print_id("tree", c->tree, ret);
	for (unsigned i = 0; r == 0 && i < c->parent_count; i++)
		print_id("parent", c->parents[i], ret);
	if (r == 0)
		r = print_person("author", &c->author, ret);
	if (r == 0)
		r = print_person("committer", &c->committer, ret);
	return r < 0 ? r : buf_printf(ret, "\n%s", c->message);
}

/* ---- commits: read ---- */

/* Cuts the line at *at off, which goes behind it. NULL if there is no more. */
static char *next_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return line;
}

/* The value of a line "field value", or NULL if it is another field. */
static char *value_of(char *line, const char *field)
{
	size_t len = strlen(field);

	return strncmp(line, field, len) == 0 && line[len] == ' ' ? line + len + 1 : NULL;
}

static int parse_id(char **at, const char *field, uint8_t ret[static GIT_ID])
{
	char *line = next_line(at), *value = line ? value_of(line, field) : NULL;

	return value && hex_is(value, 2 * GIT_ID) && hex_parse(value, GIT_ID, ret) == 0
		       ? 0
		       : ERR_CORRUPT;
}

static int parse_parents(char **at, struct git_commit *ret)
{
	int r = 0;

	ret->parent_count = 0;
	while (r == 0 && value_of(*at, "parent")) {
		if (ret->parent_count == GIT_PARENTS_MAX)
			return ERR_CORRUPT;
		r = parse_id(at, "parent", ret->parents[ret->parent_count++]);
	}
	return r;
}

/* "+0530" */
static int parse_zone(const char *text, int *ret)
{
	int v = 0;

	if ((*text != '+' && *text != '-') || strlen(text) != 5)
		return ERR_CORRUPT;
	for (int i = 1; i < 5; i++) {
		if (text[i] < '0' || text[i] > '9')
			return ERR_CORRUPT;
		v = 10 * v + text[i] - '0';
	}
	v = v / 100 * 60 + v % 100;
	*ret = *text == '-' ? -v : v;
	return v > ZONE_MAX ? ERR_CORRUPT : 0;
}

static int parse_time(const char *text, struct git_person *ret)
{
	char *end;

	if (*text < '0' || *text > '9')
		return ERR_CORRUPT;
	errno = 0;
	ret->at_s = strtoll(text, &end, 10);
	return errno || *end != ' ' ? ERR_CORRUPT : parse_zone(end + 1, &ret->zone_min);
}

static int parse_person(char **at, const char *field, struct git_person *ret)
{
	char *line = next_line(at), *name = line ? value_of(line, field) : NULL;
	char *email = name ? strchr(name, '<') : NULL, *end = email ? strchr(email, '>') : NULL;

	if (!end || end[1] != ' ')
		return ERR_CORRUPT;
	*end = '\0';
	*email++ = '\0';
	if (email - name >= 2 && email[-2] == ' ')
		email[-2] = '\0';
	ret->name = name;
	ret->email = email;
	return parse_time(end + 2, ret);
}

int git_commit_parse(struct buf *bytes, struct git_commit *ret)
{
	char *at = bytes->data, *line;
	int r = at && strlen(at) == bytes->len ? 0 : ERR_CORRUPT;

	if (r == 0)
		r = parse_id(&at, "tree", ret->tree);
	if (r == 0)
		r = parse_parents(&at, ret);
	if (r == 0)
		r = parse_person(&at, "author", &ret->author);
	if (r == 0)
		r = parse_person(&at, "committer", &ret->committer);
	if (r < 0)
		return r;
	do
		line = next_line(&at);
	while (line && *line);
	ret->message = at;
	return line ? 0 : ERR_CORRUPT;
}

/* ---- pointers of git-lfs ---- */

#define POINTER_OID "version https://git-lfs.github.com/spec/v1\noid sha256:"

int git_pointer_print(const uint8_t sha256[static 32], uint64_t size, struct buf *ret)
{
	char hex[65];
	int r = buf_reserve(ret, GIT_POINTER_MAX); /* one allocation: there are many of them */

	if (r < 0)
		return r;
	hex_print(sha256, 32, hex);
	buf_add_str(ret, POINTER_OID);
	buf_add(ret, hex, sizeof(hex) - 1);
	buf_add_str(ret, "\nsize ");
	buf_add_digits(ret, size);
	return buf_add_str(ret, "\n");
}

/* What says so is printed again: there is one way to write a pointer. */
bool git_pointer_parse(const void *data, size_t len, uint8_t ret_sha256[static 32],
		       uint64_t *ret_size)
{
	CLEANUP(buf_free) struct buf again = { 0 };
	char text[GIT_POINTER_MAX + 1], *hex = text + strlen(POINTER_OID), *size = hex + 64;

	if (len >= sizeof(text) || len < (size_t)(size - text))
		return false;
	memcpy(text, data, len);
	text[len] = '\0';
	if (strncmp(size, "\nsize ", 6) != 0)
		return false;
	*size = '\0';
	if (strlen(hex) != 64 || hex_parse(hex, 32, ret_sha256) < 0)
		return false;
	*ret_size = strtoull(size + 6, NULL, 10);
	return git_pointer_print(ret_sha256, *ret_size, &again) == 0 && again.len == len &&
	       memcmp(again.data, data, len) == 0;
}
