// RSA, ECDSA, ECDH and DSA keys, by OpenSSL's EVP interface.
//
// Keys go in and out as big-endian numbers and plain points: SSH has its own
// encodings, so no DER, no PEM and no decoder of OpenSSL ever sees a peer's
// bytes.
#include "nano.h"

#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/dsa.h>
#include <openssl/ec.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

enum { PARAMS_MAX = 10, POINT_MAX = 133, RSA_BITS_MIN = 1024, RSA_BITS_MAX = 8 * NANO_RSA_BYTES_MAX };

// A builder for the parameters of a key. OSSL_PARAM wants numbers in the
// machine's byte order, so they are copied; wiped by finish, as some are secret.
struct builder {
	OSSL_PARAM params[PARAMS_MAX];
	uint8_t *copies[PARAMS_MAX];
	size_t lengths[PARAMS_MAX];
	int count, failed;
};

static void add_number(struct builder *b, const char *name, const uint8_t *data, size_t length)
{
	uint8_t *copy;

	while (length > 0 && *data == 0) {
		data++;
		length--;
	}
	copy = OPENSSL_malloc(length + 1);
	if (copy == NULL || b->count == PARAMS_MAX - 1) {
		OPENSSL_free(copy);
		b->failed = 1;
		return;
	}
	for (size_t i = 0; i < length; i++)
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		copy[i] = data[i];
#else
		copy[i] = data[length - 1 - i];
#endif
	if (length == 0)
		copy[length++] = 0;
	b->copies[b->count] = copy;
	b->lengths[b->count] = length;
	b->params[b->count++] = OSSL_PARAM_construct_BN(name, copy, length);
}

static void add_bn(struct builder *b, const char *name, const BIGNUM *n)
{
	uint8_t bytes[NANO_RSA_BYTES_MAX];
	int length = BN_num_bytes(n);

	if (length > (int)sizeof bytes || BN_bn2bin(n, bytes) != length)
		b->failed = 1;
	else
		add_number(b, name, bytes, (size_t)length);
	OPENSSL_cleanse(bytes, sizeof bytes);
}

// finish makes the key and wipes the builder.
static EVP_PKEY *finish(struct builder *b, const char *type, int private, struct nano_error *error)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	EVP_PKEY *key = NULL;

	b->params[b->count] = OSSL_PARAM_construct_end();
	if (ctx == NULL || b->failed || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, private ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY, b->params) != 1) {
		nano_fail(error, type);
		EVP_PKEY_free(key);
		key = NULL;
	}
	EVP_PKEY_CTX_free(ctx);
	for (int i = 0; i < b->count; i++)
		OPENSSL_clear_free(b->copies[i], b->lengths[i]);
	return key;
}

// pair_matches proves that the two halves of a private key belong together.
static int pair_matches(EVP_PKEY *key)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	int ok = ctx != NULL && EVP_PKEY_pairwise_check(ctx) == 1;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

EVP_PKEY *nano_ec_generate(const char *curve, struct nano_error *error)
{
	EVP_PKEY *key = EVP_EC_gen(curve);

	if (key == NULL)
		nano_fail(error, "cannot make a key");
	return key;
}

// nano_ec_new takes an uncompressed point, which must be on the curve, and if
// scalar_length is not 0 its private scalar.
EVP_PKEY *nano_ec_new(const char *curve, const uint8_t *point, size_t point_length, const uint8_t *scalar,
    size_t scalar_length, struct nano_error *error)
{
	struct builder b = { .count = 0 };
	EVP_PKEY *key;

	b.params[b.count++] = OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curve, 0);
	b.params[b.count++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)point, point_length);
	if (scalar_length > 0)
		add_number(&b, OSSL_PKEY_PARAM_PRIV_KEY, scalar, scalar_length);
	key = finish(&b, "EC", scalar_length > 0, error);
	if (key != NULL && scalar_length > 0 && !pair_matches(key)) {
		nano_fail(error, "EC: public and private key do not belong together");
		EVP_PKEY_free(key);
		return NULL;
	}
	return key;
}

// nano_ec_point writes the uncompressed point; *length is the room, then the
// length.
int nano_ec_point(EVP_PKEY *key, uint8_t *out, size_t *length, struct nano_error *error)
{
	unsigned char *point = NULL;
	size_t n = EVP_PKEY_get1_encoded_public_key(key, &point);

	if (n == 0 || n > *length || point[0] != POINT_CONVERSION_UNCOMPRESSED) {
		OPENSSL_free(point);
		return nano_fail(error, "EC point");
	}
	memcpy(out, point, n);
	*length = n;
	OPENSSL_free(point);
	return NANO_OK;
}

