#include <sys/mman.h>

#include <cstdlib>
#include <cstring>

#include "base/error.hpp"
#include "kernels/cpu/cpu_backend.hpp"

namespace pyracast {

namespace {

/// Large blocks lie in huge pages as far as they fill them: a product that walks through weights waits less for addresses.
void* from_system(size_t bytes) {
  constexpr size_t huge = size_t(1) << 21;
  const bool large = bytes >= 2 * huge;
  void* block = nullptr;
  if (::posix_memalign(&block, large ? huge : 64, bytes) != 0) return nullptr;   // any size, unlike aligned_alloc
  if (large) madvise(block, bytes / huge * huge, MADV_HUGEPAGE);   // advice: where it is not taken, all else stays
  return block;
}

}  // namespace

MemoryPool::~MemoryPool() {
  for (auto& [bytes, idle] : free_)
    for (void* block : idle.blocks) std::free(block);
}

void* MemoryPool::idle_block(size_t bytes) {
  const auto found = free_.find(bytes);
  if (found == free_.end() || found->second.blocks.empty()) return nullptr;
  void* block = found->second.blocks.back();
  found->second.blocks.pop_back();
  found->second.last_used = ++clock_;
  idle_ -= bytes;
  return block;
}

void MemoryPool::release_idle(size_t most_held) {
  while (in_use_ + idle_ > most_held && idle_ > 0) {
    const auto oldest = std::min_element(free_.begin(), free_.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second.blocks.empty(), a.second.last_used) < std::pair(b.second.blocks.empty(), b.second.last_used);
    });
    idle_ -= oldest->first * oldest->second.blocks.size();
    for (void* block : oldest->second.blocks) std::free(block);
    free_.erase(oldest);
  }
}

void MemoryPool::release_idle() {
  const std::lock_guard lock(mutex_);
  release_idle(0);
  most_since_release_ = in_use_;
}

std::shared_ptr<void> MemoryPool::allocate(size_t bytes) {
  const size_t rounded = block_bytes(bytes);
  void* block = nullptr;
  {
    const std::lock_guard lock(mutex_);
    block = idle_block(rounded);
    in_use_ += rounded;
    most_in_use_ = std::max(most_in_use_, in_use_);
    most_since_release_ = std::max(most_since_release_, in_use_);
    if (!block) {
      ++blocks_made_;
      release_idle(2 * most_since_release_);
    }
  }
  if (!block) block = from_system(rounded);
  require(block, "out of memory: ", rounded, " bytes asked for");
  return {block, [pool = weak_from_this(), rounded](void* given) {
            if (const auto alive = pool.lock()) alive->give_back(given, rounded);
            else std::free(given);
          }};
}

void MemoryPool::give_back(void* block, size_t bytes) {
  const std::lock_guard lock(mutex_);
  Idle& idle = free_[bytes];
  idle.blocks.push_back(block);
  idle.last_used = ++clock_;
  idle_ += bytes;
  in_use_ -= bytes;
}

std::string CpuBackend::name() const { return std::string("cpu-") + simd_.name; }

void CpuBackend::upload(const void* host, View out) {
  if (out.size() > 0) std::memcpy(out.data, host, size_t(out.size()) * size_of(out.dtype));
}

void CpuBackend::download(View x, void* host) {
  if (x.size() > 0) std::memcpy(host, x.data, size_t(x.size()) * size_of(x.dtype));
}

namespace {

template <class Element>
void copy_axes(const Element* in, const int64_t* in_strides, Element* out, const int64_t* out_strides,
               const int64_t* shape, size_t axes) {
  if (axes == 1) {
    if (in_strides[0] == 1 && out_strides[0] == 1) {
      std::memcpy(out, in, size_t(shape[0]) * sizeof(Element));
    } else {
      for (int64_t i = 0; i < shape[0]; ++i) out[i * out_strides[0]] = in[i * in_strides[0]];
    }
    return;
  }
  for (int64_t i = 0; i < shape[0]; ++i)
    copy_axes(in + i * in_strides[0], in_strides + 1, out + i * out_strides[0], out_strides + 1, shape + 1, axes - 1);
}

template <class Element>
void copy_elements(const void* in, int64_t in_offset, const Shape& in_strides, void* out, int64_t out_offset,
                   const Shape& out_strides, const Shape& shape) {
  const auto* from = static_cast<const Element*>(in) + in_offset;
  auto* to = static_cast<Element*>(out) + out_offset;
  const size_t axes = shape.size();
  if (axes == 1) return copy_axes(from, in_strides.data(), to, out_strides.data(), shape.data(), axes);
  // The two leading axes are spread over the threads.
  const int64_t inner = axes > 2 ? shape[1] : 1;
  const size_t leading = axes > 2 ? 2 : 1;
  int64_t each = 1;
  for (size_t axis = leading; axis < axes; ++axis) each *= shape[axis];
  cpu::parallel_pieces(shape[0] * inner, each, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i / inner, second = i % inner;
      const int64_t second_in = leading == 2 ? second * in_strides[1] : 0;
      const int64_t second_out = leading == 2 ? second * out_strides[1] : 0;
      copy_axes(from + first * in_strides[0] + second_in, in_strides.data() + leading,
                to + first * out_strides[0] + second_out, out_strides.data() + leading, shape.data() + leading,
                axes - leading);
    }
  });
}

}  // namespace

void CpuBackend::copy(View in, int64_t in_offset, const Shape& in_strides, View out, int64_t out_offset,
                      const Shape& out_strides, const Shape& shape) {
  switch (size_of(in.dtype)) {
    case 1: return copy_elements<uint8_t>(in.data, in_offset, in_strides, out.data, out_offset, out_strides, shape);
    case 2: return copy_elements<uint16_t>(in.data, in_offset, in_strides, out.data, out_offset, out_strides, shape);
    case 4: return copy_elements<uint32_t>(in.data, in_offset, in_strides, out.data, out_offset, out_strides, shape);
    default: return copy_elements<uint64_t>(in.data, in_offset, in_strides, out.data, out_offset, out_strides, shape);
  }
}

void CpuBackend::fill(View out, float value) { std::fill_n(cpu::floats(out), out.size(), value); }

void CpuBackend::convert(View x, View out) {
  const auto convert = [n = x.size()](const auto* from, auto* to) {
    using To = std::remove_pointer_t<decltype(to)>;
    std::transform(from, from + n, to, [](auto value) { return To(float(value)); });
  };
  const auto* const wide = cpu::floats(x);
  const auto* const narrow = static_cast<const bfloat16*>(x.data);
  auto* const rounded = static_cast<bfloat16*>(out.data);
  if (out.dtype == DType::float32) x.dtype == DType::float32 ? convert(wide, cpu::floats(out)) : convert(narrow, cpu::floats(out));
  else x.dtype == DType::float32 ? convert(wide, rounded) : convert(narrow, rounded);
}

}  // namespace pyracast
