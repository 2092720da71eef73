/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/facts.h"

#include <errno.h>
#include <string.h>

#include "admin/catalogue/facts_tags.h"
#include "admin/catalogue/tasks.h"
#include "admin/registry/frontmatter.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/num.h"
#include "daemon/base/text.h"

#define WORDS_MAX (64 * 1024) /* bytes of a card whose words are looked at */

void facts_source_fini(struct facts_source *s)
{
	buf_free(&s->readme);
	buf_free(&s->config);
}

void facts_fini(struct facts *f)
{
	buf_free(&f->tags);
	buf_free(&f->words);
	buf_free(&f->doc);
}

/* ---- which files there are ---- */

void facts_note_file(struct facts_files *files, const char *name)
{
	files->adapter |= !strcmp(name, "adapter_config.json");
	files->diffusers |= !strcmp(name, "model_index.json");
	files->sentence |= !strcmp(name, "modules.json");
	files->safetensors |= text_ends_with(name, ".safetensors");
	files->gguf |= text_ends_with(name, ".gguf");
	files->onnx |= text_ends_with(name, ".onnx");
	files->pytorch |= !strncmp(name, "pytorch_model", 13) && text_ends_with(name, ".bin");
	files->tensorflow |= !strcmp(name, "tf_model.h5");
	files->flax |= !strcmp(name, "flax_model.msgpack");
}

/* ---- what is worked out ---- */

static const char *library_of(const struct facts_parsed *p)
{
	const struct facts_files *f = &p->source->files;
	const char *said = jval_get_str(p->card, "library_name");

	if (said)
		return said;
	return f->sentence    ? "sentence-transformers"
	       : f->diffusers ? "diffusers"
	       : f->adapter   ? "peft"
	       : jval_get(p->config, "architectures") || jval_get(p->config, "model_type")
		       ? "transformers"
		       : NULL;
}

static const char *task_name(const struct facts_parsed *p)
{
	const char *said = jval_get_str(p->card, "pipeline_tag");
	const struct task *task = task_of(p->config);

	if (said || !p->library)
		return said;
	if (!strcmp(p->library, "sentence-transformers"))
		return "sentence-similarity";
	return !strcmp(p->library, "transformers") && task ? task->pipeline : NULL;
}

/* ---- members ---- */

static void write_value(struct jwrite *w, const char *key, const struct jval *v,
			const char *const *without)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	if (v && jdoc_print(v, without, NULL, &text) == 0)
		jwrite_json(w, key, buf_str(&text));
}

/* The results of evaluations stand beside it. */
static void write_card(struct jwrite *w, const struct facts_parsed *p)
{
	static const char *const without[] = { "model-index", NULL };

	write_value(w, "cardData", p->card, without);
	if (p->source->type == REPO_MODEL)
		write_value(w, "model-index", jval_get(p->card, "model-index"), NULL);
}

static void write_tags(struct jwrite *w, const char *tags)
{
	jwrite_array(w, "tags");
	for (; *tags; tags += strcspn(tags, "\n") + 1) {
		CLEANUP(buf_free) struct buf tag = { 0 };

		buf_add(&tag, tags, strcspn(tags, "\n"));
		jwrite_text(w, NULL, buf_str(&tag));
	}
	jwrite_array_end(w);
}

static void write_tensors(struct jwrite *w, const struct safetensors_counts *c)
{
	if (!c->count)
		return;
	jwrite_object(w, "safetensors");
	jwrite_object(w, "parameters");
	for (size_t i = 0; i < c->count; i++)
		jwrite_uint(w, c->list[i].name, c->list[i].numbers);
	jwrite_object_end(w);
	jwrite_uint(w, "total", safetensors_total(c));
	jwrite_object_end(w);
}

static void write_gguf(struct jwrite *w, const struct gguf_facts *g)
{
	jwrite_object(w, "gguf");
	jwrite_uint(w, "total", g->total);
	if (g->architecture[0])
		jwrite_text(w, "architecture", g->architecture);
	if (g->context_length)
		jwrite_uint(w, "context_length", g->context_length);
	jwrite_object_end(w);
}

