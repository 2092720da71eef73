/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/outcry.h"

#include "daemon/base/err.h"
#include "daemon/base/log.h"

static void tell(const struct outcry *o, const char *etag, const char *source, int r)
{
	o->on_wrong(o->arg, etag);
	if (o->failures)
		failures_note(o->failures, etag, source, r);
}

void outcry_lie(const struct outcry *o, const struct source_blob *what, const char *source)
{
	tell(o, what->etag, source, ERR_DIGEST);
	metrics_count(o->metrics, wrong_digests, 1);
	log_err(ERR_DIGEST, "dropped etag=%s repo=%s path=%s source=%s, will fetch it again",
		what->etag, what->repo.name, what->path, source);
}

void outcry_doubt(const struct outcry *o, const struct source_blob *what)
{
	tell(o, what->etag, "", ERR_DIGEST);
	metrics_count(o->metrics, wrong_digests, 1);
	log_err(ERR_DIGEST, "looking for what is wrong in etag=%s repo=%s path=%s", what->etag,
		what->repo.name, what->path);
}

void outcry_part(const struct outcry *o, const struct source_blob *what)
{
	tell(o, what->etag, "", ERR_DIGEST);
}

void outcry_rot(const struct outcry *o, const struct source_blob *what)
{
	tell(o, what->etag, "", ERR_CORRUPT);
	log_err(ERR_CORRUPT, "rotten chunks of etag=%s repo=%s path=%s, will fetch them again",
		what->etag, what->repo.name, what->path);
}
