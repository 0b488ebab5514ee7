// The same figures for people: a row a measure, a column a target and concurrency, a bar beside each figure. Bars of a row are
// to the scale of its largest. Columns that don't fit the terminal go on below in a further block.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "bench/bench.h"

namespace gantry::bench {
namespace {

struct Column {
    std::string title;      // the target
    std::string subtitle;   // "1 panel", "6 panels"
    const Run* run = nullptr;
};

bool always(const Run&) { return true; }

struct Row {
    const char* title;
    const char* unit;
    double (*value)(const Run&);
    bool higher_is_better;
    bool bar;
    bool (*shown)(const Run&) = always;   // for any of the columns
};

double a_second(const Run& run, uint32_t count) { return run.wall_s > 0 ? count / run.wall_s : 0; }
bool is_open(const Run& run) { return run.offered_rate > 0; }
bool has_slo(const Run& run) { return run.slo.has_value(); }

constexpr Row kRows[] = {
    {"TTFT mean", "ms", [](const Run& r) { return r.ttft_ms.mean; }, false, true},
    {"TTFT p99", "ms", [](const Run& r) { return r.ttft_ms.p99; }, false, true},
    {"TPOT mean", "ms", [](const Run& r) { return r.tpot_ms.mean; }, false, true},
    {"ITL p50", "ms", [](const Run& r) { return r.itl_ms.p50; }, false, true},
    {"ITL p99", "ms", [](const Run& r) { return r.itl_ms.p99; }, false, true},
    {"Throughput", "tok/s", [](const Run& r) { return r.throughput_tok_s; }, true, true},
    {"Wall time", "s", [](const Run& r) { return r.wall_s; }, false, true},
    {"Offered", "req/s", [](const Run& r) { return r.offered_rate; }, true, false, is_open},
    {"Achieved", "req/s", [](const Run& r) { return a_second(r, r.requests_ok); }, true, false, is_open},
    {"Goodput", "req/s", [](const Run& r) { return a_second(r, r.slo_met); }, true, true, has_slo},
    {"Kept the SLO", "%", [](const Run& r) { return r.samples.empty() ? 0 : 100.0 * r.slo_met / double(r.samples.size()); }, true,
     false, has_slo},
    {"Client CPU", "s", [](const Run& r) { return r.client_cpu_s; }, false, false},
    {"Prompt tokens", "", [](const Run& r) { return double(r.prompt_tokens); }, false, false},
    {"of them cached", "", [](const Run& r) { return double(r.cached_tokens); }, true, false},
    {"Output tokens", "", [](const Run& r) { return double(r.output_tokens); }, true, false},
    {"Failed", "", [](const Run& r) { return double(r.requests_failed); }, false, false, [](const Run& r) { return r.requests_failed > 0; }},
};

constexpr size_t kLabelWidth = 15;
constexpr size_t kValueWidth = 13;  // "123456.7 tok/s"
constexpr size_t kGap = 2;

// Characters, not bytes; names are short and have no wide ones.
size_t width_of(std::string_view text) {
    return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

std::string fit(std::string_view text, size_t width, bool right = false) {
    std::string out(text);
    while (width_of(out) > width) {
        size_t last = out.size() - 1;
        while (last > 0 && (out[last] & 0xc0) == 0x80) {
            --last;
        }
        out.resize(last);
    }
    const std::string blanks(width - width_of(out), ' ');
    return right ? blanks + out : out + blanks;
}

std::string bar(double share, size_t width, bool unicode) {
    static constexpr const char* kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    const double filled = std::clamp(share, 0.0, 1.0) * static_cast<double>(width);
    std::string out;
    if (!unicode) {
        out.assign(static_cast<size_t>(std::lround(filled)), '#');
    } else {
        const auto eighths = static_cast<size_t>(std::lround(filled * 8));
        for (size_t i = 0; i < eighths / 8; ++i) {
            out += "█";
        }
        out += kEighths[eighths % 8];
    }
    return fit(out, width);
}

std::string number(double value, const char* unit) {
    if (*unit == '\0') {
        return fmt::format("{:.0f}", value);
    }
    return fmt::format("{:.{}f} {}", value, value < 10 ? 2 : 1, unit);
}

std::vector<Column> columns_of(const std::vector<TargetRuns>& targets) {
    std::vector<Column> columns;
    for (const TargetRuns& entry : targets) {
        for (const Run& run : entry.runs) {
            columns.push_back({entry.target.name, fmt::format("x {}", run.concurrency), &run});
        }
    }
    return columns;
}

struct Layout {
    size_t first = 0;      // column
    size_t count = 0;
    size_t bar_width = 0;  // 0: no bars
    bool colour = false;
    bool unicode = false;
};

void append_row(std::string& out, const Row& row, const std::vector<Column>& columns, const Layout& layout) {
    double largest = 0;
    double best = row.value(*columns.front().run);
    for (const Column& column : columns) {
        const double value = row.value(*column.run);
        largest = std::max(largest, value);
        best = row.higher_is_better ? std::max(best, value) : std::min(best, value);
    }
    out += fit(row.title, kLabelWidth);
    for (size_t i = layout.first; i < layout.first + layout.count; ++i) {
        const double value = row.value(*columns[i].run);
        out += std::string(kGap, ' ');
        if (layout.bar_width > 0) {
            const std::string drawn = row.bar && largest > 0 ? bar(value / largest, layout.bar_width, layout.unicode)
                                                             : std::string(layout.bar_width, ' ');
            const bool is_best = row.bar && columns.size() > 1 && value == best;
            out += layout.colour ? fmt::format("\x1b[{}m{}\x1b[0m", is_best ? 32 : 36, drawn) : drawn;
        }
        out += fit(number(value, row.unit), kValueWidth, true);
    }
    out += '\n';
}

void append_header(std::string& out, const std::vector<Column>& columns, const Layout& layout) {
    const size_t width = layout.bar_width + kValueWidth;
    const auto styled = [&](const std::string& text) { return layout.colour ? "\x1b[1m" + text + "\x1b[0m" : text; };
    for (const bool title : {true, false}) {
        out += std::string(kLabelWidth, ' ');
        for (size_t i = layout.first; i < layout.first + layout.count; ++i) {
            const std::string& text = title ? columns[i].title : columns[i].subtitle;
            out += std::string(kGap, ' ') + styled(fit(text, width, true));
        }
        out += '\n';
    }
}

// Goodput never stands without its SLO; all runs of a table have the same.
std::string slo_line(const std::vector<Column>& columns) {
    const std::optional<Slo>& slo = columns.front().run->slo;
    if (!slo) {
        return {};
    }
    const auto limit = [](double ms) { return ms > 0 ? fmt::format("{:.0f} ms", ms) : std::string("any"); };
    return fmt::format("SLO: TTFT {}, TPOT {}\n", limit(slo->ttft_ms), limit(slo->tpot_ms));
}

}  // namespace

std::string table(const std::vector<TargetRuns>& targets, uint32_t columns_available, bool colour, bool unicode) {
    const std::vector<Column> columns = columns_of(targets);
    if (columns.empty()) {
        return "no runs\n";
    }
    const size_t room = std::max<size_t>(columns_available, kLabelWidth + kGap + kValueWidth) - kLabelWidth;
    Layout layout;
    layout.colour = colour;
    layout.unicode = unicode;
    // Bars of 12 where they fit, shorter ones down to 4 before the columns are split into blocks.
    const size_t each = room / columns.size();
    layout.bar_width = each > kGap + kValueWidth + 4 ? std::min<size_t>(12, each - kGap - kValueWidth - 1) : 0;
    if (layout.bar_width == 0 && room > kGap + kValueWidth + 8) {
        layout.bar_width = 8;
    }
    const size_t a_block = std::max<size_t>(1, room / (kGap + layout.bar_width + kValueWidth));
    const auto shown = [&](const Row& row) {
        return std::any_of(columns.begin(), columns.end(), [&](const Column& column) { return row.shown(*column.run); });
    };
    std::string out;
    for (layout.first = 0; layout.first < columns.size(); layout.first += a_block) {
        layout.count = std::min(a_block, columns.size() - layout.first);
        out += layout.first == 0 ? "" : "\n";
        append_header(out, columns, layout);
        for (const Row& row : kRows) {
            if (shown(row)) {
                append_row(out, row, columns, layout);
            }
        }
    }
    return out + slo_line(columns);
}

}  // namespace gantry::bench
