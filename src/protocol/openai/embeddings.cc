#include "protocol/openai/embeddings.h"

#include <fmt/format.h>

#include <bit>
#include <cstddef>

#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

constexpr int64_t kDimensionsMax = 1 << 20;

Status check_empty(const std::vector<Prompt>& inputs) {
    for (size_t i = 0; i < inputs.size(); ++i) {
        const auto* text = std::get_if<std::string>(&inputs[i]);
        if (text != nullptr && text->empty()) {
            const std::string path = inputs.size() == 1 ? "input" : fmt::format("input[{}]", i);
            return invalid_argument(fmt::format("'{}' must not be an empty string", path), path);
        }
    }
    return Ok{};
}

void append_base64(std::string& out, std::span<const float> vector) {
    static_assert(std::endian::native == std::endian::little, "the format's byte order is ours");
    constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const std::span<const std::byte> bytes = std::as_bytes(vector);
    for (size_t at = 0; at < bytes.size(); at += 3) {
        const size_t left = std::min<size_t>(3, bytes.size() - at);
        uint32_t bits = 0;
        for (size_t i = 0; i < 3; ++i) {
            bits = (bits << 8) | (i < left ? std::to_integer<uint32_t>(bytes[at + i]) : 0U);
        }
        for (size_t i = 0; i < 4; ++i) {
            out += i <= left ? kLetters[(bits >> (18 - 6 * i)) & 63] : '=';
        }
    }
}

void append_numbers(std::string& out, std::span<const float> vector) {
    for (size_t i = 0; i < vector.size(); ++i) {
        fmt::format_to(std::back_inserter(out), "{}{}", i == 0 ? "" : ",", vector[i]);
    }
}

}  // namespace

Result<EmbeddingsRequest> parse_embeddings(const json::value& body) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) {
        return object.error();
    }
    const json::object& fields = **object;
    EmbeddingsRequest request;
    Result<std::string> model = parse_model(fields);
    if (!model) {
        return model.error();
    }
    request.model = *std::move(model);
    const json::value* input = find(fields, "input");
    if (input == nullptr) {
        return invalid_argument(
            "'input' is missing: send a string, an array of strings, or token ids", "input",
            "missing_required_parameter");
    }
    Result<std::vector<Prompt>> inputs = parse_prompts(*input, "input", kEmbeddingInputsMax);
    if (!inputs) {
        return inputs.error();
    }
    request.inputs = *std::move(inputs);
    GANTRY_TRY(check_empty(request.inputs));
    if (const json::value* format = find(fields, "encoding_format")) {
        Result<std::string> name = as_string(*format, "encoding_format");
        if (!name) {
            return name.error();
        }
        if (*name != "float" && *name != "base64") {
            return invalid_argument("'encoding_format' must be \"float\" or \"base64\"",
                                    "encoding_format");
        }
        request.base64 = *name == "base64";
    }
    if (const json::value* dimensions = find(fields, "dimensions")) {
        Result<int64_t> count = as_integer(*dimensions, "dimensions", 1, kDimensionsMax);
        if (!count) {
            return count.error();
        }
        request.dimensions = static_cast<uint32_t>(*count);
    }
    if (const json::value* user = find(fields, "user")) {
        Result<std::string> name = as_string(*user, "user");  // checked; nothing uses it
        if (!name) {
            return name.error();
        }
    }
    return request;
}

std::string embeddings_json(const std::string& model, std::span<const std::vector<float>> vectors,
                            bool base64, uint64_t prompt_tokens) {
    std::string out = R"({"object":"list","data":[)";
    for (size_t i = 0; i < vectors.size(); ++i) {
        fmt::format_to(std::back_inserter(out), R"({}{{"object":"embedding","index":{},"embedding":)",
                       i == 0 ? "" : ",", i);
        out += base64 ? '"' : '[';
        base64 ? append_base64(out, vectors[i]) : append_numbers(out, vectors[i]);
        out += base64 ? '"' : ']';
        out += '}';
    }
    out += R"(],"model":)" + json::serialize(json::value(model));
    fmt::format_to(std::back_inserter(out),
                   R"(,"usage":{{"prompt_tokens":{},"total_tokens":{}}}}})", prompt_tokens,
                   prompt_tokens);
    return out;
}

}  // namespace gantry::protocol::openai
