/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of a member that has the key, and answers as it should not. */
#include "daemon/peer/source_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/cache/chunk.h"
#include "tests/stand_in.h"

#define SIZE (2 * CHUNK_BYTES)
#define REMEMBERED (UINT64_C(1) << 14) /* bytes of it that are remembered */

enum manner {
	GIVES,      /* what is asked for */
	FALTERS,    /* the first chunk at once, half of the next later */
	DRIPS,      /* the first chunk, and then byte by byte */
	BREAKS_OFF, /* in the midst of the first chunk */
	HALTS,      /* likewise, and goes on when it is sure to have been heard */
	STINTS,     /* one byte of what is asked for, each time */
	HOPES,      /* says at once that bytes are coming */
	DRIPS_HEAD,
	DRIPS_WORDS,  /* of an answer without bytes */
	DRIPS_BEHIND, /* such an answer */
	HAS_NOT,
	CROWDS_OUT, /* GIVES, and when the first chunk was heard other blobs are noted */
	DIGRESSES,  /* gives other bytes than were asked for, and says so */
	SHORTENS,   /* says that they are fewer: nobody signs that */
	RAVES,      /* signs a status that there is not */
	IS_FULL,    /* of connections: nobody signs that */
	IS_A_STRANGER,
	HANGS_UP,
};

struct fixture {
	_Atomic enum manner manner;
	int sink_says, lay_says;
	int64_t lay_takes_ms;
	struct stand_in other;
	struct placement_cache placement;
	struct segment_notes notes;
	struct probes *probes;
	struct provenance *provenance;
	struct digest_lists *lists;
	struct peer_counts counts;
	struct source *source;
	atomic_uint asked;       /* questions */
	atomic_size_t asked_len; /* bytes of the last that got some */
	struct httpc_cancel cancel;
	bool leaves;                /* when it hears of hope */
	uint64_t came;              /* that may be seen */
	uint64_t laid, laid_in_all; /* bytes that may not yet, or never were */
	unsigned taken_back;        /* how often */
	unsigned hopes;
	unsigned watched, refused; /* chunks */
	bool refused_published;    /* the last one of these, and the digest of what was given */
	uint8_t gave[CHUNK_LIST_DIGEST];
	char letter; /* of the blob's digest */
};

/* ---- the member ---- */

static void drip(const struct fixture *f, int fd, const char *drop)
{
	stand_in_drip(&f->other, fd, drop);
}

static void say_head(struct fixture *f, int fd, const char *request, int status, const char *range,
		     const char *length)
{
	stand_in_head(&f->other, fd, request, status, range, length, 0);
}

/* As much as is remembered. */
static void note_many(struct fixture *f)
{
	provenance_note(f->provenance, "another", REMEMBERED / 2 * CHUNK_BYTES, 0, 1,
			"192.0.2.9:1");
}

static void give(struct fixture *f, int fd, const char *request)
{
	CLEANUP(freep) char *bytes = calloc(1, SIZE);
	size_t now, len;

	len = stand_in_promise(&f->other, fd, request, SIZE, f->manner == STINTS ? 1 : SIZE);
	f->asked_len = len;
	now = f->manner == GIVES || f->manner == STINTS       ? len
	      : f->manner == BREAKS_OFF || f->manner == HALTS ? 1000
							      : CHUNK_BYTES;
	stand_in_send(fd, bytes, now < len ? now : len);
	if (f->manner == HALTS) {
		clock_sleep_ms(200);
		stand_in_send(fd, bytes, len - now);
	}
	if (f->manner == DRIPS)
		drip(f, fd, "x");
	if (f->manner == CROWDS_OUT) {
		clock_sleep_ms(1000);
		note_many(f);
		stand_in_send(fd, bytes, len - now);
	}
	for (int i = 0; f->manner == FALTERS && i < 2; i++) {
		clock_sleep_ms(1000);
		stand_in_send(fd, bytes, CHUNK_BYTES / 2);
	}
}

