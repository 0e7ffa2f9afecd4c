"""The machine that runs this process: for the figures of benchmarks and the cards of trained models."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

__all__ = ["Machine", "default_threads"]

# What /proc/cpuinfo calls it, and what people call it; in the order in which they are told.
_EXTENSIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx512_bf16": "AVX-512 bf16",
    "avx512_fp16": "AVX-512 fp16",
    "amx_tile": "AMX",
    "amx_int8": "AMX int8",
    "amx_bf16": "AMX bf16",
    "asimd": "NEON",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "sve": "SVE",
}
# Intel's processors multiply no more bfloat16 than float32 in AVX-512, and convert besides: networks take 1.6 times as
# long there. AMD's take about half of the time.
_FAST_BF16 = {"AMX bf16", "bf16"}
_FAST_INT8 = {"AVX-512 VNNI", "AVX-VNNI", "AMX int8"}


@dataclass(frozen=True)
class Machine:
    """Processor, vector extensions and system."""

    processor: str
    extensions: tuple[str, ...]
    cores: int
    system: str
    python: str

    @property
    def fast_bf16(self) -> bool:
        """Whether the processor multiplies bfloat16 itself, and that faster than float32."""
        elsewhere = "AVX-512 bf16" in self.extensions and "intel" not in self.processor.lower()
        return elsewhere or bool(_FAST_BF16 & set(self.extensions))

    @property
    def fast_int8(self) -> bool:
        """Whether the processor multiplies 8-bit integers itself, and that faster than float32."""
        return bool(_FAST_INT8 & set(self.extensions))

    @property
    def described(self) -> str:
        """Processor and, in brackets, its vector extensions: what stands beside every speed."""
        return f"{self.processor} ({', '.join(self.extensions)})"

    @classmethod
    def this(cls, cpuinfo: Path = Path("/proc/cpuinfo")) -> Machine:
        """The machine that runs this process; what it does not tell is left empty."""
        processor, flags = _read_cpuinfo(cpuinfo)
        if platform.system() == "Darwin":
            processor = _sysctl("machdep.cpu.brand_string") or processor
            names = (_sysctl("machdep.cpu.features"), _sysctl("machdep.cpu.leaf7_features"))
            flags |= {flag.lower() for name in names for flag in name.split()}
            if platform.machine() == "arm64":
                flags |= {"asimd"} | ({"bf16"} if _sysctl("hw.optional.arm.FEAT_BF16") == "1" else set())
        return cls(
            processor=processor or platform.processor() or platform.machine() or "unknown processor",
            extensions=tuple(name for flag, name in _EXTENSIONS.items() if flag in flags),
            cores=default_threads(),
            system=f"{platform.system()} {platform.machine()}",
            python=platform.python_version(),
        )

    def to_json(self) -> dict[str, object]:
        """Plain values for the results file."""
        return {**asdict(self), "fast_bf16": self.fast_bf16}


def default_threads() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _read_cpuinfo(path: Path) -> tuple[str, set[str]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "", set()
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip().lower(), value.strip())
    flags = fields.get("flags", fields.get("features", "")).lower().split()
    return fields.get("model name", fields.get("hardware", "")), set(flags)


def _sysctl(name: str) -> str:
    try:
        answer = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return answer.stdout.strip()
