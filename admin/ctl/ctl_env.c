/* SPDX-License-Identifier: Apache-2.0 */
/* Names and meanings are the clients' own: huggingface_hub's environment variables, vLLM's and
 * SGLang's arguments, llama.cpp's. */
#include "admin/ctl/ctl_env.h"

#include <string.h>

#include "daemon/base/why.h"

enum kind { SET, UNSET, NOTE };

struct row {
	const char *engine; /* NULL: of all */
	bool hub;           /* if a hub is asked, else if it is a mount */
	enum kind kind;
	const char *name;
	const char *value; /* "{}" is the mount point, or the hub */
};

static const struct row rows[] = {
	{ NULL, false, SET, "HF_HUB_CACHE", "{}/hub" },
	{ NULL, false, SET, "HF_HUB_OFFLINE", "1" },
	{ NULL, false, SET, "HF_HUB_DISABLE_TELEMETRY", "1" },
	{ NULL, false, NOTE, "All that is asked for is there: clients need to ask no hub.", NULL },
	{ "vllm", false, NOTE,
	  "vllm serve ORG/NAME --safetensors-load-strategy=prefetch (by itself it reads ahead on "
	  "NFS and Lustre alone)",
	  NULL },
	{ "sglang", false, NOTE,
	  "python3 -m sglang.launch_server --model-path ORG/NAME "
	  "--weight-loader-prefetch-checkpoints",
	  NULL },
	{ "llama.cpp", false, NOTE, "llama-server -m {}/files/ORG/NAME/FILE.gguf", NULL },
	{ "sentence-transformers", false, UNSET, "SENTENCE_TRANSFORMERS_HOME", NULL },
	{ "tgi", false, SET, "HUGGINGFACE_HUB_CACHE", "{}/hub" },
	{ "tgi", false, NOTE, "docker run -v {}:{}:ro,rslave -e HF_HUB_CACHE -e HF_HUB_OFFLINE …",
	  NULL },
	{ NULL, true, SET, "HF_ENDPOINT", "{}" },
	{ NULL, true, UNSET, "HF_HUB_OFFLINE", NULL },
	{ NULL, true, SET, "HF_HUB_DISABLE_XET", "1" },
	{ NULL, true, SET, "HF_HUB_DISABLE_TELEMETRY", "1" },
	{ NULL, true, NOTE,
	  "If matrixhubd runs with --xet, HF_HUB_DISABLE_XET may be left out. HF_TOKEN_PATH names "
	  "the file of a token of this hub.",
	  NULL },
	{ "vllm", true, NOTE, "vllm serve ORG/NAME", NULL },
	{ "sglang", true, NOTE, "python3 -m sglang.launch_server --model-path ORG/NAME", NULL },
	{ "llama.cpp", true, NOTE, "llama-server -hf ORG/NAME:QUANT", NULL },
};

struct client {
	const char *engine;
	bool hub;
	const char *where; /* mount point or URL */
};

static bool is_for(const struct row *row, const struct client *k)
{
	return row->hub == k->hub && (!row->engine || !strcmp(row->engine, k->engine));
}

static void expand(const char *text, const char *where, struct buf *ret)
{
	for (const char *next; (next = strstr(text, "{}")); text = next + 2) {
		buf_add(ret, text, (size_t)(next - text));
		buf_add_str(ret, where);
	}
	buf_add_str(ret, text);
}

/* As one word of a shell, whatever is in it. */
static void quote(const char *text, struct buf *ret)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789/._:@%+,-=";

	if (*text && !text[strspn(text, plain)]) {
		buf_add_str(ret, text);
		return;
	}
	buf_add_str(ret, "'");
	for (; *text; text++)
		buf_add(ret, *text == '\'' ? "'\\''" : text, *text == '\'' ? 4 : 1);
	buf_add_str(ret, "'");
}

static void add_line(const struct row *row, const char *text, struct buf *ret)
{
	static const char *const verbs[] = {
		[SET] = "export ",
		[UNSET] = "unset ",
		[NOTE] = "# ",
	};

	buf_add_str(ret, verbs[row->kind]);
	buf_add_str(ret, row->kind == NOTE ? text : row->name);
	if (row->kind == SET) {
		buf_add_str(ret, "=");
		quote(text, ret);
	}
	buf_add_str(ret, "\n");
}

static void add_lines(const struct client *k, struct buf *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_free) struct buf text = { 0 };

		if (!is_for(&rows[i], k))
			continue;
		expand(rows[i].kind == NOTE ? rows[i].name
		       : rows[i].value      ? rows[i].value
					    : "",
		       k->where, &text);
		add_line(&rows[i], buf_str(&text), ret);
	}
}

static void add_member(const struct client *k, enum kind kind, struct jwrite *w)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		CLEANUP(buf_free) struct buf text = { 0 };

		if (!is_for(&rows[i], k) || rows[i].kind != kind)
			continue;
		expand(kind == SET ? rows[i].value : rows[i].name, k->where, &text);
		jwrite_text(w, kind == SET ? rows[i].name : NULL, buf_str(&text));
	}
}

static void add_json(const struct client *k, struct buf *ret)
{
	struct jwrite w = { .to = ret };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "engine", k->engine);
	jwrite_text(&w, "by", k->hub ? "hub" : "mount");
	jwrite_object(&w, "set");
	add_member(k, SET, &w);
	jwrite_object_end(&w);
	jwrite_array(&w, "unset");
	add_member(k, UNSET, &w);
	jwrite_array_end(&w);
	jwrite_array(&w, "notes");
	add_member(k, NOTE, &w);
	jwrite_array_end(&w);
	jwrite_object_end(&w);
	buf_add_str(ret, "\n");
}

/* A shell reads what is put here, and a comment ends with its line. */
static bool is_one_line(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return false;
	return true;
}

static int put(struct ctl *c, const struct client *k)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	if (!c->json && !is_one_line(k->where))
		return complain(&c->why,
				"There are control characters in the name of this %s: no "
				"shell is told of it. --json has it.",
				k->hub ? "hub" : "mount point");
	if (c->json)
		add_json(k, &text);
	else
		add_lines(k, &text);
	return ctl_put(c, &text);
}

int ctl_env(struct ctl *c)
{
	const char *engine = ctl_option(c->line, "engine");
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	struct client k = { .engine = engine ? engine : "transformers",
			    .hub = !c->hub.socket,
			    .where = c->hub.url };
	int r;

	if (k.hub)
		return put(c, &k);
	r = ctl_ask(c, "GET", "/status", NULL, &d);
	if (r < 0)
		return r;
	k.where = jval_get_str(jdoc_root(d), "mountpoint");
	if (!k.where)
		return complain(&c->why, "This matrixfs has no mount: it exports by NFS alone.");
	return put(c, &k);
}
