/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fetching.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/fetch/pull.h"

static int no_room(UNUSED void *arg, UNUSED int refusal)
{
	return 0;
}

static void on_wrong(UNUSED void *arg, UNUSED const char *etag)
{
}

void fetching_init(struct fetching *f, const char *hub, uint64_t seed, bool asked)
{
	const struct httpc_conf http = { .user_agent = "test",
					 .connect_ms = 1000,
					 .stall_ms = 5000 };
	CLEANUP(buf_free) struct buf why = { 0 };
	struct fetch_conf conf = {
		.sources = f->hubs,
		.source_count = asked,
		.timeout_ms = 2000,
		.memory_bytes = UINT64_C(64) << 20,
		.make_room = no_room,
		.outcry = { .on_wrong = on_wrong,
			    .metrics = &f->metrics,
			    .failures = &f->failures },
	};

	*f = (struct fetching){ 0 };
	workdir_init(&f->dir);
	failures_init(&f->failures);
	fake_source_init(&f->hub, hub, seed);
	f->hubs[0] = &f->hub.source;
	assert_int_equal(httpc_new(&http, &f->http), 0);
	assert_int_equal(store_open(f->dir.path, "me", &f->store, &why), 0);
	assert_int_equal(catalog_open(store_index_dir(f->store), &f->catalog, &why), 0);
	conf.http = f->http;
	conf.store = f->store;
	conf.catalog = f->catalog;
	assert_int_equal(fetch_new(&conf, &f->fetch), 0);
}

static int assert_closed(UNUSED void *arg, void *value)
{
	const struct pull *p = value;

	assert_int_equal(p->readers, 0);
	return 0;
}

void fetching_fini(struct fetching *f)
{
	map_each(&fetch_pulls(f->fetch)->by_etag, assert_closed, NULL);
	fetch_free(f->fetch);
	fake_source_fini(&f->hub);
	catalog_close(f->catalog);
	store_close(f->store);
	failures_fini(&f->failures);
	httpc_free(f->http);
	workdir_fini(&f->dir);
}
