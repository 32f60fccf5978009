// What github.com/spacemonkeygo/openssl (2018) needs of OpenSSL 3. Its build is
// given this file by CGO_CFLAGS="-include .../compat.h", which reaches every
// other file of C too, and assembler files: so it includes no header (that
// would come before their _GNU_SOURCE) and hides from the assembler.
#ifndef NANO_COMPAT_H
#define NANO_COMPAT_H
#ifndef __ASSEMBLER__

struct ossl_lib_ctx_st;
int EVP_default_properties_enable_fips(struct ossl_lib_ctx_st *context, int enable);

// OpenSSL 3 replaced FIPS_mode_set by properties.
static inline int FIPS_mode_set(int on)
{
	return EVP_default_properties_enable_fips((struct ossl_lib_ctx_st *)0, on);
}

#endif
#endif
