/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/conf.h"
#include "daemon/base/conf_value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/err.h"

struct settings {
	bool offline;
	uint64_t cache_size;
	int64_t timeout;
	int64_t threads;
	char *token_file;
	int level;
	struct conf_list hubs;
	struct conf_list pins, only;
	char *key;
};

#define FIELD(f) offsetof(struct settings, f)

static const struct conf_param params[] = {
	{ "offline", CONF_FLAG, FIELD(offline), NULL, 0, 0, NULL, "Never asks the hub." },
	{ "cache-size", CONF_BYTES, FIELD(cache_size), "10GiB", 1 << 20, 1LL << 40, "BYTES",
	  "How many bytes of files the cache keeps at most before the ones that were not used for "
	  "the longest time go." },
	{ "timeout", CONF_SECONDS, FIELD(timeout), "30", 1, 3600, "SECONDS", "How long to wait." },
	{ "threads", CONF_COUNT, FIELD(threads), "8", 1, INT64_MAX, "N", "Number of threads." },
	{ "token-file", CONF_TEXT, FIELD(token_file), NULL, 0, 0, "FILE", "Holds the token." },
	{ "level", CONF_CHOICE, FIELD(level), "info", 0, 0, "error|warn|info|debug",
	  "What to log." },
	{ "hub", CONF_LIST, FIELD(hubs), "https://a,https://b", 0, 0, "URL", "A hub." },
	{ "pin", CONF_LIST, FIELD(pins), NULL, 0, 0, "REPO", "A repository to keep." },
	{ "only", CONF_LIST, FIELD(only), NULL, 1, 0, "RULE", "Who may." },
	{ "key", CONF_TEXT, FIELD(key), NULL, 1, 0, "FILE", "What opens it." },
};

static const struct conf_table table = { params, ARRAY_LEN(params) };

struct test {
	struct settings s;
	struct buf why;
};

static int setup(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	*state = t;
	return t ? conf_defaults(&table, &t->s) : -1;
}

static int teardown(void **state)
{
	struct test *t = *state;

	conf_fini(&table, &t->s);
	buf_free(&t->why);
	free(t);
	return 0;
}

static int set(struct test *t, const char *name, const char *value)
{
	buf_clear(&t->why);
	return conf_set(&table, &t->s, name, value, &t->why);
}

static int parse(struct test *t, const char *text)
{
	buf_clear(&t->why);
	return conf_parse(&table, &t->s, text, strlen(text), "/etc/x.conf", &t->why);
}

static void defaults_fill_every_field(void **state)
{
	const struct test *t = *state;

	assert_false(t->s.offline);
	assert_true(t->s.cache_size == 10ULL << 30);
	assert_int_equal(t->s.timeout, 30);
	assert_int_equal(t->s.threads, 8);
	assert_null(t->s.token_file);
	assert_int_equal(t->s.level, 2);
	assert_int_equal(t->s.hubs.count, 2);
	assert_string_equal(t->s.hubs.items[0], "https://a");
	assert_string_equal(t->s.hubs.items[1], "https://b");
	assert_int_equal(t->s.pins.count, 0);
}

static void a_default_that_breaks_its_own_row_is_found(UNUSED void **state)
{
	static const struct conf_param bad[] = {
		{ "token-file", CONF_TEXT, FIELD(token_file), "/x", 0, 0, "FILE", "" },
		{ "timeout", CONF_SECONDS, FIELD(timeout), "0", 1, 3600, "SECONDS", "" },
	};
	static const struct conf_table bad_table = { bad, ARRAY_LEN(bad) };
	struct settings s = { 0 };

	assert_int_equal(conf_defaults(&bad_table, &s), ERR_CONF);
	assert_null(s.token_file);
}

static void values_of_all_types_are_set(void **state)
{
	struct test *t = *state;

	assert_int_equal(set(t, "offline", NULL), 0);
	assert_true(t->s.offline);
	assert_int_equal(set(t, "offline", "off"), 0);
	assert_false(t->s.offline);
	assert_int_equal(set(t, "cache-size", "500MB"), 0);
	assert_true(t->s.cache_size == 500000000);
	assert_int_equal(set(t, "timeout", "5min"), 0);
	assert_int_equal(t->s.timeout, 300);
	assert_int_equal(set(t, "timeout", "1h"), 0);
	assert_int_equal(t->s.timeout, 3600);
	assert_int_equal(set(t, "threads", "64"), 0);
	assert_int_equal(t->s.threads, 64);
	assert_int_equal(set(t, "token-file", "/a"), 0);
	assert_int_equal(set(t, "token-file", "/b"), 0);
	assert_string_equal(t->s.token_file, "/b");
	assert_int_equal(set(t, "level", "error"), 0);
	assert_int_equal(t->s.level, 0);
	assert_int_equal(set(t, "level", "debug"), 0);
	assert_int_equal(t->s.level, 3);
	assert_int_equal(t->why.len, 0);
}

