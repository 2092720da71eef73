/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/nap.h"

#include "daemon/base/clock.h"
#include "daemon/base/err.h"
#include "daemon/node_parts.h"

#define SLICE_MS 100 /* so often it looks whether the job shall end */

static void wake(struct waiter *w, int r)
{
	struct nap *nap = container_of(w, struct nap, waiter);

	lock_take(&nap->lock);
	nap->woken = true;
	nap->result = r;
	cond_wake_all(&nap->cond);
	lock_drop(&nap->lock);
}

void nap_init(struct nap *nap, struct node *n)
{
	*nap = (struct nap){ .node = n };
	waiter_init(&nap->waiter, node_parts(n)->timeout_ms, wake);
	lock_init(&nap->lock, LOCK_JOBS);
	cond_init(&nap->cond);
}

void nap_fini(struct nap *nap)
{
	cond_fini(&nap->cond);
	lock_fini(&nap->lock);
}

/* The lock is taken also by who finds it woken: then the waker has let go of it. */
static bool slice(struct nap *nap)
{
	bool woken;

	lock_take(&nap->lock);
	if (!nap->woken)
		cond_wait(&nap->cond, &nap->lock, clock_ms() + SLICE_MS);
	woken = nap->woken;
	lock_drop(&nap->lock);
	return woken;
}

int nap_wait(struct nap *nap, struct job *j, int (*leave)(struct node *n, struct waiter *w))
{
	while (!slice(nap))
		if (j && job_is_over(j) && leave(nap->node, &nap->waiter))
			return ERR_CANCELED;
	nap->woken = false; /* it may wait once more */
	return nap->result < 0 ? nap->result : PARKED;
}

/* The waiter stays the same: it may own bytes that were brought for it alone. */
static void nap_again(struct nap *nap)
{
	nap->waiter.deadline_ms = clock_ms() + node_parts(nap->node)->timeout_ms;
}

int nap_read(struct node *n, struct job *j, struct handle *h, uint64_t off, uint64_t len)
{
	const void *data;
	struct nap nap;
	uint64_t got;
	int r;

	nap_init(&nap, n);
	do {
		r = node_read(n, h, off, len, &nap.waiter, &data, &got);
		if (r == 0)
			node_done(h, data, got);
		if (r != PARKED)
			break;
		r = nap_wait(&nap, j, node_leave_read);
		nap_again(&nap);
	} while (r == PARKED);
	nap_fini(&nap);
	return r;
}
