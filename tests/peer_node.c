/* SPDX-License-Identifier: Apache-2.0 */
/* peer_node: a node without a mount, and somebody who loads models from it as loaders do. Its
 * options are those of matrixfs of the same names. Lines of its input are commands; it serves its
 * peers until its input ends.
 *
 *   load REPO REV READERS STEP DIRECTORY    reads all files in order, so many at once, STEP bytes a
 *                                           read; compared with DIRECTORY's files, "-":
 *                                           nobody looks. One line of JSON: seconds, bytes, files,
 *                                           wrong (files), errors, the seconds of the slowest read,
 *                                           and kilobytes of memory
 *   metrics                                 what GET /metrics would say, then a line "."
 *   peers                                   one line of JSON: who they are, and what each has given
 *   forgive                                 takes back all bans: "forgiven", or "nobody" had one
 */
#include <assert.h>
#include <err.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/conf.h"
#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/heap.h"
#include "daemon/base/jwrite.h"
#include "daemon/base/lock.h"
#include "daemon/base/log.h"
#include "daemon/base/num.h"
#include "daemon/base/why.h"
#include "daemon/exposition.h"
#include "daemon/node.h"
#include "daemon/peer/members.h"
#include "daemon/peer/peer_settings.h"
#include "daemon/peer_json.h"

#define READERS_MAX 64
#define STEP_MAX (16 << 20)
#define PIECE 65536     /* that is compared at a time */
#define WEDGED_MS 60000 /* after the deadline of a wait */
#define WORDS 6

struct settings {
	char *cache, *hub, *token;
	int64_t timeout; /* seconds */
	uint64_t memory;
	int prefetch, verify, log_level;
	struct peer_settings peers;
};

static struct settings settings;
static struct node *node;

/* --- waiting */

struct wait {
	struct waiter waiter;
	struct lock lock;
	struct cond cond;
	bool woken;
	int result;
};

static void wake(struct waiter *w, int r)
{
	struct wait *p = container_of(w, struct wait, waiter);

	lock_take(&p->lock);
	p->woken = true;
	p->result = r;
	cond_wake_all(&p->cond);
	lock_drop(&p->lock);
}

static void wait_init(struct wait *p)
{
	*p = (struct wait){ .woken = false };
	lock_init(&p->lock, LOCK_TEST);
	cond_init(&p->cond);
	waiter_init(&p->waiter, settings.timeout * 1000, wake);
}

/* After PARKED. Whoever is not woken long after his deadline has found a bug. */
static int wait_end(struct wait *p)
{
	int64_t until = clock_ms() + settings.timeout * 1000 + WEDGED_MS;
	int r;

	lock_take(&p->lock);
	while (!p->woken) {
		if (cond_wait(&p->cond, &p->lock, until) < 0)
			errx(3, "wedged: nobody ended a wait");
	}
	r = p->result;
	p->woken = false;
	lock_drop(&p->lock);
	return r;
}

static void wait_fini(struct wait *p)
{
	free(p->waiter.held);
	cond_fini(&p->cond);
	lock_fini(&p->lock);
}

/* Asks again until there is an answer. `call` sees a waiter as `w`, the same each time: it may hold
 * bytes that were brought for it alone. */
#define WAIT_FOR(call) \
	({ \
		struct wait p_; \
		struct waiter *w = &p_.waiter; \
		bool again_ = true; \
		int r_ = 0; \
\
		wait_init(&p_); \
		while (again_) { \
			r_ = (call); \
			again_ = r_ == PARKED; \
			if (again_) { \
				r_ = wait_end(&p_); \
				again_ = r_ == 0; \
			} \
		} \
		wait_fini(&p_); \
		r_; \
	})

/* --- a load */

struct load {
	struct snapshot *snapshot;
	const char *directory; /* or NULL */
	uint64_t step;
	struct lock lock;
	/* Guarded by lock. */
	uint32_t next; /* node of the manifest */
	uint64_t bytes, files, wrong;
	int64_t slowest_ms; /* read */
	struct buf errors_text;
	struct jwrite errors;
};

