#include "cli/limits.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>

#include "cli/objects.h"
#include "cli/output.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

// 1500 -> "1500", 10000 -> "10k": only what is exact is shortened.
std::string amount_text(int64_t amount) {
    static constexpr std::pair<int64_t, const char*> kUnits[] = {{1'000'000'000, "G"}, {1'000'000, "M"}, {1'000, "k"}};
    for (const auto& [unit, letter] : kUnits) {
        if (amount >= unit && amount % unit == 0) {
            return fmt::format("{}{}", amount / unit, letter);
        }
    }
    return std::to_string(amount);
}

}  // namespace

Result<uint64_t> parse_amount(std::string_view text) {
    const Error wrong = invalid_argument(fmt::format("\"{}\" is no number from 1 on, such as 60, 10k or 2M", text));
    uint64_t factor = 1;
    std::string_view digits = text;
    if (!digits.empty()) {
        const char unit = digits.back();
        factor = unit == 'k' || unit == 'K' ? 1'000 : unit == 'm' || unit == 'M' ? 1'000'000 : unit == 'g' || unit == 'G' ? 1'000'000'000 : 1;
        digits.remove_suffix(factor > 1 ? 1 : 0);
    }
    const size_t point = digits.find('.');
    const std::string_view whole = digits.substr(0, point);
    const std::string_view fraction = point == std::string_view::npos ? std::string_view() : digits.substr(point + 1);
    uint64_t value = 0;
    const auto [end, failure] = std::from_chars(whole.data(), whole.data() + whole.size(), value);
    if (failure != std::errc() || end != whole.data() + whole.size() || value > 1'000'000'000'000'000 / factor) {
        return wrong;
    }
    value *= factor;
    if (point != std::string_view::npos && (fraction.empty() || fraction.size() > 9)) {
        return wrong;
    }
    for (const char c : fraction) {
        if (c < '0' || c > '9' || factor % 10 != 0) {
            return wrong;  // also where a fraction of one is left: 1.5
        }
        factor /= 10;
        value += static_cast<uint64_t>(c - '0') * factor;
    }
    if (value == 0) {
        return wrong;
    }
    return value;
}

void add_limit_options(CLI::App& verb, LimitOptions& options) {
    verb.add_option("--rpm", options.rpm, "requests a minute; none: no limit")->type_name("N");
    verb.add_option("--tpm", options.tpm, "tokens a minute, of prompts and answers (10k, 2M)")->type_name("N");
    verb.add_option("--concurrent", options.concurrent, "requests at once")->type_name("N");
    verb.add_option("--monthly-tokens", options.monthly_tokens, "tokens a calendar month (UTC)")->type_name("N");
    verb.add_option("--model", options.models, "a model that may be used; may be repeated; none: all")
        ->take_all()
        ->allow_extra_args(false)
        ->type_name("NAME");
}

Status put_limits(const LimitOptions& options, json::object& body) {
    json::object limits;
    const auto put = [&](const char* flag, const char* field, const std::string& text) -> Status {
        if (text.empty()) {
            return Ok{};
        }
        if (text == "none") {
            limits[field] = nullptr;
            return Ok{};
        }
        const Result<uint64_t> amount = parse_amount(text);
        if (!amount) {
            return invalid_argument(fmt::format("{} {}", flag, amount.error().message));
        }
        limits[field] = *amount;
        return Ok{};
    };
    GANTRY_TRY(put("--rpm", "requests_per_minute", options.rpm));
    GANTRY_TRY(put("--tpm", "tokens_per_minute", options.tpm));
    GANTRY_TRY(put("--concurrent", "concurrent_requests", options.concurrent));
    GANTRY_TRY(put("--monthly-tokens", "tokens_per_month", options.monthly_tokens));
    if (!limits.empty()) {
        body["limits"] = std::move(limits);
    }
    if (options.models == std::vector<std::string>{"none"}) {
        body["models"] = json::array();
    } else if (!options.models.empty()) {
        body["models"] = json::array(options.models.begin(), options.models.end());
    }
    return Ok{};
}

std::string limits_text(const json::object& key_or_user) {
    std::string text;
    const auto add = [&](const std::string& part) { text += (text.empty() ? "" : ", ") + part; };
    const json::object& limits = object_at(key_or_user, "limits");
    const auto add_limit = [&](const char* field, const char* unit) {
        if (const int64_t limit = number_at(limits, field); limit > 0) {
            add(fmt::format("{} {}", amount_text(limit), unit));
        }
    };
    add_limit("requests_per_minute", "rpm");
    add_limit("tokens_per_minute", "tpm");
    add_limit("concurrent_requests", "at once");
    add_limit("tokens_per_month", "a month");
    const json::array& scopes = array_at(key_or_user, "scopes");
    if (scopes.size() == 1 && scopes[0].is_string()) {
        add(fmt::format("{} only", std::string_view(scopes[0].get_string())));
    }
    const json::array& models = array_at(key_or_user, "models");
    if (models.size() > 3) {
        add(fmt::format("{} models", models.size()));
    } else if (!models.empty()) {
        std::string names;
        for (const json::value& name : models) {
            names += (names.empty() ? "" : ",") + std::string(name.is_string() ? std::string_view(name.get_string()) : "?");
        }
        add("models " + names);
    }
    return text.empty() ? "none" : text;
}

int print_edited(const Context& context, const Result<json::value>& edited, const char* kind, const char* limits) {
    return print_changed(context, edited, kind, [limits](const json::object& object) {
        return fmt::format("{} is changed, in force from now on; {}: {}{}", printable(text_at(object, "name")), limits,
                           printable(limits_text(object)), flag_at(object, "disabled") ? "; disabled" : "");
    });
}

}  // namespace gantry::cli
