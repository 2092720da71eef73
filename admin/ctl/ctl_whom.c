/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_whom.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/cachedir.h"

#define CONTROL "control" /* in the directory of the cache */

static const struct {
	const char *words;
	enum ctl_whom whom;
} rows[] = {
	{ "completion bash", CTL_NOBODY },
	{ "completion zsh", CTL_NOBODY },
	{ "completion words", CTL_NOBODY },
	{ "env", CTL_EITHER },
	{ "doctor", CTL_RATHER },
	{ "bench", CTL_NODE },
	{ "config show", CTL_NODE },
	{ "config check", CTL_NOBODY },
	{ "status", CTL_EITHER },
	{ "top", CTL_EITHER },
	{ "ls", CTL_EITHER },
	{ "pull", CTL_EITHER },
	{ "pin", CTL_NODE },
	{ "unpin", CTL_NODE },
	{ "evict", CTL_NODE },
	{ "why", CTL_NODE },
	{ "peers", CTL_EITHER },
	{ "peers where", CTL_NODE },
	{ "peers forgive", CTL_EITHER },
	{ "nfs", CTL_NODE },
	{ "job list", CTL_EITHER },
	{ "job cancel", CTL_EITHER },
	{ "scrub", CTL_EITHER },
};

enum ctl_whom ctl_whom(const struct ctl_verb *v)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(rows[i].words, v->words))
			return rows[i].whom;
	return CTL_HUB;
}

/* NULL for one that is not set, or to nothing. */
static const char *env(char *(*getenv_fn)(const char *), const char *name)
{
	const char *value = getenv_fn(name);

	return value && *value ? value : NULL;
}

int ctl_whom_socket(const char *node, char *(*getenv_fn)(const char *), struct buf *ret)
{
	struct stat st;
	int r;

	node = node ? node : env(getenv_fn, "MATRIXFS_NODE");
	r = node ? buf_add_str(ret, node) : cachedir_default(geteuid() == 0, getenv_fn, ret);
	if (r == 0 && (!node || (stat(node, &st) == 0 && S_ISDIR(st.st_mode))))
		r = buf_add_str(ret, "/" CONTROL);
	return r;
}

/* True if a matrixfs has run where it does by default. */
static bool is_there(char *(*getenv_fn)(const char *))
{
	CLEANUP(buf_free) struct buf socket = { 0 };
	struct stat st;

	return ctl_whom_socket(NULL, getenv_fn, &socket) == 0 && stat(buf_str(&socket), &st) == 0 &&
	       S_ISSOCK(st.st_mode);
}

enum ctl_whom ctl_whom_chosen(enum ctl_whom whom, const char *hub, const char *node,
			      char *(*getenv_fn)(const char *))
{
	bool hub_named = env(getenv_fn, "MATRIXHUB_URL") != NULL;
	bool node_named = env(getenv_fn, "MATRIXFS_NODE") != NULL;

	if (hub || node)
		return hub ? CTL_HUB : CTL_NODE;
	if (whom == CTL_RATHER)
		return hub_named && !node_named && !is_there(getenv_fn) ? CTL_HUB : CTL_NODE;
	if (hub_named)
		return CTL_HUB;
	return node_named || is_there(getenv_fn) ? CTL_NODE : CTL_HUB;
}
