#include "base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>

namespace gantry {
namespace {

Result<int> half(int n) {
    if (n % 2 != 0) {
        return invalid_argument("odd", "n");
    }
    return n / 2;
}

Status both(int a, int b) {
    GANTRY_TRY(half(a));
    GANTRY_TRY(half(b));
    return Ok{};
}

TEST(Result, HoldsAValueOrAnError) {
    EXPECT_EQ(*half(4), 2);
    const auto failed = half(3);
    ASSERT_FALSE(failed.ok());
    EXPECT_EQ(failed.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(failed.error().param, "n");
}

TEST(Result, TryReturnsTheFirstError) {
    EXPECT_TRUE(both(2, 4).ok());
    EXPECT_FALSE(both(2, 3).ok());
}

TEST(Result, MovesItsValueOut) {
    Result<std::unique_ptr<int>> made(std::make_unique<int>(7));
    const std::unique_ptr<int> taken = std::move(made).value();
    EXPECT_EQ(*taken, 7);
}

TEST(ResultDeathTest, ValueOfAnErrorStopsTheProcessWithItsText) {
    EXPECT_DEATH((void)half(1).value(), "odd");
}

TEST(Result, ErrnoHasItsCode) {
    EXPECT_EQ(error_from_errno("write", ENOSPC).code, ErrorCode::kStorageFull);
    EXPECT_EQ(error_from_errno("open", ENOENT).code, ErrorCode::kNotFound);
    EXPECT_EQ(error_from_errno("open", EMFILE).code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace gantry
