/* SPDX-License-Identifier: Apache-2.0 */
/* Input: calls of NFS, MOUNT and the portmapper, one behind another: which procedure, who says to
 * be asking, and arguments put together of handles, names, numbers and attributes as RFC 1813 has
 * them; at their end they may be cut, bent or lengthened. They go over a socket to an export of a
 * small cache. Each call is answered, with garbage only if it is that; and each answer is taken
 * apart to its last byte as the RFC writes it. The handles of an answer are those of calls behind
 * it. What an input has changed is forgotten before the next. */
#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/file.h"
#include "daemon/base/log.h"
#include "daemon/cache/catalog.h"
#include "daemon/cache/store.h"
#include "fs/nfs.h"
#include "fs/nfs_proto.h"
#include "fs/rpc.h"
#include "tests/seeded_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
const char *__lsan_default_suppressions(void);

#define CALLS_MAX 16 /* of an input */
#define SLOTS_MAX 64
#define ANSWER_MAX (2 << 20)
#define WAIT_S 60 /* on a busy machine, too */
#define MODEL "hub/models--org--model"
#define READ 6
#define AUTH_NONE 0
#define AUTH_SYS 1
#define AUTH_DES 3 /* is not spoken here */

/* ---- what is called ---- */

/* Letters of arguments: h handle, n name, p path, u number, q long one, v verifier, s sattr3, g its
 * guard, d bytes to write, c how to create, k what to make with mknod.
 * Letters of answers: h, u, q and v alike, b bool, a fattr3, A the same or none, H a handle or
 * none, w wcc_data, o opaque, t time; lists: e of READDIR, E of READDIRPLUS, l of numbers, m of
 * DUMP, x of EXPORT, r of the portmapper. */
struct kind {
	uint32_t program, number;
	const char *args, *good;
	const char *bad; /* the answer of a failure; NULL: it has no status */
};

static const struct kind kinds[] = {
	{ NFS_PROGRAM, 0, "", "", NULL },          { NFS_PROGRAM, 1, "h", "a", "" },
	{ NFS_PROGRAM, 2, "hsg", "w", "w" },       { NFS_PROGRAM, 3, "hn", "hAA", "A" },
	{ NFS_PROGRAM, 4, "hu", "Au", "A" },       { NFS_PROGRAM, 5, "h", "Ao", "A" },
	{ NFS_PROGRAM, READ, "hqu", "Aubo", "A" }, { NFS_PROGRAM, 7, "hquud", "wuuv", "w" },
	{ NFS_PROGRAM, 8, "hnc", "HAw", "w" },     { NFS_PROGRAM, 9, "hns", "HAw", "w" },
	{ NFS_PROGRAM, 10, "hnsp", "HAw", "w" },   { NFS_PROGRAM, 11, "hnk", "HAw", "w" },
	{ NFS_PROGRAM, 12, "hn", "w", "w" },       { NFS_PROGRAM, 13, "hn", "w", "w" },
	{ NFS_PROGRAM, 14, "hnhn", "ww", "ww" },   { NFS_PROGRAM, 15, "hhn", "Aw", "Aw" },
	{ NFS_PROGRAM, 16, "hqvu", "Ave", "A" },   { NFS_PROGRAM, 17, "hqvuu", "AvE", "A" },
	{ NFS_PROGRAM, 18, "h", "Aqqqqqqu", "A" }, { NFS_PROGRAM, 19, "h", "Auuuuuuuqtu", "A" },
	{ NFS_PROGRAM, 20, "h", "Auubbbb", "A" },  { NFS_PROGRAM, 21, "hqu", "wv", "w" },
	{ MOUNT_PROGRAM, 0, "", "", NULL },        { MOUNT_PROGRAM, 1, "p", "hl", "" },
	{ MOUNT_PROGRAM, 2, "", "m", NULL },       { MOUNT_PROGRAM, 3, "p", "", NULL },
	{ MOUNT_PROGRAM, 4, "", "", NULL },        { MOUNT_PROGRAM, 5, "", "x", NULL },
	{ PORTMAP_PROGRAM, 0, "", "", NULL },      { PORTMAP_PROGRAM, 3, "uuuu", "u", NULL },
	{ PORTMAP_PROGRAM, 4, "", "r", NULL },
};

