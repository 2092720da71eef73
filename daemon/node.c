/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/node.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/httpc.h"
#include "daemon/base/log.h"
#include "daemon/discover.h"
#include "daemon/evict.h"
#include "daemon/fetch.h"
#include "daemon/pins.h"
#include "daemon/prefetch.h"
#include "daemon/source_hub.h"
#include "daemon/store.h"

#define HUBS_MAX 64
#define WORKERS_MAX 8
#define IDLE_MS 10000
#define EVICT_PERIOD_MS 1000
#define EVICT_STEP (UINT64_C(64) << 20) /* room made at once when the disk is full */
#define REF_RETRY_MS 5000 /* an old ref stands so long before a down hub is asked again */
#define HUB_DOWN_MS 5000
#define USER_AGENT "matrixfs/" MATRIXFS_VERSION

struct node {
	struct store *store;
	struct catalog *catalog;
	struct known *known;
	struct httpc *http;
	struct hub *hubs[HUBS_MAX];
	struct source *sources[HUBS_MAX];
	unsigned hub_count;
	struct discover discover;
	struct flight *flight;
	struct fetch *fetch;
	struct evict *evict;
	struct metrics metrics;
	struct failures failures;
	struct pins *pins;
	struct node_parts parts;
	struct prefetch *prefetch; /* NULL: no guesses */
	int64_t ref_ttl_ms;
	int64_t ref_retry_ms; /* an old ref stands so long before a failed hub is asked again */
};

struct handle {
	atomic_uint refs;
	struct pull *pull;
	struct snapshot *snapshot;
	uint32_t file;
	struct blob *blob;             /* the pull's */
	atomic_bool touched;           /* a first read has begun */
	_Atomic(struct watch *) watch; /* of its readers, or NULL */
};

/* ---- start and stop ---- */

static int make_room(void *arg)
{
	struct node *n = arg;

	return evict_now(n->evict, EVICT_STEP) > 0;
}

static int open_hubs(struct node *n, const struct node_conf *conf)
{
	struct httpc_conf http = {
		.user_agent = USER_AGENT,
		.connect_ms = conf->timeout_ms / 3,
		.stall_ms = conf->timeout_ms / 3,
	};
	int r = httpc_new(&http, &n->http);

	for (unsigned i = 0; r == 0 && !conf->offline && i < conf->hub_count; i++) {
		struct hub_conf hub = {
			.url = conf->hubs[i].url,
			.token = conf->hubs[i].token,
			.http = n->http,
			.timeout_ms = conf->timeout_ms / 2,
			.down_ms = HUB_DOWN_MS,
			.metrics = &n->metrics.sources[i],
		};

		r = hub_new(&hub, &n->hubs[i]);
		if (r == 0)
			r = source_hub_new(n->hubs[i], &n->sources[i]);
		n->hub_count = i + 1;
	}
	return r;
}

static int start_evict(struct node *n, const struct node_conf *conf)
{
	struct evict_conf evict = {
		.store = n->store,
		.pins = n->pins,
		.max_bytes = conf->cache_max_bytes,
		.min_free_bytes = conf->cache_min_free_bytes,
		.period_ms = EVICT_PERIOD_MS,
		.metrics = &n->metrics,
		.on_gone = conf->on_forget,
		.arg = conf->arg,
	};

	return evict_start(&evict, &n->evict);
}

static int start_fetch(struct node *n, const struct node_conf *conf)
{
	struct fetch_conf fetch = {
		.store = n->store,
		.catalog = n->catalog,
		.http = n->http,
		.sources = n->sources,
		.source_count = n->hub_count,
		.timeout_ms = conf->timeout_ms,
		.strict = conf->strict,
		.memory_bytes = conf->memory_bytes,
		.make_room = make_room,
		.make_room_arg = n,
		.metrics = &n->metrics,
		.failures = &n->failures,
		.on_wrong = conf->on_forget,
		.on_wrong_arg = conf->arg,
	};

	return fetch_new(&fetch, &n->fetch);
}

/* Offline there is nobody to bring what was guessed. */
static int start_prefetch(struct node *n, const struct node_conf *conf)
{
	struct prefetch_conf prefetch = {
		.fetch = n->fetch,
		.store = n->store,
		.max_bytes = conf->cache_max_bytes,
		.min_free_bytes = conf->cache_min_free_bytes,
		.root = "",
	};

	return conf->prefetch && n->hub_count ? prefetch_start(&prefetch, &n->prefetch) : 0;
}

