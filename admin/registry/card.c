/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/card.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/registry/frontmatter.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/why.h"

#define LINT_HELP "You can use a tool like http://www.yamllint.com/ to check it"
#define CARD_HELP "https://huggingface.co/docs/hub/model-cards#model-card-metadata"
#define SHORT_MAX 60
#define ERRORS_MAX 50 /* that are told */

static const char *const licenses[] = {
	"apache-2.0",
	"mit",
	"openrail",
	"bigscience-openrail-m",
	"creativeml-openrail-m",
	"bigscience-bloom-rail-1.0",
	"bigcode-openrail-m",
	"afl-3.0",
	"artistic-2.0",
	"bsl-1.0",
	"bsd",
	"bsd-2-clause",
	"bsd-3-clause",
	"bsd-3-clause-clear",
	"c-uda",
	"cc",
	"cc0-1.0",
	"cc-by-2.0",
	"cc-by-2.5",
	"cc-by-3.0",
	"cc-by-4.0",
	"cc-by-sa-3.0",
	"cc-by-sa-4.0",
	"cc-by-nc-2.0",
	"cc-by-nc-3.0",
	"cc-by-nc-4.0",
	"cc-by-nd-4.0",
	"cc-by-nc-nd-3.0",
	"cc-by-nc-nd-4.0",
	"cc-by-nc-sa-2.0",
	"cc-by-nc-sa-3.0",
	"cc-by-nc-sa-4.0",
	"cdla-sharing-1.0",
	"cdla-permissive-1.0",
	"cdla-permissive-2.0",
	"wtfpl",
	"ecl-2.0",
	"epl-1.0",
	"epl-2.0",
	"etalab-2.0",
	"eupl-1.1",
	"eupl-1.2",
	"agpl-3.0",
	"gfdl",
	"gpl",
	"gpl-2.0",
	"gpl-3.0",
	"lgpl",
	"lgpl-2.1",
	"lgpl-3.0",
	"isc",
	"h-research",
	"intel-research",
	"lppl-1.3c",
	"ms-pl",
	"apple-ascl",
	"apple-amlr",
	"mpl-2.0",
	"odc-by",
	"odbl",
	"openmdw-1.0",
	"openrail++",
	"osl-3.0",
	"postgresql",
	"ofl-1.1",
	"ncsa",
	"unlicense",
	"zlib",
	"pddl",
	"lgpl-lr",
	"deepfloyd-if-license",
	"fair-noncommercial-research-license",
	"llama2",
	"llama3",
	"llama3.1",
	"llama3.2",
	"llama3.3",
	"llama4",
	"grok2-community",
	"gemma",
	"unknown",
	"other",
	NULL,
};
static const char *const colors[] = { "red",    "yellow", "green", "blue", "indigo",
				      "purple", "pink",   "gray",  NULL };
static const char *const sdks[] = { "gradio", "streamlit", "docker", "static", NULL };

/* The check that runs. */
struct checking {
	struct jwrite w;
	struct buf *first;
	unsigned errors;
};

/* The name of what is checked: of an item, with its number. */
struct name {
	char text[64];
	const char *key;
	ssize_t item; /* -1: it is none */
};

struct rule {
	const char *key;
	unsigned types; /* of repositories, a bit for each */
	void (*check)(struct checking *c, const struct name *n, const struct jval *v);
	bool list; /* an array of such, as well as one */
};

/* ---- what is wrong ---- */

static void begin_error(struct checking *c, const char *message)
{
	if (!c->errors++)
		buf_add_str(c->first, message);
	jwrite_object(&c->w, NULL);
	jwrite_text(&c->w, "message", message);
}

static void add_error(struct checking *c, const struct name *n, const char *fmt, ...) PRINTF(3, 4);
static void add_error(struct checking *c, const struct name *n, const char *fmt, ...)
{
	CLEANUP(buf_free) struct buf message = { 0 };
	va_list ap;

	if (c->errors == ERRORS_MAX)
		return;
	buf_printf(&message, "\"%s\" ", n->text);
	va_start(ap, fmt);
	buf_vprintf(&message, fmt, ap);
	va_end(ap);
	begin_error(c, buf_str(&message));
	jwrite_array(&c->w, "path");
	jwrite_text(&c->w, NULL, n->key);
	if (n->item >= 0)
		jwrite_int(&c->w, NULL, n->item);
	jwrite_array_end(&c->w);
	jwrite_object_end(&c->w);
}

