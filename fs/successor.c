/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/successor.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/child.h"

#define CHECK_MS 10000

int successor_find(char ret_program[static PATH_MAX])
{
	static const char gone[] = " (deleted)";
	ssize_t n = readlink(SUCCESSOR_THIS_ONE, ret_program, PATH_MAX - 1);
	size_t len = n < 0 ? 0 : (size_t)n, tail = strlen(gone);

	if (n < 0)
		return -errno;
	ret_program[len] = '\0';
	if (len > tail && !strcmp(ret_program + len - tail, gone) && access(ret_program, F_OK) < 0)
		ret_program[len - tail] = '\0';
	return 0;
}

bool successor_is_other(const char *program)
{
	struct stat file, this_one;

	return stat(SUCCESSOR_THIS_ONE, &this_one) == 0 &&
	       (stat(program, &file) < 0 || file.st_dev != this_one.st_dev ||
		file.st_ino != this_one.st_ino);
}

int successor_check(const char *program, char *const argv[], struct buf *ret_said)
{
	CLEANUP(freep) char **words = NULL;
	char check[] = "--check";
	size_t count = 0;

	while (argv[count])
		count++;
	words = calloc(count + 2, sizeof(*words));
	if (!words)
		return -ENOMEM;
	words[0] = argv[0];
	words[1] = check; /* before a "--" */
	for (size_t i = 1; i < count; i++)
		words[i + 1] = argv[i];
	return child_say(program, words, CHECK_MS, ret_said);
}
