// One model's estimate as JSON: the sum, its terms with their formulas, what is unknown.

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/json.h"
#include "models/model_reader.h"
#include "placement/estimate.h"

int main(int argc, char** argv) {
    using namespace gantry;
    CLI::App app("Estimates the memory of a model.");
    std::string path, backend = "engine";
    placement::Shape shape;
    app.add_option("MODEL", path, "a file or a folder")->required();
    app.add_option("--backend", backend);
    app.add_option("--vendor", shape.vendor);
    app.add_option("--ranks", shape.ranks);
    app.add_option("--layers-on-devices", shape.layers_on_devices);
    app.add_option("--ctx", shape.context_tokens)->required();
    app.add_option("--sequences", shape.sequences);
    app.add_option("--kv-type", shape.options.kv_type);
    app.add_option("--arg", shape.options.extra_args, "a flag or its value, as passed on to the backend")->allow_extra_args(false);
    CLI11_PARSE(app, argc, argv);
    const std::optional<BackendKind> kind = backend_kind_from(backend);
    const Result<ModelMeta> meta = models::read_model(path);
    if (!kind || !meta) {
        std::cerr << (kind ? meta.error().message : "no backend called " + backend) << '\n';
        return 1;
    }
    shape.backend = *kind;
    const placement::Estimate estimate = placement::estimate(*meta, shape);
    json::array terms;
    for (const placement::Term& term : estimate.terms) {
        terms.push_back(json::object{{"name", term.name},
                                     {"where", term.where == placement::Where::kDevice ? "device" : "memory"},
                                     {"bytes", term.bytes},
                                     {"formula", term.formula}});
    }
    std::cout << json::serialize(json::object{{"architecture", meta->architecture},
                                              {"total", estimate.total()},
                                              {"memory", estimate.memory_bytes},
                                              {"ranks", json::value_from(estimate.rank_bytes)},
                                              {"bytes_per_token", estimate.bytes_per_token},
                                              {"unknown", json::value_from(estimate.unknown)},
                                              {"terms", terms}})
              << '\n';
    return 0;
}
