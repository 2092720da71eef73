/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/doors.h"

#include <errno.h>

#include "daemon/base/err.h"
#include "daemon/base/listen.h"

static bool has_name(notify_env *env, int fd, const char *name)
{
	int other = 0;

	for (unsigned i = 0; other >= 0 && other != fd; i++)
		other = notify_passed(env, name, i);
	return other == fd;
}

static int adopt(const struct hubconf *c, notify_env *env, struct httpd_door *door, struct buf *why)
{
	bool secure = has_name(env, door->fd, "https");
	int r = listen_adopt(door->fd);

	door->tls = secure || (c->tls_cert && !has_name(env, door->fd, "http"));
	if (r < 0)
		buf_printf(why,
			   "the service manager passed descriptor %d, which is no listening "
			   "stream socket: %s",
			   door->fd, err_text(r));
	else if (secure && !c->tls_cert)
		buf_add_str(why, "the service manager passed a socket named https: a certificate "
				 "is needed (tls-cert, tls-key)");
	return why->len ? -EINVAL : 0;
}

static int adopt_all(const struct hubconf *c, notify_env *env, struct httpd_door *ret,
		     unsigned *ret_count, struct buf *why)
{
	int r = 0, fd;

	while (r == 0 && (fd = notify_passed(env, NULL, *ret_count)) >= 0) {
		if (*ret_count == HTTPD_DOORS_MAX) {
			buf_printf(why, "the service manager passed more than %d sockets",
				   HTTPD_DOORS_MAX);
			return -EINVAL;
		}
		ret[*ret_count].fd = fd;
		r = adopt(c, env, &ret[(*ret_count)++], why);
	}
	return r;
}

int doors_open(const struct hubconf *c, notify_env *env,
	       struct httpd_door ret[static HTTPD_DOORS_MAX], unsigned *ret_count, struct buf *why)
{
	int r = adopt_all(c, env, ret, ret_count, why);

	if (r < 0 || *ret_count)
		return r;
	for (size_t i = 0; i < c->listen.count; i++) {
		struct httpd_door *door = &ret[i];
		const char *address;

		door->tls = hubconf_door(c, i, &address);
		door->fd = listen_address(address, why);
		if (door->fd < 0)
			return door->fd;
		++*ret_count;
	}
	return 0;
}

void doors_close(const struct httpd_door *doors, unsigned count)
{
	while (count)
		close(doors[--count].fd);
}

void doors_tell(const struct httpd_door *doors, unsigned count, struct buf *ret)
{
	for (unsigned i = 0; i < count; i++) {
		buf_add_str(ret, i ? "," : "");
		listen_tell(doors[i].fd, ret);
	}
}
