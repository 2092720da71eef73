/* SPDX-License-Identifier: Apache-2.0 */
/* A page begins behind the last one's last row, whatever place that has by now: so no row is told
 * twice or left out when others come, go, or become invisible between the two. */
#include "admin/hub/search.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/hub/target.h"
#include "daemon/base/url.h"

void search_fini(struct search *s)
{
	buf_free(&s->names);
	buf_free(&s->terms);
	buf_free(&s->after_name);
}

/* --- what is asked for */

static void add_words(const char *query, const char *field, const char *between, struct buf *ret)
{
	CLEANUP(buf_free) struct buf value = { 0 };

	while (target_next_field(&query, field, &value)) {
		char *rest = value.data, *word;

		while (rest && (word = strsep(&rest, between)))
			if (*word)
				buf_add(ret, word, strlen(word) + 1);
	}
}

/* What is no term is nobody's. */
void search_add(struct search *s, enum term_kind kind, const char *text, size_t len)
{
	size_t was = s->terms.len;

	term_add(&s->terms, kind, text, len);
	s->unanswerable |= s->terms.len == was && !s->terms.failed;
}

void search_add_words(struct search *s, const char *text)
{
	term_add_words(&s->terms, text, strlen(text));
}

/* Each word of each such field, behind a prefix. */
static void add_terms(const char *query, const char *field, const char *between, const char *prefix,
		      enum term_kind kind, struct search *s)
{
	CLEANUP(buf_free) struct buf value = { 0 };

	while (target_next_field(&query, field, &value)) {
		char *rest = value.data, *word;

		while (rest && (word = strsep(&rest, between))) {
			CLEANUP(buf_free) struct buf text = { 0 };
			bool has = !strncmp(word, prefix, strlen(prefix));

			buf_printf(&text, "%s%s", has ? "" : prefix, word);
			if (*word)
				search_add(s, kind, buf_str(&text), text.len);
		}
	}
}

/* "6B", "1.5M". */
static double read_count(const char *text)
{
	char *end;
	double ret = strtod(text, &end);

	switch (toupper((unsigned char)*end)) {
	case 'K':
		return ret * 1e3;
	case 'M':
		return ret * 1e6;
	case 'B':
		return ret * 1e9;
	case 'T':
		return ret * 1e12;
	default:
		return ret;
	}
}

/* "min:6B,max:128B", or one of them. */
static void read_parameters(const char *query, struct search *s)
{
	CLEANUP(buf_free) struct buf value = { 0 };
	const char *min, *max;

	s->parameters_min = -1;
	s->parameters_max = HUGE_VAL;
	if (!target_field(query, "num_parameters", &value) || !value.len)
		return;
	min = strstr(value.data, "min:");
	max = strstr(value.data, "max:");
	s->parameters_min = min ? read_count(min + 4) : 0;
	s->parameters_max = max ? read_count(max + 4) : HUGE_VAL;
}

/* "NUMBER,NAME", or "NAME". */
static void read_cursor(const char *query, struct search *s)
{
	CLEANUP(buf_free) struct buf value = { 0 };
	const char *comma;

	if (!target_field(query, "cursor", &value) || !value.len)
		return;
	comma = strchr(value.data, ',');
	s->after_number = comma ? strtod(value.data, NULL) : 0;
	buf_add_str(&s->after_name, comma ? comma + 1 : value.data);
}

/* By name if nothing is said. */
static int read_sort(const char *query, struct search *s, struct buf *why)
{
	CLEANUP(buf_free) struct buf want = { 0 };

	s->sort = CATALOGUE_NUMBERS;
	if (!target_field(query, "sort", &want) || !want.len || !strcmp(want.data, "id"))
		return 0;
	s->sort = catalogue_number_of(want.data);
	if (s->sort < CATALOGUE_NUMBERS)
		return 0;
	buf_printf(why, "Invalid sort: %s", want.data);
	return -EINVAL;
}

/* What a program on somebody's own machine can run, told as the tags of what it can. */
static const struct app {
	const char *name, *tags[3];
} apps[] = {
	{ "llama.cpp", { "gguf" } },
	{ "node-llama-cpp", { "gguf" } },
	{ "ollama", { "gguf" } },
	{ "lmstudio", { "gguf" } },
	{ "jan", { "gguf" } },
	{ "vllm", { "transformers", "safetensors", "text-generation" } },
	{ "tgi", { "transformers", "safetensors", "text-generation" } },
	{ "sglang", { "transformers", "safetensors", "text-generation" } },
	{ "mlx-lm", { "mlx", "text-generation" } },
	{ "diffusionbee", { "diffusers", "text-to-image" } },
	{ "draw-things", { "diffusers", "text-to-image" } },
};