/* Where the first handles come from, each by LOOKUP along its path. */
static const char *const paths[] = {
	"",
	"hub",
	"hub/.locks",
	"files",
	"files/org",
	"files/org/model",
	"files/org/model/layers",
	"files/org/model/config.json",
	"files/org/model/README.md",
	MODEL,
	MODEL "/blobs",
	MODEL "/refs",
	MODEL "/refs/main",
	MODEL "/refs/feature",
	MODEL "/snapshots",
	MODEL "/snapshots/" COMMIT_MAIN,
	MODEL "/snapshots/" COMMIT_MAIN "/config.json",
	MODEL "/trees",
	MODEL "/trees/" COMMIT_MAIN ".json",
	MODEL "/.no_exist",
	MODEL "/.no_exist/" COMMIT_MAIN,
	"hub/models--old--model",
	"files/datasets",
	MODEL "/blobs/" ETAG_SHARD_1, /* the last: SHARD */
};

#define SHARD (ARRAY_LEN(paths) - 1)

static const char *const names[] = {
	"config.json",
	"x",
	"y",
	"z",
	".",
	"..",
	"main",
	"hub",
	"files",
	"org",
	"model",
	"model@v1.0",
	"layers",
	".locks",
	"models--org--model",
	"none",
	".no_exist",
	COMMIT_MAIN,
	COMMIT_OTHER,
	COMMIT_NONE,
	"models--org--none",
	"refs",
	"blobs",
	"snapshots",
	"trees",
	ETAG_SHARD_1,
	COMMIT_MAIN ".json",
	"token",
	"layer2.bin",
	"model-00001-of-00002.safetensors",
	"feature",
	"CACHEDIR.TAG",
	"models--org--model.lock",
};

static const char *const targets[] = {
	"/",
	"/hub",
	"/files/org/model",
	"//files//org/./model/layers",
	"/hub/..",
	"",
	"/files/org/none",
	"/files/org/model/config.json",
	"x",
	"../x",
	"a/../../b",
	"/etc/passwd",
	"/hub/.locks",
	"x/y/z",
	"/hub/models--old--model",
};

static const uint32_t numbers[] = {
	0, 1, 2, 3, 511, 4096, 65536, 1 << 20, (1 << 20) + 1, INT32_MAX, 1U << 31, UINT32_MAX
};

/* ---- the export ---- */

struct slot {
	uint8_t len;
	uint8_t bytes[NFS_HANDLE_MAX];
};

static struct {
	struct seeded_node *node;
	struct underway underway;
	struct scope_rules *rules;
	struct nfs_clients *clients;
	struct nfs *nfs;
	char listen[32];
	uint16_t port;
	int fd; /* of the client */
	struct slot slots[SLOTS_MAX];
	unsigned count;      /* of slots */
	uint8_t verifier[8]; /* of the last listing, */
	uint64_t cookie;     /* ... and of an entry of it */
	uint32_t ctime[2];   /* of what was last looked at */
	uint8_t answer[ANSWER_MAX];
	bool changed;
} w = { .fd = -1 };

static uint8_t shard_byte(uint64_t off)
{
	return (uint8_t)(off * 131 + (off >> 12));
}

/* A file of the cache, whole and verified. */
static void keep(struct catalog *c, const char *dir, const char *etag, uint64_t size)
{
	const struct catalog_blob row = { .size = size, .sealed = true, .source = "fuzz" };
	char path[256];
	uint8_t *data = malloc(size);
	int fd;

	assert(data);
	for (uint64_t i = 0; i < size; i++)
		data[i] = shard_byte(i);
	snprintf(path, sizeof(path), "%s/blobs/%.2s", dir, etag);
	assert(mkdir(path, 0700) == 0 || errno == EEXIST);
	snprintf(path, sizeof(path), "%s/blobs/%.2s/%s", dir, etag, etag);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert(fd >= 0 && file_pwrite(fd, data, size, 0) == 0);
	assert(close(fd) == 0 && catalog_put_blob(c, etag, &row) == 0);
	free(data);
}

static void fill_cache(const char *dir)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct catalog *c = NULL;
	struct store *s = NULL;

	assert(store_open(dir, "fuzz", &s, &why) == 0);
	assert(catalog_open(store_index_dir(s), &c, &why) == 0);
	keep(c, dir, ETAG_SHARD_1, SEEDED_SHARD_BYTES);
	keep(c, dir, ETAG_CONFIG, 20);
	keep(c, dir, ETAG_DEEP, 700);
	catalog_close(c);
	store_close(s);
}

