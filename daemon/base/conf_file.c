/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/conf_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "daemon/base/file.h"
#include "daemon/base/why.h"

#define BYTES_MAX (1024 * 1024)

int conf_file(const struct conf_table *t, void *conf, char *const *config, const char *named,
	      const char *usual, struct buf *ret_text, struct buf *why)
{
	const char *path = named ? named : usual;
	int r = file_read_all(AT_FDCWD, path, BYTES_MAX, ret_text);

	if (r == -ENOENT && !named)
		return 0;
	if (r < 0)
		return complain(why, "The configuration file %s cannot be read: %s.", path,
				err_text(r));
	r = conf_set(t, conf, "config", path, why);
	if (r == 0)
		r = conf_parse(t, conf, buf_str(ret_text), ret_text->len, path, why);
	if (r == 0 && (!*config || strcmp(*config, path) != 0))
		r = complain(why,
			     "%s: A configuration file cannot name another one: remove its "
			     "\"config\" line.",
			     path);
	return r;
}
