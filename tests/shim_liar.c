/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD: what a process sends of files is wrong, as the file named by LIAR_SHIM says at the
 * moment: "flip N" changes one byte of each Nth MiB of a file, "zeros" all of them, "drip" gives a
 * byte a second; else nothing. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PIECE 65536
#define MIB (1 << 20)

static char *mode(char text[static 32])
{
	const char *path = getenv("LIAR_SHIM");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd >= 0 ? read(fd, text, 31) : 0;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void spoil(char *data, size_t len, off_t off, const char *how)
{
	long every = 0;

	if (strncmp(how, "zeros", 5) == 0)
		memset(data, 0, len);
	if (sscanf(how, "flip %ld", &every) != 1)
		return;
	for (size_t i = 0; i < len; i++)
		if ((off + (off_t)i) % MIB == MIB / 2 && (off + (off_t)i) / MIB % every == 0)
			data[i] ^= 1;
}

/* Sends all it can: who is given less than he asked for believes that the socket is full. */
ssize_t sendfile64(int to, int from, off64_t *off, size_t count)
{
	char how[32], piece[PIECE];
	ssize_t sent = 0, n;

	if (!off || !*mode(how))
		return syscall(SYS_sendfile, to, from, off, count);
	if (strncmp(how, "drip", 4) == 0) {
		sleep(1);
		return syscall(SYS_sendfile, to, from, off, (size_t)1);
	}
	do {
		size_t left = count - (size_t)sent;

		n = pread(from, piece, left < PIECE ? left : PIECE, *off);
		if (n > 0)
			spoil(piece, (size_t)n, *off, how);
		if (n > 0)
			n = send(to, piece, (size_t)n, MSG_NOSIGNAL);
		if (n > 0) {
			*off += n;
			sent += n;
		}
	} while (n > 0 && (size_t)sent < count);
	return sent ? sent : n;
}
