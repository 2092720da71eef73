/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters and command line of matrixhubd. Later sources win: built-in defaults, the
 * configuration file, --name=value. */
#ifndef MATRIXFS_HUBCONF_H
#define MATRIXFS_HUBCONF_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/base/conf.h"
#include "daemon/peer/peer_settings.h"

struct hubconf {
	char *config;
	char *data;                 /* directory */
	struct conf_list listen;    /* ADDRESS:PORT, perhaps with a scheme: see hubconf_door */
	char *tls_cert, *tls_key;   /* files, or NULL: both or none */
	struct conf_list upstreams; /* URLs in order of preference */
	char *upstream_token_file;
	int upstream_xet;             /* enum hub_xet */
	struct conf_list allow, deny; /* rules: see filter.h */
	bool keep_gone;
	char *public_url; /* or NULL */
	uint64_t cache_size, cache_min_free, memory, upload_part;
	int64_t collect_grace, collect_every, scrub_every; /* seconds */
	uint64_t scrub_rate;                               /* bytes per second */
	int64_t ref_ttl, timeout;                          /* seconds */
	int anonymous;                                     /* enum hubconf_anonymous */
	int64_t stop_timeout; /* seconds that what is under way has at a stop */
	int64_t connections,
		address_connections; /* most of them: in all, of one address (0: any) */
	bool offline;
	bool xet;
	char *xet_read;         /* as it was said */
	uint64_t xet_above;     /* bytes that a file has more of, or UINT64_MAX: none is read so */
	int audit;              /* enum hubconf_audit */
	int64_t audit_keep;     /* days; 0: for ever */
	uint64_t audit_segment; /* bytes */
	char *access_log;       /* file, "-", or NULL */
	struct conf_list proxies; /* networks */
	struct peer_settings peer;
	int log_level; /* enum log_level */
};

/* What somebody without a token may do. */
enum hubconf_anonymous { HUBCONF_ANONYMOUS_READ, HUBCONF_ANONYMOUS_NONE };

enum hubconf_audit { HUBCONF_AUDIT_OFF, HUBCONF_AUDIT_ON, HUBCONF_AUDIT_STRICT };
enum hubconf_action {
	HUBCONF_RUN,
	HUBCONF_CHECK, /* what is said, and no more */
	HUBCONF_HELP,
	HUBCONF_VERSION,
	HUBCONF_MAN,
};
/* True if it is done with what was parsed; else that does not count, and something is printed. */
static inline bool hubconf_counts(enum hubconf_action a)
{
	return a == HUBCONF_RUN || a == HUBCONF_CHECK;
}

/* Parses command line and configuration file. ERR_CONF with full sentences in `why`; nothing else
 * was done. */
MUST_USE int hubconf_parse(int argc, char *const argv[], struct hubconf *ret,
			   enum hubconf_action *ret_action, struct buf *why);
void hubconf_fini(struct hubconf *c);
/* Takes from fresh, which gets the old values, what can change while the hub runs; appends the
 * names of what differs and cannot. */
void hubconf_renew(struct hubconf *c, struct hubconf *fresh, struct buf *ret_kept);
/* Reads the token for the first upstream; empty if there is none. A sentence in why. */
MUST_USE int hubconf_token(const struct hubconf *c, struct buf *ret, struct buf *why);
/* The address of door i < listen.count, borrowed; true if it speaks TLS. */
bool hubconf_door(const struct hubconf *c, size_t i, const char **ret_address);
/* Appends the text of --help. */
void hubconf_help(struct buf *ret);
/* And of docs/matrixhubd.conf.5. */
void hubconf_man(struct buf *ret);

#endif