static void answer(void *arg, int fd, const char *request)
{
	struct fixture *f = arg;
	const char *plain = f->manner == IS_FULL ? "503" : "404";
	char text[100];

	f->asked++;
	switch (f->manner) {
	case GIVES:
	case FALTERS:
	case DRIPS:
	case BREAKS_OFF:
	case HALTS:
	case STINTS:
	case CROWDS_OUT:
		give(f, fd, request);
		break;
	case DRIPS_HEAD:
		stand_in_send(fd, "HTTP/1.1 202 Word\r\n", 19);
		drip(f, fd, "X-More: of it\r\n");
		break;
	case DRIPS_WORDS:
		say_head(f, fd, request, 202, "", "Content-Length: 60000");
		drip(f, fd, "x");
		break;
	case DRIPS_BEHIND:
		say_head(f, fd, request, 202, "", "Transfer-Encoding: chunked");
		stand_in_send(fd, "0\r\n", 3);
		drip(f, fd, "X-More: of it\r\n");
		break;
	case HOPES:
		say_head(f, fd, request, 202, "", "Content-Length: 0");
		break;
	case DIGRESSES:
		snprintf(text, sizeof(text), "bytes %lu-%lu/%lu", CHUNK_BYTES, SIZE - 1, SIZE);
		say_head(f, fd, request, 206, text, "Content-Length: 1");
		break;
	case SHORTENS:
		snprintf(text, sizeof(text), "bytes 0-%lu/%lu", SIZE - 1, SIZE);
		say_head(f, fd, request, 206, text, "Content-Length: 1");
		break;
	case RAVES:
		say_head(f, fd, request, 418, "", "Content-Length: 0");
		break;
	case HAS_NOT:
		say_head(f, fd, request, 404, "", "Content-Length: 0");
		break;
	case IS_FULL:
	case IS_A_STRANGER:
		snprintf(text, sizeof(text), "HTTP/1.1 %s Word\r\nContent-Length: 0\r\n\r\n",
			 plain);
		stand_in_send(fd, text, strlen(text));
		break;
	case HANGS_UP:
		break;
	}
}

/* ---- who asks it ---- */

static void set_up_memory(struct fixture *f)
{
	placement_cache_init(&f->placement);
	segment_notes_init(&f->notes);
	assert_int_equal(provenance_new(REMEMBERED, &f->provenance), 0);
	assert_int_equal(digest_lists_new(NULL, 0, f->provenance, &f->lists), 0);
}

/* A blob whose segment is the other one's: their addresses are never the same twice. */
static void find_blob(struct fixture *f)
{
	const struct membership *members = members_now(f->other.members);
	char etag[DIGEST_HEX_MAX + 1] = "";
	uint32_t owners[PLACEMENT_OWNERS] = { members->self };

	for (f->letter = '0'; owners[0] == members->self; f->letter++) {
		memset(etag, f->letter, DIGEST_HEX_MAX);
		assert_int_not_equal(f->letter, '9' + 1);
		assert_int_not_equal(
			placement_cache_owners(&f->placement, members,
					       (struct segment){ placement_key(etag), 0 }, SIZE,
					       owners),
			0);
	}
	f->letter--;
	membership_unref(members);
}

static void came(void *arg, UNUSED const struct source_blob *what, UNUSED uint32_t i)
{
	struct fixture *f = arg;

	f->watched++;
}

static bool refused(void *arg, const struct source_refused *r)
{
	struct fixture *f = arg;

	f->refused_published = r->published;
	memcpy(f->gave, r->gave, sizeof(f->gave));
	return ++f->refused > 1;
}

