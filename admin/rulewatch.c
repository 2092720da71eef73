/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/rulewatch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/registry/tag_rules.h"
#include "daemon/base/digest.h"
#include "daemon/base/err.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/workers.h"

struct rulewatch {
	struct rulewatch_conf conf;
	struct lock lock;
	/* Guarded by lock. */
	uint64_t begun, ended; /* counts; of those that ended the one that began last is told */
	int64_t began_ms;      /* that one */
	bool coming;           /* a worker has been asked for one */
	int failed;
	unsigned damaged;
	uint64_t told; /* which of them the log knows, as a digest */
};

/* One count. */
struct count {
	unsigned damaged;
	struct buf names; /* a line each */
};

int rulewatch_new(const struct rulewatch_conf *conf, struct rulewatch **ret)
{
	struct rulewatch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->conf = *conf;
	w->told = xxh3_of("", 0);
	lock_init(&w->lock, LOCK_RULEWATCH);
	*ret = w;
	return 0;
}

void rulewatch_free(struct rulewatch *w)
{
	if (!w)
		return;
	lock_fini(&w->lock);
	free(w);
}

/* ---- a count ---- */

static int note(struct count *c, const char *kind, const struct tag_scope *s, const char *name)
{
	c->damaged++;
	return buf_printf(&c->names, "kind=%s scope=%s name=%s\n", kind, s->key, name);
}

static int look_at_lock(void *arg, const struct tag_scope *s, const struct lock_rule *r)
{
	return r->damaged ? note(arg, "lock", s, r->tags) : 0;
}

static int look_at_promotion(void *arg, const struct tag_scope *s, const struct promotion_rule *r)
{
	return r->damaged ? note(arg, "promotion", s, r->name) : 0;
}

/* It may run again. */
static int count_all(struct db_txn *t, void *arg)
{
	struct count *c = arg;
	int r;

	c->damaged = 0;
	buf_clear(&c->names);
	r = lock_rule_each(t, NULL, look_at_lock, arg);
	return r < 0 ? r : promotion_rule_each(t, NULL, look_at_promotion, arg);
}

/* Each has its line, however many they are. */
static void tell(char *names)
{
	for (char *line; (line = strsep(&names, "\n")) && *line;)
		log_line_err(LOG_LEVEL_ERR, NULL, ERR_CORRUPT,
			     "a rule about tags is damaged: it holds until it is removed %s", line);
}

/* True if the log does not know of these yet. A count that others overtook says nothing new. */
static bool take(struct rulewatch *w, uint64_t number, int64_t began_ms, int failed,
		 const struct count *c)
{
	uint64_t digest = xxh3_of(buf_str(&c->names), c->names.len);
	bool is_new = false;

	lock_take(&w->lock);
	if (number > w->ended) {
		w->ended = number;
		w->began_ms = began_ms;
		w->failed = failed;
	}
	if (number == w->ended && !failed) {
		is_new = digest != w->told;
		w->told = digest;
		w->damaged = c->damaged;
	}
	lock_drop(&w->lock);
	return is_new;
}

void rulewatch_look(struct rulewatch *w)
{
	struct count c = { .damaged = 0 };
	int64_t began_ms = w->conf.clock_ms();
	uint64_t number;
	int r;

	lock_take(&w->lock);
	number = ++w->begun;
	lock_drop(&w->lock);
	r = db_read(w->conf.db, count_all, &c);
	if (take(w, number, began_ms, r, &c))
		tell(c.names.data);
	buf_free(&c.names);
}

/* ---- whoever asks ---- */

static void look(void *arg, uint64_t number UNUSED)
{
	struct rulewatch *w = arg;

	rulewatch_look(w);
	lock_take(&w->lock);
	w->coming = false;
	lock_drop(&w->lock);
}

int rulewatch_damaged(struct rulewatch *w, unsigned *ret)
{
	const struct work work = { .fn = look, .arg = w };
	int64_t now_ms = w->conf.clock_ms();
	bool old;
	int r;

	lock_take(&w->lock);
	*ret = w->damaged;
	r = w->failed;
	old = !w->coming && (!w->ended || now_ms - w->began_ms >= RULEWATCH_MS);
	w->coming |= old;
	lock_drop(&w->lock);
	if (old && workers_add(w->conf.workers, &work) < 0) {
		lock_take(&w->lock);
		w->coming = false;
		lock_drop(&w->lock);
	}
	return r;
}
