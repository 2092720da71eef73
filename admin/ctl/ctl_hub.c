/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_hub.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"
#include "daemon/base/httpc.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/url.h"
#include "daemon/base/why.h"

#define DEFAULT_URL "http://127.0.0.1:8080"
#define SECRET_BYTES_MAX 4096
#define ANSWER_BYTES_MAX (64 * 1024 * 1024)
#define REFUSAL_BYTES_MAX (64 * 1024)
#define CONNECT_MS 10000
#define STALL_MS 120000
#define LOOK_MS 10000
#define ASK_MS (10 * 60 * 1000)
#define COPY_MS (24LL * 3600 * 1000)

/* --- who asks whom */

void ctl_hub_wipe(char *secret)
{
	if (secret)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static bool is_secret(const char *text)
{
	for (; isgraph((unsigned char)*text); text++)
		;
	return !*text;
}

static int read_secret(const char *path, struct buf *ret)
{
	return file_read_all(AT_FDCWD, strcmp(path, "-") == 0 ? "/dev/stdin" : path,
			     SECRET_BYTES_MAX, ret);
}

/* What is no path of a file for sure may be the secret that was to be in it. */
static const char *tellable(const char *path)
{
	if (*path == '/' || !strncmp(path, "./", 2) || !strncmp(path, "../", 3))
		return path;
	return "(its name is not repeated: it may be the secret itself)";
}

int ctl_hub_secret(const char *path, char **ret, struct buf *why)
{
	struct buf text = { 0 };
	int r = read_secret(path, &text);
	char *secret;

	if (r < 0)
		r = complain(why, "The file %s cannot be read: %s.", tellable(path), err_text(r));
	buf_trim_end(&text);
	secret = text.data ? text.data + strspn(text.data, " \t\r\n") : NULL;
	if (r == 0 && (!secret || !*secret))
		r = complain(why, "The file %s is empty; a token is to stand in it.",
			     tellable(path));
	else if (r == 0 && !is_secret(secret))
		r = complain(why,
			     "In the file %s stands more than one token, or one with a byte that "
			     "is no letter, digit or mark of ASCII.",
			     tellable(path));
	if (r == 0 && !(*ret = strdup(secret)))
		r = -ENOMEM;
	if (text.data)
		explicit_bzero(text.data, text.cap);
	buf_free(&text);
	return r;
}

static int find_token(const char *file, char *(*getenv_fn)(const char *), char **ret,
		      struct buf *why)
{
	const char *token = getenv_fn("MATRIXHUB_TOKEN");

	if (!file)
		file = getenv_fn("MATRIXHUB_TOKEN_FILE");
	if (file && *file)
		return ctl_hub_secret(file, ret, why);
	if (!token || !*token)
		return 0;
	if (!is_secret(token))
		return complain(why, "MATRIXHUB_TOKEN holds a byte that no token has.");
	*ret = strdup(token);
	return *ret ? 0 : -ENOMEM;
}

static int find_url(const char *url, char *(*getenv_fn)(const char *), char **ret, struct buf *why)
{
	struct buf clean = { 0 };

	if (!url)
		url = getenv_fn("MATRIXHUB_URL");
	if (!url || !*url)
		url = DEFAULT_URL;
	if (strpbrk(url, "@?#") || url_public(url, &clean) < 0) {
		buf_free(&clean);
		return complain(why,
				"The hub is no http or https URL without user, password and "
				"query, as %s; --hub or MATRIXHUB_URL names it.",
				DEFAULT_URL);
	}
	*ret = buf_take(&clean);
	return *ret ? 0 : -ENOMEM;
}

int ctl_hub_open(const char *url, const char *token_file, char *(*getenv_fn)(const char *),
		 struct ctl_hub *ret, struct buf *why)
{
	static const struct httpc_conf conf = { .user_agent = "matrixctl/" MATRIXFS_VERSION,
						.connect_ms = CONNECT_MS,
						.stall_ms = STALL_MS };
	int r;

	*ret = (struct ctl_hub){ 0 };
	r = find_url(url, getenv_fn, &ret->url, why);
	if (r == 0)
		r = find_token(token_file, getenv_fn, &ret->token, why);
	if (r == 0)
		r = httpc_new(&conf, &ret->client);
	if (r < 0)
		ctl_hub_close(ret);
	return r;
}

/* What a socket's address holds. */
#define SOCKET_BYTES_MAX 107

int ctl_hub_open_node(const char *socket, struct ctl_hub *ret, struct buf *why)
{
	const struct httpc_conf conf = { .user_agent = "matrixctl/" MATRIXFS_VERSION,
					 .connect_ms = CONNECT_MS,
					 .stall_ms = STALL_MS,
					 .socket = socket };
	int r = 0;

	*ret = (struct ctl_hub){ 0 };
	if (!*socket || strlen(socket) > SOCKET_BYTES_MAX)
		return complain(
			why,
			"--node names the control socket of a matrixfs, CACHE/control, in at "
			"most %d bytes: from its directory it is \"control\".",
			SOCKET_BYTES_MAX);
	ret->url = strdup("http://node");
	ret->socket = strdup(socket);
	if (!ret->url || !ret->socket)
		r = -ENOMEM;
	if (r == 0)
		r = httpc_new(&conf, &ret->client);
	if (r < 0)
		ctl_hub_close(ret);
	return r;
}

void ctl_hub_close(struct ctl_hub *h)
{
	httpc_free(h->client);
	ctl_hub_wipe(h->token);
	free(h->socket);
	free(h->url);
	*h = (struct ctl_hub){ 0 };
}

/* --- asking */

struct question {
	struct buf *answer;
	int fd; /* or -1: all goes to the answer */
	bool refused;
	int failed;       /* to write: -errno */
	struct buf moved; /* where it is instead, on the same hub; owned */
};

static void question_fini(struct question *q)
{
	buf_free(&q->moved);
}

/* A repository that has another name: the hub says so with a path. Whatever else a Location is, the
 * token does not go there. */
static int on_head(void *arg, const struct httpc_response *r)
{
	struct question *q = arg;
	const char *place = httpc_header(r, "Location");

	q->refused = httpc_status(r) / 100 != 2;
	return httpc_status(r) == 307 && place && !strncmp(place, "/api/", 5)
		       ? buf_add_str(&q->moved, place)
		       : 0;
}

static int write_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		data += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static int on_body(void *arg, const void *data, size_t len)
{
	struct question *q = arg;
	size_t max = q->refused ? REFUSAL_BYTES_MAX : ANSWER_BYTES_MAX;

	if (q->fd >= 0 && !q->refused)
		return q->failed = write_all(q->fd, data, len);
	if (q->answer->len + len > max)
		return ERR_PROTO;
	return buf_add(q->answer, data, len);
}

static int complain_reach(const struct ctl_hub *h, int r, struct buf *why)
{
	const char *more = err_noted(r);

	if (h->socket && r == ERR_UPSTREAM)
		return complain_as(r, why,
				   "Nobody answers at %s: does matrixfs run with this cache, and "
				   "as this user?",
				   h->socket);
	if (h->socket)
		return complain_as(r, why, "The matrixfs at %s did not answer: %s.", h->socket,
				   err_text(r));
	(void)complain(why, "The hub at %s did not answer: %s%s%s%s.", h->url, err_text(r),
		       *more ? " (" : "", more, *more ? ")" : "");
	if (r == ERR_UPSTREAM)
		(void)complain(why, " Does matrixhubd run there? --hub=URL or MATRIXHUB_URL names "
				    "another.");
	return r;
}

static int complain_who(const struct ctl_hub *h, int status, struct buf *why)
{
	if (status == 403)
		return complain(why,
				"The hub at %s knows this token, but it is not an "
				"administrator's: name the file of one with "
				"--token-file=FILE.",
				h->url);
	if (h->token)
		return complain(why,
				"The hub at %s does not accept this token: it may be revoked, "
				"expired, or another hub's.",
				h->url);
	return complain(why,
			"The hub at %s asks who you are: name the file of an administrator's token "
			"with --token-file=FILE or MATRIXHUB_TOKEN_FILE; the first one is "
			"admin.token in the hub's data directory.",
			h->url);
}

/* It knows who asks, and says no more than that they may not, where only administrators may. */
static bool wants_administrator(bool is_admins, const char *said)
{
	return !said || (is_admins && !strcmp(said, err_text(ERR_FORBIDDEN)));
}

/* What the hub says is shown as it is: it knows best what is wrong with a request. */
static int tell_status(const struct ctl_hub *h, int status, bool is_admins,
		       const struct buf *answer, struct buf *why)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	const char *said = NULL;

	if (jdoc_parse(buf_str(answer), answer->len, &d) == 0)
		said = jval_get_str(jdoc_root(d), h->socket ? "message" : "error");
	if (h->socket && said)
		return complain_ended(why, "%s", said);
	if (status == 401 || (status == 403 && wants_administrator(is_admins, said)))
		return complain_who(h, status, why);
	if (!said)
		return complain(why,
				"The hub at %s answered with HTTP status %d; is it a "
				"matrixhubd of this version?",
				h->url, status);
	return complain(why, "%s (HTTP %d).", said, status);
}

