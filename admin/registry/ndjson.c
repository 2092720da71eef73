/* SPDX-License-Identifier: Apache-2.0 */
/* A line is {"key": ..., "value": {...}}: the members of its value that mean something are
 * collected in fields, but for a file's content, which is decoded and given on at once. What else
 * is there is passed over, so that clients may say more than we know. */
#include "admin/registry/ndjson.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "admin/git/gitobject.h"
#include "daemon/base/base64.h"
#include "daemon/base/jpush.h"
#include "daemon/base/why.h"
#include "daemon/model/manifest.h"

#define PIECE 16384  /* digits that are decoded at once */
#define LINE_DEPTH 2 /* of the members of a value */

enum line_kind {
	LINE_UNKNOWN = -2, /* no key so far */
	LINE_HEADER = -1,
	/* others: an ndjson_kind */
};

static const struct {
	const char *key;
	int kind;
} keys[] = {
	{ "header", LINE_HEADER },
	{ "file", NDJSON_FILE },
	{ "lfsFile", NDJSON_LFS_FILE },
	{ "deletedFile", NDJSON_DELETED_FILE },
	{ "deletedFolder", NDJSON_DELETED_FOLDER },
	{ "copyFile", NDJSON_COPY_FILE },
};

enum field {
	FIELD_SUMMARY,
	FIELD_DESCRIPTION,
	FIELD_PARENT,
	FIELD_PATH,
	FIELD_CONTENT,
	FIELD_ENCODING,
	FIELD_ALGO,
	FIELD_OID,
	FIELD_SIZE,
	FIELD_SOURCE,
	FIELD_SOURCE_REVISION,
	FIELDS,
	FIELD_NONE = FIELDS,
};

#define IN(kind) (1U << ((kind) + 1))
#define PATHS \
	(IN(NDJSON_FILE) | IN(NDJSON_LFS_FILE) | IN(NDJSON_DELETED_FILE) | \
	 IN(NDJSON_DELETED_FOLDER) | IN(NDJSON_COPY_FILE))

static const struct {
	const char *name;
	unsigned lines;  /* where it means something */
	unsigned needed; /* where it must be */
	size_t max;      /* bytes */
	bool number;
} fields[FIELDS] = {
	[FIELD_SUMMARY] = { "summary", IN(LINE_HEADER), IN(LINE_HEADER), NDJSON_TEXT_MAX, false },
	[FIELD_DESCRIPTION] = { "description", IN(LINE_HEADER), 0, NDJSON_TEXT_MAX, false },
	[FIELD_PARENT] = { "parentCommit", IN(LINE_HEADER), 0, 255, false },
	[FIELD_PATH] = { "path", PATHS, PATHS, MANIFEST_PATH_MAX, false },
	[FIELD_CONTENT] = { "content", IN(NDJSON_FILE), IN(NDJSON_FILE), SIZE_MAX, false },
	[FIELD_ENCODING] = { "encoding", IN(NDJSON_FILE), IN(NDJSON_FILE), 32, false },
	[FIELD_ALGO] = { "algo", IN(NDJSON_LFS_FILE), 0, 32, false },
	[FIELD_OID] = { "oid", IN(NDJSON_LFS_FILE), IN(NDJSON_LFS_FILE), 64, false },
	[FIELD_SIZE] = { "size", IN(NDJSON_LFS_FILE), 0, 32, true },
	[FIELD_SOURCE] = { "srcPath", IN(NDJSON_COPY_FILE), IN(NDJSON_COPY_FILE), MANIFEST_PATH_MAX,
			   false },
	[FIELD_SOURCE_REVISION] = { "srcRevision", IN(NDJSON_COPY_FILE), 0, 255, false },
};

struct ndjson {
	struct ndjson_events events;
	void *arg;
	struct jpush json;
	struct buf *why; /* of the call that runs */
	uint64_t line;
	bool begun;  /* the line holds something */
	bool header; /* there was one */
	bool told;   /* what is wrong */
	/* Of the line: */
	unsigned depth;
	int kind;
	bool keyed, valued; /* its key, or its value, is over */
	bool key_next, value_next;
	enum field field; /* whose value is next */
	unsigned said;    /* fields, a bit for each */
	struct buf text[FIELDS];
	struct buf key;
	struct base64 content;
	uint8_t bytes[BASE64_BYTES(PIECE)];
};

