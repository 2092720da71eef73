/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_kept.h"

#include <errno.h>
#include <string.h>

#include "admin/backup.h"
#include "admin/collector.h"
#include "admin/registry/holdings.h"
#include "admin/scrubber.h"
#include "daemon/base/conf_value.h"
#include "daemon/base/err.h"
#include "daemon/job_json.h"
#include "daemon/keeper.h"

#define SIZE_LETTERS_MAX 32

/* --- shapes */

static const struct api_field collect_fields[] = {
	{ .name = "dry_run", .kind = API_BOOL, .doc = "Only find out what would go." },
	{ 0 },
};
const struct api_shape api_collect_shape = { "Collect", collect_fields };

static const struct api_field item_fields[] = {
	{ .name = "what", .kind = API_WORD, .needed = true, .words = "blob|commit|upload" },
	API_TEXT_ROW("id"),
	{ .name = "repo", .kind = API_TEXT, .needed = true, .null = true },
	API_COUNT_ROW("bytes"),
	API_TEXT_ROW("why"),
	{ 0 },
};
static const struct api_shape item_shape = { "Collectible", item_fields };

static const struct api_field collected_fields[] = {
	{ .name = "dry_run", .kind = API_BOOL, .needed = true },
	{ .name = "complete", .kind = API_BOOL, .needed = true, .doc = "It came to its end." },
	{ .name = "began", .kind = API_COUNT, .needed = true, .null = true },
	{ .name = "ended", .kind = API_COUNT, .needed = true, .null = true },
	API_COUNT_ROW("blobs"),
	API_COUNT_ROW("bytes"),
	API_COUNT_ROW("objects"),
	API_COUNT_ROW("uploads"),
	API_COUNT_ROW("spared"),
	API_COUNT_ROW("mended"),
	API_COUNT_ROW("left_alone"),
	API_COUNT_ROW("looked"),
	API_COUNT_ROW("items_total"),
	{ .name = "items", .kind = API_LIST, .needed = true, .of = &item_shape },
	{ 0 },
};
const struct api_shape api_collected_shape = { "Collected", collected_fields };

static const struct api_field loss_fields[] = {
	API_TEXT_ROW("etag"),
	{ .name = "state", .kind = API_WORD, .needed = true, .words = "damaged|missing" },
	{ 0 },
};
static const struct api_shape loss_shape = { "Loss", loss_fields };

static const struct api_field scrubbed_fields[] = {
	{ .name = "complete", .kind = API_BOOL, .needed = true, .doc = "It came to its end." },
	{ .name = "began", .kind = API_COUNT, .needed = true, .null = true },
	{ .name = "ended", .kind = API_COUNT, .needed = true, .null = true },
	API_COUNT_ROW("blobs"),
	API_COUNT_ROW("bytes"),
	API_COUNT_ROW("damaged"),
	API_COUNT_ROW("missing"),
	API_COUNT_ROW("healed"),
	{ .name = "lost", .kind = API_LIST, .needed = true, .of = &loss_shape },
	{ 0 },
};
const struct api_shape api_scrubbed_shape = { "Scrubbed", scrubbed_fields };

static const struct api_field backup_fields[] = {
	{ .name = "rows", .kind = API_TEXT, .needed = true, .doc = "Where the copy of them is." },
	{ .name = "until",
	  .kind = API_COUNT,
	  .needed = true,
	  .doc = "Before that nothing is collected." },
	{ 0 },
};
const struct api_shape api_backup_shape = { "Backup", backup_fields };

static const struct api_field quota_fields[] = {
	API_TEXT_ROW("namespace"),
	API_COUNT_ROW("used_bytes"),
	API_COUNT_ROW("files"),
	{ .name = "limit_bytes", .kind = API_COUNT, .needed = true, .null = true },
	{ 0 },
};
const struct api_shape api_quota_shape = { "Quota", quota_fields };

