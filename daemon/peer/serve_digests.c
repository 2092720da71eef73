/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a question for the digests of a segment: all that is known is in the head of the
 * answer, which is signed. */
#include "daemon/peer/serve_priv.h"

#include <errno.h>

void serve_digests(const struct guest *g, const struct wire_ask *ask)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	struct wire_digests digests = { 0 };
	struct source_blob what;
	int r = wire_blob(ask, &what);

	if (r == 0)
		r = serve_may(g, &what);
	if (r == 0)
		r = testimony_ask(g->serve->testimony, ask, &digests);
	if (r == -EAGAIN)
		serve_say(g, WIRE_COMING, NULL, 0);
	else if (r < 0)
		serve_fail(g, r);
	if (r < 0)
		return;
	wire_write_digests(ask, &digests, &text);
	if (text.failed)
		serve_fail(g, text.failed);
	else
		serve_told(g, buf_str(&text));
}
