/* SPDX-License-Identifier: Apache-2.0 */
/* Each source is applied to the same struct, weakest first. A list begins anew in each source: what
 * was there before is marked as if it were the default. */
#include "fs/options.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/cachedir.h"
#include "daemon/base/conf_file.h"
#include "daemon/base/err.h"
#include "daemon/base/listen.h"
#include "daemon/base/log.h"
#include "daemon/base/network.h"
#include "daemon/base/why.h"
#include "daemon/hub/hub.h"
#include "daemon/hub/hub_url.h"
#include "fs/cmdline.h"
#include "fs/scope.h"
#include "fs/secret.h"

#define CONFIG_FILE "/etc/matrixfs/matrixfs.conf"
#define MIB (1024LL * 1024)
#define GIB (1024 * MIB)

#define FIELD(name) offsetof(struct options, name)

static const struct conf_param params[] = {
	{ "config", CONF_TEXT, FIELD(config), CONFIG_FILE, 0, 0, "FILE",
	  "Configuration file: these names, as \"name = value\" lines." },
	{ "hub", CONF_LIST, FIELD(hubs), "https://huggingface.co", 0, 0, "URL",
	  "Hub to read from. Several are asked in this order. HF_ENDPOINT takes the place of the "
	  "default." },
	{ "cache", CONF_TEXT, FIELD(cache), CACHEDIR, 0, 0, "DIR",
	  "Directory where the bytes stay. For users other than root the default is "
	  "$XDG_CACHE_HOME/matrixfs or ~/.cache/matrixfs." },
	{ "cache-size", CONF_BYTES, FIELD(cache_size), "0", 0, 0, "BYTES",
	  "Most bytes the cache may take; 0 is no limit but cache-min-free." },
	{ "cache-min-free", CONF_BYTES, FIELD(cache_min_free), "1GiB", 0, 0, "BYTES",
	  "Bytes that stay free on the file system of the cache." },
	{ "memory", CONF_BYTES, FIELD(memory), "64MiB", 4 * MIB, 4 * GIB, "BYTES",
	  "Most memory for transfers under way, however many files are open." },
	{ "token-file", CONF_TEXT, FIELD(token_file), NULL, 0, 0, "FILE",
	  "File with the token of the first hub, or with lines \"URL TOKEN\". Without it HF_TOKEN, "
	  "HF_TOKEN_PATH and the token of \"hf auth login\" are looked at." },
	{ "ref-ttl", CONF_SECONDS, FIELD(ref_ttl), "60", 0, 86400, "SECONDS",
	  "How long a branch or tag is believed before the hub is asked again." },
	{ "timeout", CONF_SECONDS, FIELD(timeout), "30", 1, 600, "SECONDS",
	  "Longest wait of a read or lookup; then it fails with EIO." },
	{ "offline", CONF_FLAG, FIELD(offline), NULL, 0, 0, NULL,
	  "Never ask a hub: what is not in the cache fails with EIO." },
	{ "hub-xet", CONF_CHOICE, FIELD(hub_xet), "auto", 0, 0, HUB_XET_CHOICES,
	  "Fetch what a hub has in a Xet store from there: what it gives by no plain HTTP, all "
	  "of it, or nothing." },
	{ "prefetch", CONF_CHOICE, FIELD(prefetch), "yes", 0, 0, "no|yes|always",
	  "Bring what is likely to be read next: headers, the next shards, the small files beside "
	  "a config; no brings only what is read, and what lies right behind it. yes pauses while "
	  "memory is short, always does not." },
	{ "verify", CONF_CHOICE, FIELD(verify), "stream", 0, 0, "stream|strict",
	  "stream gives bytes as they come, and takes them back when the file's digest turns out "
	  "wrong; strict gives none before the digest of the whole file was right." },
	{ "strict-ro", CONF_FLAG, FIELD(strict_ro), NULL, 0, 0, NULL,
	  "Refuse the metadata that clients write (locks, refs) with EROFS too." },
	{ "passthrough", CONF_FLAG, FIELD(passthrough), "yes", 0, 0, NULL,
	  "Let the kernel read complete files from the cache by itself, where it can; =no keeps "
	  "the daemon in between." },
	{ "allow-other", CONF_FLAG, FIELD(allow_other), NULL, 0, 0, NULL,
	  "Let other users read the mount. For root the default is yes." },
	{ "scratch-size", CONF_BYTES, FIELD(scratch_size), "64MiB", MIB, 4 * GIB, "BYTES",
	  "Most bytes of the metadata that clients write; it is kept in memory." },
	{ "log-level", CONF_CHOICE, FIELD(log_level), "info", 0, 0, LOG_LEVEL_CHOICES,
	  "Least important kind of event that is logged." },
	{ "slow-op", CONF_SECONDS, FIELD(slow_op), "5", 0, 86400, "SECONDS",
	  "A request that takes longer is logged with what it waits for; 0 is never." },
	{ "control-listen", CONF_TEXT, FIELD(control_listen), NULL, 0, 0, "ADDRESS:PORT",
	  "Answer monitoring there too, as on CACHE/control but read-only: /metrics, /healthz, "
	  "/v1/status, /v1/transfers, /v1/cache. Without it no port is opened." },
	{ "nfs", CONF_TEXT, FIELD(nfs), NULL, 0, 0, "ADDRESS:PORT",
	  "Export the tree there by NFS version 3, for machines that cannot mount it themselves. "
	  "Weights are read-only, as on the mount. MOUNTPOINT may then be left out." },
	{ "nfs-allow", CONF_LIST, FIELD(nfs_allow), "127.0.0.0/8,::1", 1, 0, "ADDRESS[/BITS]",
	  "Serve NFS to clients that come from there. May be given several times." },
	{ "nfs-export", CONF_LIST, FIELD(nfs_export), NULL, 1, 0, "NETWORK=REPOSITORY",
	  "Show clients from there these repositories and nothing else, as "
	  "10.1.0.0/16=org/*,datasets/org/*. May be given several times; without it who may "
	  "connect sees all." },
	{ "nfs-beside-hub", CONF_FLAG, FIELD(nfs_beside_hub), NULL, 0, 0, NULL,
	  "Show clients of NFS what was written on the mount beside hub/, too, as far as its mode "
	  "lets everybody: HF_HOME's tokens and modules. With nfs-export nobody sees it." },
	{ "nfs-key-file", CONF_TEXT, FIELD(nfs_key_file), NULL, 1, 0, "FILE",
	  "File with the key of NFS file handles, as that of cluster-key-file and perhaps the "
	  "same: nodes that have the same one can take each other's place. Without it the cache "
	  "has one of its own." },
	{ "nfs-portmap", CONF_FLAG, FIELD(nfs_portmap), NULL, 0, 0, NULL,
	  "Answer as a portmapper on the port of NFS, too." },
	PEER_PARAMS(FIELD(peer)),
	{ "background", CONF_FLAG, FIELD(background), NULL, 0, 0, NULL,
	  "Return when mounted and go on in the background." },
	{ "holder", CONF_CHOICE, FIELD(holder), "auto", 0, 0, "auto|yes|no",
	  "Have a small process hold the mount and start the daemon again when it dies, or is "
	  "replaced (SIGUSR2), while readers wait. auto is yes in the background, where no service "
	  "manager holds it." },
};