static void make_source(struct fixture *f, bool gives_only)
{
	const struct source_peer_conf conf = {
		.members = f->other.members,
		.placement = &f->placement,
		.notes = &f->notes,
		.probes = f->probes,
		.provenance = f->provenance,
		.lists = f->lists,
		.watch = { came, refused, f },
		.asker = &f->other.asker,
		.counts = &f->counts,
		.give_up_ms = 30000,
		.gives_only = gives_only,
	};

	assert_int_equal(source_peer_new(&conf, &f->source), 0);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->other.answer = answer;
	f->other.arg = f;
	stand_in_start(&f->other);
	set_up_memory(f);
	find_blob(f);
	assert_int_equal(probes_new(&f->other.asker, f->other.members, &f->probes), 0);
	make_source(f, false);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	f->other.stopping = true;
	probes_free(f->probes);
	source_peer_free(f->source);
	digest_lists_free(f->lists);
	stand_in_stop(&f->other); /* it notes provenance, too */
	provenance_free(f->provenance);
	segment_notes_fini(&f->notes);
	placement_cache_fini(&f->placement);
	free(f);
	return 0;
}

static int lay(void *arg, const void *data UNUSED, size_t len)
{
	struct fixture *f = arg;

	clock_sleep_ms(f->lay_takes_ms);
	f->lay_takes_ms = 0;
	f->laid += len;
	f->laid_in_all += len;
	return f->lay_says;
}

static void take_back(void *arg)
{
	struct fixture *f = arg;

	f->laid = 0;
	f->taken_back++;
}

static int take(void *arg, const void *data UNUSED, size_t len)
{
	struct fixture *f = arg;

	if (f->sink_says == 0) {
		f->came += f->laid + len;
		f->laid = 0;
	}
	f->hopes += !len;
	if (!len && f->leaves)
		atomic_store(&f->cancel.canceled, true);
	return f->sink_says;
}

/* What comes of asking one of that manner for such a part of the blob. */
static int ask_for(struct fixture *f, enum manner manner, uint64_t off, uint64_t len)
{
	struct source_blob blob = { .commit = "1111111111111111111111111111111111111111",
				    .path = "a",
				    .file = { .size = SIZE, .kind = DIGEST_SHA256 } };
	const struct source_ask what = { .blob = &blob,
					 .off = off,
					 .len = len,
					 .deadline_ms = CLOCK_FOREVER,
					 .cancel = &f->cancel,
					 .sink = take,
					 .lay = lay,
					 .take_back = take_back,
					 .arg = f };
	int64_t wait_ms;

	f->manner = manner;
	assert_int_equal(repo_id_parse(REPO_MODEL, "org/name", &blob.repo), 0);
	memset(blob.etag, f->letter, DIGEST_HEX_MAX);
	return f->source->get(f->source, &what, &wait_ms);
}

static int ask(struct fixture *f, enum manner manner)
{
	return ask_for(f, manner, 0, SIZE);
}

static void note_state(void *arg, const struct member_status *s)
{
	if (!s->self)
		*(const char **)arg = member_state_name(s->state);
}

static const char *state_of(const struct fixture *f)
{
	const char *state = NULL;

	members_each(f->other.members, clock_ms(), note_state, &state);
	return state;
}

/* ---- stories ---- */

static void who_gives_is_up(void **state)
{
	assert_int_equal(ask(*state, GIVES), 0);
	assert_string_equal(state_of(*state), "up");
}

static void whole_chunks_are_asked_for_and_what_is_wanted_of_them_is_given(void **state)
{
	const struct {
		uint64_t off, len, asked;
		bool lays;
	} of[] = { { 0, 131072, CHUNK_BYTES, false },
		   { 1000, 131072, CHUNK_BYTES, false },
		   { CHUNK_BYTES - 10, 20, SIZE, false },
		   { CHUNK_BYTES, 1, CHUNK_BYTES, false },
		   { SIZE - 1, 1, CHUNK_BYTES, false },
		   { CHUNK_BYTES - 10, CHUNK_BYTES + 10, SIZE, true },
		   { 0, SIZE, SIZE, true } };
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(of); i++) {
		f->asked = 0;
		f->came = f->laid_in_all = 0;
		assert_int_equal(ask_for(f, GIVES, of[i].off, of[i].len), 0);
		assert_int_equal(f->came, of[i].len);
		assert_int_equal(f->asked, 1);
		assert_int_equal(f->asked_len, of[i].asked);
		assert_int_equal(f->laid_in_all > 0, of[i].lays);
	}
	assert_int_equal(f->taken_back, 0);
	assert_string_equal(state_of(f), "up");
}

