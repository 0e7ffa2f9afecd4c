"""Runs that are killed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import durability


def test_killed_runs_leave_whole_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a program in place of `glissando` that leaves one of each kind and waits to be killed."""
    code = (
        "import pathlib, sys, time; out = pathlib.Path(sys.argv[2]); out.mkdir(exist_ok=True)\n"
        "(out / 'a.gliss').write_bytes(b'whole'); expected = out.name == 'expected'\n"
        "(out / 'b.gliss').write_bytes(b'whole' if expected else b'ha')\n"
        "if not expected:\n"
        "    (out / '.0123456789abcdef.glissando-partial').write_bytes(b'')\n"
        "    (out / 'c.tmp').write_bytes(b'')\n"
        "    print(flush=True)\n"
        "    time.sleep(60)\n"
    )

    def start(sources: Path, out: Path) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-c", code, str(sources), str(out)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    monkeypatch.setattr(durability, "_start", start)
    found = durability.measure(tmp_path, moments=2, pictures=2)
    assert found == durability.Outcome(killed=2, whole=2, half=2, cleared=2, litter=2)
    monkeypatch.setattr(durability, "measure", lambda folder, moments: found)
    assert durability.main(["--moments", "2"]) == 1