const struct conf_table options_table = { params, ARRAY_LEN(params) };

void options_fini(struct options *o)
{
	conf_fini(&options_table, o);
	if (o->token_env)
		explicit_bzero(o->token_env, strlen(o->token_env));
	free(o->token_env);
	free(o->mountpoint);
	free(o->fuse_options);
	*o = (struct options){ 0 };
}

/* Of a hub's URL nothing is repeated that may be a password or a token. */
static int complain_hub(const char *hub, const char *problem, const char *where, struct buf *why)
{
	if (strchr(hub, '@'))
		return complain(why, "%s: The URL of a hub is not valid: %s.", where, problem);
	return complain(why, "%s: The hub \"%.*s\" is not a valid URL: %s.", where,
			(int)strcspn(hub, "?#"), hub, problem);
}

/* Ends a source: checks and cleans its hubs. The next one's lists take the place of its own. */
static int end_source(struct options *o, const char *where, struct buf *why)
{
	for (size_t i = 0; i < o->hubs.count; i++) {
		const char *problem = hub_url_problem(o->hubs.items[i]);

		if (problem)
			return complain_hub(o->hubs.items[i], problem, where, why);
	}
	o->hubs.from_default = o->nfs_allow.from_default = o->nfs_export.from_default = 1;
	return hub_url_clean_all(&o->hubs, where, why);
}

