/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that a matrixfs or a hub needs, looked at one by one. */
#ifndef MATRIXFS_CTL_DOCTOR_H
#define MATRIXFS_CTL_DOCTOR_H

#include "admin/ctl/ctl_run.h"

/* doctor: a row's `run`. Fails if a check has failed, not for what is only odd. */
int ctl_doctor(struct ctl *c);

#endif
