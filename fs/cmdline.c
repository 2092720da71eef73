/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/cmdline.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/why.h"

struct parser {
	const struct conf_table *table;
	struct cmdline *c;
	struct buf *why;
	char *const *next;    /* arguments not looked at yet */
	const char *words[2]; /* what is neither an option nor its value */
	unsigned word_count;
	bool words_only;        /* behind "--" */
	const char *mount_flag; /* the first that only mount(8) gives */
};

static int take_next(struct parser *p, const char *option, const char **ret)
{
	if (!*p->next)
		return complain(p->why, "\"%s\" needs a value behind it.", option);
	*ret = *p->next++;
	return 0;
}

static int add_mount_options(struct parser *p, const char *options)
{
	struct buf *all = &p->c->mount_options;

	return buf_printf(all, "%s%s", all->len ? "," : "", options);
}

static int add_setting(struct parser *p, const char *name, const char *value)
{
	struct cmdline *c = p->c;
	size_t size = (c->setting_count + 1) * sizeof(*c->settings);
	struct cmdline_setting *more = realloc(c->settings, size);

	if (!more)
		return -ENOMEM;
	more[c->setting_count++] = (struct cmdline_setting){ name, value };
	c->settings = more;
	return 0;
}

static int add_word(struct parser *p, const char *word)
{
	if (p->word_count == ARRAY_LEN(p->words))
		return complain(p->why,
				"\"%s\" is one argument too many: behind the options stands "
				"MOUNTPOINT, or SOURCE and MOUNTPOINT.",
				word);
	p->words[p->word_count++] = word;
	return 0;
}

/* Arguments can be read by every user of the machine. */
static int refuse_token(struct parser *p)
{
	return complain(p->why,
			"A token on the command line is seen by every user of this machine: "
			"put it into a file and name that with --token-file=FILE.");
}

static const struct conf_param *find_param(const struct conf_table *t, const char *name, size_t len)
{
	for (size_t i = 0; i < t->count; i++)
		if (!strncmp(t->params[i].name, name, len) && !t->params[i].name[len])
			return &t->params[i];
	return NULL;
}

static int parse_param(struct parser *p, const char *name, size_t len)
{
	const struct conf_param *param = find_param(p->table, name, len);
	const char *value = name[len] ? name + len + 1 : NULL;
	int r = 0;

	if (!param) {
		CLEANUP(freep) char *unknown = strndup(name, len);

		/* There is nothing to set: this finds the words that say so. */
		return unknown ? conf_set(p->table, NULL, unknown, value, p->why) : -ENOMEM;
	}
	if (!value && param->type != CONF_FLAG)
		r = take_next(p, name - 2, &value);
	return r ? r : add_setting(p, param->name, value);
}

/* An option that began with "--". */
static int parse_long(struct parser *p, const char *text)
{
	size_t len = strcspn(text, "=");

	if (!strcmp(text, "help"))
		p->c->action = OPTIONS_HELP;
	else if (!strcmp(text, "version"))
		p->c->action = OPTIONS_VERSION;
	else if (!strcmp(text, "check"))
		p->c->action = OPTIONS_CHECK;
	else if (!strcmp(text, "config-markdown"))
		p->c->action = OPTIONS_CONFIG_MD;
	else if (!strcmp(text, "config-man"))
		p->c->action = OPTIONS_CONFIG_MAN;
	else if (len == 5 && !strncmp(text, "token", len))
		return refuse_token(p);
	else
		return parse_param(p, text, len);
	return 0;
}

/* Options with a value, which may hang on the letter. */
static int parse_short_value(struct parser *p, const char *arg)
{
	const char *value = arg + 2;
	int r = *value ? 0 : take_next(p, arg, &value);

	if (r)
		return r;
	if (arg[1] == 'o')
		return add_mount_options(p, value);
	p->mount_flag = arg;
	return 0;
}

static int parse_short(struct parser *p, const char *arg)
{
	if (strchr("otN", arg[1]))
		return parse_short_value(p, arg);
	if (arg[2] || !strchr("hVfnsvrw", arg[1]))
		return complain(p->why, "There is no option \"%s\"; --help lists them.", arg);
	if (strchr("nsvrw", arg[1]))
		p->mount_flag = arg;
	switch (arg[1]) {
	case 'h':
		p->c->action = OPTIONS_HELP;
		return 0;
	case 'V':
		p->c->action = OPTIONS_VERSION;
		return 0;
	case 'f':
		p->c->foreground = true;
		return 0;
	case 'r':
		return add_mount_options(p, "ro");
	case 'w':
		return add_mount_options(p, "rw");
	}
	return 0;
}

