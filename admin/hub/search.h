/* SPDX-License-Identifier: Apache-2.0 */
/* What a list is asked for (hf-contract §1.3): which repositories, and in which order. Pure. */
#ifndef MATRIXFS_SEARCH_H
#define MATRIXFS_SEARCH_H

#include "admin/catalogue/finding.h"

struct search {
	enum repo_type type;
	struct buf names; /* texts, each with its NUL; all of them are wanted */
	struct buf terms; /* lines; all of them are wanted */
	double parameters_min, parameters_max;
	bool unanswerable; /* what is asked for is told by nobody */
	enum catalogue_number sort;
	bool ascending;
	/* Behind this one the page begins, if there is a name. */
	double after_number;
	struct buf after_name;
};

/* Reads a query, of repositories of that type. -EINVAL with a sentence in `why`: hubs refuse it.
 * -ENOMEM. In any case there is something for search_fini. */
MUST_USE int search_read(const char *query, enum repo_type type, struct search *ret,
			 struct buf *why);
void search_fini(struct search *s);
/* One term more, in whatever letters. */
void search_add(struct search *s, enum term_kind kind, const char *text, size_t len);
/* The words of a text, all of them. */
void search_add_words(struct search *s, const char *text);
/* The same as the catalogue is asked, for somebody who sees all; borrowed as long as the search
 * stays as it is. */
struct finding_query search_query(const struct search *s);
/* The page begins behind this one. -ENOMEM. */
MUST_USE int search_go_behind(struct search *s, const struct catalogue_entry *last);
/* Appends what a query must say for that. */
int search_cursor(const struct search *s, const struct catalogue_entry *last, struct buf *ret);

#endif
