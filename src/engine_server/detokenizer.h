#pragma once
// The text of one answer as its tokens arrive: only whole characters come out, and nothing of a
// stop string, even where that begins in one token and ends in another. Threads: a plain value.

#include <string>
#include <string_view>
#include <vector>

namespace gantry::engine_server {

class Detokenizer {
public:
    explicit Detokenizer(std::vector<std::string> stops) : stops_(std::move(stops)) {}

    struct Output {
        std::string text;      // may be empty: held back
        bool stopped = false;  // a stop string is complete; `text` is what stood before it, and
                               // nothing comes any more
    };
    // `armed`: whether stop strings count yet (min_tokens).
    Output push(std::string_view bytes, bool armed = true);
    // The stop string that was found; empty: none was.
    const std::string& stopped_by() const { return stopped_by_; }
    // What was held back. Half a character left over becomes U+FFFD.
    std::string finish();

private:
    std::vector<std::string> stops_;
    std::string bytes_;  // the beginning of a character
    std::string stopped_by_;
    std::string held_;   // text that may turn out to begin a stop string
};

}  // namespace gantry::engine_server
