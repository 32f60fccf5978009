#include "nano.h"

#include <stdio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

// nano_init keeps OpenSSL from running handlers at exit: goroutines on other
// threads may still be inside the library then.
void nano_init(void)
{
	OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
}

// nano_fail reports that `what` failed, with the oldest reason on this
// thread's error queue (later ones only say who passed it on), and empties it.
int nano_fail(struct nano_error *error, const char *what)
{
	unsigned long code = ERR_get_error();
	const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;

	if (reason != NULL)
		snprintf(error->text, sizeof error->text, "%s: %s", what, reason);
	else if (code != 0)
		snprintf(error->text, sizeof error->text, "%s: error 0x%lx", what, code);
	else
		snprintf(error->text, sizeof error->text, "%s", what);
	ERR_clear_error();
	return NANO_FAILED;
}

// nano_bad reports a peer's fault; the library's own words about it go.
int nano_bad(void)
{
	ERR_clear_error();
	return NANO_BAD;
}
