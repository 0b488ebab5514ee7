// Audio and images: what goes to whoever serves the model, what comes back, and what is refused.

#include "gateway/gateway_test_support.h"
#include "gateway/media_events.h"
#include "http/multipart.h"

namespace gantry::gateway {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kTranscribe[] = "/v1/audio/transcriptions";
constexpr char kFormType[] = "multipart/form-data; boundary=cut";
const std::string kSound("RIFF\0\xff\r\n--", 10);

std::string field(const std::string& name, const std::string& value) {
    return "--cut\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n" + value + "\r\n";
}
std::string file(const std::string& name, const std::string& file_name, const std::string& content = kSound) {
    return "--cut\r\nContent-Disposition: form-data; name=\"" + name + "\"; filename=\"" + file_name +
           "\"\r\nContent-Type: audio/wav\r\n\r\n" + content + "\r\n";
}
const std::string kEnd = "--cut--\r\n";

Task<void> answer_typed(Exchange& exchange, int status, std::string type, std::string body) {
    http::Response response{status, {{"content-type", type}}, body};
    co_await exchange.respond(std::move(response));
}
ScriptedEngine::Script says(std::string type, std::string body, int status = 200) {
    return [=](Exchange& exchange, ScriptedEngine&) { return answer_typed(exchange, status, type, body); };
}

class AudioImagesTest : public GatewayRig {
protected:
    http::SimpleResponse form(const std::string& path, const std::string& body, const std::string& type = kFormType) const {
        http::Client::Call out = call("POST", path, body);
        out.headers.set("content-type", type);
        return send(out);
    }
    http::SimpleResponse transcribe(const std::string& more = {}) const {
        return form(kTranscribe, field("model", "tiny") + more + file("file", "a.wav") + kEnd);
    }
    static std::vector<std::string> names(const std::vector<http::FormPart>& parts) {
        std::vector<std::string> out;
        for (const http::FormPart& part : parts) out.push_back(part.head.name);
        return out;
    }
};

TEST_F(AudioImagesTest, AFormIsWrittenAnewWithWhatMayGoOn) {
    ScriptedEngine& engine = serve(says("application/json", R"({"text":"hi","usage":{"type":"duration","seconds":11}})"), BackendKind::kVllm);
    const auto answer = form(kTranscribe, field("language", "en") + file("file", "../../e t c/p\xc3\xa9w.wav") + field("slot_id", "3") +
                                              field("model", "tiny") + file("other", "x") + kEnd);
    ASSERT_EQ(answer.status, 200) << answer.body;
    EXPECT_EQ(answer.body, R"({"text":"hi","usage":{"type":"duration","seconds":11}})") << "no model is added";
    const http::Request seen = engine.seen()[0];
    EXPECT_EQ(seen.path, kTranscribe);
    EXPECT_THAT(std::string(seen.headers.get("content-type")), Not(HasSubstr("boundary=cut"))) << "ours";
    EXPECT_EQ(seen.headers.count("authorization"), 0u);
    const auto parts = http::read_form(seen.headers.get("content-type"), seen.body);
    ASSERT_TRUE(parts.ok());
    EXPECT_THAT(names(*parts), ElementsAre("language", "file", "model"));
    EXPECT_EQ((*parts)[1].head.file_name, "p__w.wav");
    EXPECT_EQ((*parts)[1].head.content_type, "audio/wav");
    EXPECT_EQ((*parts)[1].content, kSound);
    EXPECT_EQ((*parts)[2].content, "tiny");
    const UsageRecord& record = records(1)[0];
    EXPECT_EQ(record.operation, "transcription");
    EXPECT_FALSE(record.estimated);
    EXPECT_EQ(record.audio_ms, 11'000u);
    EXPECT_EQ(record.images, 0u);
    EXPECT_THAT(metrics::text(), HasSubstr("gantry_gateway_audio_seconds_total{model=\"tiny\"} 11"));
}

TEST_F(AudioImagesTest, AProviderIsAskedForItsOwnName) {
    ScriptedEngine& engine = this->engine(says("application/json", R"({"text":"hi"})"));
    ModelEntry& entry = model("tiny", {target_of("prv_1", engine.endpoint(), "sk-theirs")});
    entry.outside = Outside{"theirs", "/out", "whisper-1"};
    start();
    ASSERT_EQ(transcribe().status, 200);
    const http::Request seen = engine.seen()[0];
    EXPECT_EQ(seen.path, "/out/audio/transcriptions");
    EXPECT_EQ(seen.headers.get("authorization"), "Bearer sk-theirs");
    const auto parts = http::read_form(seen.headers.get("content-type"), seen.body);
    ASSERT_TRUE(parts.ok());
    EXPECT_THAT(names(*parts), ElementsAre("file", "model"));
    EXPECT_EQ(parts->back().content, "whisper-1");
}

TEST_F(AudioImagesTest, TextsComeAsTheyAre) {
    serve(says("text/vtt; charset=utf-8", "WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n"), BackendKind::kVllm);
    const auto answer = transcribe(field("response_format", "vtt"));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers.get("content-type"), "text/vtt; charset=utf-8");
    EXPECT_THAT(answer.body, StartsWith("WEBVTT"));
}

TEST_F(AudioImagesTest, APageOfAProxyIsNoText) {
    serve(says("text/html", "<script>alert(1)</script>"), BackendKind::kVllm);
    EXPECT_EQ(error_code(transcribe(field("response_format", "text")), 502), "engine_crashed");
}

TEST_F(AudioImagesTest, WrongFormsAreRefusedBeforeAnyEngine) {
    ScriptedEngine& engine = serve(says("application/json", R"({"text":"hi"})"), BackendKind::kVllm);
    const std::string ok = field("model", "tiny") + file("file", "a.wav");
    const auto param = [&](const std::string& body) {
        const auto answer = form(kTranscribe, body);
        error_code(answer, 400);
        const json::value named = parse_json(answer.body)->at("error").at("param");
        return named.is_string() ? std::string(named.as_string()) : "-";
    };
    EXPECT_EQ(param(ok + field("model", "other") + kEnd), "model") << "twice";
    EXPECT_EQ(param(ok + file("file", "b.wav") + kEnd), "file");
    EXPECT_EQ(param(file("model", "tiny") + file("file", "a") + kEnd), "model") << "a file";
    EXPECT_EQ(param(field("model", "\xff") + file("file", "a") + kEnd), "model");
    EXPECT_EQ(param(file("file", "a") + kEnd), "model") << "missing";
    EXPECT_EQ(param(field("model", "tiny") + kEnd), "file");
    EXPECT_EQ(param(field("model", "tiny") + field("file", "abc") + kEnd), "file") << "text";
    EXPECT_EQ(param(field("model", "tiny") + file("file", "a", "") + kEnd), "file") << "empty";
    EXPECT_EQ(param(ok + field("response_format", "xml") + kEnd), "response_format");
    EXPECT_EQ(param(ok + field("temperature", "2") + kEnd), "temperature");
    EXPECT_EQ(param(ok + field("temperature", "nan") + kEnd), "temperature");
    EXPECT_EQ(param(ok + field("stream", "maybe") + kEnd), "stream");
    EXPECT_EQ(param(ok + field("timestamp_granularities[]", "word") + kEnd), "timestamp_granularities[]");
    EXPECT_EQ(param(ok + field("prompt", std::string(9'000, 'p')) + kEnd), "prompt");
    EXPECT_EQ(param(ok), "-") << "no end";
    error_code(form(kTranscribe, ok + std::string(70, 'x')), 400);
    std::string many;
    for (int i = 0; i < 10'000; ++i) many += field("a", "1");
    error_code(form(kTranscribe, many + ok + kEnd), 413);
    error_code(form(kTranscribe, R"({"model":"tiny"})", "application/json"), 415);
    error_code(form("/v1/audio/speech", ok + kEnd), 415);
    error_code(form("/v1/images/generations", ok + kEnd), 415);
    EXPECT_EQ(engine.seen().size(), 0u);
    EXPECT_EQ(transcribe().status, 200) << "and it lives";
}

TEST_F(AudioImagesTest, WhatAModelCannotDoIsSaid) {
    ScriptedEngine& engine = serve(says("application/json", "{}"));
    EXPECT_EQ(transcribe().status, 502) << "of an unknown model the engine is asked, whose answer is none";
    routes_.models["tiny"].modality = "text";
    tables_.set(routes_);
    EXPECT_EQ(error_code(transcribe(), 400), "unsupported_operation");
    for (const char* path : {"/v1/audio/speech", "/v1/images/generations"}) {
        EXPECT_EQ(error_code(send(call("POST", path, R"({"model":"tiny","input":"a","prompt":"a"})")), 400), "unsupported_operation") << path;
    }
    routes_.models["tiny"].modality = "transcription";
    tables_.set(routes_);
    EXPECT_EQ(error_code(chat(false), 400), "unsupported_operation");
    EXPECT_EQ(engine.seen().size(), 1u);
}

TEST_F(AudioImagesTest, AnEngineWithoutTheEndpointIsNoFault) {
    for (const int status : {404, 405, 501}) {
        model("m" + std::to_string(status), {target_of("ins_0", engine(says("application/json", R"({"detail":"Not Found"})", status)).endpoint())},
              BackendKind::kVllm);
    }
    start();
    for (const char* name : {"m404", "m405", "m501"}) {
        const auto answer = send(call("POST", "/v1/images/generations", R"({"model":")" + std::string(name) + R"(","prompt":"a"})"));
        EXPECT_EQ(error_code(answer, 400), "unsupported_operation");
    }
}

TEST_F(AudioImagesTest, SpeechComesByteForByteAsItIsMade) {
    const std::string sound("\xff\xfb\x90\0more", 8);
    ScriptedEngine& engine = serve(streams({sound.substr(0, 3), sound.substr(3)}, "audio/mpeg"), BackendKind::kVllm);
    const auto answer = send(call("POST", "/v1/audio/speech", R"({"model":"tiny","input":"hi","voice":"a","speed":2,"lora":"x"})"));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.headers.get("content-type"), "audio/mpeg");
    EXPECT_EQ(answer.body, sound);
    EXPECT_FALSE(parse_json(engine.seen()[0].body)->as_object().contains("lora"));
    EXPECT_EQ(records(1)[0].operation, "speech");
    for (const char* wrong : {R"({"model":"tiny"})", R"({"model":"tiny","input":""})", R"({"model":"tiny","input":"a","speed":9})",
                              R"({"model":"tiny","input":"a","response_format":"exe"})", R"({"model":"tiny","input":"a","voice":5})"}) {
        error_code(send(call("POST", "/v1/audio/speech", wrong)), 400);
    }
    const std::string long_input(4097, 'a');
    error_code(send(call("POST", "/v1/audio/speech", R"({"model":"tiny","input":")" + long_input + R"("})")), 400);
}

TEST_F(AudioImagesTest, SpeechIsAskedOfAnotherBeforeTheFirstByte) {
    ScriptedEngine& bad = engine([](Exchange& exchange, ScriptedEngine&) { return write_all(exchange, {}, "audio/mpeg", false); });
    ScriptedEngine& good = engine(streams({"sound"}, "audio/mpeg"));
    model("tiny", {target_of("ins_0", bad.endpoint()), target_of("ins_1", good.endpoint())}, BackendKind::kVllm);
    start();
    for (int i = 0; i < 4; ++i) {
        const auto answer = send(call("POST", "/v1/audio/speech", R"({"model":"tiny","input":"hi"})"));
        EXPECT_EQ(answer.status, 200);
        EXPECT_EQ(answer.body, "sound");
    }
    EXPECT_GE(bad.seen().size(), 1u);
}

TEST_F(AudioImagesTest, EventsComeWithTheirNamesAndEndWithoutDone) {
    const std::string delta = R"({"type":"transcript.text.delta","delta":"hi"})";
    const std::string last = R"({"type":"transcript.text.done","text":"hi","usage":{"type":"tokens","input_tokens":5,"output_tokens":2}})";
    serve(streams({data(delta), "event: transcript.text.done\n" + data(last)}), BackendKind::kVllm);
    const auto answer = transcribe(field("stream", "true"));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, data(delta) + "event: transcript.text.done\n" + data(last));
    const UsageRecord& record = records(1)[0];
    EXPECT_EQ(record.prompt_tokens, 5u);
    EXPECT_EQ(record.completion_tokens, 2u);
    EXPECT_FALSE(record.aborted);
}

TEST_F(AudioImagesTest, AStreamThatBreaksEndsInAnError) {
    const std::string delta = R"({"type":"transcript.text.delta","delta":"hi"})";
    serve(streams({data(delta)}), BackendKind::kVllm);
    const auto answer = transcribe(field("stream", "true"));
    EXPECT_EQ(answer.status, 200);
    EXPECT_THAT(answer.body, StartsWith(data(delta)));
    EXPECT_THAT(answer.body, HasSubstr("engine_crashed"));
    EXPECT_EQ(records(1)[0].status, 200);
}

TEST_F(AudioImagesTest, ImagesAreCounted) {
    ScriptedEngine& engine = serve(says("application/json", R"({"created":1,"data":[{"b64_json":"aGk="},{"b64_json":"aGk="}]})"), BackendKind::kCustom);
    const auto answer = send(call("POST", "/v1/images/generations", R"({"model":"tiny","prompt":"a cat","n":2,"size":"512x512","steps":9})"));
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_FALSE(parse_json(engine.seen()[0].body)->as_object().contains("steps"));
    EXPECT_EQ(records(1)[0].operation, "image");
    EXPECT_EQ(records(1)[0].images, 2u);
    EXPECT_EQ(records(1)[0].audio_ms, 0u);
    EXPECT_THAT(metrics::text(), HasSubstr("gantry_gateway_images_total{model=\"tiny\"} 2"));
    const std::string edit = field("model", "tiny") + field("prompt", "a dog") + file("image[]", "a.png") + file("image[]", "b.png") +
                             file("mask", "m.png") + kEnd;
    EXPECT_EQ(form("/v1/images/edits", edit).status, 200);
    EXPECT_EQ(form("/v1/images/variations", field("model", "tiny") + file("image", "a.png") + kEnd).status, 200);
    const std::string url = R"({"model":"tiny","prompt":"a","images":[{"image_url":")";
    EXPECT_EQ(send(call("POST", "/v1/images/edits", url + R"(data:image/png;base64,aGk="}]})")).status, 200);
    error_code(send(call("POST", "/v1/images/edits", url + R"(http://169.254.169.254/"}]})")), 400);
    error_code(send(call("POST", "/v1/images/generations", R"({"model":"tiny","prompt":"a","n":11})")), 400);
    error_code(send(call("POST", "/v1/images/generations", R"({"model":"tiny","prompt":""})")), 400);
}

TEST_F(AudioImagesTest, ATextsRecordingIsCountedByItsHead) {
    serve([](Exchange& exchange, ScriptedEngine&) -> Task<void> {
        http::Response response;
        response.headers.set("content-type", "text/plain");
        response.headers.set("x-audio-seconds", "2.5");
        response.body = "hi";
        co_await exchange.respond(std::move(response));
    }, BackendKind::kVllm);
    EXPECT_EQ(transcribe(field("response_format", "text")).status, 200);
    EXPECT_EQ(records(1)[0].audio_ms, 2'500u);
}

// What an engine says of an answer goes into sums that people pay by.
TEST(MediaUsageTest, WhatNobodyCanHaveHeardOrDrawnIsNotBelieved) {
    const auto usage = [](const std::string& text) { return media_usage(parse_json(text)->as_object()); };
    EXPECT_EQ(usage(R"({"usage":{"seconds":86400}})").audio_seconds, 86'400);
    EXPECT_EQ(usage(R"({"duration":1.5})").audio_seconds, 1.5);
    for (const char* hostile : {"86401", "1e308", "-1", "\"9\"", "null", "[]", "{}", "true"}) {
        EXPECT_EQ(usage(std::string(R"({"usage":{"seconds":)") + hostile + "}}").audio_seconds, 0) << hostile;
        EXPECT_EQ(usage(std::string(R"({"duration":)") + hostile + "}").audio_seconds, 0) << hostile;
        EXPECT_EQ(usage(std::string(R"({"data":)") + hostile + "}").images, 0u) << hostile;
    }
    std::string many = R"({"data":[0)";
    for (int i = 0; i < 100'000; ++i) many += ",0";
    EXPECT_EQ(usage(many + "]}").images, 10u) << "no request may ask for more";
    MediaEvents events("m");
    std::string out;
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(events.take({"", R"({"type":"image_generation.completed","b64_json":"aGk="})"}, out).ok());
    EXPECT_EQ(events.usage().images, 10u);
}

TEST(MediaEventsTest, WhatIsNoEventBreaksTheStream) {
    for (const char* nonsense : {"", "x", "[]", "{", R"({"error":{"message":"no"}})"}) {
        MediaEvents events("m");
        std::string out;
        EXPECT_FALSE(events.take({"", nonsense}, out).ok()) << nonsense;
        EXPECT_FALSE(events.whole());
    }
    MediaEvents events("public");
    std::string out;
    EXPECT_TRUE(events.take({"", R"({"model":"file.gguf","choices":[]})"}, out).ok());
    EXPECT_THAT(out, HasSubstr(R"("model":"public")"));
    EXPECT_TRUE(events.take({"", "[DONE]"}, out).ok());
    EXPECT_TRUE(events.whole());
    EXPECT_THAT(events.end(), EndsWith("data: [DONE]\n\n"));
    EXPECT_FALSE(MediaEvents("m").take({"a\nb", "{}"}, out).ok());
}

}  // namespace
}  // namespace gantry::gateway
