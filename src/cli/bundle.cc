// `gantry bundle save|load`: models, the catalogue and this program in one file, for a site without a network. On the machine whose data
// folder it is; its server may run meanwhile.

#include "sources/bundle.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "cli/client.h"
#include "cli/context.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/words.h"

namespace gantry::cli {
namespace {

struct Options {
    std::string file;
    std::vector<std::string> sources;
    std::string program;
    bool replace_catalogue = false;
};

std::string data_dir_of(const Context& context) {
    std::error_code ignored;
    return std::filesystem::absolute(context.data_dir.empty() ? default_data_dir() : context.data_dir, ignored).string();
}

sources::BundleProgress shown_by(Progress& progress, const char* what) {
    return [&progress, what](uint64_t done, uint64_t all) {
        progress.show(fmt::format("{} {} of {}", what, human_bytes(done), human_bytes(all)),
                      all > 0 ? static_cast<double>(done) / static_cast<double>(all) : -1);
    };
}

int tell(const Context& context, const std::string& file, const sources::BundleContents& contents, const char* done) {
    if (context.json) {
        print(json::serialize(json::object{{"file", file}, {"bytes", contents.bytes}, {"version", contents.version},
                                           {"catalogue", contents.catalogue}, {"models", json::value_from(contents.models)}}) + "\n");
        return flushed(kDone);
    }
    for (const std::string& source : contents.models) {
        print(printable(source) + "\n");
    }
    if (!context.quiet) {
        const size_t count = contents.models.size();
        note(fmt::format("{} model{}, {} in all, {}", count, count == 1 ? "" : "s", human_bytes(contents.bytes), done));
    }
    return flushed(kDone);
}

int save(const Context& context, const Options& options) {
    sources::BundleSave what{options.file, data_dir_of(context), options.sources, options.program};
    std::error_code failed;
    if (what.program.empty()) {
        what.program = std::filesystem::read_symlink("/proc/self/exe", failed).string();
    }
    const Result<sources::BundleContents> saved = [&] {
        Progress progress(!context.quiet && !context.json);
        return save_bundle(what, shown_by(progress, "saved"));
    }();
    if (!saved) {
        return fail(saved.error());
    }
    return tell(context, options.file, *saved, "are saved; at the other site: tar -xf FILE gantry && ./gantry bundle load FILE --data-dir DIR");
}

int load(const Context& context, const Options& options) {
    const sources::BundleLoad what{options.file, data_dir_of(context), options.program, options.replace_catalogue};
    const Result<sources::BundleContents> loaded = [&] {
        Progress progress(!context.quiet && !context.json);
        return load_bundle(what, shown_by(progress, "loaded"));
    }();
    if (!loaded) {
        return fail(loaded.error());
    }
    return tell(context, options.file, *loaded, loaded->catalogue ? "are here; the server reads the catalogue when it starts" : "are here");
}

void add_common(CLI::App& verb, Context& context, Options& options, const char* help) {
    verb.add_option("FILE", options.file, help)->required();
    verb.add_option("--data-dir", context.data_dir, "the server's data folder, on this machine")->type_name("DIR");
    verb.add_flag("--json", context.json, "print what is in it as JSON");
    verb.add_flag("-q,--quiet", context.quiet, "no chatter");
}

}  // namespace

void add_bundle(CLI::App& app, Context& context) {
    CLI::App* verb = app.add_subcommand("bundle", "models, catalogue and program in one file, for a site without a network");
    verb->require_subcommand(1);
    Options& options = context.own<Options>();
    CLI::App* out = verb->add_subcommand("save", "write such a file of what is in this machine's folder of models");
    add_common(*out, context, options, "to be written: a tar archive");
    out->add_option("--model,-m", options.sources, "a source that `gantry ls --files` shows, again and again; default: all")->type_name("SOURCE");
    out->add_option("--program", options.program, "another program to put in than this one, for another kind of machine")->type_name("FILE");
    out->callback([&context, &options] { context.action = [&context, &options] { return save(context, options); }; });
    CLI::App* in = verb->add_subcommand("load", "check such a file and take what is in it, all or nothing");
    add_common(*in, context, options, "that `gantry bundle save` wrote");
    in->add_option("--program", options.program, "put the program that is in it there")->type_name("FILE");
    in->add_flag("--replace-catalogue", options.replace_catalogue, "take its catalogue.json where another is here");
    in->callback([&context, &options] { context.action = [&context, &options] { return load(context, options); }; });
}

}  // namespace gantry::cli
