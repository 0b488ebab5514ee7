#pragma once
// What the files of this folder share: a sum with its terms, the types of KV caches, numbers as people read them.

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "placement/estimate.h"

namespace gantry::placement {

class Sum {
public:
    explicit Sum(uint32_t ranks, bool on_devices) : ranks_of_(on_devices ? ranks : 0) {}
    void memory(const std::string& name, uint64_t bytes, const std::string& formula);
    void each_device(const std::string& name, uint64_t bytes, const std::string& formula);   // as much on each rank
    void devices(const std::string& name, const std::vector<uint64_t>& by_rank, const std::string& formula);
    void unknown(const std::string& what);    // once, however often it is said
    Estimate done(uint64_t bytes_per_token);

private:
    std::vector<uint64_t> ranks_of_;
    Estimate estimate_;
};

// How an engine lays out what its sequences remember.
struct KvLayout {
    uint64_t cells = 0;          // tokens of all sequences together in layers that see all
    uint64_t window_cells = 0;   // in layers with a window
    uint64_t states = 0;         // sequences with a state of their own
    std::string type;            // as in BackendOptions::kv_type
};
// Bytes of each layer; empty where something is unknown, and then `unknown` says what.
struct LayerKv {
    std::vector<uint64_t> layers;
    std::vector<std::string> unknown;
    std::string formula;
    uint64_t total() const;
};
LayerKv layer_kv(const ModelMeta& meta, const KvLayout& layout);
uint64_t kv_token_bytes(const ModelMeta& meta, const std::string& type);   // of one token in all layers that see all; 0: unknown

struct CellType {
    uint32_t block_bytes = 0, block_values = 1;
    std::string bytes_text() const;   // "2 B", "34/32 B"
};
std::optional<CellType> cell_type(const std::string& name);

uint32_t key_length(const ModelMeta& meta);      // of a head; 0: unknown
uint32_t value_length(const ModelMeta& meta);
bool is_state_model(const ModelMeta& meta);      // some layer has a state
std::vector<uint64_t> layer_weights(const ModelMeta& meta);   // as many as layers: those of the file, or even parts of it

// Products and sums of numbers from files and flags, which may be anything: they end at kTooMuch, which fits nowhere and leaves room
// for what is added later.
inline constexpr uint64_t kTooMuch = 1ull << 56;
uint64_t product(std::initializer_list<uint64_t> factors);
uint64_t total_of(std::initializer_list<uint64_t> parts);

std::string grouped(uint64_t number);       // "131,072"
std::string mib(uint64_t bytes);            // "1,234.5 MiB"

void note_unknown(const ModelMeta& meta, Sum& sum);   // of what every family needs

// Of one picture, the largest that is not made smaller, or of as many as are encoded at once. Nothing: the tower's file does not say.
struct PictureBytes {
    uint64_t compute = 0;    // where the tower computes
    uint64_t memory = 0;     // beside that, in the machine's
    std::string formula;
};
std::optional<PictureBytes> picture_bytes(const VisionTower& tower, const BackendOptions& options);   // llama-server's

// A file each.
Estimate estimate_llama_cpp(const ModelMeta& meta, const Shape& shape);   // the embedded engine and llama-server
Estimate estimate_whisper(const ModelMeta& meta, const Shape& shape);     // the embedded engine's whisper.cpp
Estimate estimate_vllm(const ModelMeta& meta, const Shape& shape);        // and SGLang
Estimate estimate_mindie(const ModelMeta& meta, const Shape& shape);

}  // namespace gantry::placement
