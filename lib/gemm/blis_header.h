/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * blis.h, wherever it is. Of its inline functions only those that initialise an rntm_t may be used, and only where the
 * BLIS that runs is the version that the build saw: the layouts behind the others have changed under one soname.
 */
#ifndef RA_BLIS_HEADER_H
#define RA_BLIS_HEADER_H

#ifdef RA_BLIS_IN_FOLDER
#include <blis/blis.h>
#else
#include <blis.h>
#endif

#include "gemm/gemm.h"

/* Whether BLIS at run time reports the version that blis.h is of, as far as the build could tell. */
bool ra_blis_is_as_built(void);

#endif