static const struct api_field quota_change_fields[] = {
	{ .name = "size",
	  .kind = API_ASCII,
	  .needed = true,
	  .min = 1,
	  .max = SIZE_LETTERS_MAX,
	  .pattern = "^([1-9][0-9]{0,3}[KMGTP]i?B|[1-9][0-9]{0,17}|none)$",
	  .doc = "As \"10GiB\", a byte at least; \"none\" is no limit." },
	{ 0 },
};
const struct api_shape api_quota_change_shape = { "QuotaChange", quota_change_fields };

/* --- collecting */

int api_collect(struct api_call *c)
{
	struct server *s = c->ask->server;
	struct job_progress p;
	uint64_t id;
	int r = collector_start(s->collector, api_bool(c, "dry_run") == 1, &id);

	buf_add_str(&c->subject, api_bool(c, "dry_run") == 1 ? "dry run" : "");
	if (r == 0)
		r = keeper_job(s->keeper, id, &p);
	if (r == 0)
		job_write(&p, &c->w);
	return r;
}

/* Items come after they were counted. */
static void write_item(void *arg, const struct sweep_item *item)
{
	struct jwrite *w = arg;

	jwrite_object(w, NULL);
	jwrite_text(w, "what", item->what);
	jwrite_text(w, "id", item->id);
	jwrite_text(w, "repo", item->repo);
	jwrite_uint(w, "bytes", item->bytes);
	jwrite_text(w, "why", item->why);
	jwrite_object_end(w);
}

static void write_second(struct jwrite *w, const char *key, int64_t s)
{
	if (s)
		jwrite_int(w, key, s);
	else
		jwrite_null(w, key);
}

int api_collected(struct api_call *c)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	const char *text = api_query(c, "dry_run", &room);
	bool dry = text && !strcmp(text, "true");
	struct collector_report report;
	struct jwrite *w = &c->w;

	jwrite_object(w, NULL);
	jwrite_bool(w, "dry_run", dry);
	jwrite_array(w, "items");
	collector_tell(c->ask->server->collector, dry, &report, write_item, w);
	jwrite_array_end(w);
	jwrite_uint(w, "items_total", report.items);
	jwrite_bool(w, "complete", report.done);
	write_second(w, "began", report.began_s);
	write_second(w, "ended", report.ended_s);
	jwrite_uint(w, "blobs", report.counts.blobs);
	jwrite_uint(w, "bytes", report.counts.bytes);
	jwrite_uint(w, "objects", report.counts.objects);
	jwrite_uint(w, "uploads", report.counts.uploads);
	jwrite_uint(w, "spared", report.counts.spared);
	jwrite_uint(w, "mended", report.counts.mended);
	jwrite_uint(w, "left_alone", report.counts.left_alone);
	jwrite_uint(w, "looked", report.counts.looked);
	jwrite_object_end(w);
	return 0;
}

/* --- scrubbing */

int api_scrub(struct api_call *c)
{
	struct server *s = c->ask->server;
	struct job_progress p;
	uint64_t id;
	int r = scrubber_start(s->scrubber, &id);

	if (r == 0)
		r = keeper_job(s->keeper, id, &p);
	if (r == 0)
		job_write(&p, &c->w);
	return r;
}

static void write_loss(void *arg, const char *etag, bool missing)
{
	struct jwrite *w = arg;

	jwrite_object(w, NULL);
	jwrite_text(w, "etag", etag);
	jwrite_text(w, "state", missing ? "missing" : "damaged");
	jwrite_object_end(w);
}

int api_scrubbed(struct api_call *c)
{
	struct scrubber_report report;
	struct jwrite *w = &c->w;

	jwrite_object(w, NULL);
	jwrite_array(w, "lost");
	scrubber_tell(c->ask->server->scrubber, &report, write_loss, w);
	jwrite_array_end(w);
	jwrite_bool(w, "complete", report.done);
	write_second(w, "began", report.began_s);
	write_second(w, "ended", report.ended_s);
	jwrite_uint(w, "blobs", report.counts.looked);
	jwrite_uint(w, "bytes", report.counts.looked_bytes);
	jwrite_uint(w, "damaged", report.counts.damaged);
	jwrite_uint(w, "missing", report.counts.missing);
	jwrite_uint(w, "healed", report.counts.healed);
	jwrite_object_end(w);
	return 0;
}

