#include "base/sha256.hpp"

#include <openssl/evp.h>

#include "base/error.hpp"

namespace pyracast {

namespace {

EVP_MD_CTX* of(void* context) { return static_cast<EVP_MD_CTX*>(context); }

}  // namespace

Sha256::Sha256() : context_(::EVP_MD_CTX_new()) {
  require(context_ && ::EVP_DigestInit_ex(of(context_), ::EVP_sha256(), nullptr) == 1, "SHA-256 cannot be started");
}

Sha256::~Sha256() { ::EVP_MD_CTX_free(of(context_)); }

void Sha256::add(std::span<const std::byte> bytes) {
  require(::EVP_DigestUpdate(of(context_), bytes.data(), bytes.size()) == 1, "SHA-256 failed");
}

std::string Sha256::hexadecimal_so_far() const {
  Sha256 copy;
  require(::EVP_MD_CTX_copy_ex(of(copy.context_), of(context_)) == 1, "SHA-256 cannot be copied");
  return copy.hexadecimal();
}

std::string Sha256::hexadecimal() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  require(::EVP_DigestFinal_ex(of(context_), digest, &size) == 1, "SHA-256 failed");
  std::string text;
  for (unsigned i = 0; i < size; ++i) text += {"0123456789abcdef"[digest[i] >> 4], "0123456789abcdef"[digest[i] & 15]};
  return text;
}

}  // namespace pyracast
