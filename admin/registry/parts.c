/* SPDX-License-Identifier: Apache-2.0 */
/* A file's parts are written into one sparse file; eight bytes for each, its XXH3, in a second one
 * say which are there. What a crash leaves of them may be torn: the digest of the whole finds out.
 * While parts of a file come it cannot be joined: who still had it open could change a blob. */
#include "admin/registry/parts.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/err.h"
#include "daemon/base/file.h"
#include "daemon/base/lock.h"
#include "daemon/base/map.h"
#include "daemon/base/num.h"

#define PREFIX "parts-"
#define SUMS ".sums"
/* parts-OID-REPO-PARTBYTES */
#define NAME_MAX_LEN (sizeof(PREFIX "--") + DIGEST_HEX_MAX + 16 + 20)
#define SUMS_MAX_LEN (NAME_MAX_LEN + sizeof(SUMS))

/* One that somebody works on. */
struct open_file {
	char name[NAME_MAX_LEN];
	unsigned coming;
	bool joining;
};

struct parts {
	struct intake *in;
	struct lock lock;
	struct map open; /* name -> struct open_file; guarded by lock */
};

struct part {
	struct parts *parts;
	char name[NAME_MAX_LEN];
	uint32_t number;
	uint64_t at, len, done;
	int fd, sums_fd;
	struct xxh3 *sum;
};

uint32_t parts_count(const struct parts_of *of)
{
	return (uint32_t)((of->size + of->part_bytes - 1) / of->part_bytes);
}

uint64_t parts_len(const struct parts_of *of, uint32_t number)
{
	return min_u64(of->part_bytes, of->size - (number - 1) * of->part_bytes);
}

int parts_new(struct intake *in, struct parts **ret)
{
	struct parts *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	p->in = in;
	lock_init(&p->lock, LOCK_PARTS);
	*ret = p;
	return 0;
}

void parts_free(struct parts *p)
{
	if (!p)
		return;
	map_fini(&p->open);
	lock_fini(&p->lock);
	free(p);
}

static void name_of(const struct parts_of *of, char ret[static NAME_MAX_LEN])
{
	snprintf(ret, NAME_MAX_LEN, PREFIX "%s-%016" PRIx64 "-%" PRIu64, of->oid,
		 xxh3_of(of->repo, strlen(of->repo)), of->part_bytes);
}

/* ---- who works on it ---- */

