/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/scrub.h"

int scrub_turn(struct job *j, void *arg)
{
	(void)arg;
	return job_sleep(j, 1);
}
