/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/peers.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/peer/cluster_key.h"
#include "daemon/peer/member_list.h"
#include "daemon/peer/peer_cert.h"
#include "daemon/peer/placement_cache.h"
#include "daemon/peer/segment_notes.h"
#include "daemon/peer/serve.h"
#include "daemon/peer/source_peer.h"
#include "daemon/peer/verify_givers.h"
#include "daemon/peer/verify_lists.h"
#include "daemon/peer/verify_queue.h"

#define PROVENANCE_BYTES (UINT64_C(64) << 20) /* lists of 1.8 TiB that are not sealed yet */
#define USER_AGENT "matrixfs/" MATRIXFS_VERSION

struct peers {
	const struct peer_settings *settings; /* borrowed */
	struct member_spec self;
	struct peers_ground ground;
	struct peer_cert *cert; /* or NULL */
	struct cluster_key *key;
	struct members *members;
	struct provenance *provenance;
	struct digest_lists *lists;
	struct verify_queue *queue;
	struct verify_lists *list_checks;
	struct verify_givers *givers;
	struct placement_cache placement;
	struct segment_notes notes;
	struct peer_counts counts;
	struct probes *probes;
	struct asker asker;
	char process[CLUSTER_NONCE_HEX + 1]; /* a number that tells this process from others */
	struct source *source;
	struct lock lock;
	struct serve *serve; /* guarded by lock where it may be asked while it ends */
	struct verify_conf verify;
	atomic_bool verifies; /* it has all that it needs */
	struct member_list *list;
};

/* This node, as its settings say. */
static struct member_spec self_of(const struct peer_settings *s)
{
	struct member_spec self = { .weight = (uint32_t)s->weight };

	snprintf(self.address, sizeof(self.address), "%s", s->address ? s->address : s->listen);
	snprintf(self.zone, sizeof(self.zone), "%s", s->zone ? s->zone : "");
	return self;
}

static void came(void *arg, const struct source_blob *what, uint32_t i)
{
	struct peers *p = arg;

	verify_queue_came(p->queue, what, i);
}

static void listed(void *arg, const struct source_blob *what)
{
	struct peers *p = arg;

	verify_queue_listed(p->queue, what);
}

static void suspect(void *arg, const struct source_refused *r)
{
	struct peers *p = arg;

	verify_givers_add(p->givers, r);
}

static bool refused(void *arg, const struct source_refused *r)
{
	struct peers *p = arg;
	bool doubted = r->published &&
		       digest_lists_contradicted(p->lists, r->what->etag, r->chunk, r->member);

	verify_givers_add(p->givers, r);
	if (doubted)
		verify_lists_add(p->list_checks, r->what, r->chunk);
	return doubted;
}

static int make_source(struct peers *p)
{
	struct source_peer_conf conf = {
		.members = p->members,
		.placement = &p->placement,
		.notes = &p->notes,
		.probes = p->probes,
		.provenance = p->provenance,
		.lists = p->lists,
		.watch = { came, refused, p },
		.asker = &p->asker,
		.counts = &p->counts,
		.give_up_ms = p->ground.timeout_ms / 2,
		.gives_only = p->ground.gives_only,
	};

	return source_peer_new(&conf, &p->source);
}

/* No proxy stands between members. */
static int open_client(struct peers *p)
{
	const struct httpc_conf http = {
		.user_agent = USER_AGENT,
		.connect_ms = p->ground.timeout_ms / 3,
		.stall_ms = p->ground.timeout_ms / 3,
		.ca_file = p->settings->tls_ca,
		.direct = true,
		.elder = p->ground.http,
	};

	return httpc_new(&http, &p->asker.http);
}

/* What this node is called to members, and by which it asks them. */
static int name(struct peers *p)
{
	uint64_t number[2];

	if (getrandom(number, sizeof(number), 0) != sizeof(number))
		return -EIO;
	snprintf(p->process, sizeof(p->process), "%016jx%016jx", (uintmax_t)number[0],
		 (uintmax_t)number[1]);
	p->asker.key = p->key;
	p->asker.secure = p->settings->tls_cert;
	p->asker.address = p->self.address;
	p->asker.zone = p->self.zone;
	p->asker.process = p->process;
	return tls_troubles_new(&p->asker.troubles);
}

