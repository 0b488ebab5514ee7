#include "control/secrets.h"

#include <sys/stat.h>

#include "control/control_test_support.h"

namespace gantry::control {
namespace {

class SecretsTest : public testing::Test {
protected:
    std::string file() const { return dir_.path() + "/secrets.key"; }
    std::string error_of(const Result<std::string>& result) const {
        EXPECT_FALSE(result.ok());
        return result ? "" : result.error().message;
    }
    TempDir dir_;
    Secrets secrets_{dir_.path()};
};

TEST_F(SecretsTest, what_is_sealed_opens_again_for_its_owner) {
    const std::string text = secrets_.seal("sk-secret", "prv_1").value();
    EXPECT_EQ(text.find("sk-secret"), std::string::npos);
    EXPECT_NE(text, secrets_.seal("sk-secret", "prv_1").value()) << "a nonce each";
    EXPECT_EQ(secrets_.open(text, "prv_1").value(), "sk-secret");
    EXPECT_EQ(Secrets(dir_.path()).open(text, "prv_1").value(), "sk-secret") << "after a restart";
    EXPECT_THAT(error_of(secrets_.open(text, "prv_2")), HasSubstr("another secrets.key"));
    struct stat about = {};
    ASSERT_EQ(::stat(file().c_str(), &about), 0);
    EXPECT_EQ(about.st_mode & 0777, 0600u);
    EXPECT_EQ(about.st_size, 32);
}

TEST_F(SecretsTest, tampered_text_is_refused) {
    const std::string text = secrets_.seal("sk-secret", "prv_1").value();
    for (size_t i = 0; i < text.size(); ++i) {
        std::string other = text;
        other[i] = other[i] == 'A' ? 'B' : 'A';
        EXPECT_FALSE(secrets_.open(other, "prv_1").ok()) << i;
    }
    for (const std::string& bad : {std::string(), std::string("x"), std::string("!!!!"), text.substr(4), text + "AAAA", std::string(40, 'A')}) {
        EXPECT_FALSE(secrets_.open(bad, "prv_1").ok()) << bad;
    }
}

TEST_F(SecretsTest, another_key_opens_nothing_and_is_named) {
    const std::string text = secrets_.seal("sk-secret", "prv_1").value();
    TempDir elsewhere;
    Secrets other(elsewhere.path());
    EXPECT_THAT(error_of(other.open(text, "prv_1")), HasSubstr("another secrets.key")) << "there is none yet";
    EXPECT_FALSE(std::filesystem::exists(elsewhere.path() + "/secrets.key")) << "reading makes none";
    ASSERT_TRUE(other.seal("x", "prv_1").ok());
    EXPECT_THAT(error_of(other.open(text, "prv_1")), HasSubstr("another secrets.key"));
}

TEST_F(SecretsTest, a_file_that_others_can_read_or_that_is_cut_is_refused) {
    const std::string text = secrets_.seal("sk-secret", "prv_1").value();
    ASSERT_EQ(::chmod(file().c_str(), 0640), 0);
    EXPECT_THAT(error_of(Secrets(dir_.path()).open(text, "prv_1")), HasSubstr("chmod 600"));
    EXPECT_THAT(error_of(Secrets(dir_.path()).seal("x", "prv_1")), HasSubstr("chmod 600"));
    ASSERT_EQ(::chmod(file().c_str(), 0600), 0);
    for (const size_t size : {0, 31, 33}) {
        std::filesystem::resize_file(file(), size);
        EXPECT_THAT(error_of(Secrets(dir_.path()).open(text, "prv_1")), HasSubstr("32 bytes")) << size;
        EXPECT_THAT(error_of(Secrets(dir_.path()).seal("x", "prv_1")), HasSubstr("32 bytes")) << size;
    }
    std::filesystem::remove(file());
    std::filesystem::create_symlink("/dev/zero", file());
    EXPECT_FALSE(Secrets(dir_.path()).seal("x", "prv_1").ok()) << "a link is not followed";
}

}  // namespace
}  // namespace gantry::control
