#include "base/ids.h"

#include <sodium.h>

#include <algorithm>
#include <mutex>
#include <random>

#include "base/assert.h"

namespace gantry {
namespace {

constexpr char kAlphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";

class SystemRandom final : public RandomSource {
public:
    SystemRandom() { GANTRY_ASSERT(sodium_init() >= 0, "libsodium does not start"); }
    std::string token(size_t length) override {
        std::string bytes(length, '\0');
        randombytes_buf(bytes.data(), bytes.size());
        for (char& c : bytes) c = kAlphabet[static_cast<unsigned char>(c) % 32];
        return bytes;
    }
    double uniform() override { return randombytes_random() / 4294967296.0; }
};

class SeededRandom final : public RandomSource {
public:
    explicit SeededRandom(uint64_t seed) : engine_(seed) {}
    std::string token(size_t length) override {
        std::lock_guard lock(mutex_);
        std::string text(length, '\0');
        for (char& c : text) c = kAlphabet[engine_() % 32];
        return text;
    }
    double uniform() override {
        std::lock_guard lock(mutex_);
        return static_cast<double>(engine_() >> 11) * 0x1.0p-53;
    }

private:
    std::mutex mutex_;
    std::mt19937_64 engine_;
};

}  // namespace

RandomSource& system_random() {
    static SystemRandom random;
    return random;
}

std::string quick_token(size_t length) {
    thread_local std::string ahead;
    if (ahead.size() < length) ahead = system_random().token(std::max<size_t>(length, 1024));
    std::string token = ahead.substr(ahead.size() - length);
    ahead.resize(ahead.size() - length);
    return token;
}

std::unique_ptr<RandomSource> seeded_random(uint64_t seed) { return std::make_unique<SeededRandom>(seed); }

}  // namespace gantry
