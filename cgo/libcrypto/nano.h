// Declarations shared by the C side of cgo/libcrypto.
//
// Results: NANO_OK, NANO_BAD (what a peer sent does not verify or is out of
// range) or NANO_FAILED (the library refused; struct nano_error says why).
// OpenSSL's error queue belongs to the thread, and a goroutine may be on
// another thread at its next call: so every function that returns NANO_BAD or
// NANO_FAILED has emptied the queue itself.
#ifndef NANO_H
#define NANO_H

#ifndef OPENSSL_SUPPRESS_DEPRECATED
#define OPENSSL_SUPPRESS_DEPRECATED // digest.c says why
#endif

#include <stddef.h>
#include <stdint.h>
#include <openssl/opensslv.h>
#include <openssl/evp.h>
#include <openssl/md5.h>
#include <openssl/sha.h>

#if OPENSSL_VERSION_NUMBER < 0x30000000L
#error "cgo/libcrypto needs OpenSSL 3.0 or later"
#endif

enum { NANO_OK = 1, NANO_BAD = 0, NANO_FAILED = -1 };

struct nano_error {
	char text[160];
};

int nano_fail(struct nano_error *error, const char *what);
int nano_bad(void);
void nano_init(void);

// Digests. The order is that of the table in digest.c.
enum nano_digest_kind { NANO_MD5, NANO_SHA1, NANO_SHA256, NANO_SHA384, NANO_SHA512, NANO_DIGESTS };

struct nano_digest {
	int kind;
	union {
		MD5_CTX md5;
		SHA_CTX sha1;
		SHA256_CTX sha256;
		SHA512_CTX sha512;
	} state;
};

enum { NANO_DIGEST_MAX = 64, NANO_DIGEST_BLOCK_MAX = 128 };

int nano_digest_kind_of(const char *name);
size_t nano_digest_size(int kind);
size_t nano_digest_block(int kind);
void nano_digest_init(struct nano_digest *digest, int kind);
void nano_digest_update(struct nano_digest *digest, const uint8_t *data, size_t length);
void nano_digest_final(struct nano_digest *digest, uint8_t *out);
void nano_digest_peek(const struct nano_digest *digest, uint8_t *out);
void nano_digest_wipe(struct nano_digest *digest);

// chacha20-poly1305@openssh.com
struct nano_chachapoly;
struct nano_chachapoly *nano_chachapoly_new(const uint8_t *key, struct nano_error *error);
void nano_chachapoly_free(struct nano_chachapoly *c);
int nano_chachapoly_length(struct nano_chachapoly *c, uint32_t seq, const uint8_t *head,
    uint32_t *length, struct nano_error *error);
int nano_chachapoly_seal(struct nano_chachapoly *c, uint32_t seq, uint8_t *packet, size_t length,
    struct nano_error *error);
int nano_chachapoly_open(struct nano_chachapoly *c, uint32_t seq, uint8_t *packet, size_t length,
    struct nano_error *error);

// aes128-gcm@openssh.com, aes256-gcm@openssh.com
struct nano_gcm;
struct nano_gcm *nano_gcm_new(const uint8_t *key, size_t key_length, const uint8_t *iv, int encrypt,
    struct nano_error *error);
void nano_gcm_free(struct nano_gcm *c);
int nano_gcm_seal(struct nano_gcm *c, uint8_t *packet, size_t length, struct nano_error *error);
int nano_gcm_open(struct nano_gcm *c, uint8_t *packet, size_t length, struct nano_error *error);
void nano_gcm_state(const struct nano_gcm *c, uint8_t *iv);

// Block modes: CTR and CBC
struct nano_block;
struct nano_block *nano_ctr_new(const uint8_t *key, size_t key_length, const uint8_t *iv,
    struct nano_error *error);
struct nano_block *nano_cbc_new(const char *name, const uint8_t *key, const uint8_t *iv, int encrypt,
    struct nano_error *error);
void nano_block_free(struct nano_block *c);
int nano_block_crypt(struct nano_block *c, uint8_t *data, size_t length, struct nano_error *error);
void nano_block_state(const struct nano_block *c, uint8_t *iv);

// MACs
struct nano_umac;
struct nano_umac *nano_umac_new(int tag_length, const uint8_t *key, struct nano_error *error);
void nano_umac_free(struct nano_umac *u);
int nano_umac_sum(struct nano_umac *u, uint64_t nonce, const uint8_t *data, size_t length, uint8_t *tag,
    struct nano_error *error);

