#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the binding promises, tried: MODEL is examples/models/quickstart.resattn."""
import gc
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy
import resattn as ra


def cross(size=32):
    """A grey picture of a light cross, as bytes of N, C, H, W."""
    picture = numpy.full((1, 3, size, size), 60, "u1")
    picture[:, :, 6:26, 13:19] = picture[:, :, 13:19, 6:26] = 220
    return picture


def resident_bytes():
    return int(pathlib.Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def classifies(context, model):
    network = ra.network_load(context, model)
    plan = ra.plan_new(network, ra.RESATTN_INFERENCE, 1, 32, 32)
    mask_name = ra.attention_mask_name(ra.network_attention(network, 0))
    ra.plan_add_output(plan, mask_name)
    session = ra.session_new(plan)
    picture = cross()
    ra.session_forward(session, ra.wrap(context, picture))
    logits = ra.array(ra.session_output(session, None), session)
    assert logits.shape == (1, 10, 1, 1) and not logits.flags.writeable
    found = ra.network_class_name(network, int(logits.argmax()))
    assert found == "cross", found
    mask = ra.array(ra.session_output(session, mask_name), session)
    assert mask.shape == (1, 16, 32, 32) and 0 < mask.min() < mask.max() < 1
    copy = mask.copy()
    picture[:] = 255 - picture  # the tensor is over this memory
    ra.session_forward(session, ra.wrap(context, picture))
    assert not numpy.array_equal(copy, mask), "the array is not the session's memory"


def trains():
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "stripes.resattn")
        script = pathlib.Path(__file__).with_name("train.py")
        printed = subprocess.run([sys.executable, "-B", script, path], check=True, stdout=subprocess.PIPE, text=True).stdout
        assert float(printed.split("loss ")[-1].split(",")[0]) < 0.1, printed
        assert ra.network_parameter_count(ra.network_load(ra.context_new(1), str(path))) == 9


def shares_parameters(context, model):
    """An array over a parameter is the network's own memory, and keeps the network."""
    network = ra.network_load(context, model)
    tensor = ra.tensor_ref(ra.network_parameter(network, ra.network_parameter_count(network) - 1))
    values = ra.array(tensor, writable=True)
    del network
    gc.collect()
    values[:] = 7
    assert (ra.array(tensor) == 7).all()


def exchanges_by_dlpack(context):
    import dlpack
    tensor = ra.tensor_new(context, ra.RESATTN_F32, 4, [2, 3, 4, 5], ra.RESATTN_CHANNELS_LAST)
    lent = numpy.from_dlpack(dlpack.Exported(tensor))
    values = ra.array(tensor, writable=True)
    values[:] = numpy.arange(120, dtype="f4").reshape(2, 3, 4, 5)
    assert lent.shape == (2, 3, 4, 5) and (lent == values).all(), "the memory is not shared"
    source = numpy.arange(24, dtype="f4").reshape(2, 3, 4)[:, ::2]
    taken = dlpack.from_dlpack(context, source)
    source[1, 1, 3] = -1
    assert (ra.array(taken) == source).all()
    del tensor, values, lent, taken
    gc.collect()
    assert not dlpack._lent and not dlpack._taken, "something is never given back"
    unused = dlpack.Exported(ra.tensor_new(context, ra.RESATTN_U8, 1, [3], ra.RESATTN_CHANNELS_LAST)).__dlpack__()
    del unused
    assert not dlpack._lent, "a capsule that nobody takes is never given back"


def refuses(context):
    def refused(text, function, *arguments):
        try:
            function(*arguments)
        except ra.Error as error:
            assert text in str(error), error
        else:
            raise AssertionError(f"not refused: {text}")
    refused("no-such-file", ra.network_load, context, "no-such-file.resattn")
    refused("expected", ra.tensor_new, context, ra.RESATTN_F32, 5, [1] * 5, ra.RESATTN_CHANNELS_LAST)
    refused("dtype is 0", ra.wrap, context, numpy.zeros(3))
    refused("stage9", ra.network_layer, ra.network_load(context, sys.argv[1]), "stage9")


def leaks_nothing(context, model):
    network = ra.network_load(context, model)

    def rounds(count):
        for _ in range(count):
            picture = cross()
            session = ra.session_new(ra.plan_new(network, ra.RESATTN_INFERENCE, 1, 32, 32))
            ra.session_forward(session, ra.wrap(context, picture))
            ra.network_load(ra.context_new(1), model)
        gc.collect()
        return resident_bytes()
    rounds(50)
    before = rounds(50)
    after = rounds(1000)
    assert after - before < 8 << 20, f"{after - before} bytes more after 1000 rounds"
    assert not ra._held, "arrays are never let go"


def main():
    model = sys.argv[1]
    context = ra.context_new(2)
    assert ra.version() == ra.RESATTN_VERSION
    classifies(context, model)
    trains()
    shares_parameters(context, model)
    exchanges_by_dlpack(context)
    refuses(context)
    leaks_nothing(context, model)
    print(f"libresattn {ra.info('version')} through cffi: all as expected")


if __name__ == "__main__":
    main()