static int open_tls(struct peers *p, struct buf *why)
{
	const struct peer_settings *s = p->settings;
	int r = s->tls_cert ? peer_cert_check_ca(s->tls_ca, why) : 0;

	return r < 0 || !s->tls_cert ? r : peer_cert_start(s->tls_cert, s->tls_key, &p->cert, why);
}

/* What came from whom, and what hubs say that it must be. */
static int remember_provenance(struct peers *p)
{
	int r = provenance_new(PROVENANCE_BYTES, &p->provenance);

	if (r == 0)
		r = digest_lists_new(p->ground.hubs, p->ground.hub_count, p->provenance, &p->lists);
	if (r == 0)
		r = verify_queue_new(&p->queue);
	if (r == 0)
		r = verify_lists_new(&p->list_checks);
	if (r == 0)
		r = verify_givers_new(&p->givers);
	if (r == 0)
		digest_lists_watch(p->lists, listed, p);
	return r;
}

int peers_open(const struct peer_settings *settings, const struct peers_ground *ground,
	       struct peers **ret, struct buf *why)
{
	struct peers *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	lock_init(&p->lock, LOCK_PEERS);
	placement_cache_init(&p->placement);
	segment_notes_init(&p->notes);
	p->settings = settings;
	p->self = self_of(settings);
	p->ground = *ground;
	r = open_client(p);
	if (r == 0)
		r = open_tls(p, why);
	if (r == 0)
		r = cluster_key_open(settings->key_file, clock_wall_ms(), &p->key, why);
	if (r == 0)
		r = name(p);
	if (r == 0)
		r = members_new(&p->self, &p->members);
	if (r == 0)
		r = probes_new(&p->asker, p->members, &p->probes);
	if (r == 0)
		r = remember_provenance(p);
	if (r == 0)
		r = make_source(p);
	if (r < 0) {
		peers_close(p);
		return r;
	}
	*ret = p;
	return 0;
}

struct source *peers_source(struct peers *p)
{
	return p->source;
}

static int start_verifying(struct peers *p, struct fetch *f, struct store *s)
{
	const struct verify_queue_conf queue = { &p->verify, f, s, p->ground.http };
	int r;

	p->verify = (struct verify_conf){
		.members = p->members,
		.placement = &p->placement,
		.notes = &p->notes,
		.provenance = p->provenance,
		.lists = p->lists,
		.answers = serve_digest_answers(p->serve),
		.asker = &p->asker,
		.counts = &p->counts,
		.give_up_ms = p->ground.timeout_ms / 2,
		.suspect = suspect,
		.arg = p,
	};
	atomic_store(&p->verifies, true);
	r = verify_queue_start(p->queue, &queue);
	if (r == 0)
		r = verify_lists_start(p->list_checks, &p->verify, s);
	return r < 0 ? r : verify_givers_start(p->givers, &p->verify, p->ground.http);
}

static int look(void *arg, const struct doubt *d)
{
	struct peers *p = arg;

	return atomic_load(&p->verifies) ? verify_blob(&p->verify, d) : 0;
}

static void settled(void *arg, const char *etag, const struct chunk_list *right)
{
	struct peers *p = arg;
	int64_t wrong = right ? provenance_contradicts(p->provenance, etag, right) : -1;

	if (wrong >= 0)
		digest_lists_refute(p->lists, p->members, etag, (uint32_t)wrong,
				    "the digest of the whole");
	if (right)
		provenance_confirm(p->provenance, etag, right);
	verify_queue_forget(p->queue, etag);
	verify_lists_forget(p->list_checks, etag);
	provenance_forget(p->provenance, etag);
}

