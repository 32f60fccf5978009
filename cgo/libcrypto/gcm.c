// aes128-gcm@openssh.com and aes256-gcm@openssh.com: RFC 5647, with the IV of
// section 7.1: four fixed bytes and a 64 bit invocation counter.
#include "nano.h"

#include <limits.h>
#include <string.h>
#include <openssl/crypto.h>

enum { HEAD = 4, TAG = 16, IV = 12 };

struct nano_gcm {
	EVP_CIPHER_CTX *ctx;
	uint64_t packets; // sealed or opened with this key
	uint8_t iv[IV];   // of the next packet
};

struct nano_gcm *nano_gcm_new(const uint8_t *key, size_t key_length, const uint8_t *iv, int encrypt,
    struct nano_error *error)
{
	struct nano_gcm *c = OPENSSL_zalloc(sizeof *c);
	const EVP_CIPHER *cipher = key_length == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();

	if (c != NULL && (c->ctx = EVP_CIPHER_CTX_new()) != NULL &&
	    EVP_CipherInit_ex(c->ctx, cipher, NULL, key, NULL, encrypt) == 1) {
		memcpy(c->iv, iv, IV);
		return c;
	}
	nano_fail(error, "aes-gcm");
	nano_gcm_free(c);
	return NULL;
}

void nano_gcm_free(struct nano_gcm *c)
{
	if (c == NULL)
		return;
	EVP_CIPHER_CTX_free(c->ctx);
	OPENSSL_clear_free(c, sizeof *c);
}

void nano_gcm_state(const struct nano_gcm *c, uint8_t *iv)
{
	memcpy(iv, c->iv, IV);
}

// advance takes one IV. It counts invocations beside the counter in the IV:
// that one starts anywhere, so its value does not show when it comes round.
static int advance(struct nano_gcm *c, uint8_t *iv)
{
	if (c->packets == UINT64_MAX)
		return 0;
	c->packets++;
	memcpy(iv, c->iv, IV);
	for (int i = IV - 1; i >= IV - 8; i--)
		if (++c->iv[i] != 0)
			break;
	return 1;
}

int nano_gcm_seal(struct nano_gcm *c, uint8_t *packet, size_t length, struct nano_error *error)
{
	uint8_t iv[IV];
	int n, body = (int)(length - HEAD - TAG);

	if (length < HEAD + TAG || length > INT_MAX)
		return nano_fail(error, "aes-gcm: packet length out of range");
	if (!advance(c, iv))
		return nano_fail(error, "aes-gcm: all invocations of this key are used");
	if (EVP_EncryptInit_ex(c->ctx, NULL, NULL, NULL, iv) != 1 ||
	    EVP_EncryptUpdate(c->ctx, NULL, &n, packet, HEAD) != 1 ||
	    EVP_EncryptUpdate(c->ctx, packet + HEAD, &n, packet + HEAD, body) != 1 ||
	    EVP_EncryptFinal_ex(c->ctx, packet + HEAD + body, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, TAG, packet + HEAD + body) != 1)
		return nano_fail(error, "aes-gcm");
	return NANO_OK;
}

int nano_gcm_open(struct nano_gcm *c, uint8_t *packet, size_t length, struct nano_error *error)
{
	uint8_t iv[IV];
	int n, body = (int)(length - HEAD - TAG);

	if (length < HEAD + TAG || length > INT_MAX)
		return nano_bad();
	if (!advance(c, iv))
		return nano_fail(error, "aes-gcm: all invocations of this key are used");
	if (EVP_DecryptInit_ex(c->ctx, NULL, NULL, NULL, iv) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_SET_TAG, TAG, packet + HEAD + body) != 1 ||
	    EVP_DecryptUpdate(c->ctx, NULL, &n, packet, HEAD) != 1 ||
	    EVP_DecryptUpdate(c->ctx, packet + HEAD, &n, packet + HEAD, body) != 1)
		return nano_fail(error, "aes-gcm");
	if (EVP_DecryptFinal_ex(c->ctx, packet + HEAD + body, &n) == 1)
		return NANO_OK;
	// Decrypted in place before the tag was known: nobody may read it.
	OPENSSL_cleanse(packet, length);
	return nano_bad();
}
