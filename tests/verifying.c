/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/verifying.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"

#define SELF "127.0.0.1:1"

static struct fake_member *fake_at(struct verifying *v, const char *address)
{
	for (int i = 0; i < VERIFYING_MEMBERS; i++)
		if (strcmp(v->fakes[i].address, address) == 0)
			return &v->fakes[i];
	return NULL;
}

/* A file of which this node is neither owner nor witness. */
static void find_file(struct verifying *v)
{
	const struct membership *members = members_now(v->members);
	struct fake_member *of[PLACEMENT_OWNERS] = { NULL };
	uint32_t owners[PLACEMENT_OWNERS];

	while (!of[0] || !of[1] || !of[2]) {
		v->seed++;
		fake_blob(v->seed, VERIFYING_SIZE, DIGEST_SHA256, &v->what);
		assert_int_equal(
			placement_cache_owners(&v->placement, members,
					       (struct segment){ placement_key(v->what.etag), 0 },
					       VERIFYING_SIZE, owners),
			PLACEMENT_OWNERS);
		for (int i = 0; i < PLACEMENT_OWNERS; i++)
			of[i] = fake_at(v, member_address(members->members[owners[i]]));
	}
	membership_unref(members);
	v->owner = of[0];
	v->witness = of[1];
	v->second = of[2];
	for (int i = 0; i < VERIFYING_MEMBERS; i++)
		if (&v->fakes[i] != of[0] && &v->fakes[i] != of[1] && &v->fakes[i] != of[2])
			v->giver = &v->fakes[i];
}

static void open_key(struct verifying *v)
{
	static const char text[] = "the first key of 16 bytes or more\n";
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 };

	buf_printf(&path, "%s/key", v->cell.node.dir.path);
	assert_int_equal(file_replace(AT_FDCWD, buf_str(&path), text, strlen(text), 0600), 0);
	assert_int_equal(cluster_key_open(buf_str(&path), clock_wall_ms(), &v->key, &why), 0);
}

static void begin_members(struct verifying *v)
{
	struct member_spec list[VERIFYING_MEMBERS + 1] = { { SELF, "", 1 } };

	for (int i = 0; i < VERIFYING_MEMBERS; i++) {
		fake_member_start(&v->fakes[i], v->key);
		list[i + 1].weight = 1;
		snprintf(list[i + 1].address, sizeof(list[0].address), "%s", v->fakes[i].address);
	}
	assert_int_equal(members_new(&list[0], &v->members), 0);
	assert_int_equal(members_set(v->members, list, VERIFYING_MEMBERS + 1), 0);
}

int verifying_set_up(void **state)
{
	struct httpc_conf http = { .connect_ms = 1000, .stall_ms = 5000 };
	struct verifying *v = calloc(1, sizeof(*v));

	assert_non_null(v);
	cell_init(&v->cell, 0);
	http.elder = v->cell.node.http;
	v->time = VERIFY_LAST;
	open_key(v);
	begin_members(v);
	placement_cache_init(&v->placement);
	segment_notes_init(&v->notes);
	assert_int_equal(httpc_new(&http, &v->http), 0);
	assert_int_equal(digest_lists_new(NULL, 0, v->cell.provenance, &v->lists), 0);
	v->asker = (struct asker){ v->key, v->http, false, SELF, "", "66", NULL };
	v->conf = (struct verify_conf){
		.members = v->members,
		.placement = &v->placement,
		.notes = &v->notes,
		.provenance = v->cell.provenance,
		.lists = v->lists,
		.answers = v->cell.answers,
		.asker = &v->asker,
		.counts = &v->counts,
		.give_up_ms = 3000,
	};
	find_file(v);
	v->cell.node.hub.seed = v->seed;
	assert_int_equal(verify_queue_new(&v->queue), 0);
	assert_int_equal(verify_givers_new(&v->givers), 0);
	assert_int_equal(verify_lists_new(&v->list_checks), 0);
	*state = v;
	return 0;
}

int verifying_tear_down(void **state)
{
	struct verifying *v = *state;

	assert_true(verify_queue_stop(v->queue));
	assert_true(verify_givers_stop(v->givers));
	assert_true(verify_lists_stop(v->list_checks));
	verify_queue_free(v->queue);
	verify_givers_free(v->givers);
	verify_lists_free(v->list_checks);
	if (v->open)
		blob_unref(v->open);
	for (int i = 0; i < VERIFYING_MEMBERS; i++)
		fake_member_stop(&v->fakes[i]);
	digest_lists_free(v->lists);
	httpc_free(v->http);
	members_free(v->members);
	cluster_key_free(v->key);
	segment_notes_fini(&v->notes);
	placement_cache_fini(&v->placement);
	cell_fini(&v->cell);
	free(v);
	return 0;
}

void verifying_say(struct verifying *v, struct fake_member *m, enum fake_role role, uint64_t seed)
{
	for (uint32_t i = 0; i < VERIFYING_CHUNKS; i++)
		cell_digest(i == VERIFYING_WRONG ? seed : v->seed, VERIFYING_SIZE, i,
			    m->says[role].of[i]);
}

void verifying_bring(struct verifying *v, uint64_t seed)
{
	for (uint32_t i = 0; i < VERIFYING_CHUNKS; i++)
		cell_put(&v->cell, &v->what, i, i == VERIFYING_WRONG ? seed : v->seed,
			 v->giver->address);
}

struct finding {
	const char *address;
	char state[20];
};

static void find_state(void *arg, const struct member_status *s)
{
	struct finding *finding = arg;

	if (strcmp(s->address, finding->address) == 0)
		snprintf(finding->state, sizeof(finding->state), "%s", member_state_name(s->state));
}

bool verifying_is_in_state(struct verifying *v, const struct fake_member *m, const char *state)
{
	struct finding finding = { .address = m->address };

	members_each(v->members, clock_ms(), find_state, &finding);
	return strcmp(finding.state, state) == 0;
}

void verifying_note(struct verifying *v, const struct fake_member *m, enum member_outcome outcome)
{
	const struct membership *members = members_now(v->members);
	int at = membership_find(members, m->address);

	assert_true(at >= 0);
	member_note(members->members[at], outcome, 0, -1, clock_ms());
	membership_unref(members);
}

void verifying_assert_banned(struct verifying *v, const struct fake_member *m)
{
	for (int i = 0; i < VERIFYING_MEMBERS; i++)
		assert_int_equal(verifying_is_in_state(v, &v->fakes[i], "banned"),
				 &v->fakes[i] == m);
}
