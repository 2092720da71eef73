/* SPDX-License-Identifier: Apache-2.0 */
/* A socket's path may have 107 bytes, directories are longer: it is reached through the directory's
 * descriptor in /proc. */
#include "daemon/base/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/base/err.h"

#define BACKLOG SOMAXCONN
#define HOST_MAX 256

/* --- on a path */

static int address_of(int dirfd, const char *name, struct sockaddr_un *ret)
{
	int n;

	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	n = snprintf(ret->sun_path, sizeof(ret->sun_path), "/proc/self/fd/%d/%s", dirfd, name);
	return n < (int)sizeof(ret->sun_path) ? 0 : -ENAMETOOLONG;
}

static int unix_socket(int flags)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	return fd < 0 ? -errno : fd;
}

/* True if somebody answers there. */
static bool is_alive(int dirfd, const char *name)
{
	CLEANUP(closep) int fd = unix_socket(SOCK_NONBLOCK);
	struct sockaddr_un at;

	if (fd < 0 || address_of(dirfd, name, &at) < 0)
		return true;
	return connect(fd, (struct sockaddr *)&at, sizeof(at)) == 0 || errno != ECONNREFUSED;
}

/* 0 if the name is free, or a dead process's socket. -EADDRINUSE: somebody listens there; -EEXIST:
 * it is something else. */
static int check_free(int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return is_alive(dirfd, name) ? -EADDRINUSE : 0;
}

/* The mode given before bind(2) is the file's; the umask, which all threads share, stays. */
static int bind_there(int dirfd, const char *name, int fd)
{
	struct sockaddr_un at;
	int r = address_of(dirfd, name, &at);

	if (r < 0)
		return r;
	if (fchmod(fd, 0600) < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return -errno;
	return 0;
}

static int listen_there(int dirfd, const char *name, int fd)
{
	char temporary[64];
	int r = check_free(dirfd, name);

	if (r < 0)
		return r;
	snprintf(temporary, sizeof(temporary), ".new-%d", (int)getpid());
	unlinkat(dirfd, temporary, 0);
	r = bind_there(dirfd, temporary, fd);
	if (r == 0 && renameat(dirfd, temporary, dirfd, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dirfd, temporary, 0);
	return r;
}

static int fail_path(struct buf *why, const char *dir, const char *name, int r)
{
	buf_printf(why, "cannot listen on %s/%s: ", dir, name);
	if (r == -EEXIST)
		buf_add_str(why, "there is something that is no socket; move it away");
	else if (r == -EADDRINUSE)
		buf_add_str(why, "another process answers there; end it, or use another directory");
	else
		buf_add_str(why, err_text(r));
	return r == -EEXIST ? -EADDRINUSE : r;
}

int listen_path(const char *dir, const char *name, struct buf *why)
{
	CLEANUP(closep) int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	CLEANUP(closep) int fd = unix_socket(SOCK_NONBLOCK);
	int r = dirfd < 0 ? -errno : fd < 0 ? fd : listen_there(dirfd, name, fd);

	return r < 0 ? fail_path(why, dir, name, r) : steal_fd(&fd);
}

void listen_unlink(const char *dir, const char *name)
{
	CLEANUP(closep) int dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dirfd >= 0 && check_free(dirfd, name) == 0)
		unlinkat(dirfd, name, 0);
}

/* --- on an address */

static bool is_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	return digits > 0 && digits <= 5 && !text[digits] && atol(text) <= UINT16_MAX;
}

/* Splits at the last ':'; brackets of an IPv6 address are taken off. */
static int split(const char *text, char *host, size_t cap, const char **ret_port)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;

	if (!colon || !is_port(colon + 1) || len >= cap)
		return -EINVAL;
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	} else if (memchr(text, ':', len)) {
		return -EINVAL; /* an IPv6 address without brackets: where does it end? */
	}
	memcpy(host, text, len);
	host[len] = '\0';
	*ret_port = colon + 1;
	return 0;
}

static int listen_one(const struct addrinfo *a, bool both)
{
	CLEANUP(closep)
	int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1, off = 0;

	if (both && fd >= 0)
		(void)!setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
	    bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, BACKLOG) < 0)
		return -errno;
	return steal_fd(&fd);
}

bool listen_is_address(const char *text)
{
	char host[HOST_MAX];
	const char *port;

	return split(text, host, sizeof(host), &port) == 0;
}

/* On all addresses of both kinds: one of the old kind comes as one of the new. */
static int listen_everywhere(const char *port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6,
				    .sin6_addr = IN6ADDR_ANY_INIT,
				    .sin6_port = htons((uint16_t)atol(port)) };
	struct addrinfo a = { .ai_family = AF_INET6,
			      .ai_socktype = SOCK_STREAM,
			      .ai_addr = (struct sockaddr *)&any,
			      .ai_addrlen = sizeof(any) };

	return listen_one(&a, true);
}

int listen_address(const char *text, struct buf *why)
{
	struct addrinfo hints = { .ai_flags = AI_PASSIVE | AI_NUMERICSERV,
				  .ai_socktype = SOCK_STREAM };
	struct addrinfo *all = NULL;
	char host[HOST_MAX];
	const char *port;
	int r = split(text, host, sizeof(host), &port);

	if (r < 0) {
		buf_printf(why, "cannot listen on %s: it must be ADDRESS:PORT, as 127.0.0.1:9400",
			   text);
		return r;
	}
	r = host[0] ? -EAFNOSUPPORT : listen_everywhere(port);
	if (r >= 0)
		return r;
	/* Without IPv6 there is the old kind, which says what is wrong, too. */
	if (getaddrinfo(host[0] ? host : NULL, port, &hints, &all) != 0) {
		buf_printf(why, "cannot listen on %s: nobody knows the name %s", text, host);
		return -EINVAL;
	}
	r = listen_one(all, false);
	freeaddrinfo(all);
	if (r < 0)
		buf_printf(why, "cannot listen on %s: %s", text, err_text(r));
	return r;
}

/* --- of somebody else */

int listen_adopt(int fd)
{
	int type = 0, listens = 0, flags = fcntl(fd, F_GETFL);
	socklen_t len = sizeof(int);

	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0)
		return -errno;
	if (type != SOCK_STREAM || !listens)
		return -EINVAL;
	return fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

void listen_tell(int fd, struct buf *ret)
{
	union {
		struct sockaddr any;
		struct sockaddr_in6 six;
	} at;
	socklen_t len = sizeof(at);
	char host[HOST_MAX], port[sizeof("65535")];

	if (getsockname(fd, &at.any, &len) == 0 &&
	    getnameinfo(&at.any, len, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		buf_printf(ret, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}
