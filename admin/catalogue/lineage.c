/* SPDX-License-Identifier: Apache-2.0 */
/* What a model was made from: its card says so, which is among its tags. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "admin/catalogue/catalogue.h"
#include "daemon/base/jdoc.h"

#define TAG "base_model:"

int catalogue_children(struct db_txn *t, const char *name, catalogue_fn fn, void *arg)
{
	CLEANUP(buf_free) struct buf terms = { 0 }, tag = { 0 };
	struct catalogue_query q = {
		.type = REPO_MODEL,
		.terms = &terms,
		.parameters_min = -1,
		.parameters_max = HUGE_VAL,
		.sort = CATALOGUE_NUMBERS,
		.sees_all = true,
	};
	uint64_t reads = 0;

	buf_printf(&tag, TAG "%s", name);
	term_add(&terms, TERM_TAG, buf_str(&tag), tag.len);
	if (tag.failed || terms.failed)
		return -ENOMEM;
	return terms.len ? catalogue_find(t, &q, fn, arg, &reads) : 0;
}

int catalogue_bases(struct db_txn *t, const struct repo_id *id, catalogue_name_fn fn, void *arg)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	CLEANUP(buf_free) struct buf text = { 0 };
	const struct jval *models;
	int r = catalogue_doc(t, id, &text);

	if (r == 0)
		r = jdoc_parse(buf_str(&text), text.len, &doc);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	models = jval_get(jval_get(jdoc_root(doc), "baseModels"), "models");
	for (size_t i = 0; r == 0 && i < jval_count(models); i++) {
		const char *name = jval_get_str(jval_at(models, i), "id");

		r = name ? fn(arg, name) : 0;
	}
	return r;
}
