#include "sources/hub_answers.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "domain/source.h"
#include "models/model_file.h"

namespace gantry::sources {
namespace {

Error no_answer(const char* what) {
    return unavailable(fmt::format("the hub's answer is none: {}. Is something between, such as a login page of the network?", what));
}

std::string text_at(const json::object& object, const char* key) {
    const json::value* const value = object.if_contains(key);
    return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

uint64_t number_at(const json::object& object, const char* key, bool& good) {
    const json::value* const value = object.if_contains(key);
    json::error_code failed;
    const uint64_t number = value == nullptr ? 0 : value->to_number<uint64_t>(failed);
    good = value != nullptr && !failed;
    return number;
}

uint64_t count_at(const json::object& object, const char* key) {
    bool ignored = false;
    return number_at(object, key, ignored);
}

Result<json::object> object_of(std::string_view body) {
    auto value = parse_json(body);
    if (!value || !value->is_object()) return no_answer("it is no JSON object");
    return std::move(value->get_object());
}

Status add_file(const std::string& path, uint64_t bytes, bool sized, Digest digest, std::vector<HubFile>& files) {
    if (!safe_relative_path(path)) {
        return invalid_argument(fmt::format("the repository lists a file with an unsafe path, \"{}\"; nothing of it is used",
                                            models::shown(path, 128)), "source",
                                "unsafe_path");
    }
    if (!sized || bytes > kFileBytesMax) return no_answer("a file has no size, or none that a file has");
    if (!valid(digest)) return no_answer("a file has no digest to check it by");
    if (files.size() == kListedMax) {
        return invalid_argument(fmt::format("the repository lists more than {} files", kListedMax), "source", "too_many_files");
    }
    files.push_back({path, bytes, std::move(digest)});
    return Ok{};
}

Result<std::vector<HubModel>> found_in(const json::array& models, const char* prefix) {
    std::vector<HubModel> found;
    for (const json::value& item : models) {
        if (!item.is_object() || found.size() == kListedMax) continue;
        const json::object& model = item.get_object();
        HubModel one{prefix + text_at(model, "id"), count_at(model, "downloads"), count_at(model, "likes")};
        if (parse_source(one.source)) found.push_back(std::move(one));   // what nobody could name is of no use
    }
    return found;
}

}  // namespace

bool valid(const Digest& digest) {
    const size_t length = digest.kind == Digest::Kind::kSha256 ? 64 : 40;
    return digest.hex.size() == length && digest.hex.find_first_not_of("0123456789abcdef") == std::string::npos;
}

Result<std::string> read_hugging_face_commit(std::string_view body) {
    const auto object = object_of(body);
    if (!object) return object.error();
    std::string commit = text_at(*object, "sha");
    if (!valid(Digest{Digest::Kind::kGit, commit})) return no_answer("it names no commit");
    return commit;
}

Status read_hugging_face_tree(std::string_view body, std::vector<HubFile>& files) {
    const auto value = parse_json(body);
    if (!value || !value->is_array()) return no_answer("it is no list of files");
    for (const json::value& item : value->get_array()) {
        if (!item.is_object()) return no_answer("it lists something that is no file");
        const json::object& entry = item.get_object();
        if (text_at(entry, "type") != "file") continue;
        bool sized = false;
        const uint64_t bytes = number_at(entry, "size", sized);
        Digest digest{Digest::Kind::kGit, text_at(entry, "oid")};
        if (const json::value* const lfs = entry.if_contains("lfs"); lfs != nullptr && lfs->is_object()) {
            digest = {Digest::Kind::kSha256, text_at(lfs->get_object(), "oid")};
        }
        GANTRY_TRY(add_file(text_at(entry, "path"), bytes, sized, std::move(digest), files));
    }
    return Ok{};
}

Result<std::vector<HubModel>> read_hugging_face_search(std::string_view body) {
    const auto value = parse_json(body);
    if (!value || !value->is_array()) return no_answer("it is no list of models");
    return found_in(value->get_array(), "hf:");
}

std::string next_page(std::string_view link) {
    // <https://...>; rel="next", <https://...>; rel="first"
    while (true) {
        const size_t open = link.find('<'), close = link.find('>', open);
        if (open == std::string_view::npos || close == std::string_view::npos) return {};
        const std::string_view rest = link.substr(close + 1);
        const std::string_view parameters = rest.substr(0, rest.find('<'));
        if (parameters.find("rel=\"next\"") != std::string_view::npos || parameters.find("rel=next") != std::string_view::npos) {
            return std::string(link.substr(open + 1, close - open - 1));
        }
        link = rest;
    }
}

Status read_modelscope_files(std::string_view body, std::vector<HubFile>& files) {
    const auto object = object_of(body);
    if (!object) return object.error();
    const json::value* const data = object->if_contains("Data");
    const json::value* const listed = data != nullptr && data->is_object() ? data->get_object().if_contains("Files") : nullptr;
    if (listed == nullptr || !listed->is_array()) return no_answer("it lists no files");
    for (const json::value& item : listed->get_array()) {
        if (!item.is_object()) return no_answer("it lists something that is no file");
        const json::object& entry = item.get_object();
        if (text_at(entry, "Type") == "tree") continue;
        bool sized = false;
        const uint64_t bytes = number_at(entry, "Size", sized);
        GANTRY_TRY(add_file(text_at(entry, "Path"), bytes, sized, {Digest::Kind::kSha256, text_at(entry, "Sha256")}, files));
    }
    return Ok{};
}

Result<std::vector<HubModel>> read_modelscope_search(std::string_view body) {
    const auto object = object_of(body);
    if (!object) return object.error();
    const json::value* const data = object->if_contains("data");
    const json::value* const models = data != nullptr && data->is_object() ? data->get_object().if_contains("models") : nullptr;
    if (models == nullptr || !models->is_array()) return no_answer("it is no list of models");
    return found_in(models->get_array(), "modelscope:");
}

std::string message_of(std::string_view body) {
    const auto value = parse_json(body.substr(0, 64 * 1024));
    if (!value || !value->is_object()) return {};
    for (const char* key : {"error", "Message", "message"}) {
        if (std::string text = text_at(value->get_object(), key); !text.empty()) return models::shown(text, 200);
    }
    return {};
}

}  // namespace gantry::sources