static void a_wrong_value_changes_nothing(void **state)
{
	static const struct {
		const char *name, *value;
	} bad[] = {
		{ "offline", "maybe" },
		{ "offline", "" },
		{ "cache-size", "big" },
		{ "cache-size", "10Gib" },
		{ "cache-size", "1KiB" },
		{ "cache-size", "2TiB" },
		{ "cache-size", "-1" },
		{ "cache-size", "" },
		{ "cache-size", "1.5GiB" },
		{ "cache-size", "20000PiB" },
		{ "timeout", "0" },
		{ "timeout", "2h" },
		{ "timeout", "5m" },
		{ "threads", "0" },
		{ "threads", "-3" },
		{ "threads", "1x" },
		{ "threads", "99999999999999999999" },
		{ "level", "inf" },
		{ "level", "" },
		{ "level", "warn|info" },
		{ "timeout", NULL },
		{ "token-file", NULL },
	};
	struct test *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(set(t, bad[i].name, bad[i].value), ERR_CONF);
		assert_non_null(strstr(buf_str(&t->why), bad[i].name));
		assert_int_equal(t->why.data[t->why.len - 1], '.');
	}
	defaults_fill_every_field(state);
}

static void a_complaint_names_key_value_and_what_is_allowed(void **state)
{
	struct test *t = *state;

	assert_int_equal(set(t, "cache-size", "1KiB"), ERR_CONF);
	assert_string_equal(buf_str(&t->why),
			    "The value \"1KiB\" of \"cache-size\" is out of range; allowed is a "
			    "number of bytes (as 4096, 500MB, 10GiB) from 1MiB to 1TiB.");
	assert_int_equal(set(t, "threads", "0"), ERR_CONF);
	assert_string_equal(buf_str(&t->why), "The value \"0\" of \"threads\" is out of range; "
					      "allowed is a whole number from 1 up.");
	assert_int_equal(set(t, "level", "loud"), ERR_CONF);
	assert_string_equal(buf_str(&t->why), "The value \"loud\" of \"level\" is not valid; "
					      "allowed is one of error, warn, info, debug.");
	assert_int_equal(set(t, "token-file", NULL), ERR_CONF);
	assert_string_equal(buf_str(&t->why), "\"token-file\" needs a value: a text.");
}

static void an_unknown_key_suggests_a_near_one_only(void **state)
{
	struct test *t = *state;

	assert_int_equal(set(t, "cache_sise", "1"), ERR_CONF);
	assert_string_equal(buf_str(&t->why), "There is no parameter \"cache_sise\"; did you mean "
					      "\"cache-size\"?");
	assert_int_equal(set(t, "threds", "1"), ERR_CONF);
	assert_non_null(strstr(buf_str(&t->why), "\"threads\"?"));
	assert_int_equal(set(t, "colour", "1"), ERR_CONF);
	assert_string_equal(buf_str(&t->why),
			    "There is no parameter \"colour\"; --help lists all there are.");
	assert_int_equal(set(t, "", "1"), ERR_CONF);
}

static void the_first_explicit_item_replaces_a_lists_defaults(void **state)
{
	struct test *t = *state;

	assert_int_equal(set(t, "hub", "https://c,d"), 0);
	assert_int_equal(set(t, "hub", "https://e"), 0);
	assert_int_equal(t->s.hubs.count, 2);
	assert_string_equal(t->s.hubs.items[0], "https://c,d");
	assert_string_equal(t->s.hubs.items[1], "https://e");
}

static void an_empty_value_switches_a_text_or_list_off(void **state)
{
	struct test *t = *state;

	assert_int_equal(set(t, "token-file", "/a"), 0);
	assert_int_equal(set(t, "token-file", ""), 0);
	assert_null(t->s.token_file);
	assert_int_equal(set(t, "hub", ""), 0);
	assert_int_equal(t->s.hubs.count, 0);
}

/* As "--only=$RULES" is, with a variable that nobody has set. */
static void an_empty_value_of_what_restricts_is_an_error(void **state)
{
	static const char *const names[] = { "only", "key" };
	struct test *t = *state;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		assert_int_equal(set(t, names[i], "/a"), 0);
		buf_clear(&t->why);
		assert_int_equal(set(t, names[i], ""), ERR_CONF);
		assert_non_null(strstr(buf_str(&t->why), "not empty"));
	}
	assert_int_equal(t->s.only.count, 1);
	assert_string_equal(t->s.key, "/a");
	assert_int_equal(parse(t, "only =\n"), ERR_CONF);
	assert_int_equal(parse(t, "only = # nothing\n"), ERR_CONF);
	assert_int_equal(parse(t, "only = b\n"), 0);
}

