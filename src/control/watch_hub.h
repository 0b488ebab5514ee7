#pragma once
// Hands changes of objects to those who watch. Each watcher has a bounded queue of its own: one that reads too slowly is told
// to start over ("resync") and costs the others nothing. Knows neither HTTP nor the store.
// Threads: publish() and add() from any; a Subscription's take() from the watcher's thread.

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/guarded.h"

namespace gantry::control {

// One object as JSON, in the two ways it may be shown. Shared between the queues of all watchers, never changed.
struct WatchedObject {
    std::string for_admins;
    std::string for_users;
    std::string owner{};                           // the only user, besides admins, who may see it; empty: all may
    bool operator==(const WatchedObject&) const = default;
};

struct WatchEvent {
    enum class Type { kAdded, kModified, kDeleted, kSynced };
    Type type = Type::kSynced;
    std::string kind;                              // "deployments"; empty for kSynced
    std::shared_ptr<const WatchedObject> object;   // shared: one text for all watchers; null for kSynced
};
const char* to_string(WatchEvent::Type type);

class Subscription {
public:
    static constexpr size_t kQueueMax = 1024;      // events waiting, besides the first list

    // `wake` is called, from any thread, after something arrived or the subscription ended; it must not block.
    Subscription(std::set<std::string> kinds, std::vector<WatchEvent> first, std::function<void()> wake);

    struct Batch {
        std::vector<WatchEvent> events;
        bool lost = false;                         // the queue ran over: the watcher must start over
        bool closed = false;                       // the server stops
    };
    Batch take();

private:
    friend class WatchHub;
    void offer(const std::vector<WatchEvent>& events);
    void close();

    const std::set<std::string> kinds_;
    const std::function<void()> wake_;
    std::mutex mutex_;                             // protects what is below
    std::vector<WatchEvent> waiting_;
    size_t free_of_charge_ = 0;                    // how many of waiting_ are the first list
    bool lost_ = false;
    bool closed_ = false;
};

class WatchHub {
public:
    static constexpr size_t kSubscribersMax = 512;

    // Null when too many watch. Shared: the hub offers to it while the watcher reads it; the watcher dropping its pointer ends it.
    std::shared_ptr<Subscription> add(std::set<std::string> kinds, std::vector<WatchEvent> first,
                                      std::function<void()> wake);
    void publish(const std::vector<WatchEvent>& events);
    void close();                                  // ends all; later ones are closed from the start
    size_t size() const;

private:
    struct State {
        std::vector<std::weak_ptr<Subscription>> subscriptions;
        bool closed = false;
    };
    Guarded<State> state_;
};

}  // namespace gantry::control
