#include "placement/estimate.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "placement/estimates/sum.h"

namespace gantry::placement {

Estimate estimate(const ModelMeta& meta, const Shape& shape) {
    switch (shape.backend) {
        case BackendKind::kEngine:
        case BackendKind::kLlamaServer: return estimate_llama_cpp(meta, shape);
        case BackendKind::kVllm:
        case BackendKind::kSglang: return estimate_vllm(meta, shape);
        case BackendKind::kMindie: return estimate_mindie(meta, shape);
        case BackendKind::kCustom: break;
    }
    Sum sum(shape.ranks, shape.vendor != "cpu");
    sum.unknown("what a command of your own takes: say which device, and how much, by hand");
    return sum.done(0);
}

void Sum::memory(const std::string& name, uint64_t bytes, const std::string& formula) {
    if (bytes > 0) {
        estimate_.terms.push_back({.name = name, .where = Where::kMemory, .bytes = bytes, .formula = formula});
        estimate_.memory_bytes = total_of({estimate_.memory_bytes, bytes});
    }
}

void Sum::each_device(const std::string& name, uint64_t bytes, const std::string& formula) {
    devices(name, std::vector<uint64_t>(ranks_of_.size(), bytes),
            ranks_of_.size() > 1 ? fmt::format("{} x ({})", ranks_of_.size(), formula) : formula);
}

void Sum::devices(const std::string& name, const std::vector<uint64_t>& by_rank, const std::string& formula) {
    GANTRY_ASSERT(by_rank.size() == ranks_of_.size(), "bytes of every rank");
    uint64_t bytes = 0;
    for (size_t rank = 0; rank < by_rank.size(); ++rank) {
        ranks_of_[rank] = total_of({ranks_of_[rank], by_rank[rank]});
        bytes = total_of({bytes, by_rank[rank]});
    }
    if (bytes > 0) {
        estimate_.terms.push_back({.name = name, .where = Where::kDevice, .bytes = bytes, .formula = formula});
    }
}

void Sum::unknown(const std::string& what) {
    if (std::find(estimate_.unknown.begin(), estimate_.unknown.end(), what) == estimate_.unknown.end()) {
        estimate_.unknown.push_back(what);
    }
}

Estimate Sum::done(uint64_t bytes_per_token) {
    estimate_.rank_bytes = ranks_of_;
    estimate_.bytes_per_token = bytes_per_token;
    return std::move(estimate_);
}

void note_unknown(const ModelMeta& meta, Sum& sum) {
    const std::pair<uint64_t, const char*> needed[] = {{meta.file_bytes, "size of the files"}, {meta.embedding_length, "width (embedding length)"},
                                                       {meta.vocabulary, "vocabulary"},        {meta.layers, "layers"}};
    for (const auto& [value, name] : needed) {
        if (value == 0) {
            sum.unknown(name);
        }
    }
}

std::vector<uint64_t> layer_weights(const ModelMeta& meta) {
    if (meta.weights.layers.size() == meta.layers && meta.layers > 0) {
        return meta.weights.layers;
    }
    const uint64_t elsewhere = meta.weights.embedding + meta.weights.output + meta.weights.other;
    const uint64_t all = meta.file_bytes - std::min(meta.file_bytes, elsewhere);
    return std::vector<uint64_t>(meta.layers, meta.layers > 0 ? (all + meta.layers - 1) / meta.layers : 0);
}

uint64_t product(std::initializer_list<uint64_t> factors) {
    uint64_t out = 1;
    for (const uint64_t factor : factors) {
        if (factor == 0) {
            return 0;
        }
        if (__builtin_mul_overflow(out, factor, &out) || out > kTooMuch) {
            out = kTooMuch;
        }
    }
    return out;
}

uint64_t total_of(std::initializer_list<uint64_t> parts) {
    uint64_t out = 0;
    for (const uint64_t part : parts) {
        out = std::min(kTooMuch, out + std::min(kTooMuch, part));
    }
    return out;
}

std::string grouped(uint64_t number) {
    std::string digits = std::to_string(number);
    for (size_t at = digits.size(); at > 3;) {
        digits.insert(at -= 3, 1, ',');
    }
    return digits;
}

std::string mib(uint64_t bytes) {
    const uint64_t tenths = (bytes * 10 + (1u << 19)) >> 20;
    return fmt::format("{}.{} MiB", grouped(tenths / 10), tenths % 10);
}

}  // namespace gantry::placement
