#include "gateway/api_key.h"

#include <gtest/gtest.h>

namespace gantry::gateway {
namespace {

TEST(ApiKey, DigestIsHexSha256) {
    // The test vector of FIPS 180-2.
    EXPECT_EQ(digest("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(digest(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(ApiKey, MadeKeySplitsIntoItsParts) {
    const NewKey key = make_key(system_random());
    ASSERT_EQ(key.text.size(), 4 + 12 + 1 + 32u);
    const KeyParts parts = split_key(key.text);
    ASSERT_TRUE(parts.valid());
    EXPECT_EQ(parts.public_id, key.public_id);
    EXPECT_EQ(digest(parts.secret), key.secret_digest);
    EXPECT_NE(make_key(system_random()).text, key.text);
}

TEST(ApiKey, MalformedTextsHaveNoParts) {
    const std::string good = make_key(system_random()).text;
    ASSERT_TRUE(split_key(good).valid());
    for (const std::string& text :
         {std::string(), std::string("gtk_"), good.substr(1), good + " ", " " + good, "GTK_" + good.substr(4),
          good.substr(0, good.size() - 1) + std::string(1, '\0'), good.substr(0, good.size() - 1) + "'",
          good.substr(0, good.size() - 1) + "A", good.substr(0, 16) + "x" + good.substr(17),
          std::string(1 << 20, 'a')}) {
        EXPECT_FALSE(split_key(text).valid()) << text.substr(0, 80);
    }
}

}  // namespace
}  // namespace gantry::gateway
