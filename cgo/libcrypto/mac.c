// HMAC (RFC 2104, RFC 6668) and UMAC (umac.c) behind one door, and both with
// AES-CTR as one call a packet.
#include "nano.h"

#include <string.h>
#include <openssl/crypto.h>

struct nano_mac {
	struct nano_umac *umac;          // or NULL: HMAC
	struct nano_digest inner, outer; // HMAC states with the key's block done
	size_t size;
};

struct nano_mac *nano_hmac_new(int kind, const uint8_t *key, size_t key_length, struct nano_error *error)
{
	struct nano_mac *m = OPENSSL_zalloc(sizeof *m);
	uint8_t pad[NANO_DIGEST_BLOCK_MAX] = { 0 };
	size_t block = nano_digest_block(kind);

	if (m == NULL) {
		nano_fail(error, "hmac");
		return NULL;
	}
	m->size = nano_digest_size(kind);
	if (key_length > block) {
		nano_digest_init(&m->inner, kind);
		nano_digest_update(&m->inner, key, key_length);
		nano_digest_final(&m->inner, pad);
	} else if (key_length > 0) {
		memcpy(pad, key, key_length);
	}
	for (size_t i = 0; i < block; i++)
		pad[i] ^= 0x36;
	nano_digest_init(&m->inner, kind);
	nano_digest_update(&m->inner, pad, block);
	for (size_t i = 0; i < block; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	nano_digest_init(&m->outer, kind);
	nano_digest_update(&m->outer, pad, block);
	OPENSSL_cleanse(pad, sizeof pad);
	return m;
}

struct nano_mac *nano_mac_umac_new(int tag_length, const uint8_t *key, struct nano_error *error)
{
	struct nano_mac *m = OPENSSL_zalloc(sizeof *m);

	if (m == NULL) {
		nano_fail(error, "umac");
		return NULL;
	}
	m->size = (size_t)tag_length;
	m->umac = nano_umac_new(tag_length, key, error);
	if (m->umac != NULL)
		return m;
	nano_mac_free(m);
	return NULL;
}

void nano_mac_free(struct nano_mac *m)
{
	if (m == NULL)
		return;
	nano_umac_free(m->umac);
	OPENSSL_clear_free(m, sizeof *m);
}

static int sum(struct nano_mac *m, uint64_t seq, const uint8_t *data, size_t length,
    uint8_t tag[NANO_DIGEST_MAX], struct nano_error *error)
{
	struct nano_digest work;
	uint8_t prefix[4] = { (uint8_t)(seq >> 24), (uint8_t)(seq >> 16), (uint8_t)(seq >> 8), (uint8_t)seq };

	if (m->umac != NULL)
		return nano_umac_sum(m->umac, seq, data, length, tag, error);
	work = m->inner;
	nano_digest_update(&work, prefix, sizeof prefix);
	nano_digest_update(&work, data, length);
	nano_digest_final(&work, tag);
	work = m->outer;
	nano_digest_update(&work, tag, m->size);
	nano_digest_final(&work, tag);
	nano_digest_wipe(&work);
	return NANO_OK;
}

// nano_mac_sum writes the first tag_length bytes of the tag. A sequence number
// has 32 bits; the test vectors of UMAC have nonces of 64.
int nano_mac_sum(struct nano_mac *m, uint64_t seq, const uint8_t *data, size_t length, uint8_t *tag,
    size_t tag_length, struct nano_error *error)
{
	uint8_t full[NANO_DIGEST_MAX];
	int result;

	if (tag_length > m->size)
		return nano_fail(error, "mac: tag too long");
	result = sum(m, seq, data, length, full, error);
	if (result == NANO_OK)
		memcpy(tag, full, tag_length);
	return result;
}

int nano_mac_verify(struct nano_mac *m, uint32_t seq, const uint8_t *data, size_t length,
    const uint8_t *tag, size_t tag_length, struct nano_error *error)
{
	uint8_t full[NANO_DIGEST_MAX];
	int result;

	// An empty tag would match everything.
	if (tag_length == 0 || tag_length > m->size)
		return nano_bad();
	result = sum(m, seq, data, length, full, error);
	if (result == NANO_OK && CRYPTO_memcmp(full, tag, tag_length) != 0)
		result = nano_bad();
	OPENSSL_cleanse(full, sizeof full); // the right tag of a forged packet is a secret
	return result;
}

// nano_ctrmac_seal encrypts and authenticates one packet in place: length
// field, body, room for the tag. Encrypt-then-MAC leaves the length clear.
int nano_ctrmac_seal(struct nano_block *c, struct nano_mac *m, int etm, size_t tag_length, uint32_t seq,
    uint8_t *packet, size_t length, struct nano_error *error)
{
	size_t clear = etm ? 4 : 0, sealed = length - tag_length;
	int result;

	if (length < tag_length + 4)
		return nano_fail(error, "packet too short");
	if (etm) {
		result = nano_block_crypt(c, packet + clear, sealed - clear, error);
		if (result == NANO_OK)
			result = nano_mac_sum(m, seq, packet, sealed, packet + sealed, tag_length, error);
	} else {
		result = nano_mac_sum(m, seq, packet, sealed, packet + sealed, tag_length, error);
		if (result == NANO_OK)
			result = nano_block_crypt(c, packet, sealed, error);
	}
	return result;
}

// nano_ctrmac_open undoes it. Without encrypt-then-MAC the caller has decrypted
// the first `already` bytes to learn the length.
int nano_ctrmac_open(struct nano_block *c, struct nano_mac *m, int etm, size_t tag_length, uint32_t seq,
    uint8_t *packet, size_t length, size_t already, struct nano_error *error)
{
	size_t sealed = length - tag_length;
	int result;

	if (length < tag_length + 4 || already > sealed)
		return nano_bad();
	if (etm) {
		if ((sealed - 4) % 16 != 0)
			return nano_bad();
		result = nano_mac_verify(m, seq, packet, sealed, packet + sealed, tag_length, error);
		if (result == NANO_OK)
			result = nano_block_crypt(c, packet + 4, sealed - 4, error);
		return result;
	}
	if ((sealed - already) % 16 != 0)
		return nano_bad();
	result = nano_block_crypt(c, packet + already, sealed - already, error);
	if (result == NANO_OK)
		result = nano_mac_verify(m, seq, packet, sealed, packet + sealed, tag_length, error);
	if (result != NANO_OK)
		OPENSSL_cleanse(packet, length); // decrypted, and nobody knows what it is
	return result;
}
