/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/adminapi/adminapi_openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define NAME_MAX_LEN 63
#define SHAPES_MAX 64

struct document {
	const struct api_route *routes;
	size_t count;
	const struct api_field *params;
	struct jwrite *w;
	const struct api_shape *shapes[SHAPES_MAX]; /* those that were named */
	bool open[SHAPES_MAX];
	size_t shape_count;
};

static const struct api_field error_fields[] = {
	{ .name = "error", .kind = API_TEXT, .needed = true, .doc = "What was wrong." },
	{ .name = "field", .kind = API_TEXT, .doc = "Where, in the content or the query." },
	{ 0 },
};
static const struct api_shape error_shape = { "Error", error_fields };

/* --- which shapes there are */

static void note_shape(struct document *d, const struct api_shape *s, bool open)
{
	if (!s)
		return;
	for (size_t i = 0; i < d->shape_count; i++)
		if (d->shapes[i] == s)
			return;
	if (d->shape_count == SHAPES_MAX)
		return;
	d->open[d->shape_count] = open;
	d->shapes[d->shape_count++] = s;
	for (const struct api_field *f = s->fields; f->name; f++)
		note_shape(d, f->of, open);
}

static void note_shapes(struct document *d)
{
	note_shape(d, &error_shape, true);
	/* What is sent and told alike is told as strictly as it is taken. */
	for (size_t i = 0; i < d->count; i++)
		note_shape(d, d->routes[i].content, false);
	for (size_t i = 0; i < d->count; i++)
		note_shape(d, d->routes[i].answer, true);
}

static void write_components(struct document *d)
{
	struct jwrite *w = d->w;

	jwrite_object(w, "components");
	jwrite_object(w, "schemas");
	for (size_t i = 0; i < d->shape_count; i++)
		api_write_shape(d->shapes[i], d->shapes[i]->name, d->open[i], w);
	jwrite_object_end(w);
	jwrite_object(w, "securitySchemes");
	jwrite_object(w, "token");
	jwrite_text(w, "type", "http");
	jwrite_text(w, "scheme", "bearer");
	jwrite_text(w, "description", "A token of an administrator.");
	jwrite_object_end(w);
	jwrite_object_end(w);
	jwrite_object_end(w);
}

/* --- an operation */

static void write_param(struct document *d, const struct api_field *f, const char *in)
{
	bool path = strcmp(in, "path") == 0;

	jwrite_object(d->w, NULL);
	jwrite_text(d->w, "name", f->name);
	jwrite_text(d->w, "in", in);
	jwrite_bool(d->w, "required", path || f->needed);
	if (f->doc)
		jwrite_text(d->w, "description", f->doc);
	api_write_field(f, "schema", d->w);
	jwrite_object_end(d->w);
}

static void write_path_params(struct document *d, const char *path)
{
	while ((path = strchr(path, '{'))) {
		size_t len = strcspn(++path, "}");

		for (const struct api_field *f = d->params; f->name; f++)
			if (strlen(f->name) == len && !strncmp(f->name, path, len))
				write_param(d, f, "path");
	}
}

static void write_params(struct document *d, const struct api_route *r)
{
	jwrite_array(d->w, "parameters");
	write_path_params(d, r->path);
	for (const struct api_field *f = r->query; f && f->name; f++)
		write_param(d, f, "query");
	jwrite_array_end(d->w);
}

static void write_ref(const struct api_shape *s, const char *key, struct jwrite *w)
{
	const struct api_field f = { .kind = API_OBJECT, .of = s };

	api_write_field(&f, key, w);
}

static void write_list(const struct api_shape *s, struct jwrite *w)
{
	jwrite_object(w, "schema");
	jwrite_text(w, "type", "object");
	jwrite_object(w, "properties");
	jwrite_object(w, "items");
	jwrite_text(w, "type", "array");
	write_ref(s, "items", w);
	jwrite_object_end(w);
	jwrite_json(
		w, "next",
		"{\"type\":[\"string\",\"null\"],\"description\":\"The cursor of the next page, "
		"null at the end.\"}");
	jwrite_object_end(w);
	jwrite_json(w, "required", "[\"items\",\"next\"]");
	jwrite_object_end(w);
}

