/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/registry/first_files.h"

#include <string.h>

#include "admin/registry/card.h"
#include "daemon/base/err.h"
#include "daemon/base/why.h"

#define LFS " filter=lfs diff=lfs merge=lfs -text\n"

#define EVERYWHERE \
	"*.7z" LFS "*.arrow" LFS "*.bin" LFS "*.bz2" LFS "*.ckpt" LFS "*.ftz" LFS "*.gz" LFS \
	"*.h5" LFS "*.joblib" LFS "*.lfs.*" LFS

static const char model[] = EVERYWHERE
	"*.mlmodel" LFS "*.model" LFS "*.msgpack" LFS "*.npy" LFS "*.npz" LFS "*.onnx" LFS
	"*.ot" LFS "*.parquet" LFS "*.pb" LFS "*.pickle" LFS "*.pkl" LFS "*.pt" LFS "*.pth" LFS
	"*.rar" LFS "*.safetensors" LFS "saved_model/**/*" LFS "*.tar.*" LFS "*.tar" LFS
	"*.tflite" LFS "*.tgz" LFS "*.wasm" LFS "*.xz" LFS "*.zip" LFS "*.zst" LFS "*tfevents*" LFS;

static const char dataset[] = EVERYWHERE
	"*.lz4" LFS "*.mds" LFS "*.mlmodel" LFS "*.model" LFS "*.msgpack" LFS "*.npy" LFS
	"*.npz" LFS "*.onnx" LFS "*.ot" LFS "*.parquet" LFS "*.pb" LFS "*.pickle" LFS "*.pkl" LFS
	"*.pt" LFS "*.pth" LFS "*.rar" LFS "*.safetensors" LFS "saved_model/**/*" LFS "*.tar.*" LFS
	"*.tar" LFS "*.tflite" LFS "*.tgz" LFS "*.wasm" LFS "*.xz" LFS "*.zip" LFS "*.zst" LFS
	"*tfevents*" LFS "# Audio files - uncompressed\n"
	"*.pcm" LFS "*.sam" LFS "*.raw" LFS "# Audio files - compressed\n"
	"*.aac" LFS "*.flac" LFS "*.mp3" LFS "*.ogg" LFS "*.wav" LFS
	"# Image files - uncompressed\n"
	"*.bmp" LFS "*.gif" LFS "*.png" LFS "*.tiff" LFS "# Image files - compressed\n"
	"*.jpg" LFS "*.jpeg" LFS "*.webp" LFS "# Video files - compressed\n"
	"*.mp4" LFS "*.webm" LFS;

const char *first_attributes(enum repo_type type)
{
	return type == REPO_DATASET ? dataset : model;
}

/* A value that is no plain word would be something else in YAML. */
static bool is_plain(const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				  "0123456789-_.+");

	return len > 0 && !text[len];
}

/* What a commit would have to take for one. */
static int check_license(const struct registry_repo *repo, const char *license, struct buf *why)
{
	CLEANUP(buf_free) struct buf card = { 0 }, told = { 0 };
	int r;

	if (!is_plain(license))
		return complain_as(ERR_HOSTILE, why, "\"license\" is no identifier of a license");
	buf_printf(&card, "---\nlicense: %s\n---\n", license);
	r = card_check(buf_str(&card), card.len, repo->id.type, &told, why);
	return r == 0 && why->len ? ERR_HOSTILE : r;
}

int first_card(const struct registry_repo *repo, const char *license, struct buf *ret,
	       struct buf *why)
{
	bool licensed = license && *license;
	int r = licensed ? check_license(repo, license, why) : 0;

	if (r < 0)
		return r;
	if (!licensed && !repo->sdk[0])
		return 0;
	buf_add_str(ret, "---\n");
	if (repo->sdk[0])
		buf_printf(ret, "title: \"%s\"\nsdk: %s\n", strchr(repo->id.name, '/') + 1,
			   repo->sdk);
	if (licensed)
		buf_printf(ret, "license: %s\n", license);
	return buf_add_str(ret, "---\n");
}
