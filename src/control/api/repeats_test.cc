// Requests that are sent again with their Idempotency-Key.
#include "control/control_test_support.h"

namespace gantry::control {
namespace {

class RepeatsTest : public testing::Test {
protected:
    Reply ask(const std::string& method, const std::string& target, const std::string& body, const std::string& key,
              const std::string& who = "admin") {
        return plane_->ask(method, target, body, who, {{"Idempotency-Key", key}});
    }
    size_t count(const std::string& list) { return plane_->get(list).body.at("items").as_array().size(); }
    TempDir dir_;
    std::unique_ptr<Plane> plane_ = std::make_unique<Plane>(dir_.path());
};

constexpr char kDeployment[] = R"({"name":"m","source":"file:/x.gguf","replicas":0})";

TEST_F(RepeatsTest, get_the_answer_of_the_first_time) {
    const Reply first = ask("POST", "/api/v1/deployments", kDeployment, "one");
    ASSERT_EQ(first.status, 201) << first.text;
    EXPECT_EQ(first.headers.count("idempotent-replayed"), 0u);
    const Reply again = ask("POST", "/api/v1/deployments", kDeployment, "one");
    EXPECT_EQ(again.status, 201);
    EXPECT_EQ(again.text, first.text);
    EXPECT_EQ(again.headers.get("idempotent-replayed"), "true");
    EXPECT_EQ(ask("POST", "/api/v1/deployments", kDeployment, "two").status, 409) << "another key is another request";

    const Reply edited = ask("PATCH", "/api/v1/deployments/m", R"({"replicas":1})", "three");
    EXPECT_EQ(edited.number("/version"), 2);
    EXPECT_EQ(ask("PATCH", "/api/v1/deployments/m", R"({"replicas":1})", "three").number("/version"), 2);
    EXPECT_EQ(ask("DELETE", "/api/v1/deployments/m", "", "four").status, 204);
    EXPECT_EQ(ask("DELETE", "/api/v1/deployments/m", "", "four").status, 204);
    EXPECT_EQ(ask("DELETE", "/api/v1/deployments/m", "", "five").status, 404);
    EXPECT_EQ(count("/api/v1/audit?kind=deployment"), 3u) << "what was only told again is no change";
}

TEST_F(RepeatsTest, give_a_secret_again_also_after_a_restart) {
    const Reply first = ask("POST", "/api/v1/keys", R"({"name":"k"})", "one");
    ASSERT_EQ(first.status, 201) << first.text;
    const std::string secret = first.string("/secret");
    EXPECT_EQ(ask("POST", "/api/v1/keys", R"({"name":"k"})", "one").string("/secret"), secret);
    plane_.reset();
    plane_ = std::make_unique<Plane>(dir_.path());
    EXPECT_EQ(ask("POST", "/api/v1/keys", R"({"name":"k"})", "one").string("/secret"), secret);
    EXPECT_EQ(count("/api/v1/keys"), 1u);
    for (const auto& file : std::filesystem::recursive_directory_iterator(dir_.path())) {
        if (!file.is_regular_file()) continue;
        std::ifstream in(file.path(), std::ios::binary);
        const std::string content((std::istreambuf_iterator<char>(in)), {});
        EXPECT_EQ(content.find(secret.substr(17)), std::string::npos) << file.path() << " holds the key itself";
    }
}

TEST_F(RepeatsTest, a_key_stands_for_one_request_of_its_owner) {
    plane_->clock().advance(1s);   // the admin socket is the oldest admin
    const std::string ann = plane_->key_of("ann", "admin");
    ASSERT_EQ(ask("POST", "/api/v1/deployments", kDeployment, "one").status, 201);
    const Reply other = ask("POST", "/api/v1/deployments", R"({"name":"n","source":"file:/x.gguf"})", "one");
    EXPECT_EQ(other.status, 422) << other.text;
    EXPECT_EQ(other.code(), "idempotency_key_reused");
    EXPECT_EQ(ask("POST", "/api/v1/models", kDeployment, "one").status, 422) << "another path";
    EXPECT_EQ(ask("POST", "/api/v1/deployments", R"({"name":"n","source":"file:/x.gguf","replicas":0})", "one", ann).status, 201)
        << "ann's key is her own";
}

TEST_F(RepeatsTest, what_failed_is_tried_anew) {
    EXPECT_EQ(ask("PATCH", "/api/v1/deployments/m", R"({"replicas":1})", "one").status, 404);
    ASSERT_EQ(plane_->ask("POST", "/api/v1/deployments", kDeployment).status, 201);
    EXPECT_EQ(ask("PATCH", "/api/v1/deployments/m", R"({"replicas":1})", "one").status, 200);
}

TEST_F(RepeatsTest, are_forgotten_after_a_day) {
    ASSERT_EQ(ask("POST", "/api/v1/keys", R"({"name":"k"})", "one").status, 201);
    plane_->clock().advance(25h);
    const Reply later = ask("POST", "/api/v1/keys", R"({"name":"k"})", "one");
    EXPECT_EQ(later.status, 201);
    EXPECT_EQ(later.headers.count("idempotent-replayed"), 0u);
    EXPECT_EQ(count("/api/v1/keys"), 2u);
}

TEST_F(RepeatsTest, bad_keys_are_refused_before_anything_is_done) {
    for (const std::string& bad : {std::string(256, 'k'), std::string("caf\xc3\xa9")}) {
        const Reply refused = ask("POST", "/api/v1/keys", R"({"name":"k"})", bad);
        EXPECT_EQ(refused.status, 400) << refused.text;
    }
    EXPECT_EQ(plane_->ask("POST", "/api/v1/keys", R"({"name":"k"})", "admin", {{"Idempotency-Key", "a"}, {"Idempotency-Key", "b"}}).status, 400);
    EXPECT_EQ(count("/api/v1/keys"), 0u);
    EXPECT_EQ(ask("POST", "/api/v1/keys", R"({"name":"k"})", std::string(255, 'k')).status, 201);
}

TEST_F(RepeatsTest, at_once_are_done_once) {
    std::vector<Reply> replies(8);
    std::vector<std::thread> clients;
    for (Reply& reply : replies) {
        clients.emplace_back([&] { reply = ask("POST", "/api/v1/keys", R"({"name":"k"})", "one"); });
    }
    for (std::thread& client : clients) client.join();
    std::set<std::string> secrets;
    for (const Reply& reply : replies) {
        EXPECT_TRUE(reply.status == 201 || reply.status == 409) << reply.text;
        if (reply.status == 201) secrets.insert(reply.string("/secret"));
        if (reply.status == 409) {
            EXPECT_EQ(reply.code(), "idempotency_key_in_use");
        }
    }
    EXPECT_EQ(secrets.size(), 1u);
    EXPECT_EQ(count("/api/v1/keys"), 1u);
}

TEST_F(RepeatsTest, another_secrets_key_opens_no_answer_and_does_nothing_twice) {
    ASSERT_EQ(ask("POST", "/api/v1/keys", R"({"name":"k"})", "one").status, 201);
    plane_.reset();
    std::filesystem::remove(dir_.path() + "/secrets.key");
    plane_ = std::make_unique<Plane>(dir_.path());
    const Reply lost = ask("POST", "/api/v1/keys", R"({"name":"k"})", "one");
    EXPECT_EQ(lost.status, 409);
    EXPECT_EQ(lost.code(), "idempotency_answer_lost");
    EXPECT_EQ(count("/api/v1/keys"), 1u);
}

}  // namespace
}  // namespace gantry::control
