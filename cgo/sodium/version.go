package sodium

// #include <sodium.h>
import "C"

// Version returns the library's version, such as "1.0.22".
func Version() string { return C.GoString(C.sodium_version_string()) }