static void pick_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(at);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert(fd >= 0 && bind(fd, (struct sockaddr *)&at, len) == 0);
	assert(getsockname(fd, (struct sockaddr *)&at, &len) == 0 && close(fd) == 0);
	w.port = ntohs(at.sin_port);
	snprintf(w.listen, sizeof(w.listen), "127.0.0.1:%u", w.port);
}

static void hang_up(void)
{
	const struct linger now = { .l_onoff = 1 };

	if (w.fd < 0)
		return;
	assert(setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
	assert(close(w.fd) == 0);
	w.fd = -1;
}

static void dial(void)
{
	const struct sockaddr_in at = { .sin_family = AF_INET,
					.sin_port = htons(w.port),
					.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	const struct timeval most = { .tv_sec = WAIT_S };

	w.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert(w.fd >= 0);
	while (connect(w.fd, (const struct sockaddr *)&at, sizeof(at)) < 0 && errno != EISCONN)
		assert(errno == EINTR || errno == EALREADY); /* the fuzzer's clock */
	assert(setsockopt(w.fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof(most)) == 0);
}

static void make_clients(void)
{
	struct view theirs = w.node->view;

	theirs.hub_alone = true;
	assert(nfs_clients_new(w.rules, &theirs, node_metrics(w.node->node), &w.clients) == 0);
}

static void serve(void)
{
	static char allowed[] = "127.0.0.1";
	static char *const allow[] = { allowed };
	const struct nfs_conf conf = {
		.listen = w.listen,
		.allow = allow,
		.allow_count = 1,
		.rules = w.rules,
		.clients = w.clients,
		.portmap = true,
		.cache_dir = w.node->dir.path,
		.view = &w.node->view,
		.underway = &w.underway,
		.metrics = node_metrics(w.node->node),
		.timeout_ms = 200,
	};
	CLEANUP(buf_free) struct buf why = { 0 };

	assert(nfs_start(&conf, &w.nfs, &why) == 0);
	dial();
}

/* Whatever clients wrote is gone. */
static void serve_anew(void)
{
	const struct scratch_conf small = { .max_bytes = 1 << 18, .max_nodes = 100 };

	hang_up();
	nfs_stop(w.nfs);
	assert(nfs_free(w.nfs));
	scratch_free(w.node->scratch);
	assert(scratch_new(&small, &w.node->scratch) == 0);
	w.node->view.scratch = w.node->scratch;
	nfs_clients_free(w.clients);
	make_clients();
	serve();
	w.changed = false;
}

static void end(void)
{
	void *node = w.node;

	hang_up();
	nfs_stop(w.nfs);
	assert(nfs_free(w.nfs));
	underway_stop(&w.underway);
	nfs_clients_free(w.clients);
	scope_rules_free(w.rules);
	seeded_node_teardown(&node);
}

/* ---- calls ---- */

/* What the input has still to say; at its end, zeros. */
struct feed {
	const uint8_t *at;
	size_t left;
};

static uint8_t take(struct feed *f)
{
	if (!f->left)
		return 0;
	f->left--;
	return *f->at++;
}

/* A call in the making. */
struct call {
	const struct kind *kind;
	struct feed *feed;
	struct buf args;
	unsigned slot; /* of its first handle, or SLOTS_MAX */
	uint64_t off;  /* of a READ */
	bool handled;  /* it has a handle */
	bool garbage;  /* it may be */
};

static void put_raw(struct call *c, size_t len)
{
	uint8_t bytes[256];

	assert(len <= sizeof(bytes));
	for (size_t i = 0; i < len; i++)
		bytes[i] = take(c->feed);
	xdr_put_opaque(&c->args, bytes, len);
}

static void put_handle(struct call *c)
{
	uint8_t how = take(c->feed);
	struct slot h = w.slots[how % w.count];
	size_t bit;

	if (how >= 0xe8) {
		size_t len = take(c->feed) % (NFS_HANDLE_MAX + 8);

		c->garbage |= len > NFS_HANDLE_MAX;
		put_raw(c, len);
	} else {
		if (how >= 0xd0) {
			bit = take(c->feed) | (size_t)(take(c->feed) & 1) << 8;
			h.bytes[bit / 8 % h.len] ^= (uint8_t)(1 << bit % 8);
		} else if (!c->handled) {
			c->slot = how % w.count;
		}
		xdr_put_opaque(&c->args, h.bytes, h.len);
	}
	c->handled = true;
}

static void put_name(struct call *c)
{
	char xs[300];
	uint8_t how = take(c->feed);

	memset(xs, 'x', sizeof(xs));
	if (how < 0xc0)
		xdr_put_text(&c->args, names[how % ARRAY_LEN(names)]);
	else if (how < 0xf8)
		put_raw(c, how % 32);
	else
		xdr_put_opaque(&c->args, xs, 252 + how % 8);
}

static void put_path(struct call *c)
{
	char xs[2000];
	uint8_t how = take(c->feed);

	if (how < 0xa0) {
		xdr_put_text(&c->args, targets[how % ARRAY_LEN(targets)]);
	} else if (how < 0xf8) {
		put_raw(c, how % 64);
	} else {
		for (size_t i = 0; i < sizeof(xs); i++)
			xs[i] = i % 50 ? 'x' : '/';
		xdr_put_opaque(&c->args, xs, 1020 + (size_t)(how % 8) * (how % 8) * 16);
	}
}

static uint32_t number(struct call *c)
{
	uint8_t how = take(c->feed);
	uint32_t v = 0;

	if (how < 0x40)
		return numbers[how % ARRAY_LEN(numbers)];
	if (how < 0xc0)
		return (uint32_t)(how - 0x40) * 331;
	for (unsigned i = 0; i < sizeof(v); i++)
		v = v << 8 | take(c->feed);
	return v;
}

static uint64_t long_number(struct call *c)
{
	uint8_t how = take(c->feed);

	if (how < 0x40)
		return w.cookie;
	if (how < 0x80)
		return number(c);
	if (how < 0xc0)
		return SEEDED_SHARD_BYTES - (uint64_t)(how - 0x80) * 7;
	return (uint64_t)number(c) << 32 | number(c);
}

static void put_time(struct call *c, unsigned how)
{
	xdr_put_u32(&c->args, how);
	if (how == NFS_CLIENTS_TIME)
		xdr_put_u64(&c->args, (uint64_t)number(c) << 32 | number(c));
	c->garbage |= how > NFS_CLIENTS_TIME;
}

static void put_sattr(struct call *c)
{
	uint8_t what = take(c->feed);

	for (unsigned i = 0; i < 4; i++) {
		bool set = what >> i & 1;

		xdr_put_u32(&c->args, set);
		if (set && i == 3)
			xdr_put_u64(&c->args, what & 0x80 ? long_number(c) : take(c->feed));
		else if (set)
			xdr_put_u32(&c->args, number(c));
	}
	put_time(c, what >> 4 & 3);
	put_time(c, what >> 6 & 3);
}

static void put_guard(struct call *c)
{
	uint8_t how = take(c->feed) % 4;

	xdr_put_u32(&c->args, how);
	c->garbage |= how > 1;
	if (how == 1) {
		xdr_put_u32(&c->args, w.ctime[0]);
		xdr_put_u32(&c->args, w.ctime[1] ^ (take(c->feed) & 1));
	}
}

static void put_bytes(struct call *c)
{
	static const uint8_t zeros[NFS_WRITE_MAX + 8];
	size_t how = take(c->feed);

	if (how < 0x80) {
		put_raw(c, how);
		return;
	}
	c->garbage |= how > 0xf8; /* longer than may be */
	xdr_put_opaque(&c->args, zeros, how < 0xf0 ? how * 256 : NFS_WRITE_MAX - 0xf8 + how);
}

static void put_creation(struct call *c)
{
	uint8_t how = take(c->feed) % 4;

	xdr_put_u32(&c->args, how);
	c->garbage |= how > NFS_EXCLUSIVE;
	if (how == NFS_EXCLUSIVE)
		xdr_put_u64(&c->args, long_number(c));
	else
		put_sattr(c);
}

static void put_device(struct call *c)
{
	uint32_t type = take(c->feed) % 9;

	xdr_put_u32(&c->args, type);
	put_sattr(c);
	if (type == 3 || type == 4)
		xdr_put_u64(&c->args, long_number(c));
}

static void put_arg(struct call *c, char letter)
{
	uint64_t v;

	switch (letter) {
	case 'h':
		put_handle(c);
		break;
	case 'n':
		put_name(c);
		break;
	case 'p':
		put_path(c);
		break;
	case 'u':
		xdr_put_u32(&c->args, number(c));
		break;
	case 'q':
		v = long_number(c);
		c->off = v;
		xdr_put_u64(&c->args, v);
		break;
	case 'v':
		if (take(c->feed) < 0x80)
			xdr_put_fixed(&c->args, w.verifier, sizeof(w.verifier));
		else
			xdr_put_u64(&c->args, long_number(c));
		break;
	case 's':
		put_sattr(c);
		break;
	case 'g':
		put_guard(c);
		break;
	case 'd':
		put_bytes(c);
		break;
	case 'c':
		put_creation(c);
		break;
	default:
		assert(letter == 'k');
		put_device(c);
	}
}

/* The end of a call that is not as it should be. */
static void bend(struct call *c)
{
	uint8_t how = take(c->feed);
	size_t at = take(c->feed);

	if (how < 0xc0)
		return;
	c->garbage = true;
	c->slot = SLOTS_MAX;
	if (how < 0xd8)
		c->args.len = c->args.len * at / 256;
	else if (how < 0xf0 && c->args.len)
		c->args.data[at * c->args.len / 256] ^= (char)take(c->feed);
	else
		for (unsigned n = 0; n < at; n++)
			xdr_put_u64(&c->args, UINT64_MAX);
}

/* ---- answers ---- */

static void learn(const uint8_t *bytes, size_t len)
{
	struct slot *h = &w.slots[w.count];

	if (w.count == SLOTS_MAX)
		return;
	h->len = (uint8_t)len;
	memcpy(h->bytes, bytes, len);
	w.count++;
}

static void check_handle(struct xdr_in *in)
{
	size_t len;
	const uint8_t *bytes = xdr_opaque(in, NFS_HANDLE_MAX, &len);

	assert(bytes && len);
	learn(bytes, len);
}

static void check_time(struct xdr_in *in)
{
	xdr_u32(in);
	assert(xdr_u32(in) < 1000000000);
}

static void check_attr(struct xdr_in *in)
{
	uint32_t type = xdr_u32(in);

	assert(type == NF3REG || type == NF3DIR || type == NF3LNK);
	assert(xdr_u32(in) <= 01777); /* never setuid or setgid */
	assert(xdr_u32(in) > 0);
	xdr_fixed(in, 8 + 8 + 8 + 8 + 8 + 8); /* uid, gid, size, used, rdev, fsid, fileid */
	check_time(in);
	check_time(in);
	w.ctime[0] = xdr_u32(in);
	w.ctime[1] = xdr_u32(in);
	assert(w.ctime[1] < 1000000000);
}

static void check_entries(struct xdr_in *in, bool plus)
{
	size_t len;

	while (xdr_bool(in)) {
		xdr_u64(in);
		assert(xdr_opaque(in, NFS_NAME_MAX, &len) && len);
		w.cookie = xdr_u64(in);
		assert(w.cookie);
		if (plus && xdr_bool(in))
			check_attr(in);
		if (plus && xdr_bool(in))
			check_handle(in);
	}
	xdr_bool(in); /* that is all of them */
}

static void check_texts(struct xdr_in *in, bool two)
{
	size_t len;

	while (xdr_bool(in)) {
		assert(xdr_opaque(in, NFS_PATH_MAX, &len));
		if (two)
			assert(xdr_opaque(in, NFS_PATH_MAX, &len));
		else
			while (xdr_bool(in))
				assert(xdr_opaque(in, NFS_PATH_MAX, &len));
	}
}

/* The file that is there is the only one whose bytes are known. */
static void check_data(struct xdr_in *in, const struct call *c)
{
	size_t len;
	const uint8_t *bytes = xdr_opaque(in, ANSWER_MAX, &len);

	assert(bytes);
	if (c->kind->program != NFS_PROGRAM || c->kind->number != READ || c->slot != SHARD)
		return;
	assert(len <= NFS_READ_MAX && (!len || c->off + len <= SEEDED_SHARD_BYTES));
	for (size_t i = 0; i < len; i++)
		assert(bytes[i] == shard_byte(c->off + i));
}

static void check_item(struct xdr_in *in, const struct call *c, char letter)
{
	const uint8_t *bytes;

	switch (letter) {
	case 'A':
		if (xdr_bool(in))
			check_attr(in);
		break;
	case 'a':
		check_attr(in);
		break;
	case 'H':
		if (xdr_bool(in))
			check_handle(in);
		break;
	case 'h':
		check_handle(in);
		break;
	case 'w':
		if (xdr_bool(in))
			xdr_fixed(in, 8 + 8 + 8); /* size, mtime, ctime */
		if (xdr_bool(in))
			check_attr(in);
		break;
	case 'u':
		xdr_u32(in);
		break;
	case 'q':
		xdr_u64(in);
		break;
	case 'b':
		xdr_bool(in);
		break;
	case 't':
		check_time(in);
		break;
	case 'v':
		bytes = xdr_fixed(in, sizeof(w.verifier));
		assert(bytes);
		memcpy(w.verifier, bytes, sizeof(w.verifier));
		break;
	case 'o':
		check_data(in, c);
		break;
	case 'e':
	case 'E':
		check_entries(in, letter == 'E');
		break;
	case 'm':
	case 'x':
		check_texts(in, letter == 'm');
		break;
	case 'l':
		for (uint32_t n = xdr_u32(in); n && !in->bad; n--)
			xdr_u32(in);
		break;
	default:
		assert(letter == 'r');
		while (xdr_bool(in))
			xdr_fixed(in, 16);
	}
}

static bool is_status(uint32_t status)
{
	static const uint32_t all[] = {
		NFS3_OK,          NFS3ERR_PERM,     NFS3ERR_NOENT,       NFS3ERR_IO,
		NFS3ERR_ACCES,    NFS3ERR_EXIST,    NFS3ERR_NOTDIR,      NFS3ERR_ISDIR,
		NFS3ERR_INVAL,    NFS3ERR_FBIG,     NFS3ERR_NOSPC,       NFS3ERR_ROFS,
		NFS3ERR_NOTEMPTY, NFS3ERR_STALE,    NFS3ERR_NAMETOOLONG, NFS3ERR_BADHANDLE,
		NFS3ERR_NOT_SYNC, NFS3ERR_TOOSMALL, NFS3ERR_BAD_COOKIE,  NFS3ERR_NOTSUPP,
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++)
		if (all[i] == status)
			return true;
	return false;
}

static void check_result(struct xdr_in *in, const struct call *c)
{
	const char *letters = c->kind->good;

	if (c->kind->bad) {
		uint32_t status = xdr_u32(in);

		assert(is_status(status));
		if (status != NFS3_OK)
			letters = c->kind->bad;
	}
	for (; *letters; letters++)
		check_item(in, c, *letters);
	assert(!in->bad && !in->left);
}

static void check_answer(size_t len, const struct call *c, uint32_t xid, bool denied)
{
	struct xdr_in in = { .at = w.answer, .left = len };
	uint32_t status;

	assert(xdr_u32(&in) == xid && xdr_u32(&in) == 1);
	assert(xdr_u32(&in) == denied);
	if (denied) {
		assert(xdr_u32(&in) == 1 && xdr_u32(&in) == 5 && !in.bad && !in.left);
		return;
	}
	assert(xdr_u64(&in) == 0); /* an empty verifier */
	status = xdr_u32(&in);
	assert(status == RPC_SUCCESS || (status == RPC_GARBAGE_ARGS && c->garbage));
	if (status == RPC_SUCCESS)
		check_result(&in, c);
	else
		assert(!in.bad && !in.left);
}

/* ---- there and back ---- */

static void receive(void *ret, size_t len)
{
	uint8_t *to = ret;

	while (len > 0) {
		ssize_t n = recv(w.fd, to, len, 0);

		if (n < 0 && errno == EINTR) /* the fuzzer's clock */
			continue;
		assert(n != 0); /* nobody hangs up */
		assert(n > 0);  /* each call is answered in time */
		to += n;
		len -= (size_t)n;
	}
}

static size_t receive_answer(void)
{
	uint32_t mark;

	receive(&mark, sizeof(mark));
	mark = be32toh(mark);
	assert(mark >> 31 && (mark & INT32_MAX) <= ANSWER_MAX);
	receive(w.answer, mark & INT32_MAX);
	return mark & INT32_MAX;
}

/* True if they are such as are taken here. */
static bool put_credentials(struct buf *out, uint8_t who)
{
	static const uint32_t flavors[] = { AUTH_SYS, AUTH_SYS, AUTH_NONE, AUTH_DES };
	uint32_t flavor = flavors[who % ARRAY_LEN(flavors)];
	uint32_t user = who & 0x10 ? 1000 : 0;

	xdr_put_u32(out, flavor);
	xdr_put_u32(out, flavor == AUTH_SYS ? 24 : 0);
	if (flavor == AUTH_SYS) {
		xdr_put_u32(out, 0);
		xdr_put_text(out, "fuz");
		xdr_put_u32(out, user);
		xdr_put_u32(out, user);
		xdr_put_u32(out, 0);
	}
	xdr_put_u64(out, 0);
	return flavor != AUTH_DES;
}

static void exchange(const struct call *c, uint8_t who)
{
	static uint32_t xid;
	CLEANUP(buf_free) struct buf out = { 0 };
	bool known;

	xdr_put_u32(&out, 0);
	xdr_put_u32(&out, ++xid);
	xdr_put_u32(&out, 0);
	xdr_put_u32(&out, 2);
	xdr_put_u32(&out, c->kind->program);
	xdr_put_u32(&out, c->kind->program == PORTMAP_PROGRAM ? PORTMAP_VERSION : NFS_VERSION);
	xdr_put_u32(&out, c->kind->number);
	known = put_credentials(&out, who);
	xdr_put_fixed(&out, c->args.data, c->args.len);
	assert(!out.failed);
	rpc_seal(&out, 0);
	assert(send(w.fd, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len);
	check_answer(receive_answer(), c, xid, !known);
}

/* What may have changed something. */
static bool changes(const struct kind *k)
{
	return k->program == NFS_PROGRAM && (k->number == 2 || (k->number >= 7 && k->number <= 15));
}

static void one_call(struct feed *f)
{
	struct call c = { .kind = &kinds[take(f) % ARRAY_LEN(kinds)],
			  .feed = f,
			  .slot = SLOTS_MAX };
	uint8_t who = take(f);

	for (const char *letter = c.kind->args; *letter; letter++)
		put_arg(&c, *letter);
	bend(&c);
	w.changed |= changes(c.kind);
	exchange(&c, who);
	buf_free(&c.args);
}

/* ---- its beginning ---- */

/* The handle that LOOKUP has for a path, in a slot of its own. */
static void find(const char *path)
{
	static const struct kind mnt = { MOUNT_PROGRAM, 1, "p", "hl", "" };
	static const struct kind lookup = { NFS_PROGRAM, 3, "hn", "hAA", "A" };
	unsigned slot = w.count;
	struct call c = { .kind = &mnt, .slot = SLOTS_MAX };

	xdr_put_text(&c.args, "/");
	exchange(&c, 0);
	for (const char *at = path; *at; at += *at == '/') {
		size_t len = strcspn(at, "/");

		buf_free(&c.args);
		c.kind = &lookup;
		xdr_put_opaque(&c.args, w.slots[slot].bytes, w.slots[slot].len);
		xdr_put_opaque(&c.args, at, len);
		w.count = slot;
		exchange(&c, 0);
		assert(w.count == slot + 1);
		at += len;
	}
	buf_free(&c.args);
}

static void begin(void)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct conf_list none = { 0 };
	void *node = NULL;

	log_set_level(LOG_LEVEL_ERR);
	assert(seeded_node_setup(&node) == 0);
	w.node = node;
	seeded_node_stop(w.node);
	fill_cache(w.node->dir.path);
	seeded_node_start(w.node);
	assert(underway_start(&w.underway, 0, node_metrics(w.node->node)) == 0);
	assert(scope_rules_new(&none, &w.rules, &why) == 0);
	make_clients();
	pick_port();
	serve();
	for (size_t i = 0; i < ARRAY_LEN(paths); i++)
		find(paths[i]);
	assert(w.count == ARRAY_LEN(paths) && atexit(end) == 0);
}

/* What libcrypto keeps for a thread lies where the sanitizer does not look, until that ends. */
const char *__lsan_default_suppressions(void)
{
	return "leak:CRYPTO_zalloc\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct feed f = { data, len };

	if (!w.node)
		begin();
	w.count = ARRAY_LEN(paths);
	w.cookie = 0;
	memset(w.verifier, 0, sizeof(w.verifier));
	memset(w.ctime, 0, sizeof(w.ctime));
	for (unsigned n = 0; f.left && n < CALLS_MAX; n++)
		one_call(&f);
	if (w.changed)
		serve_anew();
	return 0;
}
