/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the table (all integers little-endian; each is followed by its sum, see kv.h):
 *   "n" name    u64 checked_s, u64 used_s, u64 bytes of the other row
 *   "t" name    text NUL next
 * The notes stand together in the table's order, apart from the texts. */
#include "daemon/cache/catalog_docs.h"

#include <endian.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/cache/catalog_priv.h"

enum { NOTES = 'n', TEXT = 't' };

struct doc_key {
	char text[1 + DOC_NAME_HEX];
};

static struct kv_key key_of(struct doc_key *k, char kind, const char *name)
{
	k->text[0] = kind;
	memcpy(k->text + 1, name, DOC_NAME_HEX);
	return (struct kv_key){ k->text, sizeof(k->text) };
}

static int put_notes(struct kv_txn *t, const struct catalog_doc *doc)
{
	uint64_t row[] = { htole64((uint64_t)doc->checked_s), htole64((uint64_t)doc->used_s),
			   htole64(doc->bytes) };
	struct doc_key k;

	return kv_txn_put(t, TABLE_DOC, key_of(&k, NOTES, doc->name), row, sizeof(row));
}

static int del_docs(struct kv_txn *t, const struct buf *gone)
{
	int r = 0;

	for (size_t at = 0; r == 0 && at < gone->len; at += DOC_NAME_HEX + 1) {
		struct doc_key k;

		r = kv_txn_del(t, TABLE_DOC, key_of(&k, NOTES, gone->data + at));
		if (r == 0)
			r = kv_txn_del(t, TABLE_DOC, key_of(&k, TEXT, gone->data + at));
	}
	return r;
}

struct change {
	const struct catalog_doc *docs; /* whose notes are put */
	size_t count;
	const struct buf *text; /* of the first, or NULL */
	const struct buf *gone; /* or NULL */
};

/* What goes goes first: its room is wanted. */
static int make_change(struct kv_txn *t, void *arg)
{
	const struct change *c = arg;
	struct doc_key k;
	int r = c->gone ? del_docs(t, c->gone) : 0;

	for (size_t i = 0; r == 0 && i < c->count; i++)
		r = put_notes(t, &c->docs[i]);
	if (r == 0 && c->text)
		r = kv_txn_put(t, TABLE_DOC, key_of(&k, TEXT, c->docs->name), c->text->data,
			       c->text->len);
	return r;
}

int catalog_put_doc(struct catalog *c, const struct catalog_doc *doc, const struct buf *text,
		    const struct buf *next, const struct buf *gone)
{
	CLEANUP(buf_free) struct buf row = { 0 };
	struct change change = { .docs = doc, .count = 1, .text = &row, .gone = gone };

	buf_add(&row, buf_str(text), text->len + 1);
	buf_add(&row, buf_str(next), next->len);
	return row.failed ? row.failed : kv_write(c->kv, make_change, &change);
}

int catalog_note_docs(struct catalog *c, const struct catalog_doc *docs, size_t count)
{
	struct change change = { .docs = docs, .count = count };

	return kv_write(c->kv, make_change, &change);
}

int catalog_del_docs(struct catalog *c, const struct buf *gone)
{
	struct change change = { .gone = gone };

	return kv_write(c->kv, make_change, &change);
}

int catalog_get_doc(struct catalog *c, const char *name, struct buf *ret_text, struct buf *ret_next)
{
	struct doc_key k;
	size_t text_len;
	int r = kv_get(c->kv, TABLE_DOC, key_of(&k, TEXT, name), ret_text);

	if (r < 0)
		return r;
	text_len = strlen(buf_str(ret_text));
	if (text_len == ret_text->len)
		return ERR_CORRUPT;
	r = buf_add_str(ret_next, ret_text->data + text_len + 1);
	ret_text->len = text_len;
	return r;
}

struct each_doc {
	catalog_doc_fn fn;
	void *arg;
};

static int doc_row(void *arg, const struct kv_key *key, const void *val, size_t val_len)
{
	struct each_doc *e = arg;
	struct catalog_doc doc = { .name = "" };
	uint64_t row[3];

	if (key->len != sizeof(struct doc_key) || val_len != sizeof(row))
		return 0; /* damaged: as if never asked */
	memcpy(doc.name, (const char *)key->data + 1, DOC_NAME_HEX);
	memcpy(row, val, sizeof(row));
	if (!hex_is(doc.name, DOC_NAME_HEX))
		return 0;
	doc.checked_s = (int64_t)le64toh(row[0]);
	doc.used_s = (int64_t)le64toh(row[1]);
	doc.bytes = le64toh(row[2]);
	return e->fn(e->arg, &doc);
}

int catalog_each_doc(struct catalog *c, catalog_doc_fn fn, void *arg)
{
	static const char prefix = NOTES;
	struct each_doc e = { fn, arg };

	return kv_each(c->kv, TABLE_DOC, (struct kv_key){ &prefix, 1 }, doc_row, &e);
}
