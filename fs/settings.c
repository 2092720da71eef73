/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/settings.h"

#include <stdlib.h>

#include "daemon/base/err.h"
#include "daemon/base/tls.h"
#include "daemon/base/why.h"
#include "daemon/peer/key_file.h"
#include "daemon/peer/peer_cert.h"

int settings_find_tokens(struct settings *s, struct buf *why)
{
	const struct conf_list *hubs = &s->options.hubs;
	int r = 0;

	if (hubs->count > NODE_HUBS_MAX)
		return complain(why, "at most %d hubs can be given", NODE_HUBS_MAX);
	s->hub_count = 0;
	for (size_t i = 0; r == 0 && i < hubs->count; i++) {
		r = options_token(&s->options, hubs->items[i], i == 0, getenv, &s->tokens[i], why);
		s->hubs[i] = (struct node_hub){ hubs->items[i], s->tokens[i] };
		s->hub_count++;
	}
	return r;
}

void settings_forget_tokens(struct settings *s)
{
	for (unsigned i = 0; i < s->hub_count; i++) {
		s->hubs[i].token = NULL;
		options_token_free(steal(s->tokens[i]));
	}
}

static int check_tls(const struct peer_settings *peer, struct buf *why)
{
	struct tls *t = NULL;
	int r;

	if (!peer->tls_cert)
		return 0;
	r = tls_new(peer->tls_cert, peer->tls_key, &t, why);
	tls_free(t);
	return r < 0 ? r : peer_cert_check_ca(peer->tls_ca, why);
}

int settings_check(struct settings *s, struct buf *why)
{
	int r = settings_find_tokens(s, why);

	settings_forget_tokens(s);
	if (r == 0)
		r = check_tls(&s->options.peer, why);
	if (r == 0)
		r = key_file_check(s->options.peer.key_file, why);
	return r < 0 ? r : key_file_check(s->options.nfs_key_file, why);
}

int settings_read(struct settings *s, int argc, char *const argv[], struct buf *why)
{
	enum options_action action;
	int r = options_parse(argc, argv, getenv, &s->options, &action, why);

	return r < 0 ? r : settings_check(s, why);
}

void settings_fini(struct settings *s)
{
	settings_forget_tokens(s);
	options_fini(&s->options);
}