static void dropped(void *arg, const char *etag, const struct chunk_list *was)
{
	struct peers *p = arg;

	verify_queue_forget(p->queue, etag);
	verify_lists_forget(p->list_checks, etag);
	provenance_drop_all(p->provenance, etag, was);
}

struct verifier peers_verifier(struct peers *p)
{
	if (!p)
		return (struct verifier){ 0 };
	/* Who has nothing of them asks nobody what of it was wrong. */
	return (struct verifier){ p->ground.gives_only ? NULL : look, settled, dropped, p };
}

int peers_start(struct peers *p, struct fetch *f, struct store *s, struct buf *why)
{
	struct serve_conf serve = {
		.settings = p->settings,
		.tls = p->cert ? peer_cert_tls(p->cert) : NULL,
		.zone = p->self.zone,
		.process = p->process,
		.fetch = f,
		.store = s,
		.members = p->members,
		.probes = p->probes,
		.placement = &p->placement,
		.notes = &p->notes,
		.provenance = p->provenance,
		.hubs = p->ground.hub_sources,
		.hub_count = p->ground.hub_count,
		.http = p->ground.http,
		.key = p->key,
		.counts = &p->counts,
		.host = p->ground.host,
		.timeout_ms = p->ground.timeout_ms,
	};
	struct member_list_conf list = {
		.spec = p->settings->members,
		.members = p->members,
		.self = p->self,
		.hub_url = p->ground.hub_url,
		.http = p->ground.http,
		.key = p->key,
	};
	int r = serve_start(&serve, &p->serve, why);

	if (r == 0)
		r = start_verifying(p, f, s);
	if (r == 0)
		r = member_list_start(&list, &p->list, why);
	if (r == 0)
		log_info("peers listen=%s address=%s members=%s", p->settings->listen,
			 p->self.address, p->settings->members);
	return r;
}

/* Who looks at it for people may do so until the node is closed. */
static struct serve *take_serve(struct peers *p)
{
	struct serve *s;

	lock_take(&p->lock);
	s = steal(p->serve);
	lock_drop(&p->lock);
	return s;
}

static unsigned count_connections(struct peers *p)
{
	unsigned count;

	lock_take(&p->lock);
	count = p->serve ? serve_connections(p->serve) : 0;
	lock_drop(&p->lock);
	return count;
}

bool peers_stop(struct peers *p)
{
	struct serve *s = take_serve(p);
	bool over;

	member_list_stop(steal(p->list));
	over = verify_queue_stop(p->queue);
	over &= verify_lists_stop(p->list_checks);
	over &= verify_givers_stop(p->givers);
	if (over)
		return serve_stop(s);
	serve_hush(s);
	return false;
}

void peers_close(struct peers *p)
{
	if (!p)
		return;
	probes_free(p->probes);
	source_peer_free(p->source);
	verify_givers_free(p->givers);
	verify_lists_free(p->list_checks);
	verify_queue_free(p->queue);
	digest_lists_free(p->lists);
	provenance_free(p->provenance);
	httpc_free(p->asker.http);
	tls_troubles_free(p->asker.troubles);
	peer_cert_stop(p->cert);
	members_free(p->members);
	cluster_key_free(p->key);
	segment_notes_fini(&p->notes);
	placement_cache_fini(&p->placement);
	lock_fini(&p->lock);
	free(p);
}

void peers_set_work(struct peers *p, const struct serve_work *work)
{
	serve_set_work(p->serve, work);
}

int peers_ask(struct peers *p, const struct peer_call *e, struct buf *ret)
{
	return peer_call_run(e, &p->asker, ret);
}

void peers_status(struct peers *p, struct peers_status *ret)
{
	*ret = (struct peers_status){
		.address = p->self.address,
		.zone = p->self.zone,
		.counts = &p->counts,
		.connections = count_connections(p),
	};
}

bool peers_trouble(struct peers *p, const char *member, char ret[static TLS_TROUBLE_TEXT])
{
	return tls_troubles_find(p->asker.troubles, member, ret);
}

struct members *peers_members(struct peers *p)
{
	return p->members;
}
