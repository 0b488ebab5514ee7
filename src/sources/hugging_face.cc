// huggingface.co and its mirrors: /api/models/{repo}/revision/{rev}, .../tree/{rev} (paged by Link), /{repo}/resolve/{rev}/{file}.
// A token that is missing and a repository that does not exist answer alike (401 RepoNotFound), so that nobody learns of private ones.
#include "sources/hubs.h"

namespace gantry::sources {
namespace {

constexpr int kPagesMax = 200;

class HuggingFace final : public Hub {
public:
    explicit HuggingFace(const Fetcher& fetcher) : fetcher_(fetcher), endpoint_(fetcher.settings().hugging_face) {}

    Result<Listing> list(const Source& source) const override {
        Listing listing;
        const std::string revision = source.revision.empty() ? "main" : source.revision;
        const auto info = ask(source, at("/api/models/" + source.repository + "/revision/" + url_encoded(revision)));
        if (!info) return info.error();
        auto commit = read_hugging_face_commit(info->body);
        if (!commit) return commit.error();
        listing.commit = *std::move(commit);
        Url page = at("/api/models/" + source.repository + "/tree/" + listing.commit);
        page.query = "?recursive=true&expand=false";
        for (int pages = 0; pages < kPagesMax; ++pages) {
            const auto answer = ask(source, page);
            if (!answer) return answer.error();
            GANTRY_TRY(read_hugging_face_tree(answer->body, listing.files));
            const std::string next = next_page(answer->head.field("link"));
            if (next.empty()) return listing;
            // A mirror may hand on the links of whom it mirrors: only the query of it says something.
            const auto link = parse_redirect(page, next);
            if (!link) return unavailable("Hugging Face's next page is at no URL: it " + link.error().message);
            if (link->query == page.query) break;
            page.query = link->query;
        }
        return invalid_argument("the repository's listing has no end", "source", "too_many_files");
    }

    Url file_url(const Source& source, const Listing& listing, const std::string& path) const override {
        return at("/" + source.repository + "/resolve/" + listing.commit + "/" + url_encoded(path, true));
    }

    Result<std::vector<HubModel>> search(const std::string& words, unsigned most) const override {
        Url url = at("/api/models");
        url.query = fmt::format("?search={}&sort=downloads&direction=-1&limit={}", url_encoded(words), most);
        const auto answer = ask({}, url);
        return answer ? read_hugging_face_search(answer->body) : Result<std::vector<HubModel>>(answer.error());
    }

    const std::string& token() const override { return fetcher_.settings().hugging_face_token; }

    Error explain(const Source& source, const Answer& answer) const override {
        const std::string& code = answer.head.field("x-error-code");
        const std::string& repo = source.repository;
        const std::string page = endpoint_.origin() + "/" + repo;
        const int status = answer.head.status;
        const bool has_token = !token().empty();
        if (code == "GatedRepo" && (status == 401 || status == 403)) {
            return hub_says_no(ErrorCode::kPermissionDenied,
                               has_token ? fmt::format("{} is gated, and the account of HF_TOKEN has no access: ask for it at {}", repo, page)
                                         : fmt::format("{} is gated: ask for access at {}, then start this process with HF_TOKEN set", repo, page),
                               "gated");
        }
        if (code == "RevisionNotFound") {
            return hub_says_no(ErrorCode::kNotFound, fmt::format("{} has no revision \"{}\"; {}/tree/main lists its branches", repo,
                                                                 source.revision, page),
                               "revision_not_found");
        }
        if (code == "EntryNotFound") {
            return hub_says_no(ErrorCode::kNotFound, fmt::format("{} has no such file; {}/tree/main lists those that it has", repo, page),
                               "file_not_found");
        }
        if (status == 401 || status == 403 || status == 404) {
            return hub_says_no(status == 404 ? ErrorCode::kNotFound : ErrorCode::kPermissionDenied,
                               has_token
                                   ? fmt::format("Hugging Face knows no {} that the account of HF_TOKEN may read, or takes the token for none: "
                                                 "check the name and the token", repo)
                                   : fmt::format("Hugging Face knows no {} that everybody may read: check the name, or set HF_TOKEN if it "
                                                 "is private", repo),
                               "repository_not_found");
        }
        return explain_common("Hugging Face", endpoint_, answer);
    }

private:
    Url at(const std::string& path) const {
        Url url = endpoint_;
        url.path += path;
        return url;
    }
    Result<Answer> ask(const Source& source, const Url& url) const {
        Fetcher::Wanted wanted;
        wanted.url = url;
        wanted.token = token();
        auto answer = fetcher_.get(wanted);
        if (answer && answer->head.status != 200) return explain(source, *answer);
        return answer;
    }

    const Fetcher& fetcher_;
    const Url endpoint_;
};

}  // namespace

std::unique_ptr<Hub> make_hugging_face(const Fetcher& fetcher) { return std::make_unique<HuggingFace>(fetcher); }

}  // namespace gantry::sources
