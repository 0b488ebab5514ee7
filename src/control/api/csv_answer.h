#pragma once
// A list as CSV, sent as it is read: memory is bounded by kCsvRowsAtOnce rows.

#include "control/api/api.h"

namespace gantry::control {

// An error before the first row is an ordinary error answer; one after it breaks the stream, so that no client takes a part
// for the whole.
http::Task<void> answer_csv(ApiContext& api, const ApiRoute& route, const Call& call, http::Exchange& exchange);

}  // namespace gantry::control
