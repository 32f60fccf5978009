// chacha20-poly1305@openssh.com: OpenSSH's PROTOCOL.chacha20poly1305.
//
// The key is two ChaCha20 keys: the first encrypts the body, the second the
// four length bytes, both with the sequence number as 64 bit nonce. Block 0 of
// the first key's stream is the Poly1305 key, the body starts with block 1.
#include "nano.h"

#include <limits.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>

enum { HEAD = 4, TAG = 16, BLOCK = 64, POLY_KEY = 32 };

struct nano_chachapoly {
	EVP_CIPHER_CTX *body, *head;
	EVP_MAC_CTX *poly;

	// What nano_chachapoly_length decrypted last, for nano_chachapoly_open.
	uint32_t seq;
	uint8_t sealed[HEAD], opened[HEAD];
	int known;
};

static EVP_CIPHER_CTX *chacha_new(const uint8_t *key)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_chacha20(), NULL, key, NULL) == 1)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

struct nano_chachapoly *nano_chachapoly_new(const uint8_t *key, struct nano_error *error)
{
	struct nano_chachapoly *c = OPENSSL_zalloc(sizeof *c);
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "POLY1305", NULL);

	if (c != NULL && mac != NULL) {
		c->body = chacha_new(key);
		c->head = chacha_new(key + 32);
		c->poly = EVP_MAC_CTX_new(mac);
	}
	EVP_MAC_free(mac); // the context holds a reference
	if (c != NULL && c->body != NULL && c->head != NULL && c->poly != NULL)
		return c;
	nano_fail(error, "chacha20-poly1305");
	nano_chachapoly_free(c);
	return NULL;
}

void nano_chachapoly_free(struct nano_chachapoly *c)
{
	if (c == NULL)
		return;
	EVP_CIPHER_CTX_free(c->body);
	EVP_CIPHER_CTX_free(c->head);
	EVP_MAC_CTX_free(c->poly);
	OPENSSL_clear_free(c, sizeof *c);
}

// start puts a stream at block 0 for one packet. libcrypto's 16 byte IV is the
// block counter (64 bits here) and the nonce.
static int start(EVP_CIPHER_CTX *ctx, uint32_t seq)
{
	uint8_t iv[16] = { 0 };

	iv[12] = (uint8_t)(seq >> 24);
	iv[13] = (uint8_t)(seq >> 16);
	iv[14] = (uint8_t)(seq >> 8);
	iv[15] = (uint8_t)seq;
	return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, iv) == 1;
}

static int crypt_head(struct nano_chachapoly *c, uint32_t seq, const uint8_t *in, uint8_t *out)
{
	int n;

	return start(c->head, seq) && EVP_EncryptUpdate(c->head, out, &n, in, HEAD) == 1;
}

// authenticate makes the tag of the encrypted length and body, and leaves the
// body's stream at block 1.
static int authenticate(struct nano_chachapoly *c, const uint8_t *key, const uint8_t *packet,
    size_t length, uint8_t *tag)
{
	size_t n;

	return EVP_MAC_init(c->poly, key, POLY_KEY, NULL) == 1 &&
	    EVP_MAC_update(c->poly, packet, length) == 1 && EVP_MAC_final(c->poly, tag, &n, TAG) == 1;
}

static int poly_key(struct nano_chachapoly *c, uint32_t seq, uint8_t *block)
{
	static const uint8_t zeros[BLOCK];
	int n;

	return start(c->body, seq) && EVP_EncryptUpdate(c->body, block, &n, zeros, BLOCK) == 1;
}

int nano_chachapoly_length(struct nano_chachapoly *c, uint32_t seq, const uint8_t *head,
    uint32_t *length, struct nano_error *error)
{
	if (!crypt_head(c, seq, head, c->opened))
		return nano_fail(error, "chacha20-poly1305");
	memcpy(c->sealed, head, HEAD);
	c->seq = seq;
	c->known = 1;
	*length = (uint32_t)c->opened[0] << 24 | (uint32_t)c->opened[1] << 16 |
	    (uint32_t)c->opened[2] << 8 | c->opened[3];
	return NANO_OK;
}

int nano_chachapoly_seal(struct nano_chachapoly *c, uint32_t seq, uint8_t *packet, size_t length,
    struct nano_error *error)
{
	uint8_t block[BLOCK];
	size_t sealed = length - TAG;
	int n, ok;

	if (length < HEAD + TAG || length > INT_MAX)
		return nano_fail(error, "chacha20-poly1305: packet length out of range");
	ok = crypt_head(c, seq, packet, packet) && poly_key(c, seq, block) &&
	    EVP_EncryptUpdate(c->body, packet + HEAD, &n, packet + HEAD, (int)(sealed - HEAD)) == 1 &&
	    authenticate(c, block, packet, sealed, packet + sealed);
	OPENSSL_cleanse(block, sizeof block);
	return ok ? NANO_OK : nano_fail(error, "chacha20-poly1305");
}

int nano_chachapoly_open(struct nano_chachapoly *c, uint32_t seq, uint8_t *packet, size_t length,
    struct nano_error *error)
{
	uint8_t block[BLOCK], tag[TAG];
	size_t sealed = length - TAG;
	int n, ok, same;

	if (length < HEAD + TAG || length > INT_MAX)
		return nano_bad();
	ok = poly_key(c, seq, block) && authenticate(c, block, packet, sealed, tag);
	OPENSSL_cleanse(block, sizeof block);
	if (!ok)
		return nano_fail(error, "chacha20-poly1305");
	if (CRYPTO_memcmp(tag, packet + sealed, TAG) != 0)
		return nano_bad();
	same = c->known && c->seq == seq && memcmp(c->sealed, packet, HEAD) == 0;
	c->known = 0;
	if (same)
		memcpy(packet, c->opened, HEAD);
	else if (!crypt_head(c, seq, packet, packet))
		return nano_fail(error, "chacha20-poly1305");
	if (EVP_EncryptUpdate(c->body, packet + HEAD, &n, packet + HEAD, (int)(sealed - HEAD)) != 1)
		return nano_fail(error, "chacha20-poly1305");
	return NANO_OK;
}
