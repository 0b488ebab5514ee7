#pragma once
// The catalogue: models that are known to be worth serving, where their files are, and what they take, without asking anybody. What is
// built in is catalogue.json; a site's own file (docs/models.md: its form) replaces entries by id, adds some, or stands alone.
//
// What an entry takes is computed, not written down: `config` holds the fields of the model's config.json that make its shape, and a
// GGUF file's bytes follow from those and the quantization (models/gguf_of_config.h). Plain values. Threads: any.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/catalogue.h"
#include "domain/source.h"

namespace gantry::sources {

struct Catalogue {
    std::vector<CatalogueEntry> entries{};  // families together
    const CatalogueEntry* find(std::string_view id) const;
};

// kInvalidArgument says which entry and field. A field that nobody knows is one, too: a typing error would else be silent.
struct CatalogueFile {
    Catalogue catalogue{};
    bool alone = false;                     // what is built in is left out
};
Result<CatalogueFile> parse_catalogue(std::string_view text);

std::string_view builtin_catalogue_json();
// What is built in, and the file at `path` over it; empty: none.
Result<Catalogue> load_catalogue(const std::string& path);

}  // namespace gantry::sources
