"""docs/perf/kernels.md and its roofline from the raw samples in docs/perf/kernels/, a file a type of weights."""
import math
import statistics

from suite.report import Page, noise, plt, save, spread, table

PAGE = Page("kernels")
# Bits a value in a file, and the peak that its products are held against.
TYPES = {"q4_0": (4.5, "vnni"), "q4_1": (5, "vnni"), "q5_0": (5.5, "vnni"), "q5_1": (6, "vnni"), "q8_0": (8.5, "vnni"), "q4_K": (4.5, "vnni"),
         "q5_K": (5.5, "vnni"), "q6_K": (6.5625, "vnni"), "iq4_nl": (4.5, "vnni"), "iq4_xs": (4.25, "vnni"), "bf16": (16, "bf16"), "f16": (16, "fma")}
PEAKS = {"vnni": "8-bit products (VNNI; where a CPU has none, of AVX2 with sums of 16 bits)", "bf16": "BF16 products", "fma": "products of 32-bit floats"}
# Figures of quality begin with one of these words.
FIGURES = {"tokens", "perplexity", "answers", "answer", "gantry", "ggml"}
PLOTTED = "4864x896"
# Forwards of whole models with flash attention, and by how much they should be faster than ggml's (issue 10).
SMALL, LARGE = "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"
STEPS = {SMALL: {"prefill/1/334": None, "prefill/1/2048": None, "decode/1/1/300/0": 1.3, "decode/1/2/300/0": None, "decode/1/6/300/0": 5,
                 "decode/1/16/300/0": 3.5, "decode/1/32/300/0": 3, "decode_long/8/8192": 2},
         LARGE: {"prefill/1/334": 3, "decode/1/1/300/0": None, "decode/1/6/300/0": 3}}


class Measured:
    """One type's samples: medians by who, shape and rows, and the peaks of the same run."""

    def __init__(self, raw):
        self.raw, self.type = raw, raw["experiment"]
        self.bits, self.limit = TYPES[self.type]
        self.found, self.peaks = {}, {}
        for r in raw["records"]:
            if r["who"] == "peak":
                self.peaks.setdefault(r["case"], []).append(r.get("gop_s", r.get("gb_s")))
            else:
                self.found.setdefault((r["who"], r["shape"], r["rows"]), []).append(r["gop_s"])
        self.found = {key: statistics.median(values) for key, values in self.found.items()}
        self.peaks = {key: statistics.median(values) for key, values in self.peaks.items()}
        if "avx2" in self.peaks:
            self.peaks["vnni"] = self.peaks["avx2"]
        self.shapes = list(dict.fromkeys(shape for _, shape, _ in self.found))
        self.rows = sorted({rows for _, _, rows in self.found})

    def rate(self, who, shape, rows):
        return self.found.get((who, shape, rows))

    def bytes_rate(self, who, shape, rows):
        """GB/s of the file's weights, whatever a kernel keeps of them."""
        rate = self.rate(who, shape, rows)
        return rate and rate / (2 * rows) * self.bits / 8

    def roof(self, rows):
        """GOP/s that reading the weights once and the units that multiply allow."""
        return min(self.peaks[self.limit], self.peaks["read"] * 2 * rows / (self.bits / 8))

    def mean(self, rows, of):
        """Geometric mean over the shapes of what of(shape) gives; None: not all are there."""
        values = [of(shape) for shape in self.shapes if (("ggml", shape, rows) in self.found)]
        return math.exp(statistics.fmean(map(math.log, values))) if values and all(values) else None


def measured():
    raws = [raw for (experiment, _), raw in PAGE.raws().items() if experiment in TYPES]
    return sorted(map(Measured, raws), key=lambda m: list(TYPES).index(m.type))


def shown(value, digits=0):
    return f"{value:,.{digits}f}" if value is not None else "–"


def ratio(ours, theirs):
    return ours / theirs if ours is not None and theirs else None


