/* SPDX-License-Identifier: Apache-2.0 */
/* The sentences are those that the public hub has been seen to say. */
#include "admin/registry/card.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/jdoc.h"

#define MISSING \
	"{\"message\":\"empty or missing yaml metadata in repo card\",\"help\":" \
	"\"https://huggingface.co/docs/hub/model-cards#model-card-metadata\"}"

static void check_answer(const char *text, const char *wanted)
{
	CLEANUP(buf_free) struct buf json = { 0 }, first = { 0 };

	assert_int_equal(card_check(text, strlen(text), REPO_MODEL, &json, &first), 0);
	assert_string_equal(buf_str(&json), wanted);
}

/* Of YAML between its fences: the first error, "" if it may be kept. */
static const char *first_of(enum repo_type type, const char *yaml)
{
	static char sentence[2000];
	CLEANUP(buf_free) struct buf text = { 0 }, json = { 0 }, first = { 0 };
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *errors;

	buf_printf(&text, "---\n%s\n---\n", yaml);
	assert_int_equal(card_check(text.data, text.len, type, &json, &first), 0);
	assert_int_equal(jdoc_parse(json.data, json.len, &doc), 0);
	errors = jval_get(jdoc_root(doc), "errors");
	assert_int_equal(jval_count(errors) > 0, first.len > 0);
	if (first.len)
		assert_string_equal(jval_get_str(jval_at(errors, 0), "message"), first.data);
	assert_true(first.len < sizeof(sentence));
	strcpy(sentence, buf_str(&first));
	return sentence;
}

static void check_model(const char *yaml, const char *wanted)
{
	assert_string_equal(first_of(REPO_MODEL, yaml), wanted);
}

static void a_good_card_has_neither_errors_nor_warnings(UNUSED void **state)
{
	check_answer("---\nlicense: mit\n---\n# M", "{\"errors\":[],\"warnings\":[]}");
	check_model("license: [mit, apache-2.0]\nlanguage: [en, fra, code]\ntags: [a, b]\n"
		    "base_model: ann/m\ndatasets: [squad, ann/d]\npipeline_tag: text-generation\n"
		    "library_name: transformers\nwidget: [{text: x}]\nmodel-index: []\nown: {x: 1}",
		    "");
}

static void a_card_without_metadata_is_warned_of(UNUSED void **state)
{
	check_answer("# M", "{\"errors\":[],\"warnings\":[" MISSING "]}");
	check_answer("---\nlicense: mit\n---oops", "{\"errors\":[],\"warnings\":[" MISSING "]}");
	check_answer("", "{\"errors\":[],\"warnings\":[" MISSING "]}");
}

static void what_is_no_yaml_is_an_error(UNUSED void **state)
{
	check_answer(
		"---\nhello\n---\n",
		"{\"errors\":[{\"message\":\"The YAML metadata of your README.md is invalid.\","
		"\"help\":\"You can use a tool like http://www.yamllint.com/ to check it\","
		"\"type\":\"error\"}],\"warnings\":[]}");
	assert_non_null(strstr(first_of(REPO_MODEL, "license: ["), "Invalid YAML in README.md: "));
	check_model("- a", "\"value\" must be of type object");
}

static void a_license_is_one_that_the_hub_knows(UNUSED void **state)
{
	const char *said = first_of(REPO_MODEL, "license: gpl-2.0-or-later");

	assert_int_equal(strncmp(said, "\"license\" must be one of [apache-2.0, mit, ", 43), 0);
	assert_non_null(strstr(said, ", unknown, other, array]"));
	said = first_of(REPO_DATASET, "license: [mit, mine]");
	assert_int_equal(strncmp(said, "\"license[1]\" must be one of [apache-2.0", 38), 0);
	assert_non_null(strstr(said, ", unknown, other]"));
	assert_non_null(strstr(first_of(REPO_SPACE, "license: 5"), "\"license\" must be one of ["));
}

