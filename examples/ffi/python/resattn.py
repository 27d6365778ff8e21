# SPDX-License-Identifier: BSD-3-Clause
"""libresattn through cffi.

Every function of the C header is there under its own name without `resattn_`, as attributes of this module: `context_new(2)`,
`network_load(context, "net.resattn")`. What a call adds to C: an error is raised as an Error with the library's text,
texts are str, NULL is None, and what the caller would have to free is freed with the last object that refers to it.

The header is parsed as it stands. It is found by pkg-config, or by RESATTN_HEADER; the library by the system's loader, or
by RESATTN_LIBRARY.
"""
import os
import pathlib
import subprocess

import cffi
import numpy

ffi = cffi.FFI()


def _find_header():
    path = os.environ.get("RESATTN_HEADER")
    if not path:
        path = subprocess.check_output(["pkg-config", "--variable=ffi_header", "resattn"], text=True).strip()
    return pathlib.Path(path).read_text(encoding="utf-8")


ffi.cdef(_find_header())
lib = ffi.dlopen(os.environ.get("RESATTN_LIBRARY", "libresattn.so.0"))


class Error(Exception):
    def __init__(self):
        super().__init__(ffi.string(lib.resattn_last_error()).decode())
        self.status = lib.resattn_last_status()


# How each kind of handle is given back. Layers and attention modules belong to their builder or network.
_free = {ffi.typeof(f"resattn_{kind} *"): getattr(lib, f"resattn_{kind}_{how}") for kind, how in {
    "context": "unref", "tensor": "unref", "network": "unref", "builder": "free", "plan": "free", "session": "free",
    "cross_entropy": "free", "mask_loss": "free", "optimizer": "free", "schedule": "free", "ema": "free",
    "model_config": "free"}.items()}
# What these return belongs to the caller; other pointers are borrowed.
_makers = ("_new", "_new_zeroed", "_new_with_allocator", "_load", "_load_buffer", "_load_stream", "_wrap", "_wrap_pixels",
           "_view", "_ref", "_copy")
_status, _text = ffi.typeof("resattn_status"), ffi.typeof("char *")


def _plain(value):
    return ffi.NULL if value is None else value.encode() if isinstance(value, str) else value


def _wrapped(name):
    function = getattr(lib, "resattn_" + name)
    result = ffi.typeof(function).result
    free = _free.get(result) if name.endswith(_makers) else None

    def call(*arguments):
        lib.resattn_clear_error()
        answer = function(*map(_plain, arguments))
        if result is _status and answer != lib.RESATTN_OK and name != "last_status":
            raise Error
        if result.kind == "pointer" and answer == ffi.NULL:
            if lib.resattn_last_status() != lib.RESATTN_OK:
                raise Error
            return None
        if result is _text:
            return ffi.string(answer).decode()
        return ffi.gc(answer, free) if free else answer

    return call


def __getattr__(name):
    if name.startswith("RESATTN_"):
        return getattr(lib, name)
    if not hasattr(lib, "resattn_" + name):
        raise AttributeError(f"libresattn has no function resattn_{name}")
    globals()[name] = call = _wrapped(name)
    return call


# ---- tensors and NumPy arrays, without copies ----

tensor_wrap = _wrapped("tensor_wrap")

_dtypes = {lib.RESATTN_F32: numpy.dtype("f4"), lib.RESATTN_U8: numpy.dtype("u1")}


@ffi.callback("void(void *, void *)")
def _release(user, _):
    _held.pop(int(ffi.cast("intptr_t", user)))


_held = {}  # what the library still reads or writes, by the number that its tensors were given
_next = iter(range(1, 1 << 62))


def wrap(context, array):
    """A tensor over the memory of an array of 1 to 4 dimensions, float32 or uint8, any strides; it keeps the array."""
    dtype = next((number for number, known in _dtypes.items() if known == array.dtype), 0)
    key = next(_next)
    _held[key] = array
    try:
        return tensor_wrap(context, dtype, array.ndim, list(array.shape), lib.RESATTN_CHANNELS_FIRST,
                           [step // array.itemsize for step in array.strides],
                           ffi.cast("void *", array.ctypes.data), _release, ffi.cast("void *", key))
    except Error:
        _held.pop(key, None)
        raise


class _View:
    """What an array over a tensor's memory keeps alive."""

    def __init__(self, tensor, owner, data, read_only):
        self.kept = tensor, owner
        rank = lib.resattn_tensor_rank(tensor)
        dtype = _dtypes[lib.resattn_tensor_dtype(tensor)]
        strides = ffi.unpack(lib.resattn_tensor_strides(tensor), rank)
        self.__array_interface__ = {
            "version": 3, "typestr": dtype.str, "data": (int(ffi.cast("intptr_t", data)), read_only),
            "shape": tuple(ffi.unpack(lib.resattn_tensor_shape(tensor), rank)),
            "strides": tuple(step * dtype.itemsize for step in strides)}


def array(tensor, owner=None, writable=False):
    """An array over a tensor's memory. `owner` is kept with it: the session of an output, whose next run overwrites it."""
    data = lib.resattn_tensor_mutable_data(tensor) if writable else lib.resattn_tensor_data(tensor)
    if data == ffi.NULL:
        raise ValueError("the tensor's memory is not there, or not to be written to")
    return numpy.asarray(_View(tensor, owner, data, not writable))