// nano_ec_scalar writes the private scalar, padded to length.
int nano_ec_scalar(EVP_PKEY *key, uint8_t *out, size_t length, struct nano_error *error)
{
	BIGNUM *n = NULL;
	int ok = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &n) == 1 &&
	    BN_bn2binpad(n, out, (int)length) == (int)length;

	BN_clear_free(n);
	return ok ? NANO_OK : nano_fail(error, "EC scalar");
}

// nano_ecdh writes the x coordinate of the shared point, padded to the size of
// the field. A point that is not on the curve, or at infinity, is NANO_BAD.
int nano_ecdh(EVP_PKEY *own, const uint8_t *point, size_t point_length, uint8_t *secret, size_t *length,
    struct nano_error *error)
{
	EVP_PKEY *peer = EVP_PKEY_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, own, NULL);
	int result;

	if (peer == NULL || ctx == NULL || EVP_PKEY_copy_parameters(peer, own) != 1 ||
	    EVP_PKEY_derive_init(ctx) != 1)
		result = nano_fail(error, "ECDH");
	else if (EVP_PKEY_set1_encoded_public_key(peer, point, point_length) != 1 ||
	    EVP_PKEY_derive_set_peer(ctx, peer) != 1) // it checks the point
		result = nano_bad();
	else if (EVP_PKEY_derive(ctx, secret, length) != 1)
		result = nano_fail(error, "ECDH");
	else
		result = NANO_OK;
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	return result;
}

static int sign(EVP_PKEY *key, const char *digest, const uint8_t *message, size_t length, uint8_t *sig,
    size_t *sig_length)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && EVP_DigestSignInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) == 1 &&
	    EVP_DigestSign(ctx, sig, sig_length, message, length) == 1;

	EVP_MD_CTX_free(ctx);
	return ok;
}

static int verify(EVP_PKEY *key, const char *digest, const uint8_t *message, size_t length,
    const uint8_t *sig, size_t sig_length)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int ok = ctx != NULL && EVP_DigestVerifyInit_ex(ctx, NULL, digest, NULL, NULL, key, NULL) == 1 &&
	    EVP_DigestVerify(ctx, sig, sig_length, message, length) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? NANO_OK : nano_bad();
}

// SSH carries the two numbers of an ECDSA or DSA signature, OpenSSL wants the
// DER of a sequence of both. ECDSA_SIG serves for DSA too: it is the same type
// under the name of the other algorithm.
enum { PAIR_DER_MAX = 160, PAIR_NUMBER_MAX = 67 };

// nano_pair_sign signs with ECDSA or DSA; r and s have room for 66 bytes each.
int nano_pair_sign(EVP_PKEY *key, const char *digest, const uint8_t *message, size_t length, uint8_t *r,
    size_t *r_length, uint8_t *s, size_t *s_length, struct nano_error *error)
{
	uint8_t der[PAIR_DER_MAX];
	const uint8_t *in = der;
	size_t der_length = sizeof der;
	ECDSA_SIG *sig = NULL;

	if (sign(key, digest, message, length, der, &der_length))
		sig = d2i_ECDSA_SIG(NULL, &in, (long)der_length);
	if (sig == NULL)
		return nano_fail(error, "cannot sign");
	*r_length = (size_t)BN_bn2bin(ECDSA_SIG_get0_r(sig), r);
	*s_length = (size_t)BN_bn2bin(ECDSA_SIG_get0_s(sig), s);
	ECDSA_SIG_free(sig);
	return NANO_OK;
}

int nano_pair_verify(EVP_PKEY *key, const char *digest, const uint8_t *message, size_t length,
    const uint8_t *r, size_t r_length, const uint8_t *s, size_t s_length)
{
	ECDSA_SIG *sig;
	BIGNUM *rn, *sn;
	unsigned char *der = NULL;
	int der_length, result;

	if (r_length > PAIR_NUMBER_MAX || s_length > PAIR_NUMBER_MAX)
		return NANO_BAD;
	sig = ECDSA_SIG_new();
	rn = BN_bin2bn(r, (int)r_length, NULL);
	sn = BN_bin2bn(s, (int)s_length, NULL);
	if (sig == NULL || rn == NULL || sn == NULL || ECDSA_SIG_set0(sig, rn, sn) != 1) {
		BN_free(rn);
		BN_free(sn);
		ECDSA_SIG_free(sig);
		return nano_bad();
	}
	der_length = i2d_ECDSA_SIG(sig, &der);
	ECDSA_SIG_free(sig); // and the numbers
	if (der_length <= 0)
		return nano_bad();
	result = verify(key, digest, message, length, der, (size_t)der_length);
	OPENSSL_free(der);
	return result;
}

