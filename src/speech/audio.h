#pragma once
// Recordings: the bytes of a wav, flac or mp3 file as samples. The bytes are a stranger's. Threads: plain functions.

#include <atomic>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gantry::speech {

inline constexpr uint32_t kSampleRate = 16'000;          // of one channel, as Whisper hears
inline constexpr uint32_t kRecordingSecondsMax = 3'600;  // 220 MiB of samples

// kInvalidArgument for what is no recording that can be read or has no sound in it, kTooLarge over `seconds_max`, kCancelled.
Result<std::vector<float>> decode_recording(std::string_view bytes, const std::atomic<bool>& cancelled,
                                            uint32_t seconds_max = kRecordingSecondsMax);

}  // namespace gantry::speech
