/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/asked.h"

#include <endian.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/hub/origin.h"
#include "daemon/base/clock.h"
#include "daemon/base/digest.h"
#include "daemon/base/httpd_pieces.h"

#define GIVEN_MAX 128 /* bytes of a request's name that we repeat */

/* Letters, digits and a few marks: what we repeat must not be more than a word. */
static bool is_word(const char *text, const char *marks)
{
	size_t len = 0;

	for (; text && text[len]; len++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789",
			    text[len]) &&
		    !strchr(marks, text[len]))
			return false;
	return len > 0 && len <= GIVEN_MAX;
}

static char *copy_field(struct httpd_request *q, const char *name)
{
	const char *value = httpd_field(q, name);

	return value ? strdup(value) : NULL;
}

static bool has_type(const char *accept, const char *type)
{
	return accept && strstr(accept, type);
}

static int64_t serial(void)
{
	static atomic_llong next;

	return atomic_fetch_add(&next, 1);
}

/* A number of its own for each request, which no client can choose. */
static void make_id(const struct server *s, struct asked *a)
{
	int64_t key[] = { s->since_s, serial(), clock_us() };
	uint64_t id = htobe64(xxh3_of(key, sizeof(key)));

	hex_print((const uint8_t *)&id, sizeof(id), a->id);
}

/* What the client calls it, if that is a word; traces look like "Root=1-67e1...;Parent=...". */
static void take_id(struct httpd_request *q, struct asked *a)
{
	const char *given = httpd_field(q, "X-Request-Id"),
		   *trace = httpd_field(q, "X-Amzn-Trace-Id");

	a->traced = !is_word(given, "-_.");
	if (!a->traced)
		a->given_id = strdup(given);
	else if (is_word(trace, "-_.=;:"))
		a->given_id = strdup(trace);
}

static bool is_json(const char *type)
{
	static const char json[] = "application/json";

	return type && strncasecmp(type, json, strlen(json)) == 0;
}

void asked_read(const struct server *s, struct httpd_request *http, const struct target *target,
		struct asked *ret)
{
	const char *query = strchr(httpd_target(http), '?');

	*ret = (struct asked){
		.target = *target,
		.head = strcmp(httpd_method(http), "HEAD") == 0,
		.query = query ? query + 1 : "",
		.since_ms = clock_wall_ms(),
		.agent = copy_field(http, "User-Agent"),
		.range = copy_field(http, "Range"),
		.if_range = copy_field(http, "If-Range"),
		.if_match = copy_field(http, "If-Match"),
		.if_none_match = copy_field(http, "If-None-Match"),
		.body_length = httpd_body_length(http),
		.sends_json = is_json(httpd_field(http, "Content-Type")),
		.takes_xet = has_type(httpd_field(http, "Accept"), ASKED_XET_TYPE),
		.packing = ready_accepted(httpd_field(http, "Accept-Encoding")),
	};
	make_id(s, ret);
	take_id(http, ret);
	ret->origin = origin_find(s, http, ret->address);
}

void asked_fini(struct asked *a)
{
	free(a->origin);
	free(a->given_id);
	free(a->agent);
	free(a->range);
	free(a->if_range);
	free(a->if_match);
	free(a->if_none_match);
}
