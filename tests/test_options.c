/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/options.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/log.h"

#define ARGS_MAX 16

static struct options o;
static enum options_action action;
static struct buf why;

/* The environment of a test: NAME, VALUE, ... , NULL. */
static const char *env[9];

static char *test_getenv(const char *name)
{
	for (int i = 0; env[i]; i += 2)
		if (!strcmp(env[i], name))
			return (char *)(uintptr_t)env[i + 1];
	return NULL;
}

static int setup(void **state)
{
	(void)state;
	memset(env, 0, sizeof(env));
	env[0] = "HOME";
	env[1] = "/home/me";
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	options_fini(&o);
	buf_free(&why);
	return 0;
}

/* Parses a command line written with blanks; "~" stands for a blank inside a word. */
static int parse(const char *line)
{
	CLEANUP(freep) char *copy = strdup(line);
	char *argv[ARGS_MAX + 1] = { NULL }, *next = copy, *word;
	int argc = 0;

	while ((word = strsep(&next, " "))) {
		for (char *c = word; *c; c++)
			if (*c == '~')
				*c = ' ';
		assert_true(argc < ARGS_MAX);
		argv[argc++] = word;
	}
	options_fini(&o);
	buf_clear(&why);
	return options_parse(argc, argv, test_getenv, &o, &action, &why);
}

static void good(const char *line)
{
	int r = parse(line);

	if (r || why.len)
		fail_msg("%s: %d %s", line, r, buf_str(&why));
}

/* The line is refused, and the sentence holds these words. */
static void bad(const char *line, const char *words)
{
	assert_int_equal(parse(line), ERR_CONF);
	if (!strstr(buf_str(&why), words) || !strchr(".?", why.data[why.len - 1]))
		fail_msg("%s: \"%s\" does not say \"%s\"", line, buf_str(&why), words);
	assert_null(o.cache);
	assert_null(o.mountpoint);
}

static void good_config(const char *text, const char *line)
{
	assert_int_equal(file_replace(AT_FDCWD, "matrixfs.conf", text, strlen(text), 0600), 0);
	good(line);
}

static void bad_config(const char *text, const char *words)
{
	assert_int_equal(file_replace(AT_FDCWD, "matrixfs.conf", text, strlen(text), 0600), 0);
	bad("matrixfs --config=matrixfs.conf /m", words);
}

static void test_defaults(void **state)
{
	(void)state;
	good("matrixfs /models");
	assert_int_equal(action, OPTIONS_RUN);
	assert_string_equal(o.mountpoint, "/models");
	assert_string_equal(o.config, "/etc/matrixfs/matrixfs.conf");
	assert_int_equal(o.hubs.count, 1);
	assert_string_equal(o.hubs.items[0], "https://huggingface.co");
	assert_string_equal(o.cache,
			    geteuid() ? "/home/me/.cache/matrixfs" : "/var/cache/matrixfs");
	assert_int_equal(o.cache_size, 0);
	assert_int_equal(o.cache_min_free, 1 << 30);
	assert_null(o.token_file);
	assert_null(o.token_env);
	assert_int_equal(o.ref_ttl, 60);
	assert_int_equal(o.timeout, 30);
	assert_false(o.offline);
	assert_false(o.strict_ro);
	assert_true(o.passthrough);
	assert_true(o.prefetch);
	assert_int_equal(o.allow_other, geteuid() == 0);
	assert_int_equal(o.scratch_size, 64 << 20);
	assert_int_equal(log_level_of(o.log_level), LOG_LEVEL_INFO);
	assert_false(o.background);
	assert_false(o.foreground_asked);
	assert_string_equal(o.fuse_options, "");
}

