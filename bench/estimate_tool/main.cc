// One model's estimate as JSON: the sum, its terms with their formulas, what is unknown. Or ours beside published ones.

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/json.h"
#include "models/model_reader.h"
#include "placement/estimate.h"
#include "placement/published_for_test.h"

namespace {

int print_published(const std::string& path) {
    gantry::json::array out;
    for (const gantry::placement::Compared& c : gantry::placement::compare_published(path)) {
        out.push_back(gantry::json::object{{"model", c.model}, {"source", c.source}, {"what", c.what}, {"reason", c.reason},
                                           {"ours_mib", c.ours_mib}, {"published_mib", c.published_mib}});
    }
    std::cout << gantry::json::serialize(out) << '\n';
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace gantry;
    CLI::App app("Estimates the memory of a model.");
    std::string path, backend = "engine";
    placement::Shape shape;
    std::string published;
    app.add_option("MODEL", path, "a file or a folder");
    app.add_option("--published", published, "tests/data/placement/published.json: compare with all of it instead");
    app.add_option("--backend", backend);
    app.add_option("--vendor", shape.vendor);
    app.add_option("--ranks", shape.ranks);
    app.add_option("--layers-on-devices", shape.layers_on_devices);
    app.add_option("--ctx", shape.context_tokens);
    app.add_option("--sequences", shape.sequences);
    app.add_option("--kv-type", shape.options.kv_type);
    app.add_option("--arg", shape.options.extra_args, "a flag or its value, as passed on to the backend")->allow_extra_args(false);
    CLI11_PARSE(app, argc, argv);
    if (!published.empty()) {
        return print_published(published);
    }
    const std::optional<BackendKind> kind = backend_kind_from(backend);
    const Result<ModelMeta> meta = models::read_model(path);
    if (!kind || !meta) {
        std::cerr << (kind ? meta.error().message : "no backend called " + backend) << '\n';
        return 1;
    }
    shape.backend = *kind;
    const Estimate estimate = placement::estimate(*meta, shape);
    json::array terms;
    for (const Term& term : estimate.terms) {
        terms.push_back(json::object{{"name", term.name},
                                     {"where", term.where == Where::kDevice ? "device" : "memory"},
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
