/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hubconf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "admin/hub/filter.h"
#include "daemon/base/conf_file.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/httpd.h"
#include "daemon/base/listen.h"
#include "daemon/base/log.h"
#include "daemon/base/network.h"
#include "daemon/base/why.h"
#include "daemon/hub/hub.h"
#include "daemon/hub/hub_url.h"

#define CONFIG_FILE "/etc/matrixfs/matrixhubd.conf"
#define TOKEN_BYTES_MAX 4096
#define MIB (1024LL * 1024)
#define GIB (1024 * MIB)

#define FIELD(name) offsetof(struct hubconf, name)

static const struct conf_param params[] = {
	{ "config", CONF_TEXT, FIELD(config), CONFIG_FILE, 0, 0, "FILE",
	  "Configuration file: these names, as \"name = value\" lines." },
	{ "data", CONF_TEXT, FIELD(data), "/var/lib/matrixhubd", 0, 0, "DIR",
	  "Directory where everything is kept: bytes, index, the administrator's token." },
	{ "listen", CONF_LIST, FIELD(listen), "127.0.0.1:8080", 0, 0, "ADDRESS:PORT",
	  "Answer there. May be given several times. With a certificate by TLS, but where it says "
	  "http://ADDRESS:PORT." },
	{ "tls-cert", CONF_TEXT, FIELD(tls_cert), NULL, 1, 0, "FILE",
	  "Certificate of this hub in PEM, and behind it those that vouch for it." },
	{ "tls-key", CONF_TEXT, FIELD(tls_key), NULL, 1, 0, "FILE", "Its key in PEM." },
	{ "upstream", CONF_LIST, FIELD(upstreams), "https://huggingface.co", 0, 0, "URL",
	  "Hub to ask for what is not here. Several are asked in this order." },
	{ "upstream-token-file", CONF_TEXT, FIELD(upstream_token_file), NULL, 0, 0, "FILE",
	  "File with the token for the first upstream." },
	{ "upstream-xet", CONF_CHOICE, FIELD(upstream_xet), "auto", 0, 0, HUB_XET_CHOICES,
	  "Fetch what an upstream has in a Xet store from there: what it gives by no plain HTTP, "
	  "all of it, or nothing." },
	{ "allow", CONF_LIST, FIELD(allow), NULL, 1, 0, "RULE",
	  "What of the upstreams may be read: [KIND/]REPOSITORY[:FILE] with globs. May be given "
	  "several times; without it all may." },
	{ "deny", CONF_LIST, FIELD(deny), NULL, 1, 0, "RULE",
	  "What may not be, also if it is allowed. May be given several times." },
	{ "keep-gone", CONF_FLAG, FIELD(keep_gone), NULL, 0, 0, NULL,
	  "Go on serving what is here when an upstream says that it is gone." },
	{ "public-url", CONF_TEXT, FIELD(public_url), NULL, 0, 0, "URL",
	  "How clients reach this hub. Without it each is told the host it asked for." },
	{ "anonymous", CONF_CHOICE, FIELD(anonymous), "read", 0, 0, "read|none",
	  "Whether public repositories are there for who has no token." },
	{ "cache-size", CONF_BYTES, FIELD(cache_size), "0", 0, 0, "BYTES",
	  "Most bytes kept of upstreams' files; 0 is no limit but cache-min-free." },
	{ "cache-min-free", CONF_BYTES, FIELD(cache_min_free), "1GiB", 0, 0, "BYTES",
	  "Bytes that stay free on the file system of the data." },
	{ "upload-part", CONF_BYTES, FIELD(upload_part), "1GiB", 0, 64 * GIB, "BYTES",
	  "Larger files are uploaded in parts of this size; 0: all are in one piece." },
	{ "collect-grace", CONF_SECONDS, FIELD(collect_grace), "24h", 0, 365 * 86400, "SECONDS",
	  "Of what was uploaded nothing goes that anybody spoke of so lately." },
	{ "collect-every", CONF_SECONDS, FIELD(collect_every), "24h", 0, 365 * 86400, "SECONDS",
	  "Take away what nobody needs of what was uploaded so often; 0: only when asked to." },
	{ "scrub-every", CONF_SECONDS, FIELD(scrub_every), "28d", 0, 3650 * 86400, "SECONDS",
	  "Read again what was uploaded so often; 0: only when asked to." },
	{ "scrub-rate", CONF_BYTES, FIELD(scrub_rate), "32MiB", 0, 0, "BYTES",
	  "So many bytes a second; 0: as fast as it goes." },
	{ "memory", CONF_BYTES, FIELD(memory), "64MiB", 4 * MIB, 4 * GIB, "BYTES",
	  "Most memory for transfers from upstreams." },
	{ "ref-ttl", CONF_SECONDS, FIELD(ref_ttl), "60", 0, 86400, "SECONDS",
	  "How long a branch or tag is believed before an upstream is asked again." },
	{ "timeout", CONF_SECONDS, FIELD(timeout), "30", 1, 600, "SECONDS",
	  "Longest wait for an upstream's answer." },
	{ "stop-timeout", CONF_SECONDS, FIELD(stop_timeout), "5", 0, 3600, "SECONDS",
	  "How long what is under way may take to end when the hub is stopped." },
	{ "connections", CONF_COUNT, FIELD(connections), "12000", 16, 1000000, "COUNT",
	  "Most connections. One more, and who has been silent longest has to go." },
	{ "address-connections", CONF_COUNT, FIELD(address_connections), "2048", 0, 1000000,
	  "COUNT",
	  "Most connections of one address (of IPv6: of one /64); 0 is any number. Set it higher "
	  "behind a proxy." },
	{ "offline", CONF_FLAG, FIELD(offline), NULL, 0, 0, NULL, "Never ask an upstream." },
	{ "xet", CONF_FLAG, FIELD(xet), "yes", 0, 0, NULL,
	  "Take uploads of clients that send to a Xet store, as they come by default." },
	{ "xet-read", CONF_TEXT, FIELD(xet_read), "50GB", 0, 0, "always|never|BYTES",
	  "Offer files to read by the Xet store that came that way and are larger." },
	{ "audit", CONF_CHOICE, FIELD(audit), "on", 0, 0, "off|on|strict",
	  "Keep an audit trail; strict: give no file while the trail cannot be written." },
	{ "audit-keep", CONF_COUNT, FIELD(audit_keep), "0", 0, 36500, "DAYS",
	  "Drop what is older from the trail; 0 keeps all." },
	{ "audit-segment", CONF_BYTES, FIELD(audit_segment), "64MiB", 64 * 1024, 4 * GIB, "BYTES",
	  "Size at which the trail begins a new file; it does each day, too." },
	{ "access-log", CONF_TEXT, FIELD(access_log), NULL, 0, 0, "FILE",
	  "Write a line for each request there; - is standard output." },
	{ "trusted-proxy", CONF_LIST, FIELD(proxies), "127.0.0.0/8,::1", 0, 0, "ADDRESS[/BITS]",
	  "Believe the X-Forwarded- fields of requests that come from there. May be given several "
	  "times; \"\" is nobody." },
	PEER_PARAMS(FIELD(peer)),
	{ "log-level", CONF_CHOICE, FIELD(log_level), "info", 0, 0, LOG_LEVEL_CHOICES,
	  "Least important kind of event that is logged." },
};

