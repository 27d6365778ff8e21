#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Runs a program under valgrind: fails where memory or a value is used that is not the program's own or was never set, and where memory is lost.
exec valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite \
    --errors-for-leak-kinds=definite "$@"
