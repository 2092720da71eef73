/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control_priv.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/listen.h"

#define THREADS 2
#define CONNECTIONS_MAX 64
#define BODY_MAX 65536
#define IDLE_MS 60000
#define STOP_MS 1000

/* --- routes */

struct route {
	const char *method;
	const char *path; /* one that ends in '/' takes a last part, which may have a fixed end */
	const char *end;
	bool local; /* only on the socket */
	control_fn *handle;
};

static const struct route routes[] = {
	{ "GET", "/healthz", "", false, control_health },
	{ "GET", "/metrics", "", false, control_metrics },
	{ "GET", "/v1/status", "", false, control_status },
	{ "GET", "/v1/transfers", "", false, control_transfers },
	{ "GET", "/v1/cache", "", false, control_cache },
	{ "GET", "/v1/why", "", true, control_why },
	{ "GET", "/v1/limits", "", true, control_limits },
	{ "PUT", "/v1/limits", "", true, control_set_limits },
	{ "POST", "/v1/pull", "", true, control_pull },
	{ "POST", "/v1/pin", "", true, control_pin },
	{ "POST", "/v1/unpin", "", true, control_unpin },
	{ "POST", "/v1/evict", "", true, control_evict },
	{ "POST", "/v1/scrub", "", true, control_scrub },
	{ "GET", "/v1/jobs", "", true, control_jobs },
	{ "GET", "/v1/jobs/", "/events", true, control_job_events },
	{ "GET", "/v1/jobs/", "", true, control_job },
	{ "DELETE", "/v1/jobs/", "", true, control_cancel_job },
};

/* True if path is the route's; then *ret_rest is its variable part. */
static bool matches(const struct route *route, const char *path, char *rest, size_t cap)
{
	size_t len = strlen(route->path), end = strlen(route->end), left;

	if (route->path[len - 1] != '/')
		return strcmp(path, route->path) == 0;
	if (strncmp(path, route->path, len) != 0)
		return false;
	path += len;
	left = strlen(path);
	if (left <= end || strcmp(path + left - end, route->end) != 0 || left - end >= cap)
		return false;
	memcpy(rest, path, left - end);
	rest[left - end] = '\0';
	return !strchr(rest, '/');
}

static bool is_method(const struct route *route, const char *method)
{
	return strcmp(method, route->method) == 0 ||
	       (strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0);
}

static void dispatch(struct control *c, struct httpd_request *q, bool local)
{
	CLEANUP(buf_free) struct buf allow = { 0 };
	char rest[32] = "";

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const struct route *route = &routes[i];

		if ((route->local && !local) || !matches(route, httpd_path(q), rest, sizeof(rest)))
			continue;
		if (is_method(route, httpd_method(q))) {
			route->handle(c, q, rest);
			return;
		}
		buf_printf(&allow, "%s%s", allow.len ? ", " : "", route->method);
	}
	if (allow.len)
		control_refuse_method(q, buf_str(&allow));
	else
		control_refuse(q, 404, "no_endpoint", "there is no endpoint %s%s", httpd_path(q),
			       local ? "" : " on this address");
}

static void on_local(void *arg, struct httpd_request *q)
{
	dispatch(arg, q, true);
}

static void on_address(void *arg, struct httpd_request *q)
{
	dispatch(arg, q, false);
}

/* --- start and stop */

/* The descriptor is taken. */
static int serve(struct control *c, int fd, void (*handle)(void *, struct httpd_request *),
		 struct httpd **ret)
{
	const struct httpd_conf conf = {
		.fd = fd,
		.threads = THREADS,
		.connections_max = CONNECTIONS_MAX,
		.body_max = BODY_MAX,
		.idle_ms = IDLE_MS,
		.handle = handle,
		.arg = c,
	};

	return fd < 0 ? fd : httpd_start(&conf, ret);
}

int control_start(const struct control_conf *conf, struct control **ret, struct buf *why)
{
	struct control *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->conf = *conf;
	c->since_s = clock_wall_s();
	c->since_ms = clock_ms();
	r = serve(c, listen_path(conf->cache_dir, CONTROL_SOCKET, why), on_local, &c->local);
	if (r == 0 && conf->listen && *conf->listen)
		r = serve(c, listen_address(conf->listen, why), on_address, &c->address);
	if (r < 0) {
		control_stop(c);
		return r;
	}
	*ret = c;
	return 0;
}

void control_stop(struct control *c)
{
	int64_t until_ms = clock_ms() + STOP_MS;

	if (!c)
		return;
	if (c->address)
		httpd_stop(c->address, until_ms);
	if (c->local)
		httpd_stop(c->local, until_ms);
	listen_unlink(c->conf.cache_dir, CONTROL_SOCKET);
	free(c);
}