/* What this node has of a chunk of the blob, and whether members may wait here for its segment. */
static enum provenance_giver giver_of(struct fixture *f, uint32_t chunk, bool *ret_wanted)
{
	char etag[DIGEST_HEX_MAX + 1] = { 0 }, who[MEMBER_ADDRESS_MAX + 1];
	struct segment_note note;

	memset(etag, f->letter, DIGEST_HEX_MAX);
	*ret_wanted = segment_notes_find(&f->notes, (struct segment){ placement_key(etag), 0 },
					 clock_ms(), &note);
	assert_int_equal(note.number, 0);
	return provenance_giver(f->provenance, etag, chunk, who);
}

/* Its twin is who_gives_is_up. */
static void who_gives_only_asks_nobody_and_vouches_for_what_hubs_give(void **state)
{
	struct fixture *f = *state;
	bool wanted;

	source_peer_free(f->source);
	make_source(f, true);
	assert_int_equal(giver_of(f, 1, &wanted), PROVENANCE_NOBODY);
	assert_false(wanted);
	assert_int_equal(ask_for(f, GIVES, CHUNK_BYTES, 1), SOURCE_PASS);
	assert_int_equal(f->asked, 0);
	assert_int_equal(giver_of(f, 0, &wanted), PROVENANCE_NOBODY);
	assert_int_equal(giver_of(f, 1, &wanted), PROVENANCE_HUB);
	assert_true(wanted);
	assert_string_equal(state_of(f), "new");
}

static void who_gives_less_than_a_chunk_is_not_asked_for_the_rest(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, STINTS), SOURCE_PASS);
	assert_int_equal(f->came, 0);
	assert_int_equal(f->asked, 1);
	assert_string_equal(state_of(f), "slow");
}

static void hope_that_comes_at_once_is_asked_for_seldom(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, HOPES), SOURCE_PASS);
	assert_in_range(f->asked, 1, 12);
	assert_in_range(f->hopes, 1, f->asked);
	assert_string_equal(state_of(f), "slow");
}

/* Whoever signs that is no use, and not out of reach. */
static void who_answers_nonsense_is_left(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, DIGRESSES), SOURCE_PASS);
	assert_int_equal(f->came, 0);
	assert_int_equal(f->asked, 1);
	assert_string_equal(state_of(f), "slow");
}

static void who_answers_what_is_no_answer_is_left(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, RAVES), SOURCE_PASS);
	assert_int_equal(f->asked, 1);
	assert_string_equal(state_of(f), "slow");
}

/* The twin. */
static void nonsense_that_nobody_has_signed_is_silence(void **state)
{
	assert_int_equal(ask(*state, SHORTENS), SOURCE_PASS);
	assert_string_equal(state_of(*state), "silent");
}

static void who_leaves_does_not_wait_until_he_may_ask_again(void **state)
{
	struct fixture *f = *state;

	f->leaves = true;
	assert_int_equal(ask(f, HOPES), ERR_CANCELED);
	assert_int_equal(f->asked, 1);
	assert_string_equal(state_of(f), "up");
}

/* Whether it is known that the digests are of what comes, or of something else. */
static int ask_known(struct fixture *f, const void *bytes, enum provenance_trust word)
{
	CLEANUP(chunk_list_freep) struct chunk_list *l = chunk_list_new(SIZE);
	char etag[DIGEST_HEX_MAX + 1] = "";

	assert_non_null(l);
	for (uint32_t i = 0; i < l->count; i++)
		assert_int_equal(digest_of(DIGEST_SHA256, bytes, CHUNK_BYTES, l->digests[i]), 0);
	memset(etag, f->letter, DIGEST_HEX_MAX);
	provenance_learn(f->provenance, etag, l, word);
	return ask(f, GIVES);
}