# ---- tables ------------------------------------------------------------------------------------------------------------------
def summary(types):
    cells = []
    for m in types:
        def mean(who, rows, m=m):
            return m.mean(rows, lambda shape: m.rate(who, shape, rows))
        row = [f"`{m.type}`"]
        for rows in (1, 6, 16, 334):
            ours, theirs = mean("gantry", rows), mean("ggml", rows)
            share = ratio(ours, m.roof(rows))
            row.append(f"{shown(ours)} · {shown(theirs)}" + (f" · **{ours / theirs:.1f}×** · {share:.0%}" if ours else ""))
        cells.append([*row, shown(m.peaks[m.limit]), shown(m.peaks["read"], 1)])
    head = ["type", *(f"{rows} row{'s' if rows > 1 else ''}" for rows in (1, 6, 16, 334)), "peak, GOP/s", "read, GB/s"]
    limits = ", ".join(f"{name} for {', '.join(f'`{t}`' for t in TYPES if TYPES[t][1] == what)}" for what, name in PEAKS.items())
    return ("GOP/s, geometric mean of the shapes: ours · ggml's · ratio · our share of the roof, which is the lower of the peak and of what\n"
            f"reading the file's weights once allows. The peaks are measured in the same run: {limits}.\n\n" + table(head, cells))


def of_type(m):
    cells = []
    for shape in m.shapes:
        for who, name in (("gantry", "ours"), ("ggml", "ggml")):
            if any((who, shape, rows) in m.found for rows in m.rows):
                cells.append([shape, f"{name}, GOP/s", *(shown(m.rate(who, shape, rows)) for rows in m.rows)])
                cells.append(["", f"{name}, GB/s", *(shown(m.bytes_rate(who, shape, rows), 1) for rows in m.rows)])
                cells.append(["", f"{name}, % of the roof", *(shown(100 * m.rate(who, shape, rows) / m.roof(rows)) for rows in m.rows)])
    return f"\n### {m.type}\n\n" + table(["outputs x values", "rows", *map(str, m.rows)], cells)


def quality(raw):
    def parted(r, whose):
        count, beyond, highest = (r[f"{whose}_{key}"] for key in ("parted", "beyond_ties", "highest_lead"))
        return f"{count:.0f} ({count / r['answers']:.1%}), {beyond:.0f} beyond 0.05, at most {highest:.2f}"
    def change(r, whose):
        found = r.get(f"perplexity_{whose}")
        return f"{found / r['perplexity_ggml'] - 1:+.2%}" if found else "–"
    cells = [(r["model"], f"{r['perplexity_ggml']:.4f}", f"{r['perplexity_gantry']:.4f}", change(r, "gantry"), change(r, "ggml_otherwise"),
              parted(r, "gantry"), parted(r, "ggml"), parted(r, "gantry_alone")) for r in raw["records"]]
    first = raw["records"][0]
    head = ["model", "ggml", "ours", "change (goal ≤ 0.1 %)", "ggml's own", "answers that part (goal ≤ 5 %, all within 0.05)", "ggml's from its own", "ours from its own"]
    return (f"\n## Quality{noise(raw)}\n\nPerplexity of {first['tokens']:,.0f} tokens of `docs/*.md` in windows of 512, and {first['answers']:.0f} greedy\n"
            f"answers of at most {first['answer_tokens']:.0f} tokens, 16 at a time: how many part from those of ggml's kernels (`--kernels off`), and\n"
            "by how much ggml's choice led where they did, as logits. Beside it ggml against itself, and ours, with 5 rows or answers at a time.\n\n"
            + table(head, cells))


def step_name(case):
    words = case.split("/")
    if words[0] == "decode_long":
        return f"a token of each of {words[1]}, {int(words[2]):,} before it"
    return f"prompt of {words[2]} tokens" if words[0] == "prefill" else "a token of one sequence" if words[2] == "1" else f"a token of each of {words[2]}"