static void a_file_is_lines_of_key_and_value(void **state)
{
	struct test *t = *state;

	assert_int_equal(parse(t, "# a comment\n"
				  "\n"
				  "  cache-size =  1 GiB  # of NVMe\r\n"
				  "offline=yes\n"
				  "\ttoken-file = /a b#c=d\n"
				  "hub = https://x\n"
				  "hub = https://y"),
			 0);
	assert_true(t->s.cache_size == 1ULL << 30);
	assert_true(t->s.offline);
	assert_string_equal(t->s.token_file, "/a b#c=d");
	assert_int_equal(t->s.hubs.count, 2);
	assert_string_equal(t->s.hubs.items[1], "https://y");
}

static void a_broken_line_is_named_with_its_number(void **state)
{
	struct test *t = *state;

	assert_int_equal(parse(t, "\n# x\ntimeout = soon\n"), ERR_CONF);
	assert_non_null(strstr(buf_str(&t->why), "/etc/x.conf:3: The value \"soon\""));
	assert_int_equal(parse(t, "offline\n"), ERR_CONF);
	assert_string_equal(buf_str(&t->why),
			    "/etc/x.conf:1: \"offline\" is not of the form \"key = value\".");
	assert_int_equal(parse(t, "= 1"), ERR_CONF);
	assert_int_equal(parse(t, "offline = yes\nnosuch = 1\n"), ERR_CONF);
	assert_non_null(strstr(buf_str(&t->why), "/etc/x.conf:2: There is no parameter"));
}

static void a_nul_in_a_file_hides_nothing(void **state)
{
	static const char text[] = "offline = yes\0 = no\n";
	struct test *t = *state;

	assert_int_equal(conf_parse(&table, &t->s, text, sizeof(text) - 1, "x", &t->why), ERR_CONF);
	assert_string_equal(buf_str(&t->why), "x:1: The line holds a NUL byte.");
	assert_false(t->s.offline);
}

static void mount_options_set_ours_and_hand_on_the_rest(void **state)
{
	CLEANUP(buf_free) struct buf rest = { 0 };
	struct test *t = *state;
	const char *text = "ro,offline,cache-size=2GiB,,fsname=a=b,hub=https://x?a=b,nodev";

	assert_int_equal(conf_parse_options(&table, &t->s, text, &rest, &t->why), 0);
	assert_string_equal(buf_str(&rest), "ro,fsname=a=b,nodev");
	assert_true(t->s.offline);
	assert_true(t->s.cache_size == 2ULL << 30);
	assert_string_equal(t->s.hubs.items[0], "https://x?a=b");
}

static void a_wrong_mount_option_is_refused(void **state)
{
	CLEANUP(buf_free) struct buf rest = { 0 };
	struct test *t = *state;

	assert_int_equal(conf_parse_options(&table, &t->s, "ro,timeout=0", &rest, &t->why),
			 ERR_CONF);
	assert_non_null(strstr(buf_str(&t->why), "\"timeout\" is out of range"));
	assert_int_equal(conf_parse_options(&table, &t->s, "timeout", &rest, &t->why), ERR_CONF);
}

static void help_wraps_at_80_columns(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf help = { 0 };
	const char *line;

	conf_help(&table, &help);
	assert_int_equal(help.failed, 0);
	assert_non_null(
		strstr(buf_str(&help),
		       "  --offline                 Never asks the hub.\n"
		       "  --cache-size=BYTES        How many bytes of files the cache keeps at "
		       "most\n"
		       "                            before the ones"));
	assert_non_null(strstr(buf_str(&help), "  --level=error|warn|info|debug\n"
					       "                            What to log. (default: "
					       "info)\n"));
	for (line = buf_str(&help); *line; line += strcspn(line, "\n") + 1)
		assert_true(strcspn(line, "\n") <= 80);
}

static void the_manual_page_has_an_item_a_parameter(UNUSED void **state)
{
	const struct conf_page page = { "x.conf", "/etc/x.conf", "x", ".Sh TAIL\n" };
	CLEANUP(buf_free) struct buf man = { 0 };
	unsigned items = 0;

	conf_man(&table, &page, &man);
	assert_int_equal(man.failed, 0);
	assert_non_null(strstr(buf_str(&man),
			       ".It Ic timeout\nHow long to wait.\nAllowed:\na time (as 60, "
			       "60s, 5min, 1h, 1d) from 1s to 1h.\nDefault:\n.Li \"30\" .\n"));
	assert_non_null(strstr(buf_str(&man), ".It Ic token\\-file\n"));
	assert_non_null(strstr(buf_str(&man), ".El\n.Sh TAIL\n.Sh SEE ALSO\n.Xr x 1\n"));
	for (const char *at = buf_str(&man); (at = strstr(at, "\n.It ")); at++)
		items++;
	assert_int_equal(items, ARRAY_LEN(params));
}

