#include "models/whisper_shape.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gantry::models {
namespace {

using testing::HasSubstr;

json::object config(int width, int encoder, int decoder, int vocabulary, int mels) {
    return {{"model_type", "whisper"},
            {"d_model", width},
            {"encoder_layers", encoder},
            {"decoder_layers", decoder},
            {"decoder_attention_heads", width / 64},
            {"vocab_size", vocabulary},
            {"num_mel_bins", mels},
            {"max_source_positions", 1500},
            {"max_target_positions", 448}};
}

// Sizes of the files of ggerganov/whisper.cpp, as its listing has them (27 November 2026); the catalogue has their shapes.
TEST(WhisperShape, TakesWhatPublishedFilesTake) {
    struct Case {
        json::object config;
        const char* type;
        uint64_t published;
    };
    const json::object tiny = config(384, 4, 4, 51865, 80), base = config(512, 6, 6, 51865, 80), small = config(768, 12, 12, 51865, 80),
                       medium = config(1024, 24, 24, 51865, 80), large = config(1280, 32, 32, 51866, 128), turbo = config(1280, 32, 4, 51866, 128);
    for (const Case& c : {Case{tiny, "F16", 77'691'713}, Case{tiny, "Q8_0", 43'537'433}, Case{tiny, "Q5_1", 32'152'673},
                          Case{config(384, 4, 4, 51864, 80), "F16", 77'704'715}, Case{base, "F16", 147'951'465}, Case{base, "Q8_0", 81'768'585},
                          Case{base, "Q5_1", 59'707'625}, Case{small, "F16", 487'601'967}, Case{small, "Q8_0", 264'464'607},
                          Case{small, "Q5_1", 190'085'487}, Case{medium, "F16", 1'533'763'059}, Case{medium, "Q8_0", 823'369'779},
                          Case{medium, "Q5_0", 539'212'467}, Case{large, "F16", 3'095'033'483}, Case{large, "Q5_0", 1'081'140'203},
                          Case{turbo, "F16", 1'624'555'275}, Case{turbo, "Q8_0", 874'188'075}, Case{turbo, "Q5_0", 574'041'195}}) {
        const auto meta = whisper_of_config(c.config, c.type);
        ASSERT_TRUE(meta.ok()) << meta.error().message;
        EXPECT_NEAR(static_cast<double>(meta->file_bytes), static_cast<double>(c.published), 0.001 * static_cast<double>(c.published)) << c.type;
    }
}

TEST(WhisperShape, SaysWhatItDoesNotKnow) {
    const auto why = [](json::object object, const char* type) {
        const auto meta = whisper_of_config(object, type);
        return meta.ok() ? "read" : meta.error().message;
    };
    EXPECT_THAT(why(config(384, 4, 4, 51865, 80), "Q4_K_M"), HasSubstr("no Whisper file"));
    EXPECT_THAT(why(config(384, 4, 4, 51865, 80), ""), HasSubstr("no Whisper file"));
    EXPECT_THAT(why(config(100, 4, 4, 51865, 80), "Q8_0"), HasSubstr("no Whisper file")) << "rows that are no whole number of blocks";
    EXPECT_THAT(why({{"model_type", "qwen2"}}, "F16"), HasSubstr("no Whisper model"));
    EXPECT_THAT(why(config(0, 4, 4, 51865, 80), "F16"), HasSubstr("a number of its shape is missing"));
    EXPECT_THAT(why(config(384, 4, 1 << 20, 51865, 80), "F16"), HasSubstr("decoder_layers"));
    EXPECT_THAT(why(config(384, -4, 4, 51865, 80), "F16"), HasSubstr("encoder_layers"));
}

}  // namespace
}  // namespace gantry::models
