/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/pair.h"

#include <arpa/inet.h>
#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/cache/catalog.h"
#include "daemon/cache/store.h"
#include "daemon/node_parts.h"

#define REPO_KEY "models/org/model"
#define KEY "0123456789abcdef0123456789abcdef\n"
#define WAIT_MS 30000

/* ---- the hub, and what nodes know of it ---- */

static char *serve(struct pair *p, const char *path, uint64_t seed, size_t size)
{
	char url[128], *bytes = malloc(size);

	assert(bytes);
	fake_bytes(seed, 0, bytes, size);
	snprintf(url, sizeof(url), "/org/model/resolve/" PAIR_COMMIT "/%s", path);
	fake_origin_add(
		p->origin, url,
		(struct fake_answer){ .status = 200, .body = bytes, .len = size, .ranges = true });
	return bytes;
}

static void start_hub(struct pair *p)
{
	p->origin = fake_origin_start();
	p->hub.url = fake_origin_url(p->origin);
	fake_blob(1, PAIR_BIG_SIZE, DIGEST_SHA256, &p->big);
	fake_blob(2, PAIR_SMALL_SIZE, DIGEST_GIT_SHA1, &p->small);
	p->big_bytes = serve(p, "big.bin", 1, PAIR_BIG_SIZE);
	p->small_bytes = serve(p, "small.txt", 2, PAIR_SMALL_SIZE);
}

static struct manifest *new_manifest(const struct pair *p)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest *m = NULL;
	int r = manifest_builder_new(&b);

	if (r == 0)
		r = manifest_builder_add(b, "big.bin", &p->big.file, &why);
	if (r == 0)
		r = manifest_builder_add(b, "small.txt", &p->small.file, &why);
	if (r == 0)
		r = manifest_builder_finish(b, &m, &why);
	assert(r == 0);
	return m;
}

static void seed(const struct pair *p, int i)
{
	CLEANUP(manifest_freep) struct manifest *m = new_manifest(p);
	CLEANUP(buf_free) struct buf why = { 0 };
	struct catalog *c = NULL;
	struct store *s = NULL;
	int r = store_open(p->dir[i].path, "seed", &s, &why);

	if (r == 0)
		r = catalog_open(store_index_dir(s), &c, &why);
	if (r == 0)
		r = catalog_put_repo(c, REPO_KEY, REPO_KEY);
	if (r == 0)
		r = catalog_put_commit(c, REPO_KEY, PAIR_COMMIT, 1, m);
	if (r == 0)
		r = catalog_put_ref(c, REPO_KEY, "main", PAIR_COMMIT, clock_wall_s());
	assert(r == 0);
	catalog_close(c);
	store_close(s);
}

/* ---- start and stop ---- */

static void choose_address(char *ret, size_t size)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	r = bind(fd, (struct sockaddr *)&a, len);
	if (r == 0)
		r = getsockname(fd, (struct sockaddr *)&a, &len);
	assert(r == 0);
	snprintf(ret, size, "127.0.0.1:%d", ntohs(a.sin_port));
	close(fd);
}

static void on_forget(void *arg UNUSED, const char *etag UNUSED)
{
}

static void start(struct pair *p, int i, bool peers)
{
	const struct node_conf conf = {
		.cache_dir = p->dir[i].path,
		.owner = "test",
		.hubs = &p->hub,
		.hub_count = 1,
		.peers = peers ? &p->settings[i] : NULL,
		.memory_bytes = UINT64_C(32) << 20,
		.ref_ttl_ms = 600000,
		.timeout_ms = 10000,
		.on_forget = on_forget,
	};
	struct keeper_conf keeper = { .threads = 2 };
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = node_open(&conf, &p->node[i], &why);

	keeper.node = p->node[i];
	if (r == 0)
		r = keeper_start(&keeper, &p->keeper[i]);
	if (r == 0)
		r = warmups_new(p->node[i], p->keeper[i], &p->warmups[i]);
	if (r < 0)
		fprintf(stderr, "no node: %d %s\n", r, buf_str(&why));
	assert(r == 0);
}