struct reading {
	struct load *load;
	struct handle *handle;
	int plain;         /* -1: not compared */
	char *got, *right; /* PIECE bytes each: what counts is the node's memory, not ours */
	bool wrong;
	int64_t slowest_ms;
};

/* Compares what a read has given. */
static int compare(struct reading *r, const char *data, uint64_t off, uint64_t len)
{
	int n = 0;

	for (uint64_t at = 0; n == 0 && r->plain >= 0 && at < len; at += PIECE) {
		uint64_t size = len - at < PIECE ? len - at : PIECE;

		n = node_copy(r->handle, data + at, size, r->got);
		if (n == 0)
			n = file_pread(r->plain, r->right, size, off + at);
		if (n == 0 && memcmp(r->got, r->right, size) != 0)
			r->wrong = true;
	}
	return n;
}

/* One read; how much it gave. */
static int64_t read_step(struct reading *r, uint64_t off, uint64_t len)
{
	const void *data = NULL;
	uint64_t given = 0;
	int64_t begun_ms = clock_ms();
	int n = WAIT_FOR(node_read(node, r->handle, off, len, w, &data, &given));

	r->slowest_ms = max_i64(r->slowest_ms, clock_ms() - begun_ms);
	if (n < 0)
		return n;
	n = compare(r, data, off, given);
	node_done(r->handle, data, given);
	return n < 0 ? n : (int64_t)given;
}

static int read_all(struct reading *r, uint64_t *ret_bytes)
{
	uint64_t size = node_file_size(r->handle);

	while (*ret_bytes < size) {
		uint64_t left = size - *ret_bytes;
		int64_t n = read_step(r, *ret_bytes, left < r->load->step ? left : r->load->step);

		if (n <= 0)
			return n < 0 ? (int)n : -EIO;
		*ret_bytes += (uint64_t)n;
	}
	return 0;
}

static int open_plain(const struct load *l, const char *path)
{
	CLEANUP(buf_free) struct buf whole = { 0 };
	int fd;

	if (!l->directory || buf_printf(&whole, "%s/%s", l->directory, path) < 0)
		return -1;
	fd = open(buf_str(&whole), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		err(1, "%s", buf_str(&whole));
	return fd;
}

static void load_tell(const struct reading *by, const char *path, uint64_t bytes, int r)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct load *l = by->load;

	lock_take(&l->lock);
	l->files++;
	l->bytes += bytes;
	l->wrong += by->wrong;
	l->slowest_ms = max_i64(l->slowest_ms, by->slowest_ms);
	if (r < 0 && buf_printf(&text, "%s: %s", path, err_text(r)) == 0)
		jwrite_text(&l->errors, NULL, buf_str(&text));
	lock_drop(&l->lock);
}

static void load_file(struct load *l, uint32_t file)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	CLEANUP(freep) char *got = aligned_alloc(4096, PIECE);
	CLEANUP(freep) char *right = aligned_alloc(4096, PIECE);
	struct reading r = { .load = l, .plain = -1, .got = got, .right = right };
	uint64_t bytes = 0;
	int n = manifest_path(l->snapshot->files, file, &path);

	if (!got || !right || n < 0)
		errx(1, "no memory");
	r.plain = open_plain(l, buf_str(&path));
	n = node_open_file(node, l->snapshot, file, &r.handle);
	if (n == 0) {
		n = read_all(&r, &bytes);
		node_close_file(node, r.handle);
	}
	load_tell(&r, buf_str(&path), bytes, n);
	closep(&r.plain);
}

/* The next file that nobody reads yet, or MANIFEST_NONE. */
static uint32_t load_next(struct load *l)
{
	const struct manifest *m = l->snapshot->files;
	uint32_t found = MANIFEST_NONE;

	lock_take(&l->lock);
	while (found == MANIFEST_NONE && l->next < manifest_count(m)) {
		if (manifest_file(m, l->next))
			found = l->next;
		l->next++;
	}
	lock_drop(&l->lock);
	return found;
}

static void *reader(void *arg)
{
	struct load *l = arg;
	uint32_t file;

	while ((file = load_next(l)) != MANIFEST_NONE)
		load_file(l, file);
	return NULL;
}

