/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_grammar.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "admin/ctl/ctl_verbs.h"
#include "admin/ctl/ctl_whom.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"

#define ARGS_MAX 12
#define SECRET "hf_SecretSecretSecret"

/* Parses a command line whose words have blanks between them; "" in why if it is right. */
static int parse(const char *text, struct ctl_line *ret, struct buf *why)
{
	static char words[512]; /* what was parsed borrows from it */
	char *argv[ARGS_MAX + 1] = { words }, *at = words;
	int argc = 1;

	snprintf(words, sizeof(words), "matrixctl %s", text);
	strsep(&at, " ");
	while (at && *at && argc < ARGS_MAX)
		argv[argc++] = strsep(&at, " ");
	argv[argc] = NULL;
	return ctl_parse(&ctl_verbs, argc, argv, ret, why);
}

static struct ctl_line right(const char *text)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct ctl_line l;

	if (parse(text, &l, &why) != 0)
		fail_msg("%s: %s", text, buf_str(&why));
	return l;
}

/* It is refused, and the sentence holds the words. */
static void wrong(const char *text, const char *words)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct ctl_line l;

	assert_int_equal(parse(text, &l, &why), ERR_CONF);
	if (!strstr(buf_str(&why), words))
		fail_msg("%s: \"%s\" is not in \"%s\"", text, words, buf_str(&why));
	assert_null(strstr(buf_str(&why), SECRET));
}

static void commands_of_one_two_and_three_words_are_found(void **state)
{
	struct ctl_line l = right("status");

	(void)state;
	assert_string_equal(l.verb->words, "status");
	l = right("user add alice");
	assert_string_equal(l.verb->words, "user add");
	assert_string_equal(ctl_operand(&l, "NAME"), "alice");
	l = right("org member add acme bob");
	assert_string_equal(l.verb->words, "org member add");
	assert_string_equal(ctl_operand(&l, "ORG"), "acme");
	assert_string_equal(ctl_operand(&l, "USER"), "bob");
}

static void options_stand_before_among_and_behind_the_words(void **state)
{
	struct ctl_line l = right("--json org --hub=http://h member add --role=write acme bob");

	(void)state;
	assert_string_equal(ctl_option(&l, "role"), "write");
	assert_string_equal(ctl_global(&l, "hub"), "http://h");
	assert_non_null(ctl_global(&l, "json"));
	l = right("org member add acme bob --role read");
	assert_string_equal(ctl_option(&l, "role"), "read");
	assert_null(ctl_global(&l, "json"));
}

static void what_may_be_left_out_is_not_there(void **state)
{
	struct ctl_line l = right("token list");

	(void)state;
	assert_null(ctl_operand(&l, "USER"));
	l = right("token list alice");
	assert_string_equal(ctl_operand(&l, "USER"), "alice");
	l = right("user add -- --odd");
	assert_string_equal(ctl_operand(&l, "NAME"), "--odd");
}

static void a_repository_is_found_with_its_revision_behind_it(void **state)
{
	struct ctl_line l = right("pull org/name@v1.0 --type=dataset");

	(void)state;
	assert_string_equal(ctl_operand(&l, "REPO"), "org/name@v1.0");
	assert_string_equal(ctl_option(&l, "type"), "dataset");
}

static void what_is_wrong_is_named_with_what_would_be_right(void **state)
{
	(void)state;
	wrong("pr drop org/name abc", "NUM is a number, and \"abc\" is none");
	wrong("pr drop org/name -- -1", "NUM is a number");
	right("pr drop org/name 12");
	wrong("", "behind \"matrixctl\" stands status, top, ls, pull");
	wrong("user", "behind \"matrixctl user\" stands add, list, info, set, disable, remove");
	wrong("org member", "stands add, list, remove");
	wrong("usr add", "There is no command \"usr\"");
	wrong("user ad", "There is no command \"user ad\"");
	wrong("user add", "NAME is missing");
	wrong("org member add acme", "USER is missing");
	wrong("user add a b", "\"b\" is one argument too many");
	wrong("user add a --role=read", "no option \"--role\" of user add");
	wrong("user add a --full-name", "needs a value: --full-name=TEXT");
	wrong("user add a --email=x --email=y", "given twice");
	wrong("user add a --json=yes", "takes no value");
	wrong("user add a -x", "no option \"-x\"");
	wrong("org add a --default-visibility=secret", "allowed is public|private");
	wrong("token create a --name=n --role=owner", "allowed is read|write|admin");
	wrong("token import a --secret-file=f --role=read", "needs --name=TEXT");
	wrong("token create a --name=n --expires-days=soon", "a whole number");
	wrong("--nonsense status", "before a command");
}

static void a_secret_on_the_command_line_is_refused_and_not_repeated(void **state)
{
	(void)state;
	wrong("status --token=" SECRET, "--token-file=FILE");
	wrong("--token " SECRET, "--token-file=FILE");
	wrong("token import a --secret=" SECRET, "--secret-file=FILE");
}

