/* SPDX-License-Identifier: Apache-2.0 */
/* The OpenAPI 3.1 document of the admin API, made of the tables that requests are answered by. */
#ifndef MATRIXFS_ADMINAPI_OPENAPI_H
#define MATRIXFS_ADMINAPI_OPENAPI_H

#include "admin/adminapi/adminapi_call.h"

/* Writes the document. `params` are the variable segments of paths, by name. */
void openapi_write(const struct api_route *routes, size_t count, const struct api_field *params,
		   const char *origin, struct jwrite *w);

#endif
