# Cuts the tables of OpenSSL's default provider down to what SSH uses, so that the link drops the rest:
# perl -0777 -pi deps/openssl-trim.pl providers/defltprov.c crypto/provider_predefined.c
# What a table no longer names, libcrypto answers with "unsupported".
my $keep = qr/^(SHA1|SHA2_(224|256|384|512)|SHAKE_(128|256)|MD5|NULL|POLY1305|ECDH|EC|RSA|DSA|ECDSA|ML_DSA_44|(RSA|ECDSA|DSA)_SHA(1|256|384|512)|CTR_DRBG|SEED_SRC|AES_(128|192|256)_(ECB|CBC|CTR|GCM)|ChaCha20|DES_EDE3_CBC)$/;
s/\n\s*\{ PROV_NAMES_(\w+),[^{}]*\},/my ($entry, $name) = ($&, $1); $name =~ $keep && $entry !~ m!_legacy_! ? $entry : ""/ge;
s/\n\s*ALGC\([^()]*\),//g;
s/\n\s*ALG\(PROV_NAMES_(\w+),[^()]*\),/my ($entry, $name) = ($&, $1); $name =~ $keep ? $entry : ""/ge;
s/\n\s*case OSSL_OP_(?:KDF|ASYM_CIPHER|KEM|ENCODER|DECODER|STORE|SKEYMGMT):\s*return \w+;//g;
s/\n\s*\{ "base",[^{}]*\},//g;
