// What is taken for a source reads back as itself, and its file stays inside the repository.

#include <cstdint>

#include "domain/source.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gantry;
    const auto source = parse_source(std::string(reinterpret_cast<const char*>(data), size));
    if (!source) return 0;
    const auto again = parse_source(source->text());
    if (!again || *again != *source) __builtin_trap();
    if (!source->file.empty() && (source->file.front() == '/' || ("/" + source->file + "/").find("/../") != std::string::npos)) __builtin_trap();
    return 0;
}
