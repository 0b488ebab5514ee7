#pragma once
// A storage host on this machine for this folder's tests: one file, by ranges, and whatever can go wrong with it.

#include <openssl/evp.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/platform/files.h"
#include "http/http_test_support.h"
#include "sources/download.h"

namespace gantry::sources {

inline std::string digest_of(std::string_view bytes, const EVP_MD* algorithm = EVP_sha256()) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_Digest(bytes.data(), bytes.size(), digest, &size, algorithm, nullptr);
    return to_hex(digest, size);
}

// Bytes of which no two stretches are alike.
inline std::string content(size_t size) {
    std::string out(size, '\0');
    uint32_t state = 1;
    for (char& c : out) c = static_cast<char>((state = state * 1664525 + 1013904223) >> 24);
    return out;
}

class TestStore {
public:
    struct Asked {
        std::string target, range, authorization;
    };
    // Null: the file is sent as it is. Else this answers; false: go on as if it had not been asked.
    using Misdeed = std::function<http::Task<bool>(http::Exchange&, size_t number)>;

    explicit TestStore(std::string bytes) : bytes_(std::move(bytes)) {
        server_.route("GET", "/{path...}", [this](http::Exchange& exchange) -> http::Task<void> { return answer(exchange); });
        port_ = server_.start();
    }
    Url url(const std::string& path = "/file") const { return {.host = "127.0.0.1", .port = port_, .path = path}; }
    HubFile file() const { return {"file.gguf", bytes_.size(), {Digest::Kind::kSha256, digest_of(bytes_)}}; }
    void misbehave(Misdeed misdeed) { misdeed_ = std::move(misdeed); }
    std::vector<Asked> asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }
    const std::string& bytes() const { return bytes_; }

    // What it would send: by its range, or all of it.
    http::Response plain(const http::Request& request) const {
        size_t begin = 0, end = bytes_.size();
        http::Response response;
        if (const std::string range(request.headers.get("range")); range.starts_with("bytes=")) {
            begin = std::stoul(range.substr(6));
            end = std::min(end, std::stoul(range.substr(range.find('-') + 1)) + 1);
            response.status = 206;
            response.headers.set("content-range",
                                 "bytes " + std::to_string(begin) + "-" + std::to_string(end - 1) + "/" + std::to_string(bytes_.size()));
        }
        response.body = bytes_.substr(begin, end - begin);
        return response;
    }

private:
    http::Task<void> answer(http::Exchange& exchange) {
        size_t number = 0;
        {
            const std::lock_guard lock(mutex_);
            const http::Request& request = exchange.request();
            asked_.push_back({request.target, std::string(request.headers.get("range")), std::string(request.headers.get("authorization"))});
            number = asked_.size();
        }
        if (misdeed_) {
            const bool answered = co_await misdeed_(exchange, number);
            if (answered) co_return;
        }
        http::Response response = plain(exchange.request());
        co_await exchange.respond(std::move(response));
    }

    const std::string bytes_;
    Misdeed misdeed_;
    mutable std::mutex mutex_;
    std::vector<Asked> asked_;
    uint16_t port_ = 0;
    http::TestServer server_;   // last: its thread uses all of the above
};

class SourcesTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = (std::filesystem::temp_directory_path() / "sources_XXXXXX").string();
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        settings_.retry_base = std::chrono::milliseconds(1);
        settings_.retries = 3;
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string text(const std::string& path) const { return platform::read_file(path, 64u << 20).value(); }

    std::filesystem::path folder_;
    Settings settings_;
};

}  // namespace gantry::sources