static void test_each_parameter(void **state)
{
	(void)state;
	good("matrixfs --hub=https://a.org --hub http://b.org:8080/hf/ --cache=/c "
	     "--cache-size=2TiB --cache-min-free=500MB --token-file=/t --ref-ttl=0 "
	     "--timeout=10min /m");
	assert_int_equal(o.hubs.count, 2);
	assert_string_equal(o.hubs.items[0], "https://a.org");
	assert_string_equal(o.hubs.items[1], "http://b.org:8080/hf");
	assert_string_equal(o.cache, "/c");
	assert_int_equal(o.cache_size, 2ULL << 40);
	assert_int_equal(o.cache_min_free, 500000000);
	assert_string_equal(o.token_file, "/t");
	assert_int_equal(o.ref_ttl, 0);
	assert_int_equal(o.timeout, 600);

	good("matrixfs --offline --strict-ro --passthrough=no --prefetch=no --allow-other=no "
	     "--scratch-size 1MiB "
	     "--log-level=debug --background /m");
	assert_true(o.offline && o.strict_ro && o.background);
	assert_false(o.passthrough || o.prefetch || o.allow_other);
	assert_int_equal(o.scratch_size, 1 << 20);
	assert_int_equal(log_level_of(o.log_level), LOG_LEVEL_DEBUG);
	good("matrixfs --allow-other --log-level error /m");
	assert_true(o.allow_other);
	assert_int_equal(log_level_of(o.log_level), LOG_LEVEL_ERR);
}

static void test_bad_values(void **state)
{
	(void)state;
	bad("matrixfs --cache-size=much /m", "\"cache-size\"");
	bad("matrixfs --cache-size=-1 /m", "\"cache-size\"");
	bad("matrixfs --cache-min-free=1XB /m", "\"cache-min-free\"");
	bad("matrixfs --ref-ttl=86401 /m", "\"ref-ttl\" is out of range");
	bad("matrixfs --ref-ttl=-1 /m", "\"ref-ttl\"");
	bad("matrixfs --timeout=0 /m", "from 1s to 10min");
	bad("matrixfs --timeout=601 /m", "\"timeout\" is out of range");
	bad("matrixfs --timeout= /m", "\"timeout\"");
	bad("matrixfs --offline=maybe /m", "yes or no");
	bad("matrixfs --strict-ro=2 /m", "\"strict-ro\"");
	bad("matrixfs --passthrough= /m", "\"passthrough\"");
	bad("matrixfs --allow-other=y /m", "\"allow-other\"");
	bad("matrixfs --background=si /m", "\"background\"");
	bad("matrixfs --scratch-size=4KiB /m", "from 1MiB");
	bad("matrixfs --log-level=loud /m", "error, warn, info, debug");
	bad("matrixfs --hub= /m", "no hub");
	bad("matrixfs --cache= /m", "--cache=DIR");
	bad("matrixfs --config=missing.conf /m", "missing.conf cannot be read");
	bad("matrixfs --config=. /m", "cannot be read");
}

static void test_bad_names(void **state)
{
	(void)state;
	bad("matrixfs --ofline /m", "did you mean \"offline\"");
	bad("matrixfs --cache_size=1 /m", "did you mean \"cache-size\"");
	bad("matrixfs --frobnicate=1 /m", "\"frobnicate\"");
	bad("matrixfs -x /m", "\"-x\"");
	bad("matrixfs -fh /m", "\"-fh\"");
	bad("matrixfs --=1 /m", "parameter \"\"");
	bad("matrixfs -o ofline /m", "did you mean \"offline\"");
	bad("matrixfs -o nodef /m", "\"nodef\"");
	bad("matrixfs /m --cache", "needs a value");
	bad("matrixfs /m -o", "needs a value");
}

static void test_words(void **state)
{
	(void)state;
	bad("matrixfs", "mount point is missing");
	bad("matrixfs --offline", "mount point is missing");
	bad("matrixfs none /m more", "\"more\" is one argument too many");
	bad("matrixfs ", "empty word");
	good("matrixfs -- --cache");
	assert_string_equal(o.mountpoint, "--cache");
	good("matrixfs -");
	assert_string_equal(o.mountpoint, "-");
}

