/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/seeded_node.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/cache/store.h"
#include "fs/view_written.h"

#define MODEL "models/org/model"
#define MIRROR "models/mirror/model"
#define DATA "datasets/org/data"
#define SPACE "spaces/org/space"
#define WAIT_MS 5000

/* ---- the seed ---- */

/* The digest is `digit` all over. */
struct seed_file {
	const char *commit, *path;
	enum digest_kind kind;
	char digit;
	uint64_t size;
};

static const struct seed_file files[] = {
	{ COMMIT_MAIN, "README.md", DIGEST_GIT_SHA1, 'b', 10 },
	{ COMMIT_MAIN, "config.json", DIGEST_GIT_SHA1, 'c', 20 },
	{ COMMIT_MAIN, "layers/layer10.bin", DIGEST_SHA256, 'a', 1000 },
	{ COMMIT_MAIN, "layers/layer2.bin", DIGEST_SHA256, '9', 200 },
	{ COMMIT_MAIN, "model-00001-of-00002.safetensors", DIGEST_SHA256, 'd', SEEDED_SHARD_BYTES },
	{ COMMIT_MAIN, "model-00002-of-00002.safetensors", DIGEST_SHA256, 'e', 4000 },
	{ COMMIT_MAIN, "onnx/quant/int8/model.onnx", DIGEST_SHA256, '7', 700 },
	{ COMMIT_OTHER, "config.json", DIGEST_GIT_SHA1, '8', 21 },
	{ COMMIT_OTHER, "model-00001-of-00002.safetensors", DIGEST_SHA256, 'd',
	  SEEDED_SHARD_BYTES },
	{ COMMIT_GPT2, "config.json", DIGEST_GIT_SHA1, '6', 22 },
	{ COMMIT_DATA, "README.md", DIGEST_GIT_SHA1, 'b', 10 },
	{ COMMIT_DATA, "data/train.parquet", DIGEST_SHA256, '5', 5000 },
	{ COMMIT_PARQUET, "train.parquet", DIGEST_SHA256, '4', 0 },
	{ COMMIT_SPACE, "app.py", DIGEST_GIT_SHA1, '3', 1 },
};

static const char *const repos[][2] = {
	{ MODEL, MODEL },
	{ "models/old/model", MODEL },
	{ "models/Org/Model", MODEL },
	{ "models/org/bare", "models/org/bare" },
	{ "models/gpt2", "models/gpt2" },
	{ MIRROR, MIRROR },
	{ DATA, DATA },
	{ SPACE, SPACE },
};

static const char *const commits[][2] = {
	{ MODEL, COMMIT_MAIN },  { MODEL, COMMIT_OTHER }, { "models/gpt2", COMMIT_GPT2 },
	{ MIRROR, COMMIT_MAIN }, { DATA, COMMIT_DATA },   { DATA, COMMIT_PARQUET },
	{ SPACE, COMMIT_SPACE },
};

static const char *const refs[][3] = {
	{ MODEL, "main", COMMIT_MAIN },       { MODEL, "v1.0", COMMIT_MAIN },
	{ MODEL, "feature/x", COMMIT_OTHER }, { MODEL, "feature/y/z", COMMIT_OTHER },
	{ MODEL, "refs/pr/1", COMMIT_OTHER }, { "models/gpt2", "main", COMMIT_GPT2 },
	{ MIRROR, "main", COMMIT_MAIN },      { DATA, "main", COMMIT_DATA },
	{ SPACE, "main", COMMIT_SPACE },      { DATA, "refs/convert/parquet", COMMIT_PARQUET },
};

static struct manifest *make_manifest(const char *commit)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest *m = NULL;
	int r = manifest_builder_new(&b);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(files); i++) {
		struct manifest_file f = { .size = files[i].size, .kind = files[i].kind };
		char digit = files[i].digit;

		if (strcmp(files[i].commit, commit) != 0)
			continue;
		memset(f.digest, (digit <= '9' ? digit - '0' : digit - 'a' + 10) * 0x11,
		       digest_size(f.kind));
		r = manifest_builder_add(b, files[i].path, &f, &why);
	}
	if (r == 0)
		r = manifest_builder_finish(b, &m, &why);
	assert(r == 0);
	return m;
}

static void seed_commits(struct catalog *c)
{
	for (size_t i = 0; i < ARRAY_LEN(commits); i++) {
		CLEANUP(manifest_freep) struct manifest *m = make_manifest(commits[i][1]);
		int r = catalog_put_commit(c, commits[i][0], commits[i][1], SEEDED_DATE_S, m);

		assert(r == 0);
	}
}

static void seed_names(struct catalog *c)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(repos); i++)
		r = catalog_put_repo(c, repos[i][0], repos[i][1]);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(refs); i++)
		r = catalog_put_ref(c, refs[i][0], refs[i][1], refs[i][2], clock_wall_s());
	assert(r == 0);
}

