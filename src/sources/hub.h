#pragma once
// A hub that models come from: what a repository holds, and where its files are. Blocking; errors are for a person, and say what to do.
// kNotFound, kPermissionDenied and kInvalidArgument are the hub's last word on what was asked; kRateLimited and kUnavailable may change.
// Threads: any.

#include <memory>
#include <string>
#include <vector>

#include "domain/source.h"
#include "sources/fetcher.h"
#include "sources/hub_answers.h"

namespace gantry::sources {

class Hub {
public:
    virtual ~Hub() = default;
    virtual Result<Listing> list(const Source& source) const = 0;
    // Of a file of that listing.
    virtual Url file_url(const Source& source, const Listing& listing, const std::string& path) const = 0;
    // The models whose names hold the words, the most used first.
    virtual Result<std::vector<HubModel>> search(const std::string& words, unsigned most) const = 0;

    // What an answer of `status` to a question about `source` means; REQUIRES: it is an error's.
    virtual Error explain(const Source& source, const Answer& answer) const = 0;
    // By which files are asked for, at file_url()'s origin.
    virtual const std::string& token() const = 0;
};

// REQUIRES: source.from_hub() of what is asked of it. `fetcher` outlives it.
std::unique_ptr<Hub> make_hub(SourceKind kind, const Fetcher& fetcher);

// Seconds that a Retry-After asks to wait, 0: it doesn't, or not in seconds; at most an hour.
unsigned retry_after_seconds(const AnswerHead& head);

}  // namespace gantry::sources
