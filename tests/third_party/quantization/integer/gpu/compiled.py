"""Compile the kernels for a GPU of compute capability 9.0, which need not be there."""

from triton import compile as compile_kernel
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from third_party.quantization.integer.gpu import kernels

POINTERS = {"correction_at": "*i32", "c_at": "*i32", "d_at": "*i8", "b_at": "*i64"}
FLAGS = {"KERNEL_W": 3, "POSITIONS": 9, "FLAT": False, "HALF": False, "TABLE_SHIFT": 0, "BLOCK_K": 64}


def ptx_of(kernel, codes: str, result: str, constants: dict) -> str:
    """PTX for codes and results of the given types."""
    names = kernel.arg_names
    types = POINTERS | {
        "x_at": codes,
        "weight_at": "*i8",
        "zero_at": "*i8" if kernel is kernels.dense else "*i32",
        "y_at": result,
        "table_at": "*u8",
    }
    signature = {n: "constexpr" if n in constants else types.get(n, "i32") for n in names}
    values = {(names.index(n),): v for n, v in constants.items() if n in names}
    return compile_kernel(ASTSource(kernel, signature, values), target=GPUTarget("cuda", 90, 32)).asm["ptx"]


if __name__ == "__main__":
    for block, flat in ((64, False), (128, True)):
        constants = FLAGS | {"FLAT": flat, "BLOCK_M": block, "BLOCK_N": block, "MOVED": True}
        ptx = ptx_of(kernels.dense, "*i8", "*u8", constants | {"FUSED": True, "TABLE": not flat})
        assert "wgmma" in ptx and "s32.s8.s8" in ptx and ".f32" not in ptx and ".f64" not in ptx, (block, flat)
    constants = FLAGS | {"BLOCK_M": 64, "BLOCK_N": 16}
    sums = ptx_of(kernels.dense, "*i8", "*i32", constants | {"FUSED": False, "TABLE": False, "MOVED": False})
    assert "s32.s8.s8" in sums and ".f32" not in sums
    ptx = ptx_of(kernels.depthwise, "*u8", "*i16", constants | {"FUSED": True, "TABLE": False})
    assert ".f32" not in ptx and ".f64" not in ptx
    print("done")
