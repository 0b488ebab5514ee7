#include "control/api/csv_answer.h"

#include <fmt/format.h>

#include <exception>

#include "base/log.h"

namespace gantry::control {
namespace {

struct Piece {
    std::string text;
    bool more = false;
};

Result<Piece> next_piece(CsvSource& source) {
    Piece piece;
    const Result<bool> more = source(piece.text);
    if (!more) return more.error();
    piece.more = *more;
    return piece;
}

http::Task<void> refuse(http::Exchange& exchange, const Error& error) {
    http::Response response = to_response(error_answer(error));
    co_await exchange.respond(std::move(response));
}

// "/api/v1/usage/summary" -> "gantry-usage-summary.csv"
http::Headers headers_of(const ApiRoute& route) {
    std::string name = std::string("gantry") + std::string(route.pattern).substr(std::string_view("/api/v1").size());
    for (char& c : name) c = c == '/' ? '-' : c;
    return {{"content-type", "text/csv; charset=utf-8; header=present"},
            {"content-disposition", fmt::format("attachment; filename=\"{}.csv\"", name)},
            {"cache-control", "no-store"},
            {"x-content-type-options", "nosniff"}};
}

}  // namespace

http::Task<void> answer_csv(ApiContext& api, const ApiRoute& route, const Call& call, http::Exchange& exchange) {
    Result<CsvSource> source = co_await api.pool.run([&] { return guarded(route, [&] { return route.csv(api, call); }); });
    if (!source) {
        co_await refuse(exchange, source.error());
        co_return;
    }
    const auto next = [&] { return guarded(route, [&] { return next_piece(*source); }); };
    Result<Piece> piece = co_await api.pool.run(next);
    if (!piece) {
        co_await refuse(exchange, piece.error());
        co_return;
    }
    http::Headers headers = headers_of(route);
    const bool began = co_await exchange.start_stream(200, std::move(headers));
    if (!began) co_return;
    for (;;) {
        const bool written = co_await exchange.write(piece->text);
        if (!written) co_return;
        if (!piece->more) break;
        piece = co_await api.pool.run(next);
        if (!piece) {
            log::error("{}: a CSV answer breaks off: {}", route.pattern, piece.error().message);
            exchange.abort();
            co_return;
        }
    }
    co_await exchange.finish();
}

Result<bool> wants_csv(const http::Request& request) {
    const std::string_view format = request.query_value("format");
    if (format == "csv") return true;
    if (format == "json") return false;
    if (!format.empty()) return invalid_argument("\"format\" must be json or csv", "format");
    const std::string_view accept = request.headers.get("accept");
    return accept.find("text/csv") != std::string_view::npos && accept.find("application/json") == std::string_view::npos;
}

}  // namespace gantry::control
