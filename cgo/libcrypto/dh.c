// Diffie-Hellman over the integers (RFC 4253 section 8, RFC 4419, RFC 8268) on
// libcrypto's big numbers. OpenSSL's own DH key type treats known groups, safe
// primes and other primes differently from version to version; here a group is
// two numbers and the checks are SSH's.
#include "nano.h"

#include <string.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>

enum { BITS_MIN = 1024, BITS_MAX = 16384, PEER_BITS_SET_MIN = 4, TRIES = 10 };

struct nano_dh {
	BIGNUM *p, *limit, *secret, *public; // limit is p - 1
	BN_MONT_CTX *mont;
};

void nano_dh_free(struct nano_dh *dh)
{
	if (dh == NULL)
		return;
	BN_free(dh->p);
	BN_free(dh->limit);
	BN_clear_free(dh->secret);
	BN_free(dh->public);
	BN_MONT_CTX_free(dh->mont);
	OPENSSL_clear_free(dh, sizeof *dh);
}

// public_valid wants 1 < n < p - 1. As OpenSSH does, it refuses numbers with
// fewer than four bits set as well: powers of two times little give the secret
// exponent away when the generator is 2.
static int public_valid(const struct nano_dh *dh, const BIGNUM *n)
{
	int set = 0;

	if (BN_is_negative(n) || BN_is_zero(n) || BN_is_one(n) || BN_cmp(n, dh->limit) >= 0)
		return 0;
	for (int i = BN_num_bits(n) - 1; i >= 0 && set < PEER_BITS_SET_MIN; i--)
		set += BN_is_bit_set(n, i);
	return set >= PEER_BITS_SET_MIN;
}

static int make_secret(struct nano_dh *dh, const BIGNUM *g, int bits, BN_CTX *ctx)
{
	BN_set_flags(dh->secret, BN_FLG_CONSTTIME);
	for (int i = 0; i < TRIES; i++) {
		if (BN_priv_rand(dh->secret, bits, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) != 1 ||
		    BN_mod_exp_mont_consttime(dh->public, g, dh->secret, dh->p, ctx, dh->mont) != 1)
			return 0;
		if (public_valid(dh, dh->public))
			return 1;
	}
	return 0;
}

// nano_dh_new takes a group and makes a private exponent of secret_bits bits,
// at most one less than p has.
struct nano_dh *nano_dh_new(const uint8_t *p, size_t p_length, const uint8_t *g, size_t g_length,
    int secret_bits, struct nano_error *error)
{
	struct nano_dh *dh = OPENSSL_zalloc(sizeof *dh);
	BN_CTX *ctx = BN_CTX_new();
	BIGNUM *generator = NULL;
	int ok = 0, bits;

	if (dh == NULL || ctx == NULL || p_length > BITS_MAX / 8 + 1 || g_length > p_length)
		goto done;
	dh->p = BN_bin2bn(p, (int)p_length, NULL);
	generator = BN_bin2bn(g, (int)g_length, NULL);
	dh->limit = BN_new();
	dh->secret = BN_new();
	dh->public = BN_new();
	dh->mont = BN_MONT_CTX_new();
	if (dh->p == NULL || generator == NULL || dh->limit == NULL || dh->secret == NULL ||
	    dh->public == NULL || dh->mont == NULL)
		goto done;
	bits = BN_num_bits(dh->p);
	if (bits < BITS_MIN || bits > BITS_MAX || !BN_is_odd(dh->p) || secret_bits < 1 ||
	    BN_sub(dh->limit, dh->p, BN_value_one()) != 1 || BN_cmp(generator, BN_value_one()) <= 0 ||
	    BN_cmp(generator, dh->limit) >= 0 || BN_MONT_CTX_set(dh->mont, dh->p, ctx) != 1)
		goto done;
	ok = make_secret(dh, generator, secret_bits < bits ? secret_bits : bits - 1, ctx);
done:
	BN_free(generator);
	BN_CTX_free(ctx);
	if (ok)
		return dh;
	nano_fail(error, "Diffie-Hellman group not usable");
	nano_dh_free(dh);
	return NULL;
}

static int write_number(const BIGNUM *n, uint8_t *out, size_t *length)
{
	if ((size_t)BN_num_bytes(n) > *length)
		return 0;
	*length = (size_t)BN_bn2bin(n, out);
	return 1;
}

int nano_dh_public(struct nano_dh *dh, uint8_t *out, size_t *length, struct nano_error *error)
{
	return write_number(dh->public, out, length) ? NANO_OK : nano_fail(error, "Diffie-Hellman");
}

// nano_dh_shared writes the shared number without leading zeros. A peer's value
// out of range is NANO_BAD.
int nano_dh_shared(struct nano_dh *dh, const uint8_t *peer, size_t peer_length, uint8_t *secret,
    size_t *length, struct nano_error *error)
{
	BIGNUM *number = NULL, *shared = BN_new();
	BN_CTX *ctx = BN_CTX_new();
	int result = NANO_BAD;

	if (peer_length <= BITS_MAX / 8 + 1)
		number = BN_bin2bn(peer, (int)peer_length, NULL);
	if (shared == NULL || ctx == NULL)
		result = nano_fail(error, "Diffie-Hellman");
	else if (number == NULL || !public_valid(dh, number))
		result = nano_bad();
	else if (BN_mod_exp_mont_consttime(shared, number, dh->secret, dh->p, ctx, dh->mont) != 1)
		result = nano_fail(error, "Diffie-Hellman");
	else if (BN_is_zero(shared) || BN_is_one(shared))
		result = nano_bad();
	else
		result = write_number(shared, secret, length) ? NANO_OK : nano_fail(error, "Diffie-Hellman");
	BN_free(number);
	BN_clear_free(shared);
	BN_CTX_free(ctx);
	return result;
}

// nano_dh_group writes the prime of a group that SSH names. Their generator is 2.
int nano_dh_group(const char *name, uint8_t *out, size_t *length, struct nano_error *error)
{
	static const struct {
		const char *name;
		BIGNUM *(*prime)(BIGNUM *);
	} groups[] = {
		{ "group1", BN_get_rfc2409_prime_1024 },
		{ "group14", BN_get_rfc3526_prime_2048 },
		{ "group15", BN_get_rfc3526_prime_3072 },
		{ "group16", BN_get_rfc3526_prime_4096 },
		{ "group17", BN_get_rfc3526_prime_6144 },
		{ "group18", BN_get_rfc3526_prime_8192 },
	};

	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
		if (strcmp(name, groups[i].name) == 0) {
			BIGNUM *p = groups[i].prime(NULL);
			int ok = p != NULL && write_number(p, out, length);

			BN_free(p);
			return ok ? NANO_OK : nano_fail(error, "Diffie-Hellman");
		}
	}
	return nano_fail(error, "no such Diffie-Hellman group");
}