static void test_tokens_are_refused(void **state)
{
	(void)state;
	bad("matrixfs --token=hf_secret /m", "--token-file=FILE");
	assert_null(strstr(buf_str(&why), "hf_secret"));
	bad("matrixfs --token hf_secret /m", "--token-file=FILE");
	bad("matrixfs -o token=hf_secret /m", "token-file=FILE");
	assert_null(strstr(buf_str(&why), "hf_secret"));
	bad_config("token = hf_secret\n", "matrixfs.conf:1: ");
	assert_null(strstr(buf_str(&why), "hf_secret"));
}

static void test_hub_urls(void **state)
{
	(void)state;
	good("matrixfs --hub=HTTPS://Hub.Example.ORG:443/A// /m");
	assert_string_equal(o.hubs.items[0], "https://hub.example.org:443/A");
	good("matrixfs --hub=http://127.0.0.1:1 --hub=http://[::1]:8000 --hub=https://h_1/ /m");
	assert_string_equal(o.hubs.items[1], "http://[::1]:8000");
	assert_string_equal(o.hubs.items[2], "https://h_1");

	bad("matrixfs --hub=ftp://a.org /m", "--hub: The hub \"ftp://a.org\"");
	bad("matrixfs --hub=a.org /m", "must begin with http:// or https://");
	bad("matrixfs --hub=https:// /m", "host");
	bad("matrixfs --hub=https:///models /m", "host");
	bad("matrixfs --hub=https://:80 /m", "host");
	bad("matrixfs --hub=https://a.org: /m", "port");
	bad("matrixfs --hub=https://a.org:65536 /m", "port");
	bad("matrixfs --hub=https://a.org:99999999999999999999 /m", "port");
	bad("matrixfs --hub=https://a.org:8o /m", "port");
	bad("matrixfs --hub=https://[] /m", "host");
	bad("matrixfs --hub=https://[::1 /m", "host");
	bad("matrixfs --hub=https://[::1]x /m", "host");
	bad("matrixfs --hub=https://a~b /m", "host");
	bad("matrixfs --hub=https://a/b~c /m", "blank");
	bad("matrixfs --hub=https://a/b\x01 /m", "control byte");
	bad("matrixfs --hub=https://a/?q=1 /m", "without ? or #");
	bad("matrixfs --hub=https://a#x /m", "without ? or #");
	bad("matrixfs --hub=https://me:secret@a.org /m", "--token-file");
	assert_null(strstr(buf_str(&why), "secret"));
	bad("matrixfs --hub=https://a.org/?token=secret /m",
	    "--hub: The hub \"https://a.org/\" is");
	assert_null(strstr(buf_str(&why), "secret"));
	bad("matrixfs --hub=hf_secret /m", "The hub \"hf_...\" is not");
	bad("matrixfs hf_secret /m", "\"hf_...\" is no SOURCE");
	bad("matrixfs -o hf_secret /m", "\"hf_...\"");
	bad_config("hf_secret\n", "\"hf_...\"");
}

static void test_a_hub_is_named_once(void **state)
{
	(void)state;
	bad("matrixfs --hub=http://a.org --hub=http://b.org --hub=HTTP://A.org/ /m",
	    "--hub: The hub http://a.org is named twice");
	bad("matrixfs http://a.org /m -o hub=http://a.org", "SOURCE or -o: The hub http://a.org");
	bad_config("hub = http://a.org\nhub = http://a.org\n", "is named twice");
	/* Each source begins anew. */
	good_config("hub = http://a.org\n",
		    "matrixfs --config=matrixfs.conf --hub=http://a.org /m");
	good("matrixfs --hub=http://a.org --hub=https://a.org --hub=http://a.org/x /m");
	assert_int_equal(o.hubs.count, 3);
}

static void test_control_listen(void **state)
{
	(void)state;
	good("matrixfs --control-listen=127.0.0.1:9400 /m");
	good("matrixfs --control-listen=:0 /m");
	good("matrixfs --control-listen= /m");
	bad("matrixfs --control-listen=nonsense /m", "\"nonsense\" of \"control-listen\"");
	bad("matrixfs --control-listen=::1:9400 /m", "ADDRESS:PORT");
}

