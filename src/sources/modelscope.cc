// modelscope.cn: /api/v1/models/{repo}/repo/files?Revision=, .../repo?Revision=&FilePath=. Every file's SHA-256 is in its listing, which
// is not paged: it ends after a fixed number. It has no commit of a whole repository; what a branch held is known by the digests.
#include "sources/hubs.h"

namespace gantry::sources {
namespace {

constexpr size_t kListingEndsAt = 3000;   // of modelscope-hub: REPO_FILES_TRUNCATION_LIMIT

class ModelScope final : public Hub {
public:
    explicit ModelScope(const Fetcher& fetcher) : fetcher_(fetcher), endpoint_(fetcher.settings().modelscope) {}

    Result<Listing> list(const Source& source) const override {
        Url url = at("/api/v1/models/" + source.repository + "/repo/files");
        url.query = "?Revision=" + url_encoded(revision_of(source)) + "&Recursive=True";
        const auto answer = ask(source, url);
        if (!answer) return answer.error();
        Listing listing;
        listing.commit = revision_of(source);
        GANTRY_TRY(read_modelscope_files(answer->body, listing.files));
        if (listing.files.size() >= kListingEndsAt) {
            return invalid_argument("the repository holds more files than ModelScope lists at once", "source", "too_many_files");
        }
        return listing;
    }

    Url file_url(const Source& source, const Listing&, const std::string& path) const override {
        Url url = at("/api/v1/models/" + source.repository + "/repo");
        url.query = "?Revision=" + url_encoded(revision_of(source)) + "&FilePath=" + url_encoded(path);
        return url;
    }

    Result<std::vector<HubModel>> search(const std::string& words, unsigned most) const override {
        Url url = at("/openapi/v1/models");
        url.query = fmt::format("?search={}&sort=downloads&page_number=1&page_size={}", url_encoded(words), most);
        const auto answer = ask({}, url);
        return answer ? read_modelscope_search(answer->body) : Result<std::vector<HubModel>>(answer.error());
    }

    const std::string& token() const override { return fetcher_.settings().modelscope_token; }

    Error explain(const Source& source, const Answer& answer) const override {
        const int status = answer.head.status;
        if (status == 401 || status == 403 || status == 404) {
            const std::string said = message_of(answer.body);
            const char* const next = token().empty() ? "check the name and revision, or set MODELSCOPE_API_TOKEN if it is private"
                                                     : "check the name, the revision and MODELSCOPE_API_TOKEN";
            return hub_says_no(status == 404 ? ErrorCode::kNotFound : ErrorCode::kPermissionDenied,
                               fmt::format("ModelScope has no {} at revision \"{}\" that may be read{}: {}", source.repository, revision_of(source),
                                           said.empty() ? "" : " (" + said + ")", next),
                               "repository_not_found");
        }
        return explain_common("ModelScope", endpoint_, answer);
    }

private:
    static std::string revision_of(const Source& source) { return source.revision.empty() ? "master" : source.revision; }
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

std::unique_ptr<Hub> make_modelscope(const Fetcher& fetcher) { return std::make_unique<ModelScope>(fetcher); }

}  // namespace gantry::sources
