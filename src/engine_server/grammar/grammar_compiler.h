#pragma once
// From a checked schema to what holds an answer to it: XGrammar's automaton over the model's vocabulary, and a matcher a sequence.
//
// Compiling takes milliseconds to a second and can't be interrupted, so that schemas are bounded before (json_schema_check.h) and
// compiled on a thread of their own. What was compiled is kept, the least recently used going first over kGrammarCacheBytes.

#include <atomic>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "engine/engine.h"
#include "engine_server/tokenizer.h"

namespace gantry::engine_server {

inline constexpr size_t kGrammarCacheBytes = 64 << 20;
inline constexpr int kGrammarsWaitingMax = 32;

// Immutable, shared by the cache and the sequences that use it. Threads: any.
class Grammar {
public:
    virtual ~Grammar() = default;
    // For one sequence. Only the end-of-generation tokens are left once the document is complete.
    virtual std::shared_ptr<engine::TokenConstraint> start() const = 0;
    virtual size_t bytes() const = 0;
};

// What compile() takes for an answer that is one of several calls: what the call begins with, then its arguments, held to a schema.
struct CallForm {
    std::string begin;
    std::string schema;   // CheckedSchema::text
};
std::string forced_calls(const std::vector<CallForm>& calls);

class GrammarCompiler {
public:
    // Cheap: the vocabulary is read at the first compile(). `tokenizer` must outlive this.
    explicit GrammarCompiler(const Tokenizer& tokenizer, size_t cache_bytes = kGrammarCacheBytes);
    ~GrammarCompiler();

    // Null: not compiled yet, or dropped. Threads: any; does not wait for a compile().
    std::shared_ptr<const Grammar> find(const std::string& schema);
    // A place in the queue before compile(), until it is destroyed; must not outlive this.
    class Place {
    public:
        explicit Place(std::atomic<int>& taken) : taken_(&taken) {}
        Place(Place&& other) noexcept : taken_(std::exchange(other.taken_, nullptr)) {}
        Place& operator=(Place&&) = delete;
        ~Place() {
            if (taken_ != nullptr) {
                --*taken_;
            }
        }

    private:
        std::atomic<int>* taken_;
    };
    // To be held from before a thread is waited for until compile() is done. kRateLimited when all are taken. Threads: any.
    Result<Place> take_place();
    // `schema`: CheckedSchema::text, or forced_calls() of several. Blocks; one at a time, the others wait. kInvalidArgument for what
    // XGrammar refuses or what takes too long. Threads: any with a deep stack.
    Result<std::shared_ptr<const Grammar>> compile(const std::string& schema);

private:
    struct Library;   // XGrammar's compiler, with the vocabulary
    struct Entry {
        std::string schema;
        std::shared_ptr<const Grammar> grammar;
    };
    struct Cache {
        std::list<Entry> entries;   // the most recently used first
        std::unordered_map<std::string_view, std::list<Entry>::iterator> index;   // keys live in the entries
        size_t bytes = 0;
    };
    Result<std::shared_ptr<const Grammar>> compile_now(const std::string& schema);
    void keep(const std::string& schema, const std::shared_ptr<const Grammar>& grammar);

    const Tokenizer& tokenizer_;
    const size_t cache_bytes_;
    std::atomic<int> places_taken_{0};
    std::mutex compiling_;
    std::unique_ptr<Library> library_;   // under compiling_
    Guarded<Cache> cache_;
};

}  // namespace gantry::engine_server
