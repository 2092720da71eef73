/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/peers.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/err.h"
#include "daemon/base/log.h"
#include "daemon/peer/cluster_key.h"
#include "daemon/peer/member_list.h"
#include "daemon/peer/places.h"
#include "daemon/peer/serve.h"
#include "daemon/peer/source_peer.h"
#include "daemon/peer/trails.h"

struct peers {
	char *listen, *list_spec, *hub_url; /* or NULL, the last */
	struct member_spec self;
	uint64_t rate;
	unsigned connections;
	int64_t timeout_ms;
	struct httpc *http; /* borrowed */
	struct cluster_key *key;
	struct members *members;
	struct places places;
	struct trails trails;
	struct peer_counts counts;
	struct tryouts *tryouts;
	struct source *source;
	struct lock lock;
	struct serve *serve; /* guarded by lock where it may be asked while it ends */
	struct member_list *list;
};

static int copy_texts(struct peers *p, const struct peers_conf *conf)
{
	const char *address = conf->address ? conf->address : conf->listen;

	snprintf(p->self.address, sizeof(p->self.address), "%s", address);
	snprintf(p->self.zone, sizeof(p->self.zone), "%s", conf->zone ? conf->zone : "");
	p->self.weight = conf->weight;
	p->listen = strdup(conf->listen);
	p->list_spec = strdup(conf->members);
	p->hub_url = conf->hub_url ? strdup(conf->hub_url) : NULL;
	return p->listen && p->list_spec && (p->hub_url || !conf->hub_url) ? 0 : -ENOMEM;
}

static struct asker asker_of(const struct peers *p)
{
	return (struct asker){ p->key, p->http, p->self.address, p->self.zone };
}

static int make_tryouts(struct peers *p)
{
	const struct asker who = asker_of(p);

	return tryouts_new(&who, p->members, &p->tryouts);
}

static int make_source(struct peers *p)
{
	struct source_peer_conf conf = {
		.members = p->members,
		.places = &p->places,
		.trails = &p->trails,
		.tryouts = p->tryouts,
		.key = p->key,
		.http = p->http,
		.address = p->self.address,
		.zone = p->self.zone,
		.counts = &p->counts,
		.give_up_ms = p->timeout_ms / 2,
	};

	return source_peer_new(&conf, &p->source);
}

int peers_open(const struct peers_conf *conf, struct httpc *http, int64_t timeout_ms,
	       struct peers **ret, struct buf *why)
{
	struct peers *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	lock_init(&p->lock, LOCK_PEERS);
	places_init(&p->places);
	trails_init(&p->trails);
	p->http = http;
	p->timeout_ms = timeout_ms;
	p->rate = conf->rate;
	p->connections = conf->connections;
	r = copy_texts(p, conf);
	if (r == 0)
		r = cluster_key_open(conf->key_file, &p->key, why);
	if (r == 0)
		r = members_new(&p->self, &p->members);
	if (r == 0)
		r = make_tryouts(p);
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

int peers_start(struct peers *p, struct fetch *f, struct store *s, struct buf *why)
{
	struct serve_conf serve = {
		.listen = p->listen,
		.zone = p->self.zone,
		.fetch = f,
		.store = s,
		.members = p->members,
		.places = &p->places,
		.trails = &p->trails,
		.key = p->key,
		.counts = &p->counts,
		.rate = p->rate,
		.connections = p->connections,
		.timeout_ms = p->timeout_ms,
	};
	struct member_list_conf list = {
		.spec = p->list_spec,
		.members = p->members,
		.self = p->self,
		.hub_url = p->hub_url,
		.http = p->http,
		.key = p->key,
	};
	int r = serve_start(&serve, &p->serve, why);

	if (r == 0)
		r = member_list_start(&list, &p->list, why);
	if (r == 0)
		log_info("peers listen=%s address=%s members=%s", p->listen, p->self.address,
			 p->list_spec);
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
	member_list_stop(steal(p->list));
	return serve_stop(take_serve(p));
}

void peers_close(struct peers *p)
{
	if (!p)
		return;
	tryouts_free(p->tryouts);
	source_peer_free(p->source);
	members_free(p->members);
	cluster_key_free(p->key);
	trails_fini(&p->trails);
	places_fini(&p->places);
	lock_fini(&p->lock);
	free(p->listen);
	free(p->list_spec);
	free(p->hub_url);
	free(p);
}

void peers_set_work(struct peers *p, const struct serve_work *work)
{
	serve_set_work(p->serve, work);
}

int peers_ask(struct peers *p, const struct errand *e, struct buf *ret)
{
	const struct asker who = asker_of(p);

	return errand_run(e, &who, ret);
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

struct members *peers_members(struct peers *p)
{
	return p->members;
}

unsigned peers_owners(struct peers *p, const char *etag, uint64_t size, uint32_t segment,
		      const char *ret[static PLACEMENT_OWNERS])
{
	const struct membership *members = members_now(p->members);
	uint32_t owners[PLACEMENT_OWNERS];
	unsigned count =
		places_owners(&p->places, members, placement_key(etag), size, segment, owners);

	for (unsigned i = 0; i < count; i++)
		ret[i] = member_address(members->members[owners[i]]);
	membership_unref(members);
	return count;
}
