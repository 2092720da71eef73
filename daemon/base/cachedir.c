/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/cachedir.h"

int cachedir_default(bool is_root, char *(*getenv_fn)(const char *), struct buf *ret)
{
	const char *xdg = getenv_fn("XDG_CACHE_HOME"), *home = getenv_fn("HOME");

	if (is_root)
		return buf_add_str(ret, CACHEDIR);
	if (xdg && *xdg == '/')
		return buf_printf(ret, "%s/matrixfs", xdg);
	return home && *home ? buf_printf(ret, "%s/.cache/matrixfs", home) : 0;
}
