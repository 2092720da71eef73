/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/repo_answer.h"

#include "admin/hub/answer.h"
#include "admin/hub/writing.h"
#include "daemon/base/jwrite.h"

static void write_place(const struct ask *a, const struct repo_id *id, struct jwrite *w)
{
	CLEANUP(buf_free) struct buf url = { 0 };

	writing_url(a, id, &url);
	jwrite_text(w, "url", buf_str(&url));
	jwrite_text(w, "name", id->name);
}

int repo_answer_exists(struct ask *a, const struct repo_id *id)
{
	CLEANUP(buf_free) struct buf message = { 0 };
	struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	buf_printf(&message, "You already created this %s repo: %s", repo_type_word(id->type),
		   id->name);
	jwrite_object(&w, NULL);
	jwrite_text(&w, "error", buf_str(&message));
	write_place(a, id, &w);
	jwrite_object_end(&w);
	answer_json(a, 409, &json);
	return 0;
}

int repo_answer_there(struct ask *a, const struct repo_id *id, const struct registry_repo *repo,
		      bool is_private)
{
	struct buf json = { 0 };
	struct jwrite w = { .to = &json };

	jwrite_object(&w, NULL);
	write_place(a, id, &w);
	if (repo) {
		jwrite_text(&w, "id", repo->uid);
		jwrite_bool(&w, "private", is_private);
	}
	jwrite_object_end(&w);
	answer_json(a, 200, &json);
	return 0;
}
