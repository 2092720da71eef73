/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/admit.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/err.h"
#include "daemon/base/jdoc.h"
#include "daemon/base/log.h"

#define RESTRICTED_TAIL "?expand=private&expand=gated"

static enum visibility visibility_in(const struct doc *doc)
{
	CLEANUP(jdoc_freep) struct jdoc *parsed = NULL;
	bool gated;

	if (jdoc_parse(buf_str(&doc->text), doc->text.len, &parsed) < 0)
		return VISIBILITY_PRIVATE;
	if (hub_says_open(jdoc_root(parsed), &gated))
		return VISIBILITY_PUBLIC;
	return gated ? VISIBILITY_GATED : VISIBILITY_PRIVATE;
}

/* A wait whose failure the handler looks at itself is over: what came of it. */
static int take_result(struct ask *a)
{
	int r = a->without;

	a->dispensable = false;
	a->without = 0;
	return r;
}

/* --- who may not see it */

/* The name to ask the hubs by: from another one they would lead there first, which takes longer. A
 * name it had may be somebody else's by now, who may be for everybody. */
static const struct repo_id *name_to_ask(const struct repo_names *names,
					 const struct repo_id *asked, bool open_counts)
{
	const struct repo_id *now = names->list[0];

	return open_counts && strcasecmp(now->name, asked->name) != 0 ? asked : now;
}

/* A repository that is not for who asks is not there: the hubs are asked for it as for any name
 * that is not known here, so that whatever becomes of that, and how long it takes, tells nothing. 0
 * if they say that it is for everybody, and that counts. */
static int deny(struct ask *a, bool open_counts)
{
	const struct repo_id *asked = &a->asked.target.repo;
	struct repo_names names;
	int r;

	if (a->denying) {
		a->denying = false;
		r = take_result(a);
		a->said_open = r == 0;
		return r;
	}
	a->denying = a->dispensable = true;
	known_names_of(node_known(a->server->node), asked, &names);
	r = node_nothing(a->server->node, name_to_ask(&names, asked, open_counts), open_counts,
			 &a->waiter);
	if (r != PARKED) /* else it may be gone already */
		a->denying = a->dispensable = false;
	return r;
}

static bool sees(const struct ask *a, enum visibility heard)
{
	struct repo_names names;

	known_names_of(node_known(a->server->node), &a->asked.target.repo, &names);
	return rights_check(&a->server->rights, &a->who, &names, ROLE_READ, &heard) != ERR_NOREPO;
}

/* By what was said of it until now, before it is looked for. What is not for them although its hub
 * had it for everybody, is not whatever that says. */
static int check_before(struct ask *a)
{
	if (!a->denying && (a->repo || a->said_open || sees(a, VISIBILITY_UNSAID)))
		return 0;
	return deny(a, a->server->rights.guarded && sees(a, VISIBILITY_PUBLIC));
}

/* --- who may */

/* What our token opens upstream may not be for everybody here: an upstream is asked now and
 * then. If that fails, what it said before counts. */
static int learn(struct ask *a, enum visibility *ret)
{
	CLEANUP(doc_fini) struct doc doc = { 0 };
	const struct repo_id *id = repo_id_of(repo_canonical(a->repo));
	int r = a->without;

	*ret = a->said_open ? VISIBILITY_PUBLIC : VISIBILITY_UNSAID;
	if (!a->server->rights.guarded)
		return 0;
	a->dispensable = true;
	if (r == 0)
		r = node_doc(a->server->node, a->repo, RESTRICTED_TAIL,
			     a->said_open ? 0 : a->server->ref_ttl_ms, &a->waiter, &doc);
	if (r == PARKED)
		return r; /* it may be gone already */
	take_result(a);
	if (r < 0)
		return 0;
	*ret = visibility_in(&doc);
	r = rights_learn(&a->server->rights, id, *ret);
	if (r < 0)
		log_warn(r, "cannot note what an upstream says of repo=%s", repo_key(a->repo));
	return 0;
}

