"""The Triton kernels, without a GPU: what they compute, by Triton's interpreter, and that they compile."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from nas.trial.kernels.depthwise import triton_implementation, triton_kernels

HERE = Path(__file__).parent


def test_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, str(HERE / "interpreted.py")],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        cwd=HERE.parents[3],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\b[1-9]\d* passed", done.stdout)


def compiled(kernel, pointers, constants, arch):
    """The binary for an NVIDIA GPU that need not be there."""
    names = kernel.arg_names
    types = {name: pointers.get(name, "constexpr" if name in constants else "i32") for name in names}
    aligned = {(names.index(name),): [["tt.divisibility", 16]] for name in (*pointers, "channels")}
    options = {"num_warps": triton_implementation._WARPS, "enable_fp_fusion": True}
    source = ASTSource(kernel, types, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)


def columns(size, meet, out_width, width, numbers):
    tile = triton_implementation._tile(size, meet, out_width, width, numbers)
    return {name.upper(): value for name, value in tile._asdict().items()} | {"CHANNELS": 64}


@pytest.mark.parametrize(("size", "meet", "arch"), [(9, (1, -1), 90), (3, (-2, 1), 80)])
def test_convolutions_compile_without_spilling(size, meet, arch, monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    constants = {"SIZE": size, "OF_INPUT": meet[0], "OF_OUTPUT": meet[1], **columns(size, meet, 8, 8, 4)}
    pointers = {"x": "*bf16", "taps": "*fp32", "y": "*bf16"}
    found = compiled(triton_kernels.convolve, pointers, constants, arch)
    assert_lean(found)
    assert "ld.global.v2.b32" in found.asm["ptx"]  # four channels a thread in one load


def test_weight_gradient_compiles_without_spilling(monkeypatch, tmp_path):
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    constants = {
        "SIZE": 9,
        "STRIDE": 1,
        "TAP_ROWS": triton_implementation._TAP_ROWS[9],
        **columns(9, (1, -1), 4, 4, 2),
    }
    pointers = {"x": "*bf16", "gradient": "*bf16", "parts": "*fp32"}
    assert_lean(compiled(triton_kernels.correlate, pointers, constants, 90))


def assert_lean(found):
    assert len(found.asm["cubin"]) > 0
    assert "atom" not in found.asm["ptx"]
    assert ".local" not in found.asm["ptx"]