static int enter_locked(struct parts *p, const char *name, bool joins)
{
	struct open_file *f = map_find_str(&p->open, name);
	int r;

	if (f && (joins || f->joining))
		return -EBUSY;
	if (f) {
		f->coming++;
		return 0;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	snprintf(f->name, sizeof(f->name), "%s", name);
	f->coming = 1;
	f->joining = joins;
	r = map_put_str(&p->open, f->name, f);
	if (r < 0)
		free(f);
	return r;
}

static int enter(struct parts *p, const char *name, bool joins)
{
	int r;

	lock_take(&p->lock);
	r = enter_locked(p, name, joins);
	lock_drop(&p->lock);
	return r;
}

static void leave(struct parts *p, const char *name)
{
	struct open_file *f;

	lock_take(&p->lock);
	f = map_find_str(&p->open, name);
	if (--f->coming == 0)
		free(map_del_str(&p->open, name));
	lock_drop(&p->lock);
}

/* ---- one part ---- */

static int open_sums(struct parts *p, const char *name, int flags)
{
	char sums[SUMS_MAX_LEN];
	int fd;

	snprintf(sums, sizeof(sums), "%s" SUMS, name);
	fd = openat(intake_staging(p->in), sums, flags | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : fd;
}

static int put_sum(int fd, uint32_t number, uint64_t sum)
{
	sum = htole64(sum);
	return file_pwrite(fd, &sum, sizeof(sum), (number - 1) * sizeof(sum));
}

static int open_part(struct part *w)
{
	struct parts *p = w->parts;

	w->fd = openat(intake_staging(p->in), w->name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (w->fd < 0)
		return -errno;
	w->sums_fd = open_sums(p, w->name, O_RDWR | O_CREAT);
	if (w->sums_fd < 0)
		return w->sums_fd;
	return put_sum(w->sums_fd, w->number, 0); /* until it has come again */
}

static void part_dropp(struct part **w)
{
	part_drop(*w);
}

int parts_begin(struct parts *p, const struct parts_of *of, uint32_t number, struct part **ret)
{
	CLEANUP(part_dropp) struct part *w = NULL;
	char name[NAME_MAX_LEN];
	int r;

	if (number < 1 || number > parts_count(of))
		return -EINVAL;
	name_of(of, name);
	r = intake_has_room(p->in, parts_len(of, number));
	if (r == 0)
		r = enter(p, name, false);
	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w) {
		leave(p, name);
		return -ENOMEM;
	}
	*w = (struct part){ .parts = p,
			    .number = number,
			    .at = (number - 1) * of->part_bytes,
			    .len = parts_len(of, number),
			    .fd = -1,
			    .sums_fd = -1 };
	memcpy(w->name, name, sizeof(name));
	r = xxh3_new(&w->sum);
	if (r == 0)
		r = open_part(w);
	if (r == 0)
		r = intake_allocate(p->in, w->fd, w->at, w->len);
	if (r == 0)
		*ret = steal(w);
	return err_is_full(r) ? ERR_READ_ONLY : r;
}

int part_add(struct part *w, const void *data, size_t len)
{
	int r;

	if (len > w->len - w->done)
		return ERR_SIZE;
	r = file_pwrite(w->fd, data, len, w->at + w->done);
	if (r < 0)
		return r;
	xxh3_update(w->sum, data, len);
	file_flush(w->fd, w->at + w->done, len);
	w->done += len;
	return 0;
}

static void print_sum(uint64_t sum, char ret[static PARTS_SUM_HEX + 1])
{
	snprintf(ret, PARTS_SUM_HEX + 1, "%016" PRIx64, sum);
}

int part_end(struct part *w, char ret[static PARTS_SUM_HEX + 1])
{
	if (w->done != w->len)
		return ERR_SIZE;
	print_sum(xxh3_value(w->sum), ret);
	return put_sum(w->sums_fd, w->number, xxh3_value(w->sum));
}

void part_drop(struct part *w)
{
	if (!w)
		return;
	closep(&w->fd);
	closep(&w->sums_fd);
	xxh3_free(w->sum);
	leave(w->parts, w->name);
	free(w);
}

/* ---- all of them ---- */

/* As an entity tag it stands in quotes. */
static bool is_sum(const char *text, const char *hex)
{
	bool quoted = *text == '"';

	text += quoted;
	return strncmp(text, hex, PARTS_SUM_HEX) == 0 &&
	       strcmp(text + PARTS_SUM_HEX, quoted ? "\"" : "") == 0;
}

static int check_sums(struct parts *p, const struct parts_of *of, const char *name,
		      const char *const *want, uint32_t *ret_number)
{
	CLEANUP(closep) int fd = open_sums(p, name, O_RDONLY);
	char hex[PARTS_SUM_HEX + 1];
	uint64_t sum = 0;

	*ret_number = 1;
	if (fd < 0)
		return fd == -ENOENT ? -ENODATA : fd;
	for (uint32_t i = 1; i <= parts_count(of); i++) {
		int r = file_pread(fd, &sum, sizeof(sum), (i - 1) * sizeof(sum));

		*ret_number = i;
		if (r < 0)
			return r;
		print_sum(le64toh(sum), hex);
		if (!sum || !is_sum(want[i - 1], hex))
			return -ENODATA;
	}
	return 0;
}

static void remove_sums(struct parts *p, const char *name)
{
	char sums[SUMS_MAX_LEN];

	snprintf(sums, sizeof(sums), "%s" SUMS, name);
	unlinkat(intake_staging(p->in), sums, 0);
}

static int join(struct parts *p, const struct parts_of *of, const char *name,
		const char *const *sums, uint32_t *ret_number)
{
	const struct intake_want want = { DIGEST_SHA256, of->size, of->oid };
	CLEANUP(intake_dropp) struct intake_file *f = NULL;
	int r = check_sums(p, of, name, sums, ret_number);

	if (r == 0)
		r = intake_adopt(p->in, &want, name, &f);
	if (r < 0)
		return r;
	remove_sums(p, name); /* whatever comes of it, it is no file in parts any more */
	r = intake_end(f);
	return r == 0 ? intake_keep(p->in, &f, 1) : r;
}

int parts_join(struct parts *p, const struct parts_of *of, const char *const *sums,
	       uint32_t *ret_number)
{
	char name[NAME_MAX_LEN];
	int r;

	name_of(of, name);
	r = enter(p, name, true);
	if (r < 0)
		return r;
	r = join(p, of, name, sums, ret_number);
	leave(p, name);
	return r;
}

/* ---- what was left ---- */

struct sweep {
	struct parts *parts;
	int64_t before_s;
};

static void sweep_one(void *arg, const char *name)
{
	const struct sweep *w = arg;
	int stage = intake_staging(w->parts->in);
	char data[NAME_MAX_LEN];
	size_t len = strcspn(name, ".");
	struct stat st;

	if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || len >= sizeof(data) ||
	    fstatat(stage, name, &st, 0) < 0 || st.st_mtim.tv_sec >= w->before_s)
		return;
	snprintf(data, sizeof(data), "%.*s", (int)len, name);
	if (enter(w->parts, data, true) < 0)
		return;
	unlinkat(stage, name, 0);
	leave(w->parts, data);
}

void parts_sweep(struct parts *p, int64_t before_s)
{
	struct sweep w = { p, before_s };

	file_each_name(intake_staging(p->in), sweep_one, &w);
}

bool parts_coming(struct parts *p, const char *repo, int64_t since_s)
{
	char part[2 + 16 + 1]; /* as it stands in names */

	snprintf(part, sizeof(part), "-%016" PRIx64 "-", xxh3_of(repo, strlen(repo)));
	return intake_stages(p->in, PREFIX, part, since_s);
}