/* --- backup */

int api_backup(struct api_call *c)
{
	CLEANUP(buf_free) struct buf dir = { 0 };
	int64_t until_s = 0;
	int r = backup_begin(c->ask->server, &dir, &until_s);

	if (r < 0)
		return r;
	jwrite_object(&c->w, NULL);
	jwrite_text(&c->w, "rows", buf_str(&dir));
	jwrite_int(&c->w, "until", until_s);
	jwrite_object_end(&c->w);
	return 0;
}

int api_backup_end(struct api_call *c)
{
	int r = backup_end(c->ask->server);

	return r < 0 ? r : api_nothing(c);
}

/* --- quotas */

static void write_quota(struct jwrite *w, const char *namespace, const struct holdings_use *use)
{
	jwrite_object(w, NULL);
	jwrite_text(w, "namespace", namespace);
	jwrite_uint(w, "used_bytes", use->bytes);
	jwrite_uint(w, "files", use->files);
	if (use->limit)
		jwrite_uint(w, "limit_bytes", use->limit);
	else
		jwrite_null(w, "limit_bytes");
	jwrite_object_end(w);
}

struct listing {
	struct api_page page;
	const char *after; /* or NULL */
};

static int list_quota(void *arg, const char *namespace, const struct holdings_use *use)
{
	struct listing *l = arg;

	if (!api_page_room(&l->page, namespace))
		return 1;
	write_quota(&l->page.call->w, namespace, use);
	return 0;
}

static int list_quotas(struct db_txn *t, void *arg)
{
	struct listing *l = arg;

	return holdings_each_use(t, l->after, list_quota, l);
}

int api_quotas(struct api_call *c)
{
	CLEANUP(buf_free) struct buf room = { 0 };
	struct listing l = { .after = NULL };
	int r;

	l.page = api_page_begin(c, &room, &l.after);
	r = db_read(api_db(c), list_quotas, &l);
	api_page_end(&l.page);
	return r < 0 ? r : 0;
}

struct change {
	char namespace[ACCOUNT_NAME_MAX + 1];
	uint64_t limit;
	struct holdings_use use;
};

static int change(struct db_txn *t, void *arg)
{
	struct change *to = arg;
	int r = holdings_limit(t, to->namespace, to->limit);

	return r < 0 ? r : holdings_use(t, to->namespace, &to->use);
}

static int take_size(struct api_call *c, const char *size, uint64_t *ret)
{
	*ret = 0;
	if (!strcmp(size, "none"))
		return 0;
	if (conf_value_bytes(size, ret) < 0)
		return api_complain(c, -EINVAL, "\"%s\" is no size: as 10GiB, or none", size);
	if (*ret)
		return 0;
	return api_complain(c, -EINVAL,
			    "a limit is one byte at least, with which nothing more comes in; "
			    "none is no limit");
}

int api_quota_put(struct api_call *c)
{
	const char *size = api_text(c, "size", "");
	struct account account;
	struct change to = { .limit = 0 };
	int r = accounts_get(api_db(c), c->params[0], &account);

	if (r == -ENOENT)
		return api_complain(c, r, "there is no user or organization \"%s\"", c->params[0]);
	if (r == 0)
		r = take_size(c, size, &to.limit);
	if (r < 0)
		return r;
	buf_printf(&c->subject, "%s to %s", account.name, size);
	account_key(account.name, to.namespace);
	r = db_write(api_db(c), change, &to);
	if (r == 0)
		write_quota(&c->w, account.name, &to.use);
	return r;
}
