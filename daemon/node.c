/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/node_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/httpc.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"
#include "daemon/hub/source_hub.h"

#define WORKERS_MAX 8
#define IDLE_MS 10000
#define EVICT_PERIOD_MS 1000
#define EVICT_STEP (UINT64_C(64) << 20) /* room made at once when the disk is full */
#define REF_RETRY_MS 5000 /* an old ref stands so long before a down hub is asked again */
#define HUB_DOWN_MS 5000
#define HUB_SILENT_MS 60000
#define PATIENCE_MS 2000 /* clients wait for ten seconds in all */
#define USER_AGENT "matrixfs/" MATRIXFS_VERSION

/* ---- start and stop ---- */

static int make_room(void *arg, int refusal)
{
	struct node *n = arg;

	return evict_now(n->evict, refusal == ERR_FULL ? CHUNK_BYTES : EVICT_STEP) > 0;
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
			.silent_ms = HUB_SILENT_MS,
			.xet = conf->hub_xet,
			.lenient = conf->lenient,
			.metrics = &n->metrics.sources[i],
		};

		r = hub_new(&hub, &n->hubs[i]);
		if (r == 0)
			r = source_hub_new(n->hubs[i], &n->of_hubs[i]);
		n->hub_count = i + 1;
	}
	return r;
}

/* Peers are asked first: they pass what is to be asked of a hub. */
static int open_sources(struct node *n, const struct node_conf *conf, struct buf *why)
{
	const struct peers_ground g = {
		n->http,           n->hubs,         n->of_hubs,       n->hub_count,
		conf->hubs[0].url, conf->peer_host, conf->timeout_ms, conf->gives_only,
	};
	int r = peer_settings_given(conf->peers) ? peers_open(conf->peers, &g, &n->peers, why) : 0;

	if (r == 0 && n->peers)
		n->sources[n->source_count++] = peers_source(n->peers);
	for (unsigned i = 0; r == 0 && i < n->hub_count; i++)
		n->sources[n->source_count++] = n->of_hubs[i];
	return r;
}

static int start_evict(struct node *n, const struct node_conf *conf)
{
	struct evict_conf evict = {
		.store = n->store,
		.pins = n->pins,
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
		.source_count = n->source_count,
		.border = n->peers ? SEGMENT_BYTES : 0,
		.timeout_ms = conf->timeout_ms,
		.strict = conf->strict,
		.lists = conf->chunk_lists || n->peers,
		.memory_bytes = conf->memory_bytes,
		.make_room = make_room,
		.make_room_arg = n,
		.outcry = { conf->on_forget, conf->arg, &n->metrics, &n->failures },
		.verifier = peers_verifier(n->peers),
	};

	return fetch_new(&fetch, &n->fetch);
}

/* Offline there is nobody to bring what was guessed. */
static int start_prefetch(struct node *n, const struct node_conf *conf)
{
	struct prefetch_conf prefetch = {
		.fetch = n->fetch,
		.store = n->store,
		.root = "",
		.always = conf->prefetch == NODE_PREFETCH_ALWAYS,
	};

	return conf->prefetch != NODE_PREFETCH_NO && n->hub_count
		       ? prefetch_start(&prefetch, &n->prefetch)
		       : 0;
}

static int start_flight(struct node *n, const struct node_conf *conf)
{
	struct flight_conf flight = { n->http, .threads_max = WORKERS_MAX, .idle_ms = IDLE_MS };
	struct docs_conf docs = {
		.catalog = n->catalog,
		.discover = &n->discover,
		.retry_ms = n->ref_retry_ms,
		.patience_ms = HUB_PATIENCE_MS,
		.max_bytes = DOCS_BYTES_MAX,
	};
	int r;

	n->discover = (struct discover){
		.known = n->known,
		.hubs = n->hubs,
		.hub_count = n->hub_count,
		.hosted = conf->hosted,
		.gone = conf->gone,
		.renames = conf->renames,
		.patience_ms = PATIENCE_MS < conf->timeout_ms / 3 ? PATIENCE_MS : 0,
		.give_up_ms = conf->timeout_ms * 4 / 5,
	};
	r = flight_new(&flight, &n->flight);
	docs.flight = n->flight;
	return r < 0 ? r : docs_new(&docs, &n->docs);
}

static bool has_file(void *arg, const char *etag)
{
	uint64_t size;

	return store_blob_size(arg, etag, &size) == 0;
}