#define PEERS "matrixfs --peers=dns:gpu:9980 --cluster-key-file=/k "

static void test_peers_are_named_with_all_they_need(void **state)
{
	const struct peer_settings *s = &o.peer;

	(void)state;
	good("matrixfs /m");
	assert_false(peer_settings_given(s));
	good(PEERS "--peer-listen=192.0.2.1:9980 /m");
	assert_true(peer_settings_given(s));
	assert_string_equal(s->listen, "192.0.2.1:9980");
	assert_string_equal(s->members, "dns:gpu:9980");
	assert_string_equal(s->key_file, "/k");
	assert_null(s->address);
	assert_null(s->zone);
	assert_int_equal(s->weight, 1);
	assert_int_equal(s->rate, 0);
	assert_int_equal(s->rate_waiting, 0);
	assert_null(s->tls_cert);
	assert_int_equal(s->connections, 256);
	good(PEERS "--peer-listen=:9980 --peer-address=node-1.example:9980 --zone=rack-7_b.x "
		   "--peer-weight=100 --peer-rate=1GB --peer-connections=8 /m");
	assert_string_equal(s->address, "node-1.example:9980");
	assert_string_equal(s->zone, "rack-7_b.x");
	assert_int_equal(s->weight, 100);
	assert_int_equal(s->rate, 1000000000);
	assert_int_equal(s->connections, 8);
	good(PEERS "--peer-listen=192.0.2.1:9980 --peer-rate-waiting=1MB --peer-tls-cert=/c "
		   "--peer-tls-key=/k --peer-tls-ca=/a /m");
	assert_int_equal(s->rate_waiting, 1000000);
	assert_string_equal(s->tls_cert, "/c");
	assert_string_equal(s->tls_key, "/k");
	assert_string_equal(s->tls_ca, "/a");
	good_config("peer-listen = 192.0.2.1:9980\npeers = hub\ncluster-key-file = /k\n",
		    "matrixfs --config=matrixfs.conf /m");
	good("matrixfs --config=matrixfs.conf --peer-listen= --peers= --cluster-key-file= /m");
}

static void test_half_a_peer_is_refused(void **state)
{
	(void)state;
	bad(PEERS "/m", "\"peer-listen\" is missing");
	bad("matrixfs --peer-listen=192.0.2.1:1 --peers=hub /m", "\"cluster-key-file\" is missing");
	bad("matrixfs --peer-listen=192.0.2.1:1 --cluster-key-file=/k /m", "\"peers\" is missing");
	bad(PEERS "--peer-listen=nonsense /m", "\"nonsense\" of \"peer-listen\"");
	bad(PEERS "--peer-listen=*:9980 /m", "all addresses of this host are \":9980\"");
	bad(PEERS "--peer-listen=:9980 --peer-address=*:9980 /m", "\"*:9980\" of \"peer-address\"");
	bad(PEERS "--peer-listen=a*b:9980 /m", "say with \"peer-address\"");
	bad(PEERS "--peer-listen=:9980 /m", "say with \"peer-address\"");
	bad(PEERS "--peer-listen=0.0.0.0:9980 /m", "say with \"peer-address\"");
	bad(PEERS "--peer-listen=[::]:9980 /m", "say with \"peer-address\"");
	bad(PEERS "--peer-listen=192.0.2.1:0 /m", "say with \"peer-address\"");
	bad(PEERS "--peer-listen=:9980 --peer-address=::1:9980 /m", "of \"peer-address\"");
	bad(PEERS "--peer-listen=:9980 --peer-address=:9980 /m", "cannot call this node");
	bad("matrixfs --peer-listen=192.0.2.1:1 --peers=dns:gpu --cluster-key-file=/k /m", "dns:");
	bad(PEERS "--peer-listen=192.0.2.1:1 --zone=a/b /m", "\"a/b\" of \"zone\"");
	bad(PEERS "--peer-listen=192.0.2.1:1 --zone=0123456789abcdef0123456789abcdef /m",
	    "at most 31");
	bad(PEERS "--peer-listen=192.0.2.1:1 --peer-weight=0 /m", "from 1 to 100");
	bad(PEERS "--peer-listen=192.0.2.1:1 --peer-weight=101 /m", "out of range");
	bad(PEERS "--peer-listen=192.0.2.1:1 --peer-connections=0 /m", "out of range");
	bad(PEERS "--peer-listen=192.0.2.1:1 --peer-tls-cert=/c --peer-tls-key=/k /m",
	    "\"peer-tls-ca\" is missing");
	bad(PEERS "--peer-listen=192.0.2.1:1 --peer-tls-ca=/a /m", "\"peer-tls-cert\" is missing");
}

