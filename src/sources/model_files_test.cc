#include "sources/model_files.h"

#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "sources/store_for_test.h"

namespace gantry::sources {
namespace {

using ::testing::HasSubstr;
using http::Exchange;
using http::Response;
using http::Task;

// A Hugging Face with one repository, Org/name, of one file.
class SmallHub {
public:
    explicit SmallHub(std::string bytes) : store_(std::move(bytes)) {
        const std::string commit(40, '5');
        const HubFile file = store_.file();
        const std::string tree = R"([{"type":"file","path":"x.gguf","oid":")" + commit + R"(","size":)" + std::to_string(file.bytes) +
                                 R"(,"lfs":{"oid":")" + file.digest.hex + R"(","size":1,"pointerSize":1}}])";
        store_.misbehave([this, commit, tree](Exchange& exchange, size_t) -> Task<bool> {
            const std::string path = exchange.request().path;
            Response response{.status = 404};
            if (path.starts_with("/api/models/Org/name/revision/")) response = http::json_response(200, R"({"sha":")" + commit + "\"}");
            if (path.starts_with("/api/models/Org/name/tree/")) response = http::json_response(200, tree);
            if (path.starts_with("/Org/name/resolve/")) {
                while (held_ && !exchange.client_gone()) co_await http::sleep_for(std::chrono::milliseconds(1));
                co_return false;
            }
            co_await exchange.respond(std::move(response));
            co_return true;
        });
    }
    Url url() const { return store_.url(""); }
    size_t downloads() const {
        const auto asked = store_.asked();
        return static_cast<size_t>(std::count_if(asked.begin(), asked.end(), [](const auto& a) { return a.range != "" && a.range != "bytes=0-0"; }));
    }
    const std::string& bytes() const { return store_.bytes(); }
    std::atomic<bool> held_{false};   // files are not sent

private:
    TestStore store_;
};

class Files : public SourcesTest {
protected:
    std::unique_ptr<ModelFiles> files(const SmallHub& hub) {
        settings_.hugging_face = hub.url();
        return ModelFiles::open({.folder = folder_ / "models", .settings = settings_}, system_clock()).value();
    }
    std::function<void()> told() {
        return [this] {
            ++changes_;
            changes_.notify_all();
        };
    }
    // Until its state is that.
    Progress until(const ModelFiles::Ticket& ticket, ModelFilesState state) {
        while (true) {
            const size_t seen = changes_;
            Progress progress = ticket.progress();
            const bool ended = progress.state == ModelFilesState::kReady || progress.state == ModelFilesState::kFailed;
            if (progress.state == state || ended) {
                EXPECT_EQ(progress.state, state) << describe(progress);
                return progress;
            }
            changes_.wait(seen);
        }
    }
    const Source source_ = parse_source("hf:Org/name").value();
    std::atomic<size_t> changes_{0};
};

TEST_F(Files, one_download_however_many_wait) {
    SmallHub hub(content(300'000));
    const auto own = files(hub);
    hub.held_ = true;
    const auto first = own->fetch(source_, told()), second = own->fetch(source_, told());
    until(*second, ModelFilesState::kDownloading);
    EXPECT_EQ(own->list().at(0).state, ModelFilesState::kDownloading);
    hub.held_ = false;
    const Progress here = until(*first, ModelFilesState::kReady);
    until(*second, ModelFilesState::kReady);
    EXPECT_EQ(text(here.path), hub.bytes());
    EXPECT_EQ(hub.downloads(), 1u);
    EXPECT_EQ(own->path_of(source_), here.path);
    // Again, from the disk.
    const auto third = own->fetch(source_, told());
    until(*third, ModelFilesState::kReady);
    EXPECT_EQ(hub.downloads(), 1u);
    EXPECT_EQ(own->remove(own->list().at(0).id).error().code, ErrorCode::kConflict) << "somebody uses it";
}

TEST_F(Files, the_last_to_go_ends_it) {
    SmallHub hub(content(300'000));
    const auto own = files(hub);
    hub.held_ = true;
    auto first = own->fetch(source_, told()), second = own->fetch(source_, told());
    until(*first, ModelFilesState::kDownloading);
    first.reset();
    hub.held_ = false;
    until(*second, ModelFilesState::kReady);
    second.reset();
    EXPECT_EQ(own->remove(own->list().at(0).id).value(), 300'000u);
    EXPECT_TRUE(own->list().empty());
    hub.held_ = true;
    first = own->fetch(source_, told());
    until(*first, ModelFilesState::kDownloading);
    first.reset();
    EXPECT_TRUE(own->list().empty()) << "nobody waits for it any more";
}

TEST_F(Files, what_cannot_be_fetched_says_why) {
    SmallHub hub(content(1000));
    const auto own = files(hub);
    const auto ticket = own->fetch(parse_source("hf:Org/other").value(), told());
    const Progress failed = until(*ticket, ModelFilesState::kFailed);
    EXPECT_EQ(failed.error->code, ErrorCode::kNotFound);
    EXPECT_THAT(describe(failed), HasSubstr("knows no Org/other"));
    own->pull(parse_source("hf:Org/name:Q8_0").value());
    const auto pulled = [&]() -> std::optional<ModelFileSet> {
        for (const auto& one : own->list()) {
            if (one.source == "hf:Org/name:Q8_0" && one.state == ModelFilesState::kFailed) return one;
        }
        return std::nullopt;
    };
    while (!pulled()) std::this_thread::yield();
    EXPECT_THAT(pulled()->reason, HasSubstr("the repository holds no Q8_0"));
    EXPECT_TRUE(own->remove(pulled()->id).ok());
    EXPECT_FALSE(pulled());
}

TEST_F(Files, how_far_it_is_in_words) {
    Progress progress;
    EXPECT_EQ(describe(progress), "waits for its download");
    progress.state = ModelFilesState::kDownloading;
    EXPECT_EQ(describe(progress), "asks the hub for its files");
    progress.bytes = 491'400'000;
    progress.bytes_done = 120'000'000;
    EXPECT_EQ(describe(progress), "downloading 120.0 MB of 491.4 MB");
    progress.bytes_per_second = 35'200'000;
    EXPECT_EQ(describe(progress), "downloading 120.0 MB of 491.4 MB, 35.2 MB/s, 10 s left");
    EXPECT_NEAR(progress.fraction(), 0.244, 0.001);
}

}  // namespace
}  // namespace gantry::sources