static void markdown_has_a_row_a_parameter(UNUSED void **state)
{
	CLEANUP(buf_free) struct buf md = { 0 };
	unsigned lines = 0;

	conf_markdown(&table, &md);
	assert_int_equal(md.failed, 0);
	assert_non_null(strstr(buf_str(&md),
			       "| `timeout` | `30` | a time (as 60, 60s, 5min, 1h, 1d) "
			       "from 1s to 1h | How long to wait. |\n"));
	assert_non_null(strstr(buf_str(&md), "| `offline` | `no` | yes or no | "));
	assert_non_null(strstr(buf_str(&md), "| `token-file` | none | a text | "));
	for (const char *at = buf_str(&md); (at = strchr(at, '\n')); at++)
		lines++;
	assert_int_equal(lines, ARRAY_LEN(params) + 2);
}

static void bytes_have_units(UNUSED void **state)
{
	uint64_t n = 7;

	assert_int_equal(conf_value_bytes("0", &n), 0);
	assert_true(n == 0);
	assert_int_equal(conf_value_bytes("1KB", &n), 0);
	assert_true(n == 1000);
	assert_int_equal(conf_value_bytes("3 KiB", &n), 0);
	assert_true(n == 3072);
	assert_int_equal(conf_value_bytes("18446744073709551615", &n), 0);
	assert_true(n == UINT64_MAX);
}

static void other_units_are_refused(UNUSED void **state)
{
	static const char *const bad[] = { "",        " 1",    "1k",    "1G",
					   "GiB",     "1GiBs", "+1",    "-1",
					   "0x10",    "1,5MB", "1GiB ", "18446744073709551616",
					   "16384PiB" };
	uint64_t n = 7;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(conf_value_bytes(bad[i], &n), -EINVAL);
	assert_true(n == 7);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void what_is_live_is_taken_and_the_rest_is_named(void **state)
{
	struct test *t = *state;
	static const char *const live[] = { "timeout", "token-file", "hub" };
	struct settings fresh = { 0 };

	assert_int_equal(conf_defaults(&table, &fresh), 0);
	assert_int_equal(conf_set(&table, &fresh, "timeout", "7", &t->why), 0);
	assert_int_equal(conf_set(&table, &fresh, "token-file", "/t", &t->why), 0);
	assert_int_equal(conf_set(&table, &fresh, "hub", "https://c", &t->why), 0);
	assert_int_equal(conf_set(&table, &fresh, "threads", "9", &t->why), 0);
	assert_int_equal(conf_set(&table, &fresh, "pin", "a/b", &t->why), 0);
	conf_renew(&table, &t->s, &fresh, live, ARRAY_LEN(live), &t->why);
	assert_string_equal(buf_str(&t->why), "threads, pin");
	assert_int_equal(t->s.timeout, 7);
	assert_string_equal(t->s.token_file, "/t");
	assert_int_equal(t->s.hubs.count, 1);
	assert_int_equal(t->s.threads, 8);
	assert_int_equal(fresh.timeout, 30);
	assert_null(fresh.token_file);
	conf_fini(&table, &fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults_fill_every_field),
		TEST(a_default_that_breaks_its_own_row_is_found),
		TEST(values_of_all_types_are_set),
		TEST(a_wrong_value_changes_nothing),
		TEST(a_complaint_names_key_value_and_what_is_allowed),
		TEST(an_unknown_key_suggests_a_near_one_only),
		TEST(the_first_explicit_item_replaces_a_lists_defaults),
		TEST(an_empty_value_switches_a_text_or_list_off),
		TEST(an_empty_value_of_what_restricts_is_an_error),
		TEST(an_empty_value_of_what_restricts_is_an_error),
		TEST(a_file_is_lines_of_key_and_value),
		TEST(a_broken_line_is_named_with_its_number),
		TEST(a_nul_in_a_file_hides_nothing),
		TEST(mount_options_set_ours_and_hand_on_the_rest),
		TEST(a_wrong_mount_option_is_refused),
		TEST(what_is_live_is_taken_and_the_rest_is_named),
		TEST(help_wraps_at_80_columns),
		TEST(the_manual_page_has_an_item_a_parameter),
		TEST(markdown_has_a_row_a_parameter),
		TEST(bytes_have_units),
		TEST(other_units_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
