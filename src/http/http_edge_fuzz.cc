// The bytes of a connection, cut into reads as the first byte says, through all that parses them on a server: the strict
// scan, Beast, the conversion to a Request, the router; and the same bytes as an answer through the client's side.

#include <algorithm>
#include <cstdint>

#include "http/request_reader.h"
#include "http/response_reader.h"

namespace gantry::http {
namespace {

const Router& router() {
    static const Router table = [] {
        Router made;
        for (const char* pattern : {"/", "/v1/{name}", "/v1/models", "/files/{path...}", "/a/{b}/c/{d}"}) {
            made.add({"GET", pattern, "open", [](Exchange&) -> Task<void> { co_return; }});
        }
        return made;
    }();
    return table;
}

void check(bool holds) {
    if (!holds) __builtin_trap();
}

void read_requests(std::string_view bytes, size_t step) {
    ServerLimits limits;
    limits.header_bytes = 4096;
    limits.target_bytes = 512;
    limits.body_bytes = 8192;
    std::string input;
    auto reader = std::make_unique<RequestReader>(limits);
    while (true) {
        // What a connection does between two reads.
        size_t used = 1;
        while (!input.empty() && used > 0 && !reader->failure()) {
            while (!input.empty() && used > 0 && !reader->failure() && !reader->done()) {
                const bool in_head = !reader->head_done();
                used = reader->feed(input);
                check(used <= input.size());
                input.erase(0, used);
                if (in_head && reader->head_done()) reader->begin_body(limits.body_bytes);
            }
            if (!reader->failure() && reader->done()) {
                const Request& request = reader->request();
                check(request.body.size() <= limits.body_bytes);
                check(request.path == "*" || request.path.starts_with('/'));
                check((request.path + "/").find("/../") == std::string::npos);
                check(request.path.find('\0') == std::string::npos);
                router().match(request.method, request.path);
                reader = std::make_unique<RequestReader>(limits);
                used = 1;
            }
        }
        if (reader->failure()) {
            check(reader->failure()->status >= 400 && reader->failure()->status < 500);
            return;
        }
        check(input.size() <= 16 * 1024);
        if (bytes.empty()) return;
        input.append(bytes.substr(0, step));
        bytes.remove_prefix(std::min(step, bytes.size()));
    }
}

void read_answer(std::string_view bytes, size_t step) {
    ResponseReader reader(4096, false);
    std::string input;
    while (!bytes.empty() && !reader.failure() && !reader.done()) {
        input.append(bytes.substr(0, step));
        bytes.remove_prefix(std::min(step, bytes.size()));
        const size_t used = reader.feed(input);
        check(used <= input.size());
        input.erase(0, used);
        reader.body().clear();
    }
    if (!reader.failure() && !reader.done()) reader.feed_end();
    check(reader.failure() || reader.done());
}

}  // namespace
}  // namespace gantry::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const size_t step = data[0] == 0 ? size : data[0];
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    gantry::http::read_requests(bytes, step);
    gantry::http::read_answer(bytes, step);
    return 0;
}
