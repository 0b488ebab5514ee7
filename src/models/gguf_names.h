#pragma once
// What the names of GGUF files say: which are parts of one model, its quantization, and which is the tower for pictures (mmproj,
// multimodal projector: a file of its own, by llama.cpp's custom) that belongs to a model. Pure. Threads: any.

#include <optional>
#include <string>
#include <vector>

namespace gantry::models {

bool is_gguf(const std::string& path);
bool is_tower(const std::string& path);        // "mmproj" in the file's own name
bool is_statistics(const std::string& path);   // "…imatrix.gguf": what a quantizer measured, and no model

// "Q4_K_M" of "qwen2.5-0.5b-instruct-q4_k_m.gguf" or of its folder's name, in capitals; empty: none is in it.
std::string quantization_of(const std::string& path);

// What is left of a file's own name, in capitals, without its ending, its part's number, its quantization and "mmproj":
// "GEMMA-3-4B-IT" of gemma-3-4b-it-Q4_K_M.gguf and of mmproj-gemma-3-4b-it-f16.gguf alike.
std::string core_of(const std::string& path);

// "NAME-00002-of-00005.gguf": the part's number, how many there are, and NAME with its folder.
struct GgufPart {
    unsigned number = 0, count = 0;
    std::string stem;
};
std::optional<GgufPart> part_of(const std::string& path);

// Which of `paths`, in one folder or repository, is the tower of the model in the file `model`, one of them. Those in the model's own
// folder come first, then those at the top. Where the files are of one model, whatever their quantizations, any tower is its own; where of
// several, one whose name is in the model's. Of several that fit, the one in 16 bits. nullopt: none.
std::optional<std::string> tower_of(const std::string& model, const std::vector<std::string>& paths);

// A model of llama.cpp's on this machine.
struct GgufFiles {
    std::string model;   // the file, the first of its parts
    std::string tower;   // the same of the tower; empty: it has none
};
// `path` is a GGUF file, with its tower perhaps beside it, or a folder with one model and perhaps its tower. Looks at names alone.
// nullopt: it is neither.
std::optional<GgufFiles> gguf_files_at(const std::string& path);

}  // namespace gantry::models
