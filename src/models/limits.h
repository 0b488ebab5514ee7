#pragma once
// What a model's files may declare. All are far over what any published model has, and each bounds memory, time or a product of
// such numbers, so that later code need not. Internal to this folder.

#include <cstdint>

namespace gantry::models {

inline constexpr uint32_t kLayersMax = 4096;
inline constexpr uint64_t kHeadsMax = 64 * 1024;
inline constexpr uint64_t kExpertsMax = 64 * 1024;
inline constexpr uint64_t kWidthMax = 4ull << 20;       // embedding, feed-forward, a head's keys and values, states
inline constexpr uint64_t kPictureSideMax = 64 * 1024, kPicturePixelsMax = 1ull << 31;
inline constexpr uint64_t kKernelMax = 4096;            // of a convolution over tokens
inline constexpr uint64_t kContextMax = 1ull << 30;
inline constexpr uint64_t kVocabularyMax = 16ull << 20;
inline constexpr uint64_t kPartsMax = 1024;             // files of one model
inline constexpr uint64_t kModelBytesMax = 1ull << 50;  // of all of them

}  // namespace gantry::models