struct nano_mac;
struct nano_mac *nano_hmac_new(int kind, const uint8_t *key, size_t key_length, struct nano_error *error);
struct nano_mac *nano_mac_umac_new(int tag_length, const uint8_t *key, struct nano_error *error);
void nano_mac_free(struct nano_mac *m);
int nano_mac_sum(struct nano_mac *m, uint64_t seq, const uint8_t *data, size_t length, uint8_t *tag,
    size_t tag_length, struct nano_error *error);
int nano_mac_verify(struct nano_mac *m, uint32_t seq, const uint8_t *data, size_t length,
    const uint8_t *tag, size_t tag_length, struct nano_error *error);

// AES-CTR with a MAC: one packet, one call
int nano_ctrmac_seal(struct nano_block *c, struct nano_mac *m, int etm, size_t tag_length, uint32_t seq,
    uint8_t *packet, size_t length, struct nano_error *error);
int nano_ctrmac_open(struct nano_block *c, struct nano_mac *m, int etm, size_t tag_length, uint32_t seq,
    uint8_t *packet, size_t length, size_t already, struct nano_error *error);

// Public keys. Numbers are big-endian byte strings.
EVP_PKEY *nano_ec_generate(const char *curve, struct nano_error *error);
EVP_PKEY *nano_ec_new(const char *curve, const uint8_t *point, size_t point_length, const uint8_t *scalar,
    size_t scalar_length, struct nano_error *error);
int nano_ec_point(EVP_PKEY *key, uint8_t *out, size_t *length, struct nano_error *error);
int nano_ec_scalar(EVP_PKEY *key, uint8_t *out, size_t length, struct nano_error *error);
int nano_ecdh(EVP_PKEY *own, const uint8_t *point, size_t point_length, uint8_t *secret, size_t *length,
    struct nano_error *error);
int nano_pair_sign(EVP_PKEY *key, const char *digest, const uint8_t *message, size_t length, uint8_t *r,
    size_t *r_length, uint8_t *s, size_t *s_length, struct nano_error *error);
int nano_pair_verify(EVP_PKEY *key, const char *digest, const uint8_t *message, size_t length,
    const uint8_t *r, size_t r_length, const uint8_t *s, size_t s_length);

enum { NANO_RSA_BYTES_MAX = 2048 };

EVP_PKEY *nano_rsa_generate(int bits, struct nano_error *error);
EVP_PKEY *nano_rsa_public(const uint8_t *n, size_t n_length, const uint8_t *e, size_t e_length,
    struct nano_error *error);
EVP_PKEY *nano_rsa_private(const uint8_t *n, size_t n_length, const uint8_t *e, size_t e_length,
    const uint8_t *d, size_t d_length, const uint8_t *p, size_t p_length, const uint8_t *q,
    size_t q_length, const uint8_t *iqmp, size_t iqmp_length, struct nano_error *error);
int nano_rsa_sign(EVP_PKEY *key, const char *digest, const uint8_t *message, size_t length, uint8_t *sig,
    size_t *sig_length, struct nano_error *error);
int nano_rsa_verify(EVP_PKEY *key, const char *digest, const uint8_t *message, size_t length,
    const uint8_t *sig, size_t sig_length);
int nano_key_number(EVP_PKEY *key, const char *name, uint8_t *out, size_t *length, struct nano_error *error);

EVP_PKEY *nano_dsa_new(const uint8_t *p, size_t p_length, const uint8_t *q, size_t q_length,
    const uint8_t *g, size_t g_length, const uint8_t *y, size_t y_length, const uint8_t *x,
    size_t x_length, struct nano_error *error);

// Finite-field Diffie-Hellman
struct nano_dh;
struct nano_dh *nano_dh_new(const uint8_t *p, size_t p_length, const uint8_t *g, size_t g_length,
    int secret_bits, struct nano_error *error);
void nano_dh_free(struct nano_dh *dh);
int nano_dh_public(struct nano_dh *dh, uint8_t *out, size_t *length, struct nano_error *error);
int nano_dh_shared(struct nano_dh *dh, const uint8_t *peer, size_t peer_length, uint8_t *secret,
    size_t *length, struct nano_error *error);
int nano_dh_group(const char *name, uint8_t *out, size_t *length, struct nano_error *error);

#endif