static int start_flight(struct node *n, const struct node_conf *conf)
{
	struct flight_conf flight = {
		.http = n->http,
		.threads_max = WORKERS_MAX,
		.idle_ms = IDLE_MS,
	};

	n->discover = (struct discover){
		.known = n->known,
		.hubs = n->hubs,
		.hub_count = n->hub_count,
		.give_up_ms = conf->timeout_ms * 4 / 5,
	};
	return flight_new(&flight, &n->flight);
}

static bool has_file(void *arg, const char *etag)
{
	uint64_t size;

	return store_blob_size(arg, etag, &size) == 0;
}

static int start_all(struct node *n, const struct node_conf *conf, struct buf *why)
{
	int r = store_open(conf->cache_dir, conf->owner, &n->store, why);

	if (r == 0)
		r = catalog_open(store_index_dir(n->store), &n->catalog, why);
	if (r == 0)
		r = catalog_sweep_blobs(n->catalog, has_file, n->store);
	if (r == 0)
		r = known_new(n->catalog, &n->known);
	if (r == 0)
		r = pins_new(n->catalog, &n->pins);
	if (r == 0)
		r = open_hubs(n, conf);
	if (r == 0)
		r = start_evict(n, conf);
	if (r == 0)
		r = start_fetch(n, conf);
	if (r == 0)
		r = start_prefetch(n, conf);
	if (r == 0)
		r = start_flight(n, conf);
	return r;
}

static void forget_nothing(void *arg UNUSED, const char *etag UNUSED)
{
}

static void note_parts(struct node *n, const struct node_conf *conf)
{
	n->parts = (struct node_parts){
		.store = n->store,
		.catalog = n->catalog,
		.pins = n->pins,
		.evict = n->evict,
		.cache_max_bytes = conf->cache_max_bytes,
		.cache_min_free_bytes = conf->cache_min_free_bytes,
		.on_forget = conf->on_forget ? conf->on_forget : forget_nothing,
		.arg = conf->arg,
		.timeout_ms = conf->timeout_ms,
	};
}

