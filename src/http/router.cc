// Routing by comparing segments, in order. A table holds some hundred routes of a few segments, so that a scan costs
// microseconds; it beats a tree in being seen to be right.

#include <algorithm>

#include "http/http.h"

namespace gantry::http {
namespace {

enum class Kind : char { kLiteral, kName, kRest };  // in order of preference

Kind kind_of(std::string_view segment) {
    if (segment.size() < 3 || segment.front() != '{' || segment.back() != '}') return Kind::kLiteral;
    return segment.ends_with("...}") ? Kind::kRest : Kind::kName;
}

std::vector<std::string_view> split(std::string_view path) {
    std::vector<std::string_view> segments;
    while (!path.empty()) {
        const size_t slash = path.find('/');
        if (slash != 0) segments.push_back(path.substr(0, slash));
        path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
    }
    return segments;
}

bool matches(const std::vector<std::string>& pattern, const std::vector<std::string_view>& path) {
    for (size_t i = 0; i < pattern.size(); ++i) {
        const Kind kind = kind_of(pattern[i]);
        if (kind == Kind::kRest) return true;
        if (i >= path.size()) return false;
        if (kind == Kind::kLiteral && pattern[i] != path[i]) return false;
    }
    return pattern.size() == path.size();
}

// True when `a` says more about the path than `b`; both match it, so they differ in kind where they first differ.
bool more_specific(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
        const Kind left = kind_of(a[i]);
        const Kind right = kind_of(b[i]);
        if (left != right) return left < right;
    }
    return a.size() < b.size();  // "/a" before "/a/{rest...}"
}

// Two patterns that match exactly the same paths: equal up to the names of their parameters.
bool same_shape(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const std::string& left, const std::string& right) {
        const Kind kind = kind_of(left);
        return kind == kind_of(right) && (kind != Kind::kLiteral || left == right);
    });
}

std::string joined(const std::vector<std::string>& pattern) {
    std::string path;
    for (const std::string& segment : pattern) path.append("/").append(segment);
    return path.empty() ? "/" : path;
}

std::map<std::string, std::string> bind(const std::vector<std::string>& pattern,
                                        const std::vector<std::string_view>& path) {
    std::map<std::string, std::string> params;
    for (size_t i = 0; i < pattern.size(); ++i) {
        const std::string& segment = pattern[i];
        switch (kind_of(segment)) {
            case Kind::kLiteral:
                break;
            case Kind::kName:
                params[segment.substr(1, segment.size() - 2)] = path[i];
                break;
            case Kind::kRest: {
                std::string rest;
                for (size_t k = i; k < path.size(); ++k) rest.append(k == i ? "" : "/").append(path[k]);
                params[segment.substr(1, segment.size() - 5)] = std::move(rest);
                break;
            }
        }
    }
    return params;
}

}  // namespace

void Router::add(Route route) {
    GANTRY_ASSERT(!route.access.empty(), "a route without an access word would be open to everybody by accident");
    GANTRY_ASSERT(route.pattern.starts_with('/'), "a route's pattern starts with a slash");
    GANTRY_ASSERT(route.handler != nullptr, "a route without a handler");
    std::vector<std::string> pattern;
    for (const std::string_view segment : split(route.pattern)) pattern.emplace_back(segment);
    for (size_t i = 0; i < pattern.size(); ++i) {
        GANTRY_ASSERT(kind_of(pattern[i]) != Kind::kRest || i + 1 == pattern.size(), "{name...} must stand last");
    }
    for (size_t i = 0; i < routes_.size(); ++i) {
        GANTRY_ASSERT(routes_[i].method != route.method || !same_shape(patterns_[i], pattern), "the route exists already");
    }
    const bool literal = std::all_of(pattern.begin(), pattern.end(), [](const std::string& one) { return kind_of(one) == Kind::kLiteral; });
    if (literal) literal_.emplace(route.method + " " + joined(pattern), routes_.size());
    routes_.push_back(std::move(route));
    patterns_.push_back(std::move(pattern));
}

Router::Match Router::match(const std::string& method, const std::string& path) const {
    Match found;
    // Nothing is more specific than letters alone, so that the usual request needs no comparing.
    if (const auto known = literal_.find(method + " " + path); known != literal_.end()) {
        found.route = &routes_[known->second];
        found.path_known = true;
        return found;
    }
    const std::vector<std::string_view> segments = split(path);
    const std::vector<std::string>* best = nullptr;
    bool best_is_exact = false;  // a HEAD route of its own beats the GET route that stands in for it
    for (size_t i = 0; i < routes_.size(); ++i) {
        const std::vector<std::string>& pattern = patterns_[i];
        if (!matches(pattern, segments)) continue;
        found.path_known = true;
        const Route& route = routes_[i];
        found.allowed.push_back(route.method);
        const bool exact = route.method == method;
        if (!exact && !(method == "HEAD" && route.method == "GET")) continue;
        const bool better = best == nullptr || more_specific(pattern, *best) ||
                            (exact && !best_is_exact && !more_specific(*best, pattern));
        if (better) {
            best = &pattern;
            best_is_exact = exact;
            found.route = &route;
        }
    }
    if (best != nullptr) found.params = bind(*best, segments);
    if (found.path_known) {
        if (std::find(found.allowed.begin(), found.allowed.end(), "GET") != found.allowed.end()) {
            found.allowed.push_back("HEAD");
        }
        std::sort(found.allowed.begin(), found.allowed.end());
        found.allowed.erase(std::unique(found.allowed.begin(), found.allowed.end()), found.allowed.end());
    }
    return found;
}

}  // namespace gantry::http