EVP_PKEY *nano_rsa_generate(int bits, struct nano_error *error)
{
	EVP_PKEY *key = bits < RSA_BITS_MIN || bits > RSA_BITS_MAX ? NULL : EVP_RSA_gen((unsigned int)bits);

	if (key == NULL)
		nano_fail(error, "cannot make an RSA key");
	return key;
}

// modulus_usable bounds what a peer's key can cost, and keeps even numbers out
// of Montgomery arithmetic.
static int modulus_usable(const uint8_t *n, size_t n_length, const uint8_t *e, size_t e_length)
{
	size_t bits;

	while (n_length > 0 && *n == 0) {
		n++;
		n_length--;
	}
	while (e_length > 0 && *e == 0) {
		e++;
		e_length--;
	}
	if (n_length == 0 || n_length > NANO_RSA_BYTES_MAX || (n[n_length - 1] & 1) == 0)
		return 0;
	bits = 8 * n_length;
	for (uint8_t top = *n; (top & 0x80) == 0; top = (uint8_t)(top << 1))
		bits--;
	// An exponent over 64 bits is as dear as a private one.
	return bits >= RSA_BITS_MIN && e_length > 0 && e_length <= 8 && (e[e_length - 1] & 1) == 1 &&
	    (e_length > 1 || e[0] > 1);
}

EVP_PKEY *nano_rsa_public(const uint8_t *n, size_t n_length, const uint8_t *e, size_t e_length,
    struct nano_error *error)
{
	struct builder b = { .count = 0 };

	if (!modulus_usable(n, n_length, e, e_length)) {
		nano_fail(error, "RSA: modulus or exponent out of range");
		return NULL;
	}
	add_number(&b, OSSL_PKEY_PARAM_RSA_N, n, n_length);
	add_number(&b, OSSL_PKEY_PARAM_RSA_E, e, e_length);
	return finish(&b, "RSA", 0, error);
}

// add_exponents computes d mod p-1 and d mod q-1, which SSH's key files leave
// out, and tells whether n is p times q.
static int add_exponents(struct builder *b, const uint8_t *n, size_t n_length, const uint8_t *d,
    size_t d_length, const uint8_t *p, size_t p_length, const uint8_t *q, size_t q_length)
{
	BN_CTX *ctx = BN_CTX_secure_new();
	BIGNUM *bn = BN_bin2bn(n, (int)n_length, NULL), *bd = BN_bin2bn(d, (int)d_length, NULL);
	BIGNUM *bp = BN_bin2bn(p, (int)p_length, NULL), *bq = BN_bin2bn(q, (int)q_length, NULL);
	BIGNUM *t = BN_new();
	int ok = ctx != NULL && bn != NULL && bd != NULL && bp != NULL && bq != NULL && t != NULL;

	if (ok) {
		BN_set_flags(bd, BN_FLG_CONSTTIME);
		BN_set_flags(bp, BN_FLG_CONSTTIME);
		BN_set_flags(bq, BN_FLG_CONSTTIME);
		BN_set_flags(t, BN_FLG_CONSTTIME);
		ok = BN_mul(t, bp, bq, ctx) == 1 && BN_cmp(t, bn) == 0 && BN_is_odd(bp) && BN_is_odd(bq) &&
		    !BN_is_one(bp) && !BN_is_one(bq);
	}
	if (ok && (ok = BN_sub_word(bp, 1) == 1 && BN_mod(t, bd, bp, ctx) == 1))
		add_bn(b, OSSL_PKEY_PARAM_RSA_EXPONENT1, t);
	if (ok && (ok = BN_sub_word(bq, 1) == 1 && BN_mod(t, bd, bq, ctx) == 1))
		add_bn(b, OSSL_PKEY_PARAM_RSA_EXPONENT2, t);
	BN_free(bn);
	BN_clear_free(bd);
	BN_clear_free(bp);
	BN_clear_free(bq);
	BN_clear_free(t);
	BN_CTX_free(ctx);
	return ok;
}