static int parse_arg(struct parser *p, const char *arg)
{
	if (p->words_only || arg[0] != '-' || !arg[1])
		return add_word(p, arg);
	if (arg[1] != '-')
		return parse_short(p, arg);
	if (arg[2])
		return parse_long(p, arg + 2);
	p->words_only = true;
	return 0;
}

/* mount(8) looks for programs of this name. */
static bool is_mount_helper(const char *program)
{
	const char *slash = strrchr(program, '/');

	return !strcmp(slash ? slash + 1 : program, "mount.fuse.matrixfs");
}

static bool is_source(const char *word)
{
	return strstr(word, "://") || strcmp(word, "none") == 0 || strcmp(word, "matrixfs") == 0;
}

static int place_words(struct parser *p, bool is_helper)
{
	struct cmdline *c = p->c;

	if (p->word_count < 2 && is_helper)
		return complain(p->why, "The mount point is missing: mount.fuse.matrixfs SOURCE "
					"MOUNTPOINT [-o OPTIONS].");
	c->by_mount = p->word_count == 2;
	c->source = c->by_mount ? p->words[0] : NULL;
	c->mountpoint = p->word_count ? p->words[p->word_count - 1] : NULL;
	if (c->mountpoint && !*c->mountpoint)
		return complain(p->why, "The mount point is an empty word.");
	/* A slip of two mount points must not mount over the second. */
	if (c->by_mount && !is_source(c->source))
		return complain(
			p->why,
			"\"%s\" is no SOURCE for \"%s\": it is the URL of a hub, or \"none\", "
			"or \"matrixfs\".",
			c->source, c->mountpoint);
	if (p->mount_flag && !c->by_mount)
		return complain(p->why,
				"\"%s\" is for mount(8), which names SOURCE and MOUNTPOINT; "
				"--help lists the options.",
				p->mount_flag);
	/* mount -f means "fake" and asks for nothing. */
	if (is_helper)
		c->foreground = false;
	return 0;
}

int cmdline_parse(const struct conf_table *t, int argc, char *const argv[], struct cmdline *ret,
		  struct buf *why)
{
	struct parser p = { .table = t, .c = ret, .why = why, .next = argv + (argc > 0) };
	int r = 0;

	while (!r && *p.next && options_count(ret->action)) {
		const char *arg = *p.next++;

		r = parse_arg(&p, arg);
	}
	if (!r && options_count(ret->action))
		r = place_words(&p, argc > 0 && is_mount_helper(argv[0]));
	return r;
}

void cmdline_fini(struct cmdline *c)
{
	buf_free(&c->mount_options);
	free(c->settings);
	*c = (struct cmdline){ 0 };
}

/* An entry that ends with '=' or '-' stands for all that begin so. */
static bool is_listed(const char *const *list, const char *option)
{
	for (; *list; list++) {
		size_t len = strlen(*list);
		bool is_prefix = strchr("=-", (*list)[len - 1]) != NULL;

		if (!strncmp(option, *list, len) && (is_prefix || !option[len]))
			return true;
	}
	return false;
}

enum cmdline_use cmdline_mount_option(const char *option)
{
	/* Those libfuse has a word for. */
	static const char *const pass[] = {
		"ro",      "rw",      "dev",        "nodev",       "suid",
		"nosuid",  "exec",    "noexec",     "sync",        "async",
		"dirsync", "noatime", "nodiratime", "nosymfollow", "default_permissions",
		NULL,
	};
	static const char *const drop[] = {
		"defaults", "auto",       "noauto",     "user",        "user=",
		"nouser",   "users",      "owner",      "group",       "_netdev",
		"nofail",   "comment=",   "x-",         "X-",          "atime",
		"diratime", "relatime",   "norelatime", "strictatime", "nostrictatime",
		"lazytime", "nolazytime", "silent",     "loud",        "symfollow",
		NULL,
	};

	if (is_listed(pass, option))
		return CMDLINE_PASS;
	return is_listed(drop, option) ? CMDLINE_DROP : CMDLINE_OTHER;
}