static int refuse(struct ndjson *n, const char *fmt, ...) PRINTF(2, 3);
static int refuse(struct ndjson *n, const char *fmt, ...)
{
	va_list ap;

	buf_printf(n->why, "line %" PRIu64 ": ", n->line);
	va_start(ap, fmt);
	buf_vprintf(n->why, fmt, ap);
	va_end(ap);
	return -EINVAL;
}

/* ---- a line as it comes ---- */

static int find_kind(struct ndjson *n)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (!strcmp(keys[i].key, buf_str(&n->key)))
			n->kind = keys[i].kind;
	n->keyed = true;
	n->key_next = false;
	if (n->kind == LINE_UNKNOWN)
		return refuse(n, "there is nothing called \"%s\" in a commit", buf_str(&n->key));
	if (n->header == (n->kind == LINE_HEADER))
		return refuse(n, n->header ? "there was a header already"
					   : "the first line of a commit is its header");
	return 0;
}

static int name_field(struct ndjson *n, const char *name)
{
	n->field = FIELD_NONE;
	for (int i = 0; i < FIELDS; i++)
		if (fields[i].lines & IN(n->kind) && !strcmp(fields[i].name, name))
			n->field = (enum field)i;
	if (n->field == FIELD_NONE)
		return 0;
	if (n->said & 1U << n->field)
		return refuse(n, "\"%s\" stands there twice", name);
	n->said |= 1U << n->field;
	return 0;
}

static int name_member(struct ndjson *n, const char *name)
{
	n->key_next = !strcmp(name, "key");
	n->value_next = !strcmp(name, "value");
	if ((n->key_next && n->keyed) || (n->value_next && n->valued))
		return refuse(n, "\"%s\" stands there twice", name);
	if (n->value_next && !n->keyed)
		return refuse(n, "\"key\" comes before \"value\"");
	return 0;
}

