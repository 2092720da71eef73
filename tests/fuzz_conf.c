/* SPDX-License-Identifier: Apache-2.0 */
/* Input: a configuration file, or "o" and a list of mount options. Whatever it says, the struct is
 * within its bounds afterwards and each refusal is a sentence. */
#include "daemon/base/conf.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "daemon/base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct settings {
	bool flag;
	uint64_t bytes;
	int64_t seconds, count;
	char *text;
	int choice;
	struct conf_list list;
};

#define FIELD(f) offsetof(struct settings, f)

static const struct conf_param params[] = {
	{ "flag", CONF_FLAG, FIELD(flag), NULL, 0, 0, NULL, "A flag." },
	{ "bytes", CONF_BYTES, FIELD(bytes), "1MiB", 1 << 10, 1LL << 40, "BYTES", "Bytes." },
	{ "seconds", CONF_SECONDS, FIELD(seconds), "30", 1, 3600, "SECONDS", "Seconds." },
	{ "count", CONF_COUNT, FIELD(count), "8", -5, 100, "N", "A number." },
	{ "text", CONF_TEXT, FIELD(text), NULL, 0, 0, "FILE", "A text." },
	{ "choice", CONF_CHOICE, FIELD(choice), "b", 0, 0, "a|b|c", "One of three." },
	{ "list", CONF_LIST, FIELD(list), "x,y", 0, 0, "ITEM", "A list." },
};

static const struct conf_table table = { params, ARRAY_LEN(params) };

static void check(const struct settings *s)
{
	assert(s->bytes >= 1 << 10 && s->bytes <= 1LL << 40);
	assert(s->seconds >= 1 && s->seconds <= 3600);
	assert(s->count >= -5 && s->count <= 100);
	assert(s->choice >= 0 && s->choice < 3);
	for (size_t i = 0; i < s->list.count; i++)
		assert(s->list.items[i]);
}

static int parse_options(struct settings *s, const uint8_t *data, size_t len, struct buf *why)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(buf_free) struct buf rest = { 0 };

	if (buf_add(&text, data, len) < 0)
		return 0;
	return conf_parse_options(&table, s, buf_str(&text), &rest, why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct settings s = { 0 };
	int r = conf_defaults(&table, &s);

	assert(r == 0);
	if (len > 0 && data[0] == 'o')
		r = parse_options(&s, data + 1, len - 1, &why);
	else
		r = conf_parse(&table, &s, (const char *)data, len, "fuzz.conf", &why);
	assert(r == 0 || (r == ERR_CONF && why.len > 0));
	check(&s);
	conf_fini(&table, &s);
	return 0;
}