static void test_what_says_how_one_is_a_peer_wants_peers(void **state)
{
	static const char *const idle[][2] = {
		{ "--zone=rack-7", "\"zone\" means nothing" },
		{ "--peer-weight=2", "\"peer-weight\" means nothing" },
		{ "--peer-rate=1MB", "\"peer-rate\" means nothing" },
		{ "--peer-rate-waiting=1MB", "\"peer-rate-waiting\" means nothing" },
		{ "--peer-address=192.0.2.1:1", "\"peer-address\" means nothing" },
		{ "--peer-tls-ca=/a", "\"peer-tls-ca\" means nothing" },
	};
	char line[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
		snprintf(line, sizeof(line), "matrixfs %s /m", idle[i][0]);
		bad(line, idle[i][1]);
	}
	good(PEERS "--peer-listen=192.0.2.1:1 --zone=rack-7 --peer-weight=2 --peer-rate=1MB /m");
	good("matrixfs --zone= --peer-weight=1 --peer-rate=0 /m"); /* as if they were not there */
}

static void test_config_file(void **state)
{
	(void)state;
	good_config("# comment\n\nhub = https://a.org/\nhub = https://b.org # second\n"
		    "timeout = 5\nbackground = yes\noffline = no\n",
		    "matrixfs --config=matrixfs.conf /m");
	assert_int_equal(o.hubs.count, 2);
	assert_string_equal(o.hubs.items[0], "https://a.org");
	assert_string_equal(o.hubs.items[1], "https://b.org");
	assert_int_equal(o.timeout, 5);
	assert_true(o.background);
	assert_string_equal(o.config, "matrixfs.conf");
	good("matrixfs -o config=matrixfs.conf /m");
	assert_int_equal(o.timeout, 5);
	good("matrixfs -f --config=matrixfs.conf /m");
	assert_false(o.background);
	assert_true(o.foreground_asked);

	bad_config("timeout = 5\ntimeout = 0\n", "matrixfs.conf:2: The value \"0\" of \"timeout\"");
	bad_config("\ntimeuot = 5\n",
		   "matrixfs.conf:2: There is no parameter \"timeuot\"; did you");
	bad_config("offline\n", "matrixfs.conf:1: ");
	bad_config("# hub\nhub = https://a.org\nhub = b.org\n",
		   "matrixfs.conf:3: The hub \"b.org\" is not a valid URL");
	bad_config("hub =\n", "no hub");
	bad_config("config = other.conf\n", "remove its \"config\" line");
	bad_config("config =\n", "remove its \"config\" line");
}

static void test_precedence(void **state)
{
	(void)state;
	env[2] = "HF_ENDPOINT";
	env[3] = "https://env.org/";
	good("matrixfs /m");
	assert_int_equal(o.hubs.count, 1);
	assert_string_equal(o.hubs.items[0], "https://env.org");

	good_config("hub = https://file.org\ntimeout = 5\nref-ttl = 5\n",
		    "matrixfs --config=matrixfs.conf /m");
	assert_int_equal(o.hubs.count, 1);
	assert_string_equal(o.hubs.items[0], "https://file.org");
	good("matrixfs --timeout=7 -o timeout=6,ref-ttl=6,hub=https://o.org "
	     "-o config=matrixfs.conf /m");
	assert_int_equal(o.timeout, 7);
	assert_int_equal(o.ref_ttl, 6);
	assert_int_equal(o.hubs.count, 1);
	assert_string_equal(o.hubs.items[0], "https://o.org");
	good("matrixfs --hub=https://1.org -o hub=https://o.org --hub=https://2.org /m");
	assert_int_equal(o.hubs.count, 2);
	assert_string_equal(o.hubs.items[0], "https://1.org");
	assert_string_equal(o.hubs.items[1], "https://2.org");

	env[3] = "huggingface.co";
	bad("matrixfs /m", "HF_ENDPOINT: The hub \"huggingface.co\"");
}

