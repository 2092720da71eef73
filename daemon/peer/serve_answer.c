/* SPDX-License-Identifier: Apache-2.0 */
/* What members are answered, but for bytes: each answer is signed. */
#include "daemon/peer/serve_priv.h"

#include <errno.h>
#include <stdio.h>

#include "daemon/base/clock.h"
#include "daemon/base/err.h"

/* With one more field, whose value is signed, too, if it is not "". */
static int sign_head(const struct guest *g, int status, const char *content_range, const char *name,
		     const char *value, struct httpd_head *ret)
{
	CLEANUP(buf_free) struct buf info = { 0 };
	const struct serve *s = g->serve;
	char number[16] = "", quiet[24] = "";
	struct cluster_answer answer = {
		.status = status,
		.content_range = content_range,
		.others = value,
		.zone = s->conf.zone,
		.number = number,
		.quiet = quiet,
		.node = s->conf.process,
		.wall_ms = clock_wall_ms(),
	};
	int r;

	if (g->number)
		snprintf(number, sizeof(number), "%u", g->number);
	if (g->quiet_known)
		snprintf(quiet, sizeof(quiet), "%jd", (intmax_t)g->quiet_ms);
	r = cluster_key_sign_answer(s->conf.key, &answer, g->nonce, &info);
	*ret = (struct httpd_head){ .status = status };
	if (r == 0)
		r = httpd_head_add(ret, "Authentication-Info", "%s", buf_str(&info));
	if (r == 0 && *content_range)
		r = httpd_head_add(ret, "Content-Range", "%s", content_range);
	if (r == 0 && *value)
		r = httpd_head_add(ret, name, "%s", value);
	if (r == 0 && *number)
		r = httpd_head_add(ret, WIRE_NUMBER, "%s", number);
	if (r == 0 && *quiet)
		r = httpd_head_add(ret, WIRE_QUIET, "%s", quiet);
	if (r == 0 && *s->conf.zone)
		r = httpd_head_add(ret, WIRE_ZONE, "%s", s->conf.zone);
	return r;
}

int serve_head(const struct guest *g, int status, const char *content_range, const char *others,
	       struct httpd_head *ret)
{
	return sign_head(g, status, content_range, WIRE_OTHERS, others, ret);
}

/* Ends a request whose answer could not be written. */
static void break_off(const struct guest *g)
{
	struct buf body = { 0 };

	httpd_reply(g->http, 500, "text/plain", &body, NULL);
}

/* Sends a head that was written with result r; takes both. */
static void send_both(const struct guest *g, struct httpd_head *head, int r, struct buf *body)
{
	if (r == 0) {
		httpd_reply_head(g->http, head, body);
		return;
	}
	httpd_head_free(head);
	buf_free(body);
	break_off(g);
}

static void send_head(const struct guest *g, struct httpd_head *head, int r)
{
	struct buf body = { 0 };

	send_both(g, head, r, &body);
}

void serve_told(const struct guest *g, const char *digests)
{
	struct httpd_head head;
	int r = sign_head(g, WIRE_TOLD, "", WIRE_DIGESTS, digests, &head);

	send_head(g, &head, r);
}

static void say(const struct guest *g, int status, const char *others, const char *cause)
{
	struct httpd_head head;
	int r = serve_head(g, status, "", others, &head);

	if (r == 0 && *cause)
		r = httpd_head_add(&head, WIRE_CAUSE, "%s", cause);
	send_head(g, &head, r);
}

void serve_cause(const struct guest *g, int status, const char *cause)
{
	metrics_add(&g->serve->conf.counts->refused, 1);
	say(g, status, "", cause);
}

/* "" is what is not said. */
static void refuse(const struct guest *g, int status, const char *cause, const char *allow,
		   const char *sentence)
{
	struct httpd_head head;
	struct buf body = { 0 };
	int r = serve_head(g, status, "", "", &head);

	metrics_add(&g->serve->conf.counts->refused, 1);
	if (r == 0)
		r = httpd_head_add(&head, WIRE_CAUSE, "%s", cause);
	if (r == 0 && *allow)
		r = httpd_head_add(&head, "Allow", "%s", allow);
	if (r == 0)
		r = httpd_head_add(&head, "Content-Type", "text/plain; charset=utf-8");
	if (r == 0)
		r = buf_printf(&body, "%s\n", sentence);
	send_both(g, &head, r, &body);
}

void serve_no_sense(const struct guest *g, const char *cause, const char *why)
{
	CLEANUP(buf_free) struct buf sentence = { 0 };

	buf_printf(&sentence, "This request makes no sense: %s.", why);
	refuse(g, WIRE_BAD, cause, "", buf_str(&sentence));
}

void serve_other_method(const struct guest *g, const char *allow)
{
	CLEANUP(buf_free) struct buf sentence = { 0 };

	buf_printf(&sentence, "This is asked for by %s alone.", allow);
	refuse(g, WIRE_METHOD, "method", allow, buf_str(&sentence));
}

void serve_say(const struct guest *g, int status, const char (*others)[MEMBER_ADDRESS_MAX + 1],
	       unsigned count)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct peer_counts *counts = g->serve->conf.counts;

	wire_write_others(others, count, &text);
	metrics_add(status == WIRE_COMING      ? &counts->waits
		    : status == WIRE_ELSEWHERE ? &counts->redirects
					       : &counts->refused,
		    1);
	say(g, status, buf_str(&text), "");
}

/* What is wrong with the place that a guest has named says nothing of upstream. */
int serve_status(int r)
{
	if (err_is_misplaced(r))
		return WIRE_NOT_HERE;
	switch (r) {
	case -ENOENT:
	case ERR_DIGEST:
	case ERR_OFFLINE:
		return WIRE_NOT_HERE;
	case ERR_SIZE:
		return WIRE_OTHER_SIZE;
	case ERR_UPSTREAM:
	case ERR_BUSY:
	case ERR_SERVER:
	case ERR_PROTO:
	case ERR_HOSTILE:
	case ERR_CUT:
	case ERR_EXPIRED:
	case ERR_TLS:
	case ERR_REDIRECT:
		return WIRE_FAILED;
	default:
		return err_is_disk(r) ? WIRE_FULL : WIRE_BUSY;
	}
}

/* One word of it; those that the kernel has are one in err.h. */
static const char *cause_of(int r)
{
	switch (r) {
	case -ENOENT:
		return "absent";
	case -EMFILE:
		return "open";
	case -ENOMEM:
		return "memory";
	default:
		return err_word(err_index(r));
	}
}

void serve_fail(const struct guest *g, int r)
{
	serve_cause(g, serve_status(r), cause_of(r));
}