static void seed(const char *dir)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct catalog *c = NULL;
	struct store *s = NULL;
	int r = store_open(dir, "seed", &s, &why);

	if (r == 0)
		r = catalog_open(store_index_dir(s), &c, &why);
	assert(r == 0);
	seed_commits(c);
	seed_names(c);
	catalog_close(c);
	store_close(s);
}

/* ---- start and stop ---- */

void seeded_node_start(struct seeded_node *s)
{
	const struct scratch_conf scratch = { .max_bytes = 1 << 20, .max_nodes = 1000 };
	const struct node_hub hub = {
		.url = s->origin ? fake_origin_url(s->origin) : "http://127.0.0.1:9",
	};
	const struct node_conf conf = {
		.cache_dir = s->dir.path,
		.owner = "test",
		.hubs = &hub,
		.hub_count = 1,
		.offline = !s->origin,
		.ref_ttl_ms = 60000,
		.timeout_ms = WAIT_MS,
		.memory_bytes = UINT64_C(64) << 20,
	};
	CLEANUP(buf_free) struct buf why = { 0 };
	int r = node_open(&conf, &s->node, &why);

	if (r == 0)
		r = scratch_new(&scratch, &s->scratch);
	assert(r == 0);
	s->view = (struct view){
		.node = s->node, .scratch = s->scratch, .uid = SEEDED_UID, .gid = SEEDED_GID
	};
}

void seeded_node_stop(struct seeded_node *s)
{
	bool over = node_stop(s->node);

	assert(over);
	node_close(s->node);
	scratch_free(s->scratch);
}

void seeded_node_restart(struct seeded_node *s)
{
	seeded_node_stop(s);
	seeded_node_start(s);
}

static int setup(void **state, bool online)
{
	struct seeded_node *s = calloc(1, sizeof(*s));

	if (!s)
		return -1;
	workdir_init(&s->dir);
	seed(s->dir.path);
	if (online)
		s->origin = fake_origin_start();
	seeded_node_start(s);
	*state = s;
	return 0;
}

int seeded_node_setup(void **state)
{
	return setup(state, false);
}

int seeded_node_setup_online(void **state)
{
	return setup(state, true);
}

int seeded_node_teardown(void **state)
{
	struct seeded_node *s = *state;

	seeded_node_stop(s);
	if (s->origin)
		fake_origin_stop(s->origin);
	workdir_fini(&s->dir);
	free(s);
	return 0;
}

/* ---- looking up ---- */

int seeded_node_lookup(struct seeded_node *s, const struct place *dir, const char *name,
		       struct place *ret, int64_t *ret_ttl_ms)
{
	struct parked p;
	int r = PARKED;

	while (r == PARKED) {
		parked_init(&p, WAIT_MS);
		r = view_lookup(&s->view, dir, name, &p.waiter, ret, ret_ttl_ms);
		if (r == PARKED) {
			int end = parked_wait(&p);

			if (end < 0)
				r = view_lookup_ended(&s->view, dir, name, end, ret, ret_ttl_ms);
		}
		parked_fini(&p);
	}
	return r;
}

int seeded_node_walk(struct seeded_node *s, const char *path, struct place *ret,
		     int64_t *ret_ttl_ms)
{
	struct place at = view_root(), next;
	int r = 0;

	*ret_ttl_ms = VIEW_FOREVER;
	while (r == 0 && *path) {
		size_t len = strcspn(path, "/");
		char name[300];

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		path += len + (path[len] == '/');
		r = seeded_node_lookup(s, &at, name, &next, ret_ttl_ms);
		place_fini(&at);
		if (r == 0)
			at = next;
	}
	if (r == 0)
		*ret = at;
	return r;
}

struct place seeded_node_place(struct seeded_node *s, const char *path)
{
	struct place p = { 0 };
	int64_t ttl_ms;
	int r = seeded_node_walk(s, path, &p, &ttl_ms);

	if (r != 0)
		fprintf(stderr, "no place %s: %d\n", path, r);
	assert(r == 0);
	return p;
}

void seeded_node_write(struct seeded_node *s, const char *dir, const char *name, mode_t mode)
{
	struct place at = seeded_node_place(s, dir);
	struct scratch_node *parent = NULL, *made = NULL;
	int r = view_written_dir(&s->view, &at, true, &parent);

	assert(r == 0);
	r = scratch_make(s->scratch, parent, name, mode, 1, 2, NULL, &made);
	assert(r == 0);
	scratch_unref(s->scratch, made);
	scratch_unref(s->scratch, parent);
	place_fini(&at);
}

/* XXH3 of 17 ... 32 bytes multiplies the eight bytes at 16 before the end, XORed with bytes 16 ...
 * 23 of its secret, by the last eight, XORed likewise: bytes equal to the secret make that zero,
 * whatever the last eight are. */
struct place seeded_node_collider(const char *tail)
{
	static const char secret[] = "\xde\xd4\x6d\xe9\x83\x90\x97\xdb";
	char name[64];

	snprintf(name, sizeof(name), "collider-%s%.8s", secret, tail);
	return (struct place){ .kind = PLACE_ORG, .name = strdup(name) };
}
