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
    std::string serve{};      // the local name that an engine is given: a file of GGUF, the first of its parts, or of whisper.cpp; empty: the folder
    std::string tower{};      // of the GGUF file that is its tower for pictures, the last of `files`; empty: it has none
    uint64_t bytes() const;
};

// - A file that is named: it, or all parts of the split model that it is the first of. A folder that is named: as if it were the repository.
// - A quantization: the GGUF file, or the parts, of that name; where there is no GGUF file, the ggml-*.bin of whisper.cpp.
// - Neither: the only GGUF model there is, the Q4_K_M of several; or safetensors with their configuration and tokenizer; or the only
//   ggml-*.bin of whisper.cpp.
// With a GGUF model goes the tower for pictures that belongs to it (models/gguf_names.h), which is never taken for the model.
// Never pickled weights (other .bin, .pt), and never Python code. A ggml-*.bin is one of whisper.cpp by its name alone: whoever fetches it
// asks check_whisper(). kNotFound, kInvalidArgument: what there is to choose from.
Result<Chosen> choose_files(const Listing& listing, const Source& source);

// One quantization of several that a repository has of one model.
struct Offer {
    std::string source{};         // that names it: "hf:ORG/NAME:Q8_0"
    std::string quantization{};
    uint64_t bytes = 0;           // of the model's files, without a tower's
};
// What there is to choose from where `source` leaves it open. Empty: it names a file or a quantization, or the repository has only one, or
// several models, or files whose names don't say which is which.
std::vector<Offer> offers(const Listing& listing, const Source& source);

// Whether `chosen` is such a quantization, or file, of what `open` leaves open.
bool is_offer_of(const Source& open, const Source& chosen);

}  // namespace gantry::sources
