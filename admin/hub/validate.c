/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/validate.h"

#include <string.h>

#include "admin/hub/answer.h"
#include "admin/registry/card.h"
#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"

/* A model, if it is not said. */
static bool read_type(const struct jval *v, enum repo_type *ret)
{
	const char *text = v ? jval_str(v) : repo_type_word(REPO_MODEL);

	for (enum repo_type type = 0; text && type < REPO_TYPE_COUNT; type++) {
		if (strcmp(repo_type_word(type), text) != 0)
			continue;
		*ret = type;
		return true;
	}
	return false;
}

static int answer_card(struct ask *a, const char *content, enum repo_type type)
{
	CLEANUP(buf_free) struct buf json = { 0 }, first = { 0 };
	int r = card_check(content, strlen(content), type, &json, &first);

	if (r < 0)
		return r;
	answer_json(a, first.len ? 400 : 200, &json);
	return 0;
}

static int check_body(struct ask *a, const struct jval *v)
{
	const char *content = jval_get_str(v, "content");
	enum repo_type type;

	if (!content)
		answer_refuse(a, 400, "\"content\" must be a string");
	else if (!read_type(jval_get(v, "repoType"), &type))
		answer_refuse(a, 400, "\"repoType\" must be one of [model, dataset, space]");
	else
		return answer_card(a, content, type);
	return 0;
}

/* Aside: a head may be long, and is read to its end. */
int validate_yaml(struct ask *a)
{
	const struct buf *body = httpd_body(a->http);
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	int r;

	if (!ask_aside(a, 0, &r))
		return r;
	r = jdoc_parse(buf_str(body), body->len, &doc);
	if (r == 0)
		return check_body(a, jdoc_root(doc));
	if (r != ERR_PROTO)
		return r;
	answer_refuse(a, 400, "Invalid JSON");
	return 0;
}
