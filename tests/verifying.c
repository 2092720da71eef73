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

static struct fake_member *fake_at(struct verifying *c, const char *address)
{
	for (int i = 0; i < VERIFYING_MEMBERS; i++)
		if (strcmp(c->fakes[i].address, address) == 0)
			return &c->fakes[i];
	return NULL;
}

/* A file of which this node is neither owner nor witness. */
static void find_file(struct verifying *c)
{
	const struct membership *members = members_now(c->members);
	struct fake_member *of[PLACEMENT_OWNERS] = { NULL };
	uint32_t owners[PLACEMENT_OWNERS];

	while (!of[0] || !of[1] || !of[2]) {
		c->seed++;
		fake_blob(c->seed, VERIFYING_SIZE, DIGEST_SHA256, &c->what);
		assert_int_equal(places_owners(&c->places, members,
					       (struct segment){ placement_key(c->what.etag), 0 },
					       VERIFYING_SIZE, owners),
				 PLACEMENT_OWNERS);
		for (int i = 0; i < PLACEMENT_OWNERS; i++)
			of[i] = fake_at(c, member_address(members->members[owners[i]]));
	}
	membership_unref(members);
	c->owner = of[0];
	c->witness = of[1];
	c->second = of[2];
	for (int i = 0; i < VERIFYING_MEMBERS; i++)
		if (&c->fakes[i] != of[0] && &c->fakes[i] != of[1] && &c->fakes[i] != of[2])
			c->giver = &c->fakes[i];
}

static void open_key(struct verifying *c)
{
	static const char text[] = "the first key of 16 bytes or more\n";
	CLEANUP(buf_free) struct buf path = { 0 }, why = { 0 };

	buf_printf(&path, "%s/key", c->cell.node.dir.path);
	assert_int_equal(file_replace(AT_FDCWD, buf_str(&path), text, strlen(text), 0600), 0);
	assert_int_equal(cluster_key_open(buf_str(&path), clock_wall_ms(), &c->key, &why), 0);
}

static void begin_members(struct verifying *c)
{
	struct member_spec list[VERIFYING_MEMBERS + 1] = { { SELF, "", 1 } };

	for (int i = 0; i < VERIFYING_MEMBERS; i++) {
		fake_member_start(&c->fakes[i], c->key);
		list[i + 1].weight = 1;
		snprintf(list[i + 1].address, sizeof(list[0].address), "%s", c->fakes[i].address);
	}
	assert_int_equal(members_new(&list[0], &c->members), 0);
	assert_int_equal(members_set(c->members, list, VERIFYING_MEMBERS + 1), 0);
}

int verifying_set_up(void **state)
{
	struct httpc_conf http = { .connect_ms = 1000, .stall_ms = 5000 };
	struct verifying *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	cell_init(&c->cell, 0);
	http.elder = c->cell.node.http;
	c->time = VERIFY_LAST;
	open_key(c);
	begin_members(c);
	places_init(&c->places);
	segment_notes_init(&c->notes);
	assert_int_equal(httpc_new(&http, &c->http), 0);
	assert_int_equal(digest_lists_new(NULL, 0, c->cell.provenance, &c->lists), 0);
	c->asker = (struct asker){ c->key, c->http, false, SELF, "", "66", NULL };
	c->conf = (struct verify_conf){
		.members = c->members,
		.places = &c->places,
		.notes = &c->notes,
		.provenance = c->cell.provenance,
		.lists = c->lists,
		.answers = c->cell.answers,
		.asker = &c->asker,
		.counts = &c->counts,
		.give_up_ms = 3000,
	};
	find_file(c);
	c->cell.node.hub.seed = c->seed;
	*state = c;
	return 0;
}

int verifying_tear_down(void **state)
{
	struct verifying *c = *state;

	for (int i = 0; i < VERIFYING_MEMBERS; i++)
		fake_member_stop(&c->fakes[i]);
	digest_lists_free(c->lists);
	httpc_free(c->http);
	members_free(c->members);
	cluster_key_free(c->key);
	segment_notes_fini(&c->notes);
	places_fini(&c->places);
	cell_fini(&c->cell);
	free(c);
	return 0;
}

void verifying_say(struct verifying *c, struct fake_member *m, enum fake_role role, uint64_t seed)
{
	for (uint32_t i = 0; i < VERIFYING_CHUNKS; i++)
		cell_digest(i == VERIFYING_WRONG ? seed : c->seed, VERIFYING_SIZE, i,
			    m->says[role].of[i]);
}

void verifying_bring(struct verifying *c, uint64_t seed)
{
	for (uint32_t i = 0; i < VERIFYING_CHUNKS; i++)
		cell_put(&c->cell, &c->what, i, i == VERIFYING_WRONG ? seed : c->seed,
			 c->giver->address);
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

bool verifying_is_in_state(struct verifying *c, const struct fake_member *m, const char *state)
{
	struct finding finding = { .address = m->address };

	members_each(c->members, clock_ms(), find_state, &finding);
	return strcmp(finding.state, state) == 0;
}

void verifying_note(struct verifying *c, const struct fake_member *m, enum member_outcome outcome)
{
	const struct membership *members = members_now(c->members);
	int at = membership_find(members, m->address);

	assert_true(at >= 0);
	member_note(members->members[at], outcome, 0, -1, clock_ms());
	membership_unref(members);
}

void verifying_assert_banned(struct verifying *c, const struct fake_member *m)
{
	for (int i = 0; i < VERIFYING_MEMBERS; i++)
		assert_int_equal(verifying_is_in_state(c, &c->fakes[i], "banned"),
				 &c->fakes[i] == m);
}