def steps(raw):
    def found(who, model, case=None, key="ms"):
        return [r[key] for r in raw["records"] if (r["who"], r["model"], r.get("case")) == (who, model, case)]
    cells, lines = [], []
    for model, cases in STEPS.items():
        for case, goal in cases.items():
            ours, theirs = found("gantry", model, case), found("ggml", model, case)
            if not (ours and theirs):
                continue   # measured before there was this case
            faster = statistics.median(b / a for a, b in zip(ours, theirs))
            cells.append([model, step_name(case), spread(ours, 1), spread(theirs, 1), f"**{faster:.2f}×**", f"≥ {goal}×" if goal else "–"])
        alone, read = (statistics.median(of) for of in (found("gantry", model, "decode/1/1/300/0"), found("peak", model, key="gb_s")))
        rate = raw["sizes"][model] / alone / 1e6
        lines.append(f"- {model}, one sequence: {rate:.1f} GB/s of the file, {rate / read:.0%} of the {read:.1f} GB/s that all threads read (goal ≥ 75 %).")
        if pair := found("gantry", model, "decode/1/2/300/0"):
            lines.append(f"- {model}, two sequences: {2 * alone / statistics.median(pair):.2f}× the tokens of one (goal ≥ 1.7×).")
    return (f"\n## Steps of whole models{noise(raw)}\n\nOne forward of the embedded engine's runner with our products and attention, and with ggml's (`--kernels off`),\n"
            "in turns, ms; sequences hold 300 tokens or as many as it says, and share none. ggml's long ones have cells apart, where it is faster.\n\n"
            + table(["model", "step", "ours", "ggml", "faster", "goal"], cells) + "\n" + "\n".join(lines) + "\n")


# ---- plot --------------------------------------------------------------------------------------------------------------------
def roofline(types):
    """Of one shape: operations by bytes read, one line a type, from one row to hundreds."""
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), sharey=True)
    for axis, (who, title) in zip(axes, (("gantry", "ours"), ("ggml", "ggml"))):
        for i, m in enumerate(types):
            points = [(2 * rows / (m.bits / 8), m.rate(who, PLOTTED, rows)) for rows in m.rows if m.rate(who, PLOTTED, rows)]
            if points:
                axis.plot(*zip(*points), marker="o", markersize=3, linewidth=1, color=plt.get_cmap("tab20")(i), label=m.type)
        peaks = {key: statistics.median(m.peaks[key] for m in types if key in m.peaks) for key in {k for m in types for k in m.peaks}}
        lowest, highest = 0.8, 2000
        for what in PEAKS:
            if what in peaks:
                knee = peaks[what] / peaks["read"]
                axis.plot([lowest, knee, highest], [lowest * peaks["read"], peaks[what], peaks[what]], color="black", linewidth=0.8, alpha=0.6)
                axis.annotate(PEAKS[what], (highest, peaks[what]), ha="right", va="bottom", fontsize=7)
        axis.set(xscale="log", yscale="log", title=f"{title}, {PLOTTED}", xlabel="operations a byte of the file's weights")
        axis.legend(fontsize=7, ncol=2, loc="lower right")
    axes[0].set_ylabel("GOP/s")
    return save(PAGE, figure, "roofline")


def write():
    types = measured()
    first = types[0].raw["machine"]
    dates = sorted({(m.raw["at"][:10], m.raw["commit"]) for m in types})
    threads = sorted({m.raw["threads"] for m in types})
    missing = [kind for kind in TYPES if kind not in {m.type for m in types}]
    about = ("Made by `./dev bench kernels` from the raw samples in `docs/perf/kernels/`; edit `docs/perf/kernels/notes.md`, not this page. One\n"
             "product of a graph of ggml's, weights in turn from copies that exceed the caches, ours and ggml's best (its own repacking where it\n"
             "has one) next to each other, median of the repetitions. Shapes are those of Qwen2.5 0.5B and 1.5B; rows are the tokens of a step.\n\n"
             f"{first['cores']} cores of {first['cpu']}, {'/'.join(map(str, threads))} threads, Linux {first['kernel']}; measured "
             + ", ".join(f"{date} at {commit}" for date, commit in dates) + ".")
    load = [m.raw["machine"]["load_before"] for m in types]
    about += f" Load before a type's run: {min(load):.1f} to {max(load):.1f}."
    if missing:
        about += f" Not measured: {', '.join(missing)}."
    answers, forwards = PAGE.raws().get(("quality", "")), PAGE.raws().get(("steps", ""))
    PAGE.write("Products of weights, against ggml's", about, summary(types), "\n## Roofline\n\n" + roofline(types)
               + (steps(forwards) if forwards else "") + (quality(answers) if answers else "") + "\n## By type and shape\n" + "".join(map(of_type, types)))