/* An app that is not known runs nothing. */
static void add_app(struct search *s, const char *name)
{
	size_t i = 0;

	while (i < ARRAY_LEN(apps) && strcmp(apps[i].name, name) != 0)
		i++;
	s->unanswerable |= i == ARRAY_LEN(apps);
	for (size_t tag = 0; i < ARRAY_LEN(apps) && tag < ARRAY_LEN(apps[i].tags); tag++)
		if (apps[i].tags[tag])
			search_add(s, TERM_TAG, apps[i].tags[tag], strlen(apps[i].tags[tag]));
}

static void read_apps(const char *query, struct search *s)
{
	CLEANUP(buf_free) struct buf value = { 0 };

	while (target_next_field(&query, "apps", &value))
		if (value.len)
			add_app(s, value.data);
}

/* Datasets say what their tags are about. */
static void read_tags(const char *query, struct search *s)
{
	static const struct {
		const char *field, *prefix;
		enum term_kind kind;
	} fields[] = {
		{ "filter", "", TERM_TAG },
		{ "tags", "", TERM_TAG },
		{ "library", "", TERM_TAG },
		{ "pipeline_tag", "", TERM_PIPELINE },
		{ "trained_dataset", "dataset:", TERM_TAG },
		{ "dataset", "dataset:", TERM_TAG },
		{ "license", "license:", TERM_TAG },
	};

	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		add_terms(query, fields[i].field, ",", fields[i].prefix, fields[i].kind, s);
	add_terms(query, "language", ",", s->type == REPO_DATASET ? "language:" : "", TERM_TAG, s);
	add_terms(query, "author", "", "", TERM_AUTHOR, s);
	read_apps(query, s);
}

static bool is_said(const char *query, const char *field)
{
	CLEANUP(buf_free) struct buf value = { 0 };

	return target_field(query, field, &value) && value.len;
}

int search_read(const char *query, enum repo_type type, struct search *ret, struct buf *why)
{
	CLEANUP(buf_free) struct buf direction = { 0 }, gated = { 0 };
	int r;

	*ret = (struct search){ .type = type };
	add_words(query, "search", "", &ret->names);
	add_words(query, "q", " ", &ret->names);
	read_tags(query, ret);
	read_parameters(query, ret);
	read_cursor(query, ret);
	if (target_field(query, "gated", &gated))
		search_add(ret, TERM_GATED, target_flag(query, "gated") ? "1" : "0", 1);
	ret->ascending = target_field(query, "direction", &direction) &&
			 strcmp(buf_str(&direction), "1") == 0;
	ret->unanswerable |= is_said(query, "inference") || is_said(query, "inference_provider");
	r = read_sort(query, ret, why);
	return r < 0 ? r : ret->names.failed || ret->terms.failed ? -ENOMEM : 0;
}

/* --- as the catalogue is asked */

struct finding_query search_query(const struct search *s)
{
	return (struct finding_query){
		.type = s->type,
		.terms = &s->terms,
		.names = &s->names,
		.parameters_min = s->parameters_min,
		.parameters_max = s->parameters_max,
		.sort = s->sort,
		/* By name the first letters come first. */
		.ascending = s->ascending && s->sort < CATALOGUE_NUMBERS,
		.after_number = s->after_number,
		.after_name = buf_str(&s->after_name),
		.sees_all = true,
	};
}

int search_go_behind(struct search *s, const struct catalogue_entry *last)
{
	s->after_number = s->sort < CATALOGUE_NUMBERS ? last->numbers[s->sort] : 0;
	buf_clear(&s->after_name);
	return buf_add_str(&s->after_name, last->id.name);
}

int search_cursor(const struct search *s, const struct catalogue_entry *last, struct buf *ret)
{
	char number[32]; /* a plus would be read as a blank */

	if (s->sort < CATALOGUE_NUMBERS) {
		snprintf(number, sizeof(number), "%.17g", last->numbers[s->sort]);
		url_encode(ret, number, 0);
		buf_add_str(ret, ",");
	}
	return url_encode(ret, last->id.name, 1);
}