static int give_content(struct ndjson *n, const char *data, size_t len)
{
	for (size_t at = 0; at < len; at += PIECE) {
		size_t count, piece = len - at < PIECE ? len - at : PIECE;
		int r = base64_take(&n->content, data + at, piece, n->bytes, &count);

		if (r < 0)
			return refuse(n, "the content is no Base64");
		r = count ? n->events.bytes(n->arg, n->bytes, count) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_text(struct ndjson *n, const char *data, size_t len)
{
	if (n->depth == 1 && n->key_next && n->key.len + len <= 64)
		return buf_add(&n->key, data, len);
	if (n->depth == 1 && n->key_next)
		return refuse(n, "the key is too long");
	if (n->depth != LINE_DEPTH || n->field == FIELD_NONE)
		return 0;
	if (n->field == FIELD_CONTENT)
		return give_content(n, data, len);
	if (n->text[n->field].len + len > fields[n->field].max)
		return refuse(n, "\"%s\" has more than %zu bytes", fields[n->field].name,
			      fields[n->field].max);
	return buf_add(&n->text[n->field], data, len);
}

/* What stands there is of another kind. */
static int refuse_field(struct ndjson *n, enum field f)
{
	return refuse(n, "\"%s\" is no %s", fields[f].name, fields[f].number ? "number" : "text");
}

/* The same beside the value: others may be of any kind. */
static int refuse_member(struct ndjson *n)
{
	if (n->key_next)
		return refuse(n, "\"key\" is no text");
	return n->value_next ? refuse(n, "\"value\" is no object") : 0;
}

/* A number, true, false; a null is as if the member were not there. */
static int add_word(struct ndjson *n, const char *word, size_t len)
{
	enum field f = n->field;

	if (n->depth != LINE_DEPTH || f == FIELD_NONE) {
		return n->depth == 1 ? refuse_member(n) : 0;
	}
	n->field = FIELD_NONE;
	if (!strcmp(word, "null"))
		n->said &= ~(1U << f);
	else if (!fields[f].number)
		return refuse_field(n, f);
	else
		return buf_add(&n->text[f], word, len);
	return 0;
}

static int end_text(struct ndjson *n)
{
	if (n->depth == 1 && n->key_next)
		return find_kind(n);
	if (n->depth == 1)
		return refuse_member(n);
	if (n->depth != LINE_DEPTH || n->field == FIELD_NONE)
		return 0;
	if (fields[n->field].number)
		return refuse_field(n, n->field);
	n->field = FIELD_NONE;
	return 0;
}

static int open_one(struct ndjson *n, bool object)
{
	int r = 0;

	if (n->depth == 1 && !(n->value_next && object))
		r = refuse_member(n);
	if (n->depth == LINE_DEPTH && n->field != FIELD_NONE)
		r = refuse_field(n, n->field);
	n->depth++;
	return r;
}

static int close_one(struct ndjson *n)
{
	n->depth--;
	n->valued = n->valued || (n->depth == 1 && n->value_next);
	return 0;
}

/* Only the value's own members are fields, not those of another object beside it. */
static int name_one(struct ndjson *n, const char *name)
{
	if (n->depth == 1)
		return name_member(n, name);
	return n->depth == LINE_DEPTH && n->value_next ? name_field(n, name) : 0;
}

static int on_event(struct ndjson *n, enum jpush_event event, const char *data, size_t len)
{
	if (n->depth == 0 && event != JPUSH_OBJECT)
		return refuse(n, "this is no JSON object");
	switch (event) {
	case JPUSH_OBJECT:
	case JPUSH_ARRAY:
		return open_one(n, event == JPUSH_OBJECT);
	case JPUSH_END:
		return close_one(n);
	case JPUSH_NAME:
		return name_one(n, data);
	case JPUSH_TEXT:
		return add_text(n, data, len);
	case JPUSH_TEXT_END:
		return end_text(n);
	case JPUSH_WORD_END:
		return add_word(n, data, len);
	}
	return 0;
}

static int on_json(void *arg, enum jpush_event event, const char *data, size_t len)
{
	struct ndjson *n = arg;
	int r = on_event(n, event, data, len);

	n->told = r < 0;
	return r;
}

/* ---- a line that is whole ---- */

static int check_needed(struct ndjson *n)
{
	for (int i = 0; i < FIELDS; i++)
		if (fields[i].needed & IN(n->kind) && !(n->said & 1U << i))
			return refuse(n, "\"%s\" is missing", fields[i].name);
	return 0;
}

/* On Windows a backslash divides names too. As on the public hub, no further than where it begins:
 * what climbs later on its clients refuse themselves. */
static bool climbs(const char *path)
{
	return strncmp(path, "..\\", 3) == 0;
}

static int check_path(struct ndjson *n, enum field field)
{
	const char *path = buf_str(&n->text[field]);

	if (git_path_valid(path) && !climbs(path))
		return 0;
	refuse(n, "\"%s\" cannot be the path of a file", path);
	return -EILSEQ;
}

static int check_file(struct ndjson *n)
{
	if (base64_end(&n->content) < 0)
		return refuse(n, "the content is no Base64");
	if (strcmp(buf_str(&n->text[FIELD_ENCODING]), "base64") != 0)
		return refuse(n, "a file's encoding is \"base64\"");
	return 0;
}

static int check_lfs_file(struct ndjson *n, struct ndjson_op *op)
{
	const char *size = buf_str(&n->text[FIELD_SIZE]);
	char *end;

	if (n->said & 1U << FIELD_ALGO && strcmp(buf_str(&n->text[FIELD_ALGO]), "sha256") != 0)
		return refuse(n, "the algorithm of an LFS file is \"sha256\"");
	if (!hex_is(op->oid, 64))
		return refuse(n, "the oid of an LFS file has 64 hex digits in small letters");
	op->size = -1;
	if (!(n->said & 1U << FIELD_SIZE))
		return 0;
	errno = 0;
	op->size = strtoll(size, &end, 10);
	return errno || *end || op->size < 0 ? refuse(n, "\"size\" is no number of bytes") : 0;
}

static int give_header(struct ndjson *n)
{
	const struct ndjson_header h = {
		.summary = buf_str(&n->text[FIELD_SUMMARY]),
		.description = buf_str(&n->text[FIELD_DESCRIPTION]),
		.parent = buf_str(&n->text[FIELD_PARENT]),
	};

	n->header = true;
	return n->events.header(n->arg, &h);
}

/* Clients end the path of a folder with a slash. */
static void trim_folder(struct ndjson *n)
{
	struct buf *path = &n->text[FIELD_PATH];

	if (path->len && path->data[path->len - 1] == '/')
		path->data[--path->len] = '\0';
}

static int give_op(struct ndjson *n)
{
	struct ndjson_op op = { .kind = (enum ndjson_kind)n->kind, .line = n->line, .size = -1 };
	int r;

	if (op.kind == NDJSON_DELETED_FOLDER)
		trim_folder(n);
	r = check_path(n, FIELD_PATH);
	op.path = buf_str(&n->text[FIELD_PATH]);
	op.oid = buf_str(&n->text[FIELD_OID]);
	op.source = buf_str(&n->text[FIELD_SOURCE]);
	op.source_revision = buf_str(&n->text[FIELD_SOURCE_REVISION]);
	if (r == 0 && op.kind == NDJSON_FILE)
		r = check_file(n);
	if (r == 0 && op.kind == NDJSON_LFS_FILE)
		r = check_lfs_file(n, &op);
	if (r == 0 && op.kind == NDJSON_COPY_FILE)
		r = check_path(n, FIELD_SOURCE);
	return r < 0 ? r : n->events.op(n->arg, &op);
}

static int give_line(struct ndjson *n)
{
	int r;

	if (!n->keyed || !n->valued)
		return refuse(n, "\"%s\" is missing", n->keyed ? "value" : "key");
	r = check_needed(n);
	if (r < 0)
		return r;
	return n->kind == LINE_HEADER ? give_header(n) : give_op(n);
}

/* ---- lines ---- */

static void begin_line(struct ndjson *n)
{
	jpush_begin(&n->json, on_json, n);
	n->line++;
	n->begun = false;
	n->depth = 0;
	n->kind = LINE_UNKNOWN;
	n->keyed = n->valued = n->key_next = n->value_next = false;
	n->field = FIELD_NONE;
	n->said = 0;
	n->content = (struct base64){ 0 };
	buf_clear(&n->key);
	for (int i = 0; i < FIELDS; i++)
		buf_clear(&n->text[i]);
}

/* It was not JSON, unless something else was wrong with it. */
static int judge(struct ndjson *n, int r)
{
	return r == -EINVAL && !n->told ? refuse(n, "this is no JSON") : r;
}

/* Part of a line. One of blanks alone is none. */
static int take_part(struct ndjson *n, const char *data, size_t len)
{
	while (!n->begun && len && strchr(" \t\r", *data) && *data) {
		data++;
		len--;
	}
	n->begun = n->begun || len > 0;
	return judge(n, jpush_take(&n->json, data, len));
}

static int end_line(struct ndjson *n)
{
	int r = n->begun ? judge(n, jpush_end(&n->json)) : 0;

	if (r == 0 && n->begun)
		r = give_line(n);
	if (r == 0)
		begin_line(n);
	return r;
}

int ndjson_take(struct ndjson *n, const void *data, size_t len, struct buf *why)
{
	const char *at = data, *end = at + len;
	int r = 0;

	n->why = why;
	while (r == 0 && at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		r = take_part(n, at, (size_t)((newline ? newline : end) - at));
		if (r == 0 && newline)
			r = end_line(n);
		at = newline ? newline + 1 : end;
	}
	return r;
}

int ndjson_end(struct ndjson *n, struct buf *why)
{
	int r;

	n->why = why;
	r = end_line(n);
	if (r == 0 && !n->header)
		return complain_as(-EINVAL, why, "there is no header: the commit is empty");
	return r;
}

int ndjson_new(const struct ndjson_events *events, void *arg, struct ndjson **ret)
{
	struct ndjson *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->events = *events;
	n->arg = arg;
	begin_line(n);
	*ret = n;
	return 0;
}

void ndjson_free(struct ndjson *n)
{
	if (!n)
		return;
	for (int i = 0; i < FIELDS; i++)
		buf_free(&n->text[i]);
	buf_free(&n->key);
	free(n);
}

void ndjson_freep(struct ndjson **n)
{
	ndjson_free(*n);
}
