/* SPDX-License-Identifier: Apache-2.0 */
/* guest_read WAY FILE: the bytes of a file on standard output, read in a way that no program of
 * busybox does. Linked statically: it runs in a virtual machine where there is nothing else.
 *
 *     map        through a shared mapping, page by page in an order far from the file's
 *     private    through a private mapping whose first byte is written to, then put back
 *     direct     past the page cache, 1 MiB at a time
 *     readahead  after telling the kernel that all of it will be needed */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096
#define STEP (1 << 20)

static int fail(const char *what)
{
	fprintf(stderr, "guest_read: %s: %s\n", what, strerror(errno));
	return 1;
}

static int give(const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, data, len);

		if (n < 0)
			return fail("write");
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Every page once, each far from the one before: the step and the count have no common divisor. */
static void copy_scattered(char *to, const char *from, size_t size)
{
	size_t pages = (size + PAGE - 1) / PAGE, step = 7919;

	while (pages % step == 0)
		step += 2;
	for (size_t n = 0, page = 0; n < pages; n++, page = (page + step) % pages) {
		size_t at = page * PAGE;

		memcpy(to + at, from + at, size - at < PAGE ? size - at : PAGE);
	}
}

static int by_map(int fd, size_t size, int private)
{
	int prot = PROT_READ | (private ? PROT_WRITE : 0);
	char *map = mmap(NULL, size, prot, private ? MAP_PRIVATE : MAP_SHARED, fd, 0), *copy;

	if (map == MAP_FAILED)
		return fail("mmap");
	if (private) {
		char first = map[0];

		map[0] = (char)~first;
		map[0] = first;
	}
	copy = malloc(size);
	if (!copy)
		return fail("malloc");
	copy_scattered(copy, map, size);
	return give(copy, size);
}

static int by_read(int fd)
{
	void *room;
	ssize_t n;

	if (posix_memalign(&room, PAGE, STEP) != 0)
		return fail("posix_memalign");
	while ((n = read(fd, room, STEP)) > 0)
		if (give(room, (size_t)n) != 0)
			return 1;
	return n < 0 ? fail("read") : 0;
}

int main(int argc, char **argv)
{
	const char *way = argc == 3 ? argv[1] : "";
	struct stat st;
	int fd;

	fd = open(argc == 3 ? argv[2] : "", O_RDONLY | (strcmp(way, "direct") == 0 ? O_DIRECT : 0));
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail("open");
	if (strcmp(way, "map") == 0 || strcmp(way, "private") == 0)
		return by_map(fd, (size_t)st.st_size, way[0] == 'p');
	if (strcmp(way, "readahead") == 0)
		(void)!posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED);
	return by_read(fd);
}
