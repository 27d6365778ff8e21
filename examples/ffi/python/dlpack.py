# SPDX-License-Identifier: BSD-3-Clause
"""Tensors to and from every library that knows DLPack, without copies: numpy.from_dlpack(), torch.from_dlpack(), ..."""
import ctypes

from resattn import Error, ffi, lib, tensor_ref, tensor_wrap

ffi.cdef("""
typedef struct { int32_t device_type, device_id; } DLDevice;
typedef struct { uint8_t code, bits; uint16_t lanes; } DLDataType;
typedef struct { void *data; DLDevice device; int32_t ndim; DLDataType dtype; int64_t *shape, *strides; uint64_t byte_offset; } DLTensor;
typedef struct DLManagedTensor { DLTensor tensor; void *manager; void (*deleter)(struct DLManagedTensor *); } DLManagedTensor;
""")
CPU = 1
_codes = {lib.RESATTN_F32: (2, 32), lib.RESATTN_U8: (1, 8)}  # kind of number (float, unsigned), bits
_lent = {}  # exported tensors by address, until their users delete them
_taken = {}  # imported ones by address, until the library releases them

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype, _new_capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
_set_name = ctypes.pythonapi.PyCapsule_SetName
_set_name.argtypes = [ctypes.py_object, ctypes.c_char_p]
FRESH, USED = b"dltensor", b"used_dltensor"  # names that live as long as the capsules


@ffi.callback("void(DLManagedTensor *)")
def _delete(managed):
    _lent.pop(int(ffi.cast("intptr_t", managed)))


@ctypes.CFUNCTYPE(None, ctypes.c_void_p)
def _drop_unused(capsule):
    if _is_valid(capsule, FRESH):  # nobody has taken it
        _lent.pop(_pointer(ctypes.cast(capsule, ctypes.py_object), FRESH), None)


class Exported:
    """A tensor as other libraries take it: torch.from_dlpack(Exported(tensor))."""

    def __init__(self, tensor):
        self.tensor = tensor_ref(tensor)  # refuses what a session overwrites: copy that first

    def __dlpack_device__(self):
        return CPU, 0

    def __dlpack__(self, stream=None, **_):
        tensor = self.tensor
        managed = ffi.new("DLManagedTensor *")
        code, bits = _codes[lib.resattn_tensor_dtype(tensor)]
        managed.tensor.data = lib.resattn_tensor_mutable_data(tensor)
        managed.tensor.device.device_type = CPU
        managed.tensor.ndim = lib.resattn_tensor_rank(tensor)
        managed.tensor.dtype.code, managed.tensor.dtype.bits, managed.tensor.dtype.lanes = code, bits, 1
        managed.tensor.shape = ffi.cast("int64_t *", lib.resattn_tensor_shape(tensor))
        managed.tensor.strides = ffi.cast("int64_t *", lib.resattn_tensor_strides(tensor))
        managed.deleter = _delete
        address = int(ffi.cast("intptr_t", managed))
        _lent[address] = managed, tensor
        return _new_capsule(address, FRESH, ctypes.cast(_drop_unused, ctypes.c_void_p))


@ffi.callback("void(void *, void *)")
def _release(user, _):
    managed = ffi.cast("DLManagedTensor *", user)
    _taken.pop(int(ffi.cast("intptr_t", user)))
    if managed.deleter != ffi.NULL:
        managed.deleter(managed)


def from_dlpack(context, source):
    """A tensor over the memory of anything that has __dlpack__(), on the CPU, of float32 or uint8."""
    if source.__dlpack_device__()[0] != CPU:
        raise ValueError("the tensor is not in the CPU's memory")
    capsule = source.__dlpack__()
    managed = ffi.cast("DLManagedTensor *", _pointer(capsule, FRESH))
    given = managed.tensor
    dtype = next((number for number, code in _codes.items()
                  if code == (given.dtype.code, given.dtype.bits) and given.dtype.lanes == 1), 0)
    data = ffi.cast("char *", given.data) + given.byte_offset
    address = int(ffi.cast("intptr_t", managed))
    _taken[address] = True
    try:
        tensor = tensor_wrap(context, dtype, given.ndim, given.shape, lib.RESATTN_CHANNELS_FIRST, given.strides, data,
                             _release, managed)
    except Error:
        _taken.pop(address)
        raise
    _set_name(capsule, USED)
    return tensor
