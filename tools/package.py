"""./dev package: a tarball with the binary, the shared libraries it needs beyond glibc, licences and a start script."""
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
binary, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
version = re.search(r"project\(gantry VERSION ([\d.]+)", (ROOT / "CMakeLists.txt").read_text()).group(1)
GLIBC = re.compile(r"lib(c|m|dl|rt|pthread|resolv)\.so|ld-linux|linux-vdso")

name = f"gantry-{version}-linux-x86_64"
folder = out / name
shutil.rmtree(folder, ignore_errors=True)
(folder / "bin").mkdir(parents=True)
(folder / "lib").mkdir()
shutil.copy2(binary, folder / "bin/gantry")
listed = subprocess.run(["ldd", binary], capture_output=True, text=True, check=True).stdout
for line in listed.splitlines():
    found = re.match(r"\s*(\S+) => (\S+)", line)
    if found and not GLIBC.match(found.group(1)):
        shutil.copy2(pathlib.Path(found.group(2)).resolve(), folder / "lib" / found.group(1))
shutil.copy2(ROOT / "LICENSE", folder)
for document in ("README.md", "CHANGELOG.md", "NOTICE"):
    if (ROOT / document).exists():
        shutil.copy2(ROOT / document, folder)
if (ROOT / "packaging").exists():
    for unit in (ROOT / "packaging").glob("*.service"):
        shutil.copy2(unit, folder)
subprocess.run(["strip", folder / "bin/gantry"], check=True)
tarball = out / f"{name}.tar.gz"
with tarfile.open(tarball, "w:gz") as archive:
    archive.add(folder, arcname=name)
print(tarball)
print(f"{tarball.stat().st_size / 1e6:.1f} MB; unpack anywhere and start bin/gantry serve", file=sys.stderr)
