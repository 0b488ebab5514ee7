#include "engine_server/engine_server.h"

#include <fmt/format.h>
#include <llama.h>
#include <signal.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/log.h"
#include "engine/draft_model.h"
#include "engine/llama_embedding_runner.h"
#include "engine/llama_runner.h"
#include "engine_server/deep_stacks.h"
#include "engine_server/exit_file.h"
#include "engine_server/frontend.h"
#include "speech/audio.h"

namespace gantry::engine_server {
namespace {

namespace asio = http::asio;

constexpr int kFailed = 1;
constexpr int kBadModel = 3;
constexpr std::chrono::seconds kDrainTime{5};

// "models/x.gguf" -> "x"
std::string name_of(const std::string& path) { return std::filesystem::path(path).stem().string(); }

Result<std::string> template_of(const llama_model* model, const std::string& path) {
    if (path.empty()) {
        const char* source = llama_model_chat_template(model, nullptr);
        return source == nullptr ? std::string() : std::string(source);
    }
    std::ifstream file(path, std::ios::binary);
    std::string source(kTemplateSourceMax + 1, '\0');
    file.read(source.data(), static_cast<std::streamsize>(source.size()));
    source.resize(static_cast<size_t>(file.gcount()));
    if (file.bad() || source.empty()) {
        return invalid_argument(fmt::format("the chat template {} can't be read, or is empty", path));
    }
    return source;
}

engine::FlashAttention flash_attention_of(const std::string& name) {
    if (name == "auto") {
        return engine::FlashAttention::kAuto;
    }
    return name == "on" ? engine::FlashAttention::kOn : engine::FlashAttention::kOff;
}

engine::EngineConfig engine_config(const EngineServerOptions& options,
                                   const engine::RunnerCapacity& capacity) {
    engine::EngineConfig config;
    config.sleep_after_s = options.sleep_after_s;
    config.speculate = options.speculate;
    if (options.prefix_cache_mib >= 0) {
        const uint64_t cells = (static_cast<uint64_t>(options.prefix_cache_mib) << 20) /
                               std::max<uint64_t>(capacity.cell_bytes, 1);
        config.cache_cells =
            static_cast<uint32_t>(std::min<uint64_t>(cells, capacity.context_tokens));
    }
    return config;
}

// nullopt: generate text.
std::optional<engine::Pooling> choose_pooling(const std::string& wanted, const llama_model* model) {
    if (wanted.empty()) {
        return engine::pooling_of(model);
    }
    return engine::pooling_named(wanted);
}

Error bad_draft_model(const std::string& path, const std::string& why) {
    return invalid_argument(fmt::format("the draft model {} can't be used: {}", path, why),
                            "draft_model");
}

// Null: none is wanted. Its cells are as many as the target's, for the same sequences.
Result<std::unique_ptr<engine::Drafter>> make_drafter(const std::string& path,
                                                      engine::LlamaOptions options,
                                                      const engine::LlamaRunner& target,
                                                      const Tokenizer& tokenizer) {
    if (path.empty()) {
        return std::unique_ptr<engine::Drafter>();
    }
    options.model_path = path;
    options.context_tokens = target.capacity().context_tokens;
    auto runner = engine::LlamaRunner::load(options);
    if (!runner) {
        return runner.error().code == ErrorCode::kInvalidArgument
                   ? bad_draft_model(path, runner.error().message)
                   : runner.error();
    }
    const std::unique_ptr<Tokenizer> own = make_llama_tokenizer((*runner)->vocab());
    for (uint32_t i = 0; i < std::min(own->size(), tokenizer.size()); ++i) {
        const auto token = static_cast<engine::TokenId>(i);
        if (own->piece(token, true) != tokenizer.piece(token, true)) {
            return bad_draft_model(path, fmt::format("its token {} stands for another text", i));
        }
    }
    Result<std::unique_ptr<engine::DraftModel>> model =
        engine::DraftModel::make(std::move(runner).value(), target);
    if (!model) {
        return bad_draft_model(path, model.error().message);
    }
    return std::unique_ptr<engine::Drafter>(std::move(model).value());
}

Result<std::unique_ptr<LoadedModel>> make_generator(engine::LlamaModelPtr file,
                                                    const engine::LlamaOptions& options,
                                                    const EngineServerOptions& wanted) {
    auto runner = engine::LlamaRunner::create(std::move(file), options);
    if (!runner) {
        return runner.error();
    }
    auto model = std::make_unique<LoadedModel>();
    model->tokenizer = make_llama_tokenizer((*runner)->vocab());
    Result<std::string> source = template_of((*runner)->model(), wanted.chat_template_path);
    if (!source) {
        return source.error();
    }
    Result<std::unique_ptr<ChatTemplate>> chat_template =
        ChatTemplate::create(*std::move(source), model->tokenizer->begin_text(),
                             model->tokenizer->end_text());
    if (!chat_template) {
        return invalid_argument("invalid model file: " + chat_template.error().message);
    }
    model->chat_template = *std::move(chat_template);
    for (const std::string& text : model->chat_template->kept_tokens()) {
        const auto tokens = model->tokenizer->tokenize(text, true);
        if (tokens && tokens->size() == 1) {
            model->kept_tokens.insert(tokens->front());
        }
    }
    model->capacity = (*runner)->capacity();
    model->description = (*runner)->description();
    Result<std::unique_ptr<engine::Drafter>> drafter =
        make_drafter(wanted.speculate ? wanted.draft_model_path : "", options, **runner,
                     *model->tokenizer);
    if (!drafter) {
        return drafter.error();
    }
    const engine::EngineConfig config = engine_config(wanted, model->capacity);
    model->engine =
        engine::Engine::start(*std::move(runner), config, std::move(drafter).value());
    return model;
}

Result<std::unique_ptr<LoadedModel>> make_embedder(engine::LlamaModelPtr file,
                                                   engine::Pooling pooling,
                                                   const engine::LlamaOptions& options) {
    auto runner = engine::LlamaEmbeddingRunner::create(std::move(file), pooling, options);
    if (!runner) {
        return runner.error();
    }
    const llama_model* loaded = (*runner)->model();
    auto model = std::make_unique<LoadedModel>();
    model->tokenizer = make_llama_tokenizer(llama_model_get_vocab(loaded));
    if (const char* source = llama_model_chat_template(loaded, "rerank")) {
        model->rerank_template = source;
    }
    model->embedding = (*runner)->capacity();
    model->description = engine::llama_description(loaded);
    model->embedder = engine::Embedder::start(*std::move(runner));
    return model;
}

Result<std::unique_ptr<LoadedModel>> make_transcriber(const EngineServerOptions& options,
                                                      Frontend& frontend) {
    auto transcriber = speech::Transcriber::load(
        options.model_path, options.threads,
        [&frontend](float progress) { frontend.set_progress(progress); });
    if (!transcriber) {
        return transcriber.error();
    }
    auto model = std::make_unique<LoadedModel>();
    model->transcriber = std::move(transcriber).value();
    model->description = model->transcriber->description();
    return model;
}

Result<std::unique_ptr<LoadedModel>> load_model(const EngineServerOptions& options,
                                                Frontend& frontend) {
    if (speech::is_whisper_file(options.model_path)) {
        return make_transcriber(options, frontend);
    }
    engine::LlamaOptions llama;
    llama.model_path = options.model_path;
    llama.context_tokens = options.context_tokens;
    llama.max_sequences = options.max_sequences;
    llama.threads = options.threads;
    llama.kv_type = options.kv_type == "q8_0" ? engine::KvType::kQ8 : engine::KvType::kF16;
    llama.flash_attention = flash_attention_of(options.flash_attention);
    engine::use_own_kernels(options.kernels != "off");
    engine::keep_packed_weights(options.packed_cache_gib > 0 ? options.packed_cache : "", uint64_t{options.packed_cache_gib} << 30);
    Result<engine::LlamaModelPtr> file = engine::load_llama_model(
        options.model_path, [&frontend](float progress) { frontend.set_progress(progress); });
    if (!file) {
        return file.error();
    }
    const std::optional<engine::Pooling> pooling = choose_pooling(options.pooling, file->get());
    return pooling ? make_embedder(std::move(file).value(), *pooling, llama)
                   : make_generator(std::move(file).value(), llama, options);
}

std::string capacity_text(const LoadedModel& model) {
    if (model.transcriber) {
        return fmt::format("recordings of up to {} s", speech::kRecordingSecondsMax);
    }
    if (model.embedder) {
        return fmt::format("embeddings of up to {} tokens, {} tokens a forward",
                           model.embedding.input_tokens, model.embedding.batch_rows);
    }
    return fmt::format("context of {} tokens for up to {} sequences", model.capacity.context_tokens,
                       model.capacity.running);
}

// The process: one io thread (this one), one that loads the model, the engine's own.
class EngineProcess {
public:
    explicit EngineProcess(const EngineServerOptions& options)
        : options_(options),
          signals_(io_, SIGTERM, SIGINT),
          frontend_(io_,
                    {options.model_name,
                     options.model_name.empty() ? name_of(options.model_path) : options.model_name,
                     options.api_key}) {}

