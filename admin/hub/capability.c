/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/hub/capability.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/random.h>

#include "daemon/base/digest.h"
#include "daemon/base/why.h"

int capability_make_key(uint8_t ret[static CAPABILITY_KEY])
{
	return getrandom(ret, CAPABILITY_KEY, 0) == CAPABILITY_KEY ? 0 : -errno;
}

/* Each text with its NUL, so that one cannot lend its end to the next. */
static int seal(const uint8_t key[static CAPABILITY_KEY], const char *const *what,
		int64_t expires_s, uint8_t ret[static 32])
{
	CLEANUP(buf_free) struct buf all = { 0 };

	buf_add_u64(&all, (uint64_t)expires_s);
	for (; *what; what++)
		buf_add(&all, *what, strlen(*what) + 1);
	return all.failed ? all.failed : digest_hmac(key, CAPABILITY_KEY, all.data, all.len, ret);
}

int capability_print(const uint8_t key[static CAPABILITY_KEY], const char *const *what,
		     int64_t expires_s, struct buf *ret)
{
	uint8_t mac[32];
	char hex[65];
	int r = seal(key, what, expires_s, mac);

	if (r < 0)
		return r;
	hex_print(mac, sizeof(mac), hex);
	return buf_printf(ret, "%" PRId64 ".%s", expires_s, hex);
}

/* What would be printed for the time that the text says is compared as a whole: so there is one
 * text for each capability, and no other way to write it. */
int capability_check(const uint8_t key[static CAPABILITY_KEY], const char *const *what,
		     const char *text, int64_t now_s, struct buf *why)
{
	CLEANUP(buf_free) struct buf right = { 0 };
	int64_t expires_s = strtoll(text, NULL, 10);
	int r = capability_print(key, what, expires_s, &right);

	if (r < 0)
		return r;
	if (strlen(text) != right.len ||
	    !digest_same((const uint8_t *)text, (const uint8_t *)right.data, right.len))
		return complain_as(-EACCES, why, "this link is not one that this hub gave");
	if (expires_s < now_s)
		return complain_as(-EACCES, why, "this link has expired");
	return 0;
}
