/* SPDX-License-Identifier: Apache-2.0 */
/* A pattern is a row of tokens; a token takes some bytes, and some tokens also take none. Matching
 * goes through a path once, with a mark (a bit) on each token that may be the next: so no pattern
 * makes it try again and again, as git's own wildmatch does, which this must agree with. */
#include "admin/git/gitpattern.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#define BITS 64
#define WORDS_MAX (GIT_PATTERN_MAX / BITS + 1)

struct git_pattern {
	bool whole;          /* means whole paths, not last components */
	bool only_directory; /* ends in a slash */
	/* The text, where nothing in it is wild; then there are no words. */
	const char *text;
	size_t len;
	size_t words;    /* of a row of bits, one for each token and one for the end */
	size_t count;    /* tokens */
	size_t least;    /* bytes that a path has at least */
	uint64_t *takes; /* for each byte: the tokens that take it */
	uint64_t *stays; /* tokens that take any number of bytes, also none */
	uint64_t *dirs;  /* tokens that let the next two, a run and a slash, be left out */
	uint64_t rows[];
};

struct set {
	uint8_t bits[256 / 8];
};

/* Where its text is being read. */
struct reading {
	const char *at, *end, *begin;
	struct git_pattern *p;
	size_t behind_dirs; /* the token behind the last directories */
	bool wild;          /* there was something other than a byte */
};

/* ---- read ---- */

static void set_bit(uint64_t *row, size_t i)
{
	row[i / BITS] |= (uint64_t)1 << i % BITS;
}

static void set_add(struct set *s, unsigned first, unsigned last)
{
	for (unsigned c = first; c <= last; c++)
		s->bits[c / 8] |= (uint8_t)(1 << c % 8);
}

/* All bytes, or all but slashes. */
static void set_add_all(struct set *s, bool slash)
{
	set_add(s, 0, '/' - 1);
	set_add(s, '/' + 1, 255);
	if (slash)
		set_add(s, '/', '/');
}

/* Tokens are as many as there are bytes, at most. */
static void add(struct reading *r, const struct set *s)
{
	struct git_pattern *p = r->p;

	for (unsigned c = 0; c < 256; c++)
		if (s->bits[c / 8] >> c % 8 & 1)
			set_bit(p->takes + c * p->words, p->count);
	p->count++;
}

static void add_one(struct reading *r, const struct set *s)
{
	r->p->least++;
	add(r, s);
}

static void add_byte(struct reading *r, uint8_t c)
{
	set_bit(r->p->takes + c * r->p->words, r->p->count++);
	r->p->least++;
}

static void add_any_number(struct reading *r, bool slash)
{
	struct set s = { 0 };

	set_add_all(&s, slash);
	set_bit(r->p->stays, r->p->count);
	add(r, &s);
}

/* What comes twice is the same as once. */
static void add_directories(struct reading *r)
{
	if (r->behind_dirs && r->behind_dirs == r->p->count)
		return;
	set_bit(r->p->dirs, r->p->count++);
	add_any_number(r, true);
	add_byte(r, '/');
	r->p->least--;
	r->behind_dirs = r->p->count;
}

static int is_blank(int c)
{
	return c == ' ' || c == '\t';
}

