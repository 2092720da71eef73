/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters the program runs with, as text that would set them. None holds a secret: those are
 * in files, and URLs of hubs have lost theirs. */
#include "daemon/control/control_priv.h"

#include "daemon/base/conf_value.h"

static void write_value(struct jwrite *w, const char *key, const struct conf_param *p,
			const void *field, size_t i)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	conf_value_print(p, field, i, &text);
	if (text.failed)
		w->to->failed = text.failed;
	jwrite_text(w, key, text.len ? buf_str(&text) : NULL);
}

static void write_param(struct jwrite *w, const struct conf_param *p, const void *field)
{
	char unset[sizeof(struct conf_list)] = { 0 };
	bool is_default = conf_value_default(p, unset) == 0 && conf_value_same(p, field, unset);
	const struct conf_list *list = p->type == CONF_LIST ? field : NULL;

	conf_value_clear(p, unset);
	jwrite_object(w, NULL);
	jwrite_text(w, "name", p->name);
	if (!list) {
		write_value(w, "value", p, field, 0);
	} else {
		jwrite_array(w, "value");
		for (size_t i = 0; i < list->count; i++)
			write_value(w, NULL, p, field, i);
		jwrite_array_end(w);
	}
	jwrite_bool(w, "default", is_default);
	jwrite_object_end(w);
}

void control_config(struct control *c, struct httpd_request *q, const char *rest UNUSED)
{
	const struct conf_table *t = c->conf.parameters;
	const char *values = c->conf.values;
	CLEANUP(buf_free) struct buf b = { 0 };
	struct jwrite w = { .to = &b };

	jwrite_object(&w, NULL);
	jwrite_array(&w, "parameters");
	for (size_t i = 0; t && i < t->count; i++)
		write_param(&w, &t->params[i], values + t->params[i].offset);
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	control_reply(q, 200, &b);
}
