#pragma once
// Reads the fields of a JSON object with names, types and ranges; what it was not asked for is an error that names it. The
// first problem wins and is what finish() returns, so that callers read field after field and ask once.
// Threads: a plain value on the stack.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"

namespace gantry::protocol::management {

inline constexpr size_t kLabelsMax = 64;        // of a worker
inline constexpr size_t kLabelBytesMax = 256;   // name or value

class FieldReader {
public:
    // `prefix` goes before each field's name in errors: "options.".
    explicit FieldReader(const json::object& object, std::string prefix = {});

    // nullopt: absent, or a problem that finish() tells. A JSON null counts as absent except for is_null().
    std::optional<std::string> string(std::string_view name, size_t bytes_max);
    std::optional<bool> boolean(std::string_view name);
    std::optional<int64_t> integer(std::string_view name, int64_t min, int64_t max);
    std::optional<double> number(std::string_view name, double min, double max);
    std::optional<std::vector<int64_t>> integers(std::string_view name, size_t count_max, int64_t min, int64_t max);
    std::optional<std::vector<std::string>> strings(std::string_view name, size_t count_max, size_t bytes_max);
    std::optional<std::map<std::string, std::string>> string_map(std::string_view name, size_t count_max, size_t bytes_max);
    std::optional<WallTime> time(std::string_view name);   // RFC 3339 in UTC, "2026-12-31T23:59:59Z"
    const json::object* object(std::string_view name);     // null: absent or a problem
    const json::array* array(std::string_view name);       // the same
    bool is_null(std::string_view name);                   // present and null

    void require(std::string_view name);                   // absent or null: a problem
    void fail(std::string_view name, std::string message); // the caller's own check failed
    void fail(Error error);

    Status finish();                                       // the first problem, or a field nobody asked for

private:
    const json::value* find(std::string_view name);        // null: absent or JSON null
    bool clean_text(std::string_view name, const json::string& text, size_t bytes_max);
    std::string full_name(std::string_view name) const { return prefix_ + std::string(name); }

    const json::object& object_;
    std::string prefix_;
    std::vector<std::string> known_;
    std::optional<Error> problem_;
};

// Strict: UTC ("Z") only, four-digit year, optional fraction.
std::optional<WallTime> parse_rfc3339(const std::string& text);

// The fields that creating a deployment, editing and evaluating one share (deployments.cc).
struct DeploymentInput;
DeploymentInput read_deployment(FieldReader& reader);

// A body that must be one JSON object. An empty body is kInvalidArgument, too.
Result<json::object> parse_object(std::string_view body);

}  // namespace gantry::protocol::management
