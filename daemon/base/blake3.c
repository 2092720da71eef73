/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/base/blake3.h"

#include <blake3.h>

_Static_assert(BLAKE3_BYTES == BLAKE3_KEY_LEN, "keys have another size");
_Static_assert(BLAKE3_BYTES == BLAKE3_OUT_LEN, "digests have another size");

void blake3_keyed(const uint8_t key[static BLAKE3_BYTES], const void *data, size_t len,
		  uint8_t ret[static BLAKE3_BYTES])
{
	blake3_hasher h;

	blake3_hasher_init_keyed(&h, key);
	blake3_hasher_update(&h, data, len);
	blake3_hasher_finalize(&h, ret, BLAKE3_BYTES);
}
