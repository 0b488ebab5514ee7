// `gantry engine`: the embedded engine on its own, an OpenAI-compatible server of one model.

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "base/platform/memory.h"
#include "cli/client.h"
#include "cli/context.h"
#include "engine_server/engine_server.h"

namespace gantry::cli {

void add_engine(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("engine", "serve one model file over the OpenAI API, without a server");
    auto& options = context.own<engine_server::EngineServerOptions>();
    verb->add_option("--model,-m", options.model_path, "a GGUF file, or a Whisper model of whisper.cpp (ggml-*.bin)")->type_name("FILE")->required();
    verb->add_option("--host", options.host, "address to listen on")->capture_default_str();
    CLI::Option* port = verb->add_option("--port", options.port, "TCP port; 0 takes a free one and prints it");
    verb->add_option("--socket", options.socket, "listen on this Unix socket instead")->type_name("PATH")->excludes(port);
    verb->add_option("--ctx", options.context_tokens, "context in tokens; 0: the model's, cut to what fits")->type_name("N");
    verb->add_option("--max-sequences", options.max_sequences, "sequences at once; 0: by itself")->type_name("N");
    verb->add_option("--threads", options.threads, "threads that compute; 0: as many as cores")->type_name("N");
    verb->add_option("--kv-type", options.kv_type,
                     "KV cache cells: f16, or q8_0, which takes half the memory and needs flash attention")
        ->check(CLI::IsMember({"f16", "q8_0"}))
        ->capture_default_str();
    verb->add_option("--flash-attention", options.flash_attention, "auto, on, off; q8_0 needs it on")
        ->check(CLI::IsMember({"auto", "on", "off"}))
        ->capture_default_str();
    verb->add_option("--kernels", options.kernels, "products and attention by Gantry's kernels (on) or by ggml's (off)")
        ->check(CLI::IsMember({"on", "off"}))
        ->capture_default_str();
    options.packed_cache = default_cache_dir() + "/packed";
    verb->add_option("--packed-cache", options.packed_cache,
                     "where weights in the kernels' order are kept, so that the next start maps them instead of packing them again")
        ->type_name("DIR")
        ->capture_default_str();
    verb->add_option("--packed-cache-gib", options.packed_cache_gib, "GiB of them at most, the longest unused go first; 0: keep none")
        ->type_name("GIB")
        ->capture_default_str();
    verb->add_option("--sleep-after", options.sleep_after_s,
                     "give the KV cache back after so long without a request; 0: never")
        ->type_name("SECONDS")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    verb->add_option("--chat-template", options.chat_template_path, "a Jinja file, instead of the model's own template")
        ->type_name("FILE")
        ->check(CLI::ExistingFile);
    verb->add_option("--draft-model", options.draft_model_path,
                     "a smaller GGUF file of the same vocabulary, which guesses ahead; answers stay the same")
        ->type_name("FILE");
    verb->add_flag("!--no-speculation", options.speculate, "compute each token when its turn comes, without guesses");
    verb->add_option("--prefix-cache", options.prefix_cache_mib,
                     "MiB of KV cache kept of ended answers, for prompts that begin like them; 0: none; default: all that is free")
        ->type_name("MIB")
        ->check(CLI::NonNegativeNumber);
    verb->add_option("--pooling", options.pooling,
                     "make embeddings of texts this way, or generate text (none); default: what the model is for")
        ->check(CLI::IsMember({"mean", "cls", "last", "rank", "none"}))
        ->type_name("HOW");
    // The environment is the better place: a command line can be read by every user of the machine.
    verb->add_option("--api-key", options.api_key, "key that requests must carry; better set by the environment")
        ->envname("GANTRY_ENGINE_API_KEY")
        ->type_name("KEY");
    verb->add_option("--model-name", options.model_name, "name in answers; default: what the request says")->type_name("NAME");
    verb->add_option("--exit-file", options.exit_file, "where to write why it ended (for the worker)")->type_name("FILE");
    verb->callback([&context, &options] {
        context.action = [&options] {
            platform::give_back_large_blocks();
            return engine_server::run_engine_server(options);
        };
    });
}

}  // namespace gantry::cli