static const struct conf_table table = { params, ARRAY_LEN(params) };

void hubconf_fini(struct hubconf *c)
{
	conf_fini(&table, c);
	*c = (struct hubconf){ 0 };
}

/* One argument: "--name", "--name=value". */
static int set_argument(struct hubconf *c, const char *argument, struct buf *why)
{
	CLEANUP(freep) char *name = NULL;
	const char *equals = strchr(argument, '=');

	if (strncmp(argument, "--", 2) != 0 || !argument[2])
		return complain(why, "\"%s\" is no option: see --help.", argument);
	argument += 2;
	name = equals ? strndup(argument, (size_t)(equals - argument)) : strdup(argument);
	if (!name)
		return -ENOMEM;
	return conf_set(&table, c, name, equals ? equals + 1 : NULL, why);
}

static int set_arguments(struct hubconf *c, int argc, char *const argv[], struct buf *why)
{
	int r = 0;

	for (int i = 1; r == 0 && i < argc; i++)
		if (strcmp(argv[i], "--check") != 0)
			r = set_argument(c, argv[i], why);
	return r;
}

static void begin_source(struct hubconf *c)
{
	c->listen.from_default = c->upstreams.from_default = c->proxies.from_default = 1;
	c->allow.from_default = c->deny.from_default = 1;
}

