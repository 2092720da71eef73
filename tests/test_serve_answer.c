/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/peer/serve_priv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/base/err.h"

static void what_hubs_answered_is_said_of_upstream(UNUSED void **state)
{
	const int of[] = { ERR_UPSTREAM, ERR_SERVER, ERR_BUSY, ERR_CUT, ERR_TLS, ERR_PROTO };

	for (unsigned i = 0; i < sizeof(of) / sizeof(*of); i++)
		assert_int_equal(serve_status(of[i]), WIRE_FAILED);
}

static void what_is_wrong_with_the_origin_a_guest_named_is_not(UNUSED void **state)
{
	const int of[] = { ERR_NOREPO, ERR_NOREV,    ERR_NOENTRY, ERR_GATED,
			   ERR_TOKEN,  ERR_DISABLED, ERR_CHANGED, ERR_MOVED };

	for (unsigned i = 0; i < sizeof(of) / sizeof(*of); i++) {
		assert_int_equal(serve_status(of[i]), WIRE_NOT_HERE);
		assert_int_equal(err_from_word(err_word(err_index(of[i]))), of[i]);
	}
	assert_int_equal(err_from_word("absent"), 0);
}

static void what_befell_this_node_is_not(UNUSED void **state)
{
	const int busy[] = { ERR_STOPPING, ERR_TIMEOUT, ERR_CANCELED, -ENOMEM, -EAGAIN, -EMFILE };
	const int gone[] = { -ENOENT, ERR_DIGEST, ERR_OFFLINE };
	const int full[] = { ERR_FULL, -ENOSPC, -EROFS };

	for (unsigned i = 0; i < sizeof(busy) / sizeof(*busy); i++)
		assert_int_equal(serve_status(busy[i]), WIRE_BUSY);
	for (unsigned i = 0; i < sizeof(gone) / sizeof(*gone); i++)
		assert_int_equal(serve_status(gone[i]), WIRE_NOT_HERE);
	for (unsigned i = 0; i < sizeof(full) / sizeof(*full); i++)
		assert_int_equal(serve_status(full[i]), WIRE_FULL);
	assert_int_equal(serve_status(ERR_SIZE), WIRE_OTHER_SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_hubs_answered_is_said_of_upstream),
		cmocka_unit_test(what_is_wrong_with_the_origin_a_guest_named_is_not),
		cmocka_unit_test(what_befell_this_node_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