int node_open(const struct node_conf *conf, struct node **ret, struct buf *why)
{
	struct node *n;
	int r;

	if (conf->hub_count == 0 || conf->hub_count > HUBS_MAX) {
		buf_printf(why, "between 1 and %d hubs can be given", HUBS_MAX);
		return -EINVAL;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	failures_init(&n->failures);
	n->ref_ttl_ms = conf->ref_ttl_ms;
	n->ref_retry_ms = conf->ref_ttl_ms < REF_RETRY_MS ? conf->ref_ttl_ms : REF_RETRY_MS;
	r = start_all(n, conf, why);
	if (r < 0) {
		if (!why->len)
			buf_printf(why, "cannot start on the cache %s: %s", conf->cache_dir,
				   err_text(r));
		node_stop(n);
		node_close(n);
		return r;
	}
	note_parts(n, conf);
	*ret = n;
	return 0;
}

const struct node_parts *node_parts(const struct node *n)
{
	return &n->parts;
}

void node_stop(struct node *n)
{
	if (n->flight)
		flight_stop(n->flight);
	if (n->prefetch)
		prefetch_stop(n->prefetch);
	if (n->fetch)
		fetch_stop(n->fetch);
	evict_stop(n->evict);
}

void node_close(struct node *n)
{
	flight_free(n->flight);
	prefetch_free(n->prefetch);
	fetch_free(n->fetch);
	for (unsigned i = 0; i < n->hub_count; i++) {
		source_hub_free(n->sources[i]);
		hub_free(n->hubs[i]);
	}
	httpc_free(n->http);
	known_free(n->known);
	evict_free(n->evict);
	pins_free(n->pins);
	catalog_close(n->catalog);
	store_close(n->store);
	failures_fini(&n->failures);
	free(n);
}

struct known *node_known(struct node *n)
{
	return n->known;
}

struct metrics *node_metrics(struct node *n)
{
	return &n->metrics;
}

int node_each_transfer(struct node *n, int (*fn)(void *arg, const struct transfer *t), void *arg)
{
	return transfers_each(fetch_pulls(n->fetch), fn, arg);
}

bool node_transfer(struct node *n, const char *etag, struct transfer *ret)
{
	return transfers_get(fetch_pulls(n->fetch), etag, ret);
}

bool node_failure(struct node *n, const char *etag, struct failure *ret)
{
	return failures_get(&n->failures, etag, ret);
}

unsigned node_hub_count(const struct node *n)
{
	return n->hub_count;
}

const char *node_hub_health(struct node *n, unsigned i, struct hub_health *ret)
{
	hub_health(n->hubs[i], ret);
	return hub_name(n->hubs[i]);
}

/* ---- names ---- */

/* What a lookup's job needs; owned by the flight. */
struct lookup {
	const struct discover *discover;
	struct repo_id id;
	struct repo *repo;
	char name[256]; /* ref or commit */
};

static int repo_job(struct flight_job *job)
{
	struct lookup *l = job->arg;

	return discover_repo(l->discover, job, &l->id);
}

static int ref_job(struct flight_job *job)
{
	struct lookup *l = job->arg;

	return discover_ref(l->discover, job, l->repo, l->name);
}

static int commit_job(struct flight_job *job)
{
	struct lookup *l = job->arg;

	return discover_commit(l->discover, job, l->repo, l->name);
}

/* Waits for a job about `name` of a repository; kind tells jobs of different questions apart. */
static int join(struct node *n, flight_fn work, char kind, const struct repo_id *id,
		struct repo *repo, const char *name, struct waiter *w)
{
	struct lookup *l;
	char key[1 + REPO_KEY_MAX + 1 + sizeof(l->name)];
	char repo_text[REPO_KEY_MAX + 1];

	if (n->hub_count == 0)
		return log_warn(ERR_OFFLINE, "repo=%s/%s %s", repo_type_plural(id->type), id->name,
				name);
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->discover = &n->discover;
	l->id = *id;
	l->repo = repo;
	snprintf(l->name, sizeof(l->name), "%s", name);
	repo_id_key(id, repo_text);
	snprintf(key, sizeof(key), "%c%s@%s", kind, repo_text, l->name);
	return flight_join(n->flight, key, work, l, free, w);
}

int node_repo(struct node *n, const struct repo_id *id, struct waiter *w, struct repo **ret)
{
	*ret = known_repo(n->known, id);
	if (*ret)
		return 0;
	return join(n, repo_job, 'r', id, NULL, "", w);
}

/* True if what is known of a ref answers a request that came at started_ms. */
static bool ref_is_fresh(const struct node *n, const struct known_ref *ref, int64_t started_ms)
{
	int64_t now = clock_ms();

	if (n->hub_count == 0 || (ref->checked_ms && now - ref->checked_ms < n->ref_ttl_ms))
		return true;
	return ref->checked_ms >= started_ms || ref->failed_ms >= started_ms ||
	       (ref->failed_ms && now - ref->failed_ms < n->ref_retry_ms);
}

int node_ref(struct node *n, struct repo *r, const char *ref, struct waiter *w,
	     char ret[static COMMIT_HEX + 1])
{
	struct known_ref known;

	if (strlen(ref) >= sizeof(((struct lookup *)0)->name))
		return ERR_NOREV;
	if (known_get_ref(n->known, r, ref, &known) && known.commit[0] &&
	    ref_is_fresh(n, &known, w->started_ms)) {
		memcpy(ret, known.commit, sizeof(known.commit));
		return 0;
	}
	return join(n, ref_job, 'b', repo_id_of(r), r, ref, w);
}

int node_snapshot(struct node *n, struct repo *r, const char *commit, struct waiter *w,
		  struct snapshot **ret)
{
	int rc = known_snapshot(n->known, r, commit, ret);

	if (rc != -ENOENT)
		return rc;
	return join(n, commit_job, 'c', repo_id_of(r), r, commit, w);
}

int node_leave_lookup(struct node *n, struct waiter *w)
{
	atomic_store(&w->canceled, 1);
	return flight_leave(n->flight, w);
}

/* ---- bytes ---- */

int node_open_file(struct node *n, struct snapshot *s, uint32_t file, struct handle **ret)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct source_blob what;
	struct handle *h;
	int r = known_source_blob(s, file, &path, &what);

	if (r < 0)
		return r;
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	r = fetch_open(n->fetch, &what, &h->pull);
	if (r < 0) {
		free(h);
		return log_err(r, "cannot open path=%s repo=%s in the cache", what.path,
			       what.repo.name);
	}
	atomic_init(&h->refs, 1);
	h->blob = fetch_blob(h->pull);
	h->snapshot = snapshot_ref(s);
	h->file = file;
	*ret = h;
	return 0;
}

