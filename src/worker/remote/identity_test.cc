#include "worker/remote/identity.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/worker_testing.h"

namespace gantry::worker {
namespace {

using testing::HasSubstr;

TEST(identity, is_kept_private_and_comes_back) {
    const TempFolder folder;
    EXPECT_FALSE(load_identity(folder.path())->has_value());
    const Identity made{WorkerId("wrk_1"), {"certificate\n", "key\n"}, "digest"};
    ASSERT_TRUE(save_identity(folder.path(), made).ok());
    EXPECT_EQ(std::filesystem::status(folder / "identity.json").permissions(), std::filesystem::perms(0600));
    const auto read = load_identity(folder.path());
    ASSERT_TRUE(read.ok() && read->has_value());
    EXPECT_EQ((*read)->worker_id.text, "wrk_1");
    EXPECT_EQ((*read)->own.certificate, "certificate\n");
    EXPECT_EQ((*read)->own.key, "key\n");
    EXPECT_EQ((*read)->authority_digest, "digest");
    write_text(folder / "identity.json", "{\"worker");
    const auto damaged = load_identity(folder.path());
    ASSERT_FALSE(damaged.ok()) << "a damaged one is not joined over";
    EXPECT_THAT(damaged.error().message, HasSubstr("damaged"));
}

TEST(identity, a_join_that_fails_keeps_its_key_for_the_next_try) {
    const TempFolder folder;
    const std::string token = "gtj_" + std::string(12, 'a') + "_" + std::string(32, 'b') + "_" + std::string(64, 'c');
    const JoinOptions options{"tls:127.0.0.1:1", token, "box"};   // nobody listens there
    const auto failed = join(folder.path(), options);
    ASSERT_FALSE(failed.ok());
    EXPECT_THAT(failed.error().message, HasSubstr("can't be joined"));
    const std::string key = (*load_identity(folder.path()))->own.key;
    EXPECT_FALSE(key.empty());
    EXPECT_FALSE(join(folder.path(), options).ok());
    EXPECT_EQ((*load_identity(folder.path()))->own.key, key) << "so that a lost answer is given again";
    EXPECT_FALSE(join(folder.path(), {"tls:127.0.0.1:1", "gtj_x", "box"}).ok());
}

TEST(identity, a_worker_of_another_server_is_not_made_over) {
    const TempFolder folder;
    ASSERT_TRUE(save_identity(folder.path(), {WorkerId("wrk_1"), {"c", "k"}, std::string(64, 'd')}).ok());
    const std::string token = "gtj_" + std::string(12, 'a') + "_" + std::string(32, 'b') + "_" + std::string(64, 'c');
    const auto refused = join(folder.path(), {"tls:127.0.0.1:1", token, "box"});
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().message, HasSubstr("another server"));
    EXPECT_EQ((*load_identity(folder.path()))->worker_id.text, "wrk_1");
}

TEST(identity, is_renewed_from_two_thirds_of_its_time_on) {
    const WallTime now = from_unix_ms(1'800'000'000'000);
    const auto authority = http::make_authority("a", now, std::chrono::hours(1000)).value();
    const std::string key = http::make_private_key().value();
    const std::string certificate = http::sign_request(authority, http::make_certificate_request(key, "x").value(), "wrk_1",
                                                       http::CertificateUse::kClient, now, std::chrono::hours(299)).value();
    const Identity own{WorkerId("wrk_1"), {certificate, key}, "d"};   // valid for 300 h, the hour before now included
    EXPECT_FALSE(wants_renewal(own, now));
    EXPECT_FALSE(wants_renewal(own, now + std::chrono::hours(198)));
    EXPECT_TRUE(wants_renewal(own, now + std::chrono::hours(199)));
    EXPECT_TRUE(link_tls(own).ok());
}

TEST(identity, a_machine_has_one_id) {
    EXPECT_EQ(machine_id(), machine_id());
    EXPECT_EQ(machine_id().size(), 32u);
}

}  // namespace
}  // namespace gantry::worker