static void what_is_as_published_is_given_and_told_of(void **state)
{
	CLEANUP(freep) char *zeros = calloc(1, CHUNK_BYTES);
	struct fixture *f = *state;

	assert_int_equal(ask_known(f, zeros, PROVENANCE_PUBLISHED), 0);
	assert_int_equal(f->came, SIZE);
	assert_int_equal(f->taken_back, 0);
	assert_int_equal(f->watched, 2);
	assert_int_equal(f->refused, 0);
	assert_string_equal(state_of(f), "up");
}

/* The hub has published what both chunks are; the second comes when the list is forgotten. */
static int ask_crowded(struct fixture *f, const void *bytes)
{
	assert_int_equal(ask_known(f, bytes, PROVENANCE_PUBLISHED), 0);
	f->came = f->watched = 0;
	provenance_forget(f->provenance, "another");
	return ask(f, CROWDS_OUT);
}

/* It is looked for again, and as here there is none any more the chunk is asked for once more. */
static void what_cannot_be_compared_any_more_is_not_given(void **state)
{
	CLEANUP(freep) char *zeros = calloc(1, CHUNK_BYTES);
	struct fixture *f = *state;
	int r = ask_crowded(f, zeros);
	unsigned asked = f->asked;

	f->manner = GIVES;
	assert_int_equal(r, 0);
	assert_int_equal(asked, 1 + 2);
	assert_in_range(f->asked_len, CHUNK_BYTES, SIZE); /* the first may wait to be taken still */
	assert_string_equal(state_of(f), "up");           /* nor is anybody blamed */
}

/* The twin: there never was a list. */
static void what_never_could_be_is(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, CROWDS_OUT), 0);
	assert_int_equal(f->came, SIZE);
	assert_int_equal(f->asked, 1);
}

/* It may have had it, even as the owner of its segment, before it knew of a list. */
static void refuse(struct fixture *f, enum provenance_trust word)
{
	CLEANUP(freep) char *others = malloc(CHUNK_BYTES), *zeros = calloc(1, CHUNK_BYTES);
	uint8_t gave[CHUNK_LIST_DIGEST];

	memset(others, 1, CHUNK_BYTES);
	assert_int_equal(ask_known(f, others, word), SOURCE_PASS);
	assert_int_equal(f->came, 0);
	assert_int_equal(f->taken_back, 1);
	assert_int_equal(metrics_get(&f->counts.bytes_wrong), CHUNK_BYTES);
	assert_int_equal(metrics_get(&f->counts.bytes_twice), 0);
	assert_int_equal(f->watched, 0);
	assert_int_equal(f->refused, 1);
	assert_int_equal(digest_of(DIGEST_SHA256, zeros, CHUNK_BYTES, gave), 0);
	assert_memory_equal(f->gave, gave, sizeof(gave));
	assert_string_equal(state_of(f), "new");
}

static void what_is_otherwise_than_published_is_refused_and_its_giver_is_told_of(void **state)
{
	struct fixture *f = *state;

	refuse(f, PROVENANCE_PUBLISHED);
	assert_true(f->refused_published);
}

static void what_is_otherwise_than_witnessed_is_likewise(void **state)
{
	struct fixture *f = *state;

	refuse(f, PROVENANCE_WITNESSED);
	assert_false(f->refused_published);
}

/* The first chunk is not what was found wrong before, or is. */
static int ask_again(struct fixture *f, const void *wrong)
{
	uint8_t was[CHUNK_LIST_DIGEST];
	char etag[DIGEST_HEX_MAX + 1] = "";

	assert_int_equal(digest_of(DIGEST_SHA256, wrong, CHUNK_BYTES, was), 0);
	memset(etag, f->letter, DIGEST_HEX_MAX);
	provenance_drop(f->provenance, etag, 0, was, true);
	return ask(f, GIVES);
}

static void what_was_found_wrong_is_not_taken_again_and_nobody_is_blamed(void **state)
{
	CLEANUP(freep) char *zeros = calloc(1, CHUNK_BYTES);
	struct fixture *f = *state;

	assert_int_equal(ask_again(f, zeros), SOURCE_PASS);
	assert_int_equal(f->came, 0);
	assert_int_equal(f->refused, 0);
	assert_string_equal(state_of(f), "up");
}