/* "must be one of [a, b]"; `array` if it could be an array as well. */
static void check_word(struct checking *c, const struct name *n, const struct jval *v,
		       const char *const *words, bool array)
{
	CLEANUP(buf_free) struct buf all = { 0 };
	const char *text = jval_str(v);

	for (size_t i = 0; words[i]; i++) {
		if (text && !strcmp(words[i], text))
			return;
		buf_printf(&all, "%s%s", i ? ", " : "", words[i]);
	}
	add_error(c, n, "must be one of [%s%s]", buf_str(&all), array ? ", array" : "");
}

/* ---- values ---- */

static void check_string(struct checking *c, const struct name *n, const struct jval *v)
{
	if (!jval_str(v))
		add_error(c, n, "must be a string");
}

static void check_array(struct checking *c, const struct name *n, const struct jval *v)
{
	if (!jval_is_array(v))
		add_error(c, n, "must be an array");
}

static void check_bool(struct checking *c, const struct name *n, const struct jval *v)
{
	if (jval_bool(v) < 0)
		add_error(c, n, "must be a boolean");
}

static void check_license(struct checking *c, const struct name *n, const struct jval *v)
{
	check_word(c, n, v, licenses, n->item < 0);
}

static void check_color(struct checking *c, const struct name *n, const struct jval *v)
{
	check_word(c, n, v, colors, false);
}

static void check_sdk(struct checking *c, const struct name *n, const struct jval *v)
{
	check_word(c, n, v, sdks, false);
}

static void check_short(struct checking *c, const struct name *n, const struct jval *v)
{
	const char *text = jval_str(v);
	size_t letters = 0;

	if (!text) {
		check_string(c, n, v);
		return;
	}
	for (; *text; text++)
		letters += (*text & 0xc0) != 0x80;
	if (letters > SHORT_MAX)
		add_error(c, n, "length must be less than or equal to %d characters", SHORT_MAX);
}

