/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_peers.h"

#include <errno.h>

#include "admin/checkins.h"
#include "daemon/base/clock.h"
#include "daemon/peer/members.h"
#include "daemon/peer/peer_counts.h"
#include "daemon/peer_json.h"

/* --- shapes */

#define STATE_WORD(state, word) "|" word

static const struct api_field member_fields[] = {
	API_TEXT_ROW("address"),
	{ .name = "zone", .kind = API_TEXT, .needed = true, .null = true },
	API_COUNT_ROW("weight"),
	{ .name = "self", .kind = API_BOOL, .needed = true },
	{ .name = "state",
	  .kind = API_WORD,
	  .needed = true,
	  .words = &("" MEMBER_STATES(STATE_WORD) "|tls")[1] },
	{ .name = "why",
	  .kind = API_TEXT,
	  .needed = true,
	  .null = true,
	  .doc = "Of `tls`: how TLS with it fails." },
	{ .name = "until",
	  .kind = API_COUNT,
	  .needed = true,
	  .null = true,
	  .doc = "When one that is left alone is asked again." },
	API_COUNT_ROW("failures"),
	API_COUNT_ROW("bans"),
	{ .name = "first_byte_ms", .kind = API_COUNT, .needed = true, .null = true },
	API_COUNT_ROW("bytes_in"),
	API_COUNT_ROW("bytes_out"),
	API_COUNT_ROW("bytes_wrong"),
	API_COUNT_ROW("requests"),
	{ 0 },
};
static const struct api_shape member_shape = { "Peer", member_fields };

static const struct api_field peers_fields[] = {
	API_TEXT_ROW("address"),
	{ .name = "zone", .kind = API_TEXT, .needed = true, .null = true },
#define ROW(field, ...) API_COUNT_ROW(#field),
	PEER_COUNTS(ROW)
#undef ROW
		API_COUNT_ROW("connections"),
	{ .name = "members", .kind = API_LIST, .needed = true, .of = &member_shape },
	{ 0 },
};
const struct api_shape api_peers_shape = { "Peers", peers_fields };

static const struct api_field forgive_fields[] = {
	{ .name = "address",
	  .kind = API_TEXT,
	  .min = 1,
	  .max = MEMBER_ADDRESS_MAX,
	  .doc = "Only this one." },
	{ 0 },
};
const struct api_shape api_forgive_shape = { "Forgive", forgive_fields };

static const struct api_field forgiven_fields[] = {
	{ .name = "forgiven", .kind = API_BOOL, .needed = true, .doc = "There was something." },
	{ 0 },
};
const struct api_shape api_forgiven_shape = { "Forgiven", forgiven_fields };

static const struct api_field checkin_fields[] = {
	API_TEXT_ROW("address"),
	{ .name = "zone", .kind = API_TEXT, .needed = true, .null = true },
	API_COUNT_ROW("weight"),
	{ .name = "age_seconds",
	  .kind = API_NUMBER,
	  .needed = true,
	  .doc = "Since it came; after 30 it is forgotten." },
	{ 0 },
};
const struct api_shape api_checkin_shape = { "ClusterMember", checkin_fields };

/* --- handlers */

static int complain_none(struct api_call *c)
{
	return api_complain(c, -ENOENT,
			    "this hub has no peers; matrixctl --node=CACHE/control asks a "
			    "matrixfs for its");
}

int api_peers(struct api_call *c)
{
	struct peers *p = node_peers(c->ask->server->node);

	if (!p)
		return complain_none(c);
	peer_json_members(p, &c->w);
	return 0;
}

int api_peers_forgive(struct api_call *c)
{
	struct peers *p = node_peers(c->ask->server->node);
	const char *address = api_text(c, "address", NULL);
	bool any;

	if (!p)
		return complain_none(c);
	any = members_forgive(peers_members(p), address);
	if (!any && address)
		return api_complain(c, -ENOENT, "\"%s\" is not banned", address);
	buf_printf(&c->subject, "%s", address ? address : "");
	jwrite_object(&c->w, NULL);
	jwrite_bool(&c->w, "forgiven", any);
	jwrite_object_end(&c->w);
	return 0;
}

static void write_checkin(struct jwrite *w, const struct member_spec *s, int64_t age_ms)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "address", s->address);
	jwrite_text(w, "zone", s->zone[0] ? s->zone : NULL);
	jwrite_uint(w, "weight", s->weight);
	jwrite_number(w, "age_seconds", (double)age_ms / 1000);
	jwrite_object_end(w);
}

int api_checkins(struct api_call *c)
{
	struct checkins *checkins = c->ask->server->checkins;
	CLEANUP(buf_free) struct buf room = { 0 };
	int64_t now_ms = clock_ms(), age_ms;
	struct member_spec s;
	struct api_page p;
	const char *after;

	if (!checkins)
		return api_complain(c, -ENOENT,
				    "this hub takes no check-ins: it has no cluster-key-file");
	p = api_page_begin(c, &room, &after);
	for (; checkins_next(checkins, after, now_ms, &s, &age_ms); after = s.address) {
		if (!api_page_room(&p, s.address))
			break;
		write_checkin(&c->w, &s, age_ms);
	}
	api_page_end(&p);
	return 0;
}
