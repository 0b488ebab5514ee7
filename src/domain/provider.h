#pragma once
// An outside provider: somebody else's OpenAI-compatible API, some of whose models are models here, named PROVIDER/MODEL.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"
#include "base/result.h"
#include "base/url.h"

namespace gantry {

struct Provider {
    ProviderId id{};
    std::string name{};                  // unique; no deployment or route is named NAME/...
    std::string base_url{};              // as BaseUrl::text() writes it
    std::string sealed_key{};            // what it takes us by (control/secrets.h); empty: it wants no key
    std::vector<std::string> models{};   // by their names there
    bool disabled = false;
    int64_t version = 1;                 // grows with every change
    WallTime created_at{};
    WallTime updated_at{};
};

inline constexpr size_t kProviderModelsMax = 64;

// 1 to 64 of [a-z0-9_-], beginning with a letter or digit.
bool valid_provider_name(const std::string& name);
// The public name of one of its models.
std::string model_name(const Provider& provider, const std::string& model);

// Where an API is: "https://api.example.com/v1". Nothing in it but a scheme, a host, a port and a path without a slash at its end; the
// host is none of those that tell a machine in a cloud its secrets. What a name resolves to is not looked at.
using BaseUrl = Url;
Result<BaseUrl> parse_base_url(std::string_view text);   // kInvalidArgument, with param "base_url"

}  // namespace gantry
