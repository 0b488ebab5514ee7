#include "base/json.h"

#include <fmt/format.h>

namespace gantry {

Result<json::value> parse_json(std::string_view text) {
    json::parse_options options;
    options.max_depth = kJsonDepthMax;
    json::stream_parser parser({}, options);
    json::error_code failure;
    const size_t read = parser.write(text.data(), text.size(), failure);
    if (!failure) parser.finish(failure);
    if (failure == json::error::too_deep) {
        return invalid_argument(fmt::format("the JSON body is nested deeper than {} levels", kJsonDepthMax));
    }
    if (failure) {
        return invalid_argument(fmt::format("the body is not valid JSON: {} at byte {}", failure.message(), read));
    }
    return parser.release();
}

}  // namespace gantry
