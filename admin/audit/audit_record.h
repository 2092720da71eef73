/* SPDX-License-Identifier: Apache-2.0 */
/* One record of the audit trail, as a line of JSON and back, and its link in the chain. A line is
 *   {"seq":7,"time":"2026-11-21T19:00:34.123Z", ... ,"hash":"64 hex digits"}
 * whose hash is the SHA-256 of the hash of the line before (as hex digits) and of all that stands
 * before ',"hash"'. See docs/audit.md. Pure. */
#ifndef MATRIXFS_AUDIT_RECORD_H
#define MATRIXFS_AUDIT_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/buf.h"
#include "daemon/base/jdoc.h"

#define AUDIT_HASH_HEX 64
#define AUDIT_LINE_MAX (64 * 1024) /* bytes of a line; longer ones are none of ours */
#define AUDIT_NO_HASH "0000000000000000000000000000000000000000000000000000000000000000"

/* Kinds of events. */
#define AUDIT_DOWNLOAD "download"   /* bytes of a file went out, or were refused */
#define AUDIT_UPLOAD "upload"       /* bytes came in */
#define AUDIT_CHANGE "change"       /* of a repository: commit, tag, branch, name, visibility */
#define AUDIT_SIGNIN "signin"       /* credentials were refused */
#define AUDIT_ADMIN "admin"         /* users, organisations, tokens, settings */
#define AUDIT_HUB "hub"             /* it started, stopped, mended or lost records */
#define AUDIT_SEGMENT "segment"     /* first of each segment */
#define AUDIT_RETENTION "retention" /* old segments were dropped */
/* Those that one asks for. */
#define AUDIT_KINDS \
	AUDIT_DOWNLOAD "|" AUDIT_UPLOAD "|" AUDIT_CHANGE "|" AUDIT_SIGNIN "|" AUDIT_ADMIN \
		       "|" AUDIT_HUB

/* What the outcome is called. */
#define AUDIT_DONE "done"       /* of a download: all bytes of the file */
#define AUDIT_PART "part"       /* the ranges asked for, not all of the file */
#define AUDIT_CUT "cut"         /* the connection broke before its end */
#define AUDIT_REFUSED "refused" /* without right, or without credentials that are good */
#define AUDIT_FAILED "failed"   /* we could not */
#define AUDIT_OUTCOMES AUDIT_DONE "|" AUDIT_PART "|" AUDIT_CUT "|" AUDIT_REFUSED "|" AUDIT_FAILED

/* Texts may be NULL, and are then left out. They are cut to AUDIT_TEXT_MAX bytes, `file` to all a
 * path may have. No secrets. */
#define AUDIT_TEXT_MAX 512
struct audit_record {
	uint64_t seq;        /* set by the trail */
	int64_t time_ms;     /* wall clock; set by the trail */
	const char *kind;    /* one of the above */
	const char *act;     /* what was done: "repo.create", "token.revoke", "start" */
	const char *user;    /* NULL: anonymous */
	const char *token;   /* the name of the token, never itself */
	const char *address; /* from where */
	const char *repo;    /* "models/ns/name" */
	const char *commit, *file;
	bool has_bytes;         /* the next three mean something */
	uint64_t bytes, size;   /* sent or taken, of how many the file has */
	uint64_t requests;      /* so many are told of here */
	int64_t since_ms;       /* when the first of them came, 0: unknown */
	int status;             /* HTTP, 0: none */
	const char *outcome;    /* one of the above */
	const char *why;        /* of what was not done */
	const char *request_id; /* ours, which no client can choose */
	const char *given_id;   /* what the client calls it */
	const char *agent;
	const char *note; /* more, for people */
};

/* A place in the chain: up to where something holds. */
struct audit_mark {
	uint64_t segment, seq; /* 0: none */
	char hash[AUDIT_HASH_HEX + 1];
};

/* A copy with its texts, to be given to free(); NULL without memory. */
struct audit_record *audit_record_copy(const struct audit_record *rec);
/* Appends what stands between the time and the hash: ,"kind":"download", ... */
void audit_record_body(const struct audit_record *rec, struct buf *ret);
/* Appends a whole line with its newline: number, time, such a body, and the hash that follows
 * `prev`, which becomes that hash. 0, -ENOMEM, -EIO. */
MUST_USE int audit_record_line(uint64_t seq, int64_t time_ms, const char *body, size_t body_len,
			       char prev[static AUDIT_HASH_HEX + 1], struct buf *ret);

/* What the chain needs of a line (len without its newline). */
struct audit_link {
	uint64_t seq;
	char hash[AUDIT_HASH_HEX + 1]; /* as the line says */
};
/* Finds the number and the hash of a line; false if it has not the form of one. */
bool audit_link_of(const char *line, size_t len, struct audit_link *ret);
/* True if the hash the line says is that of the line after prev. */
bool audit_link_holds(const char *prev, const char *line, size_t len);

/* Parses a line; the texts are borrowed from *ret_doc, which is owned. ERR_CORRUPT if it is none,
 * -ENOMEM. */
MUST_USE int audit_record_parse(const char *line, size_t len, struct audit_record *ret,
				struct jdoc **ret_doc);
/* Milliseconds since 1970 of a time as records have it (clock_print_iso), or without the fraction;
 * -1. */
int64_t audit_time_parse(const char *text);

/* Appends the names of the columns, or a record, as a line of CSV (RFC 4180). A text that a
 * spreadsheet would take for a formula begins with an apostrophe. */
void audit_csv_head(struct buf *ret);
void audit_csv_row(const struct audit_record *rec, struct buf *ret);

#endif
