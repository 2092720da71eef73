/* SPDX-License-Identifier: Apache-2.0 */
/* An empty value sets a text to NULL and a list to no items, so that a default can be switched
 * off. */
#include "daemon/base/conf_value.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t factor;
};

/* Smallest first: the last one that divides a number prints it. */
static const struct unit byte_units[] = {
	{ "KB", 1000 },          { "KiB", 1ULL << 10 }, { "MB", 1000000 },
	{ "MiB", 1ULL << 20 },   { "GB", 1000000000 },  { "GiB", 1ULL << 30 },
	{ "TB", 1000000000000 }, { "TiB", 1ULL << 40 }, { "PB", 1000000000000000 },
	{ "PiB", 1ULL << 50 },
};

static const struct unit second_units[] = {
	{ "s", 1 },
	{ "min", 60 },
	{ "h", 3600 },
	{ "d", 86400 },
};

static const struct {
	const char *word;
	bool value;
} flag_words[] = {
	{ "yes", true }, { "no", false },  { "true", true }, { "false", false },
	{ "on", true },  { "off", false }, { "1", true },    { "0", false },
};

static int parse_digits(const char *text, const char **ret_end, uint64_t *ret)
{
	char *end;

	/* strtoull() would also take a sign and leading blanks. */
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	errno = 0;
	*ret = strtoull(text, &end, 10);
	*ret_end = end;
	return -errno;
}

static int parse_scaled(const char *text, const struct unit *units, size_t count, uint64_t *ret)
{
	const char *unit;
	uint64_t n;

	if (parse_digits(text, &unit, &n) < 0)
		return -EINVAL;
	unit += strspn(unit, " ");
	if (!*unit) {
		*ret = n;
		return 0;
	}
	for (size_t i = 0; i < count; i++) {
		if (strcmp(unit, units[i].name) != 0)
			continue;
		if (n > UINT64_MAX / units[i].factor)
			return -EINVAL;
		*ret = n * units[i].factor;
		return 0;
	}
	return -EINVAL;
}

int conf_value_bytes(const char *text, uint64_t *ret)
{
	return parse_scaled(text, byte_units, ARRAY_LEN(byte_units), ret);
}

static int parse_seconds(const char *text, int64_t *ret)
{
	uint64_t n;

	if (parse_scaled(text, second_units, ARRAY_LEN(second_units), &n) < 0 || n > INT64_MAX)
		return -EINVAL;
	*ret = (int64_t)n;
	return 0;
}

static int parse_count(const char *text, int64_t *ret)
{
	const char *end;
	int negative = *text == '-';
	uint64_t n;

	if (parse_digits(text + negative, &end, &n) < 0 || *end || n > INT64_MAX)
		return -EINVAL;
	*ret = negative ? -(int64_t)n : (int64_t)n;
	return 0;
}

static int parse_flag(const char *text, bool *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(flag_words); i++) {
		if (!strcmp(text, flag_words[i].word)) {
			*ret = flag_words[i].value;
			return 0;
		}
	}
	return -EINVAL;
}

/* Finds text among choices "a|b|c". */
static int parse_choice(const char *text, const char *choices, int *ret)
{
	size_t len = strlen(text);

	for (int i = 0; *choices; i++) {
		size_t choice_len = strcspn(choices, "|");

		if (len == choice_len && !memcmp(text, choices, len)) {
			*ret = i;
			return 0;
		}
		choices += choice_len;
		choices += *choices == '|';
	}
	return -EINVAL;
}

static int in_range(const struct conf_param *p, int64_t n)
{
	return (!p->min && !p->max) || (n >= p->min && n <= p->max);
}

static int bytes_in_range(const struct conf_param *p, uint64_t n)
{
	return in_range(p, n > INT64_MAX ? INT64_MAX : (int64_t)n);
}

static int set_text(char **field, const char *value)
{
	char *copy = NULL;

	if (*value) {
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
	}
	free(*field);
	*field = copy;
	return 0;
}

static void list_clear(struct conf_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	free(list->items);
	*list = (struct conf_list){ 0 };
}