static void read_files(struct load *l, unsigned readers)
{
	pthread_t threads[READERS_MAX];

	for (unsigned i = 0; i < readers; i++) {
		if (thread_start(&threads[i], "reader", reader, l) < 0)
			errx(1, "no thread");
	}
	for (unsigned i = 0; i < readers; i++)
		pthread_join(threads[i], NULL);
}

/* --- what is told */

/* A line of /proc/self/status, in kilobytes. */
static uint64_t memory(const char *key)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	uint64_t kilobytes = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, key, strlen(key)) == 0)
			kilobytes = strtoull(line + strlen(key) + 1, NULL, 10);
	}
	fclose(f);
	return kilobytes;
}

static void print_load(struct load *l, int64_t us, int r)
{
	static const char *const keys[] = { "VmHWM", "VmRSS", "RssAnon", "Threads" };
	CLEANUP(buf_free) struct buf text = { 0 };
	struct jwrite w = { .to = &text };

	if (r < 0)
		jwrite_text(&l->errors, NULL, err_text(r));
	jwrite_array_end(&l->errors);
	jwrite_object(&w, NULL);
	jwrite_number(&w, "seconds", (double)us / 1e6);
	jwrite_uint(&w, "bytes", l->bytes);
	jwrite_uint(&w, "files", l->files);
	jwrite_uint(&w, "wrong", l->wrong);
	jwrite_json(&w, "errors", buf_str(&l->errors_text));
	jwrite_number(&w, "slowest", (double)l->slowest_ms / 1e3);
	for (unsigned i = 0; i < ARRAY_LEN(keys); i++)
		jwrite_uint(&w, keys[i], memory(keys[i]));
	jwrite_object_end(&w);
	puts(buf_str(&text));
}

static int find_snapshot(const char *name, const char *rev, struct snapshot **ret)
{
	char commit[COMMIT_HEX + 1];
	struct repo_id id;
	struct repo *repo;
	int r = repo_id_parse(REPO_MODEL, name, &id);

	if (r == 0)
		r = WAIT_FOR(node_repo(node, &id, w, &repo));
	if (r == 0)
		r = WAIT_FOR(node_ref(node, repo, rev, w, commit));
	if (r == 0)
		r = WAIT_FOR(node_snapshot(node, repo, commit, w, ret));
	return r;
}

static void load(char **word)
{
	int64_t begun = clock_us();
	unsigned readers = (unsigned)atoi(word[3]);
	struct load l = { .step = strtoull(word[4], NULL, 10),
			  .directory = strcmp(word[5], "-") == 0 ? NULL : word[5] };
	int r;

	if (readers < 1 || readers > READERS_MAX || l.step < 1 || l.step > STEP_MAX)
		errx(2, "no such readers");
	l.errors.to = &l.errors_text;
	jwrite_array(&l.errors, NULL);
	lock_init(&l.lock, LOCK_TEST);
	r = find_snapshot(word[1], word[2], &l.snapshot);
	if (r == 0)
		read_files(&l, readers);
	print_load(&l, clock_us() - begun, r);
	snapshot_unref(l.snapshot);
	lock_fini(&l.lock);
	buf_free(&l.errors_text);
}

static void tell_metrics(char **word UNUSED)
{
	CLEANUP(buf_free) struct buf text = { 0 };

	exposition_node(&text, node);
	printf("%s.\n", buf_str(&text));
}

static struct peers *own_peers(void)
{
	struct peers *p = node_peers(node);

	if (!p)
		errx(2, "there are no peers");
	return p;
}

static void tell_peers(char **word UNUSED)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct jwrite w = { .to = &text };

	peer_json_members(own_peers(), &w);
	puts(buf_str(&text));
}

static void forgive(char **word UNUSED)
{
	puts(members_forgive(peers_members(own_peers()), NULL) ? "forgiven" : "nobody");
}

static const struct {
	const char *name;
	int words; /* this one, too */
	void (*call)(char **word);
} commands[] = {
	{ "load", WORDS, load },
	{ "metrics", 1, tell_metrics },
	{ "peers", 1, tell_peers },
	{ "forgive", 1, forgive },
};

