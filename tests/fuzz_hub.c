/* SPDX-License-Identifier: Apache-2.0 */
/* Input: which call of a hub's client, and the answers it gets: "CALL\n", then "STATUS\nNAME:
 * VALUE\n...\n\nBODY", one behind another with a 0x1e between them. The door to libcurl is played
 * by this file, so heads reach httpc_head, hub, hub_json, hub_range, hub_xet and location with no
 * network in between. Whatever they say, the token stays with its hub and the sink gets the bytes
 * of its range, or the call fails. */
#include "daemon/hub/hub.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define HUB "http://hub.test"
#define TOKEN "hf_secret"
#define COMMIT "1111111111111111111111111111111111111111"
#define SHA "aaaaaaaabbbbbbbbccccccccddddddddaaaaaaaabbbbbbbbccccccccdddddddd"
#define SIZE 5000
#define OFF 100
#define LEN 1000
#define HEADERS_MAX 24
#define NEXT 0x1e

/* --- the door, played */

struct httpc_response {
	int status;
	struct {
		char *name, *value;
	} headers[HEADERS_MAX];
	unsigned count;
};

static char *answers; /* those to come */

static void parse_head(char *head, struct httpc_response *r)
{
	char *save = NULL, *line = strtok_r(head, "\n", &save);

	r->status = line ? atoi(line) % 500 + 100 : 200;
	while (line && (line = strtok_r(NULL, "\n", &save)) && r->count < HEADERS_MAX) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon = '\0';
		r->headers[r->count].name = line;
		r->headers[r->count++].value = colon + 1 + strspn(colon + 1, " \t");
	}
}

static int give_body(const struct httpc_request *q, char *body)
{
	size_t len = strlen(body), piece;
	int r = 0;

	for (size_t at = 0; r == 0 && q->body && at < len; at += piece) {
		piece = len - at < 700 ? len - at : 700;
		r = q->body(q->arg, body + at, piece);
	}
	return r;
}

/* An URL as libcurl would take it apart: what stands between "//" and the path, less user and port
 * 80. */
static bool goes_to_the_hub(const char *url)
{
	const char *host = strstr(url, "//") + 2, *end = host + strcspn(host, "/?#");
	const char *user = memrchr(host, '@', (size_t)(end - host));

	host = user ? user + 1 : host;
	if (end - host > 3 && strncmp(end - 3, ":80", 3) == 0)
		end -= 3;
	return strncasecmp(url, "http:", 5) == 0 && end - host == (ptrdiff_t)strlen("hub.test") &&
	       strncasecmp(host, "hub.test", (size_t)(end - host)) == 0;
}

int httpc_run(struct httpc *c UNUSED, const struct httpc_request *q)
{
	char *answer = answers, *end = answer ? strchr(answer, NEXT) : NULL, *body;
	struct httpc_response response = { 0 };
	int r = 0;

	assert(strncasecmp(q->url, "http://", 7) == 0 || strncasecmp(q->url, "https://", 8) == 0);
	assert(!q->token || strcmp(q->token, TOKEN) != 0 || goes_to_the_hub(q->url));
	answers = end ? end + 1 : NULL;
	if (!answer || !*answer)
		return ERR_UPSTREAM;
	if (end)
		*end = '\0';
	body = strstr(answer, "\n\n");
	if (body) {
		*body = '\0';
		body += 2;
	}
	parse_head(answer, &response);
	if (q->head)
		r = q->head(q->arg, &response);
	if (r == 0 && body)
		r = give_body(q, body);
	return r ? r : response.status;
}

int httpc_status(const struct httpc_response *r)
{
	return r->status;
}

const char *httpc_header(const struct httpc_response *r, const char *name)
{
	for (unsigned i = r->count; i-- > 0;) {
		if (strcasecmp(r->headers[i].name, name) == 0)
			return r->headers[i].value;
	}
	return NULL;
}

void httpc_cancel(struct httpc *c UNUSED, struct httpc_cancel *cancel)
{
	cancel->canceled = 1;
}

/* --- the calls */

static const struct repo_id id = { .type = REPO_MODEL, .name = "org/name" };

static int on_bytes(void *arg, const void *data UNUSED, size_t len)
{
	uint64_t *given = arg;

	*given += len;
	assert(*given <= LEN);
	return 0;
}

static void call_range(struct hub *h)
{
	struct source_blob blob = { .repo = id, .commit = COMMIT, .path = "a b.bin", .etag = SHA };
	uint64_t given = 0;
	struct source_ask ask = { .blob = &blob,
				  .off = OFF,
				  .len = LEN,
				  .deadline_ms = clock_ms() + 1000,
				  .sink = on_bytes,
				  .arg = &given };
	int64_t wait_ms;
	int r;

	blob.file.size = SIZE;
	/* The second finds the location that the first one may have left. */
	for (int i = 0; i < 2; i++) {
		given = 0;
		r = hub_get_range(h, &ask, &wait_ms);
		assert(r <= 0 && (r < 0 || given == LEN));
		assert(wait_ms >= -1 && wait_ms <= 24 * 3600 * 1000);
	}
}

static void call_revision(struct hub *h)
{
	struct hub_revision found;
	int r = hub_get_revision(h, &id, "main", NULL, &found, NULL);
	struct repo_id again;

	assert(r <= 0);
	if (r < 0)
		return;
	assert(commit_valid(found.commit));
	assert(repo_id_parse(found.id.type, found.id.name, &again) == 0);
}

static void call_manifest(struct hub *h)
{
	CLEANUP(manifest_freep) struct manifest *m = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	uint32_t left_out;
	int r = hub_get_manifest(h, &id, COMMIT, NULL, &m, &why, &left_out, NULL);

	assert(r <= 0 && (r < 0 || m));
}

static void call_date(struct hub *h)
{
	int64_t date_s;
	int r = hub_get_date(h, &id, COMMIT, NULL, &date_s, NULL);

	assert(r <= 0);
}

static int on_ref(void *arg UNUSED, const char *ref)
{
	assert(ref);
	return 0;
}

static void call_refs(struct hub *h)
{
	int r = hub_each_ref(h, &id, NULL, on_ref, NULL, NULL);

	assert(r <= 0);
}

static void (*const calls[])(struct hub *) = { call_range, call_revision, call_manifest, call_date,
					       call_refs };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct hub_conf conf = { .url = HUB,
				 .token = TOKEN,
				 .http = (struct httpc *)&answers,
				 .timeout_ms = 1000,
				 .down_ms = 1000 };
	CLEANUP(buf_free) struct buf text = { 0 };
	struct hub *h = NULL;
	int r;

	if (len < 2 || buf_add(&text, data + 2, len - 2) < 0)
		return 0;
	log_set_level(LOG_LEVEL_ERR);
	if (buf_add(&text, "", 1) < 0)
		return 0;
	answers = text.data;
	r = hub_new(&conf, &h);
	assert(r == 0);
	calls[(data[0] - '0') % ARRAY_LEN(calls)](h);
	hub_free(h);
	return 0;
}