    int run() {
        if (Status listening = listen(); !listening) {
            end(listening.error().message, kFailed);
            return status_;
        }
        wait_for_signal();
        {
            const DeepStacks deep;  // parsing a template recurses on it
            loader_ = std::thread([this] { load(); });
        }
        io_.run();
        loader_.join();
        write_exit_file(reason_, status_);
        return status_;
    }

private:
    Status listen() {
        if (!options_.socket.empty()) {
            return frontend_.server().listen_unix(options_.socket, "engine");
        }
        Result<uint16_t> port =
            frontend_.server().listen_tcp(options_.host, options_.port, "engine");
        if (!port) {
            return port.error();
        }
        std::printf("listening on %s:%u\n", options_.host.c_str(), static_cast<unsigned>(*port));
        std::fflush(stdout);
        return Ok{};
    }

    void load() {
        // Shared, because what is posted must be copyable.
        auto loaded =
            std::make_shared<Result<std::unique_ptr<LoadedModel>>>(load_model(options_, frontend_));
        asio::post(io_, [this, loaded] {
            loading_ = false;
            if (!*loaded) {
                const bool bad = loaded->error().code == ErrorCode::kInvalidArgument;
                end(loaded->error().message, bad ? kBadModel : kFailed);
                io_.stop();
                return;
            }
            log::info("ready: {}, {}", (**loaded)->description, capacity_text(***loaded));
            frontend_.set_model(std::move(**loaded));
        });
    }

