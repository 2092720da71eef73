/* SPDX-License-Identifier: Apache-2.0 */
/* check_shelves DIRECTORY COUNT: fills a hub's metadata (DIRECTORY is the hub's DATA/hub, while it
 * does not run) with so many models of namespaces u0 ... u99, every tenth of which is private, as
 * many commits would: names, tags, numbers and cards that differ. They have rows of the registry,
 * but no commits. Ends with 1 if that fails. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/account/rights.h"
#include "admin/catalogue/catalogue.h"
#include "admin/registry/registry.h"
#include "daemon/base/err.h"

#define AT_ONCE 2000
#define NAMESPACES 100
#define CREATED_S 1600000000

static const char *const tasks[] = { "text-generation", "fill-mask", "image-classification",
				     "automatic-speech-recognition", "sentence-similarity" };
static const char *const libraries[] = { "transformers", "diffusers", "peft" };
static const char *const languages[] = { "en", "de", "fr", "zh", "ja", "sw" };
static const char *const words[] = {
	"whale",   "river",   "granite", "copper", "meadow", "lantern",
	"harbour", "thistle", "falcon",  "ember",  "orchid", "quartz"
};

struct filling {
	unsigned from, to;
};

static const char *word(unsigned n)
{
	return words[n % ARRAY_LEN(words)];
}

static void print_texts(unsigned i, struct buf *tags, struct buf *card, struct buf *doc)
{
	const char *task = tasks[i % ARRAY_LEN(tasks)];
	const char *library = libraries[i / 7 % ARRAY_LEN(libraries)];
	const char *license = i % 3 ? "license:mit" : "license:apache-2.0";

	buf_printf(tags, "%s\n%s\n%s\nsafetensors\n%s\n%s\nrare:%u\ndataset:org/%s\n", task,
		   library, languages[i / 11 % ARRAY_LEN(languages)], license, task, i / 50,
		   word(i / 5));
	buf_printf(card, "A %s of %s beside the %s.", word(i), word(i / 13), word(i / 29));
	buf_printf(doc,
		   "{\"tags\":[\"%s\",\"%s\"],\"pipeline_tag\":\"%s\",\"library_name\":\"%s\","
		   "\"cardData\":{\"license\":\"mit\"},\"usedStorage\":%u}",
		   task, license, task, library, i);
}

static int put_one(struct db_txn *t, unsigned i)
{
	CLEANUP(buf_free) struct buf tags = { 0 }, card = { 0 }, doc = { 0 };
	struct registry_repo repo = { .created_s = CREATED_S + i };
	struct catalogue_entry e = { .hosted = true };
	struct catalogue_texts texts;
	char name[REPO_NAME_MAX + 1];
	int r;

	snprintf(name, sizeof(name), "u%u/%s-%s-%u", i % NAMESPACES, word(i * 5), word(i / 3), i);
	snprintf(repo.uid, sizeof(repo.uid), "%024x", i);
	snprintf(repo.creator, sizeof(repo.creator), "u%u", i % NAMESPACES);
	r = repo_id_parse(REPO_MODEL, name, &repo.id);
	if (r < 0)
		return r;
	e.id = repo.id;
	for (unsigned n = 0; n < CATALOGUE_NUMBERS; n++)
		e.numbers[n] = (double)(i * 2654435761U >> n) / 4;
	e.numbers[CATALOGUE_CREATED] = (double)repo.created_s;
	print_texts(i, &tags, &card, &doc);
	texts = (struct catalogue_texts){ buf_str(&tags), buf_str(&card), buf_str(&doc) };
	r = registry_add(t, &repo);
	if (r == 0)
		r = rights_put_visibility(t, &repo.id,
					  i % 10 ? VISIBILITY_PUBLIC : VISIBILITY_PRIVATE);
	return r < 0 ? r : catalogue_put(t, &e, &texts);
}

static int put_some(struct db_txn *t, void *arg)
{
	const struct filling *f = arg;
	int r = 0;

	for (unsigned i = f->from; r == 0 && i < f->to; i++)
		r = put_one(t, i);
	return r;
}

static int fill(struct db *db, unsigned count)
{
	int r = 0;

	for (unsigned at = 0; r == 0 && at < count; at += AT_ONCE) {
		struct filling f = { at, at + AT_ONCE < count ? at + AT_ONCE : count };

		r = db_write(db, put_some, &f);
	}
	return r;
}

int main(int argc, char **argv)
{
	CLEANUP(buf_free) struct buf why = { 0 };
	struct db_conf conf = { .dir = argc == 3 ? argv[1] : "" };
	struct db *db = NULL;
	int r;

	if (argc != 3) {
		fputs("check_shelves DIRECTORY COUNT\n", stderr);
		return 1;
	}
	r = db_open(&conf, &db, &why);
	if (r == 0)
		r = fill(db, (unsigned)strtoul(argv[2], NULL, 10));
	if (r < 0)
		fprintf(stderr, "check_shelves: %s %s\n", err_text(r), buf_str(&why));
	db_close(db);
	return r < 0;
}
