/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control/control_priv.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/listen.h"

#define THREADS 2
#define CONNECTIONS_MAX 256
#define BODY_MAX 65536
#define BODIES_MAX (64 * BODY_MAX)
#define IDLE_MS 10000
#define SLOW_BYTES 1024 /* in such a time */
#define STOP_MS 1000
#define HELD_MS 5000 /* for who works on a request, after that */
#define ASKS_MAX 16  /* that wait for an answer of peers */

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
	{ "GET", "/v1/config", "", true, control_config },
	{ "GET", "/v1/repos", "", true, control_repos },
	{ "GET", "/v1/files", "", true, control_files },
	{ "GET", "/v1/nfs", "", true, control_nfs },
	{ "GET", "/v1/limits", "", true, control_limits },
	{ "PUT", "/v1/limits", "", true, control_set_limits },
	{ "POST", "/v1/hubs/check", "", true, control_check_hubs },
	{ "GET", "/v1/peers", "", true, control_peers },
	{ "GET", "/v1/peers/owners", "", true, control_peer_owners },
	{ "POST", "/v1/peers/forgive", "", true, control_forgive_peers },
	{ "POST", "/v1/pull", "", true, control_pull },
	{ "POST", "/v1/pin", "", true, control_pin },
	{ "POST", "/v1/unpin", "", true, control_unpin },
	{ "POST", "/v1/evict", "", true, control_evict },
	{ "POST", "/v1/scrub", "", true, control_scrub },
	{ "GET", "/v1/jobs", "", true, control_jobs },
	{ "GET", "/v1/jobs/", "/events", true, control_job_events },
	{ "GET", "/v1/jobs/", "/nodes", true, control_job_nodes },
	{ "GET", "/v1/jobs/", "", true, control_job },
	{ "DELETE", "/v1/jobs/", "", true, control_cancel_job },
};

/* True if path is the route's; then `rest` is its variable part. */
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

/* The route of a request, or NULL: then *ret_allow is what its path allows, if anything. */
static const struct route *find(const struct httpd_request *q, bool local, char *rest, size_t cap,
				struct buf *ret_allow)
{
	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		const struct route *route = &routes[i];

		if ((route->local && !local) || !matches(route, httpd_path(q), rest, cap))
			continue;
		if (is_method(route, httpd_method(q)))
			return route;
		buf_printf(ret_allow, "%s%s%s", ret_allow->len ? ", " : "", route->method,
			   strcmp(route->method, "GET") ? "" : ", HEAD");
	}
	return NULL;
}

static void dispatch(struct control *c, struct httpd_request *q, bool local)
{
	CLEANUP(buf_free) struct buf allow = { 0 };
	char rest[32] = "";
	const struct route *route = find(q, local, rest, sizeof(rest), &allow);

	if (route)
		route->handle(c, q, rest);
	else if (allow.len)
		control_refuse_method(q, buf_str(&allow));
	else
		control_refuse(q, 404, "no_endpoint", "there is no endpoint %s%s", httpd_path(q),
			       local ? "" : " on this address");
}

/* What changes something may be told what; whatever will be refused needs no body for that. */
static ssize_t body_max(const struct httpd_request *q, bool local)
{
	CLEANUP(buf_free) struct buf allow = { 0 };
	char rest[32];
	const struct route *route = find(q, local, rest, sizeof(rest), &allow);

	if (!route)
		return -1;
	return strcmp(route->method, "GET") ? BODY_MAX : 0;
}

static ssize_t body_max_local(void *arg UNUSED, const struct httpd_request *q)
{
	return body_max(q, true);
}

static ssize_t body_max_address(void *arg UNUSED, const struct httpd_request *q)
{
	return body_max(q, false);
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
static int serve(struct control *c, int fd, bool local, struct httpd **ret)
{
	const struct httpd_conf conf = {
		.doors = { { .fd = fd } },
		.door_count = 1,
		.threads = THREADS,
		.connections_max = CONNECTIONS_MAX,
		.bodies_max = BODIES_MAX,
		.idle_ms = IDLE_MS,
		.slow_ms = IDLE_MS,
		.slow_bytes = SLOW_BYTES,
		.body_max = local ? body_max_local : body_max_address,
		.handle = local ? on_local : on_address,
		.arg = c,
	};

	return fd < 0 ? fd : httpd_start(&conf, ret);
}

/* Who asks peers or hubs waits for them, and nobody else does. */
static int start_askers(struct control *c)
{
	const struct workers_conf conf = { .name = "mfs-askers",
					   .threads = 1,
					   .waiting_max = ASKS_MAX };

	return workers_start(&conf, &c->askers);
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
	r = start_askers(c);
	if (r == 0)
		r = serve(c, listen_path(conf->cache_dir, CONTROL_SOCKET, why), true, &c->local);
	if (r == 0 && conf->listen && *conf->listen)
		r = serve(c, listen_address(conf->listen, why), false, &c->address);
	if (r < 0) {
		(void)!control_stop(c);
		return r;
	}
	*ret = c;
	return 0;
}

bool control_stop(struct control *c)
{
	int64_t until_ms = clock_ms() + STOP_MS;
	bool over;

	if (!c)
		return true;
	if (c->address)
		httpd_close(c->address);
	over = httpd_stop(c->local, until_ms, HELD_MS);
	over = httpd_stop(c->address, until_ms, HELD_MS) && over;
	over = over && workers_stop(c->askers, clock_ms() + HELD_MS);
	listen_unlink(c->conf.cache_dir, CONTROL_SOCKET);
	if (over)
		free(c);
	return over;
}