static void a_language_is_a_code(UNUSED void **state)
{
	check_model("language: zh-CN", "\"language\" must only contain lowercase characters");
	check_model("language: [en, pt_pt]",
		    "\"language[1]\" with value \"pt_pt\" is not valid. It must be an ISO 639-1, "
		    "639-2 or 639-3 code (two/three letters), or a special value like \"code\", "
		    "\"multilingual\". If you want to use BCP-47 identifiers, you can specify them "
		    "in language_bcp47.");
	check_model("language: [en, null]", "\"language[1]\" must be a string");
	check_model("language: multilingual", "");
}

static void a_base_model_is_the_name_of_one(UNUSED void **state)
{
	check_model("base_model: /workspace/parent",
		    "\"base_model\" with value \"/workspace/parent\" is not valid. "
		    "Use a model id from https://hf.co/models.");
	check_model("base_model: ''", "\"base_model\" is not allowed to be empty");
	check_model("base_model: [ann/m, Kokoro 82M]",
		    "\"base_model[1]\" with value \"Kokoro 82M\" is not valid. "
		    "Use a model id from https://hf.co/models.");
	check_model("datasets:\n- null", "\"datasets[0]\" must be a string");
	assert_string_equal(first_of(REPO_DATASET, "base_model: /workspace/parent"), "");
}

static void lists_are_lists_and_texts_are_texts(UNUSED void **state)
{
	check_model("widget: x", "\"widget\" must be an array");
	check_model("model-index: not correct", "\"model-index\" must be an array");
	check_model("tags: [a, 5]", "\"tags[1]\" must be a string");
	check_model("tags:", "\"tags\" must be a string");
	check_model("pipeline_tag: [a]", "\"pipeline_tag\" must be a string");
	assert_string_equal(first_of(REPO_DATASET, "configs: {}"), "\"configs\" must be an array");
}

static void a_space_says_how_it_looks(UNUSED void **state)
{
	assert_string_equal(
		first_of(REPO_SPACE, "colorFrom: teal"),
		"\"colorFrom\" must be one of [red, yellow, green, blue, indigo, purple, "
		"pink, gray]");
	assert_string_equal(first_of(REPO_SPACE, "sdk: flask"),
			    "\"sdk\" must be one of [gradio, streamlit, docker, static]");
	assert_string_equal(first_of(REPO_SPACE, "pinned: x"), "\"pinned\" must be a boolean");
	assert_string_equal(
		first_of(REPO_SPACE, "short_description: a234567890123456789012345678901234567890"
				     "123456789012345678901"),
		"\"short_description\" length must be less than or equal to 60 characters");
	assert_string_equal(first_of(REPO_SPACE, "short_description: \xc3\xa9"
						 "234567890123456789012345678901234567890"
						 "12345678901234567890"),
			    "");
	check_model("colorFrom: teal", "");
}

static void all_that_is_wrong_is_told(UNUSED void **state)
{
	check_answer("---\nwidget: 1\ntags: [2]\n---\n",
		     "{\"errors\":[{\"message\":\"\\\"widget\\\" must be an array\","
		     "\"path\":[\"widget\"]},"
		     "{\"message\":\"\\\"tags[0]\\\" must be a string\",\"path\":[\"tags\",0]}],"
		     "\"warnings\":[]}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_card_has_neither_errors_nor_warnings),
		cmocka_unit_test(a_card_without_metadata_is_warned_of),
		cmocka_unit_test(what_is_no_yaml_is_an_error),
		cmocka_unit_test(a_license_is_one_that_the_hub_knows),
		cmocka_unit_test(a_language_is_a_code),
		cmocka_unit_test(a_base_model_is_the_name_of_one),
		cmocka_unit_test(lists_are_lists_and_texts_are_texts),
		cmocka_unit_test(a_space_says_how_it_looks),
		cmocka_unit_test(all_that_is_wrong_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