static void set(struct pair *p, int i)
{
	p->settings[i] = (struct peer_settings){
		.listen = p->address[i],
		.members = p->list,
		.key_file = p->key_file,
		.weight = 1,
		.connections = 16,
	};
}

/* Connections to it are taken by the kernel. */
static void add_deaf(struct pair *p, int i)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t len = sizeof(a);
	size_t end = strlen(p->list);
	int r;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	p->deaf[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	r = bind(p->deaf[i], (struct sockaddr *)&a, len);
	if (r == 0)
		r = listen(p->deaf[i], 64);
	if (r == 0)
		r = getsockname(p->deaf[i], (struct sockaddr *)&a, &len);
	assert(r == 0);
	snprintf(p->list + end, sizeof(p->list) - end, ",127.0.0.1:%d", ntohs(a.sin_port));
}

static int setup(void **state, int count, bool peers, int deaf)
{
	struct pair *p = calloc(1, sizeof(*p));

	if (!p || repo_id_parse(REPO_MODEL, "org/model", &p->id) < 0)
		return -1;
	start_hub(p);
	for (int i = 0; i < PAIR; i++) {
		workdir_init(&p->dir[i]);
		choose_address(p->address[i], sizeof(p->address[i]));
		seed(p, i);
		set(p, i);
	}
	snprintf(p->list, sizeof(p->list), "%s,%s", p->address[0], p->address[1]);
	for (int i = 0; i < deaf; i++)
		add_deaf(p, i);
	snprintf(p->key_file, sizeof(p->key_file), "%s/key", p->dir[0].path);
	if (file_replace(AT_FDCWD, p->key_file, KEY, strlen(KEY), 0600) < 0)
		return -1;
	for (int i = 0; i < count; i++)
		start(p, i, peers);
	*state = p;
	return 0;
}

int pair_setup(void **state)
{
	return setup(state, PAIR, true, 0);
}

int pair_setup_half(void **state)
{
	return setup(state, 1, true, 0);
}

int pair_setup_alone(void **state)
{
	return setup(state, 1, false, 0);
}

int pair_setup_deaf(void **state)
{
	return setup(state, PAIR, true, PAIR_DEAF);
}

static void stop(struct pair *p, int i)
{
	bool over;

	keeper_stop(p->keeper[i]);
	over = node_stop(p->node[i]);
	assert(over);
	warmups_free(p->warmups[i]);
	keeper_free(p->keeper[i]);
	node_close(p->node[i]);
}

int pair_teardown(void **state)
{
	struct pair *p = *state;

	for (int i = 0; i < PAIR; i++)
		if (p->node[i])
			stop(p, i);
	for (int i = 0; i < PAIR_DEAF && p->deaf[i]; i++)
		close(p->deaf[i]);
	fake_origin_stop(p->origin);
	for (int i = 0; i < PAIR; i++)
		workdir_fini(&p->dir[i]);
	free(p->big_bytes);
	free(p->small_bytes);
	free(p);
	return 0;
}

/* ---- what tests do ---- */

struct job_progress pair_await(struct pair *p, int node, uint64_t id)
{
	int64_t until_ms = clock_ms() + WAIT_MS;
	struct job_progress at = { .state = JOB_RUNNING };
	int r = 0;

	while (r == 0 && at.state == JOB_RUNNING && clock_ms() < until_ms) {
		r = keeper_job(p->keeper[node], id, &at);
		clock_sleep_ms(5);
	}
	assert(r == 0);
	return at;
}

void pair_pull(struct pair *p, int node)
{
	struct job_progress at = { .state = JOB_FAILED };
	uint64_t id;

	if (keeper_pull(p->keeper[node], &p->id, "main", false, &id) == 0)
		at = pair_await(p, node, id);
	assert(at.state == JOB_DONE);
}

uint64_t pair_has(struct pair *p, int node, const struct source_blob *blob)
{
	return node_present_bytes(p->node[node], blob->etag, blob->file.size);
}
