#pragma once
#include <cstdint>

namespace pyracast {

/// Threads wait without spinning, and waking them takes some 50 us: about what one of them needs for so many elements. 0, which tests
/// set, has all be shared out that can be.
inline int64_t elements_worth_threads = 1 << 17;

/// Whether a product is worth waking threads for.
inline bool worth_threads(int64_t multiply_adds) { return multiply_adds >= 16 * elements_worth_threads; }

}  // namespace pyracast
