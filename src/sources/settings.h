#pragma once
// How this process reaches the hubs: where they are, by what credentials, through what, and whether at all. Plain values.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/url.h"
#include "domain/source.h"

namespace gantry::sources {

struct Settings {
    Url hugging_face = {.tls = true, .host = "huggingface.co", .port = 443};
    Url modelscope = {.tls = true, .host = "www.modelscope.cn", .port = 443};
    std::string hugging_face_token{};   // sent to that origin, and to nobody else
    std::string modelscope_token{};     // the same
    std::string ca_file{};              // the authorities to trust, PEM; empty: the system's
    std::string http_proxy{};           // for http:// and for https:// URLs, "http://proxy:3128"; empty: none
    std::string https_proxy{};
    std::string no_proxy{};             // hosts that are reached without: "localhost,.example.org,10.0.0.0/8", "*": all
    bool offline = false;               // no connection is made, and none is tried

    uint64_t folder_bytes = 0;          // of the folder of models: beyond, what nobody uses goes; 0: as much as the disk has
    uint64_t bytes_per_second = 0;      // of a download; 0: as fast as it comes
    unsigned connections = 4;           // of a download
    std::chrono::milliseconds connect_within{10'000};
    std::chrono::milliseconds answer_within{30'000};    // for listings and the like, whole
    std::chrono::seconds stalled_after{30};             // no byte for so long: the connection is given up
    std::chrono::milliseconds retry_base{1'000};        // before the first retry; doubled each time, 30 s at most
    unsigned retries = 6;                               // in a row without a byte of progress, then it has failed

    const Url& endpoint(SourceKind hub) const { return hub == SourceKind::kHuggingFace ? hugging_face : modelscope; }
    const std::string& token(SourceKind hub) const { return hub == SourceKind::kHuggingFace ? hugging_face_token : modelscope_token; }
    // The proxy for this URL; empty: none.
    const std::string& proxy_for(const Url& url) const;
};

// From HF_ENDPOINT, HF_TOKEN, MODELSCOPE_DOMAIN (or _ENDPOINT), MODELSCOPE_API_TOKEN, SSL_CERT_FILE, http_proxy, HTTPS_PROXY, ALL_PROXY,
// NO_PROXY, GANTRY_OFFLINE and HF_HUB_OFFLINE, GANTRY_DOWNLOAD_LIMIT (bytes a second, "20M") and GANTRY_MODELS_QUOTA (bytes, "500G").
// kInvalidArgument names the variable.
// `variable`: empty where there is none of that name.
Result<Settings> settings_from(const std::function<std::string(const char*)>& variable);
Result<Settings> settings_from_environment();

// Whether NO_PROXY's list names the host.
bool without_proxy(const std::string& no_proxy, const std::string& host);

}  // namespace gantry::sources
