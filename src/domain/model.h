#pragma once
// A model: something that can be served, as concrete files on a worker. Plain values, no I/O.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/ids.h"

namespace gantry {

// Bytes of the weights by the place that they have in the model, as stored in the files.
struct WeightBytes {
    uint64_t embedding = 0;             // the table of token embeddings, and whatever else stands before the first layer
    uint64_t output = 0;                // output norm and head; where they are tied the head is the embedding, and this the norm's alone
    std::vector<uint64_t> layers{};     // of each repeated layer, experts included; its length is ModelMeta::layers
    uint64_t other = 0;                 // vision tower, projector, encoder and whatever belongs to no layer
    uint64_t total() const;

    bool operator==(const WeightBytes&) const = default;
};

// How a layer remembers the sequence so far.
enum class LayerMemory : char {
    kFull = 'f',        // keys and values of every token
    kWindow = 'w',      // keys and values of the last `sliding_window` tokens
    kLatent = 'l',      // a compressed latent of every token (MLA): kv_lora_rank + rope_head_length values
    kState = 's',       // a state of fixed size a sequence (Mamba, RWKV, linear attention): state_bytes
    kFullAndState = 'b',  // both: keys and values of every token, and a state (Falcon-H1)
    kNone = '-',        // nothing of its own: shares another layer's, or is no attention
};

// The tower for pictures of a GGUF model, as its own file's header says: what a picture takes while it is encoded goes by it. 0 or empty:
// it does not say.
struct VisionTower {
    std::string projector{};            // llama.cpp's word for how pictures become tokens: "mlp", "qwen2.5vl_merger"; empty: no tower
    uint32_t embedding_length = 0;
    uint32_t feed_forward_length = 0;
    uint32_t projection_length = 0;     // of a token that it gives to the model
    uint32_t image_side = 0;            // pixels
    uint32_t patch_side = 0;            // pixels
    uint32_t merged_side = 0;           // patches that become one token, of a side
    uint64_t image_pixels_max = 0;      // of the largest picture that is not made smaller
    bool gated = false;                 // its feed-forward has a gate beside

    bool operator==(const VisionTower&) const = default;
};

// Read from the files' headers by our own bounded readers (models/gguf_reader.h, models/safetensors_reader.h). 0 or empty: the
// files do not say.
struct ModelMeta {
    std::string format{};             // "gguf", "safetensors"
    std::string architecture{};       // GGUF: "llama", "qwen2", ...; config.json: "Qwen2ForCausalLM", ...
    std::string name{};               // the file's own
    std::string quantization{};       // GGUF: "Q4_1", "Q4_K_M", by the type most weights have; else "awq", "gptq", "fp8", "w8a8", ...
    std::string dtype{};              // of what is not quantized: "bfloat16", "float16", "float32"
    std::string modality{};           // "text", "vision" (text from text and pictures), "embedding", "rerank", "transcription", "speech", "image"
    uint64_t parameter_count = 0;
    uint64_t file_bytes = 0;        // of all the weights' files
    uint32_t layers = 0;
    uint32_t context_length = 0;    // tokens the model was trained for
    uint32_t embedding_length = 0;
    uint32_t feed_forward_length = 0;
    uint32_t heads = 0;
    uint32_t heads_kv = 0;          // the most of any layer
    uint32_t key_length = 0;        // per head; 0: embedding_length / heads
    uint32_t value_length = 0;
    uint32_t vocabulary = 0;
    uint32_t experts = 0;           // of a layer; 0: none
    uint32_t experts_used = 0;      // for each token
    uint32_t sliding_window = 0;    // tokens; 0: none
    uint32_t kv_lora_rank = 0;      // MLA: values of the latent
    uint32_t rope_head_length = 0;  // MLA: values of the shared rotary key
    uint64_t state_bytes = 0;       // of one layer of kState, a sequence, in 32-bit values as llama.cpp keeps them
    uint32_t vision_heads = 0;
    VisionTower tower{};
    std::string layer_memory{};       // a LayerMemory each layer; empty: kFull throughout
    std::vector<uint32_t> layer_heads_kv{};   // where layers differ; empty: heads_kv throughout
    WeightBytes weights{};
    std::map<std::string, uint64_t> bytes_of_type{};   // of the weights, by tensor type: {"Q4_K": ..., "F32": ...}
    bool has_chat_template = false;
    bool brings_code = false;       // names Python code of its own (auto_map), which an engine may need; Gantry never runs it
    std::string pooling{};            // "mean", "cls", "last": makes embeddings so; "rank": ranks; empty: generates text

    bool operator==(const ModelMeta&) const = default;
};

// One line for a person: "qwen2, 494M parameters, Q4_K_M, 24 layers, context 32,768, GGUF". What is unknown is left out.
std::string describe(const ModelMeta& meta);

struct Model {
    ModelId id;
    std::string name{};      // unique, what `gantry run NAME` takes: "smollm2-135m-instruct.q4_1"
    std::string source{};    // as domain/source.h writes it
    std::string path{};      // the absolute path on the worker; empty: the source is a hub's
    ModelMeta meta;
    int64_t version = 1;   // grows with every change; an edit names the one it saw
    WallTime created_at{};
    WallTime updated_at{};
};

}  // namespace gantry
