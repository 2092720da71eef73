/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/plain_manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "daemon/base/digest.h"

struct manifest *plain_manifest(const struct plain_file *files, size_t count)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct manifest_builder *b;
	struct manifest *m;

	assert_int_equal(manifest_builder_new(&b), 0);
	for (size_t i = 0; i < count; i++) {
		struct manifest_file f = { .size = 1, .kind = DIGEST_GIT_SHA1 };

		assert_int_equal(digest_git_object("blob", files[i].content, 1, f.oid), 0);
		memcpy(f.digest, f.oid, sizeof(f.oid));
		assert_int_equal(manifest_builder_add(b, files[i].path, &f, &why), 0);
	}
	assert_int_equal(manifest_builder_finish(b, &m, &why), 0);
	manifest_builder_free(b);
	return m;
}