static void write_json_of(const struct api_shape *s, bool list, struct jwrite *w)
{
	jwrite_object(w, "content");
	jwrite_object(w, "application/json");
	if (list)
		write_list(s, w);
	else if (s)
		write_ref(s, "schema", w);
	jwrite_object_end(w);
	jwrite_object_end(w);
}

/* "application/x-ndjson|text/csv" */
static void write_types(const char *types, struct jwrite *w)
{
	jwrite_object(w, "content");
	for (; *types; types += *types == '|') {
		size_t n = strcspn(types, "|");
		char type[NAME_MAX_LEN + 1];

		snprintf(type, sizeof(type), "%.*s", (int)n, types);
		jwrite_json(w, type, "{}");
		types += n;
	}
	jwrite_object_end(w);
}

static void write_success(const struct api_route *r, struct jwrite *w)
{
	char status[8];

	snprintf(status, sizeof(status), "%d", r->status);
	jwrite_object(w, status);
	jwrite_text(w, "description", "Done.");
	if (r->type)
		write_types(r->type, w);
	else
		write_json_of(r->answer, r->list, w);
	jwrite_object_end(w);
}

static void write_answers(const struct api_route *r, struct jwrite *w)
{
	jwrite_object(w, "responses");
	write_success(r, w);
	jwrite_object(w, "default");
	jwrite_text(w, "description", "Not done: what was wrong.");
	write_json_of(&error_shape, false, w);
	jwrite_object_end(w);
	jwrite_object_end(w);
}

static void write_operation(struct document *d, const struct api_route *r)
{
	char method[NAME_MAX_LEN + 1];
	size_t i = 0;

	for (; r->method[i] && i < NAME_MAX_LEN; i++)
		method[i] = (char)tolower((unsigned char)r->method[i]);
	method[i] = '\0';
	jwrite_object(d->w, method);
	jwrite_text(d->w, "operationId", r->id);
	jwrite_text(d->w, "summary", r->doc);
	write_params(d, r);
	if (r->content) {
		jwrite_object(d->w, "requestBody");
		jwrite_bool(d->w, "required", !r->bare);
		write_json_of(r->content, false, d->w);
		jwrite_object_end(d->w);
	}
	write_answers(r, d->w);
	jwrite_object_end(d->w);
}

/* --- the whole */

/* Each path once, with all its methods, wherever they stand in the table. */
static void write_paths(struct document *d)
{
	jwrite_object(d->w, "paths");
	for (size_t i = 0; i < d->count; i++) {
		const char *path = d->routes[i].path;
		bool told = false;

		for (size_t j = 0; j < i; j++)
			told |= strcmp(d->routes[j].path, path) == 0;
		if (told)
			continue;
		jwrite_object(d->w, path);
		for (size_t j = i; j < d->count; j++)
			if (!strcmp(d->routes[j].path, path))
				write_operation(d, &d->routes[j]);
		jwrite_object_end(d->w);
	}
	jwrite_object_end(d->w);
}

static void write_info(struct document *d, const char *origin)
{
	char url[512];

	jwrite_text(d->w, "openapi", "3.1.0");
	jwrite_object(d->w, "info");
	jwrite_text(d->w, "title", "matrixhubd administration");
	jwrite_text(d->w, "version", MATRIXFS_VERSION);
	jwrite_object_end(d->w);
	snprintf(url, sizeof(url), "%s" API_ROOT, origin);
	jwrite_array(d->w, "servers");
	jwrite_object(d->w, NULL);
	jwrite_text(d->w, "url", url);
	jwrite_object_end(d->w);
	jwrite_array_end(d->w);
	jwrite_json(d->w, "security", "[{\"token\":[]}]");
}

void openapi_write(const struct api_route *routes, size_t count, const struct api_field *params,
		   const char *origin, struct jwrite *w)
{
	struct document d = { .routes = routes, .count = count, .params = params, .w = w };

	note_shapes(&d);
	jwrite_object(w, NULL);
	write_info(&d, origin);
	write_paths(&d);
	write_components(&d);
	jwrite_object_end(w);
}