/* The twin. */
static void what_comes_in_its_place_is_taken(void **state)
{
	CLEANUP(freep) char *others = malloc(CHUNK_BYTES);
	struct fixture *f = *state;

	memset(others, 1, CHUNK_BYTES);
	assert_int_equal(ask_again(f, others), 0);
	assert_int_equal(f->came, SIZE);
	assert_string_equal(state_of(f), "up");
}

/* The longest is a second more than its patience, and then once more. */
static void is_left_soon(struct fixture *f, enum manner manner, const char *state)
{
	int64_t began_ms = clock_ms();

	assert_int_equal(ask(f, manner), SOURCE_PASS);
	assert_in_range(clock_ms() - began_ms, 2000, 9500);
	assert_string_equal(state_of(f), state);
}

static void who_drips_a_head_is_left(void **state)
{
	is_left_soon(*state, DRIPS_HEAD, "silent");
}

static void who_drips_words_is_left(void **state)
{
	is_left_soon(*state, DRIPS_WORDS, "silent");
}

static void who_drips_behind_words_is_left(void **state)
{
	is_left_soon(*state, DRIPS_BEHIND, "silent");
}

static void who_says_shortly_that_it_has_not_is_up(void **state)
{
	assert_int_equal(ask(*state, HAS_NOT), SOURCE_PASS);
	assert_string_equal(state_of(*state), "up");
}

static void who_drips_behind_a_whole_chunk_is_left(void **state)
{
	struct fixture *f = *state;

	is_left_soon(f, DRIPS, "slow");
	assert_int_equal(f->came, CHUNK_BYTES);
	assert_true(f->taken_back > 0);
	assert_int_equal(f->laid, 0);
}

static enum provenance_giver giver_of_first(struct fixture *f)
{
	char etag[DIGEST_HEX_MAX + 1] = "", who[MEMBER_ADDRESS_MAX + 1];

	memset(etag, f->letter, DIGEST_HEX_MAX);
	return provenance_giver(f->provenance, etag, 0, who);
}

static void who_only_falters_is_not(void **state)
{
	assert_int_equal(ask(*state, FALTERS), 0);
	assert_string_equal(state_of(*state), "up");
	assert_int_equal(giver_of_first(*state), PROVENANCE_MEMBER);
}

static void what_fails_here_is_not_the_members_fault(void **state)
{
	const int says[] = { ERR_FULL, -ENOSPC, -ENOMEM, ERR_TIMEOUT };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(says) / sizeof(*says); i++) {
		f->sink_says = says[i];
		assert_int_equal(ask(f, GIVES), says[i]);
		assert_string_equal(state_of(f), "new");
	}
	assert_int_equal(metrics_get(&f->counts.bytes_in), 0);
	assert_int_equal(f->taken_back, ARRAY_LEN(says));
	assert_int_equal(giver_of_first(f), PROVENANCE_NOBODY);
}

static void what_cannot_be_laid_here_is_not_either(void **state)
{
	struct fixture *f = *state;

	f->lay_says = -ENOSPC;
	assert_int_equal(ask(f, GIVES), -ENOSPC);
	assert_string_equal(state_of(f), "new");
	assert_int_equal(f->came, 0);
	assert_int_equal(f->taken_back, 1);
	assert_int_equal(giver_of_first(f), PROVENANCE_NOBODY);
}

static void who_breaks_off_is_silent(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, BREAKS_OFF), SOURCE_PASS);
	assert_string_equal(state_of(f), "silent");
	assert_int_equal(f->came, 0);
	assert_int_equal(f->taken_back, 1);
	assert_int_equal(metrics_get(&f->counts.bytes_twice), 1000);
}

/* The twin; and that it takes long here until there is room for what came is not its fault. */
static void who_goes_on_is_not(void **state)
{
	struct fixture *f = *state;

	f->lay_takes_ms = 6000;
	assert_int_equal(ask(f, HALTS), 0);
	assert_string_equal(state_of(f), "up");
	assert_int_equal(f->came, SIZE);
	assert_int_equal(f->taken_back, 0);
}

