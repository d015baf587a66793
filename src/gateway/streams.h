// SPDX-License-Identifier: Apache-2.0
// The streams as the API shows them.
#pragma once

#include <jansson.h>

#include "gateway/api.h"

// What there is to say of a stream, as a new object.
json_t *wz_streams_describe(const struct wz_api_stream *stream);

// All streams, as a new array.
json_t *wz_streams_list(const struct wz_api *api);

// Adds the gauges of all streams in Prometheus' text format.
void wz_streams_print_metrics(const struct wz_api *api, struct wz_buf *ret_buf);

// The stream that the request's first capture names; NULL when there is none: the request is then
// answered.
const struct wz_api_stream *wz_streams_of_request(struct wz_request *req);
