# Writes the SHA-256 of FILE to OUTPUT, as a string of C++.
file(SHA256 ${FILE} digest)
file(WRITE ${OUTPUT} "\"${digest}\"\n")
