#include "http/forwarded.h"

#include <boost/asio/ip/address.hpp>
#include <optional>

#include "http/text.h"

namespace gantry::http {
namespace {

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// Takes the last word off a comma-separated list.
std::string_view take_last(std::string_view& list) {
    const size_t comma = list.rfind(',');
    const std::string_view last = comma == std::string_view::npos ? list : list.substr(comma + 1);
    list = comma == std::string_view::npos ? std::string_view{} : list.substr(0, comma);
    return trimmed(last);
}

// "192.0.2.1", "192.0.2.1:4711", "2001:db8::1", "[2001:db8::1]:4711" -> the address as we write it.
std::optional<std::string> address_in(std::string_view text) {
    if (text.starts_with('[')) {
        text = text.substr(1, text.find(']') - 1);
    } else if (text.find(':') != std::string_view::npos && text.find(':') == text.rfind(':')) {
        text = text.substr(0, text.find(':'));
    }
    boost::system::error_code failure;
    auto address = boost::asio::ip::make_address(std::string(text), failure);
    if (failure || text.find('%') != std::string_view::npos) return std::nullopt;
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        address = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
    }
    return address.to_string();
}

// The last field of that name: the one that the nearest proxy wrote, whatever came before it.
std::string_view last_of(const Headers& headers, std::string_view name) {
    std::string_view found;
    for (const auto& [field, value] : headers) {
        if (equal_without_case(field, name)) found = value;
    }
    return found;
}

std::string all_of(const Headers& headers, std::string_view name) {
    std::string list;
    for (const auto& [field, value] : headers) {
        if (equal_without_case(field, name)) list.append(list.empty() ? "" : ",").append(value);
    }
    return list;
}

}  // namespace

void apply_forwarded(Request& request, const Networks& trusted) {
    if (!trusted.contains(request.peer)) return;
    std::string_view scheme = last_of(request.headers, "x-forwarded-proto");
    request.tls = request.tls || equal_without_case(take_last(scheme), "https");
    const std::string hops = all_of(request.headers, "x-forwarded-for");
    std::string_view rest = hops;
    while (!rest.empty() && trusted.contains(request.peer)) {
        auto hop = address_in(take_last(rest));
        if (!hop) break;   // what no proxy writes: nobody is known beyond here
        request.peer = *std::move(hop);
    }
}

}  // namespace gantry::http
