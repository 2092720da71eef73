/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that are a piece of a file: what goes out, and when the file may change again. */
#include "daemon/base/httpd.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "tests/talk.h"

#define FILE_BYTES (8 << 20) /* more than the kernel buffers for who does not read */
#define FROM 1000
#define LEN (FILE_BYTES - 3000)

struct fixture {
	struct httpd *server;
	struct sockaddr_in at;
	int fd; /* of the file */
	atomic_int over;
	atomic_ullong sent; /* as it was told at last */
	_Atomic(struct httpd_request *) held;
};

static void note_over(void *arg, uint64_t sent)
{
	struct fixture *f = arg;

	atomic_store(&f->sent, sent);
	atomic_fetch_add(&f->over, 1);
}

static void reply(struct fixture *f, struct httpd_request *q, int fd)
{
	struct httpd_head head = { .status = 206 };

	httpd_head_add(&head, "X-Word", "hi");
	httpd_reply_file(q, &head, fd, FROM, LEN, note_over, f);
}

static void on_request(void *arg, struct httpd_request *q)
{
	struct fixture *f = arg;

	if (strcmp(httpd_path(q), "/later") == 0)
		atomic_store(&f->held, q);
	else
		reply(f, q, strcmp(httpd_path(q), "/bad") == 0 ? -1 : f->fd);
}

static uint8_t byte_at(size_t at)
{
	return (uint8_t)(at * 2654435761u >> 13);
}

static int make_file(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	uint8_t *data;

	assert_int_equal(ftruncate(fd, FILE_BYTES), 0);
	data = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(data, MAP_FAILED);
	for (size_t i = 0; i < FILE_BYTES; i++)
		data[i] = byte_at(i);
	munmap(data, FILE_BYTES);
	return fd;
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct httpd_conf conf = { .threads = 1,
				   .connections_max = 16,
				   .idle_ms = 5000,
				   .slow_ms = 5000,
				   .door_count = 1,
				   .handle = on_request,
				   .arg = f };

	assert_non_null(f);
	f->fd = make_file();
	conf.doors[0].fd = talk_listen(&f->at);
	assert_int_equal(httpd_start(&conf, &f->server), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->server)
		assert_true(httpd_stop(f->server, clock_ms() + 100, 5000));
	close(f->fd);
	free(f);
	return 0;
}

static int ask(struct fixture *f, const char *path)
{
	int fd = talk_dial(&f->at);
	char text[128];

	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);

	talk_say(fd, text);
	return fd;
}

/* All up to the end of the body, or of the connection. */
static void hear(int fd, struct buf *ret)
{
	char piece[65536];
	const char *end = NULL;
	ssize_t n;

	while (!end || ret->len < (size_t)(end + 4 - ret->data) + LEN) {
		n = recv(fd, piece, sizeof(piece), 0);
		if (n <= 0)
			return;
		buf_add(ret, piece, (size_t)n);
		end = strstr(buf_str(ret), "\r\n\r\n");
	}
}

static void await_over(struct fixture *f, int count)
{
	for (int i = 0; i < 1000 && atomic_load(&f->over) < count; i++)
		clock_sleep_ms(10);
	assert_int_equal(atomic_load(&f->over), count);
}

static struct httpd_request *await_held(struct fixture *f)
{
	for (int i = 0; i < 1000 && !atomic_load(&f->held); i++)
		clock_sleep_ms(10);
	assert_non_null(atomic_load(&f->held));
	return atomic_load(&f->held);
}

/* ---- stories ---- */

static void a_piece_of_a_file_goes_out_as_it_lies_there(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = ask(f, "/");
	const uint8_t *body;

	hear(fd, &got);
	assert_non_null(strstr(buf_str(&got), " 206 "));
	assert_non_null(strstr(buf_str(&got), "X-Word: hi\r\n"));
	body = (const uint8_t *)strstr(buf_str(&got), "\r\n\r\n") + 4;
	assert_int_equal(got.len - (size_t)(body - (const uint8_t *)got.data), LEN);
	for (size_t i = 0; i < LEN; i++)
		if (body[i] != byte_at(FROM + i))
			fail_msg("byte %zu", i);
	await_over(f, 1);
	assert_int_equal(atomic_load(&f->sent), LEN);
}

static void what_is_sent_is_held_until_it_has_gone_out(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = ask(f, "/");
	char byte;

	assert_int_equal(recv(fd, &byte, 1, MSG_PEEK), 1);
	clock_sleep_ms(50);
	assert_int_equal(atomic_load(&f->over), 0); /* nobody has read it */
	hear(fd, &got);
	await_over(f, 1);
}

static void it_is_let_go_when_its_client_leaves(void **state)
{
	struct fixture *f = *state;
	char byte;
	int fd = ask(f, "/");

	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	close(fd);
	await_over(f, 1);
	assert_in_range(atomic_load(&f->sent), 1, LEN - 1);
}

static void an_answer_for_nobody_lets_it_go_at_once(void **state)
{
	struct fixture *f = *state;
	struct httpd_request *q;
	int fd = ask(f, "/later");

	q = await_held(f);
	close(fd);
	reply(f, q, f->fd);
	await_over(f, 1);
	assert_int_equal(atomic_load(&f->sent), 0);
}

static void without_the_file_the_connection_ends(void **state)
{
	struct fixture *f = *state;
	CLEANUP(buf_free) struct buf got = { 0 };
	CLEANUP(closep) int fd = ask(f, "/bad");

	hear(fd, &got);
	assert_int_equal(got.len, 0);
	await_over(f, 1);
}

static void a_stop_lets_it_go_out_until_the_deadline(void **state)
{
	struct fixture *f = *state;
	CLEANUP(closep) int fd = ask(f, "/");
	char byte;

	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	assert_true(httpd_stop(steal(f->server), clock_ms() + 100, 5000));
	assert_int_equal(atomic_load(&f->over), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_piece_of_a_file_goes_out_as_it_lies_there),
		TEST(what_is_sent_is_held_until_it_has_gone_out),
		TEST(it_is_let_go_when_its_client_leaves),
		TEST(an_answer_for_nobody_lets_it_go_at_once),
		TEST(without_the_file_the_connection_ends),
		TEST(a_stop_lets_it_go_out_until_the_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
