// The bytes of an event stream, cut as the first byte says: the events must be those of the uncut bytes, and writing an
// event must read back.

#include <algorithm>
#include <cstdint>

#include "http/http.h"

namespace gantry::http {
namespace {

std::string show(const std::vector<SseEvent>& events) {
    std::string text;
    for (const SseEvent& event : events) text += event.event + '\x01' + event.data + '\x02';
    return text;
}

}  // namespace
}  // namespace gantry::http

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gantry::http;
    if (size == 0) return 0;
    const size_t step = std::max<size_t>(data[0], 1);
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

    SseReader whole(1024);
    const auto expected = whole.feed(bytes);
    SseReader cut(1024);
    std::string events;
    bool failed = false;
    for (size_t i = 0; i < bytes.size() && !failed; i += step) {
        const auto some = cut.feed(bytes.substr(i, step));
        failed = !some.ok();
        if (!failed) events += show(*some);
    }
    if (expected.ok() == failed) __builtin_trap();
    if (expected.ok() && events != show(*expected)) __builtin_trap();

    SseReader again;
    const auto one = again.feed(sse_event(bytes, "e"));
    if (!one.ok() || one->size() != 1 || (*one)[0].event != "e") __builtin_trap();
    return 0;
}
