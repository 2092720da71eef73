/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_config.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl/ctl_print.h"
#include "admin/hubconf.h"
#include "daemon/base/child.h"
#include "daemon/base/why.h"

#define CHECK_MS 10000

/* --- show */

static void add_line(const char *name, const struct jval *value, bool is_default, struct buf *ret)
{
	const char *text = jval_str(value);

	buf_printf(ret, "%s%s = ", is_default || !text ? "# " : "", name);
	ctl_print_text(text ? text : "", ret);
	buf_add_str(ret, "\n");
}

static void add_param(const struct jval *p, struct buf *ret)
{
	const struct jval *value = jval_get(p, "value");
	bool is_default = jval_bool(jval_get(p, "default")) == 1;
	const char *name = jval_get_str(p, "name");

	if (!jval_is_array(value) || !jval_count(value))
		add_line(name ? name : "?", value, is_default, ret);
	for (size_t i = 0; i < jval_count(value); i++)
		add_line(name ? name : "?", jval_at(value, i), is_default, ret);
}

int ctl_config_show(struct ctl *c)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(buf_free) struct buf text = { 0 };
	const struct jval *list;
	int r = ctl_ask(c, "GET", "/config", NULL, &d);

	if (r < 0)
		return r;
	if (c->json)
		return ctl_show(c, "", jdoc_root(d));
	list = jval_get(jdoc_root(d), "parameters");
	for (size_t i = 0; i < jval_count(list); i++)
		add_param(jval_at(list, i), &text);
	return ctl_put(c, &text);
}

/* --- check */

/* The one beside us, else that of PATH. */
static void find_program(const char *name, struct buf *ret)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	self[n > 0 ? n : 0] = '\0';
	if (strrchr(self, '/'))
		buf_printf(ret, "%.*s/%s", (int)(strrchr(self, '/') - self), self, name);
	if (!ret->len || access(buf_str(ret), X_OK) < 0) {
		buf_clear(ret);
		buf_add_str(ret, name);
	}
}

/* 0 if it is right, 1 with what it says if not. */
static int check_matrixfs(const char *file, struct buf *said, struct buf *why)
{
	CLEANUP(buf_free) struct buf program = { 0 }, config = { 0 };
	static const char name[] = "matrixfs: ";
	char check[] = "--check";
	char *argv[] = { NULL, check, NULL, NULL };
	int r;

	find_program("matrixfs", &program);
	if (file)
		buf_printf(&config, "--config=%s", file);
	if (program.failed || config.failed)
		return -ENOMEM;
	argv[0] = program.data;
	argv[2] = file ? config.data : NULL;
	r = child_say(argv[0], argv, CHECK_MS, said);
	buf_trim_end(said);
	if (!strncmp(buf_str(said), name, strlen(name)))
		memmove(said->data, said->data + strlen(name), said->len - strlen(name) + 1);
	return r < 0 ? complain(why, "%s cannot be run: %s.", argv[0], err_text(r)) : r != 0;
}

static int check_matrixhubd(const char *file, struct buf *said)
{
	CLEANUP(hubconf_fini) struct hubconf conf = { 0 };
	CLEANUP(buf_free) struct buf config = { 0 }, token = { 0 };
	char program[] = "matrixhubd";
	char *argv[] = { program, NULL, NULL };
	enum hubconf_action action;
	int r = 0;

	if (file)
		r = buf_printf(&config, "--config=%s", file);
	argv[1] = file ? config.data : NULL;
	if (r == 0)
		r = hubconf_parse(file ? 2 : 1, argv, &conf, &action, said);
	if (r == 0)
		r = hubconf_token(&conf, &token, said);
	if (token.data)
		explicit_bzero(token.data, token.cap);
	return r == -ENOMEM ? r : r < 0;
}

static int put_json(struct ctl *c, const char *program, const char *file, bool right,
		    const char *said)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct jwrite w = { .to = &text };

	jwrite_object(&w, NULL);
	jwrite_text(&w, "program", program);
	jwrite_text(&w, "file", file);
	jwrite_bool(&w, "right", right);
	jwrite_text(&w, "error", right ? NULL : said);
	jwrite_object_end(&w);
	buf_add_str(&text, "\n");
	return ctl_put(c, &text);
}

int ctl_config_check(struct ctl *c)
{
	const char *file = ctl_operand(c->line, "FILE");
	const char *program = ctl_option(c->line, "program");
	CLEANUP(buf_free) struct buf said = { 0 }, done = { 0 };
	bool hub = program && !strcmp(program, "matrixhubd");
	int wrong = hub ? check_matrixhubd(file, &said) : check_matrixfs(file, &said, &c->why);
	int r = 0;

	if (wrong < 0)
		return wrong;
	if (c->json)
		r = put_json(c, hub ? "matrixhubd" : "matrixfs", file, !wrong, buf_str(&said));
	if (r < 0 || wrong)
		return r < 0 ? r : complain_ended(&c->why, "%s", buf_str(&said));
	buf_add_str(&done, "The configuration is right.\n");
	return c->json ? 0 : ctl_put(c, &done);
}