static int check_rights(struct ask *a, const struct repo_names *names, bool filtered)
{
	enum visibility visibility = VISIBILITY_UNSAID;
	const struct repo *now = repo_canonical(a->repo);
	bool permitted = a->permitted == now;
	int r = permitted || filtered ? 0 : learn(a, &visibility);

	if (r != 0 || permitted)
		return r;
	r = rights_check(&a->server->rights, &a->who, names, a->role, &visibility);
	a->permitted = r == 0 ? now : NULL;
	a->is_private = visibility == VISIBILITY_PRIVATE;
	return r == ERR_NOREPO ? deny(a, false) : r;
}

/* --- all of it */

/* What is not to be read is not there, and not asked about; those who may know of it hear why. */
static int check_found(struct ask *a)
{
	struct repo_names names;
	bool filtered;
	int r;

	known_names(node_known(a->server->node), a->repo, &names);
	filtered = !filter_repo(a->filter, &names);
	r = check_rights(a, &names, filtered);
	if (r != 0) /* it may be gone already */
		return r;
	a->filtered = filtered;
	return filtered ? ERR_NOREPO : 0;
}

/* Names differ by more than the case of their letters: it was renamed. */
static bool is_moved(const struct ask *a)
{
	const struct repo *now = repo_canonical(a->repo);

	return now != a->repo && strcasecmp(repo_id_of(now)->name, repo_id_of(a->repo)->name) != 0;
}

static int seek_repo(struct ask *a)
{
	const struct repo_names asked = { { &a->asked.target.repo }, 1, false };
	int r;

	if (a->server->rights.closed && !a->who.known)
		return ERR_NOREPO;
	a->filtered = !filter_repo(a->filter, &asked);
	if (a->filtered)
		return ERR_NOREPO; /* and not asked for */
	r = check_before(a);
	if (r == 0 && !a->repo)
		r = node_repo(a->server->node, asked.list[0], &a->waiter, &a->repo);
	if (r == 0)
		r = check_found(a);
	if (r != 0)
		return r;
	if (is_moved(a))
		return ERR_MOVED;
	a->repo = repo_canonical(a->repo);
	return 0;
}

/* --- what nobody tells of */

/* Upstream there may be an account of that name as well. */
static bool is_of_own(const struct ask *a)
{
	const char *name = a->asked.target.repo.name;
	size_t len = strcspn(name, "/");
	char namespace[ACCOUNT_NAME_MAX + 1];
	struct account account;

	if (!name[len] || len > ACCOUNT_NAME_MAX)
		return false;
	snprintf(namespace, sizeof(namespace), "%.*s", (int)len, name);
	return accounts_get(a->server->rights.db, namespace, &account) == 0;
}

int admit_untold(const struct ask *a, int r)
{
	if (a->role == ROLE_NONE || a->role == ROLE_HUB)
		return r;
	if (r == ERR_OFFLINE)
		return ERR_NOREPO;
	return (r == ERR_UPSTREAM || r == ERR_TIMEOUT) && is_of_own(a) ? ERR_NOREPO : r;
}

static int find_repo(struct ask *a)
{
	int r = seek_repo(a);

	return r < 0 ? admit_untold(a, r) : r;
}

int admit_ask(struct ask *a)
{
	if (a->role == ROLE_NONE)
		return 0;
	return a->role == ROLE_HUB ? rights_admin(&a->who) : find_repo(a);
}

int admit_more(struct ask *a, enum role role)
{
	if (a->role >= role)
		return 0;
	a->role = role;
	a->permitted = NULL;
	return admit_ask(a);
}

int admit_again(struct ask *a)
{
	struct identity now = { 0 };
	int r = auth_recall(a->server->auth, a->who.user, a->who.token.name, &now);

	if (r < 0)
		return r;
	identity_fini(&a->who);
	a->who = now;
	a->permitted = NULL;
	return admit_ask(a);
}
