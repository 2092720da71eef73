/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/permit.h"

#include <errno.h>
#include <unistd.h>

/* Root may all, and everybody may what is shared. */
static bool is_free(const struct permit_who *who, const struct place *p)
{
	return who->uid == 0 || p->kind != PLACE_SCRATCH || p->shared;
}

int permit_access(const struct permit_who *who, const struct place *p, int mask)
{
	struct stat st;
	int shift = 0;

	if (is_free(who, p))
		return 0;
	scratch_stat(p->scratch, p->written, &st);
	if (st.st_uid == who->uid)
		shift = 6;
	else if (st.st_gid == who->gid)
		shift = 3;
	return mask & ~(st.st_mode >> shift) & 7 ? -EACCES : 0;
}

static bool owns(const struct permit_who *who, const struct place *p)
{
	struct stat st;

	scratch_stat(p->scratch, p->written, &st);
	return st.st_uid == who->uid;
}

int permit_remove(const struct permit_who *who, const struct place *dir, const struct place *entry)
{
	int r = permit_access(who, dir, W_OK | X_OK);

	if (r < 0 || is_free(who, entry) || owns(who, entry))
		return r;
	return dir->kind == PLACE_SCRATCH && owns(who, dir) ? 0 : -EPERM;
}

int permit_change(const struct permit_who *who, const struct place *p)
{
	return is_free(who, p) || owns(who, p) ? 0 : -EPERM;
}
