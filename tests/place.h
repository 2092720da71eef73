/* SPDX-License-Identifier: Apache-2.0 */
/* TEMPORARY: tests/place.h is tests/workdir.h now, since fs/place.h has a struct place too. */
#include "tests/workdir.h"
#define place workdir
#define place_init workdir_init
#define place_fini workdir_fini
#define place_setup workdir_setup
#define place_teardown workdir_teardown
#define PLACE_WAIT_MS PARKED_WAIT_MS