/* Two or three letters, or one of the words that stand for none or many. */
static void check_language(struct checking *c, const struct name *n, const struct jval *v)
{
	const char *text = jval_str(v);
	size_t len, lower;

	if (!text) {
		check_string(c, n, v);
		return;
	}
	len = strlen(text);
	lower = strspn(text, "abcdefghijklmnopqrstuvwxyz");
	if (text[strcspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")])
		add_error(c, n, "must only contain lowercase characters");
	else if ((lower != len || len < 2 || len > 3) && strcmp(text, "code") != 0 &&
		 strcmp(text, "multilingual") != 0)
		add_error(c, n,
			  "with value \"%.100s\" is not valid. It must be an ISO 639-1, 639-2 or "
			  "639-3 code (two/three letters), or a special value like \"code\", "
			  "\"multilingual\". If you want to use BCP-47 identifiers, you can "
			  "specify them in language_bcp47.",
			  text);
}

static void check_id(struct checking *c, const struct name *n, const struct jval *v,
		     enum repo_type type, const char *advice)
{
	const char *text = jval_str(v);
	struct repo_id id;

	if (!text)
		check_string(c, n, v);
	else if (!*text)
		add_error(c, n, "is not allowed to be empty");
	else if (repo_id_parse(type, text, &id) < 0)
		add_error(c, n, "with value \"%.250s\" is not valid. %s", text, advice);
}

static void check_model(struct checking *c, const struct name *n, const struct jval *v)
{
	check_id(c, n, v, REPO_MODEL, "Use a model id from https://hf.co/models.");
}

static void check_dataset(struct checking *c, const struct name *n, const struct jval *v)
{
	check_id(c, n, v, REPO_DATASET,
		 "If possible, use a dataset id from https://hf.co/datasets.");
}

/* ---- cards ---- */

#define OF(type) (1U << (type))
#define ANY (OF(REPO_MODEL) | OF(REPO_DATASET) | OF(REPO_SPACE))

static const struct rule rules[] = {
	{ "license", ANY, check_license, true },
	{ "tags", ANY, check_string, true },
	{ "language", OF(REPO_MODEL) | OF(REPO_DATASET), check_language, true },
	{ "base_model", OF(REPO_MODEL), check_model, true },
	{ "datasets", OF(REPO_MODEL) | OF(REPO_SPACE), check_dataset, true },
	{ "models", OF(REPO_SPACE), check_model, true },
	{ "metrics", OF(REPO_MODEL), check_string, true },
	{ "library_name", OF(REPO_MODEL), check_string, false },
	{ "pipeline_tag", OF(REPO_MODEL), check_string, false },
	{ "widget", OF(REPO_MODEL), check_array, false },
	{ "model-index", OF(REPO_MODEL), check_array, false },
	{ "configs", OF(REPO_DATASET), check_array, false },
	{ "pretty_name", OF(REPO_DATASET), check_string, false },
	{ "task_categories", OF(REPO_DATASET), check_string, true },
	{ "task_ids", OF(REPO_DATASET), check_string, true },
	{ "size_categories", OF(REPO_DATASET), check_string, true },
	{ "title", OF(REPO_SPACE), check_string, false },
	{ "emoji", OF(REPO_SPACE), check_string, false },
	{ "sdk", OF(REPO_SPACE), check_sdk, false },
	{ "colorFrom", OF(REPO_SPACE), check_color, false },
	{ "colorTo", OF(REPO_SPACE), check_color, false },
	{ "pinned", OF(REPO_SPACE), check_bool, false },
	{ "short_description", OF(REPO_SPACE), check_short, false },
};

static void check_rule(struct checking *c, const struct rule *rule, const struct jval *v)
{
	struct name n = { .key = rule->key, .item = -1 };

	if (!rule->list || !jval_is_array(v)) {
		snprintf(n.text, sizeof(n.text), "%s", rule->key);
		rule->check(c, &n, v);
		return;
	}
	for (size_t i = 0; i < jval_count(v) && c->errors < ERRORS_MAX; i++) {
		n.item = (ssize_t)i;
		snprintf(n.text, sizeof(n.text), "%s[%zu]", rule->key, i);
		rule->check(c, &n, jval_at(v, i));
	}
}

static const struct rule *find_rule(const char *key, enum repo_type type)
{
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (rules[i].types & OF(type) && !strcmp(rules[i].key, key))
			return &rules[i];
	return NULL;
}

static int check_all(struct checking *c, const struct buf *json, enum repo_type type)
{
	CLEANUP(jdoc_freep) struct jdoc *doc = NULL;
	const struct jval *v;
	const char *key = NULL;
	int r = jdoc_parse(json->data, json->len, &doc);

	if (r < 0)
		return r;
	while ((v = jval_next(jdoc_root(doc), &key))) {
		const struct rule *rule = find_rule(key, type);

		if (rule)
			check_rule(c, rule, v);
	}
	return 0;
}

/* Of one that is no YAML, or no object. */
static void refuse_card(struct checking *c, const char *message)
{
	begin_error(c, message);
	jwrite_text(&c->w, "help", LINT_HELP);
	jwrite_text(&c->w, "type", "error");
	jwrite_object_end(&c->w);
}

static void warn(struct checking *c, bool missing)
{
	jwrite_array(&c->w, "warnings");
	if (missing) {
		jwrite_object(&c->w, NULL);
		jwrite_text(&c->w, "message", "empty or missing yaml metadata in repo card");
		jwrite_text(&c->w, "help", CARD_HELP);
		jwrite_object_end(&c->w);
	}
	jwrite_array_end(&c->w);
}

int card_check(const char *text, size_t len, enum repo_type type, struct buf *ret,
	       struct buf *first)
{
	CLEANUP(buf_free) struct buf json = { 0 }, why = { 0 };
	struct checking c = { .w = { .to = ret }, .first = first };
	int r = frontmatter_json(text, len, &json, &why);
	bool missing = r == -ENOENT;

	jwrite_object(&c.w, NULL);
	jwrite_array(&c.w, "errors");
	if (r == 0)
		r = check_all(&c, &json, type);
	else if (r == -EINVAL)
		refuse_card(&c, buf_str(&why));
	jwrite_array_end(&c.w);
	warn(&c, missing);
	jwrite_object_end(&c.w);
	if (r < 0 && r != -EINVAL && !missing)
		return r;
	return ret->failed ? ret->failed : first->failed;
}
