/* SPDX-License-Identifier: Apache-2.0 */
/* Input: four lines: a base, a reference, a Cache-Control and an Age. What is joined is an http
 * URL that everybody reads alike, and no location is believed for longer than an hour. */
#include "daemon/base/url.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "daemon/hub/hub_url.h"
#include "daemon/hub/location.h"
#include "daemon/model/repo_id.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define NOW_S 1700000000

static void check_joined(const char *url)
{
	CLEANUP(buf_free) struct buf again = { 0 };
	CLEANUP(buf_free) struct buf shown = { 0 };

	assert(strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0);
	assert(!strchr(url, '#'));
	for (const char *c = url; *c; c++)
		assert((unsigned char)*c > ' ' && *c != 0x7f);
	assert(url_same_origin(url, url));
	assert(url_join("http://other.test/", url, &again) == 0);
	assert(strcmp(buf_str(&again), url) == 0);
	assert(url_public(url, &shown) == 0);
}

static void check_names(const char *text)
{
	struct repo_id id, again;
	char folder[REPO_FOLDER_MAX + 1];

	if (repo_id_parse(REPO_DATASET, text, &id) < 0)
		return;
	repo_id_folder(&id, folder);
	assert(repo_id_parse_folder(folder, &again) == 0);
	assert(again.type == id.type && strcmp(again.name, id.name) == 0);
}

static void check_encoded(const char *text)
{
	CLEANUP(buf_free) struct buf b = { 0 };

	if (url_encode(&b, text, 1) < 0)
		return;
	for (const char *c = buf_str(&b); *c; c++)
		assert(*c > ' ' && *c < 0x7f && !strchr("?#\"<>\\", *c));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(buf_free) struct buf base = { 0 };
	CLEANUP(buf_free) struct buf joined = { 0 };
	char *line[4] = { 0 }, *save = NULL, *at;
	int64_t life;

	if (buf_add(&text, data, len) < 0 || buf_add(&text, "", 1) < 0)
		return 0;
	at = text.data;
	for (int i = 0; i < 4; i++, at = NULL)
		line[i] = strtok_r(at, "\n", &save);
	if (!line[0] || !line[1])
		return 0;
	/* A base is the result of a join before, or a hub's URL. */
	if (url_join("http://other.test/", line[0], &base) == 0 &&
	    url_join(buf_str(&base), line[1], &joined) == 0)
		check_joined(buf_str(&joined));
	assert(url_same_origin(line[0], line[1]) == url_same_origin(line[1], line[0]));
	life = location_life_ms(line[0], line[2], line[3], NOW_S);
	assert(life <= 3600 * 1000);
	check_names(line[1]);
	check_encoded(line[1]);
	return 0;
}
