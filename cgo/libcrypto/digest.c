// Digests on the low-level contexts of libcrypto, not on EVP: they have no
// pointer, so a half-done state is copied by assignment (HMAC's two prepared
// states, the exchange hash), nothing is allocated for a packet, and a 64 byte
// HMAC costs a third. The assembly behind both is the same. OpenSSL calls the
// interface deprecated since 3.0 and still has it in every 3.x.
#include "nano.h"

#include <string.h>
#include <openssl/crypto.h>

static const struct {
	const char *name;
	size_t size, block;
} digests[NANO_DIGESTS] = {
	[NANO_MD5] = { "md5", 16, 64 },
	[NANO_SHA1] = { "sha1", 20, 64 },
	[NANO_SHA256] = { "sha256", 32, 64 },
	[NANO_SHA384] = { "sha384", 48, 128 },
	[NANO_SHA512] = { "sha512", 64, 128 },
};

// nano_digest_kind_of returns -1 for a name it does not know.
int nano_digest_kind_of(const char *name)
{
	for (int kind = 0; kind < NANO_DIGESTS; kind++)
		if (strcmp(name, digests[kind].name) == 0)
			return kind;
	return -1;
}

size_t nano_digest_size(int kind)
{
	return digests[kind].size;
}

size_t nano_digest_block(int kind)
{
	return digests[kind].block;
}

void nano_digest_init(struct nano_digest *digest, int kind)
{
	digest->kind = kind;
	switch (kind) {
	case NANO_MD5:
		MD5_Init(&digest->state.md5);
		break;
	case NANO_SHA1:
		SHA1_Init(&digest->state.sha1);
		break;
	case NANO_SHA256:
		SHA256_Init(&digest->state.sha256);
		break;
	case NANO_SHA384:
		SHA384_Init(&digest->state.sha512);
		break;
	case NANO_SHA512:
		SHA512_Init(&digest->state.sha512);
		break;
	}
}

void nano_digest_update(struct nano_digest *digest, const uint8_t *data, size_t length)
{
	switch (digest->kind) {
	case NANO_MD5:
		MD5_Update(&digest->state.md5, data, length);
		break;
	case NANO_SHA1:
		SHA1_Update(&digest->state.sha1, data, length);
		break;
	case NANO_SHA256:
		SHA256_Update(&digest->state.sha256, data, length);
		break;
	case NANO_SHA384:
		SHA384_Update(&digest->state.sha512, data, length);
		break;
	case NANO_SHA512:
		SHA512_Update(&digest->state.sha512, data, length);
		break;
	}
}

// nano_digest_final writes nano_digest_size bytes and leaves a state that
// only nano_digest_init makes useful again.
void nano_digest_final(struct nano_digest *digest, uint8_t *out)
{
	switch (digest->kind) {
	case NANO_MD5:
		MD5_Final(out, &digest->state.md5);
		break;
	case NANO_SHA1:
		SHA1_Final(out, &digest->state.sha1);
		break;
	case NANO_SHA256:
		SHA256_Final(out, &digest->state.sha256);
		break;
	case NANO_SHA384:
		SHA384_Final(out, &digest->state.sha512);
		break;
	case NANO_SHA512:
		SHA512_Final(out, &digest->state.sha512);
		break;
	}
}

// nano_digest_peek writes the digest of what was written so far and leaves the
// state as it is.
void nano_digest_peek(const struct nano_digest *digest, uint8_t *out)
{
	struct nano_digest copy = *digest;

	nano_digest_final(&copy, out);
	nano_digest_wipe(&copy);
}

void nano_digest_wipe(struct nano_digest *digest)
{
	OPENSSL_cleanse(&digest->state, sizeof digest->state);
}
