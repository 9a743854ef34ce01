#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256;

struct Activate : Nothing {
  Activation activation;
  explicit Activate(Activation activation) : activation(activation) {}
  __device__ float operator()(Nothing, int, float x) const { return activated(activation, x); }
};
struct Add : Nothing {
  __device__ float operator()(Nothing, int, float a, float b) const { return a + b; }
};
struct Multiply : Nothing {
  __device__ float operator()(Nothing, int, float a, float b) const { return a * b; }
};
struct Combine : Nothing {
  float a, b;
  Combine(float a, float b) : a(a), b(b) {}
  __device__ float operator()(Nothing, int, float x, float y) const { return a * x + b * y; }
};

struct Modulate {
  PerGroup factors;
  const float *shift, *scale;
  template <int n>
  struct Factors {
    Pack<float, n> shift, scale;
  };
  template <int n>
  __device__ Factors<n> of_pack(int64_t i) const {
    const int64_t at = factors(i);
    return {load<n>(shift + at), load<n>(scale + at)};
  }
  template <int n>
  __device__ float operator()(const Factors<n>& by, int k, float x) const {
    return x * (1 + by.scale.of[k]) + by.shift.of[k];
  }
};
struct Gate {
  PerGroup factors;
  const float* gate;
  template <int n>
  __device__ Pack<float, n> of_pack(int64_t i) const {
    return load<n>(gate + factors(i));
  }
  template <int n>
  __device__ float operator()(const Pack<float, n>& by, int k, float x) const {
    return x * by.of[k];
  }
};
struct AddGated : Gate {
  template <int n>
  __device__ float operator()(const Pack<float, n>& by, int k, float x, float branch) const {
    return x + branch * by.of[k];
  }
};

// A thread a pair: x [batch, tokens, heads, size], angles [tokens, size / 2].
template <class T>
__global__ void rotate_kernel(int64_t pairs, int64_t tokens, int64_t heads, int64_t half, const T* x, const float* cosines,
                              const float* sines, T* out) {
  const int64_t pair = global_index();
  if (pair >= pairs) return;
  const int64_t token = pair / (half * heads) % tokens, angle = token * half + pair % half;
  const Pack<T, 2> from = load<2>(x + 2 * pair);
  const float cosine = cosines[angle], sine = sines[angle], first = float(from.of[0]), second = float(from.of[1]);
  store(out + 2 * pair, Pack<T, 2>{rounded<T>(first * cosine - second * sine), rounded<T>(second * cosine + first * sine)});
}

/// Row numbers that travel as a kernel's argument: no upload, and nothing on the host that must outlive the call.
struct SomeRows {
  static constexpr int most = 240;
  int64_t index[most];
};

// A thread an element: rows may be short, and many (the biases of a T5's relative positions).
template <class Element>
__global__ void gather_rows_kernel(SomeRows rows, int64_t elements, int64_t columns, const Element* table, Element* out) {
  const int64_t i = global_index();
  if (i < elements) out[i] = table[rows.index[i / columns] * columns + i % columns];
}

template <class Element>
void gather(cudaStream_t stream, View table, std::span<const int64_t> indices, int64_t columns, View out) {
  for (size_t first = 0; first < indices.size(); first += SomeRows::most) {
    const std::span part = indices.subspan(first, std::min(indices.size() - first, size_t(SomeRows::most)));
    SomeRows rows{};
    std::copy(part.begin(), part.end(), rows.index);
    const int64_t count = int64_t(part.size()) * columns;
    launch(stream, "gather_rows", pieces_of(count, threads), threads, 0, gather_rows_kernel<Element>, rows, count, columns,
           static_cast<const Element*>(table.data), elements<Element>(out) + int64_t(first) * columns);
  }
}

}  // namespace
}  // namespace cuda

void CudaBackend::activate(View x, Activation activation, View out) {
  cuda::map(stream(), "activate", out, out.size(), cuda::Activate(activation), x);
}

void CudaBackend::add(View a, View b, View out) { cuda::map(stream(), "add", out, out.size(), cuda::Add(), a, b); }

void CudaBackend::multiply(View a, View b, View out) { cuda::map(stream(), "multiply", out, out.size(), cuda::Multiply(), a, b); }

void CudaBackend::combine(float a, View x, float b, View y, View out) {
  cuda::map(stream(), "combine", out, out.size(), cuda::Combine(a, b), x, y);
}

void CudaBackend::modulate(View x, View shift, View scale, View out) {
  const cuda::Modulate modulate{cuda::PerGroup(x), cuda::floats(shift), cuda::floats(scale)};
  cuda::map(stream(), "modulate", out, x.shape[2], modulate, x);
}

void CudaBackend::gate(View x, View gate, View out) {
  cuda::map(stream(), "gate", out, x.shape[2], cuda::Gate{cuda::PerGroup(x), cuda::floats(gate)}, x);
}

void CudaBackend::add_gated(View x, View branch, View gate, View out) {
  cuda::map(stream(), "add_gated", out, x.shape[2], cuda::AddGated{{cuda::PerGroup(x), cuda::floats(gate)}}, x, branch);
}

void CudaBackend::rotate(View x, View cosines, View sines, View out) {
  const int64_t pairs = x.size() / 2;
  cuda::with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    cuda::launch(stream(), "rotate", pieces_of(pairs, cuda::threads), cuda::threads, 0, cuda::rotate_kernel<T>, pairs, x.shape[1], x.shape[2],
                 x.shape[3] / 2, cuda::elements<const T>(x), cuda::floats(cosines), cuda::floats(sines), cuda::elements<T>(out));
  });
}

void CudaBackend::gather_rows(View table, std::span<const int64_t> indices, View out) {
  const int64_t columns = table.shape.back(), together = 16 / int64_t(size_of(table.dtype));
  if (cuda::in_packs(columns, int(together), table, out)) cuda::gather<uint4>(stream(), table, indices, columns / together, out);
  else if (table.dtype == DType::float32) cuda::gather<float>(stream(), table, indices, columns, out);
  else cuda::gather<bfloat16>(stream(), table, indices, columns, out);
}

}  // namespace pyracast
