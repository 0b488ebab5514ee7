#include "domain/evaluation.h"

#include <numeric>

namespace gantry {

const char* to_string(Where where) { return where == Where::kDevice ? "device" : "memory"; }

uint64_t Estimate::total() const { return std::accumulate(rank_bytes.begin(), rank_bytes.end(), memory_bytes); }

const char* to_string(Verdict verdict) {
    switch (verdict) {
        case Verdict::kFits: return "fits";
        case Verdict::kDoesNotFit: return "does_not_fit";
        case Verdict::kIncompatible: return "incompatible";
        case Verdict::kUnknown: return "unknown";
    }
    return "unknown";
}

}  // namespace gantry
