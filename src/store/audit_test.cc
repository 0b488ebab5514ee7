// The audit log: every field comes back, and lists are filtered by who, what and when.

#include "store/store_for_test.h"

namespace gantry::store {
namespace {

AuditEvent an_event(const std::string& name, int64_t ms) {
    AuditEvent e;
    e.id = AuditEventId("aud_" + name);
    e.at = at(ms);
    e.object_kind = "deployment";
    e.object_name = name;
    return e;
}

TEST(Audit, KeepsEveryField) {
    TempDir dir;
    auto store = open_store(dir.path());
    AuditEvent e = an_event("a", 1);
    e.actor_id = UserId("usr_ann");
    e.actor_name = "ann";
    e.via = "key_1";
    e.peer = "::1";
    e.method = "PATCH";
    e.action = "update";
    e.object_id = "dep_a";
    e.changes = {{"replicas", "1", "2"}, {"options.env.\"TOKEN\"", std::nullopt, std::nullopt}, {"name", std::nullopt, ""}};
    e.request_id = "r";
    e.status = 200;
    EXPECT_OK(store->add_audit(e));
    EXPECT_CODE(store->add_audit(e), ErrorCode::kConflict);
    const auto got = store->audit({}, {});
    ASSERT_TRUE(got.ok());
    ASSERT_EQ(got->items.size(), 1u);
    const AuditEvent& back = got->items[0];
    EXPECT_EQ(back.id, e.id);
    EXPECT_EQ(back.at, e.at);
    EXPECT_EQ(back.actor_id, e.actor_id);
    EXPECT_EQ(back.actor_name, "ann");
    EXPECT_EQ(back.via, "key_1");
    EXPECT_EQ(back.peer, "::1");
    EXPECT_EQ(back.method, "PATCH");
    EXPECT_EQ(back.action, "update");
    EXPECT_EQ(back.object_kind, "deployment");
    EXPECT_EQ(back.object_id, "dep_a");
    EXPECT_EQ(back.object_name, "a");
    EXPECT_EQ(back.changes, e.changes);
    EXPECT_EQ(back.request_id, "r");
    EXPECT_EQ(back.status, 200);
}

TEST(Audit, IsFilteredAndPaged) {
    TempDir dir;
    auto store = open_store(dir.path());
    for (int i = 0; i < 10; ++i) {
        AuditEvent e = an_event(std::to_string(i), i);
        e.object_id = "dep_" + std::to_string(i % 5);
        e.actor_id = UserId(i % 2 == 0 ? "usr_ann" : "usr_bob");
        e.actor_name = i % 2 == 0 ? "ann" : "bob";
        if (i == 9) e.object_kind = "user";
        EXPECT_OK(store->add_audit(e));
    }
    const auto names = [&](PageRequest page, const AuditFilter& filter) {
        std::string out;
        page.limit = 2;
        do {
            const auto rows = store->audit(page, filter);
            EXPECT_TRUE(rows.ok());
            if (!rows) break;
            for (const AuditEvent& e : rows->items) out += e.object_name;
            page.cursor = rows->next_cursor;
        } while (!page.cursor.empty());
        return out;
    };
    EXPECT_EQ(names({}, {}), "0123456789");
    EXPECT_EQ(names({.descending = true}, {}), "9876543210");
    EXPECT_EQ(names({}, {.actor = "ann"}), "02468");
    EXPECT_EQ(names({}, {.actor = "usr_bob"}), "13579");
    EXPECT_EQ(names({}, {.actor = "usr_bob", .kind = "user"}), "9");
    EXPECT_EQ(names({}, {.object = "dep_3"}), "38");
    EXPECT_EQ(names({}, {.object = "3"}), "3");
    EXPECT_EQ(names({.from = at(3), .to = at(6)}, {}), "345");
    EXPECT_EQ(names({.descending = true, .from = at(3), .to = at(6)}, {}), "543");
    EXPECT_EQ(names({}, {.actor = "x' OR 1=1 --"}), "");
}

std::vector<std::string> pages(Store& store, PageRequest page) {
    std::vector<std::string> names;
    do {
        const auto rows = store.audit(page, {});
        EXPECT_OK(rows);
        if (!rows) break;
        for (const AuditEvent& e : rows->items) names.push_back(e.object_name);
        page.cursor = rows->next_cursor;
    } while (!page.cursor.empty());
    return names;
}

// Their ids say nothing of when they came: here those fall as the events come.
TEST(Audit, OfOneMillisecondIsListedAsItWasWritten) {
    TempDir dir;
    auto store = open_store(dir.path());
    std::vector<std::string> written;
    for (int i = 0; i < 40; ++i) {
        AuditEvent e = an_event("e" + std::to_string(i), i < 2 ? 0 : i < 37 ? 1 : 2);
        e.id = AuditEventId("aud_" + std::to_string(99 - i));
        EXPECT_OK(store->add_audit(e));
        written.push_back(e.object_name);
    }
    const std::vector<std::string> newest_first(written.rbegin(), written.rend());
    const std::vector<std::string> of_the_moment(written.begin() + 2, written.begin() + 37);
    for (const uint32_t limit : {1u, 3u, 40u}) {
        EXPECT_EQ(pages(*store, {.limit = limit}), written) << limit;
        EXPECT_EQ(pages(*store, {.limit = limit, .descending = true}), newest_first) << limit;
        EXPECT_EQ(pages(*store, {.limit = limit, .from = at(1), .to = at(2)}), of_the_moment) << limit;
    }
    // One written while somebody reads is not shown twice, and moves no other.
    PageRequest page{.limit = 30, .descending = true};
    const auto first = store->audit(page, {});
    ASSERT_TRUE(first.ok());
    AuditEvent late = an_event("late", 1);
    late.id = AuditEventId("aud_00");
    EXPECT_OK(store->add_audit(late));
    page.cursor = first->next_cursor;
    EXPECT_EQ(pages(*store, page), std::vector<std::string>(newest_first.begin() + 30, newest_first.end()));
}

}  // namespace
}  // namespace gantry::store
