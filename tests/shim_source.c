/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD: connections of a process within the loopback network come from the address
 * SOURCE_SHIM, so that a relay knows which node of a test it has before it. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sockaddr_in from = { .sin_family = AF_INET };

__attribute__((constructor)) static void begin(void)
{
	const char *address = getenv("SOURCE_SHIM");

	if (!address || inet_pton(AF_INET, address, &from.sin_addr) != 1)
		abort();
}

int connect(int fd, const struct sockaddr *to, socklen_t len)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)to;
	int late = 1;

	if (to->sa_family == AF_INET && (ntohl(in->sin_addr.s_addr) >> 24) == 127) {
		/* The port is chosen when it connects: there are enough of them then. */
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &late, sizeof(late));
		bind(fd, (const struct sockaddr *)&from, sizeof(from));
	}
	return (int)syscall(SYS_connect, fd, to, len);
}
