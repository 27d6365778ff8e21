# SPDX-License-Identifier: BSD-3-Clause
# The guide's program, with the compiler that the library was built with.
cc()
{
    command $CC "$@"
}
# block
if [ -x program ]; then ./program; else ./a.out; fi
