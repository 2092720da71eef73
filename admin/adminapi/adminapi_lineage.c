/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_lineage.h"

#include <errno.h>

#include "admin/catalogue/descent.h"
#include "daemon/base/err.h"

/* --- shapes */

static const struct api_field step_fields[] = {
	API_TEXT_ROW("id"),
	{ .name = "from",
	  .kind = API_TEXT,
	  .needed = true,
	  .doc = "The model beside it by which it was found." },
	{ .name = "relation",
	  .kind = API_TEXT,
	  .needed = true,
	  .doc = "How the later one was made: \"finetune\", \"quantized\" and the like." },
	{ .name = "depth", .kind = API_COUNT, .needed = true, .min = 1 },
	{ .name = "hosted", .kind = API_BOOL, .needed = true, .doc = "It is hosted here." },
	{ 0 },
};
static const struct api_shape step_shape = { "LineageStep", step_fields };

static const struct api_field lineage_fields[] = {
	API_TEXT_ROW("id"),
	{ .name = "ancestors",
	  .kind = API_LIST,
	  .needed = true,
	  .of = &step_shape,
	  .doc = "What it was made from, as cards say, the nearest first." },
	{ .name = "descendants",
	  .kind = API_LIST,
	  .needed = true,
	  .of = &step_shape,
	  .doc = "What was made from it." },
	{ .name = "whole",
	  .kind = API_BOOL,
	  .needed = true,
	  .doc = "Not more than 1000 were found each way." },
	{ 0 },
};
const struct api_shape api_lineage_shape = { "Lineage", lineage_fields };

/* --- the answer */

struct telling {
	struct repo_id id;
	struct jwrite *w;
	bool whole;
};

static int write_step(void *arg, const struct descent_step *step)
{
	struct telling *x = arg;

	jwrite_object(x->w, NULL);
	jwrite_text(x->w, "id", step->name);
	jwrite_text(x->w, "from", step->from);
	jwrite_text(x->w, "relation", step->relation);
	jwrite_uint(x->w, "depth", step->depth);
	jwrite_bool(x->w, "hosted", step->hosted);
	jwrite_object_end(x->w);
	return 0;
}

static int tell(struct db_txn *t, void *arg)
{
	struct telling *x = arg;
	int r;

	jwrite_array(x->w, "ancestors");
	r = descent_ancestors(t, &x->id, write_step, x);
	x->whole = r == 0;
	jwrite_array_end(x->w);
	jwrite_array(x->w, "descendants");
	if (r >= 0)
		r = descent_descendants(t, &x->id, write_step, x);
	x->whole &= r == 0;
	jwrite_array_end(x->w);
	return r < 0 ? r : 0;
}

/* Also of a model that nobody has here: others may have been made from it. */
int api_lineage(struct api_call *c)
{
	struct telling x = { .w = &c->w };
	int r;

	if (repo_id_parse(REPO_MODEL, c->params[0], &x.id) < 0)
		return api_complain(c, -ENOENT, "there can be no model \"%s\"", c->params[0]);
	jwrite_object(&c->w, NULL);
	jwrite_text(&c->w, "id", x.id.name);
	r = db_read(api_db(c), tell, &x);
	jwrite_bool(&c->w, "whole", x.whole);
	jwrite_object_end(&c->w);
	return r;
}
