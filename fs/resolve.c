/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/resolve.h"

#include <errno.h>
#include <string.h>

#include "fs/attr.h"

#define HOPS_MAX 8 /* renamed repositories on the way */

struct walk {
	const struct view *view;
	struct place at;
	char *path, *rest; /* rest points to what is left of path */
	char name[256];    /* the one being looked up */
	unsigned hops;
	bool follow; /* at the end, too */
};

int walk_new(const struct view *v, const char *path, bool follow, struct walk **ret)
{
	struct walk *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->view = v;
	w->follow = follow;
	w->at = view_root();
	w->rest = w->path = strdup(path);
	if (!w->path) {
		walk_free(w);
		return -ENOMEM;
	}
	*ret = w;
	return 0;
}

void walk_free(struct walk *w)
{
	if (!w)
		return;
	place_fini(&w->at);
	free(w->path);
	free(w);
}

/* Takes the next name off the rest: 0, or 1 if none is left. */
static int next_name(struct walk *w)
{
	size_t len;

	do {
		w->rest += strspn(w->rest, "/");
		len = strcspn(w->rest, "/");
		if (len >= sizeof(w->name))
			return -ENAMETOOLONG;
		memcpy(w->name, w->rest, len);
		w->name[len] = '\0';
		w->rest += len;
	} while (strcmp(w->name, ".") == 0);
	if (strcmp(w->name, "..") == 0)
		return -EINVAL;
	return len == 0;
}

/* On another name of a repository the walk goes on at its own. */
static int follow_alias(struct walk *w)
{
	CLEANUP(buf_free) struct buf target = { 0 };
	struct place hub = { .kind = PLACE_HUB };
	int r = attr_link(&w->at, &target);

	if (r == 0 && ++w->hops > HOPS_MAX)
		r = -ELOOP;
	if (r < 0)
		return r;
	if (strlen(buf_str(&target)) >= sizeof(w->name))
		return -ENAMETOOLONG;
	place_fini(&w->at);
	w->at = hub;
	w->rest -= strlen(w->name);
	memcpy(w->name, buf_str(&target), target.len + 1);
	return 0;
}

static void step_to(struct walk *w, const struct place *p)
{
	place_fini(&w->at);
	w->at = *p;
	w->name[0] = '\0';
}

/* The name to look up next: 0, or 1 at the end. */
static int aim(struct walk *w)
{
	int r = w->name[0] ? 0 : next_name(w);

	if (w->at.kind == PLACE_ALIAS && (r == 0 || (r == 1 && w->follow)))
		return follow_alias(w);
	return r;
}

int walk_on(struct walk *w, struct waiter *waiter, int ended, struct place *ret)
{
	int r;

	waiter->started_ms = 0; /* whatever is known is fresh enough */
	for (;; ended = 0) {
		struct place p = { 0 };
		int64_t ttl_ms;

		r = ended < 0 ? 0 : aim(w);
		if (r != 0)
			break;
		if (ended < 0)
			r = view_lookup_ended(w->view, &w->at, w->name, ended, &p, &ttl_ms);
		else
			r = view_lookup(w->view, &w->at, w->name, waiter, &p, &ttl_ms);
		if (r != 0)
			return r; /* if it parked, w may be gone */
		step_to(w, &p);
	}
	return r < 0 ? r : place_copy(&w->at, ret);
}

/* ---- of which nobody but its end has to know ---- */

struct search {
	struct waiter waiter;
	struct walk *walk;
	void (*done)(void *arg, int r, struct place *p);
	void *arg;
};

static void search_on(struct search *s, int ended)
{
	struct place p = { 0 };
	int r = walk_on(s->walk, &s->waiter, ended, &p);

	if (r == PARKED)
		return; /* s may be gone */
	s->done(s->arg, r, &p);
	walk_free(s->walk);
	free(s);
}

static void wake(struct waiter *waiter, int r)
{
	search_on(container_of(waiter, struct search, waiter), r);
}

void resolve(const struct view *v, const char *path, int64_t timeout_ms,
	     void (*done)(void *arg, int r, struct place *p), void *arg)
{
	struct place none = { 0 };
	struct search *s = calloc(1, sizeof(*s));
	int r = s ? walk_new(v, path, false, &s->walk) : -ENOMEM;

	if (r < 0) {
		free(s);
		done(arg, r, &none);
		return;
	}
	s->done = done;
	s->arg = arg;
	waiter_init(&s->waiter, timeout_ms, wake);
	search_on(s, 0);
}
