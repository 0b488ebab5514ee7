#include "engine_server/grammar/grammar_compiler.h"

#include <string_rules.h>
#include <xgrammar/xgrammar.h>

#include <algorithm>
#include <exception>
#include <span>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/log.h"

namespace gantry::engine_server {
namespace {

// Models that indent get their way; a model that would write white space for ever does not.
constexpr int kWhitespaceMax = 16;

class GrammarConstraint final : public engine::TokenConstraint {
public:
    explicit GrammarConstraint(const xgrammar::CompiledGrammar& grammar)
        : matcher_(grammar), vocabulary_(grammar.GetTokenizerInfo().GetVocabSize()),
          mask_(static_cast<size_t>(xgrammar::GetBitmaskSize(vocabulary_))) {}

    std::span<const uint32_t> allowed() override {
        // Fails closed: what goes wrong allows nothing.
        std::fill(mask_.begin(), mask_.end(), 0);
        try {
            if (!broken_ && !matcher_.IsTerminated()) {
                fill();
            }
        } catch (const std::exception& failure) {
            give_up(failure);
        }
        return {reinterpret_cast<const uint32_t*>(mask_.data()), mask_.size()};
    }

    bool accept(engine::TokenId token) override {
        try {
            return !broken_ && !matcher_.IsTerminated() && token >= 0 && token < vocabulary_ && matcher_.AcceptToken(token);
        } catch (const std::exception& failure) {
            give_up(failure);
            return false;
        }
    }

private:
    void fill() {
        int64_t size = static_cast<int64_t>(mask_.size());
        DLTensor tensor{};
        tensor.data = mask_.data();
        tensor.device = {kDLCPU, 0};
        tensor.ndim = 1;
        tensor.dtype = xgrammar::GetBitmaskDLType();
        tensor.shape = &size;
        matcher_.FillNextTokenBitmask(&tensor);
    }
    void give_up(const std::exception& failure) {
        log::error("the grammar of an answer failed: {}", failure.what());
        std::fill(mask_.begin(), mask_.end(), 0);
        broken_ = true;
    }

    xgrammar::GrammarMatcher matcher_;
    int vocabulary_;
    std::vector<int32_t> mask_;
    bool broken_ = false;
};

class CompiledGrammar final : public Grammar {
public:
    explicit CompiledGrammar(xgrammar::CompiledGrammar grammar)
        : grammar_(std::move(grammar)), bytes_(grammar_.MemorySizeBytes()) {}
    std::shared_ptr<engine::TokenConstraint> start() const override {
        return std::make_shared<GrammarConstraint>(grammar_);
    }
    size_t bytes() const override { return bytes_; }

private:
    xgrammar::CompiledGrammar grammar_;
    size_t bytes_;
};

xgrammar::Grammar rules_of(const std::string& schema) {
    return xgrammar::Grammar::FromJSONSchema(schema, true, std::nullopt, std::nullopt, false, kWhitespaceMax);
}

xgrammar::Grammar rules_of_calls(const std::string& calls) {
    std::vector<xgrammar::Grammar> choices;
    for (const json::value& call : parse_json(calls)->as_array()) {
        // A JSON string is one of its grammars' as well.
        const std::string begin = "root ::= " + json::serialize(call.at(0));
        const xgrammar::Grammar arguments = rules_of(std::string(call.at(1).as_string()));
        choices.push_back(xgrammar::Grammar::Concat({xgrammar::Grammar::FromEBNF(begin), arguments}));
    }
    return xgrammar::Grammar::Union(choices);
}

xgrammar::TokenizerInfo read_vocabulary(const Tokenizer& tokenizer) {
    std::vector<std::string> pieces;
    std::vector<int32_t> ends;
    pieces.reserve(tokenizer.size());
    for (uint32_t i = 0; i < tokenizer.size(); ++i) {
        const auto token = static_cast<engine::TokenId>(i);
        // Control tokens have no bytes, and XGrammar never allows a token without.
        pieces.push_back(tokenizer.piece(token));
        if (tokenizer.is_end(token)) {
            ends.push_back(token);
        }
    }
    return xgrammar::TokenizerInfo(pieces, xgrammar::VocabType::RAW, std::nullopt, ends);
}

}  // namespace

std::string forced_calls(const std::vector<CallForm>& calls) {
    json::array all;
    for (const CallForm& call : calls) {
        all.push_back(json::array{call.begin, call.schema});
    }
    return json::serialize(all);
}

struct GrammarCompiler::Library {
    // Without XGrammar's own cache: ours keeps grammars, and the one for rules fails on repetitions over 128.
    explicit Library(const Tokenizer& tokenizer) : compiler(read_vocabulary(tokenizer), 1, false) {}
    xgrammar::GrammarCompiler compiler;
};

GrammarCompiler::GrammarCompiler(const Tokenizer& tokenizer, size_t cache_bytes)
    : tokenizer_(tokenizer), cache_bytes_(cache_bytes) {}
GrammarCompiler::~GrammarCompiler() = default;

std::shared_ptr<const Grammar> GrammarCompiler::find(const std::string& schema) {
    return cache_.with([&schema](Cache& cache) -> std::shared_ptr<const Grammar> {
        const auto found = cache.index.find(schema);
        if (found == cache.index.end()) {
            return nullptr;
        }
        cache.entries.splice(cache.entries.begin(), cache.entries, found->second);
        return found->second->grammar;
    });
}

void GrammarCompiler::keep(const std::string& schema, const std::shared_ptr<const Grammar>& grammar) {
    cache_.with([&](Cache& cache) {
        cache.entries.push_front({schema, grammar});
        cache.index.emplace(cache.entries.front().schema, cache.entries.begin());
        cache.bytes += schema.size() + grammar->bytes();
        while (cache.bytes > cache_bytes_ && cache.entries.size() > 1) {
            const Entry& oldest = cache.entries.back();
            cache.bytes -= oldest.schema.size() + oldest.grammar->bytes();
            cache.index.erase(oldest.schema);
            cache.entries.pop_back();
        }
    });
}

Result<std::shared_ptr<const Grammar>> GrammarCompiler::compile(const std::string& schema) {
    struct Count {
        std::atomic<int>& number;
        ~Count() { --number; }
    };
    const Count count{waiting_};
    if (++waiting_ > kGrammarsWaitingMax) {
        return Error{ErrorCode::kRateLimited, "too many schemas wait to be compiled: try again in a moment", {}, {}};
    }
    const std::lock_guard lock(compiling_);
    // Others may have asked for the same.
    if (std::shared_ptr<const Grammar> done = find(schema)) {
        return done;
    }
    return compile_now(schema);
}

Result<std::shared_ptr<const Grammar>> GrammarCompiler::compile_now(const std::string& schema) {
    try {
        if (!library_) {
            library_ = std::make_unique<Library>(tokenizer_);
        }
        const xgrammar::Grammar rules = schema.starts_with('[') ? rules_of_calls(schema) : rules_of(schema);
        auto grammar = std::make_shared<const CompiledGrammar>(
            library_->compiler.CompileGrammar(xgrammar::WithStrictStrings(rules)));
        keep(schema, grammar);
        return std::shared_ptr<const Grammar>(std::move(grammar));
    } catch (const std::exception& failure) {
        log::warn("XGrammar refuses a schema: {}", failure.what());
        return invalid_argument("the schema can't be made a grammar", "response_format", "unsupported_schema");
    }
}

}  // namespace gantry::engine_server
