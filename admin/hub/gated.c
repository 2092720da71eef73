/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/gated.h"

#include <string.h>

#include "admin/hub/answer.h"
#include "admin/hub/writing.h"
#include "daemon/base/err.h"

static int refuse(struct ask *a, enum gate_status status)
{
	const struct repo_id *id = repo_id_of(repo_canonical(a->repo));
	CLEANUP(buf_free) struct buf say = { 0 }, url = { 0 };
	const char *word = repo_type_word(id->type), *name = id->name;

	writing_url(a, id, &url);
	if (!a->who.known)
		buf_printf(&say,
			   "Access to %s %s is restricted. You must have access to it and be "
			   "authenticated to access it. Please log in.",
			   word, name);
	else if (status == GATE_PENDING)
		buf_printf(&say,
			   "Your request to access %s %s is awaiting a review from the repo "
			   "authors.",
			   word, name);
	else if (status == GATE_REJECTED)
		buf_printf(&say,
			   "Your request to access %s %s has been rejected by the repo's authors.",
			   word, name);
	else if (status == GATE_RESET)
		buf_printf(&say,
			   "Your request to access %s %s has been reset by the repo's authors. "
			   "Visit %s to submit a new request.",
			   word, name, buf_str(&url));
	else
		buf_printf(&say,
			   "Access to %s %s is restricted and you are not in the authorized list. "
			   "Visit %s to ask for access.",
			   word, name, buf_str(&url));
	answer_fail_saying(a, ERR_GATED, "%s", buf_str(&say));
	return ANSWERED;
}

static int ask_rights(struct ask *a, enum gate_status *ret)
{
	struct repo_names names;

	if (!repo_is_hosted(a->repo))
		return 0;
	known_names(node_known(a->server->node), a->repo, &names);
	return rights_pass(&a->server->rights, &a->who, &names, ret);
}

int gated_pass(struct ask *a)
{
	enum gate_status status;
	int r = ask_rights(a, &status);

	return r == ERR_GATED ? refuse(a, status) : r;
}

int gated_passes(struct ask *a)
{
	enum gate_status status;

	return ask_rights(a, &status);
}

/* What says what the repository is. */
static bool is_for_everybody(const struct ask *a)
{
	static const char *const open[] = { "README.md", "LICENSE", "LICENSE.md", "LICENSE.txt" };

	for (size_t i = 0; i < ARRAY_LEN(open); i++)
		if (!strcmp(a->asked.target.path, open[i]))
			return true;
	return false;
}

int gated_pass_file(struct ask *a)
{
	return is_for_everybody(a) ? 0 : gated_pass(a);
}

int gated_pass_found(struct ask *a, const struct manifest_file *f)
{
	return is_for_everybody(a) && f->kind == DIGEST_SHA256 ? gated_pass(a) : 0;
}
