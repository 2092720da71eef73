/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a file and prints the seconds from before open to after the last byte, or of random reads
 * how many there were in a second. Made and run by tools/bench alone.
 *
 *     bench_read read FILE               in reads of 1 MiB
 *     bench_read threads FILE [COUNT]    the same by COUNT (4) threads, each reading its part
 *     bench_read mmap FILE               every cache line of a mapping
 *     bench_read first FILE              one byte
 *     bench_read random FILE COUNT SECONDS    4 KiB anywhere, by COUNT threads, for SECONDS */
#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STEP (1 << 20)
#define LINE 64 /* of the processor's cache: all the data has come by then */
#define SMALL 4096
#define THREADS_MAX 64

struct part {
	const char *path;
	off_t from, to;
	double until;
	uint64_t seed, reads;
	pthread_t thread;
};

static volatile uint8_t sink; /* keeps the touching from being optimised away */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	return fd;
}

static off_t size_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		err(1, "fstat");
	return st.st_size;
}

/* Reads [from, to) through a file handle of its own, as a loader's thread does. Some processors
 * copy into memory that begins 16 bytes past a page, as malloc's does, at a tenth of their speed,
 * which would be all that is measured: so it begins at a page. */
static void *read_part(void *arg)
{
	struct part *p = arg;
	int fd = open_file(p->path);
	char *buf = aligned_alloc(4096, STEP);

	if (!buf)
		err(1, "aligned_alloc");
	while (p->from < p->to) {
		size_t want = p->to - p->from < STEP ? (size_t)(p->to - p->from) : STEP;
		ssize_t n = pread(fd, buf, want, p->from);

		if (n <= 0)
			errx(1, "%s: read failed at %jd", p->path, (intmax_t)p->from);
		p->from += n;
	}
	free(buf);
	close(fd);
	return NULL;
}

/* The places are the same in each run: xorshift64 from the seed. */
static void *read_anywhere(void *arg)
{
	struct part *p = arg;
	int fd = open_file(p->path);
	char buf[SMALL];

	while (now() < p->until) {
		p->seed ^= p->seed << 13;
		p->seed ^= p->seed >> 7;
		p->seed ^= p->seed << 17;
		if (pread(fd, buf, SMALL, (off_t)(p->seed % (uint64_t)(p->to / SMALL)) * SMALL) !=
		    SMALL)
			err(1, "%s: read failed", p->path);
		p->reads++;
	}
	close(fd);
	return NULL;
}

static void run_all(struct part *parts, unsigned count, void *(*run)(void *))
{
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&parts[i].thread, NULL, run, &parts[i]) != 0)
			errx(1, "pthread_create");
	for (unsigned i = 0; i < count; i++)
		pthread_join(parts[i].thread, NULL);
}

static off_t size_of_path(const char *path)
{
	int fd = open_file(path);
	off_t size = size_of(fd);

	close(fd);
	return size;
}

static void read_parts(const char *path, unsigned count)
{
	struct part parts[THREADS_MAX];
	off_t size = size_of_path(path), share = (size / count + STEP - 1) / STEP * STEP;

	for (unsigned i = 0; i < count; i++) {
		off_t from = share * i, to = from + share;

		parts[i] = (struct part){ .path = path, .from = from, .to = to < size ? to : size };
	}
	run_all(parts, count, read_part);
}

/* Reads a second. */
static double read_random(const char *path, unsigned count, double seconds)
{
	struct part parts[THREADS_MAX];
	off_t size = size_of_path(path);
	double start = now();
	uint64_t reads = 0;

	for (unsigned i = 0; i < count; i++)
		parts[i] = (struct part){ .path = path,
					  .to = size,
					  .until = start + seconds,
					  .seed = 88172645463325252 + i };
	run_all(parts, count, read_anywhere);
	for (unsigned i = 0; i < count; i++)
		reads += parts[i].reads;
	return (double)reads / (now() - start);
}

static void touch_lines(const char *path)
{
	int fd = open_file(path);
	size_t size = (size_t)size_of(fd);
	const uint8_t *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);

	if (data == MAP_FAILED)
		err(1, "mmap");
	for (size_t i = 0; i < size; i += LINE)
		sink = data[i];
	munmap((void *)(uintptr_t)data, size);
	close(fd);
}

static void read_first(const char *path)
{
	int fd = open_file(path);
	char byte;

	if (read(fd, &byte, 1) != 1)
		errx(1, "%s: read failed", path);
	close(fd);
}

int main(int argc, char *argv[])
{
	double start = now();
	unsigned count = argc > 3 ? (unsigned)atoi(argv[3]) : 4;

	if (argc < 3 || count == 0 || count > THREADS_MAX)
		errx(2, "usage: bench_read read|mmap|first|threads|random FILE [COUNT [SECONDS]]");
	if (strcmp(argv[1], "random") == 0 && argc > 4) {
		printf("%.1f\n", read_random(argv[2], count, atof(argv[4])));
		return 0;
	}
	if (strcmp(argv[1], "read") == 0)
		read_parts(argv[2], 1);
	else if (strcmp(argv[1], "threads") == 0)
		read_parts(argv[2], count);
	else if (strcmp(argv[1], "mmap") == 0)
		touch_lines(argv[2]);
	else if (strcmp(argv[1], "first") == 0)
		read_first(argv[2]);
	else
		errx(2, "%s: no such way to read", argv[1]);
	printf("%.6f\n", now() - start);
	return 0;
}
