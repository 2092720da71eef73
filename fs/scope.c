/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/scope.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/grow.h"
#include "daemon/base/network.h"
#include "daemon/base/why.h"
#include "daemon/model/repo_glob.h"

struct rule {
	char **networks;
	size_t network_count, network_room;
	struct repo_glob *globs;
	size_t glob_count, glob_room;
};

struct scope_rules {
	size_t count;
	struct rule list[];
};

struct scope {
	size_t count;
	const struct repo_glob *list[]; /* the rules' */
};

/* ---- rules ---- */

/* Of these two, -EINVAL comes with what is wrong. */
static int add_network(struct rule *rule, const char *text, size_t len, struct buf *problem)
{
	CLEANUP(freep) char *network = strndup(text, len);
	int r = network ? grow_list(rule->networks, rule->network_count, rule->network_room)
			: -ENOMEM;
	const char *wrong = r == 0 ? network_problem(network) : NULL;

	if (wrong) {
		buf_printf(problem, "the network \"%s\": %s", network, wrong);
		return -EINVAL;
	}
	if (r == 0)
		rule->networks[rule->network_count++] = steal(network);
	return r;
}

static int add_glob(struct rule *rule, const char *text, size_t len, struct buf *problem)
{
	int r = grow_list(rule->globs, rule->glob_count, rule->glob_room);

	if (r == 0)
		r = repo_glob_parse(text, len, &rule->globs[rule->glob_count]);
	if (r == 0)
		rule->glob_count++;
	if (r == -EINVAL)
		buf_printf(problem, "no repository can be called \"%.*s\"%s", (int)len, text,
			   memchr(text, '=', len) ? "; each rule is an option of its own" : "");
	return r;
}

/* Adds each of the texts with commas between them that the first len bytes are. */
static int add_each(struct rule *rule, const char *text, size_t len, struct buf *problem,
		    int (*add)(struct rule *rule, const char *text, size_t len,
			       struct buf *problem))
{
	const char *comma = memchr(text, ',', len);
	int r = 0;

	for (; r == 0 && comma; comma = memchr(text, ',', len)) {
		size_t one = (size_t)(comma - text);

		r = add(rule, text, one, problem);
		text += one + 1;
		len -= one + 1;
	}
	return r == 0 ? add(rule, text, len, problem) : r;
}

static int parse(const char *text, struct rule *ret, struct buf *why)
{
	const char *equals = strchr(text, '=');
	CLEANUP(buf_free) struct buf problem = { 0 };
	int r = -EINVAL;

	if (equals)
		r = add_each(ret, text, (size_t)(equals - text), &problem, add_network);
	else
		buf_add_str(&problem, "it has no \"=\"");
	if (r == 0)
		r = add_each(ret, equals + 1, strlen(equals + 1), &problem, add_glob);
	if (r != -EINVAL)
		return r;
	return complain(why,
			"The value \"%s\" of \"nfs-export\" is not valid: %s. Allowed is "
			"NETWORK[,NETWORK]=[KIND/]REPOSITORY[,[KIND/]REPOSITORY], as "
			"10.0.0.0/8=org/*,datasets/org/*.",
			text, buf_str(&problem));
}

int scope_rules_new(const struct conf_list *texts, struct scope_rules **ret, struct buf *why)
{
	struct scope_rules *rules = calloc(1, sizeof(*rules) + texts->count * sizeof(struct rule));
	int r = rules ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < texts->count; i++)
		r = parse(texts->items[i], &rules->list[rules->count++], why);
	if (r < 0) {
		scope_rules_free(rules);
		return r;
	}
	*ret = rules;
	return 0;
}

static void rule_fini(struct rule *rule)
{
	for (size_t i = 0; i < rule->network_count; i++)
		free(rule->networks[i]);
	for (size_t i = 0; i < rule->glob_count; i++)
		repo_glob_fini(&rule->globs[i]);
	free(rule->networks);
	free(rule->globs);
}

void scope_rules_free(struct scope_rules *rules)
{
	if (!rules)
		return;
	for (size_t i = 0; i < rules->count; i++)
		rule_fini(&rules->list[i]);
	free(rules);
}

/* ---- their networks ---- */

struct each {
	char *const *networks;
	size_t count;
	void (*fn)(void *arg, const char *network);
	void *arg;
};

static void each_common(const struct each *e, const char *network)
{
	for (size_t i = 0; i < e->count; i++) {
		const char *common = network_common(network, e->networks[i]);

		if (common)
			e->fn(e->arg, common);
	}
}

void scope_each_network(const struct scope_rules *rules, char *const networks[], size_t count,
			void (*fn)(void *arg, const char *network), void *arg)
{
	const struct each e = { networks, count, fn, arg };

	for (size_t i = 0; rules->count == 0 && i < count; i++)
		fn(arg, networks[i]);
	for (size_t i = 0; i < rules->count; i++)
		for (size_t n = 0; n < rules->list[i].network_count; n++)
			each_common(&e, rules->list[i].networks[n]);
}

/* ---- one address ---- */

static size_t count_globs(const struct scope_rules *rules)
{
	size_t count = 0;

	for (size_t i = 0; i < rules->count; i++)
		count += rules->list[i].glob_count;
	return count;
}

int scope_new(const struct scope_rules *rules, const char *address, struct scope **ret)
{
	struct scope *s;

	*ret = NULL;
	if (rules->count == 0)
		return 0;
	s = calloc(1, sizeof(*s) + count_globs(rules) * sizeof(s->list[0]));
	if (!s)
		return -ENOMEM;
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->list[i];

		if (!network_has(address, rule->networks, rule->network_count))
			continue;
		for (size_t n = 0; n < rule->glob_count; n++)
			s->list[s->count++] = &rule->globs[n];
	}
	*ret = s;
	return 0;
}

void scope_free(struct scope *s)
{
	free(s);
}

bool scope_is_empty(const struct scope *s)
{
	return s && s->count == 0;
}

bool scope_has(const struct scope *s, const struct repo_id *id)
{
	for (size_t i = 0; s && i < s->count; i++)
		if (repo_glob_matches(s->list[i], id))
			return true;
	return !s;
}