static void write_config(struct jwrite *w, const struct facts_parsed *p)
{
	static const char *const told[] = { "architectures", "model_type", "quantization_config",
					    "auto_map" };
	const struct task *task = task_of(p->config);

	if (!p->config)
		return;
	jwrite_object(w, "config");
	for (size_t i = 0; i < ARRAY_LEN(told); i++)
		write_value(w, told[i], jval_get(p->config, told[i]), NULL);
	jwrite_object_end(w);
	if (!task || !p->library || strcmp(p->library, "transformers") != 0)
		return;
	jwrite_object(w, "transformersInfo");
	jwrite_text(w, "auto_model", task->auto_model);
	jwrite_text(w, "pipeline_tag", task->pipeline);
	jwrite_text(w, "processor", task->processor);
	jwrite_object_end(w);
}

static void write_base(struct jwrite *w, const char *id)
{
	if (!id)
		return;
	jwrite_object(w, NULL);
	jwrite_text(w, "_id", id);
	jwrite_text(w, "id", id);
	jwrite_object_end(w);
}

static void write_bases(struct jwrite *w, const struct facts_parsed *p)
{
	const struct jval *base = jval_get(p->card, "base_model");

	if (!base)
		return;
	jwrite_object(w, "baseModels");
	jwrite_text(w, "relation", facts_relation(p));
	jwrite_array(w, "models");
	write_base(w, jval_str(base));
	for (size_t i = 0; i < jval_count(base); i++)
		write_base(w, jval_str(jval_at(base, i)));
	jwrite_array_end(w);
	jwrite_object_end(w);
}

static void write_model(struct jwrite *w, const struct facts_parsed *p)
{
	if (p->task)
		jwrite_text(w, "pipeline_tag", p->task);
	if (p->library)
		jwrite_text(w, "library_name", p->library);
	write_config(w, p);
	write_tensors(w, &p->source->tensors);
	if (p->source->has_gguf)
		write_gguf(w, &p->source->gguf);
	write_bases(w, p);
}

static void write_space(struct jwrite *w, const struct facts_parsed *p)
{
	write_value(w, "models", jval_get(p->card, "models"), NULL);
	write_value(w, "datasets", jval_get(p->card, "datasets"), NULL);
}

/* ---- all of it ---- */

static double parameters_of(const struct facts_source *s)
{
	return s->tensors.count ? (double)safetensors_total(&s->tensors)
	       : s->has_gguf    ? (double)s->gguf.total
				: -1;
}

static int tell(const struct facts_parsed *p, struct facts *ret)
{
	struct jwrite w = { .to = &ret->doc };
	const char *tags;

	buf_printf(&ret->tags, "%s\n%s\n", p->task ? p->task : "", p->library ? p->library : "");
	tags = ret->tags.failed ? NULL : ret->tags.data;
	if (!tags || facts_tags(p, &ret->tags) < 0)
		return -ENOMEM;
	tags = strchr(strchr(ret->tags.data, '\n') + 1, '\n') + 1;
	write_tags(&w, tags);
	write_card(&w, p);
	if (p->source->type == REPO_MODEL)
		write_model(&w, p);
	else if (p->source->type == REPO_SPACE)
		write_space(&w, p);
	ret->parameters = parameters_of(p->source);
	return ret->doc.failed;
}

/* What stands behind the card's head. */
static const char *body_of(const struct buf *readme)
{
	const char *text = buf_str(readme), *head;
	size_t len;

	return frontmatter_find(text, readme->len, &head, &len) ? head + len : text;
}

static int parse(const char *text, size_t len, struct jdoc **ret)
{
	int r = len ? jdoc_parse(text, len, ret) : 0;

	return r == -ENOMEM ? r : 0;
}

int facts_make(const struct facts_source *s, struct facts *ret)
{
	CLEANUP(jdoc_freep) struct jdoc *card = NULL, *config = NULL;
	CLEANUP(buf_free) struct buf head = { 0 }, why = { 0 };
	struct facts_parsed p = { .source = s, .body = body_of(&s->readme) };
	int r = frontmatter_json(buf_str(&s->readme), s->readme.len, &head, &why);

	*ret = (struct facts){ .parameters = -1 };
	if (r == 0)
		r = parse(buf_str(&head), head.len, &card);
	if (r != -ENOMEM)
		r = parse(buf_str(&s->config), s->config.len, &config);
	if (r == -ENOMEM)
		return r;
	p.card = card ? jdoc_root(card) : NULL;
	p.config = config && jval_is_object(jdoc_root(config)) ? jdoc_root(config) : NULL;
	p.library = s->type == REPO_MODEL ? library_of(&p) : NULL;
	p.task = s->type == REPO_MODEL ? task_name(&p) : NULL;
	buf_add(&ret->words, p.body, strnlen(p.body, WORDS_MAX));
	return ret->words.failed ? ret->words.failed : tell(&p, ret);
}
