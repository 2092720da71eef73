/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/discuss_json.h"

#include <string.h>

#include "admin/hub/people.h"

#define HIDDEN "This comment has been hidden"

static void write_repo(struct jwrite *w, const struct repo_id *id)
{
	jwrite_object(w, "repo");
	jwrite_text(w, "name", id->name);
	jwrite_text(w, "type", repo_type_word(id->type));
	jwrite_object_end(w);
}

int discuss_write(struct db_txn *t, struct jwrite *w, const struct registry_repo *repo,
		  const struct discussion *d)
{
	jwrite_uint(w, "num", d->num);
	jwrite_text(w, "title", d->title);
	jwrite_text(w, "status", discussion_status_word(d->status));
	jwrite_time(w, "createdAt", d->created_ms);
	jwrite_bool(w, "isPullRequest", d->is_pull);
	jwrite_bool(w, "pinned", false);
	jwrite_bool(w, "locked", false);
	jwrite_uint(w, "numComments", d->comments);
	write_repo(w, &repo->id);
	return people_write(t, w, "author", d->author);
}

void discuss_write_html(struct jwrite *w, const char *key, const char *text)
{
	static const char *const names[] = {
		['&'] = "&amp;", ['<'] = "&lt;", ['>'] = "&gt;", ['"'] = "&quot;"
	};
	CLEANUP(buf_free) struct buf html = { 0 };

	while (*text) {
		size_t len = strcspn(text, "&<>\"");

		buf_add(&html, text, len);
		text += len;
		if (*text)
			buf_add_str(&html, names[(unsigned char)*text++]);
	}
	jwrite_text(w, key, buf_str(&html));
	if (html.failed)
		w->to->failed = html.failed;
}

static int write_past(struct db_txn *t, struct jwrite *w, const struct jval *past)
{
	const char *author = jval_get_str(past, "author");
	int r;

	jwrite_object(w, NULL);
	jwrite_text(w, "raw", jval_get_str(past, "raw"));
	jwrite_text(w, "updatedAt", jval_get_str(past, "updatedAt"));
	r = author ? people_write(t, w, "author", author) : 0;
	jwrite_object_end(w);
	return r;
}

static int write_comment(struct db_txn *t, struct jwrite *w, const struct event *e)
{
	const char *text = e->hidden ? HIDDEN : e->text;
	int r;

	jwrite_bool(w, "edited", e->history != NULL);
	jwrite_bool(w, "hidden", e->hidden);
	if (e->hidden)
		jwrite_text(w, "hiddenBy", e->editor);
	jwrite_object(w, "latest");
	jwrite_text(w, "raw", text);
	discuss_write_html(w, "html", text);
	jwrite_time(w, "updatedAt", e->edited_ms ? e->edited_ms : e->at_ms);
	r = people_write(t, w, "author", e->editor ? e->editor : e->author);
	jwrite_object_end(w);
	jwrite_uint(w, "numEdits", jval_count(e->history));
	jwrite_array(w, "history");
	for (size_t i = 0; r == 0 && i < jval_count(e->history); i++)
		r = write_past(t, w, jval_at(e->history, i));
	jwrite_array_end(w);
	return r;
}

static int write_data(struct db_txn *t, struct jwrite *w, const struct event *e)
{
	switch (e->kind) {
	case EVENT_COMMENT:
		return write_comment(t, w, e);
	case EVENT_STATUS:
		jwrite_text(w, "status", e->text);
		return 0;
	case EVENT_COMMIT:
		jwrite_text(w, "subject", e->text);
		jwrite_text(w, "oid", e->other);
		return 0;
	default:
		jwrite_text(w, "from", e->text);
		jwrite_text(w, "to", e->other);
		return 0;
	}
}

int discuss_write_event(struct db_txn *t, struct jwrite *w, const char *key, const struct event *e)
{
	int r;

	jwrite_object(w, key);
	jwrite_text(w, "id", e->id);
	jwrite_text(w, "type", event_kind_word(e->kind));
	jwrite_time(w, "createdAt", e->at_ms);
	r = people_write(t, w, "author", e->author);
	jwrite_object(w, "data");
	if (r == 0)
		r = write_data(t, w, e);
	jwrite_object_end(w);
	jwrite_object_end(w);
	return r;
}
