/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/git/gitrules.h"

#include <errno.h>
#include <string.h>

#include "admin/git/gitpattern.h"
#include "daemon/base/buf.h"

#define BOM "\xef\xbb\xbf"

struct rule {
	struct git_pattern *pattern;
	bool says;
};

/* In the order of their lines, at most one for each. */
struct git_rules {
	struct rule *list;
	size_t count;
	size_t weight;
};

static size_t count_lines(const struct buf *text)
{
	size_t n = 1;

	for (size_t i = 0; i < text->len; i++)
		n += text->data[i] == '\n';
	return n;
}

int git_rules_parse(const char *text, size_t len, git_line_fn fn, struct git_rules **ret)
{
	CLEANUP(buf_free) struct buf copy = { 0 };
	CLEANUP(git_rules_freep) struct git_rules *rules = calloc(1, sizeof(*rules));
	size_t bom = len >= strlen(BOM) && memcmp(text, BOM, strlen(BOM)) == 0 ? strlen(BOM) : 0;
	char *rest, *line;
	int r = 0;

	if (len > GIT_RULES_MAX)
		return -E2BIG;
	if (!rules || buf_add(&copy, text + bom, len - bom) < 0)
		return -ENOMEM;
	rules->list = calloc(count_lines(&copy), sizeof(*rules->list));
	if (!rules->list)
		return -ENOMEM;
	rest = copy.data;
	while (r == 0 && (line = strsep(&rest, "\n")))
		r = fn(rules, line);
	if (r == 0)
		*ret = steal(rules);
	return r;
}

void git_rules_free(struct git_rules *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->count; i++)
		git_pattern_free(r->list[i].pattern);
	free(r->list);
	free(r);
}

void git_rules_freep(struct git_rules **r)
{
	git_rules_free(*r);
}

int git_rules_add(struct git_rules *r, const char *pattern, size_t len, bool says)
{
	struct rule *rule = &r->list[r->count];
	int e = git_pattern_new(pattern, len, &rule->pattern);

	if (e < 0)
		return e == -EINVAL ? 0 : e;
	rule->says = says;
	r->count++;
	r->weight += git_pattern_weight(rule->pattern);
	return r->weight > GIT_RULES_WEIGHT_MAX ? -E2BIG : 0;
}

bool git_rules_say(const struct git_rules *r, const char *path, size_t len, bool directory,
		   bool otherwise)
{
	for (size_t i = r->count; i-- > 0;)
		if (git_pattern_matches(r->list[i].pattern, path, len, directory))
			return r->list[i].says;
	return otherwise;
}