    void end(const std::string& reason, int status) {
        reason_ = reason;
        status_ = status;
        if (status != 0) {
            log::error("{}", reason);
        }
        write_exit_file(reason, status);
    }

    void wait_for_signal() {
        signals_.async_wait([this](const boost::system::error_code& failure, int number) {
            if (!failure) {
                on_signal(number);
            }
        });
    }

    void on_signal(int number) {
        const std::string reason =
            fmt::format("stopped by {}", number == SIGINT ? "SIGINT" : "SIGTERM");
        if (stopping_ || loading_) {
            // A second signal, or a load that can't be interrupted: leave at once, without the
            // destructors' order.
            write_exit_file(reason, 0);
            std::fflush(nullptr);
            std::_Exit(0);
        }
        stopping_ = true;
        reason_ = reason;
        log::info("{}: finishing what runs, {} s at most", reason, kDrainTime.count());
        wait_for_signal();
        asio::co_spawn(io_, drain(frontend_, io_), asio::detached);
    }

    static http::Task<void> drain(Frontend& frontend, asio::io_context& io) {
        co_await frontend.stop(Deadline::after(kDrainTime));
        io.stop();
    }

    const EngineServerOptions& options_;
    asio::io_context io_{1};
    asio::signal_set signals_;
    Frontend frontend_;
    std::thread loader_;
    bool loading_ = true;
    bool stopping_ = false;
    std::string reason_;
    int status_ = 0;
};

}  // namespace

int run_engine_server(const EngineServerOptions& options) {
    start_exit_file(options.exit_file);
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGXFSZ, SIG_IGN);   // a file that may not grow is an error of whoever writes it
    EngineProcess process(options);
    return process.run();
}

}  // namespace gantry::engine_server
