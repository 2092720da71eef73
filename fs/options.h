/* SPDX-License-Identifier: Apache-2.0 */
/* Parameters and command line of matrixfs. Later sources win: built-in defaults, the
 * environment (HF_ENDPOINT, HF_TOKEN, HF_TOKEN_PATH, HF_HOME), the configuration file, -o
 * options, --name=value. Called by mount(8) (`matrixfs SOURCE MOUNTPOINT -o ...`, or under the
 * name mount.fuse.matrixfs), SOURCE is a hub's URL, "none" or "matrixfs", and the program goes
 * to the background when mounted. */
#ifndef MATRIXFS_OPTIONS_H
#define MATRIXFS_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/base/conf.h"
#include "daemon/peer/peer_settings.h"

struct options {
	char *config;
	struct conf_list hubs;   /* URLs in order of preference; at least one */
	char *cache;             /* directory */
	uint64_t cache_size;     /* bytes; 0: as much as cache_min_free leaves */
	uint64_t cache_min_free; /* bytes the file system of the cache keeps free */
	uint64_t memory;         /* bytes for transfers */
	char *token_file; /* a token, or lines "URL TOKEN"; a bare token is the first hub's */
	int64_t ref_ttl;  /* seconds a branch or tag is believed without asking */
	int64_t timeout;  /* seconds any read or lookup may wait */
	bool offline;
	int verify;   /* enum options_verify */
	int hub_xet;  /* enum hub_xet */
	int prefetch; /* enum node_prefetch */
	bool strict_ro;
	bool passthrough;
	bool allow_other;           /* default: true for root */
	uint64_t scratch_size;      /* bytes of metadata kept in memory */
	int log_level;              /* of LOG_LEVEL_CHOICES */
	int64_t slow_op;            /* seconds after which a request is told to be slow; 0: never */
	char *control_listen;       /* ADDRESS:PORT, or NULL */
	char *nfs;                  /* ADDRESS:PORT to export on, or NULL */
	struct conf_list nfs_allow; /* networks */
	struct conf_list nfs_export; /* rules, see scope.h */
	bool nfs_beside_hub;
	char *nfs_key_file; /* or NULL */
	bool nfs_portmap;
	struct peer_settings peer;
	bool background;
	int holder; /* enum options_holder */
	bool foreground_asked;
	char *mountpoint;   /* NULL: none, there is only the export */
	char *token_env;    /* value of HF_TOKEN; wiped by options_fini */
	char *fuse_options; /* the rest of -o, for the FUSE library; may be empty */
};

/* In the order of verify's choices. */
enum options_verify { OPTIONS_VERIFY_STREAM, OPTIONS_VERIFY_STRICT };
enum options_holder { OPTIONS_HOLDER_AUTO, OPTIONS_HOLDER_YES, OPTIONS_HOLDER_NO };
enum options_action {
	OPTIONS_RUN,
	OPTIONS_CHECK, /* what is said, and no more */
	OPTIONS_HELP,
	OPTIONS_VERSION,
	OPTIONS_CONFIG_MD,
	OPTIONS_CONFIG_MAN,
};
/* True if it is done with the options; else they do not count, and something is printed. */
static inline bool options_count(enum options_action a)
{
	return a == OPTIONS_RUN || a == OPTIONS_CHECK;
}

extern const struct conf_table options_table;

/* Parses the command line, environment and configuration file. ERR_CONF with full sentences in
 * `why`; nothing else was done. getenv_fn is getenv, or a test's. */
MUST_USE int options_parse(int argc, char *const argv[], char *(*getenv_fn)(const char *),
			   struct options *ret, enum options_action *ret_action, struct buf *why);
void options_fini(struct options *o);
/* Finds the token for one hub: from the token file (first match), HF_TOKEN, HF_TOKEN_PATH,
 * HF_HOME/token. 0 with *ret owned (NULL: none); ERR_CONF if a token file was named and cannot be
 * read. */
MUST_USE int options_token(const struct options *o, const char *hub_url, bool first_hub,
			   char *(*getenv_fn)(const char *), char **ret, struct buf *why);
void options_token_free(char *token); /* wiped; NULL is fine */
/* Appends what is printed: the text of --help, of --version, of docs/config.md or of
 * docs/matrixfs.conf.5. */
void options_text(enum options_action action, struct buf *ret);

#endif
