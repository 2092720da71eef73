/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of a commit say of their repository: the head of README.md, config.json, the
 * headers of weights; told in the public hub's words. Pure. */
#ifndef MATRIXFS_FACTS_H
#define MATRIXFS_FACTS_H

#include "daemon/base/buf.h"
#include "daemon/model/gguf.h"
#include "daemon/model/repo_id.h"
#include "daemon/model/safetensors.h"

/* Which files there are, at the top. */
struct facts_files {
	bool adapter;   /* adapter_config.json */
	bool diffusers; /* model_index.json */
	bool sentence;  /* modules.json */
	bool safetensors, gguf, onnx, pytorch, tensorflow, flax;
};

struct facts_source {
	enum repo_type type;
	const char *sdk; /* of a Space, or "" */
	struct facts_files files;
	struct buf readme, config; /* as they are; empty: there is none */
	struct safetensors_counts tensors;
	bool has_gguf;
	struct gguf_facts gguf;
};

struct facts {
	struct buf tags;   /* as catalogue_put takes them */
	struct buf words;  /* of the card */
	struct buf doc;    /* members of an object, without its brackets */
	double parameters; /* -1: not known */
};

/* Frees what it holds. Zeroed memory is none. */
void facts_source_fini(struct facts_source *s);
void facts_fini(struct facts *f);
/* Bad files say nothing. -ENOMEM. In any case there is something for facts_fini. */
MUST_USE int facts_make(const struct facts_source *s, struct facts *ret);
/* Which of the files of facts_files a name at the top is, noted there. */
void facts_note_file(struct facts_files *files, const char *name);

#endif