static void obey(char *line)
{
	char *word[WORDS] = { NULL }, *rest = NULL;
	size_t i = 0;
	int count = 0;

	for (char *w = strtok_r(line, " \n", &rest); w && count < WORDS;
	     w = strtok_r(NULL, " \n", &rest))
		word[count++] = w;
	if (!word[0])
		return;
	while (i < ARRAY_LEN(commands) &&
	       (count != commands[i].words || strcmp(word[0], commands[i].name) != 0))
		i++;
	if (i == ARRAY_LEN(commands))
		errx(2, "no such command");
	commands[i].call(word);
	fflush(stdout);
}

/* --- the command line */

#define FIELD(name) offsetof(struct settings, name)
#define STRICT 1 /* of the choices of --verify */

static const struct conf_param params[] = {
	{ "cache", CONF_TEXT, FIELD(cache), NULL, 0, 0, "DIR", "Where bytes stay." },
	{ "hub", CONF_TEXT, FIELD(hub), NULL, 0, 0, "URL", "Where they come from." },
	{ "token", CONF_TEXT, FIELD(token), NULL, 0, 0, "TOKEN", "What the hub is shown." },
	{ "timeout", CONF_SECONDS, FIELD(timeout), "30", 1, 600, "SECONDS", "Longest wait." },
	{ "memory", CONF_BYTES, FIELD(memory), "64MiB", 0, 0, "BYTES", "For transfers." },
	{ "prefetch", CONF_CHOICE, FIELD(prefetch), "yes", 0, 0, "no|yes|always",
	  "Of what is read next." },
	{ "verify", CONF_CHOICE, FIELD(verify), "stream", 0, 0, "stream|strict",
	  "When bytes are given." },
	{ "log-level", CONF_CHOICE, FIELD(log_level), "info", 0, 0, LOG_LEVEL_CHOICES,
	  "What is logged." },
	PEER_PARAMS(FIELD(peers)),
};
static const struct conf_table table = { params, ARRAY_LEN(params) };

/* "--NAME=VALUE"; what it says is not looked at here. */
static int take_word(char *word, struct buf *why)
{
	char *value = strchr(word, '=');

	if (strncmp(word, "--", 2) != 0)
		return complain(why, "\"%s\" is no option.", word);
	if (value)
		*value++ = '\0';
	return conf_set(&table, &settings, word + 2, value, why);
}

static void read_command_line(int argc, char *argv[])
{
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = conf_defaults(&table, &settings);

	for (int i = 1; r == 0 && i < argc; i++)
		r = take_word(argv[i], &why);
	if (r == 0)
		r = peer_settings_check(&settings.peers, false, &why);
	if (r == 0 && (!settings.cache || !settings.hub))
		r = complain(&why, "--cache and --hub are wanted.");
	if (r < 0)
		errx(2, "%s", buf_str(&why));
	log_set_level(log_level_of(settings.log_level));
}

static void on_forget(void *arg UNUSED, const char *etag UNUSED)
{
}

static void open_node(void)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct node_hub hub = { settings.hub, settings.token };
	const struct node_conf c = {
		.cache_dir = settings.cache,
		.owner = "a test's node",
		.hubs = &hub,
		.hub_count = 1,
		.peers = &settings.peers,
		.prefetch = (enum node_prefetch)settings.prefetch,
		.memory_bytes = settings.memory,
		.ref_ttl_ms = 60000,
		.timeout_ms = settings.timeout * 1000,
		.strict = settings.verify == STRICT,
		.on_forget = on_forget,
	};

	if (node_open(&c, &node, &why) < 0)
		errx(1, "%s", buf_str(&why));
}

int main(int argc, char *argv[])
{
	CLEANUP(freep) char *line = NULL;
	size_t size = 0;

	heap_keep_little(); /* as both programs do */
	read_command_line(argc, argv);
	open_node();
	puts("ready");
	fflush(stdout);
	while (getline(&line, &size, stdin) > 0)
		obey(line);
	if (node_stop(node))
		node_close(node);
	conf_fini(&table, &settings);
	return 0;
}
