// ML-DSA-44 (FIPS 204), by OpenSSL's EVP interface.
//
// libcrypto has it from 3.5 on. All that is used here exists since 3.0 and
// names the algorithm by a string, so that the file builds everywhere, and
// whether the algorithm is there is found out when the program runs.
#include "mldsa.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

static const char algorithm[] = "ML-DSA-44";

// The parameter of a key's seed (EVP_PKEY-ML-DSA(7)) and of a signature's
// context (EVP_SIGNATURE-ML-DSA(7)): older headers have no macros for them.
static const char seed_name[] = "seed", context_name[] = "context-string";

// nano_mldsa44_available tells whether the library that is loaded has
// everything that a key and its signatures take.
int nano_mldsa44_available(void)
{
	EVP_KEYMGMT *keys = EVP_KEYMGMT_fetch(NULL, algorithm, NULL);
	EVP_SIGNATURE *signatures = EVP_SIGNATURE_fetch(NULL, algorithm, NULL);
	// A library that was cut down might lack what its ML-DSA is made of.
	EVP_MD *narrow = EVP_MD_fetch(NULL, "SHAKE-128", NULL), *wide = EVP_MD_fetch(NULL, "SHAKE-256", NULL);
	int found = keys != NULL && signatures != NULL && narrow != NULL && wide != NULL;

	EVP_KEYMGMT_free(keys);
	EVP_SIGNATURE_free(signatures);
	EVP_MD_free(narrow);
	EVP_MD_free(wide);
	ERR_clear_error();
	return found;
}

static EVP_PKEY *from_octets(const char *name, const uint8_t *data, size_t length, int selection,
    struct nano_error *error)
{
	OSSL_PARAM params[] = { OSSL_PARAM_construct_octet_string(name, (void *)data, length), OSSL_PARAM_construct_end() };
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
	EVP_PKEY *key = NULL;

	if (ctx == NULL || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, selection, params) != 1) {
		nano_fail(error, algorithm);
		EVP_PKEY_free(key);
		key = NULL;
	}
	EVP_PKEY_CTX_free(ctx);
	return key;
}

// nano_mldsa44_private expands a seed (FIPS 204 algorithm 6).
EVP_PKEY *nano_mldsa44_private(const uint8_t *seed, struct nano_error *error)
{
	return from_octets(seed_name, seed, NANO_MLDSA44_SEED, EVP_PKEY_KEYPAIR, error);
}

// nano_mldsa44_public takes any string of the length: all of them are keys.
EVP_PKEY *nano_mldsa44_public(const uint8_t *public, struct nano_error *error)
{
	return from_octets(OSSL_PKEY_PARAM_PUB_KEY, public, NANO_MLDSA44_PUBLIC, EVP_PKEY_PUBLIC_KEY, error);
}

// nano_mldsa44_encode writes the public key.
int nano_mldsa44_encode(EVP_PKEY *key, uint8_t *public, struct nano_error *error)
{
	size_t length = 0;

	if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, public, NANO_MLDSA44_PUBLIC, &length) != 1 ||
	    length != NANO_MLDSA44_PUBLIC)
		return nano_fail(error, algorithm);
	return NANO_OK;
}

// set_context fills two parameters; libcrypto takes no empty string for an
// empty context.
static int set_context(OSSL_PARAM *params, const uint8_t *context, size_t length)
{
	if (length > 0)
		*params++ = OSSL_PARAM_construct_octet_string(context_name, (void *)context, length);
	*params = OSSL_PARAM_construct_end();
	return length <= NANO_MLDSA44_CONTEXT_MAX;
}

// nano_mldsa44_sign is the hedged variant: libcrypto mixes random bytes in.
int nano_mldsa44_sign(EVP_PKEY *key, const uint8_t *context, size_t context_length, const uint8_t *message,
    size_t length, uint8_t *sig, struct nano_error *error)
{
	OSSL_PARAM params[2];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t sig_length = NANO_MLDSA44_SIGNATURE;
	int ok = ctx != NULL && set_context(params, context, context_length) &&
	    EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, key, params) == 1 &&
	    EVP_DigestSign(ctx, sig, &sig_length, message, length) == 1 && sig_length == NANO_MLDSA44_SIGNATURE;

	EVP_MD_CTX_free(ctx);
	return ok ? NANO_OK : nano_fail(error, algorithm);
}

int nano_mldsa44_verify(EVP_PKEY *key, const uint8_t *context, size_t context_length, const uint8_t *message,
    size_t length, const uint8_t *sig)
{
	OSSL_PARAM params[2];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && set_context(params, context, context_length) &&
	    EVP_DigestVerifyInit_ex(ctx, NULL, NULL, NULL, NULL, key, params) == 1 &&
	    EVP_DigestVerify(ctx, sig, NANO_MLDSA44_SIGNATURE, message, length) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? NANO_OK : nano_bad();
}