/* --- checks */

#define PLAIN "http://"
#define SECURE "https://"

bool hubconf_door(const struct hubconf *c, size_t i, const char **ret_address)
{
	const char *text = c->listen.items[i];
	bool plain = !strncmp(text, PLAIN, strlen(PLAIN));
	bool secure = !strncmp(text, SECURE, strlen(SECURE));

	*ret_address = text + (plain ? strlen(PLAIN) : secure ? strlen(SECURE) : 0);
	return secure || (c->tls_cert && !plain);
}

static int check_doors(const struct hubconf *c, struct buf *why)
{
	const char *address;

	if (c->listen.count > HTTPD_DOORS_MAX)
		return complain(why, "There are more than %d addresses to listen on.",
				HTTPD_DOORS_MAX);
	if (!c->tls_cert != !c->tls_key)
		return complain(why, "TLS wants both: \"tls-cert\" and \"tls-key\".");
	for (size_t i = 0; i < c->listen.count; i++) {
		bool secure = hubconf_door(c, i, &address);

		if (!listen_is_address(address))
			return complain(
				why,
				"The value \"%s\" of \"listen\" is not valid; allowed is "
				"ADDRESS:PORT, as 127.0.0.1:8080, perhaps behind http:// or "
				"https://.",
				c->listen.items[i]);
		if (secure && !c->tls_cert)
			return complain(why,
					"To listen on %s a certificate is needed: "
					"\"tls-cert\" and \"tls-key\".",
					c->listen.items[i]);
	}
	return 0;
}

static int check_rules(const struct hubconf *c, struct buf *why)
{
	struct filter *filter;
	int r = filter_new(&c->allow, &c->deny, &filter, why);

	if (r == 0)
		filter_unref(filter);
	return r;
}

static int check_upstreams(struct hubconf *c, struct buf *why)
{
	for (size_t i = 0; i < c->upstreams.count; i++) {
		const char *problem = hub_url_problem(c->upstreams.items[i]);

		/* It is not repeated: it may hold a password. */
		if (problem)
			return complain(why, "An \"upstream\" is not a valid URL: %s.", problem);
	}
	return hub_url_clean_all(&c->upstreams, "upstream", why);
}

static int check_proxies(const struct hubconf *c, struct buf *why)
{
	for (size_t i = 0; i < c->proxies.count; i++) {
		const char *problem = network_problem(c->proxies.items[i]);

		if (problem)
			return complain(why,
					"The value \"%s\" of \"trusted-proxy\" is not valid; %s.",
					c->proxies.items[i], problem);
	}
	return 0;
}

/* BYTES as of any other parameter. */
static int check_xet(struct hubconf *c, struct buf *why)
{
	static const struct conf_param bytes = { .name = "xet-read", .type = CONF_BYTES };
	static const struct conf_table one = { &bytes, 1 };

	c->xet_above = UINT64_MAX;
	if (!strcmp(c->xet_read, "never"))
		return 0;
	c->xet_above = 0;
	if (!strcmp(c->xet_read, "always"))
		return 0;
	return conf_set(&one, &c->xet_above, bytes.name, c->xet_read, why);
}

