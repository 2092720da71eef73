/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/facts_tags.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/map.h"

#define ARXIV_MAX 20 /* papers a card may lead to */

/* ---- one of them ---- */

/* Those that were found so far. */
struct tagging {
	struct buf lines;
	struct map known; /* each by itself, owned */
};

static int free_tag(void *arg UNUSED, void *tag)
{
	free(tag);
	return 0;
}

static void tagging_fini(struct tagging *t)
{
	buf_free(&t->lines);
	map_each(&t->known, free_tag, NULL);
	map_fini(&t->known);
}

static void add(struct tagging *t, const char *prefix, const char *value)
{
	CLEANUP(buf_free) struct buf line = { 0 };
	CLEANUP(freep) char *tag = NULL;

	if (!value || !*value || strchr(value, '\n') || t->known.count == FACTS_TAGS_MAX)
		return;
	buf_printf(&line, "%s%s", prefix, value);
	if (map_find_str(&t->known, buf_str(&line)))
		return;
	tag = buf_take(&line);
	if (!tag || map_put_str(&t->known, tag, tag) < 0)
		t->lines.failed = -ENOMEM;
	else
		buf_printf(&t->lines, "%s\n", steal(tag));
}

/* A text, or each of a list. */
static void add_all(struct tagging *tags, const char *prefix, const struct jval *v)
{
	add(tags, prefix, jval_str(v));
	for (size_t i = 0; i < jval_count(v); i++)
		add(tags, prefix, jval_str(jval_at(v, i)));
}

/* ---- papers ---- */

static bool is_paper(const char *at)
{
	for (int i = 0; i < 9; i++)
		if (i == 4 ? at[i] != '.' : !isdigit((unsigned char)at[i]))
			return false;
	return true;
}

/* "2401.12345", or, older, with four digits. */
static void add_paper(struct tagging *tags, const char *at)
{
	char id[11] = "";

	if (strlen(at) < 9 || !is_paper(at))
		return;
	memcpy(id, at, isdigit((unsigned char)at[9]) ? 10 : 9);
	add(tags, "arxiv:", id);
}

static void add_papers(struct tagging *tags, const char *text)
{
	static const char *const places[] = { "arxiv.org/abs/", "arxiv.org/pdf/",
					      "huggingface.co/papers/", "hf.co/papers/" };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		const char *at = text;

		for (int n = 0; n < ARXIV_MAX && (at = strstr(at, places[i])); n++) {
			at += strlen(places[i]);
			add_paper(tags, at);
		}
	}
}

/* ---- models ---- */

const char *facts_relation(const struct facts_parsed *p)
{
	const struct jval *base = jval_get(p->card, "base_model");
	const char *said = jval_get_str(p->card, "base_model_relation");

	if (!base)
		return NULL;
	if (said)
		return said;
	if (p->source->files.adapter)
		return "adapter";
	if (p->source->files.gguf || jval_get(p->config, "quantization_config"))
		return "quantized";
	return jval_count(base) > 1 ? "merge" : "finetune";
}

static void add_bases(struct tagging *tags, const struct facts_parsed *p)
{
	CLEANUP(buf_free) struct buf prefix = { 0 };
	const struct jval *base = jval_get(p->card, "base_model");

	if (!base)
		return;
	add_all(tags, "base_model:", base);
	buf_printf(&prefix, "base_model:%s:", facts_relation(p));
	add_all(tags, buf_str(&prefix), base);
}

static void add_quantization(struct tagging *tags, const struct jval *config)
{
	const struct jval *q = jval_get(config, "quantization_config");
	CLEANUP(buf_free) struct buf text = { 0 };
	int64_t bits = jval_get_size(q, "bits");

	if (!q)
		return;
	if (bits < 0)
		bits = jval_bool(jval_get(q, "load_in_4bit")) == 1   ? 4
		       : jval_bool(jval_get(q, "load_in_8bit")) == 1 ? 8
								     : -1;
	if (bits > 0)
		buf_printf(&text, "%jd-bit", (intmax_t)bits);
	add(tags, "", buf_str(&text));
	add(tags, "", jval_get_str(q, "quant_method"));
}

static void add_formats(struct tagging *tags, const struct facts_files *f)
{
	const struct {
		bool there;
		const char *name;
	} formats[] = {
		{ f->pytorch, "pytorch" }, { f->tensorflow, "tf" },           { f->flax, "jax" },
		{ f->onnx, "onnx" },       { f->safetensors, "safetensors" }, { f->gguf, "gguf" },
	};

	for (size_t i = 0; i < ARRAY_LEN(formats); i++)
		if (formats[i].there)
			add(tags, "", formats[i].name);
}

static void tags_of_model(struct tagging *tags, const struct facts_parsed *p)
{
	add(tags, "", p->library);
	add_formats(tags, &p->source->files);
	add(tags, "", jval_get_str(p->config, "model_type"));
	add(tags, "", p->task);
	add_all(tags, "", jval_get(p->card, "tags"));
	if (jval_get(p->config, "auto_map"))
		add(tags, "", "custom_code");
	add_all(tags, "", jval_get(p->card, "language"));
	add_all(tags, "dataset:", jval_get(p->card, "datasets"));
	add_papers(tags, p->body);
	add_bases(tags, p);
	add_all(tags, "license:", jval_get(p->card, "license"));
	if (jval_get(p->card, "model-index"))
		add(tags, "", "model-index");
	add_quantization(tags, p->config);
}

/* ---- others ---- */

static void tags_of_dataset(struct tagging *tags, const struct facts_parsed *p)
{
	static const char *const fields[] = {
		"task_categories",   "task_ids",        "annotations_creators",
		"language_creators", "multilinguality", "source_datasets",
		"language",          "license",         "size_categories",
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		CLEANUP(buf_free) struct buf prefix = { 0 };

		buf_printf(&prefix, "%s:", fields[i]);
		add_all(tags, buf_str(&prefix), jval_get(p->card, fields[i]));
	}
	add_papers(tags, p->body);
	add_all(tags, "", jval_get(p->card, "tags"));
}

static void tags_of_space(struct tagging *tags, const struct facts_parsed *p)
{
	add(tags, "", p->source->sdk);
	add_all(tags, "", jval_get(p->card, "tags"));
	add_all(tags, "license:", jval_get(p->card, "license"));
}

int facts_tags(const struct facts_parsed *p, struct buf *ret)
{
	CLEANUP(tagging_fini) struct tagging tags = { .lines = { 0 } };

	if (p->source->type == REPO_MODEL)
		tags_of_model(&tags, p);
	else if (p->source->type == REPO_DATASET)
		tags_of_dataset(&tags, p);
	else
		tags_of_space(&tags, p);
	return tags.lines.failed ? tags.lines.failed
				 : buf_add(ret, buf_str(&tags.lines), tags.lines.len);
}