static int complain_status(const struct ctl_hub *h, int status, bool is_admins,
			   const struct buf *answer, struct buf *why)
{
	int r = tell_status(h, status, is_admins, answer, why);

	switch (status) {
	case 401:
	case 403:
		return -EACCES;
	case 404:
		return -ENOENT;
	case 503:
		return ERR_BUSY;
	default:
		return r;
	}
}

static int ask_at(struct ctl_hub *h, struct httpc_request *q, const char *path, struct question *to)
{
	CLEANUP(buf_free) struct buf url = { 0 };

	if (buf_printf(&url, "%s%s", h->url, path) < 0)
		return -ENOMEM;
	q->url = buf_str(&url);
	q->token = h->token;
	q->head = on_head;
	q->body = on_body;
	q->arg = to;
	return httpc_run(h->client, q);
}

/* Names lead to where a repository is, and no further: one step is enough. */
static int ask(struct ctl_hub *h, struct httpc_request *q, const char *path, struct question *to,
	       struct buf *why)
{
	bool is_admins = strncmp(path, "/api/", 5) != 0;
	CLEANUP(buf_free) struct buf whole = { 0 };
	const char *root = !is_admins ? "" : h->socket ? CTL_NODE_API : CTL_API;
	int status = buf_printf(&whole, "%s%s", root, path);

