#include "cli/decision.h"

#include <fmt/format.h>

#include "cli/words.h"

namespace gantry::cli {
namespace {

std::string bytes_at(const json::object& object, std::string_view key) {
    return human_bytes(static_cast<uint64_t>(number_at(object, key)));
}

void print_terms(const json::object& evaluation, uint32_t columns) {
    const json::object& estimate = object_at(evaluation, "estimate");
    Table table({"WHAT", "WHERE", "BYTES", "HOW"});
    for (const json::value& item : array_at(estimate, "terms")) {
        const json::object& term = item.get_object();
        table.add({text_at(term, "name"), text_at(term, "where"), {bytes_at(term, "bytes"), Colour::kNone, true}, text_at(term, "formula")});
    }
    for (const json::value& item : array_at(estimate, "unknown")) {
        table.add({std::string(item.as_string()), "", {"unknown", Colour::kYellow, true}, "the model's files do not say"});
    }
    const json::object& correction = object_at(evaluation, "correction");
    std::string how;
    if (number_at(correction, "runs") > 0) {
        how = fmt::format("before a correction of {:.2f} by {} measured run{}", real_at(correction, "factor"),
                          number_at(correction, "runs"), number_at(correction, "runs") == 1 ? "" : "s");
    }
    table.add({{"total", Colour::kBold}, "", {total_text(estimate), Colour::kBold, true}, how});
    print("\n" + table.text(true, colours(), columns));
}

void print_workers(const json::object& evaluation, uint32_t columns) {
    Table table({"WORKER", "DEVICE", "NAME", "CAN TAKE", "NEEDS", "RESULT"});
    for (const json::value& item : array_at(evaluation, "workers")) {
        const json::object& worker = item.get_object();
        if (!text_at(worker, "rule").empty()) {
            table.add({text_at(worker, "worker_name"), "", "", "", "", {text_at(worker, "reason"), Colour::kRed}});
            continue;
        }
        for (const json::value& entry : array_at(worker, "devices")) {
            const json::object& device = entry.get_object();
            const bool chosen = flag_at(device, "chosen");
            const bool refused = !text_at(device, "rule").empty();
            const uint64_t needed = static_cast<uint64_t>(number_at(device, "needed_bytes"));
            table.add({text_at(worker, "worker_name"), text_at(device, "device"), text_at(device, "name"),
                       {bytes_at(device, "allocatable_bytes"), Colour::kNone, true},
                       {needed > 0 ? human_bytes(needed) : "", Colour::kNone, true},
                       {chosen ? "chosen" : refused ? text_at(device, "reason") : "would do",
                        chosen ? Colour::kGreen : refused ? Colour::kRed : Colour::kNone}});
        }
        std::string scores;
        for (const json::value& entry : array_at(worker, "scores")) {
            const json::object& part = entry.get_object();
            scores += fmt::format("{}{} {:.0f} x {:g}", scores.empty() ? "" : ", ", text_at(part, "scorer"), real_at(part, "score"),
                                  real_at(part, "weight"));
        }
        if (!scores.empty()) {
            table.add({{"", Colour::kDim}, "", "", "", "", {fmt::format("score {:.1f}: {}", real_at(worker, "total"), scores), Colour::kDim}});
        }
    }
    if (!table.empty()) {
        print("\n" + table.text(true, colours(), columns));
    }
}

}  // namespace

std::string words_of_verdict(const std::string& verdict) { return verdict == "does_not_fit" ? "does not fit" : verdict; }

Colour colour_of_verdict(const std::string& verdict) {
    return verdict == "fits" ? Colour::kGreen : verdict == "unknown" ? Colour::kYellow : Colour::kRed;
}

std::string total_text(const json::object& estimate) {
    const bool all = array_at(estimate, "unknown").empty();
    if (!all && array_at(estimate, "terms").empty()) {
        return "unknown";
    }
    return (all ? "" : "at least ") + bytes_at(estimate, "total_bytes");
}

std::string claims_text(const json::object& placement) {
    std::string text;
    for (const json::value& item : array_at(placement, "claims")) {
        const json::object& claim = item.get_object();
        text += (text.empty() ? "" : " + ") + text_at(claim, "device");
        text += number_at(claim, "bytes") > 0 ? " " + bytes_at(claim, "bytes") : "";   // of what is unknown nothing is booked
        if (const double fraction = real_at(claim, "memory_fraction"); fraction > 0) {
            text += fmt::format(" ({:.0f} % of it)", fraction * 100);
        }
    }
    const int64_t layers = number_at(placement, "layers");
    const int64_t on_devices = number_at(placement, "layers_on_devices");
    if (on_devices > 0 && on_devices < layers) {
        text += fmt::format("; {} of {} layers on devices", on_devices, layers);
    }
    if (const int64_t tokens = number_at(placement, "context_tokens"); tokens > 0) {
        text += fmt::format("; context {}", tokens);
    }
    if (const int64_t sequences = number_at(placement, "sequences"); sequences > 0) {
        text += fmt::format(", {} sequence{}", sequences, sequences == 1 ? "" : "s");
    }
    return text;
}

void print_fact(const char* name, const std::string& text) { print(fmt::format("{:<9}{}\n", name, printable(text))); }

void print_decision(const json::object& decision) {
    const uint32_t columns = stdout_is_terminal() ? terminal_columns() : 0;
    print_fact("verdict", words_of_verdict(text_at(decision, "verdict")));
    print_fact("why", text_at(decision, "reason"));
    const json::object& placement = object_at(decision, "placement");
    if (!placement.empty()) {
        print_fact("claim", claims_text(placement));
    }
    print_terms(decision, columns);
    print_workers(decision, columns);
    const json::array& suggestions = array_at(decision, "suggestions");
    if (!suggestions.empty()) {
        print("\nWhat would make it fit:\n");
        for (const json::value& item : suggestions) {
            print("  - " + printable(text_at(item.get_object(), "text")) + "\n");
        }
    }
}

}  // namespace gantry::cli
