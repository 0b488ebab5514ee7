"""Packed weights between starts: the second start of a model maps what the first one packed, and answers the same."""
import pathlib

from conftest import SMOLLM2, Engine, until


def answer(engine):
    chat = engine.post("/v1/chat/completions", model="m", temperature=0, max_tokens=24, messages=[{"role": "user", "content": "Name three rivers."}])
    return chat["choices"][0]["message"]["content"]


def maps(engine, file):
    return str(file) in pathlib.Path(f"/proc/{engine.process.pid}/maps").read_text()


def test_a_second_start_maps_what_the_first_packed(tmp_path):
    folder = tmp_path / "packed"
    flags = ("--model", str(SMOLLM2), "--packed-cache", str(folder))
    with Engine(*flags) as engine:
        first = answer(engine)
        until(lambda: list(folder.glob("*.packed")), "the weights are kept", timeout=120)
        (file,) = folder.glob("*.packed")
        assert file.stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700
    with Engine(*flags) as engine:
        assert maps(engine, file)
        assert answer(engine) == first
        until(lambda: not maps(engine, file), "the weights are in large pages", timeout=120)
        assert answer(engine) == first
    # A file that was damaged is made anew.
    whole = file.read_bytes()
    file.write_bytes(whole[:-4096])
    with Engine(*flags) as engine:
        assert answer(engine) == first
        until(lambda: file.stat().st_size == len(whole), "it is whole again", timeout=120)
    assert file.read_bytes() == whole


def test_none_are_kept_if_not_wanted(tmp_path):
    folder = tmp_path / "packed"
    with Engine("--model", str(SMOLLM2), "--packed-cache", str(folder), "--packed-cache-gib", "0") as engine:
        assert answer(engine)
    assert not folder.exists()