/* Makes room for one item more. */
static int list_reserve(struct conf_list *list)
{
	char **items = reallocarray(list->items, list->count + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	list->items = items;
	return 0;
}

static int list_add(struct conf_list *list, const char *value, size_t len)
{
	CLEANUP(buf_free) struct buf item = { 0 };

	if (buf_add(&item, value, len) < 0 || list_reserve(list) < 0)
		return -ENOMEM;
	list->items[list->count++] = buf_take(&item);
	return 0;
}

static int set_list(struct conf_list *list, const char *value)
{
	if (list->from_default || !*value)
		list_clear(list);
	return *value ? list_add(list, value, strlen(value)) : 0;
}

static int default_list(struct conf_list *list, const char *items)
{
	while (*items) {
		size_t len = strcspn(items, ",");
		int r = list_add(list, items, len);

		if (r < 0)
			return r;
		items += len;
		items += *items == ',';
	}
	list->from_default = 1;
	return 0;
}

int conf_value_set(const struct conf_param *p, const char *value, void *field)
{
	uint64_t bytes;
	int64_t n;

	if (!*value && p->min)
		return -EINVAL;
	switch (p->type) {
	case CONF_FLAG:
		return parse_flag(value, field);
	case CONF_CHOICE:
		return parse_choice(value, p->arg, field);
	case CONF_TEXT:
		return set_text(field, value);
	case CONF_LIST:
		return set_list(field, value);
	case CONF_BYTES:
		if (conf_value_bytes(value, &bytes) < 0)
			return -EINVAL;
		if (!bytes_in_range(p, bytes))
			return -ERANGE;
		*(uint64_t *)field = bytes;
		return 0;
	case CONF_SECONDS:
	case CONF_COUNT:
		if ((p->type == CONF_COUNT ? parse_count : parse_seconds)(value, &n) < 0)
			return -EINVAL;
		if (!in_range(p, n))
			return -ERANGE;
		*(int64_t *)field = n;
		return 0;
	}
	return -EINVAL;
}

int conf_value_default(const struct conf_param *p, void *field)
{
	if (!p->def)
		return 0;
	if (p->type == CONF_LIST)
		return default_list(field, p->def);
	return conf_value_set(p, p->def, field);
}

void conf_value_clear(const struct conf_param *p, void *field)
{
	if (p->type == CONF_TEXT)
		set_text(field, "");
	else if (p->type == CONF_LIST)
		list_clear(field);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_list(const struct conf_list *a, const struct conf_list *b)
{
	bool same = a->count == b->count;

	for (size_t i = 0; same && i < a->count; i++)
		same = same_text(a->items[i], b->items[i]);
	return same;
}

static size_t size_of(const struct conf_param *p)
{
	static const size_t sizes[] = {
		[CONF_FLAG] = sizeof(bool),
		[CONF_BYTES] = sizeof(uint64_t),
		[CONF_SECONDS] = sizeof(int64_t),
		[CONF_COUNT] = sizeof(int64_t),
		[CONF_TEXT] = sizeof(char *),
		[CONF_CHOICE] = sizeof(int),
		[CONF_LIST] = sizeof(struct conf_list),
	};

	return sizes[p->type];
}

bool conf_value_same(const struct conf_param *p, const void *a, const void *b)
{
	if (p->type == CONF_TEXT)
		return same_text(*(char *const *)a, *(char *const *)b);
	if (p->type == CONF_LIST)
		return same_list(a, b);
	return memcmp(a, b, size_of(p)) == 0;
}

void conf_value_swap(const struct conf_param *p, void *a, void *b)
{
	char kept[sizeof(struct conf_list)];
	size_t size = size_of(p);

	memcpy(kept, a, size);
	memcpy(a, b, size);
	memcpy(b, kept, size);
}

/* Prints n in the largest unit that divides it. */
static void print_scaled(struct buf *ret, uint64_t n, const struct unit *units, size_t count)
{
	const struct unit *best = NULL;

	for (size_t i = 0; i < count; i++)
		if (n && n % units[i].factor == 0)
			best = &units[i];
	if (best)
		buf_printf(ret, "%llu%s", (unsigned long long)(n / best->factor), best->name);
	else
		buf_printf(ret, "%llu", (unsigned long long)n);
}

static void print_number(struct buf *ret, const struct conf_param *p, int64_t n)
{
	if (p->type == CONF_BYTES)
		print_scaled(ret, (uint64_t)n, byte_units, ARRAY_LEN(byte_units));
	else if (p->type == CONF_SECONDS)
		print_scaled(ret, (uint64_t)n, second_units, ARRAY_LEN(second_units));
	else
		buf_printf(ret, "%lld", (long long)n);
}

/* Word i of "a|b|c". */
static void print_choice(struct buf *ret, const char *words, int i)
{
	while (i-- > 0 && words)
		words = strchr(words, '|') ? strchr(words, '|') + 1 : NULL;
	if (words)
		buf_add(ret, words, strcspn(words, "|"));
}

void conf_value_print(const struct conf_param *p, const void *field, size_t i, struct buf *ret)
{
	const char *text = NULL;

	switch (p->type) {
	case CONF_FLAG:
		text = *(const bool *)field ? "yes" : "no";
		break;
	case CONF_CHOICE:
		print_choice(ret, p->arg, *(const int *)field);
		break;
	case CONF_TEXT:
		text = *(char *const *)field;
		break;
	case CONF_LIST:
		text = ((const struct conf_list *)field)->items[i];
		break;
	case CONF_BYTES:
	case CONF_SECONDS:
	case CONF_COUNT:
		print_number(ret, p, *(const int64_t *)field);
		break;
	}
	if (text)
		buf_add_str(ret, text);
}

/* Appends " from A to B" for a parameter that has bounds. */
static void print_range(struct buf *ret, const struct conf_param *p)
{
	if (!p->min && !p->max)
		return;
	buf_add_str(ret, " from ");
	print_number(ret, p, p->min);
	/* No upper bound says nothing when printed. */
	if (p->max == INT64_MAX) {
		buf_add_str(ret, " up");
		return;
	}
	buf_add_str(ret, " to ");
	print_number(ret, p, p->max);
}

static void print_choices(struct buf *ret, const char *choices)
{
	for (; *choices; choices++) {
		if (*choices == '|')
			buf_add_str(ret, ", ");
		else
			buf_add(ret, choices, 1);
	}
}

void conf_value_allowed(const struct conf_param *p, struct buf *ret)
{
	switch (p->type) {
	case CONF_FLAG:
		buf_add_str(ret, "yes or no");
		return;
	case CONF_CHOICE:
		buf_add_str(ret, "one of ");
		print_choices(ret, p->arg);
		return;
	case CONF_BYTES:
		buf_add_str(ret, "a number of bytes (as 4096, 500MB, 10GiB)");
		break;
	case CONF_SECONDS:
		buf_add_str(ret, "a time (as 60, 60s, 5min, 1h, 1d)");
		break;
	case CONF_COUNT:
		buf_add_str(ret, "a whole number");
		break;
	case CONF_TEXT:
		buf_add_str(ret, p->min ? "a text that is not empty" : "a text");
		return;
	case CONF_LIST:
		buf_printf(ret, "texts%s, given one by one", p->min ? " that are not empty" : "");
		return;
	}
	print_range(ret, p);
}
