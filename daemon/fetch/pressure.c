/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/fetch/pressure.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/clock.h"
#include "daemon/base/file.h"

#define LOOK_MS 1000
#define FILE_BYTES_MAX 65536
#define SHORT (1.0 / 16) /* of memory available, or less */
#define TIGHT (1.0 / 4)  /* with more than that, those who stall stall for limits of their own */
#define STALLED_PERCENT 10
#define MEMINFO "/proc/meminfo"
#define PSI "/proc/pressure/memory"
#define OWN_GROUP "/proc/self/cgroup"
#define GROUPS_DIR "/sys/fs/cgroup"

static bool read_text(const struct pressure *p, const char *path, struct buf *ret)
{
	CLEANUP(buf_free) struct buf full = { 0 };

	buf_printf(&full, "%s%s", p->root, path);
	return !full.failed && file_read_all(AT_FDCWD, buf_str(&full), FILE_BYTES_MAX, ret) == 0;
}

/* "0::/path" names the group in the second version's tree, the only one that tells pressure. */
static void find_group(struct pressure *p)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	const char *line;

	if (!read_text(p, OWN_GROUP, &text))
		return;
	line = strstr(buf_str(&text), "0::/");
	if (!line || (line != text.data && line[-1] != '\n'))
		return;
	line += strlen("0::");
	buf_printf(&p->group, GROUPS_DIR "%.*s/memory.pressure", (int)strcspn(line, "\n"), line);
}

void pressure_init(struct pressure *p, const char *root)
{
	*p = (struct pressure){ .root = root };
	find_group(p);
}

void pressure_fini(struct pressure *p)
{
	buf_free(&p->group);
}

/* The number behind a word of the text; false if there is none. */
static bool number_after(const char *text, const char *word, double *ret)
{
	const char *at = strstr(text, word);
	char *end;

	if (!at)
		return false;
	at += strlen(word);
	*ret = strtod(at, &end);
	return end != at;
}

/* How much of the machine's memory is available, from 0 to 1; false if it does not tell. */
static bool available_share(const struct pressure *p, double *ret)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	double total, available;

	if (!read_text(p, MEMINFO, &text) || !number_after(buf_str(&text), "MemTotal:", &total) ||
	    !number_after(buf_str(&text), "MemAvailable:", &available))
		return false;
	*ret = available / total;
	return true;
}

static bool is_stalled(const struct pressure *p, const char *path)
{
	CLEANUP(buf_free) struct buf text = { 0 };
	double percent;

	return read_text(p, path, &text) && number_after(buf_str(&text), "some avg10=", &percent) &&
	       percent > STALLED_PERCENT;
}

bool pressure_high(struct pressure *p)
{
	int64_t now = clock_ms();
	double available;

	if (p->looked_ms && now - p->looked_ms < LOOK_MS)
		return p->high;
	p->looked_ms = now;
	if (!available_share(p, &available))
		available = TIGHT;
	p->high = available < SHORT || (available <= TIGHT && is_stalled(p, PSI)) ||
		  (p->group.len && is_stalled(p, buf_str(&p->group)));
	return p->high;
}
