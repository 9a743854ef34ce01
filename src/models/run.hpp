#pragma once
#include "comm/sequence_parallel.hpp"
#include "pab/attention_cache.hpp"
#include "tensor/observer.hpp"

namespace pyracast {

/// What one evaluation of a network talks through.
struct Run {
  SequenceParallel& parallel;
  AttentionCache& cached;
  Observer observe = {};
};

}  // namespace pyracast