/* --- sources, weakest first */

static int set_user_cache(struct options *o, char *(*getenv_fn)(const char *), struct buf *why)
{
	CLEANUP(buf_free) struct buf dir = { 0 };
	int r = cachedir_default(false, getenv_fn, &dir);

	return r < 0 ? r : conf_set(&options_table, o, "cache", buf_str(&dir), why);
}

static int set_defaults(struct options *o, char *(*getenv_fn)(const char *), struct buf *why)
{
	bool is_root = geteuid() == 0;
	int r = conf_defaults(&options_table, o);

	o->allow_other = is_root;
	if (!r && !is_root)
		r = set_user_cache(o, getenv_fn, why);
	return r;
}

/* HF_HUB_OFFLINE is not among these: it is how clients are told to ask nobody, and a mount that
 * obeyed it could not fetch for them. */
static int set_environment(struct options *o, char *(*getenv_fn)(const char *), struct buf *why)
{
	const char *hub = getenv_fn("HF_ENDPOINT"), *token = getenv_fn("HF_TOKEN");
	int r = 0;

	if (hub && *hub)
		r = conf_set(&options_table, o, "hub", hub, why);
	if (!r)
		r = end_source(o, "HF_ENDPOINT", why);
	if (r || !token || !*token)
		return r;
	o->token_env = strdup(token);
	return o->token_env ? 0 : -ENOMEM;
}

/* The line of a file that names this hub, for what is wrong with it. */
static unsigned line_of_hub(const char *text, const char *hub)
{
	unsigned number = 1;

	for (; *text; number++) {
		const char *key = text + strspn(text, " \t");
		const char *found = strstr(key, hub);
		size_t len = strcspn(text, "\n");

		if (!strncmp(key, "hub", 3) && found && found < text + len)
			return number;
		text += len + (text[len] == '\n');
	}
	return 0;
}

static int end_file(struct options *o, const char *path, const char *text, struct buf *why)
{
	CLEANUP(buf_free) struct buf where = { 0 };

	buf_add_str(&where, path);
	for (size_t i = 0; i < o->hubs.count && where.len == strlen(path); i++)
		if (hub_url_problem(o->hubs.items[i]))
			buf_printf(&where, ":%u", line_of_hub(text, o->hubs.items[i]));
	return where.failed ? where.failed : end_source(o, buf_str(&where), why);
}

static int set_file(struct options *o, const char *named, struct buf *why)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	int r = conf_file(&options_table, o, &o->config, named, CONFIG_FILE, &text, why);

	return r || !text.data ? r : end_file(o, named ? named : CONFIG_FILE, buf_str(&text), why);
}

/* An option that is none of the table's: for the kernel, for others, or spelt as FUSE people do,
 * with "_" for "-". */
static int set_mount_option(struct options *o, char *option, struct buf *ret_fuse, struct buf *why)
{
	enum cmdline_use use = cmdline_mount_option(option);
	char *equals = strchr(option, '=');

	if (use == CMDLINE_PASS)
		return buf_printf(ret_fuse, "%s%s", ret_fuse->len ? "," : "", option);
	if (use == CMDLINE_DROP)
		return 0;
	if (equals)
		*equals = '\0';
	if (!strcmp(option, "token"))
		return complain(why,
				"A token among the options is seen by every user of this machine: "
				"put it into a file and name that with token-file=FILE.");
	/* A token in another spelling would be told. */
	if (strncmp(option, "hf_", 3) != 0)
		for (char *c = option; *c; c++)
			if (*c == '_')
				*c = '-';
	return conf_set(&options_table, o, option, equals ? equals + 1 : NULL, why);
}

static int set_mount_options(struct options *o, const struct cmdline *c, struct buf *why)
{
	CLEANUP(buf_free) struct buf rest = { 0 }, fuse = { 0 };
	char *next, *option;
	int r = 0;

	if (c->source && hub_url_has_scheme(c->source))
		r = conf_set(&options_table, o, "hub", c->source, why);
	if (!r)
		r = conf_parse_options(&options_table, o, buf_str(&c->mount_options), &rest, why);
	next = rest.data;
	while (!r && (option = strsep(&next, ",")))
		r = set_mount_option(o, option, &fuse, why);
	if (!r)
		r = end_source(o, c->source ? "SOURCE or -o" : "-o", why);
	if (r)
		return r;
	o->fuse_options = buf_take(&fuse);
	return o->fuse_options ? 0 : -ENOMEM;
}

