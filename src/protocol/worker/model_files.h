#pragma once
// What a worker elsewhere says of its model files, with status 200, since what it is asked may take minutes and an answer must have begun by
// then: {"items": [...]}, {} for done, or {"refused": {...}}.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/model_files.h"

namespace gantry::protocol {

inline constexpr size_t kModelFileSetsMax = 10'000;

std::string encode(const std::vector<ModelFileSet>& sets);
std::string encode_refusal(const Error& error);
inline constexpr char kDone[] = "{}";

// kUnavailable: it is no such answer, or breaks a bound; else what the worker refused with. Texts are cleaned; used_by is empty.
Result<std::vector<ModelFileSet>> decode_model_files(std::string_view body);
Status decode_done(std::string_view body);

}  // namespace gantry::protocol