static void test_environment(void **state)
{
	(void)state;
	env[2] = "HF_TOKEN";
	env[3] = "hf_x";
	env[4] = "HF_HUB_OFFLINE";
	env[5] = "1";
	env[6] = "XDG_CACHE_HOME";
	env[7] = "/xdg";
	good("matrixfs /m");
	assert_string_equal(o.token_env, "hf_x");
	assert_false(o.offline);
	if (geteuid())
		assert_string_equal(o.cache, "/xdg/matrixfs");
	env[3] = "";
	good("matrixfs /m");
	assert_null(o.token_env);
	memset(env, 0, sizeof(env));
	if (geteuid())
		bad("matrixfs /m", "--cache=DIR");
	good("matrixfs --cache=c /m");
}

static void test_mount_options(void **state)
{
	(void)state;
	good("matrixfs -o rw,nosuid,nodev -onoexec,dev,suid,exec,noatime,default_permissions /m");
	assert_string_equal(o.fuse_options, "rw,nosuid,nodev,noexec,dev,suid,exec,noatime,"
					    "default_permissions");
	good("matrixfs -o defaults,auto,noauto,user,nouser,users,_netdev,nofail,atime,,"
	     "x-systemd.automount,X-a,comment=b=c /m");
	assert_string_equal(o.fuse_options, "");
	good("matrixfs -o offline,timeout=9,ro,allow_other,cache_size=1GiB,x-a=b,strict-ro=yes /m");
	assert_string_equal(o.fuse_options, "ro");
	assert_true(o.offline && o.allow_other && o.strict_ro);
	assert_int_equal(o.timeout, 9);
	assert_int_equal(o.cache_size, 1 << 30);
	bad("matrixfs -o timeout=0 /m", "\"timeout\"");
	bad("matrixfs -o timeout /m", "\"timeout\"");
	bad("matrixfs -o rox /m", "\"rox\"");
	bad("matrixfs -o hub=x /m", "-o: The hub \"x\"");
}

static void test_mount_helper(void **state)
{
	(void)state;
	good("matrixfs none /m -o rw");
	assert_true(o.background);
	assert_string_equal(o.mountpoint, "/m");
	assert_string_equal(o.hubs.items[0], "https://huggingface.co");
	good("matrixfs https://a.org/ /m");
	assert_int_equal(o.hubs.count, 1);
	assert_string_equal(o.hubs.items[0], "https://a.org");
	good("matrixfs none /m -f");
	assert_false(o.background);
	assert_true(o.foreground_asked);

	good("/sbin/mount.fuse.matrixfs none /m -n -s -f -v -w -t fuse.matrixfs -N ns "
	     "-o ro,_netdev");
	assert_true(o.background);
	assert_false(o.foreground_asked);
	assert_string_equal(o.fuse_options, "rw,ro");
	good("mount.fuse.matrixfs -r none /m");
	assert_string_equal(o.fuse_options, "ro");
	good("mount.fuse.matrixfs http://a.org /m -o hub=http://b.org");
	assert_int_equal(o.hubs.count, 2);
	assert_string_equal(o.hubs.items[0], "http://a.org");

	bad("mount.fuse.matrixfs /m", "SOURCE MOUNTPOINT");
	bad("matrixfs https://me:pw@a.org /m", "SOURCE or -o: ");
	bad("matrixfs /mnt /tmp", "is no SOURCE");
	bad("mount.fuse.matrixfs word /m", "is no SOURCE");
	bad("matrixfs -n /m", "\"-n\" is for mount(8)");
	bad("matrixfs -t fuse.matrixfs /m", "\"-t\" is for mount(8)");
}

