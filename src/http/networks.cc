#include "http/networks.h"

#include <boost/asio/ip/address.hpp>
#include <charconv>
#include <optional>

namespace gantry::http {
namespace {

using Bytes = std::array<unsigned char, 16>;

struct Address {
    Bytes bytes{};
    bool v4 = false;
};

std::optional<Address> parse_address(std::string_view text) {
    boost::system::error_code failure;
    const auto address = boost::asio::ip::make_address(std::string(text), failure);
    if (failure || text.find('%') != std::string_view::npos) return std::nullopt;
    if (address.is_v6()) return Address{address.to_v6().to_bytes(), false};
    return Address{boost::asio::ip::make_address_v6(boost::asio::ip::v4_mapped, address.to_v4()).to_bytes(), true};
}

}  // namespace

Result<Networks> Networks::parse(const std::vector<std::string>& texts) {
    Networks networks;
    for (const std::string& text : texts) {
        const size_t slash = text.find('/');
        const auto address = parse_address(std::string_view(text).substr(0, slash));
        const unsigned most = address && address->v4 ? 32 : 128;
        unsigned bits = most;
        bool good = address.has_value();
        if (good && slash != std::string::npos) {
            const auto [end, failed] = std::from_chars(text.data() + slash + 1, text.data() + text.size(), bits);
            good = failed == std::errc{} && end == text.data() + text.size() && bits <= most;
        }
        if (!good) return invalid_argument("\"" + text + "\" is no network; write it as 10.0.0.0/8, 2001:db8::/32 or as one address");
        networks.networks_.push_back({address->bytes, bits + (128 - most)});
    }
    return networks;
}

bool Networks::contains(std::string_view text) const {
    const auto address = parse_address(text);
    if (!address) return false;
    for (const Network& network : networks_) {
        const size_t whole = network.bits / 8;
        const unsigned rest = network.bits % 8;
        bool inside = std::equal(network.start.begin(), network.start.begin() + static_cast<ptrdiff_t>(whole), address->bytes.begin());
        if (inside && rest != 0) inside = ((network.start[whole] ^ address->bytes[whole]) >> (8 - rest)) == 0;
        if (inside) return true;
    }
    return false;
}

}  // namespace gantry::http
