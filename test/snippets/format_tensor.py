# SPDX-License-Identifier: BSD-3-Clause
"""The three types of numbers, split into planes by hand, and read back by the block."""
import struct
import sys
import zlib

try:
    import numpy
except ImportError:
    print("no numpy: not run")
    sys.exit(0)

EXPECTED = [1.5, -2.0, 0.0, 65280.0, -0.15625, 3.0]
shape = [2, 3]
for element_type, size in [(1, 4), (2, 2), (3, 2)]:
    if element_type == 2:
        numbers_bytes = [struct.pack("<e", value) for value in EXPECTED]
    else:
        numbers_bytes = [struct.pack("<f", value)[-size:] for value in EXPECTED]
    data = zlib.compress(bytes(number[plane] for plane in range(size) for number in numbers_bytes))
    exec(r'''
# block
''')
    assert values.shape == (2, 3) and values.reshape(-1).tolist() == EXPECTED, (element_type, values)
