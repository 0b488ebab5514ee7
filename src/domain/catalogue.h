#pragma once
// An entry of the catalogue: a model that is known to be worth serving, the files that serve it, and what they say. Plain values; where
// they come from: sources/catalogue.h.

#include <string>
#include <vector>

#include "domain/deployment.h"
#include "domain/model.h"

namespace gantry {

// One set of files that serves the model.
struct CatalogueVariant {
    std::string format{};                   // "gguf", "safetensors", "ggml" (whisper.cpp)
    std::string quantization{};             // "Q4_K_M", "fp8"; of weights that aren't quantized their type, "bfloat16"
    std::vector<std::string> sources{};     // by hub: "hf:ORG/NAME:Q4_K_M", "hf:ORG/NAME/FILE", "modelscope:..."
    BackendKind backend = BackendKind::kEngine;   // what it is best served by
    BackendOptions options{};               // and how
    ModelMeta meta{};                       // what its files will say; of bytes that nobody published 0
};

struct CatalogueEntry {
    std::string id{};                       // "qwen3-8b"
    std::string name{};                     // "Qwen3 8B"
    std::string family{};                   // "Qwen3"
    std::string modality{};                 // as ModelMeta::modality
    std::string licence{};                  // as the hub has it: "apache-2.0", "llama3.1"
    bool gated = false;                     // its makers' own repository asks for consent first
    std::vector<std::string> abilities{};   // "reasoning", "tools", "code", "vision"
    uint32_t context_length = 0;
    uint64_t parameters = 0;
    std::vector<CatalogueVariant> variants{};     // at least one; the usual choice first
};

}  // namespace gantry