EVP_PKEY *nano_rsa_private(const uint8_t *n, size_t n_length, const uint8_t *e, size_t e_length,
    const uint8_t *d, size_t d_length, const uint8_t *p, size_t p_length, const uint8_t *q,
    size_t q_length, const uint8_t *iqmp, size_t iqmp_length, struct nano_error *error)
{
	struct builder b = { .count = 0 };
	EVP_PKEY *key;

	if (!modulus_usable(n, n_length, e, e_length) || d_length > NANO_RSA_BYTES_MAX + 1 ||
	    p_length > NANO_RSA_BYTES_MAX || q_length > NANO_RSA_BYTES_MAX || iqmp_length > NANO_RSA_BYTES_MAX) {
		nano_fail(error, "RSA: modulus or exponent out of range");
		return NULL;
	}
	add_number(&b, OSSL_PKEY_PARAM_RSA_N, n, n_length);
	add_number(&b, OSSL_PKEY_PARAM_RSA_E, e, e_length);
	add_number(&b, OSSL_PKEY_PARAM_RSA_D, d, d_length);
	add_number(&b, OSSL_PKEY_PARAM_RSA_FACTOR1, p, p_length);
	add_number(&b, OSSL_PKEY_PARAM_RSA_FACTOR2, q, q_length);
	if (!add_exponents(&b, n, n_length, d, d_length, p, p_length, q, q_length))
		b.failed = 1;
	add_number(&b, OSSL_PKEY_PARAM_RSA_COEFFICIENT1, iqmp, iqmp_length);
	key = finish(&b, "RSA", 1, error);
	return key;
}

// nano_rsa_sign makes a PKCS#1 v1.5 signature; *sig_length is the room, then
// the length, always that of the modulus.
int nano_rsa_sign(EVP_PKEY *key, const char *digest, const uint8_t *message, size_t length, uint8_t *sig,
    size_t *sig_length, struct nano_error *error)
{
	if (sign(key, digest, message, length, sig, sig_length))
		return NANO_OK;
	return nano_fail(error, "cannot sign");
}

// nano_rsa_verify takes signatures whose leading zeros are missing, as OpenSSH
// does (some clients send them as numbers), and none that is too long.
int nano_rsa_verify(EVP_PKEY *key, const char *digest, const uint8_t *message, size_t length,
    const uint8_t *sig, size_t sig_length)
{
	uint8_t padded[NANO_RSA_BYTES_MAX];
	size_t size = (size_t)EVP_PKEY_get_size(key);

	if (sig_length == 0 || sig_length > size || size > sizeof padded)
		return NANO_BAD;
	memset(padded, 0, size - sig_length);
	memcpy(padded + size - sig_length, sig, sig_length);
	return verify(key, digest, message, length, padded, size);
}

// nano_key_number writes one number of a key; *length is the room, then the
// length.
int nano_key_number(EVP_PKEY *key, const char *name, uint8_t *out, size_t *length, struct nano_error *error)
{
	BIGNUM *n = NULL;

	if (EVP_PKEY_get_bn_param(key, name, &n) != 1 || (size_t)BN_num_bytes(n) > *length) {
		BN_clear_free(n);
		return nano_fail(error, name);
	}
	*length = (size_t)BN_bn2bin(n, out);
	BN_clear_free(n);
	return NANO_OK;
}

// nano_dsa_new makes a DSA key; x_length 0 means public only.
EVP_PKEY *nano_dsa_new(const uint8_t *p, size_t p_length, const uint8_t *q, size_t q_length,
    const uint8_t *g, size_t g_length, const uint8_t *y, size_t y_length, const uint8_t *x,
    size_t x_length, struct nano_error *error)
{
	struct builder b = { .count = 0 };

	add_number(&b, OSSL_PKEY_PARAM_FFC_P, p, p_length);
	add_number(&b, OSSL_PKEY_PARAM_FFC_Q, q, q_length);
	add_number(&b, OSSL_PKEY_PARAM_FFC_G, g, g_length);
	add_number(&b, OSSL_PKEY_PARAM_PUB_KEY, y, y_length);
	if (x_length > 0)
		add_number(&b, OSSL_PKEY_PARAM_PRIV_KEY, x, x_length);
	return finish(&b, "DSA", x_length > 0, error);
}
