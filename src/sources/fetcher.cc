#include "sources/fetcher.h"

#include <fmt/format.h>

#include <algorithm>

namespace gantry::sources {
namespace {

bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

}  // namespace

Result<Answer> Fetcher::hop(const Wanted& wanted, const Url& url, Nearness nearest) const {
    Answer answer;
    answer.url = url;
    bool too_large = false;
    Ask ask;
    ask.url = url;
    ask.unix_socket = wanted.unix_socket;
    ask.token = url.same_origin(wanted.url) ? wanted.token : std::string();
    ask.range = wanted.range;
    ask.nearest = nearest;
    ask.within = settings_.answer_within;
    ask.stop = &stopped_;
    auto transfer = Transfer::make(
        settings_, ask,
        [&](const AnswerHead& head) { return !(wanted.head_only && head.status < 300) && !is_redirect(head.status); },
        [&](std::string_view piece) {
            too_large = answer.body.size() + piece.size() > wanted.body_max;
            if (!too_large) answer.body += piece;
            return !too_large;
        });
    if (!transfer) return transfer.error();
    if (const Status done = (*transfer)->run(); !done) return done.error();
    if (too_large) {
        return Error{ErrorCode::kTooLarge, fmt::format("{} answers with more than {} MiB", url.host, wanted.body_max >> 20), {}, {}};
    }
    answer.head = (*transfer)->head();
    answer.nearness = (*transfer)->nearness();
    return answer;
}

Result<Answer> Fetcher::get(const Wanted& wanted) const {
    Url url = wanted.url;
    Nearness nearest = wanted.nearest;
    for (int hops = 0; hops <= kRedirectsMax; ++hops) {
        auto answer = hop(wanted, url, nearest);
        if (!answer || !is_redirect(answer->head.status)) return answer;
        const std::string& location = answer->head.field("location");
        auto next = parse_redirect(url, location);
        if (!next) return unavailable(fmt::format("{} redirects to something that is no URL: it {}", url.host, next.error().message));
        if (url.tls && !next->tls) {
            return unavailable(fmt::format("{} redirects from https:// to http://, which is not followed", url.host));
        }
        nearest = std::min(nearest, answer->nearness);
        url = *std::move(next);
    }
    return unavailable(fmt::format("{} redirects more than {} times", wanted.url.host, kRedirectsMax));
}

}  // namespace gantry::sources
