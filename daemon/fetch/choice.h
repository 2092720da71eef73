/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a run asks: the sources in turn, the slow ones last, without those that gave wrong bytes of
 * this blob; and the places where it lies. For the thread that carries the run. */
#ifndef MATRIXFS_CHOICE_H
#define MATRIXFS_CHOICE_H

#include "daemon/fetch/pull.h"

struct choice {
	struct pull *pull;
	struct source *const *sources;
	unsigned source_count;
	uint64_t asked;        /* bit i: source i had its turn */
	unsigned source;       /* the one to be asked */
	uint64_t tried;        /* bit: the number of a place that had its turn */
	struct origin *origin; /* the place it is asked for; borrowed from the pull */
	bool desperate;        /* no other has it: one that was wrong once may be asked again */
};

/* Begins with the first source, and the best of the places. `sources`, at least one, stay the
 * caller's. */
void choice_init(struct choice *c, struct pull *p, struct source *const *sources,
		 unsigned source_count);
/* All sources have their turn again, from the first on. */
void choice_begin(struct choice *c);
/* False if nobody may be asked now: the run may have been wanted, or be on its way, since before
 * the last wrong digest. Else the source is one that may. */
bool choice_may_ask(struct choice *c);
/* Goes on to the next source; true when all have had their turn, and the first is next. */
bool choice_next(struct choice *c);
/* No source has it at this place, which rests: goes on to the next; false if there is none. */
bool choice_next_origin(struct choice *c);
/* Nobody that was never wrong has it: begins anew with the others. False if there are none, or they
 * had their turn, too. */
bool choice_again(struct choice *c);

#endif
