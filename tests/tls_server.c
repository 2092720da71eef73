/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/tls_server.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/own.h"

/* One that was free just now. */
static int free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	CLEANUP(closep) int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

static void make_certificates(struct tls_server *s)
{
	char command[512];

	snprintf(s->dir, sizeof(s->dir), "/tmp/test_tls.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	snprintf(s->cert, sizeof(s->cert), "%s/cert", s->dir);
	snprintf(s->other, sizeof(s->other), "%s/other", s->dir);
	snprintf(command, sizeof(command),
		 "cd %s && openssl req -x509 -newkey rsa:2048 -nodes -keyout key -out cert -days 2 "
		 "-subj /CN=localhost -addext subjectAltName=DNS:localhost >req.log 2>&1 && "
		 "openssl req -x509 -newkey rsa:2048 -nodes -keyout key2 -out other -days 2 "
		 "-subj /CN=other >>req.log 2>&1",
		 s->dir);
	assert_int_equal(system(command), 0);
}

bool tls_server_start(struct tls_server *s, const char *mode)
{
	char command[256];

	if (system("openssl version >/dev/null 2>&1") != 0)
		return false;
	make_certificates(s);
	s->port = free_port();
	snprintf(command, sizeof(command),
		 "cd %s && exec openssl s_server -accept %d -cert cert -key key %s >log 2>&1",
		 s->dir, s->port, mode);
	s->pid = fork();
	if (s->pid == 0)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	assert_true(s->pid > 0);
	return true;
}

void tls_server_stop(struct tls_server *s)
{
	char command[128];

	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -r %s", s->dir);
	assert_int_equal(system(command), 0);
}