static int start_all(struct node *n, const struct node_conf *conf, struct buf *why)
{
	int r = store_open(conf->cache_dir, conf->owner, &n->store, why);

	if (r == 0 && conf->own_dir)
		r = store_set_own(n->store, conf->own_dir);
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
		r = open_sources(n, conf, why);
	if (r == 0)
		store_limit(n->store, &conf->cache);
	if (r == 0)
		r = start_evict(n, conf);
	if (r == 0)
		r = start_fetch(n, conf);
	if (r == 0 && n->peers)
		r = peers_start(n->peers, n->fetch, n->store, why);
	if (r == 0)
		r = start_prefetch(n, conf);
	if (r == 0)
		r = start_flight(n, conf);
	if (r == 0)
		r = node_load_hosted(n);
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
		.on_forget = conf->on_forget ? conf->on_forget : forget_nothing,
		.arg = conf->arg,
		.timeout_ms = conf->timeout_ms,
	};
}

void node_set_ref_ttl(struct node *n, int64_t ref_ttl_ms)
{
	n->ref_ttl_ms = ref_ttl_ms;
	n->ref_retry_ms = ref_ttl_ms < REF_RETRY_MS ? ref_ttl_ms : REF_RETRY_MS;
}

void node_set_cache(struct node *n, const struct cache_limits *limits)
{
	store_limit(n->store, limits);
	evict_limits_changed(n->evict);
}

int node_set_token(struct node *n, unsigned i, const char *token)
{
	return hub_set_token(n->hubs[i], token);
}

