// The readers of what hubs answer: what they take stays within the limits that later code relies on.

#include <cstdint>

#include "domain/source.h"
#include "sources/hub_answers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace gantry::sources;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::vector<HubFile> files;
    (void)read_hugging_face_tree(text, files);
    (void)read_modelscope_files(text, files);
    for (const HubFile& file : files) {
        if (!gantry::safe_relative_path(file.path) || file.bytes > kFileBytesMax || !valid(file.digest)) __builtin_trap();
    }
    if (const auto commit = read_hugging_face_commit(text); commit && commit->size() != 40) __builtin_trap();
    (void)read_hugging_face_search(text);
    (void)read_modelscope_search(text);
    if (message_of(text).size() > 200) __builtin_trap();
    if (next_page(text).size() > size) __builtin_trap();
    return 0;
}
