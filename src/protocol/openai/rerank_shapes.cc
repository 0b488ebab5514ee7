#include "protocol/openai/rerank_shapes.h"

#include <fmt/format.h>

#include <algorithm>

#include "protocol/openai/fields.h"

namespace gantry::protocol::openai {
namespace {

// The results of a rerank; none when it is no rerank's answer.
const json::array& results_of(const json::object& answer) {
    static const json::array kNone;
    const json::value* results = answer.if_contains("results");
    return results != nullptr && results->is_array() ? results->get_array() : kNone;
}

json::value field_of(const json::value& result, std::string_view key) {
    const json::value* value = result.is_object() ? result.get_object().if_contains(key) : nullptr;
    return value == nullptr ? json::value() : *value;
}

// What a field that was renamed is called by the client: "documents[3]" is "texts[3]".
std::string renamed_path(const std::string& path, const std::vector<std::pair<std::string, std::string>>& names) {
    for (const auto& [ours, theirs] : names) {
        const bool same = path.starts_with(ours) && (path.size() == ours.size() || path[ours.size()] == '[');
        if (same) return theirs + path.substr(ours.size());
    }
    return path;
}

class TeiTranslator final : public Translator {
public:
    explicit TeiTranslator(bool with_text) : with_text_(with_text) {}
    json::value whole(const json::object& answer) override {
        json::array out;
        for (const json::value& result : results_of(answer)) {
            json::object item{{"index", field_of(result, "index")}, {"score", field_of(result, "relevance_score")}};
            if (with_text_) item["text"] = field_of(field_of(result, "document"), "text");
            out.push_back(std::move(item));
        }
        return out;
    }

protected:
    std::string client_path(const std::string& path) const override { return renamed_path(path, {{"documents", "texts"}}); }

private:
    const bool with_text_;
};

class ScoreTranslator final : public Translator {
public:
    ScoreTranslator(std::string query, std::string documents) : query_(std::move(query)), documents_(std::move(documents)) {}
    json::value whole(const json::object& answer) override {
        std::vector<std::pair<uint64_t, json::value>> scores;
        for (const json::value& result : results_of(answer)) {
            const json::value index = field_of(result, "index");
            if (index.is_number()) scores.emplace_back(index.to_number<uint64_t>(), field_of(result, "relevance_score"));
        }
        std::sort(scores.begin(), scores.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
        json::array data;
        for (const auto& [index, score] : scores) {
            data.push_back(json::object{{"index", index}, {"object", "score"}, {"score", score}});
        }
        json::object out{{"id", field_of(answer, "id")}, {"object", "list"}, {"model", field_of(answer, "model")}, {"data", std::move(data)}};
        if (answer.contains("usage")) out["usage"] = answer.at("usage");
        return out;
    }

protected:
    std::string client_path(const std::string& path) const override {
        return renamed_path(path, {{"query", query_}, {"documents", documents_}});
    }

private:
    const std::string query_;       // the client's names of the two
    const std::string documents_;
};

Result<std::string> one_text(const json::value& value, const std::string& path) {
    if (!value.is_array()) return as_string(value, path);
    if (value.get_array().size() != 1) {
        return invalid_argument(fmt::format("'{}' must be one text, not {}: send a request for each", path, value.get_array().size()), path);
    }
    return as_string(value.get_array()[0], path + "[0]");
}

}  // namespace

Result<Translated> translate_rerank(const json::value& body) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) return object.error();
    Translated out{**object, nullptr};
    const json::value* texts = find(**object, "texts");
    if (texts == nullptr || find(**object, "documents") != nullptr) return out;
    out.body["documents"] = *texts;
    bool with_text = false;
    if (const json::value* wanted = find(**object, "return_text")) {
        Result<bool> flag = as_bool(*wanted, "return_text");
        if (!flag) return flag.error();
        with_text = *flag;
    }
    out.body["return_documents"] = with_text;
    out.translator = std::make_unique<TeiTranslator>(with_text);
    return out;
}

Result<Translated> translate_score(const json::value& body) {
    Result<const json::object*> object = as_object(body, "");
    if (!object) return object.error();
    const json::object& fields = **object;
    const char* first = find(fields, "text_1") == nullptr && find(fields, "queries") != nullptr ? "queries" : "text_1";
    const char* second = find(fields, "text_2") == nullptr && find(fields, "documents") != nullptr ? "documents" : "text_2";
    for (const char* name : {first, second}) {
        if (find(fields, name) == nullptr) return missing_field(name);
    }
    Result<std::string> query = one_text(*find(fields, first), first);
    if (!query) return query.error();
    const json::value& texts = *find(fields, second);
    Translated out;
    if (const json::value* model = find(fields, "model")) out.body["model"] = *model;
    out.body["query"] = *query;
    out.body["documents"] = texts.is_array() ? texts : json::array{texts};
    out.translator = std::make_unique<ScoreTranslator>(first, second);
    return out;
}

}  // namespace gantry::protocol::openai