static void test_actions(void **state)
{
	(void)state;
	good("matrixfs -h");
	assert_int_equal(action, OPTIONS_HELP);
	good("matrixfs --offline --help --bogus");
	assert_int_equal(action, OPTIONS_HELP);
	good("matrixfs -V");
	assert_int_equal(action, OPTIONS_VERSION);
	good("matrixfs --version");
	assert_int_equal(action, OPTIONS_VERSION);
	good("matrixfs --config-markdown");
	assert_int_equal(action, OPTIONS_CONFIG_MD);
	good("matrixfs --config-man");
	assert_int_equal(action, OPTIONS_CONFIG_MAN);
}

/* The manual page writes "-" as "\-", so that it is not taken for a hyphen. */
static void strip_backslashes(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (*text != '\\')
			*to++ = *text;
	*to = '\0';
}

static void test_help_and_docs(void **state)
{
	CLEANUP(buf_free) struct buf help = { 0 }, page = { 0 };
	char name[64];

	(void)state;
	options_text(OPTIONS_HELP, &help);
	assert_int_equal(file_read_all(AT_FDCWD, "docs/matrixfs.1", 1 << 20, &page), 0);
	strip_backslashes(page.data);
	for (size_t i = 0; i < options_table.count; i++) {
		snprintf(name, sizeof(name), "--%s", options_table.params[i].name);
		assert_non_null(strstr(buf_str(&help), name));
		snprintf(name, sizeof(name), ".It Fl -%s", options_table.params[i].name);
		if (!strstr(buf_str(&page), name))
			fail_msg("docs/matrixfs.1 has no \"%s\"", name);
	}
}

static void test_config_md(void **state)
{
	CLEANUP(buf_free) struct buf made = { 0 }, kept = { 0 };

	(void)state;
	options_text(OPTIONS_CONFIG_MD, &made);
	assert_int_equal(file_read_all(AT_FDCWD, "docs/config.md", 1 << 20, &kept), 0);
	if (strcmp(buf_str(&made), buf_str(&kept)) != 0)
		fail_msg("run: build/matrixfs --config-markdown > docs/config.md");
}

/* Files are made in a directory of the test's own; what is read of the repository comes first. */
static int enter(void **state)
{
	static char dir[] = "/tmp/test_options.XXXXXX";

	*state = dir;
	return mkdtemp(dir) && !chdir(dir) ? 0 : -1;
}

