/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/model/shards.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const files[] = {
	"config.json",
	"model.safetensors.index.json",
	"model-00001-of-00003.safetensors",
	"model-00002-of-00003.safetensors",
	"model-00003-of-00003.safetensors",
	"model-00001-of-00001.safetensors",
	"pytorch_model.bin.index.json",
	"pytorch_model-00001-of-00002.bin",
	"pytorch_model-00002-of-00002.bin",
	"q4/model-q4-00001-of-00002.gguf",
	"q4/model-q4-00002-of-00002.gguf",
	"q8/model-q8-00002-of-00002.gguf",
	"unet/diffusion_pytorch_model.safetensors.index.json",
	"unet/diffusion_pytorch_model-00001-of-00002.safetensors",
	"unet/diffusion_pytorch_model-00002-of-00002.safetensors",
	"unet/diffusion_pytorch_model.fp16.safetensors.index.json",
	"unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors",
	"odd/a-00001-of-00002-00001-of-00002.bin",
	"odd/a-00001-of-00002-00002-of-00002.bin",
	"odd/gap-00001-of-00003.bin",
	"odd/gap-00003-of-00003.bin",
	"odd/lonely.safetensors.index.json",
	"odd/data-00001-of-00002.parquet",
	"odd/data-00002-of-00002.parquet",
	"odd/folder-00001-of-00002.bin",
	"odd/folder-00002-of-00002.bin/file",
	"odd/short-0001-of-0002.bin",
	"odd/short-0002-of-0002.bin",
};

static int setup(void **state)
{
	CLEANUP(manifest_builder_freep) struct manifest_builder *b = NULL;
	CLEANUP(buf_free) struct buf why = { 0 };
	const struct manifest_file file = { .size = 1, .kind = DIGEST_SHA256 };
	int r = manifest_builder_new(&b);

	for (size_t i = 0; r == 0 && i < ARRAY_LEN(files); i++)
		r = manifest_builder_add(b, files[i], &file, &why);
	return r < 0 ? r : manifest_builder_finish(b, (struct manifest **)state, &why);
}

static int teardown(void **state)
{
	manifest_free(*state);
	return 0;
}

static void a_shard_is_followed_by_the_next_of_its_set(void **state)
{
	static const struct {
		const char *file, *next;
	} table[] = {
		{ "model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors" },
		{ "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors" },
		{ "model-00003-of-00003.safetensors", NULL },
		{ "model-00001-of-00001.safetensors", NULL },
		{ "pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin" },
		{ "q4/model-q4-00001-of-00002.gguf", "q4/model-q4-00002-of-00002.gguf" },
		{ "odd/a-00001-of-00002-00001-of-00002.bin",
		  "odd/a-00001-of-00002-00002-of-00002.bin" },
		{ "odd/gap-00001-of-00003.bin", NULL },
		{ "odd/data-00001-of-00002.parquet", NULL },
		{ "odd/folder-00001-of-00002.bin", NULL },
		{ "odd/short-0001-of-0002.bin", NULL },
		{ "config.json", NULL },
	};
	const struct manifest *m = *state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		uint32_t want = table[i].next ? manifest_find(m, table[i].next) : MANIFEST_NONE;

		assert_int_equal(shards_after(m, manifest_find(m, table[i].file)), want);
	}
}

static void an_index_is_followed_by_the_first_shard_it_speaks_of(void **state)
{
	static const struct {
		const char *file, *next;
	} table[] = {
		{ "model.safetensors.index.json", "model-00001-of-00001.safetensors" },
		{ "pytorch_model.bin.index.json", "pytorch_model-00001-of-00002.bin" },
		{ "unet/diffusion_pytorch_model.safetensors.index.json",
		  "unet/diffusion_pytorch_model-00001-of-00002.safetensors" },
		{ "unet/diffusion_pytorch_model.fp16.safetensors.index.json",
		  "unet/diffusion_pytorch_model.fp16-00001-of-00002.safetensors" },
		{ "odd/lonely.safetensors.index.json", NULL },
	};
	const struct manifest *m = *state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		uint32_t want = table[i].next ? manifest_find(m, table[i].next) : MANIFEST_NONE;

		assert_int_equal(shards_after(m, manifest_find(m, table[i].file)), want);
	}
}

static void a_name_says_the_kind(UNUSED void **state)
{
	static const struct {
		const char *name;
		bool root;
		enum shards_kind kind;
	} table[] = {
		{ "model.safetensors", true, SHARDS_SAFETENSORS },
		{ "model.safetensors", false, SHARDS_SAFETENSORS },
		{ "x.gguf", true, SHARDS_GGUF },
		{ "pytorch_model.bin", true, SHARDS_ZIP },
		{ "a.pt", true, SHARDS_ZIP },
		{ "a.pth", true, SHARDS_ZIP },
		{ "model.safetensors.index.json", true, SHARDS_INDEX },
		{ "config.json", true, SHARDS_CONFIG },
		{ "config.json", false, SHARDS_OTHER },
		{ "tokenizer_config.json", true, SHARDS_CONFIG },
		{ "model_index.json", true, SHARDS_CONFIG },
		{ "README.md", true, SHARDS_OTHER },
		{ ".bin", true, SHARDS_OTHER },
		{ "safetensors", true, SHARDS_OTHER },
		{ "bin", true, SHARDS_OTHER },
		{ "", true, SHARDS_OTHER },
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_int_equal(shards_kind(table[i].name, table[i].root), table[i].kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_shard_is_followed_by_the_next_of_its_set),
		cmocka_unit_test(an_index_is_followed_by_the_first_shard_it_speaks_of),
		cmocka_unit_test(a_name_says_the_kind),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