	if (status == 0)
		status = ask_at(h, q, buf_str(&whole), to);
	if (status == 307 && to->moved.len) {
		buf_clear(to->answer);
		status = ask_at(h, q, buf_str(&to->moved), to);
	}
	if (to->failed)
		return complain(why, "The answer cannot be written: %s.", err_text(to->failed));
	if (status < 0)
		return complain_reach(h, status, why);
	return status / 100 == 2 ? 0 : complain_status(h, status, is_admins, to->answer, why);
}

int ctl_hub_ask(struct ctl_hub *h, const char *method, const char *path, const struct buf *json,
		struct buf *ret, struct buf *why)
{
	CLEANUP(question_fini) struct question to = { .answer = ret, .fd = -1 };
	struct httpc_request q = {
		.method = method,
		.content = json ? json->data : NULL,
		.content_len = json ? json->len : 0,
		.deadline_ms = clock_ms() + ASK_MS,
	};

	return ask(h, &q, path, &to, why);
}

int ctl_hub_copy(struct ctl_hub *h, const char *path, int fd, struct buf *why)
{
	CLEANUP(buf_free) struct buf refusal = { 0 };
	CLEANUP(question_fini) struct question to = { .answer = &refusal, .fd = fd };
	struct httpc_request q = { .method = "GET", .deadline_ms = clock_ms() + COPY_MS };

	return ask(h, &q, path, &to, why);
}

/* --- looking */

struct looking {
	struct ctl_door *door;
	int64_t began_ms;
};

static int on_door(void *arg, const struct httpc_response *r)
{
	struct looking *l = arg;
	const char *via = httpc_header(r, "Via"), *server = httpc_header(r, "Server");

	l->door->took_ms = clock_ms() - l->began_ms;
	l->door->clock_s = httpc_date_s(r);
	l->door->certificate_ends_s = httpc_certificate_ends_s(r);
	/* A matrixhubd names itself in neither. */
	return via || server ? buf_add_str(&l->door->between, server ? server : via) : 0;
}

static int on_door_body(void *arg, const void *data, size_t len)
{
	struct looking *l = arg;

	return l->door->body.len + len > REFUSAL_BYTES_MAX ? ERR_PROTO
							   : buf_add(&l->door->body, data, len);
}

void ctl_door_fini(struct ctl_door *d)
{
	buf_free(&d->between);
	buf_free(&d->body);
}

int ctl_hub_look(struct ctl_hub *h, const char *path, struct ctl_door *ret, struct buf *why)
{
	CLEANUP(buf_free) struct buf url = { 0 };
	struct looking l = { ret, clock_ms() };
	struct httpc_request q = {
		.method = "GET",
		.certificate = true,
		.head = on_door,
		.body = on_door_body,
		.arg = &l,
		.deadline_ms = l.began_ms + LOOK_MS,
	};

	*ret = (struct ctl_door){ .clock_s = -1, .certificate_ends_s = -1 };
	if (buf_printf(&url, "%s%s", h->url, path) < 0)
		return -ENOMEM;
	q.url = buf_str(&url);
	ret->status = httpc_run(h->client, &q);
	return ret->status < 0 ? complain_reach(h, ret->status, why) : 0;
}