static int leave(void **state)
{
	unlink("matrixfs.conf");
	return rmdir(*state);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void test_export_by_nfs(void **state)
{
	(void)state;
	good("matrixfs --nfs=127.0.0.1:2049 --nfs-export=10.0.0.0/8,::1=org/*,datasets/a/b "
	     "--nfs-export=10.1.2.3=* --nfs-key-file=/k");
	assert_int_equal(o.nfs_export.count, 2);
	assert_string_equal(o.nfs_export.items[0], "10.0.0.0/8,::1=org/*,datasets/a/b");
	assert_string_equal(o.nfs_key_file, "/k");
	good("matrixfs -o nfs=:2049,nfs-export=10.0.0.0/8=org/*,nfs-export=::1=a/b none /m");
	assert_int_equal(o.nfs_export.count, 2);
	assert_string_equal(o.nfs_export.items[1], "::1=a/b");
	assert_null(o.nfs_key_file);
	assert_false(o.nfs_beside_hub);
	good("matrixfs --nfs=:2049 --nfs-beside-hub /m");
	assert_true(o.nfs_beside_hub);
	bad("matrixfs --nfs=:2049 --nfs-export=org/*", "of \"nfs-export\" is not valid");
	bad("matrixfs --nfs=:2049 --nfs-export=10.0.0.0/40=org/*", "NETWORK[,NETWORK]=");
	bad("matrixfs --nfs=:2049 --nfs-allow=x", "of \"nfs-allow\" is not valid");
	bad("matrixfs --nfs=:2049 --nfs-allow=10.0.0.1/8", "are zeros");
	bad("matrixfs --nfs=:2049 --nfs-export=10.0.0.0/8=a/*,10.1.2.3=b/*",
	    "no repository can be called \"10.1.2.3=b/*\"; each rule is an option of its own");
}

/* Or a wider one of the file would count beside a narrow one of the command line. */
static void test_a_list_takes_the_place_of_that_of_the_file(void **state)
{
	(void)state;
	good_config("nfs = :2049\nnfs-allow = 10.0.0.0/8\nnfs-allow = ::1\n"
		    "nfs-export = 10.0.0.0/8=*\n",
		    "matrixfs --config=matrixfs.conf /m");
	assert_int_equal(o.nfs_allow.count, 2);
	assert_int_equal(o.nfs_export.count, 1);
	good("matrixfs --config=matrixfs.conf --nfs-allow=10.1.0.0/16 "
	     "--nfs-export=10.1.0.0/16=a/* --nfs-export=10.1.2.0/24=b/* /m");
	assert_int_equal(o.nfs_allow.count, 1);
	assert_string_equal(o.nfs_allow.items[0], "10.1.0.0/16");
	assert_int_equal(o.nfs_export.count, 2);
	assert_string_equal(o.nfs_export.items[0], "10.1.0.0/16=a/*");
	good("matrixfs --config=matrixfs.conf -o nfs-export=10.2.0.0/16=c/* none /m");
	assert_int_equal(o.nfs_allow.count, 2);
	assert_int_equal(o.nfs_export.count, 1);
	assert_string_equal(o.nfs_export.items[0], "10.2.0.0/16=c/*");
}

/* As an unset variable of a script makes them: everybody would see all, in the clear. */
static void test_what_restricts_is_not_empty(void **state)
{
	static const char *const names[] = { "nfs-export",    "nfs-allow",    "nfs-key-file",
					     "peer-tls-cert", "peer-tls-key", "peer-tls-ca" };
	char line[200];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		snprintf(line, sizeof(line), "matrixfs --nfs=:2049 --%s= /m", names[i]);
		bad(line, names[i]);
		snprintf(line, sizeof(line), "matrixfs -o nfs=:2049,%s= none /m", names[i]);
		bad(line, "not empty");
		snprintf(line, sizeof(line), "nfs = :2049\n%s =\n", names[i]);
		bad_config(line, "matrixfs.conf:2: ");
	}
	good("matrixfs --nfs=:2049 --token-file= --control-listen= /m");
	bad(PEERS "--peer-listen=192.0.2.1:1 --cluster-key-file= /m", "\"cluster-key-file\" is");
}

int main(void)
{
	const struct CMUnitTest docs[] = {
		TEST(test_help_and_docs),
		TEST(test_config_md),
	};
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_export_by_nfs),
		TEST(test_what_restricts_is_not_empty),
		TEST(test_a_list_takes_the_place_of_that_of_the_file),
		TEST(test_each_parameter),
		TEST(test_bad_values),
		TEST(test_bad_names),
		TEST(test_words),
		TEST(test_tokens_are_refused),
		TEST(test_hub_urls),
		TEST(test_a_hub_is_named_once),
		TEST(test_control_listen),
		TEST(test_config_file),
		TEST(test_precedence),
		TEST(test_environment),
		TEST(test_mount_options),
		TEST(test_mount_helper),
		TEST(test_actions),
		TEST(test_peers_are_named_with_all_they_need),
		TEST(test_half_a_peer_is_refused),
		TEST(test_what_says_how_one_is_a_peer_wants_peers),
	};
	int failed = cmocka_run_group_tests(docs, NULL, NULL);

	return failed + cmocka_run_group_tests(tests, enter, leave);
}
