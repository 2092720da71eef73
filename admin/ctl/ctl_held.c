/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ctl/ctl_held.h"

#include <string.h>

enum ctl_held ctl_held_by(const struct jval *status, int64_t *ret_takeovers)
{
	const char *by = jval_get_str(status, "held_by");

	if (!jval_get_str(status, "mountpoint") ||
	    !jval_int(jval_get(status, "takeovers"), ret_takeovers))
		return CTL_HELD_UNTOLD;
	if (jval_get_size(status, "holder_pid") > 0)
		return CTL_HELD_BY_HOLDER;
	return by && strcmp(by, "nobody") != 0 ? CTL_HELD_BY_MANAGER : CTL_HELD_BY_NOBODY;
}

void ctl_held_print(const struct jval *status, struct buf *ret)
{
	long long pid = jval_get_size(status, "holder_pid");
	const char *by = jval_get_str(status, "held_by");
	int64_t takeovers = 0;

	switch (ctl_held_by(status, &takeovers)) {
	case CTL_HELD_BY_HOLDER:
		buf_printf(ret, "process %lld (kill -USR2 %lld replaces the daemon)", pid, pid);
		break;
	case CTL_HELD_BY_MANAGER:
		buf_printf(ret, "%s (systemctl restart of its unit replaces the daemon)", by);
		break;
	case CTL_HELD_BY_NOBODY:
		buf_add_str(ret, "nobody (it ends with its daemon)");
		break;
	case CTL_HELD_UNTOLD:
		return;
	}
	if (takeovers > 0)
		buf_printf(ret, ", taken over %lld time%s", (long long)takeovers,
			   takeovers == 1 ? "" : "s");
}
