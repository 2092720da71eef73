/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"

#define THREADS 4
#define LINES 50

/* What went to stderr since the last capture; stderr is a pipe meanwhile. */
struct capture {
	int saved;
	int ends[2];
	char text[65536];
};

static int begin(void **state)
{
	struct capture *c = calloc(1, sizeof(*c));

	if (!c || pipe(c->ends) < 0)
		return -1;
	c->saved = dup(STDERR_FILENO);
	dup2(c->ends[1], STDERR_FILENO);
	*state = c;
	return 0;
}

static const char *captured(struct capture *c)
{
	ssize_t n;

	fcntl(c->ends[0], F_SETFL, O_NONBLOCK);
	n = read(c->ends[0], c->text, sizeof(c->text) - 1);
	c->text[n > 0 ? n : 0] = '\0';
	return c->text;
}

static int end(void **state)
{
	struct capture *c = *state;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	close(c->ends[0]);
	close(c->ends[1]);
	free(c);
	log_set_level(LOG_LEVEL_INFO);
	return 0;
}

static void a_line_carries_its_priority_where_stderr_is_no_terminal(void **state)
{
	log_info("mounted path=%s", "/m");
	assert_string_equal(captured(*state), "<6>mounted path=/m\n");
}

static void a_line_is_plain_on_a_terminal(void **state)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	char text[64] = "";
	ssize_t n;
	int slave;

	(void)state;
	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0)
		skip();
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	assert_true(slave >= 0);
	dup2(slave, STDERR_FILENO);
	log_info("mounted");
	n = read(master, text, sizeof(text) - 1);
	assert_true(n > 0);
	assert_string_equal(text, "mounted\r\n");
	close(slave);
	close(master);
}

static void a_failure_is_named_and_handed_back(void **state)
{
	assert_int_equal(log_err(ERR_DIGEST, "chunk=%d", 7), ERR_DIGEST);
	assert_string_equal(captured(*state), "<3>chunk=7: bytes do not match their digest\n");
	assert_int_equal(log_warn(-ENOENT, "file=x"), -ENOENT);
	assert_string_equal(captured(*state), "<4>file=x: No such file or directory\n");
}

static void lines_below_the_level_are_dropped(void **state)
{
	log_debug("not yet");
	assert_string_equal(captured(*state), "");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("now");
	assert_string_equal(captured(*state), "<7>now\n");
	log_set_level(LOG_LEVEL_ERR);
	log_info("not any more");
	assert_string_equal(captured(*state), "");
}

static void control_bytes_cannot_forge_a_line(void **state)
{
	log_info("name=%s", "a\n<0>b\tc\033[1m\x7f");
	assert_string_equal(captured(*state), "<6>name=a?<0>b?c?[1m?\n");
}

static void utf8_passes(void **state)
{
	log_info("name=\xc3\xa4");
	assert_string_equal(captured(*state), "<6>name=\xc3\xa4\n");
}

static void an_endless_line_is_cut_but_stays_a_line(void **state)
{
	char text[5000];
	const char *out;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_line_err(LOG_LEVEL_ERR, NULL, ERR_CUT, "%s", text);
	out = captured(*state);
	assert_int_equal(strlen(out), 2048);
	assert_ptr_equal(strchr(out, '\n'), out + 2047);
}

static void a_flood_is_held_back_and_counted(void **state)
{
	struct log_flood flood = { 0 };

	for (int i = 0; i < 5; i++)
		log_line(LOG_LEVEL_WARN, &flood, "event=%d", i);
	assert_string_equal(captured(*state), "<4>event=0\n");
	assert_int_equal(flood.held, 4);
	/* The period is over. */
	flood.next_ms = 0;
	log_line(LOG_LEVEL_WARN, &flood, "event=5");
	assert_string_equal(captured(*state), "<4>event=5 held_back=4\n");
	assert_int_equal(flood.held, 0);
}

static void places_flood_on_their_own(void **state)
{
	for (int i = 0; i < 3; i++) {
		log_err(ERR_CUT, "here");
		log_err(ERR_CUT, "there");
	}
	assert_string_equal(captured(*state), "<3>here: the connection broke before the end\n"
					      "<3>there: the connection broke before the end\n");
}

static void without_a_limit_every_event_is_a_line(void **state)
{
	for (int i = 0; i < 3; i++)
		log_line(LOG_LEVEL_INFO, NULL, "%d", i);
	assert_string_equal(captured(*state), "<6>0\n<6>1\n<6>2\n");
}

static void *chatter(void *arg)
{
	struct log_flood *flood = arg;

	for (int i = 0; i < LINES; i++) {
		log_info("0123456789");
		log_line(LOG_LEVEL_INFO, flood, "rare");
	}
	return NULL;
}

static void lines_of_threads_do_not_mix(void **state)
{
	struct log_flood flood = { 0 };
	pthread_t threads[THREADS];
	unsigned lines = 0, rare = 0;
	char *line, *rest;

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, chatter, &flood), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	captured(*state);
	for (line = strtok_r(((struct capture *)*state)->text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (!strcmp(line, "<6>rare")) {
			rare++;
		} else {
			assert_string_equal(line, "<6>0123456789");
			lines++;
		}
	}
	assert_int_equal(lines, THREADS * LINES);
	assert_int_equal(rare, 1);
	assert_int_equal(flood.held, THREADS * LINES - 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_line_carries_its_priority_where_stderr_is_no_terminal),
		TEST(a_line_is_plain_on_a_terminal),
		TEST(a_failure_is_named_and_handed_back),
		TEST(lines_below_the_level_are_dropped),
		TEST(control_bytes_cannot_forge_a_line),
		TEST(utf8_passes),
		TEST(an_endless_line_is_cut_but_stays_a_line),
		TEST(a_flood_is_held_back_and_counted),
		TEST(places_flood_on_their_own),
		TEST(without_a_limit_every_event_is_a_line),
		TEST(lines_of_threads_do_not_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