static int set_arguments(struct options *o, const struct cmdline *c, struct buf *why)
{
	int r = 0;

	for (size_t i = 0; i < c->setting_count && !r; i++)
		r = conf_set(&options_table, o, c->settings[i].name, c->settings[i].value, why);
	return r ? r : end_source(o, "--hub", why);
}

/* --- all of them */

/* The configuration file comes before the command line that names it: look there first. */
static int find_config(const struct cmdline *c, char **ret, struct buf *why)
{
	CLEANUP(options_fini) struct options o = { 0 };
	int r = set_mount_options(&o, c, why);

	if (!r)
		r = set_arguments(&o, c, why);
	if (!r)
		*ret = steal(o.config);
	return r;
}

static int check_export(const struct options *o, struct buf *why)
{
	struct scope_rules *rules = NULL;
	int r = scope_rules_new(&o->nfs_export, &rules, why);

	scope_rules_free(rules);
	return r;
}

static int check_nfs(const struct options *o, struct buf *why)
{
	if (o->nfs && !listen_is_address(o->nfs))
		return complain(why,
				"The value \"%s\" of \"nfs\" is not valid; allowed is "
				"ADDRESS:PORT, as 127.0.0.1:2049.",
				o->nfs);
	for (size_t i = 0; i < o->nfs_allow.count; i++) {
		const char *problem = network_problem(o->nfs_allow.items[i]);

		if (problem)
			return complain(why, "The value \"%s\" of \"nfs-allow\" is not valid; %s.",
					o->nfs_allow.items[i], problem);
	}
	return check_export(o, why);
}

static int finish(struct options *o, const struct cmdline *c, struct buf *why)
{
	int r = peer_settings_check(&o->peer, false, why);

	if (r == 0)
		r = check_nfs(o, why);
	if (r < 0)
		return r;
	if (!c->mountpoint && !o->nfs && c->action != OPTIONS_CHECK)
		return complain(why, "The mount point is missing: matrixfs [OPTION]... MOUNTPOINT, "
				     "or --nfs=ADDRESS:PORT to export without one.");
	if (!o->hubs.count)
		return complain(why, "There is no hub: name one with --hub=URL.");
	if (!o->cache)
		return complain(why, "There is no directory for the cache: name one with "
				     "--cache=DIR.");
	if (o->control_listen && !listen_is_address(o->control_listen))
		return complain(why,
				"The value \"%s\" of \"control-listen\" is not valid; allowed is "
				"ADDRESS:PORT, as 127.0.0.1:9400.",
				o->control_listen);
	o->foreground_asked = c->foreground;
	o->background = (o->background || c->by_mount) && !c->foreground;
	o->mountpoint = c->mountpoint ? strdup(c->mountpoint) : NULL;
	return o->mountpoint || !c->mountpoint ? 0 : -ENOMEM;
}

static int collect(struct options *o, const struct cmdline *c, char *(*getenv_fn)(const char *),
		   struct buf *why)
{
	CLEANUP(freep) char *config = NULL;
	int r = find_config(c, &config, why);

	if (!r)
		r = set_defaults(o, getenv_fn, why);
	if (!r)
		r = set_environment(o, getenv_fn, why);
	if (!r)
		r = set_file(o, config, why);
	if (!r)
		r = set_mount_options(o, c, why);
	if (!r)
		r = set_arguments(o, c, why);
	return r ? r : finish(o, c, why);
}

int options_parse(int argc, char *const argv[], char *(*getenv_fn)(const char *),
		  struct options *ret, enum options_action *ret_action, struct buf *why)
{
	CLEANUP(cmdline_fini) struct cmdline c = { 0 };
	int r = cmdline_parse(&options_table, argc, argv, &c, why);

	*ret = (struct options){ 0 };
	secret_hide(why);
	if (r)
		return r;
	*ret_action = c.action;
	if (!options_count(c.action))
		return 0;
	r = collect(ret, &c, getenv_fn, why);
	secret_hide(why);
	if (r)
		options_fini(ret);
	return r;
}

/* --- texts */

