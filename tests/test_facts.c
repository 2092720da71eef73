/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/catalogue/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "admin/catalogue/facts_tags.h"

/* What a card and a config.json say; either may be NULL. */
static struct facts say(enum repo_type type, const char *card, const char *config, const char *file)
{
	CLEANUP(facts_source_fini) struct facts_source s = { .type = type, .sdk = "gradio" };
	struct facts f;

	buf_add_str(&s.readme, card ? card : "");
	buf_add_str(&s.config, config ? config : "");
	if (file)
		facts_note_file(&s.files, file);
	assert_int_equal(facts_make(&s, &f), 0);
	return f;
}

/* The task, the library and the tags, a line each. */
static void check(struct facts f, const char *tags)
{
	assert_string_equal(buf_str(&f.tags), tags);
	facts_fini(&f);
}

static void a_card_says_what_a_model_is_and_each_tag_once(void **state UNUSED)
{
	check(say(REPO_MODEL,
		  "---\npipeline_tag: text-generation\nlibrary_name: keras\nlicense: mit\n"
		  "tags: [x, y, x]\nlanguage: en\ndatasets: glue\n---\narxiv.org/abs/2401.12345",
		  NULL, NULL),
	      "text-generation\nkeras\nkeras\ntext-generation\nx\ny\nen\ndataset:glue\n"
	      "arxiv:2401.12345\nlicense:mit\n");
	check(say(REPO_MODEL, NULL, NULL, NULL), "\n\n");
	check(say(REPO_MODEL, "---\ntags: [\n---\n", "{", NULL), "\n\n");
}

static void a_config_says_the_task_unless_the_card_does(void **state UNUSED)
{
	static const char config[] =
		"{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"}";

	check(say(REPO_MODEL, NULL, config, "model.safetensors"),
	      "text-generation\ntransformers\ntransformers\nsafetensors\nllama\n"
	      "text-generation\n");
	check(say(REPO_MODEL, "---\npipeline_tag: other\n---\n", config, NULL),
	      "other\ntransformers\ntransformers\nllama\nother\n");
	check(say(REPO_DATASET, NULL, config, "model.safetensors"), "\n\n");
}

static void how_a_model_was_made_is_seen_by_what_it_is(void **state UNUSED)
{
	static const char card[] = "---\nbase_model: org/b\n---\n";

	check(say(REPO_MODEL, card, NULL, NULL),
	      "\n\nbase_model:org/b\nbase_model:finetune:org/b\n");
	check(say(REPO_MODEL, card, NULL, "m.gguf"),
	      "\n\ngguf\nbase_model:org/b\nbase_model:quantized:org/b\n");
	check(say(REPO_MODEL, card, NULL, "adapter_config.json"),
	      "\npeft\npeft\nbase_model:org/b\nbase_model:adapter:org/b\n");
	check(say(REPO_MODEL, "---\nbase_model: [org/b, org/c]\n---\n", NULL, NULL),
	      "\n\nbase_model:org/b\nbase_model:org/c\nbase_model:merge:org/b\n"
	      "base_model:merge:org/c\n");
}

static void other_kinds_say_other_things(void **state UNUSED)
{
	check(say(REPO_DATASET, "---\nlicense: mit\nlanguage: en\ntags: [x]\n---\n", NULL, NULL),
	      "\n\nlanguage:en\nlicense:mit\nx\n");
	check(say(REPO_SPACE, "---\nlicense: mit\ntags: [x]\n---\n", NULL, NULL),
	      "\n\ngradio\nx\nlicense:mit\n");
}

static size_t count_lines(const struct buf *b)
{
	size_t n = 0;

	for (size_t i = 0; i < b->len; i++)
		n += b->data[i] == '\n';
	return n;
}

/* Of one tag all, `distinct` of which are others. */
static size_t tags_of(unsigned all, unsigned distinct)
{
	CLEANUP(buf_free) struct buf card = { 0 };
	CLEANUP(facts_fini) struct facts f = { .parameters = -1 };

	buf_add_str(&card, "---\ntags:\n");
	for (unsigned i = 0; i < all; i++)
		buf_printf(&card, "- t%u\n", i % distinct);
	buf_add_str(&card, "---\n");
	f = say(REPO_MODEL, buf_str(&card), NULL, NULL);
	return count_lines(&f.tags) - 2;
}

static void of_more_tags_than_anything_has_the_first_ones_are_told(void **state UNUSED)
{
	assert_int_equal(tags_of(2 * FACTS_TAGS_MAX, 2 * FACTS_TAGS_MAX), FACTS_TAGS_MAX);
	assert_int_equal(tags_of(2 * FACTS_TAGS_MAX, FACTS_TAGS_MAX), FACTS_TAGS_MAX);
	assert_int_equal(tags_of(FACTS_TAGS_MAX, FACTS_TAGS_MAX - 1), FACTS_TAGS_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_card_says_what_a_model_is_and_each_tag_once),
		cmocka_unit_test(a_config_says_the_task_unless_the_card_does),
		cmocka_unit_test(how_a_model_was_made_is_seen_by_what_it_is),
		cmocka_unit_test(other_kinds_say_other_things),
		cmocka_unit_test(of_more_tags_than_anything_has_the_first_ones_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
