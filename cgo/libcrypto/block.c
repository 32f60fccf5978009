// AES-CTR (RFC 4344) and the CBC modes (RFC 4253 section 6.3), in place.
//
// The chaining state is kept here too, so that a connection can be handed to
// another process: OpenSSL's own is not readable the same way in 3.0 and 3.5.
#include "nano.h"

#include <limits.h>
#include <string.h>
#include <openssl/crypto.h>

enum { BLOCK_MAX = 16 };

enum mode { CTR, CBC_ENCRYPT, CBC_DECRYPT };

struct nano_block {
	EVP_CIPHER_CTX *ctx;
	enum mode mode;
	size_t block;
	uint8_t iv[BLOCK_MAX]; // CTR: counter of the next block; CBC: last block encrypted
};

static struct nano_block *block_new(const EVP_CIPHER *cipher, enum mode mode, size_t block,
    const uint8_t *key, const uint8_t *iv, struct nano_error *error)
{
	struct nano_block *c = OPENSSL_zalloc(sizeof *c);

	if (c != NULL && (c->ctx = EVP_CIPHER_CTX_new()) != NULL &&
	    EVP_CipherInit_ex(c->ctx, cipher, NULL, key, iv, mode != CBC_DECRYPT) == 1 &&
	    EVP_CIPHER_CTX_set_padding(c->ctx, 0) == 1) {
		c->mode = mode;
		c->block = block;
		memcpy(c->iv, iv, block);
		return c;
	}
	nano_fail(error, "block cipher");
	nano_block_free(c);
	return NULL;
}

struct nano_block *nano_ctr_new(const uint8_t *key, size_t key_length, const uint8_t *iv,
    struct nano_error *error)
{
	const EVP_CIPHER *cipher = key_length == 16 ? EVP_aes_128_ctr() :
	    key_length == 24 ? EVP_aes_192_ctr() : EVP_aes_256_ctr();

	return block_new(cipher, CTR, 16, key, iv, error);
}

struct nano_block *nano_cbc_new(const char *name, const uint8_t *key, const uint8_t *iv, int encrypt,
    struct nano_error *error)
{
	// Fetched by name: a trimmed libcrypto may lack 3DES.
	EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
	struct nano_block *c;

	if (cipher == NULL) {
		nano_fail(error, name);
		return NULL;
	}
	c = block_new(cipher, encrypt ? CBC_ENCRYPT : CBC_DECRYPT,
	    (size_t)EVP_CIPHER_get_block_size(cipher), key, iv, error);
	EVP_CIPHER_free(cipher);
	return c;
}

void nano_block_free(struct nano_block *c)
{
	if (c == NULL)
		return;
	EVP_CIPHER_CTX_free(c->ctx);
	OPENSSL_clear_free(c, sizeof *c);
}

void nano_block_state(const struct nano_block *c, uint8_t *iv)
{
	memcpy(iv, c->iv, c->block);
}

static void count(struct nano_block *c, uint64_t blocks)
{
	for (int i = BLOCK_MAX - 1; i >= 0 && blocks != 0; i--) {
		blocks += c->iv[i];
		c->iv[i] = (uint8_t)blocks;
		blocks >>= 8;
	}
}

// nano_block_crypt encrypts or decrypts whole blocks.
int nano_block_crypt(struct nano_block *c, uint8_t *data, size_t length, struct nano_error *error)
{
	int n;

	if (length % c->block != 0 || length > INT_MAX)
		return nano_fail(error, "block cipher: length is not a multiple of the block size");
	if (length == 0)
		return NANO_OK;
	if (c->mode == CBC_DECRYPT)
		memcpy(c->iv, data + length - c->block, c->block);
	if (EVP_CipherUpdate(c->ctx, data, &n, data, (int)length) != 1 || (size_t)n != length)
		return nano_fail(error, "block cipher");
	if (c->mode == CBC_ENCRYPT)
		memcpy(c->iv, data + length - c->block, c->block);
	if (c->mode == CTR)
		count(c, length / c->block);
	return NANO_OK;
}