int node_open(const struct node_conf *conf, struct node **ret, struct buf *why)
{
	struct node *n;
	int r;

	if (conf->hub_count == 0 || conf->hub_count > NODE_HUBS_MAX) {
		buf_printf(why, "between 1 and %d hubs can be given", NODE_HUBS_MAX);
		return -EINVAL;
	}
	n = calloc(1, sizeof(*n));
	if (!n)
		return -ENOMEM;
	failures_init(&n->failures);
	lock_init(&n->renewing, LOCK_RENEWING);
	node_set_ref_ttl(n, conf->ref_ttl_ms);
	r = start_all(n, conf, why);
	if (r < 0) {
		if (!why->len)
			buf_printf(why, "cannot start on the cache %s: %s", conf->cache_dir,
				   err_text(r));
		if (node_stop(n))
			node_close(n);
		else
			*ret = n;
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

bool node_stop(struct node *n)
{
	if (n->left)
		return false;
	if (n->flight)
		flight_stop(n->flight);
	if (n->prefetch)
		prefetch_stop(n->prefetch);
	if (n->fetch)
		fetch_stop(n->fetch);
	if (n->peers)
		n->left = !peers_stop(n->peers);
	evict_stop(n->evict);
	return !n->left;
}

void node_close(struct node *n)
{
	flight_free(n->flight);
	docs_free(n->docs);
	prefetch_free(n->prefetch);
	fetch_free(n->fetch);
	peers_close(n->peers);
	for (unsigned i = 0; i < n->hub_count; i++) {
		source_hub_free(n->of_hubs[i]);
		hub_free(n->hubs[i]);
	}
	httpc_free(n->http);
	if (n->known && known_save_all(n->known) < 0)
		log_debug("what the hubs said is asked for again after the next start");
	known_free(n->known);
	evict_free(n->evict);
	pins_free(n->pins);
	catalog_close(n->catalog);
	store_close(n->store);
	failures_fini(&n->failures);
	lock_fini(&n->renewing);
	free(n);
}

struct known *node_known(struct node *n)
{
	return n->known;
}

struct peers *node_peers(struct node *n)
{
	return n->peers;
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

static int nothing_job(struct flight_job *job)
{
	struct lookup *l = job->arg;

	return discover_nothing(l->discover, job, &l->id, false);
}

static int open_job(struct flight_job *job)
{
	struct lookup *l = job->arg;

	return discover_nothing(l->discover, job, &l->id, true);
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

/* Waits for a job about `name` of a repository; kind tells jobs of different questions apart.
 * until_ms: see flight_join. */
static int join_patiently(struct node *n, flight_fn work, char kind, const struct repo_id *id,
			  struct repo *repo, const char *name, int64_t until_ms, struct waiter *w)
{
	struct lookup *l;
	char key[1 + REPO_KEY_MAX + 1 + sizeof(l->name)];
	char repo_text[REPO_KEY_MAX + 1];

	if (n->hub_count == 0 && !(repo && repo_is_hosted(repo)))
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
	return flight_join(n->flight, key, work, l, free, until_ms, w);
}

static int join(struct node *n, flight_fn work, char kind, const struct repo_id *id,
		struct repo *repo, const char *name, struct waiter *w)
{
	return join_patiently(n, work, kind, id, repo, name, CLOCK_FOREVER, w);
}

/* True if of a repository that went it is to be asked whether it is back; else *ret is the
 * answer. */
static bool must_ask_again(const struct node *n, const struct repo *repo, int64_t started_ms,
			   int *ret)
{
	int64_t said_ms;

	*ret = n->discover.gone == DISCOVER_GONE_GOES ? known_gone(repo, &said_ms) : 0;
	return *ret && n->hub_count && said_ms < started_ms &&
	       clock_ms() - said_ms >= n->ref_ttl_ms;
}

/* Its name is that of one in other letters: no hub is asked for it. */
static bool is_like_hosted(struct node *n, const struct repo_id *id)
{
	struct repo *like = known_repo_like(n->known, id);

	return like && repo_is_hosted(like);
}

int node_repo(struct node *n, const struct repo_id *id, struct waiter *w, struct repo **ret)
{
	int r;

	*ret = known_repo(n->known, id);
	if (!*ret && (n->hub_count == 0 || is_like_hosted(n, id)) &&
	    discover_repo_like(&n->discover, id) == 0)
		*ret = known_repo(n->known, id);
	if (*ret && repo_is_hosted(*ret))
		return 0;
	if (*ret && !must_ask_again(n, repo_canonical(*ret), w->started_ms, &r))
		return r;
	return join(n, repo_job, 'r', id, NULL, "", w);
}

int node_nothing(struct node *n, const struct repo_id *id, bool open_counts, struct waiter *w)
{
	return join(n, open_counts ? open_job : nothing_job, open_counts ? 'o' : 'n', id, NULL, "",
		    w);
}

/* True if what is known of a ref answers a request that came at started_ms: also when no hub has
 * said a word for as long as one is patient. */
static bool ref_is_fresh(const struct node *n, const struct known_ref *ref, int64_t started_ms)
{
	int64_t now = clock_ms();

	if (n->hub_count == 0 || (ref->checked_ms && now - ref->checked_ms < n->ref_ttl_ms))
		return true;
	return ref->checked_ms >= started_ms || ref->failed_ms >= started_ms ||
	       now - started_ms >= HUB_PATIENCE_MS ||
	       (ref->failed_ms && now - ref->failed_ms < n->ref_retry_ms);
}

int node_ref(struct node *n, struct repo *r, const char *ref, struct waiter *w,
	     char ret[static COMMIT_HEX + 1])
{
	struct known_ref known;
	bool is_old;

	if (strlen(ref) >= sizeof(((struct lookup *)0)->name))
		return ERR_NOREV;
	if (repo_is_hosted(r))
		return node_hosted_ref(n, r, ref, ret);
	is_old = known_get_ref(n->known, r, ref, &known) && known.commit[0];
	if (is_old && ref_is_fresh(n, &known, w->started_ms)) {
		memcpy(ret, known.commit, sizeof(known.commit));
		return 0;
	}
	return join_patiently(n, ref_job, 'b', repo_id_of(r), r, ref,
			      is_old ? w->started_ms + HUB_PATIENCE_MS : CLOCK_FOREVER, w);
}

int node_snapshot(struct node *n, struct repo *r, const char *commit, struct waiter *w,
		  struct snapshot **ret)
{
	int rc = known_snapshot(n->known, r, commit, ret);

	if (rc != -ENOENT)
		return rc;
	return join(n, commit_job, 'c', repo_id_of(r), r, commit, w);
}

int node_doc(struct node *n, struct repo *r, const char *tail, int64_t max_age_ms, struct waiter *w,
	     struct doc *ret)
{
	if (repo_is_hosted(r))
		return ERR_NOENTRY;
	return docs_get(n->docs, r, tail, max_age_ms, w, ret);
}

int node_doc_kept(struct node *n, struct repo *r, const char *tail, struct buf *ret)
{
	return docs_kept(n->docs, r, tail, ret);
}

uint64_t node_doc_version(struct node *n, const char *name)
{
	return docs_version(n->docs, name);
}

uint64_t node_doc_changes(struct node *n)
{
	return docs_changes(n->docs);
}

int node_leave_lookup(struct node *n, struct waiter *w)
{
	atomic_store(&w->canceled, 1);
	return flight_leave(n->flight, w);
}

/* ---- limits, and what is kept ---- */

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
	ret->was_wrong = row.distrusted;
	if (!ret->source[0])
		memcpy(ret->source, row.source, sizeof(ret->source));
}

uint64_t node_present_bytes(struct node *n, const char *etag, uint64_t size)
{
	struct node_blob blob;

	node_blob(n, etag, size, &blob);
	return blob.sealed ? size : store_present_bytes(n->store, etag, size);
}

uint64_t node_capacity(struct node *n)
{
	return store_capacity(n->store);
}

uint64_t node_make_room(struct node *n, uint64_t bytes)
{
	uint64_t total, left = 0;

	if (node_space(n, &total, &left) < 0 || left >= bytes)
		return 0;
	if (bytes - left > store_used_bytes(n->store))
		return 0; /* all of it would go in vain */
	return evict_now(n->evict, bytes - left);
}

int node_space(struct node *n, uint64_t *ret_total, uint64_t *ret_free)
{
	return store_space(n->store, ret_total, ret_free);
}

int node_probe(struct node *n)
{
	struct catalog_blob row;
	int r = catalog_get_blob(n->catalog, "probe", &row);

	return r == -ENOENT ? 0 : r;
}