static void who_has_no_connection_free_refuses_nobody(void **state)
{
	struct fixture *f = *state;
	int64_t began_ms = clock_ms();

	assert_int_equal(ask(f, IS_FULL), SOURCE_PASS);
	assert_in_range(clock_ms() - began_ms, 0, 2000);
	assert_int_equal(f->asked, 1);
	assert_string_equal(state_of(f), "busy");
	member_note(f->other.member, MEMBER_ANSWERED, 0, -1, clock_ms());
	assert_int_equal(ask(f, GIVES), 0);
}

static void who_signs_nothing_else_refuses(void **state)
{
	assert_int_equal(ask(*state, IS_A_STRANGER), SOURCE_PASS);
	assert_string_equal(state_of(*state), "refused");
}

static void who_hangs_up_is_silent(void **state)
{
	assert_int_equal(ask(*state, HANGS_UP), SOURCE_PASS);
	assert_string_equal(state_of(*state), "silent");
}

static void note_failures(void *arg, const struct member_status *s)
{
	if (!s->self)
		*(unsigned *)arg = s->failures;
}

/* One that was silent, and is tried when it is of that manner. */
static unsigned failures_after_a_trial(struct fixture *f, enum manner manner)
{
	struct member *one = f->other.member;
	unsigned failures = 0;

	f->manner = manner;
	member_note(one, MEMBER_SILENT, 0, -1, clock_ms());
	clock_sleep_ms(MEMBER_HICCUP_MS + 1);
	assert_true(probes_take(f->probes, one));
	clock_sleep_ms(500);
	members_each(f->other.members, clock_ms(), note_failures, &failures);
	return failures;
}

static void who_has_no_connection_free_for_a_trial_is_not_silent_again(void **state)
{
	assert_int_equal(failures_after_a_trial(*state, IS_FULL), 1);
}

static void who_hangs_up_when_it_is_tried_is(void **state)
{
	assert_int_equal(failures_after_a_trial(*state, HANGS_UP), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(who_gives_is_up),
		TEST(whole_chunks_are_asked_for_and_what_is_wanted_of_them_is_given),
		TEST(who_gives_only_asks_nobody_and_vouches_for_what_hubs_give),
		TEST(who_gives_less_than_a_chunk_is_not_asked_for_the_rest),
		TEST(hope_that_comes_at_once_is_asked_for_seldom),
		TEST(who_answers_nonsense_is_left),
		TEST(who_answers_what_is_no_answer_is_left),
		TEST(nonsense_that_nobody_has_signed_is_silence),
		TEST(who_leaves_does_not_wait_until_he_may_ask_again),
		TEST(what_is_as_published_is_given_and_told_of),
		TEST(what_is_otherwise_than_published_is_refused_and_its_giver_is_told_of),
		TEST(what_is_otherwise_than_witnessed_is_likewise),
		TEST(what_cannot_be_compared_any_more_is_not_given),
		TEST(what_never_could_be_is),
		TEST(what_was_found_wrong_is_not_taken_again_and_nobody_is_blamed),
		TEST(what_comes_in_its_place_is_taken),
		TEST(who_drips_a_head_is_left),
		TEST(who_drips_words_is_left),
		TEST(who_drips_behind_words_is_left),
		TEST(who_says_shortly_that_it_has_not_is_up),
		TEST(who_drips_behind_a_whole_chunk_is_left),
		TEST(who_only_falters_is_not),
		TEST(what_fails_here_is_not_the_members_fault),
		TEST(what_cannot_be_laid_here_is_not_either),
		TEST(who_breaks_off_is_silent),
		TEST(who_goes_on_is_not),
		TEST(who_has_no_connection_free_refuses_nobody),
		TEST(who_signs_nothing_else_refuses),
		TEST(who_hangs_up_is_silent),
		TEST(who_has_no_connection_free_for_a_trial_is_not_silent_again),
		TEST(who_hangs_up_when_it_is_tried_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
