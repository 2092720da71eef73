/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/peer_settings.h"

#include <string.h>

#include "daemon/base/listen.h"
#include "daemon/base/why.h"
#include "daemon/peer/member_list.h"

/* A node with some of what peers need has a mistake in its settings, not half a cluster. */
static int check_all_or_none(const struct peer_settings *s, bool key_alone, struct buf *why)
{
	const char *missing = !s->listen     ? "peer-listen"
			      : !s->members  ? "peers"
			      : !s->key_file ? "cluster-key-file"
					     : NULL;

	if (!missing || (!s->listen && !s->members && (!s->key_file || key_alone)))
		return 0;
	return complain(why,
			"Peers want all three, \"peer-listen\", \"peers\" and "
			"\"cluster-key-file\": \"%s\" is missing.",
			missing);
}

/* What says how this node is one of peers, though there are none; NULL: nothing does. */
static const char *idle_setting(const struct peer_settings *s)
{
	return s->address        ? "peer-address"
	       : s->zone         ? "zone"
	       : s->weight > 1   ? "peer-weight"
	       : s->rate         ? "peer-rate"
	       : s->rate_waiting ? "peer-rate-waiting"
	       : s->tls_cert     ? "peer-tls-cert"
	       : s->tls_key      ? "peer-tls-key"
	       : s->tls_ca       ? "peer-tls-ca"
				 : NULL;
}

/* Who sets one of those thinks that there are peers. */
static int check_idle(const struct peer_settings *s, struct buf *why)
{
	const char *idle = s->listen ? NULL : idle_setting(s);

	if (!idle)
		return 0;
	return complain(why,
			"This node has no peers, so \"%s\" means nothing: \"peer-listen\", "
			"\"peers\" and \"cluster-key-file\" give it some.",
			idle);
}

/* True if others can ask there: it names one address, and a port. */
static bool is_callable(const char *address)
{
	char name[MEMBER_ADDRESS_MAX + 1];

	return member_address_read(address, strlen(address), name);
}

static int check_form(const char *name, const char *value, struct buf *why)
{
	if (!strncmp(value, "*:", 2))
		return complain(why,
				"The value \"%s\" of \"%s\" is not valid: all addresses of this "
				"host are \"%s\".",
				value, name, value + 1);
	if (listen_is_address(value) && strlen(value) <= MEMBER_ADDRESS_MAX)
		return 0;
	return complain(why,
			"The value \"%s\" of \"%s\" is not valid; allowed is ADDRESS:PORT, as "
			"192.0.2.1:9980.",
			value, name);
}

static int check_addresses(const struct peer_settings *s, struct buf *why)
{
	int r = s->listen ? check_form("peer-listen", s->listen, why) : 0;

	if (r == 0 && s->address)
		r = check_form("peer-address", s->address, why);
	if (r < 0)
		return r;
	if (s->address && !is_callable(s->address))
		return complain(why,
				"Peers cannot call this node \"%s\": \"peer-address\" is one "
				"address and a port, as 192.0.2.1:9980.",
				s->address);
	if (s->listen && !s->address && !is_callable(s->listen))
		return complain(why,
				"\"peer-listen\" is \"%s\", by which peers cannot call this node: "
				"say with \"peer-address\" how they do, as 192.0.2.1:9980.",
				s->listen);
	return 0;
}

static int check_zone(const char *zone, struct buf *why)
{
	if (!zone || member_zone_valid(zone, strlen(zone)))
		return 0;
	return complain(why,
			"The value \"%s\" of \"zone\" is not valid; allowed are at most %d "
			"letters, digits, \".\", \"_\" and \"-\".",
			zone, MEMBER_ZONE_MAX);
}

static int check_tls(const struct peer_settings *s, struct buf *why)
{
	const char *missing = !s->tls_cert  ? "peer-tls-cert"
			      : !s->tls_key ? "peer-tls-key"
			      : !s->tls_ca  ? "peer-tls-ca"
					    : NULL;

	if (!missing || (!s->tls_cert && !s->tls_key && !s->tls_ca))
		return 0;
	return complain(
		why,
		"TLS between peers wants all three, \"peer-tls-cert\", \"peer-tls-key\" and "
		"\"peer-tls-ca\": \"%s\" is missing.",
		missing);
}

int peer_settings_check(const struct peer_settings *s, bool key_alone, struct buf *why)
{
	int r = check_all_or_none(s, key_alone, why);

	if (r == 0)
		r = check_idle(s, why);
	if (r == 0)
		r = check_addresses(s, why);
	if (r == 0 && s->members)
		r = member_list_check(s->members, why);
	if (r == 0)
		r = check_tls(s, why);
	return r < 0 ? r : check_zone(s->zone, why);
}

bool peer_settings_given(const struct peer_settings *s)
{
	return s && s->listen;
}
