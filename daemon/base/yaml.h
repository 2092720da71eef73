/* SPDX-License-Identifier: Apache-2.0 */
/* Door to libyaml: one document of YAML as JSON, by the types of YAML 1.2's core schema. Only what
 * JSON can say: names are scalars, and stand once in their mapping; tags are those of YAML itself;
 * what is no number in JSON (infinity) is null. "<<" is a name like others. Bounded: a few letters
 * of YAML can stand for very much. Pure. */
#ifndef MATRIXFS_YAML_H
#define MATRIXFS_YAML_H

#include "daemon/base/buf.h"

#define YAML_TEXT_MAX (1 << 20) /* bytes of a document */
#define YAML_JSON_MAX (4 << 20) /* bytes of what comes of it, aliases written out */
#define YAML_DEPTH 64

/* What is wrong and where: lines and columns from 1. */
struct yaml_wrong {
	char what[160];
	size_t line, column;
};

/* Appends the document as JSON; of no document, null. -EINVAL, told in *wrong; -ENOMEM. */
MUST_USE int yaml_json(const char *text, size_t len, struct buf *ret, struct yaml_wrong *wrong);

#endif