static int check(struct hubconf *c, struct buf *why)
{
	int r = check_upstreams(c, why);

	if (r == 0)
		r = check_proxies(c, why);
	c->log_level = (int)log_level_of(c->log_level);
	if (r == 0)
		r = check_rules(c, why);
	if (r == 0)
		r = check_xet(c, why);
	if (r == 0)
		r = peer_settings_check(&c->peer, true, why);
	return r < 0 ? r : check_doors(c, why);
}

/* --- sources */

/* The command line is looked at first for the file it names, and set last. */
static int find_config(int argc, char *const argv[], char **ret, struct buf *why)
{
	CLEANUP(hubconf_fini) struct hubconf c = { 0 };
	int r = set_arguments(&c, argc, argv, why);

	if (r == 0)
		*ret = steal(c.config);
	return r;
}

static int collect(int argc, char *const argv[], struct hubconf *c, struct buf *why)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	CLEANUP(freep) char *config = NULL;
	int r = find_config(argc, argv, &config, why);

	if (r == 0)
		r = conf_defaults(&table, c);
	begin_source(c);
	if (r == 0)
		r = conf_file(&table, c, &c->config, config, CONFIG_FILE, &text, why);
	begin_source(c);
	if (r == 0)
		r = set_arguments(c, argc, argv, why);
	return r == 0 ? check(c, why) : r;
}

int hubconf_parse(int argc, char *const argv[], struct hubconf *ret,
		  enum hubconf_action *ret_action, struct buf *why)
{
	int r;

	*ret = (struct hubconf){ 0 };
	*ret_action = HUBCONF_RUN;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			*ret_action = HUBCONF_HELP;
		else if (!strcmp(argv[i], "--version") || !strcmp(argv[i], "-V"))
			*ret_action = HUBCONF_VERSION;
		else if (!strcmp(argv[i], "--config-man"))
			*ret_action = HUBCONF_MAN;
		else if (!strcmp(argv[i], "--check"))
			*ret_action = HUBCONF_CHECK;
	if (!hubconf_counts(*ret_action))
		return 0;
	r = collect(argc, argv, ret, why);
	if (r < 0)
		hubconf_fini(ret);
	return r;
}

void hubconf_renew(struct hubconf *c, struct hubconf *fresh, struct buf *ret_kept)
{
	static const char *const live[] = {
		"log-level", "connections",    "address-connections", "cache-size",
		"ref-ttl",   "cache-min-free", "upstream-token-file", "stop-timeout",
		"tls-cert",  "tls-key",        "anonymous",           "allow",
		"deny",
	};

	conf_renew(&table, c, fresh, live, ARRAY_LEN(live), ret_kept);
}

int hubconf_token(const struct hubconf *c, struct buf *ret, struct buf *why)
{
	const char *path = c->upstream_token_file;
	int r = path ? file_read_all(AT_FDCWD, path, TOKEN_BYTES_MAX, ret) : 0;

	if (r < 0)
		buf_printf(why, "cannot read the token file %s: %s", path, err_text(r));
	buf_trim_end(ret);
	return r;
}

void hubconf_help(struct buf *ret)
{
	buf_add_str(ret,
		    "Usage: matrixhubd [OPTION]...\n"
		    "Answers clients of the Hugging Face Hub: set HF_ENDPOINT=http://HOST:PORT.\n"
		    "\n");
	conf_help(&table, ret);
	buf_add_str(ret, "  --check                   Only look whether all this is right.\n"
			 "  -h, --help                Show this text.\n"
			 "  -V, --version             Show the version.\n");
}

static const char man_tail[] = ".Sh EXAMPLES\n"
			       ".Bd -literal -offset indent\n"
			       "listen     = 0.0.0.0:8080\n"
			       "public-url = https://hub.example.org\n"
			       "upstream   = https://huggingface.co\n"
			       "cache-size = 10TiB\n"
			       "anonymous  = none\n"
			       ".Ed\n";

void hubconf_man(struct buf *ret)
{
	const struct conf_page page = { "matrixhubd.conf", CONFIG_FILE, "matrixhubd", man_tail };

	conf_man(&table, &page, ret);
}
