// Declarations of mldsa.c; nano.h says what the results mean.
#ifndef NANO_MLDSA_H
#define NANO_MLDSA_H

#include "nano.h"

// FIPS 204, table 2, and what it has for the two strings that key and context come from.
enum {
	NANO_MLDSA44_SEED = 32,
	NANO_MLDSA44_PUBLIC = 1312,
	NANO_MLDSA44_SIGNATURE = 2420,
	NANO_MLDSA44_CONTEXT_MAX = 255,
};

int nano_mldsa44_available(void);
EVP_PKEY *nano_mldsa44_private(const uint8_t *seed, struct nano_error *error);
EVP_PKEY *nano_mldsa44_public(const uint8_t *public, struct nano_error *error);
int nano_mldsa44_encode(EVP_PKEY *key, uint8_t *public, struct nano_error *error);
int nano_mldsa44_sign(EVP_PKEY *key, const uint8_t *context, size_t context_length, const uint8_t *message,
    size_t length, uint8_t *sig, struct nano_error *error);
int nano_mldsa44_verify(EVP_PKEY *key, const uint8_t *context, size_t context_length, const uint8_t *message,
    size_t length, const uint8_t *sig);

#endif
