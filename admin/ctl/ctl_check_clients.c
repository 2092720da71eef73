/* SPDX-License-Identifier: Apache-2.0 */
/* Engines are looked for among the processes of this machine, as far as we may look at them. */
#include "admin/ctl/ctl_checks.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/file.h"

#define PROC_BYTES_MAX (1u << 20)

struct engine {
	const char *name;
	const char *const *fast; /* arguments that make it read in large pieces; ends with NULL */
	const char *advice;
};

static const char *const vllm_fast[] = { "--safetensors-load-strategy", "runai_streamer",
					 "fastsafetensors", "instanttensor", NULL };
static const char *const sglang_fast[] = { "--weight-loader-prefetch-checkpoints",
					   "--weight-loader-disable-mmap", "runai_streamer",
					   "fastsafetensors", NULL };
static const struct engine engines[] = {
	{ "vllm", vllm_fast,
	  "start it with --safetensors-load-strategy=prefetch: by itself it reads ahead on NFS and "
	  "Lustre alone" },
	{ "sglang", sglang_fast, "start it with --weight-loader-prefetch-checkpoints" },
};

/* --- texts with a NUL behind each, as /proc has them */

/* The value of NAME= among them, or NULL. */
static const char *find_value(const struct buf *b, const char *name)
{
	size_t len = strlen(name);

	for (const char *at = buf_str(b); at < buf_str(b) + b->len; at += strlen(at) + 1)
		if (!strncmp(at, name, len) && at[len] == '=')
			return at + len + 1;
	return NULL;
}

/* True if a text has one of these in it. */
static bool has_any(const struct buf *b, const char *const *words)
{
	for (const char *at = buf_str(b); at < buf_str(b) + b->len; at += strlen(at) + 1)
		for (size_t i = 0; words[i]; i++)
			if (strstr(at, words[i]))
				return true;
	return false;
}

/* A program "vllm", or a module of it: "vllm.entrypoints.openai.api_server". */
static bool is_engine(const struct buf *args, const char *name)
{
	size_t len = strlen(name);
	const char *at = buf_str(args);

	for (int i = 0; i < 3 && at < buf_str(args) + args->len; i++) {
		const char *base = strrchr(at, '/');

		base = base ? base + 1 : at;
		if (!strncmp(base, name, len) && strchr(".", base[len]))
			return true;
		at += strlen(at) + 1;
	}
	return false;
}

/* --- whether one reads from the mount */

static bool is_path(const char *path, const char *mountpoint, const char *tail)
{
	size_t len = strlen(mountpoint), end = path ? strlen(path) : 0;

	while (end > 1 && path[end - 1] == '/')
		end--;
	return path && end == len + strlen(tail) && !strncmp(path, mountpoint, len) &&
	       !strncmp(path + len, tail, strlen(tail));
}

static bool reads_here(const char *hub_cache, const char *home, const char *mountpoint)
{
	return hub_cache && *hub_cache ? is_path(hub_cache, mountpoint, "/hub")
				       : is_path(home, mountpoint, "");
}

static void check_process(struct ctl_checkup *u, const char *pid, const char *mountpoint,
			  unsigned *found)
{
	CLEANUP(buf_free) struct buf args = { 0 }, env = { 0 };
	const char *const here[] = { mountpoint, NULL };
	const struct engine *e = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	if (file_read_all(AT_FDCWD, path, PROC_BYTES_MAX, &args) < 0)
		return;
	for (size_t i = 0; !e && i < ARRAY_LEN(engines); i++)
		e = is_engine(&args, engines[i].name) ? &engines[i] : NULL;
	if (!e)
		return;
	snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
	if (file_read_all(AT_FDCWD, path, PROC_BYTES_MAX, &env) < 0)
		buf_clear(&env);
	(*found)++;
	if (!has_any(&args, here) &&
	    !reads_here(find_value(&env, "HF_HUB_CACHE"), find_value(&env, "HF_HOME"), mountpoint))
		ctl_checkup_add(u, CTL_WARN, e->name,
				"start it with what matrixctl env prints, or with a path below the "
				"mount",
				"process %s does not read from %s", pid, mountpoint);
	else if (!has_any(&args, e->fast))
		ctl_checkup_add(u, CTL_WARN, e->name, e->advice,
				"process %s maps its files page by page", pid);
	else
		ctl_checkup_add(u, CTL_OK, e->name, NULL,
				"process %s reads from %s in large pieces", pid, mountpoint);
}

static void check_processes(struct ctl_checkup *u, const char *mountpoint)
{
	DIR *proc = opendir("/proc");
	unsigned found = 0;
	struct dirent *d;

	while (proc && (d = readdir(proc)))
		if (isdigit((unsigned char)d->d_name[0]))
			check_process(u, d->d_name, mountpoint, &found);
	if (proc)
		closedir(proc);
	if (!found)
		ctl_checkup_add(u, CTL_OK, "engines", NULL, "no vLLM or SGLang runs here");
}

void ctl_check_clients(struct ctl_checkup *u, const char *mountpoint,
		       char *(*getenv_fn)(const char *))
{
	const char *cache = getenv_fn("HF_HUB_CACHE"), *home = getenv_fn("HF_HOME");

	if (reads_here(cache, home, mountpoint))
		ctl_checkup_add(u, CTL_OK, "environment", NULL,
				"clients of this shell read from %s", mountpoint);
	else
		ctl_checkup_add(u, CTL_WARN, "environment", "eval \"$(matrixctl env)\"",
				"clients of this shell do not read from %s: HF_HUB_CACHE is %s",
				mountpoint, cache && *cache ? cache : "not set");
	check_processes(u, mountpoint);
}
