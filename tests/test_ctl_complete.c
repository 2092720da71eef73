/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_complete.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "admin/ctl/ctl_verbs.h"

/* These words, a line each, and no others are offered. */
static void offers(const char *line, const char *words)
{
	CLEANUP(buf_free) struct buf got = { 0 };

	ctl_complete(&ctl_verbs, line, &got);
	if (strcmp(buf_str(&got), words) != 0)
		fail_msg("\"%s\": \"%s\", not \"%s\"", line, buf_str(&got), words);
}

static void a_command_is_completed_word_by_word(void **state)
{
	(void)state;
	offers("matrixctl us", "user\n");
	offers("matrixctl user ", "add\nlist\ninfo\nset\ndisable\nremove\n");
	offers("matrixctl user l", "list\n");
	offers("matrixctl --json org  member a", "add\n");
	offers("matrixctl peers ", "where\nforgive\n"); /* which is one itself */
	offers("matrixctl usr ", "");
	offers("matrixctl user list ", "");
}

static void an_option_is_one_of_the_command_or_of_all(void **state)
{
	(void)state;
	offers("matrixctl pull org/x --no", "--nodes=\n--no-wait\n--node=\n");
	offers("matrixctl pull --js", "--json\n");
	offers("matrixctl --ty", "");
	offers("matrixctl user list --no-w", "");
	offers("matrixctl user list --h", "--hub=\n--help\n");
}

static void a_value_is_one_of_those_there_are(void **state)
{
	(void)state;
	offers("matrixctl pull org/x --type=", "--type=model\n--type=dataset\n--type=space\n");
	offers("matrixctl pull --type=d", "--type=dataset\n");
	offers("matrixctl pull --type d", "dataset\n");
	offers("matrixctl pull --type dataset ", "");
	offers("matrixctl user add a --email=", "");
	offers("matrixctl user add a --email x --adm", "--admin=\n");
	offers("matrixctl --hub user list --lim", "");
}

/* Whatever the table has, a shell can be led to. */
static void each_command_and_option_is_offered(void **state)
{
	(void)state;
	for (size_t i = 0; i < ctl_verbs.count; i++) {
		const struct ctl_verb *v = &ctl_verbs.verbs[i];
		const char *space = strrchr(v->words, ' ');
		size_t before = space ? (size_t)(space + 1 - v->words) : 0;
		CLEANUP(buf_free) struct buf line = { 0 }, got = { 0 }, want = { 0 };

		buf_printf(&line, "matrixctl %.*s", (int)before, v->words);
		buf_printf(&want, "%s\n", v->words + before);
		ctl_complete(&ctl_verbs, buf_str(&line), &got);
		assert_non_null(strstr(buf_str(&got), buf_str(&want)));
		buf_clear(&line);
		buf_clear(&got);
		buf_printf(&line, "matrixctl %s --", v->words);
		ctl_complete(&ctl_verbs, buf_str(&line), &got);
		for (const struct ctl_option *o = v->options; o && o->name; o++)
			assert_non_null(strstr(buf_str(&got), o->name));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_command_is_completed_word_by_word),
		cmocka_unit_test(an_option_is_one_of_the_command_or_of_all),
		cmocka_unit_test(a_value_is_one_of_those_there_are),
		cmocka_unit_test(each_command_and_option_is_offered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
