// Lists: keyset pages that stay right while rows come and go, whatever the clock did.

#include <algorithm>

#include "store/store_for_test.h"

namespace gantry::store {
namespace {

class Paging : public ::testing::Test {
protected:
    std::vector<std::string> names(PageRequest request, const std::function<void(size_t page)>& between = {}) {
        std::vector<std::string> all;
        for (size_t page = 0; page < 100; ++page) {
            const auto got = store_->deployments(request);
            EXPECT_TRUE(got.ok()) << (got.ok() ? "" : got.error().message);
            if (!got.ok()) break;
            EXPECT_LE(got->items.size(), request.limit);
            for (const Deployment& d : got->items) all.push_back(d.name);
            request.cursor = got->next_cursor;
            if (request.cursor.empty()) return all;
            if (between) between(page);
        }
        ADD_FAILURE() << "the list has no end";
        return all;
    }
    void add(const std::string& name, int64_t ms) { EXPECT_OK(store_->create_deployment(a_deployment(name, ms))); }

    TempDir dir_;
    std::unique_ptr<SqliteStore> store_ = open_store(dir_.path());
};

using Names = std::vector<std::string>;

TEST_F(Paging, ByTimeThenIdInBothDirections) {
    EXPECT_EQ(names({}), Names());
    // The clock was set back ten years and on again; two rows have the same moment.
    add("c", 50);
    add("a", 10);
    add("old", -315'360'000'000);
    add("b2", 20);
    add("b1", 20);
    for (const uint32_t limit : {1u, 2u, 3u, 5u, 500u}) {
        EXPECT_EQ(names({.limit = limit}), (Names{"old", "a", "b1", "b2", "c"})) << limit;
        EXPECT_EQ(names({.limit = limit, .descending = true}), (Names{"c", "b2", "b1", "a", "old"})) << limit;
    }
    // The last page says that it is the last, also where it is exactly full.
    EXPECT_EQ(store_->deployments({.limit = 5})->next_cursor, "");
    EXPECT_NE(store_->deployments({.limit = 4})->next_cursor, "");
}

TEST_F(Paging, TimesBeforeTheEpochWork) {
    Deployment d = a_deployment("early");
    d.created_at = from_unix_ms(-5);
    EXPECT_OK(store_->create_deployment(d));
    add("late", 0);
    EXPECT_EQ(names({.limit = 1}), (Names{"early", "late"}));
}

TEST_F(Paging, StableUnderInsertsAndDeletes) {
    for (int i = 0; i < 10; ++i) add("n" + std::to_string(i), 10 * i);
    const Names seen = names({.limit = 3}, [&](size_t page) {
        const std::string mark = std::to_string(page);
        add("before" + mark, -1 - static_cast<int64_t>(page));                                  // behind the reader: not seen
        add("after" + mark, 1000 + static_cast<int64_t>(page));                                 // ahead of it: seen
        if (page == 0) EXPECT_OK(store_->delete_deployment(DeploymentId("dep_n2")));            // the cursor's own row
        if (page == 1) EXPECT_OK(store_->delete_deployment(DeploymentId("dep_n9")));            // one ahead
    });
    const Names old_ones = {"n0", "n1", "n2", "n3", "n4", "n5", "n6", "n7", "n8"};
    ASSERT_GT(seen.size(), old_ones.size());
    EXPECT_TRUE(std::equal(old_ones.begin(), old_ones.end(), seen.begin()));
    EXPECT_EQ(seen[9], "after0");
    EXPECT_EQ(std::count_if(seen.begin(), seen.end(), [](const auto& n) { return n.starts_with("before"); }), 0);
}

TEST_F(Paging, FilterIsALiteralTextWithoutCase) {
    for (const char* name : {"Llama-3", "llama_2", "qwen"}) add(name, 0);
    EXPECT_EQ(names({.limit = 1, .name_contains = "LLAMA"}), (Names{"Llama-3", "llama_2"}));
    EXPECT_EQ(names({.name_contains = "a_2"}), (Names{"llama_2"}));
    EXPECT_EQ(names({.name_contains = "%"}), Names());
}

TEST_F(Paging, InstancesByDeploymentNameOrOwner) {
    const Deployment a = a_deployment("alpha");
    const Deployment b = a_deployment("beta");
    EXPECT_OK(store_->create_deployment(a));
    EXPECT_OK(store_->create_deployment(b));
    for (int i = 0; i < 3; ++i) EXPECT_OK(store_->create_instance(an_instance("x" + std::to_string(i), a, i)));
    EXPECT_OK(store_->create_instance(an_instance("y", b)));
    EXPECT_EQ(store_->instances({.name_contains = "ALP"}, {})->items.size(), 3u);
    EXPECT_EQ(store_->instances({.name_contains = "ins_y"}, {})->items.size(), 1u);
    const auto first = store_->instances({.limit = 2}, a.id);
    const auto second = store_->instances({.cursor = first->next_cursor, .limit = 2}, a.id);
    EXPECT_EQ(second->items.size(), 1u);
    EXPECT_EQ(second->next_cursor, "");
}

TEST_F(Paging, BadCursorsAndLimitsAreRefused) {
    add("a", 0);
    // Hex of: "x:y", "1", ":a", "1:", a number too long.
    for (const std::string cursor :
         {"z", "0", "GG", "783a79", "31", "3a61", "313a", "39393939393939393939393939393939393939393a61"}) {
        const auto got = store_->deployments({.cursor = cursor});
        EXPECT_CODE(got, ErrorCode::kInvalidArgument);
        EXPECT_EQ(got.error().param, "cursor") << cursor;
    }
    EXPECT_CODE(store_->deployments({.cursor = std::string(1 << 20, '3')}), ErrorCode::kInvalidArgument);
    for (const uint32_t limit : {0u, 501u, 4'294'967'295u}) {
        const auto got = store_->deployments({.limit = limit});
        EXPECT_CODE(got, ErrorCode::kInvalidArgument);
        EXPECT_EQ(got.error().param, "limit");
    }
}

TEST_F(Paging, EveryListPages) {
    const User ann = a_user("ann", Role::kAdmin, 1);
    EXPECT_OK(store_->create_user(ann));
    EXPECT_OK(store_->create_user(a_user("bob", Role::kUser, 2)));
    EXPECT_OK(store_->create_worker(a_worker("w1", 1)));
    EXPECT_OK(store_->create_worker(a_worker("w2", 2)));
    EXPECT_OK(store_->create_model(a_model("m1", 1)));
    EXPECT_OK(store_->create_model(a_model("m2", 2)));
    EXPECT_OK(store_->create_key(a_key("k1", ann, 1)));
    EXPECT_OK(store_->create_key(a_key("k2", ann, 2)));
    EXPECT_OK(store_->add_usage({a_usage("1", 1), a_usage("2", 2)}));
    const auto two_pages = [](auto list) {
        const auto first = list(PageRequest{.limit = 1});
        ASSERT_TRUE(first.ok());
        ASSERT_EQ(first->items.size(), 1u);
        const auto second = list(PageRequest{.cursor = first->next_cursor, .limit = 1});
        ASSERT_TRUE(second.ok());
        ASSERT_EQ(second->items.size(), 1u);
        EXPECT_EQ(second->next_cursor, "");
    };
    two_pages([&](const PageRequest& p) { return store_->users(p); });
    two_pages([&](const PageRequest& p) { return store_->workers(p); });
    two_pages([&](const PageRequest& p) { return store_->models(p); });
    two_pages([&](const PageRequest& p) { return store_->keys(p, {}); });
    two_pages([&](const PageRequest& p) { return store_->keys(p, ann.id); });
    two_pages([&](const PageRequest& p) { return store_->usage(p, {}); });
    two_pages([&](const PageRequest& p) { return store_->usage(p, {.user = ann.id}); });
}

}  // namespace
}  // namespace gantry::store
