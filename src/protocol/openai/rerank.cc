#include "protocol/openai/rerank.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/assert.h"
#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

Result<std::string> not_empty(const json::value& value, const std::string& path) {
    Result<std::string> text = as_string(value, path);
    if (text && text->empty()) {
        return invalid_argument(fmt::format("'{}' must not be empty", path), path);
    }
    return text;
}

Result<std::string> parse_document(const json::value& value, const std::string& path) {
    if (!value.is_object()) {
        return value.is_string() ? not_empty(value, path)
                                 : wrong_type(path, "a string or an object with 'text'", value);
    }
    const json::value* text = find(value.get_object(), "text");
    if (text == nullptr) {
        return missing_field(path + ".text");
    }
    return not_empty(*text, path + ".text");
}

Status parse_documents(const json::value& value, std::vector<std::string>& out) {
    Result<const json::array*> items = as_array(value, "documents");
    if (!items) {
        return items.error();
    }
    if ((*items)->empty() || (*items)->size() > kDocumentsMax) {
        return invalid_argument(fmt::format("'documents' must hold 1 to {} documents, not {}",
                                            kDocumentsMax, (*items)->size()),
                                "documents");
    }
    for (size_t i = 0; i < (*items)->size(); ++i) {
        Result<std::string> document = parse_document((**items)[i], fmt::format("documents[{}]", i));
        if (!document) {
            return document.error();
        }
        out.push_back(*std::move(document));
    }
    return Ok{};
}

}  // namespace

Result<RerankRequest> parse_rerank(const json::value& body) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) {
        return object.error();
    }
    const json::object& fields = **object;
    RerankRequest request;
    Result<std::string> model = parse_model(fields);
    if (!model) {
        return model.error();
    }
    request.model = *std::move(model);
    const json::value* query = find(fields, "query");
    if (query == nullptr) {
        return missing_field("query", "what the documents are held against");
    }
    Result<std::string> text = not_empty(*query, "query");
    if (!text) {
        return text.error();
    }
    request.query = *std::move(text);
    const json::value* documents = find(fields, "documents");
    if (documents == nullptr) {
        return missing_field("documents", "an array of strings, or of objects with 'text'");
    }
    GANTRY_TRY(parse_documents(*documents, request.documents));
    if (const json::value* top_n = find(fields, "top_n")) {
        Result<int64_t> count = as_integer(*top_n, "top_n", 1, INT32_MAX);
        if (!count) {
            return count.error();
        }
        request.top_n = static_cast<uint32_t>(*count);
    }
    if (const json::value* wanted = find(fields, "return_documents")) {
        Result<bool> flag = as_bool(*wanted, "return_documents");
        if (!flag) {
            return flag.error();
        }
        request.return_documents = *flag;
    }
    return request;
}

json::object rerank_object(const RerankRequest& request, const std::string& model,
                           const std::vector<float>& scores, uint64_t prompt_tokens,
                           RandomSource& random) {
    GANTRY_ASSERT(scores.size() == request.documents.size(), "a score for each document");
    std::vector<size_t> order(scores.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&scores](size_t a, size_t b) { return scores[a] > scores[b]; });
    if (request.top_n > 0 && request.top_n < order.size()) {
        order.resize(request.top_n);
    }
    json::array results;
    for (const size_t index : order) {
        json::object result;
        result["index"] = index;
        result["relevance_score"] = scores[index];
        if (request.return_documents) {
            json::object document;
            document["text"] = request.documents[index];
            result["document"] = std::move(document);
        }
        results.push_back(std::move(result));
    }
    json::object answer;
    answer["id"] = "rerank-" + random.token(24);
    answer["object"] = "list";
    answer["model"] = model;
    answer["results"] = std::move(results);
    json::object usage;
    usage["prompt_tokens"] = prompt_tokens;
    usage["total_tokens"] = prompt_tokens;
    answer["usage"] = std::move(usage);
    return answer;
}

}  // namespace gantry::protocol::openai
