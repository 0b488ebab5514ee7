#include "http/middleware/request_metrics.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "base/guarded.h"
#include "base/metrics.h"

namespace gantry::http {
namespace {

constexpr std::array<const char*, 8> kMethods = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "other"};
constexpr int kStatusNone = 0;  // the client left before an answer began

// The name of a listener, and which of kMethods. A name looked for is no string of its own.
using Key = std::tuple<std::string, size_t, int>;
using Sought = std::tuple<std::string_view, size_t, int>;
struct Less {
    using is_transparent = void;
    template <class A, class B>
    bool operator()(const A& a, const B& b) const {
        return Sought(a) < Sought(b);
    }
};

}  // namespace

void count_request(const std::string& listener, const std::string& method, int status) {
    // Looking a counter up by its labels costs more than a small answer; the pointers stay valid as long as the registry.
    static Guarded<std::map<Key, prometheus::Counter*, Less>> counters;
    const size_t index = static_cast<size_t>(
        std::find_if(kMethods.begin(), kMethods.end() - 1, [&](const char* known) { return method == known; }) -
        kMethods.begin());
    const int bounded = status >= 100 && status <= 599 ? status : kStatusNone;
    counters.with([&](auto& known) {
        auto found = known.find(Sought{listener, index, bounded});
        if (found == known.end()) {
            prometheus::Counter& made = metrics::counter(
                "gantry_http_requests_total", "HTTP requests answered; status 0: client left first",
                {{"listener", listener}, {"method", kMethods[index]}, {"status", std::to_string(bounded)}});
            found = known.emplace(Key{listener, index, bounded}, &made).first;
        }
        found->second->Increment();
    });
}

}  // namespace gantry::http
