// UMAC-64 and UMAC-128: RFC 4418 over libcrypto's AES-128, with the nonce of
// umac-64@openssh.com and umac-128@openssh.com: the sequence number as eight
// bytes, big-endian.
//
// A tag is 32 bits a stream: two streams for UMAC-64, four for UMAC-128. Each
// stream hashes the whole message with its own keys in three layers: NH makes
// 8 bytes of each 1024 (nearly all of the work), a polynomial modulo
// 2^64 - 59 makes 8 bytes of those, an inner product modulo 2^36 - 5 makes 4.
// The 128 bit polynomial of RFC 4418 is for messages over 16 MiB. No packet is
// that long, so it is not here.
#include "nano.h"

#include <string.h>
#include <openssl/crypto.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
	KEY = 16,
	CHUNK = 1024,               // bytes that one NH takes
	STREAMS_MAX = 4,
	MESSAGE_MAX = 1 << 24,      // bytes; beyond it comes the 128 bit polynomial
	L1_WORDS = CHUNK / 4 + (STREAMS_MAX - 1) * 4,
};

#define P64_OFFSET 59                       // p64 = 2^64 - 59
#define P64_MARKER (UINT64_MAX - P64_OFFSET) // p64 - 1
#define P64_WORDS 0xffffffff00000000u        // words from here on need the marker
#define P36 0xffffffffbu                     // 2^36 - 5

struct nano_umac {
	EVP_CIPHER_CTX *pad; // AES with the key that makes pads of nonces
	int streams;
	uint32_t l1[L1_WORDS];           // stream i begins at word 4 * i
	uint64_t l2[STREAMS_MAX];
	uint64_t l3[STREAMS_MAX][4];     // for the lower half; the upper is zero
	uint32_t l3_mask[STREAMS_MAX];

	// UMAC-64 takes both halves of one AES block for two nonces.
	uint64_t pad_nonce;
	int pad_known;
	uint8_t pad_block[16];
};

static uint32_t big32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t big64(const uint8_t *p)
{
	return (uint64_t)big32(p) << 32 | big32(p + 4);
}

