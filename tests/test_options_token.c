/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "fs/options.h"

#define HUB "https://hub.org"
#define OTHER "https://other.org"

/* The environment of a test: NAME, VALUE, ... , NULL. */
static const char *env[9];
static struct options o;
static struct buf why;

static char *test_getenv(const char *name)
{
	for (int i = 0; env[i]; i += 2)
		if (!strcmp(env[i], name))
			return (char *)(uintptr_t)env[i + 1];
	return NULL;
}

static int setup(void **state)
{
	(void)state;
	memset(env, 0, sizeof(env));
	memset(&o, 0, sizeof(o));
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	options_fini(&o);
	buf_free(&why);
	return 0;
}

static void write_text(const char *path, const char *text)
{
	assert_int_equal(file_replace(AT_FDCWD, path, text, strlen(text), 0600), 0);
}

/* The token for a hub is this; NULL: there is none. */
static void finds(const char *hub, bool first, const char *expected)
{
	CLEANUP(freep) char *token = NULL;
	int r = options_token(&o, hub, first, test_getenv, &token, &why);

	if (r)
		fail_msg("%d: %s", r, buf_str(&why));
	if (expected && !token)
		fail_msg("no token for %s", hub);
	if (expected)
		assert_string_equal(token, expected);
	else
		assert_null(token);
}

/* It is refused with these words, and without the secret. */
static void refuses(const char *words)
{
	CLEANUP(freep) char *token = NULL;

	buf_clear(&why);
	assert_int_equal(options_token(&o, HUB, true, test_getenv, &token, &why), ERR_CONF);
	assert_null(token);
	if (!strstr(buf_str(&why), words) || strstr(buf_str(&why), "secret"))
		fail_msg("\"%s\" does not say \"%s\" alone", buf_str(&why), words);
}

static void use_token_file(const char *text)
{
	free(o.token_file);
	o.token_file = strdup("tokens");
	write_text("tokens", text);
}

static void test_none(void **state)
{
	(void)state;
	finds(HUB, true, NULL);
	env[0] = "HOME";
	env[1] = "/nowhere";
	finds(HUB, true, NULL);
	use_token_file("");
	finds(HUB, true, NULL);
	use_token_file("\n  \n# nothing\n");
	finds(HUB, true, NULL);
}

static void test_bare_token(void **state)
{
	(void)state;
	use_token_file("\n# mine\n  hf_abc \r\n\n");
	finds(HUB, true, "hf_abc");
	finds(OTHER, false, NULL);
	use_token_file("hf_abc");
	finds(HUB, true, "hf_abc");
}

static void test_lines(void **state)
{
	(void)state;
	use_token_file("# all\nHTTPS://Hub.org/\thf_1  \nhttps://hub.org hf_2\n"
		       "https://other.org/ hf_3\nhttps://other.org/path hf_4\nhf_bare\n");
	finds(HUB, true, "hf_1");
	finds(OTHER, false, "hf_3");
	finds(OTHER "/path", false, "hf_4");
	finds("https://third.org", true, "hf_bare");
	finds("https://third.org", false, NULL);
	finds("http://hub.org", false, NULL);
}

static void test_bad_files(void **state)
{
	CLEANUP(freep) char *large = calloc(1, 65537 + 1);

	(void)state;
	use_token_file("hf secret\n");
	refuses("tokens:1: A line is a token, or");
	use_token_file("\nhttps://hub.org\n");
	refuses("tokens:2: Behind the URL");
	use_token_file("https://hub.org hf secret\n");
	refuses("tokens:1: The token holds a blank");
	use_token_file("https://me:secret@hub.org hf\n");
	refuses("tokens:1: A line is");
	use_token_file("secret\x01\n");
	refuses("control byte");
	use_token_file("https://other.org secr\xc3\xa9t\n");
	refuses("not ASCII");
	assert_int_equal(file_replace(AT_FDCWD, "tokens", "sec\0ret", 7, 0600), 0);
	refuses("NUL byte");
	memset(large, '\n', 65537);
	use_token_file(large);
	refuses("larger than 64KiB");
	large[65536] = '\0';
	use_token_file(large);
	finds(HUB, true, NULL);
	unlink("tokens");
	refuses("The token file cannot be read: No such file");
	assert_null(strstr(buf_str(&why), "tokens"));
	free(o.token_file);
	o.token_file = strdup("./tokens");
	refuses("./tokens cannot be read");
	free(o.token_file);
	o.token_file = strdup("secret"); /* the token itself, by mistake */
	refuses("may be a token");
}

static void test_order(void **state)
{
	(void)state;
	write_text("token", "hf_home\n");
	write_text("path", "hf_path\n");
	env[0] = "HF_HOME";
	env[1] = ".";
	finds(HUB, true, "hf_home");
	finds(HUB, false, NULL);
	env[2] = "HF_TOKEN_PATH";
	env[3] = "path";
	finds(HUB, true, "hf_path");
	env[3] = "missing";
	finds(HUB, true, NULL);
	env[3] = ".";
	refuses("The token file . cannot be read");
	env[3] = "path";
	o.token_env = strdup(" hf_env\n");
	finds(HUB, true, "hf_env");
	finds(HUB, false, NULL);
	use_token_file("https://other.org hf_file");
	finds(HUB, true, "hf_env");
	finds(OTHER, false, "hf_file");
	use_token_file("hf_file");
	finds(HUB, true, "hf_file");
}

static void test_bad_environment(void **state)
{
	(void)state;
	o.token_env = strdup("the secret");
	refuses("HF_TOKEN");
	free(o.token_env);
	o.token_env = strdup(" \n");
	finds(HUB, true, NULL);
}

static void test_login(void **state)
{
	(void)state;
	assert_int_equal(file_mkdirs("home/.cache/huggingface"), 0);
	assert_int_equal(file_mkdirs("xdg/huggingface"), 0);
	write_text("home/.cache/huggingface/token", "hf_login");
	write_text("xdg/huggingface/token", "hf_xdg");
	env[0] = "HOME";
	env[1] = "home";
	finds(HUB, true, "hf_login");
	finds(HUB, false, NULL);
	env[2] = "XDG_CACHE_HOME";
	env[3] = "xdg";
	finds(HUB, true, "hf_xdg");
	/* Nobody named it, so what is wrong with reading it is nobody's fault. */
	unlink("xdg/huggingface/token");
	assert_int_equal(mkdir("xdg/huggingface/token", 0700), 0);
	finds(HUB, true, NULL);
}

static int enter(void **state)
{
	static char dir[] = "/tmp/test_token.XXXXXX";

	*state = dir;
	return mkdtemp(dir) && !chdir(dir) ? 0 : -1;
}

static int leave(void **state)
{
	static const char *const made[] = {
		"home/.cache/huggingface/token",
		"home/.cache/huggingface",
		"home/.cache",
		"home",
		"xdg/huggingface/token",
		"xdg/huggingface",
		"xdg",
		"path",
		"token",
		"tokens",
	};

	for (size_t i = 0; i < ARRAY_LEN(made); i++)
		if (unlink(made[i]))
			rmdir(made[i]);
	return rmdir(*state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_none),      TEST(test_bare_token), TEST(test_lines),
		TEST(test_bad_files), TEST(test_order),      TEST(test_bad_environment),
		TEST(test_login),
	};

	return cmocka_run_group_tests(tests, enter, leave);
}
