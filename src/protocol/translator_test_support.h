#pragma once
// For tests of translators: chunks in, events out.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "protocol/translator.h"

namespace gantry::protocol {

inline void feed(Translator& translator, std::string& out, const std::vector<std::string>& chunks) {
    for (const std::string& chunk : chunks) translator.chunk(parse_json(chunk).value().as_object(), out);
}

// The data of each event. Its name must be its type.
inline std::vector<json::value> events_of(const std::string& stream) {
    std::vector<json::value> events;
    size_t at = 0;
    while (at < stream.size()) {
        const size_t end = stream.find("\n\n", at);
        EXPECT_NE(end, std::string::npos);
        const std::string event = stream.substr(at, end - at);
        const size_t line = event.find("\ndata: ");
        EXPECT_TRUE(event.starts_with("event: ") && line != std::string::npos) << event;
        events.push_back(parse_json(event.substr(line + 7)).value());
        EXPECT_EQ(events.back().at("type").as_string(), event.substr(7, line - 7));
        at = end + 2;
    }
    return events;
}

inline std::vector<std::string> types_of(const std::vector<json::value>& events) {
    std::vector<std::string> types;
    for (const json::value& event : events) types.emplace_back(event.at("type").as_string());
    return types;
}

}  // namespace gantry::protocol
