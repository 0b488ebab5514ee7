#pragma once
// The hubs that there are; private to this folder.

#include <fmt/format.h>

#include "sources/hub.h"

namespace gantry::sources {

std::unique_ptr<Hub> make_hugging_face(const Fetcher& fetcher);
std::unique_ptr<Hub> make_modelscope(const Fetcher& fetcher);

// What any hub's 429, 5xx or odd answer means.
Error explain_common(const char* hub, const Url& endpoint, const Answer& answer);

inline Error hub_says_no(ErrorCode code, std::string message, std::string reason) {
    return Error{code, std::move(message), "source", std::move(reason)};
}

}  // namespace gantry::sources
