#pragma once
// Which files of a repository make the model that a source asks for. Pure. Threads: any.

#include <string>
#include <vector>

#include "domain/source.h"
#include "sources/hub_answers.h"

namespace gantry::sources {

struct ChosenFile {
    HubFile file{};
    std::string local{};      // below the model's folder here; safe_relative_path() of it
};

struct Chosen {
    std::vector<ChosenFile> files{};
    std::string serve{};      // the local name that an engine is given: a GGUF file, the first of its parts; empty: the folder
    uint64_t bytes() const;
};

// - A file that is named: it, or all parts of the split model that it is the first of. A folder that is named: as if it were the repository.
// - A quantization: the GGUF file, or the parts, of that name.
// - Neither: the only GGUF model there is, the Q4_K_M of several; or safetensors with their configuration and tokenizer.
// Never pickled weights (.bin, .pt), and never Python code. kNotFound, kInvalidArgument: what there is to choose from.
Result<Chosen> choose_files(const Listing& listing, const Source& source);

// "Q4_K_M" of "qwen2.5-0.5b-instruct-q4_k_m.gguf" or of its folder's name, in capitals; empty: none is in it.
std::string quantization_of(const std::string& path);

}  // namespace gantry::sources