/* "alpha" and so on, of ASCII. */
static bool set_add_class(struct set *s, const char *name, size_t len)
{
	static const struct {
		const char *name;
		int (*is)(int c);
	} classes[] = {
		{ "alnum", isalnum }, { "alpha", isalpha }, { "blank", is_blank },
		{ "cntrl", iscntrl }, { "digit", isdigit }, { "graph", isgraph },
		{ "lower", islower }, { "print", isprint }, { "punct", ispunct },
		{ "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
	};

	for (size_t i = 0; i < ARRAY_LEN(classes); i++) {
		if (strlen(classes[i].name) != len || memcmp(classes[i].name, name, len) != 0)
			continue;
		for (unsigned c = 0; c < 128; c++)
			if (classes[i].is((int)c))
				set_add(s, c, c);
		return true;
	}
	return false;
}

/* A byte that a backslash may stand before; -1 at the end. */
static int read_byte(struct reading *r)
{
	if (r->at < r->end && *r->at == '\\')
		r->at++;
	return r->at < r->end ? (uint8_t)*r->at++ : -1;
}

/* Behind "[:". 1, 0 if it is no class after all, -EINVAL if there is none of that name. */
static int read_class(struct reading *r, struct set *s)
{
	const char *name = r->at + 2, *end;

	end = memchr(name, ']', (size_t)(r->end - name));
	if (!end)
		return -EINVAL;
	if (end == name || end[-1] != ':')
		return 0;
	r->at = end + 1;
	return set_add_class(s, name, (size_t)(end - 1 - name)) ? 1 : -EINVAL;
}

/* One member of a bracket; *before is the byte before it, which a range may begin with, or 0. */
static int read_member(struct reading *r, struct set *s, int *before)
{
	bool range = *r->at == '-' && *before && r->end - r->at > 1 && r->at[1] != ']';
	int c, first = *before, class = 0;

	if (*r->at == '[' && r->end - r->at > 1 && r->at[1] == ':')
		class = read_class(r, s);
	*before = 0;
	if (class)
		return class < 0 ? class : 0;
	r->at += range;
	c = read_byte(r);
	if (c < 0)
		return -EINVAL;
	set_add(s, (unsigned)(range ? first : c), (unsigned)c);
	*before = range ? 0 : c;
	return 0;
}

/* Behind '['. The first member may be ']'. */
static int read_set(struct reading *r)
{
	struct set s = { 0 };
	bool other = r->at < r->end && (*r->at == '!' || *r->at == '^');
	int before = 0, e = 0;

	r->at += other;
	do
		e = r->at < r->end ? read_member(r, &s, &before) : -EINVAL;
	while (e == 0 && (r->at == r->end || *r->at != ']'));
	if (e < 0)
		return e;
	r->at++;
	for (size_t i = 0; other && i < sizeof(s.bits); i++)
		s.bits[i] = (uint8_t)~s.bits[i];
	s.bits['/' / 8] &= (uint8_t) ~(1 << '/' % 8);
	add_one(r, &s);
	return 0;
}

/* Two stars are for directories where they stand alone between slashes. git compares what comes
 * before the first wildcard apart, so for it two stars behind that alone stand at the beginning. */
static void read_stars(struct reading *r)
{
	const char *first = r->at - 1;
	bool alone = !r->wild || first == r->begin || first[-1] == '/';

	if (r->at == r->end || *r->at != '*') {
		add_any_number(r, false);
		return;
	}
	while (r->at < r->end && *r->at == '*')
		r->at++;
	if (alone && r->at < r->end && *r->at == '/') {
		add_directories(r);
		r->at++;
		return;
	}
	add_any_number(r, alone && (r->at == r->end ||
				    (r->end - r->at > 1 && r->at[0] == '\\' && r->at[1] == '/')));
}

static int read_wild(struct reading *r)
{
	struct set any = { 0 };
	int c;

	switch (*r->at++) {
	case '*':
		read_stars(r);
		return 0;
	case '[':
		return read_set(r);
	case '?':
		set_add_all(&any, false);
		add_one(r, &any);
		return 0;
	default:
		r->at--;
		c = read_byte(r);
		add_byte(r, (uint8_t)c);
		return c < 0 ? -EINVAL : 0;
	}
}

static int read_wild_pattern(struct git_pattern *p)
{
	struct reading r = { p->text, p->text + p->len, p->text, .p = p };
	int e = 0;

	while (e == 0 && r.at < r.end) {
		if (!strchr("*?[\\", *r.at)) {
			add_byte(&r, (uint8_t)*r.at++);
			continue;
		}
		e = read_wild(&r);
		r.wild = true;
	}
	return e;
}

/* Takes the slashes off that say which kind of pattern it is. */
static void read_ends(struct git_pattern *p)
{
	p->only_directory = p->text[p->len - 1] == '/';
	p->len -= p->only_directory;
	p->whole = memchr(p->text, '/', p->len);
	if (p->len && *p->text == '/') {
		p->text++;
		p->len--;
	}
}

int git_pattern_new(const char *text, size_t len, struct git_pattern **ret)
{
	bool wild = strcspn(text, "*?[\\") < len;
	size_t words = wild ? len / BITS + 1 : 0, rows = words * (256 + 2);
	struct git_pattern *p;
	int r;

	if (!len || len > GIT_PATTERN_MAX || memchr(text, '\0', len))
		return -EINVAL;
	p = calloc(1, sizeof(*p) + rows * sizeof(*p->rows) + len);
	if (!p)
		return -ENOMEM;
	p->words = words;
	p->takes = p->rows;
	p->stays = p->takes + 256 * words;
	p->dirs = p->stays + words;
	p->text = memcpy(p->rows + rows, text, len);
	p->len = len;
	read_ends(p);
	r = !p->len ? -EINVAL : wild ? read_wild_pattern(p) : 0;
	if (r < 0)
		free(p);
	else
		*ret = p;
	return r;
}

void git_pattern_free(struct git_pattern *p)
{
	free(p);
}

size_t git_pattern_weight(const struct git_pattern *p)
{
	return p->words;
}

/* ---- matched ---- */

/* Marks also what may come when a token takes nothing. No token that can be left out is followed by
 * another but behind directories: hence twice. */
static void pass(const struct git_pattern *p, uint64_t *marks)
{
	for (int round = 0; round < 2; round++) {
		uint64_t carry = 0;

		for (size_t w = 0; w < p->words; w++) {
			uint64_t dirs = marks[w] & p->dirs[w];
			uint64_t one = dirs | (marks[w] & p->stays[w]);

			marks[w] |= carry | one << 1 | dirs << 3;
			carry = one >> (BITS - 1) | dirs >> (BITS - 3);
		}
	}
}

/* Moves the marks over a byte. */
static bool step(const struct git_pattern *p, uint64_t *marks, uint8_t c)
{
	const uint64_t *takes = p->takes + c * p->words;
	uint64_t carry = 0, any = 0;

	for (size_t w = 0; w < p->words; w++) {
		uint64_t taken = marks[w] & takes[w], moved = taken & ~p->stays[w];

		marks[w] = carry | moved << 1 | (taken & p->stays[w]);
		carry = moved >> (BITS - 1);
		any |= taken;
	}
	return any;
}

static bool matches(const struct git_pattern *p, const char *text, size_t len)
{
	uint64_t marks[WORDS_MAX] = { 1 };

	if (!p->words)
		return len == p->len && memcmp(text, p->text, len) == 0;
	if (len < p->least)
		return false;
	pass(p, marks);
	for (size_t i = 0; i < len; i++) {
		if (!step(p, marks, (uint8_t)text[i]))
			return false;
		pass(p, marks);
	}
	return marks[p->count / BITS] >> p->count % BITS & 1;
}

bool git_pattern_matches(const struct git_pattern *p, const char *path, size_t len, bool directory)
{
	const char *slash = p->whole ? NULL : memrchr(path, '/', len);
	size_t before = slash ? (size_t)(slash + 1 - path) : 0;

	if (p->only_directory && !directory)
		return false;
	return matches(p, path + before, len - before);
}