static void help_is_of_all_or_of_one_command(void **state)
{
	CLEANUP(buf_free) struct buf all = { 0 }, one = { 0 };
	struct ctl_line l = right("--help");

	(void)state;
	assert_int_equal(l.action, CTL_HELP);
	assert_null(l.verb);
	ctl_help(&ctl_verbs, NULL, &all);
	for (size_t i = 0; i < ctl_verbs.count; i++)
		assert_non_null(strstr(buf_str(&all), ctl_verbs.verbs[i].words));
	l = right("token import --help");
	ctl_help(&ctl_verbs, l.verb, &one);
	assert_non_null(strstr(buf_str(&one), "Usage: matrixctl token import --secret-file=FILE"));
	assert_null(strstr(buf_str(&one), "user add"));
	assert_int_equal(right("-V").action, CTL_VERSION);
}

static void a_command_that_others_begin_with_takes_nothing(void **state)
{
	(void)state;
	for (size_t i = 0; i < ctl_verbs.count; i++)
		for (size_t j = 0; j < ctl_verbs.count; j++) {
			const struct ctl_verb *a = &ctl_verbs.verbs[i], *b = &ctl_verbs.verbs[j];
			size_t len = strlen(a->words);

			if (i == j || strncmp(a->words, b->words, len) != 0 || b->words[len] != ' ')
				continue;
			assert_true(!*a->operands && !a->options);
		}
}

static void a_command_may_go_on_where_another_one_ends(void **state)
{
	struct ctl_line l = right("peers --json --node=/c/control");

	(void)state;
	assert_string_equal(l.verb->words, "peers");
	assert_string_equal(ctl_global(&l, "node"), "/c/control");
	assert_string_equal(right("peers where /models/x").verb->words, "peers where");
	l = right("peers forgive");
	assert_null(ctl_operand(&l, "ADDRESS"));
	l = right("peers forgive 192.0.2.1:9980");
	assert_string_equal(ctl_operand(&l, "ADDRESS"), "192.0.2.1:9980");
	wrong("peers were /x", "behind \"matrixctl peers\" stands where, forgive");
	wrong("peers where", "PATH is missing");
	wrong("status now", "one argument too many");
}

static void only_some_commands_are_for_a_node(void **state)
{
	(void)state;
	assert_non_null(ctl_node_verb(right("pull org/x").verb));
	assert_non_null(ctl_node_verb(right("peers where /x").verb));
	assert_non_null(ctl_node_verb(right("nfs").verb));
	assert_string_equal(ctl_node_verb(right("job list").verb)->path, "/jobs");
	assert_string_equal(ctl_node_verb(right("job cancel 3").verb)->method, "DELETE");
	assert_string_equal(right("job cancel 3").verb->method, "POST"); /* of a hub */
	assert_int_equal(ctl_whom(right("nfs").verb), CTL_NODE);
	assert_int_equal(ctl_whom(right("user list").verb), CTL_HUB);
	assert_null(ctl_node_verb(right("user list").verb));
}

/* The manual page writes "-" as "\-", so that it is not taken for a hyphen. */
static void strip_backslashes(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (*text != '\\')
			*to++ = *text;
	*to = '\0';
}

static void check_options(const struct ctl_option *o, const char *text, const char *of)
{
	char name[64];

	for (; o && o->name; o++) {
		snprintf(name, sizeof(name), "Fl -%s", o->name);
		if (!strstr(text, name))
			fail_msg("docs/matrixctl.1 has no \"%s\" of %s", name, of);
	}
}

/* What the page has of a command: from its line to the next one's; owned, or NULL. */
static char *find_entry(const char *page, const char *words)
{
	char item[128];
	const char *at = page, *end;

	snprintf(item, sizeof(item), "\n.It Cm %s", words);
	while ((at = strstr(at, item))) {
		at += strlen(item);
		if (*at == '\n' || !strncmp(at, " Ar ", 4) || !strncmp(at, " Op ", 4))
			break;
	}
	if (!at)
		return NULL;
	end = strstr(at, "\n.It Cm ");
	return end ? strndup(at, (size_t)(end - at)) : strdup(at);
}

static void the_manual_has_each_command_with_its_options(void **state)
{
	CLEANUP(buf_free) struct buf page = { 0 };

	(void)state;
	assert_int_equal(file_read_all(AT_FDCWD, "docs/matrixctl.1", 1 << 20, &page), 0);
	strip_backslashes(page.data);
	check_options(ctl_verbs.globals, buf_str(&page), "all");
	for (size_t i = 0; i < ctl_verbs.count; i++) {
		const struct ctl_verb *v = &ctl_verbs.verbs[i];
		CLEANUP(freep) char *entry = find_entry(buf_str(&page), v->words);

		if (!entry)
			fail_msg("docs/matrixctl.1 has no \"%s\"", v->words);
		check_options(v->options, entry, v->words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands_of_one_two_and_three_words_are_found),
		cmocka_unit_test(options_stand_before_among_and_behind_the_words),
		cmocka_unit_test(what_may_be_left_out_is_not_there),
		cmocka_unit_test(a_repository_is_found_with_its_revision_behind_it),
		cmocka_unit_test(what_is_wrong_is_named_with_what_would_be_right),
		cmocka_unit_test(a_secret_on_the_command_line_is_refused_and_not_repeated),
		cmocka_unit_test(help_is_of_all_or_of_one_command),
		cmocka_unit_test(a_command_that_others_begin_with_takes_nothing),
		cmocka_unit_test(a_command_may_go_on_where_another_one_ends),
		cmocka_unit_test(only_some_commands_are_for_a_node),
		cmocka_unit_test(the_manual_has_each_command_with_its_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