static void put_big64(uint8_t *p, uint64_t v)
{
	for (int i = 7; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static EVP_CIPHER_CTX *aes_new(const uint8_t *key)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

	if (ctx != NULL && EVP_EncryptInit_ex(ctx, EVP_aes_128_ecb(), NULL, key, NULL) == 1 &&
	    EVP_CIPHER_CTX_set_padding(ctx, 0) == 1)
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

static int aes_block(EVP_CIPHER_CTX *ctx, const uint8_t *in, uint8_t *out)
{
	int n;

	return EVP_EncryptUpdate(ctx, out, &n, in, 16) == 1 && n == 16;
}

// derive is the KDF of section 3.2.1; length is a multiple of 16.
static int derive(EVP_CIPHER_CTX *ctx, int index, uint8_t *out, size_t length)
{
	uint8_t block[16] = { 0 };

	block[7] = (uint8_t)index;
	for (size_t i = 1; length > 0; i++, out += 16, length -= 16) {
		put_big64(block + 8, i);
		if (!aes_block(ctx, block, out))
			return 0;
	}
	return 1;
}

static int derive_all(struct nano_umac *u, const uint8_t *key)
{
	EVP_CIPHER_CTX *ctx = aes_new(key);
	uint8_t l1[L1_WORDS * 4], l2[STREAMS_MAX * 24], l3[STREAMS_MAX * 64], mask[STREAMS_MAX * 4], pad[KEY];
	int ok = ctx != NULL && derive(ctx, 0, pad, sizeof pad) && derive(ctx, 1, l1, sizeof l1) &&
	    derive(ctx, 2, l2, sizeof l2) && derive(ctx, 3, l3, sizeof l3) && derive(ctx, 4, mask, sizeof mask) &&
	    (u->pad = aes_new(pad)) != NULL;

	if (ok) {
		for (size_t i = 0; i < L1_WORDS; i++)
			u->l1[i] = big32(l1 + 4 * i);
		for (int s = 0; s < STREAMS_MAX; s++) {
			u->l2[s] = big64(l2 + 24 * s) & 0x01ffffff01ffffffu;
			for (int i = 0; i < 4; i++)
				u->l3[s][i] = big64(l3 + 64 * s + 32 + 8 * i) % P36;
			u->l3_mask[s] = big32(mask + 4 * s);
		}
	}
	EVP_CIPHER_CTX_free(ctx);
	OPENSSL_cleanse(l1, sizeof l1);
	OPENSSL_cleanse(l2, sizeof l2);
	OPENSSL_cleanse(l3, sizeof l3);
	OPENSSL_cleanse(mask, sizeof mask);
	OPENSSL_cleanse(pad, sizeof pad);
	return ok;
}

// nano_umac_new makes a UMAC with tags of 8 or 16 bytes and a 16 byte key.
struct nano_umac *nano_umac_new(int tag_length, const uint8_t *key, struct nano_error *error)
{
	struct nano_umac *u = OPENSSL_zalloc(sizeof *u);

	if (u != NULL && derive_all(u, key)) {
		u->streams = tag_length / 4;
		return u;
	}
	nano_fail(error, "umac");
	nano_umac_free(u);
	return NULL;
}

void nano_umac_free(struct nano_umac *u)
{
	if (u == NULL)
		return;
	EVP_CIPHER_CTX_free(u->pad);
	OPENSSL_clear_free(u, sizeof *u);
}

// nh_streams is NH of section 5.2.2 for `streams` streams at once: one load of
// the message serves all of them. length is a multiple of 32.
static inline __attribute__((always_inline)) void nh_streams(const uint32_t *key, const uint8_t *data,
    size_t length, int streams, uint64_t *out)
{
#ifdef __SSE2__
	// Compilers do not find this form: in each half of a vector, the product
	// of the lower words and that of the upper words.
	__m128i sums[STREAMS_MAX];

	for (int s = 0; s < streams; s++)
		sums[s] = _mm_setzero_si128();
	for (; length >= 32; data += 32, length -= 32, key += 8) {
		__m128i low = _mm_loadu_si128((const __m128i *)(const void *)data);
		__m128i high = _mm_loadu_si128((const __m128i *)(const void *)(data + 16));

		for (int s = 0; s < streams; s++) {
			const void *k = key + 4 * s, *k4 = key + 4 * s + 4;
			__m128i a = _mm_add_epi32(low, _mm_loadu_si128(k));
			__m128i b = _mm_add_epi32(high, _mm_loadu_si128(k4));

			sums[s] = _mm_add_epi64(sums[s], _mm_mul_epu32(a, b));
			sums[s] = _mm_add_epi64(sums[s], _mm_mul_epu32(_mm_srli_epi64(a, 32), _mm_srli_epi64(b, 32)));
		}
	}
	for (int s = 0; s < streams; s++) {
		uint64_t halves[2];

		_mm_storeu_si128((__m128i *)(void *)halves, sums[s]);
		out[s] += halves[0] + halves[1];
	}
#else
	for (; length >= 32; data += 32, length -= 32, key += 8) {
		uint32_t words[8];

		memcpy(words, data, sizeof words);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
		for (int i = 0; i < 8; i++)
			words[i] = __builtin_bswap32(words[i]);
#endif
		for (int s = 0; s < streams; s++)
			for (int i = 0; i < 4; i++)
				out[s] += (uint64_t)(words[i] + key[4 * s + i]) *
				    (uint32_t)(words[i + 4] + key[4 * s + i + 4]);
	}
#endif
}

static void nh(const uint32_t *key, const uint8_t *data, size_t length, int streams, uint64_t *out)
{
	if (streams == 2) // so that the compiler unrolls both
		nh_streams(key, data, length, 2, out);
	else
		nh_streams(key, data, length, 4, out);
}

// nh_chunk hashes at most 1024 bytes and adds their length in bits.
static void nh_chunk(const struct nano_umac *u, const uint8_t *data, size_t length, uint64_t *out)
{
	size_t whole = length - length % 32;
	uint8_t last[32] = { 0 };

	for (int s = 0; s < u->streams; s++)
		out[s] = (uint64_t)length * 8;
	nh(u->l1, data, whole, u->streams, out);
	if (length % 32 == 0 && length != 0)
		return;
	memcpy(last, data + whole, length - whole);
	nh(u->l1 + whole / 4, last, sizeof last, u->streams, out);
}

// multiply_add is key * y + add modulo p64, for key < 2^57.
static uint64_t multiply_add(uint64_t key, uint64_t y, uint64_t add)
{
	uint64_t high, low, sum;
#ifdef __SIZEOF_INT128__
	unsigned __int128 product = (unsigned __int128)key * y;

	high = (uint64_t)(product >> 64);
	low = (uint64_t)product;
#else
	uint64_t a = (uint32_t)key, b = key >> 32, c = (uint32_t)y, d = y >> 32;
	uint64_t middle = b * c + (a * c >> 32), cross = a * d + (uint32_t)middle;

	high = b * d + (middle >> 32) + (cross >> 32);
	low = cross << 32 | (uint32_t)(a * c);
#endif
	// 2^64 is 59 modulo p64, and high < 2^57.
	sum = low + high * P64_OFFSET;
	if (sum < low)
		sum += P64_OFFSET; // cannot carry again: what is left is small
	low = sum + add;
	if (low < sum)
		low += P64_OFFSET;
	return low >= (uint64_t)0 - P64_OFFSET ? low + P64_OFFSET : low;
}

// poly adds one word to the polynomial hash of section 5.3.2.
static uint64_t poly(uint64_t key, uint64_t y, uint64_t word)
{
	if (word < P64_WORDS)
		return multiply_add(key, y, word);
	y = multiply_add(key, y, P64_MARKER);
	return multiply_add(key, y, word - P64_OFFSET);
}

// l3 is section 5.4.1 for a value whose upper eight bytes are zero.
static uint32_t l3(const struct nano_umac *u, int s, uint64_t y)
{
	uint64_t sum = 0;

	for (int i = 0; i < 4; i++)
		sum += (y >> (48 - 16 * i) & 0xffff) * u->l3[s][i];
	return (uint32_t)(sum % P36) ^ u->l3_mask[s];
}

// pad computes the pad of section 3.3.1 and returns where it begins in the
// block: UMAC-64 takes the half that the nonce's last bit names.
static const uint8_t *pad(struct nano_umac *u, uint64_t nonce)
{
	size_t half = u->streams == 2 ? (size_t)(nonce & 1) : 0;
	uint8_t block[16] = { 0 };

	if (u->streams == 2)
		nonce &= ~(uint64_t)1;
	if (!u->pad_known || u->pad_nonce != nonce) {
		put_big64(block, nonce);
		u->pad_known = aes_block(u->pad, block, u->pad_block);
		if (!u->pad_known)
			return NULL;
		u->pad_nonce = nonce;
	}
	return u->pad_block + 8 * half;
}

// nano_umac_sum writes the tag, 8 or 16 bytes as nano_umac_new was told.
int nano_umac_sum(struct nano_umac *u, uint64_t nonce, const uint8_t *data, size_t length, uint8_t *tag,
    struct nano_error *error)
{
	uint64_t hash[STREAMS_MAX], y[STREAMS_MAX] = { 1, 1, 1, 1 };
	const uint8_t *mask = pad(u, nonce);

	if (mask == NULL)
		return nano_fail(error, "umac");
	if (length > MESSAGE_MAX)
		return nano_fail(error, "umac: message too long");
	if (length <= CHUNK) { // one NH: its value goes past the polynomial
		nh_chunk(u, data, length, y);
	} else {
		while (length > 0) {
			size_t n = length < CHUNK ? length : CHUNK;

			nh_chunk(u, data, n, hash);
			for (int s = 0; s < u->streams; s++)
				y[s] = poly(u->l2[s], y[s], hash[s]);
			data += n;
			length -= n;
		}
	}
	for (int s = 0; s < u->streams; s++) {
		uint32_t word = l3(u, s, y[s]);

		for (int i = 0; i < 4; i++)
			tag[4 * s + i] = mask[4 * s + i] ^ (uint8_t)(word >> (24 - 8 * i));
	}
	return NANO_OK;
}
