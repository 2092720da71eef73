/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/background.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "daemon/base/buf.h"
#include "daemon/base/log.h"

#define DIED 1
#define LOG_FILE "matrixfs.log" /* in the cache directory */

int background_go(int *ret_fd)
{
	int pipe_fds[2];
	unsigned char status = DIED;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(pipe_fds[1]);
		if (read(pipe_fds[0], &status, 1) != 1)
			status = DIED; /* it has said why */
		_exit(status);
	}
	close(pipe_fds[0]);
	*ret_fd = pipe_fds[1];
	return 0;
}

void background_tell(int *fd, unsigned char status)
{
	if (*fd < 0)
		return;
	if (write(*fd, &status, 1) != 1)
		log_debug("nobody waited for the mount");
	close(steal_fd(fd));
}

void background_leave_terminal(const char *cache_dir, bool stays)
{
	CLEANUP(buf_free) struct buf path = { 0 };
	CLEANUP(closep) int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	CLEANUP(closep) int log_fd = -1;

	buf_printf(&path, "%s/" LOG_FILE, cache_dir);
	log_fd = open(buf_str(&path), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	dup2(null_fd, STDIN_FILENO);
	dup2(null_fd, STDOUT_FILENO);
	dup2(log_fd >= 0 ? log_fd : null_fd, STDERR_FILENO);
	if (setsid() < 0)
		log_debug("it stays with the terminal it was started from");
	if (!stays && chdir("/") < 0)
		log_debug("the directory it was started in stays in use");
}