int node_also_file(struct node *n, struct handle *h, struct snapshot *s, uint32_t file)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	struct source_blob what;
	int r = known_source_blob(s, file, &path, &what);

	return r < 0 ? r : fetch_also(n->fetch, h->pull, &what);
}

struct handle *node_ref_file(struct handle *h)
{
	atomic_fetch_add(&h->refs, 1);
	return h;
}

void node_close_file(struct node *n, struct handle *h)
{
	if (!h || atomic_fetch_sub(&h->refs, 1) > 1)
		return;
	if (atomic_load(&h->watch))
		prefetch_leave(n->prefetch, atomic_load(&h->watch));
	fetch_close(n->fetch, h->pull);
	snapshot_unref(h->snapshot);
	free(h);
}

int node_sealed_fd(const struct handle *h)
{
	return blob_is_sealed(h->blob) ? blob_fd(h->blob) : -1;
}

/* The first read of a handle makes it known to prefetch: an open alone says nothing, and whoever
 * parks here is to be served before any guess. The request may be over when fetch_read returns, so
 * the handle is held. */
static int read_first(struct node *n, struct handle *h, uint64_t off, uint64_t len,
		      struct waiter *w, const void **ret)
{
	int r;

	node_ref_file(h);
	r = fetch_read(n->fetch, h->pull, off, len, w, ret);
	if (!blob_is_sealed(h->blob))
		atomic_store(&h->watch, prefetch_watch(n->prefetch, h->snapshot, h->file));
	node_close_file(n, h);
	return r;
}

static bool is_first_read(struct node *n, struct handle *h)
{
	return n->prefetch && !atomic_load(&h->touched) && !atomic_exchange(&h->touched, true);
}

int node_read(struct node *n, struct handle *h, uint64_t off, uint64_t len, struct waiter *w,
	      const void **ret, uint64_t *ret_len)
{
	uint64_t size = blob_size(h->blob);
	struct watch *watch;
	int r;

	*ret = NULL;
	*ret_len = 0;
	if (off >= size || len == 0)
		return 0;
	len = len < size - off ? len : size - off;
	r = is_first_read(n, h) ? read_first(n, h, off, len, w, ret)
				: fetch_read(n->fetch, h->pull, off, len, w, ret);
	if (r != 0)
		return r;
	watch = atomic_load(&h->watch);
	if (watch)
		prefetch_read(n->prefetch, watch, len);
	*ret_len = len;
	return 0;
}

void node_done(struct handle *h, const void *data, uint64_t len)
{
	if (len)
		fetch_done(h->pull, data, len);
}

int node_fetch_file(struct node *n, struct handle *h)
{
	return fetch_want(n->fetch, h->pull, 0, blob_size(h->blob), URGENCY_BACKGROUND);
}

uint64_t node_file_present(const struct handle *h)
{
	return blob_present_bytes(h->blob);
}

int node_leave_read(struct node *n, struct waiter *w)
{
	atomic_store(&w->canceled, 1);
	return fetch_leave(n->fetch, w);
}

void node_set_limits(struct node *n, const struct throttle_limits *limits)
{
	fetch_set_limits(n->fetch, limits);
}

struct throttle_limits node_limits(struct node *n)
{
	return fetch_limits(n->fetch);
}

void node_blob(struct node *n, const char *etag, uint64_t size, struct node_blob *ret)
{
	struct catalog_blob row = { 0 };
	uint64_t disk = store_disk_bytes(n->store, etag);

	*ret = (struct node_blob){ .disk_bytes = disk < size ? disk : size };
	fetch_source_of(n->fetch, etag, ret->source);
	if ((disk == 0 && size > 0) || catalog_get_blob(n->catalog, etag, &row) < 0)
		return;
	ret->sealed = row.sealed && row.size == size;
	if (!ret->source[0])
		memcpy(ret->source, row.source, sizeof(ret->source));
}

uint64_t node_present_bytes(struct node *n, const char *etag, uint64_t size)
{
	struct node_blob blob;

	node_blob(n, etag, size, &blob);
	return blob.sealed ? size : store_present_bytes(n->store, etag, size);
}

int node_space(struct node *n, uint64_t *ret_total, uint64_t *ret_free)
{
	return store_space(n->store, ret_total, ret_free);
}
