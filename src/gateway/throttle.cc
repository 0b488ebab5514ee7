#include "gateway/throttle.h"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

namespace gantry::gateway {

void Throttle::forget_the_paid(SteadyTime now) {
    if (now - swept_at_ < std::chrono::seconds(1)) return;  // a sweep costs kSourcesMax steps: not with each failure
    swept_at_ = now;
    std::erase_if(debts_, [now](const auto& entry) { return entry.second <= now; });
}

int Throttle::failed(const std::string& source, SteadyTime now) {
    SteadyTime* paid_at = nullptr;
    if (const auto found = debts_.find(source); found != debts_.end()) {
        paid_at = &found->second;
    } else {
        if (debts_.size() >= kSourcesMax) forget_the_paid(now);
        paid_at = debts_.size() < kSourcesMax ? &debts_.emplace(source, now).first->second : &others_;
    }
    const SteadyTime next = std::max(*paid_at, now) + kRefill;
    const SteadyTime limit = now + kRefill * kBurst;
    if (next <= limit) {
        *paid_at = next;
        return 0;
    }
    return static_cast<int>(std::chrono::ceil<std::chrono::seconds>(next - limit).count());
}

std::string peer_source(const std::string& peer) {
    boost::system::error_code failure;
    const auto address = boost::asio::ip::make_address(peer, failure);
    if (failure || !address.is_v6()) return peer;
    auto bytes = address.to_v6().to_bytes();
    if (address.to_v6().is_v4_mapped()) return peer;
    std::fill(bytes.begin() + 8, bytes.end(), static_cast<unsigned char>(0));
    return boost::asio::ip::make_address_v6(bytes).to_string();
}

}  // namespace gantry::gateway