static const char help_head[] =
	"Usage: matrixfs [OPTION]... MOUNTPOINT\n"
	"       matrixfs [OPTION]... SOURCE MOUNTPOINT   (as mount(8) calls it)\n"
	"       matrixfs [OPTION]... --nfs=ADDRESS:PORT  (exports without a mount)\n"
	"Shows the models of a Hugging Face compatible hub as files below MOUNTPOINT.\n"
	"\n";

static const char help_tail[] =
	"  -o OPTION[,OPTION]...     These names without \"--\", and those of mount(8).\n"
	"  -f                        Stay in the foreground.\n"
	"  --check                   Only look whether options and configuration file are\n"
	"                            right; the mount point may be left out.\n"
	"  -h, --help                Show this text.\n"
	"  -V, --version             Show the version.\n"
	"\n"
	"Then point a client there: HF_HUB_CACHE=MOUNTPOINT/hub\n";

static void add_help(struct buf *ret)
{
	buf_add_str(ret, help_head);
	conf_help(&options_table, ret);
	buf_add_str(ret, help_tail);
}

static const char markdown_head[] =
	"# Configuration of matrixfs\n"
	"\n"
	"This page is what `matrixfs --config-markdown` prints; a test compares the two.\n"
	"\n"
	"Each parameter has one name, in three places: `name = value` in the configuration\n"
	"file, `--name=value` on the command line, `-o name=value` for `mount` and `/etc/fstab`.\n"
	"Later ones win: defaults, the environment (`HF_ENDPOINT`), the configuration file, `-o`,\n"
	"`--name`. A list is replaced as a whole by the next place that names it; an empty\n"
	"`token-file` means none. What restricts who may what is never empty: that is how a\n"
	"variable looks that a script has not set. In the file, `#` begins a comment. An unknown\n"
	"name or a bad value stops the start with exit status 2 before anything is mounted.\n"
	"\n";

static const char markdown_tail[] =
	"\n"
	"A token is never given on the command line. It is looked for in `token-file`, then (for\n"
	"the first hub alone) in `HF_TOKEN`, in the file `HF_TOKEN_PATH` names, and in\n"
	"`HF_HOME/token`, where `hf auth login` puts it. A token file holds one token, or lines\n"
	"`URL TOKEN`:\n"
	"\n"
	"```\n"
	"# token-file\n"
	"https://huggingface.co  hf_xxxxxxxxxxxx\n"
	"https://hub.example.org hf_yyyyyyyyyyyy\n"
	"```\n"
	"\n"
	"An example of `/etc/matrixfs/matrixfs.conf`:\n"
	"\n"
	"```\n"
	"hub        = https://hub.example.org\n"
	"hub        = https://huggingface.co\n"
	"cache      = /data/matrixfs\n"
	"cache-size = 2TiB\n"
	"token-file = /etc/matrixfs/tokens\n"
	"```\n";

static void add_markdown(struct buf *ret)
{
	buf_add_str(ret, markdown_head);
	conf_markdown(&options_table, ret);
	buf_add_str(ret, markdown_tail);
}

static const char man_tail[] =
	".Sh TOKENS\n"
	"No token stands in this file, which everybody may read.\n"
	"The file that\n.Ic token\\-file\n"
	"names holds one token, for the first hub, or lines of a hub's URL and its token.\n"
	"Without it\n.Ev HF_TOKEN ,\n.Ev HF_TOKEN_PATH\nand\n.Ev HF_HOME\nare looked at.\n"
	".Sh EXAMPLES\n"
	".Bd -literal -offset indent\n"
	"hub        = https://hub.example.org\n"
	"hub        = https://huggingface.co\n"
	"cache      = /data/matrixfs\n"
	"cache-size = 2TiB\n"
	"token-file = /etc/matrixfs/tokens\n"
	".Ed\n";

static void add_man(struct buf *ret)
{
	const struct conf_page page = { "matrixfs.conf", CONFIG_FILE, "matrixfs", man_tail };

	conf_man(&options_table, &page, ret);
}

void options_text(enum options_action action, struct buf *ret)
{
	if (action == OPTIONS_HELP)
		add_help(ret);
	else if (action == OPTIONS_CONFIG_MD)
		add_markdown(ret);
	else if (action == OPTIONS_CONFIG_MAN)
		add_man(ret);
	else
		buf_add_str(ret, "matrixfs " MATRIXFS_VERSION "\n");
}
