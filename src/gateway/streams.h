// SPDX-License-Identifier: Apache-2.0
// The streams as the API shows them.
#pragma once

#include <jansson.h>

#include "gateway/api.h"
#include "stream/reader.h"

// What there is to say of a stream, as a new object.
json_t *wz_streams_describe(const struct wz_api_stream *stream);

// All streams, as a new array.
json_t *wz_streams_list(const struct wz_api *api);

// Adds the gauges of all streams in Prometheus' text format.
void wz_streams_print_metrics(const struct wz_api *api, struct wz_buf *ret_buf);

// Says in the program's own log how many damaged batches READER has skipped, if it has skipped more
// than TOLD, and sets TOLD to that; not more often than other troubles that come with each message.
void wz_streams_tell_damage(const char *name, const struct wz_reader *reader, int64_t *told);

// The stream that the request's first capture names; NULL when there is none: the request is then
// answered.
const struct wz_api_stream *wz_streams_of_request(struct wz_request *req);

// The offset below which whole segments of LOG are to go, as BODY says by one of "before",
// "keep_bytes" and "offset". WZ_ERR_INVALID when it does not, with RET_PROBLEM.
WZ_MUST int wz_streams_trim_offset(const json_t *body, struct wz_log *log, int64_t *ret_offset,
                                   struct wz_problem *ret_problem);
