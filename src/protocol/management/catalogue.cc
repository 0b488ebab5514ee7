// The catalogue, each entry with whether it fits these workers.
#include "protocol/management/objects.h"

namespace gantry::protocol::management {

json::object to_json(const CatalogueVariant& v, const Decision& decision) {
    return {{"format", v.format},
            {"quantization", v.quantization},
            {"sources", json::value_from(v.sources)},
            {"backend", gantry::to_string(v.backend)},
            {"options", to_json(v.options)},
            {"bytes", v.meta.file_bytes},
            {"needs_bytes", decision.estimate.unknown.empty() ? decision.estimate.total() : 0},
            {"verdict", gantry::to_string(decision.verdict)},
            {"reason", decision.reason},
            {"placement", decision.placement ? json::value(to_json(*decision.placement)) : json::value()}};
}

json::object to_json(const Catalogued& c) {
    json::array variants;
    for (size_t i = 0; i < c.entry.variants.size(); ++i) variants.push_back(to_json(c.entry.variants[i], c.decisions.at(i)));
    const Decision& best = c.decisions.at(c.recommended);
    return {{"id", c.entry.id},
            {"name", c.entry.name},
            {"family", c.entry.family},
            {"modality", c.entry.modality},
            {"licence", c.entry.licence},
            {"gated", c.entry.gated},
            {"abilities", json::value_from(c.entry.abilities)},
            {"context_length", c.entry.context_length},
            {"parameters", c.entry.parameters},
            {"verdict", gantry::to_string(best.verdict)},
            {"reason", best.reason},
            {"recommended", c.recommended},
            {"variants", std::move(variants)}};
}

}  // namespace gantry::protocol::management
