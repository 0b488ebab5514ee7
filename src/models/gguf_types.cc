#include "models/gguf_types.h"

#include <array>

namespace gantry::models {

const TensorType& tensor_type(uint32_t id) {
    static constexpr TensorType kNone{};
    static constexpr std::array<TensorType, kTensorTypeCount> kTypes = {{
        {"F32", 1, 4},          // 0
        {"F16", 1, 2},
        {"Q4_0", 32, 18},
        {"Q4_1", 32, 20},
        {},                     // 4, 5: Q4_2 and Q4_3, removed
        {},
        {"Q5_0", 32, 22},
        {"Q5_1", 32, 24},
        {"Q8_0", 32, 34},
        {"Q8_1", 32, 36},
        {"Q2_K", 256, 84},      // 10
        {"Q3_K", 256, 110},
        {"Q4_K", 256, 144},
        {"Q5_K", 256, 176},
        {"Q6_K", 256, 210},
        {"Q8_K", 256, 292},
        {"IQ2_XXS", 256, 66},
        {"IQ2_XS", 256, 74},
        {"IQ3_XXS", 256, 98},
        {"IQ1_S", 256, 50},
        {"IQ4_NL", 32, 18},     // 20
        {"IQ3_S", 256, 110},
        {"IQ2_S", 256, 82},
        {"IQ4_XS", 256, 136},
        {"I8", 1, 1},
        {"I16", 1, 2},
        {"I32", 1, 4},
        {"I64", 1, 8},
        {"F64", 1, 8},
        {"IQ1_M", 256, 56},
        {"BF16", 1, 2},         // 30
        {},                     // 31 to 33: repacked Q4_0, removed from files
        {},
        {},
        {"TQ1_0", 256, 54},
        {"TQ2_0", 256, 66},
        {},                     // 36 to 38: repacked IQ4_NL, removed from files
        {},
        {},
        {"MXFP4", 32, 17},
        {"NVFP4", 64, 36},      // 40
        {"Q1_0", 128, 18},
        {"Q2_0", 64, 18},
    }};
    return id < kTypes.size() ? kTypes[id] : kNone;
}

std::string quantization_name(const std::string& dominant, uint64_t file_type) {
    const char* mixture = nullptr;  // llama_ftype, where the mixture has a name of its own
    switch (file_type) {
        case 11: mixture = "Q3_K_S"; break;
        case 12: mixture = "Q3_K_M"; break;
        case 13: mixture = "Q3_K_L"; break;
        case 14: mixture = "Q4_K_S"; break;
        case 15: mixture = "Q4_K_M"; break;
        case 16: mixture = "Q5_K_S"; break;
        case 17: mixture = "Q5_K_M"; break;
        case 21: mixture = "Q2_K_S"; break;
        default: return dominant;
    }
    return std::string(mixture).starts_with(dominant + "_") ? mixture : dominant;
}

}  // namespace gantry::models
