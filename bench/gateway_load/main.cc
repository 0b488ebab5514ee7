// Both ends of a load on a gateway: `gateway_load upstream` stands in for an engine, `gateway_load client` for its users.

#include <CLI/CLI.hpp>

#include "load.h"
#include "sockets.h"

int main(int argc, char** argv) {
    using namespace gantry::load;
    CLI::App app("Loads a gateway from both ends.");
    app.require_subcommand(1);

    UpstreamOptions upstream;
    CLI::App* serve = app.add_subcommand("upstream", "serve chat completions that cost nothing");
    serve->add_option("--port", upstream.port)->required();
    serve->add_option("--ttft-ms", upstream.ttft_ms, "until the first event, or the whole answer");
    serve->add_option("--rate", upstream.events_per_s, "events a second of each stream")->check(CLI::PositiveNumber);

    ClientOptions client;
    CLI::App* ask = app.add_subcommand("client", "ask for chat completions, and time them");
    ask->add_option("--port", client.port)->required();
    ask->add_option("-c,--connections", client.connections)->check(CLI::Range(1, 10'000));
    ask->add_option("--seconds", client.seconds, "go on for so long");
    ask->add_option("--chats", client.chats, "without --seconds: of each connection");
    ask->add_option("--ramp-ms", client.ramp_ms, "over which the connections begin");
    ask->add_flag("--stream", client.stream);
    ask->add_option("--events", client.events, "max_tokens");
    ask->add_option("--body-bytes", client.body_bytes);
    ask->add_option("--key", client.key);
    ask->add_option("--model", client.model);
    ask->add_flag("--progress", client.progress, "a line of JSON a second on the way");

    CLI11_PARSE(app, argc, argv);
    raise_handle_limit();
    return *serve ? run_upstream(upstream) : run_client(client);
}
