/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/member_look.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/grow.h"
#include "daemon/base/why.h"

#define FILE_BYTES_MAX (4u << 20)
#define BLANKS " \t\r\n"

void member_look_fini(struct member_look *k)
{
	free(k->list);
	buf_free(&k->why);
	*k = (struct member_look){ 0 };
}

/* --- told */

/* The piece up to the next comma, without blanks around it; *at goes on behind it. */
static const char *take_piece(const char **at, size_t *ret_len)
{
	const char *from = *at + strspn(*at, BLANKS);
	const char *end = from + strcspn(from, ",");

	*at = *end ? end + 1 : end;
	while (end > from && strchr(BLANKS, end[-1]))
		end--;
	*ret_len = (size_t)(end - from);
	return from;
}

int member_look_told(const char *text, struct member_look *ret)
{
	size_t cap = 0, len;

	while (*text) {
		struct member_spec s = { .weight = 1 };
		const char *piece = take_piece(&text, &len);

		if (len == 0)
			continue;
		if (!member_address_read(piece, len, s.address))
			return complain(&ret->why,
					"\"%.*s\" is no address of a member: write ADDR:PORT, as "
					"node-1.example:9980 or [2001:db8::1]:9980",
					(int)len, piece);
		if (ret->count == MEMBERS_MAX)
			return complain(&ret->why, "there are more than %d members", MEMBERS_MAX);
		if (grow_list(ret->list, ret->count, cap) < 0)
			return -ENOMEM;
		ret->list[ret->count++] = s;
	}
	return ret->count ? MEMBER_FOUND : complain(&ret->why, "no member is named");
}

/* --- a name */

static int fail_lookup(const char *host, int gai, struct buf *why)
{
	const char *text = gai == EAI_SYSTEM ? err_text(-errno) : gai_strerror(gai);

	return complain_as(ERR_UPSTREAM, why, "the name %s cannot be looked up: %s", host, text);
}

static bool print_address(const struct addrinfo *a, const char *port,
			  char ret[static MEMBER_ADDRESS_MAX + 1])
{
	const struct sockaddr_in *four = (const void *)a->ai_addr;
	const struct sockaddr_in6 *six = (const void *)a->ai_addr;
	const void *number = a->ai_family == AF_INET ? (const void *)&four->sin_addr
						     : (const void *)&six->sin6_addr;
	char text[INET6_ADDRSTRLEN];

	if (!inet_ntop(a->ai_family, number, text, sizeof(text)))
		return false;
	return snprintf(ret, MEMBER_ADDRESS_MAX + 1, a->ai_family == AF_INET ? "%s:%s" : "[%s]:%s",
			text, port) <= MEMBER_ADDRESS_MAX;
}

static int take_addresses(const struct addrinfo *all, int family, const char *port,
			  struct member_look *ret)
{
	size_t cap = ret->count;

	for (const struct addrinfo *a = all; a; a = a->ai_next) {
		struct member_spec s = { .weight = 1 };

		if (a->ai_family != family || !print_address(a, port, s.address))
			continue;
		if (ret->count == MEMBERS_MAX)
			return complain(&ret->why, "there are more than %d members", MEMBERS_MAX);
		if (grow_list(ret->list, ret->count, cap) < 0)
			return -ENOMEM;
		ret->list[ret->count++] = s;
	}
	return MEMBER_FOUND;
}

int member_look_dns(const char *name_and_port, struct member_look *ret)
{
	const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
	const char *colon = strrchr(name_and_port, ':');
	CLEANUP(freep) char *host = NULL;
	struct addrinfo *all;
	int r;

	host = colon ? strndup(name_and_port, (size_t)(colon - name_and_port)) : NULL;
	if (!host)
		return -ENOMEM;
	r = getaddrinfo(host, NULL, &hints, &all);
	if (r)
		return fail_lookup(host, r, &ret->why);
	r = take_addresses(all, AF_INET, colon + 1, ret);
	if (r >= 0 && ret->count == 0)
		r = take_addresses(all, AF_INET6, colon + 1, ret);
	freeaddrinfo(all);
	if (r >= 0 && ret->count == 0)
		return fail_lookup(host, EAI_NONAME, &ret->why);
	return r;
}

/* --- a file */

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static int read_file(struct member_file *f, struct member_look *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(buf_free) struct buf line = { 0 };
	struct stat behind;
	int r = file_read_all(AT_FDCWD, f->path, FILE_BYTES_MAX, &text);

	if (r < 0)
		return complain_as(r, &ret->why, "%s cannot be read: %s", f->path, err_text(r));
	if (stat(f->path, &behind) < 0 || !is_same(&behind, &f->now))
		return MEMBER_UNDER_WAY;
	f->taken = f->now;
	r = member_list_parse(buf_str(&text), text.len, &ret->list, &ret->count, &line);
	if (r < 0)
		return complain_as(r, &ret->why, "%s, %s", f->path, buf_str(&line));
	return ret->count ? MEMBER_FOUND : complain(&ret->why, "%s names no member", f->path);
}

static int fail_file(struct member_file *f, int r, struct buf *why)
{
	f->seen = false;
	return complain_as(r, why, "%s cannot be read: %s", f->path, err_text(r));
}

int member_look_file(struct member_file *f, struct member_look *ret)
{
	struct stat now;
	bool seen = f->seen, still;

	if (stat(f->path, &now) < 0)
		return fail_file(f, -errno, &ret->why);
	if (!S_ISREG(now.st_mode))
		return fail_file(f, -EINVAL, &ret->why);
	if (seen && is_same(&now, &f->taken))
		return MEMBER_AS_IT_WAS;
	still = !seen || is_same(&now, &f->now);
	f->now = now;
	f->seen = true;
	return still ? read_file(f, ret) : MEMBER_UNDER_WAY;
}
