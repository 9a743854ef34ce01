#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/device_code.cuh"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256;

template <class F>
__global__ void for_each_kernel(int64_t n, float* out, F f) {
  const int64_t i = global_index();
  if (i < n) out[i] = f(i);
}

/// out[i] = f(i) for all elements.
template <class F>
void for_each(cudaStream_t stream, const char* what, View out, F f) {
  launch(stream, what, pieces_of(out.size(), threads), threads, 0, for_each_kernel<F>, out.size(), floats(out), f);
}

struct Activate {
  Activation activation;
  const float* x;
  __device__ float operator()(int64_t i) const { return activated(activation, x[i]); }
};
struct Add {
  const float *a, *b;
  __device__ float operator()(int64_t i) const { return a[i] + b[i]; }
};
struct Multiply {
  const float *a, *b;
  __device__ float operator()(int64_t i) const { return a[i] * b[i]; }
};
struct Combine {
  float a, b;
  const float *x, *y;
  __device__ float operator()(int64_t i) const { return a * x[i] + b * y[i]; }
};

/// Element i of x [groups, rows, channels] has these factors: at its group and channel.
struct PerGroup {
  int64_t group_elements, channels;
  __device__ int64_t operator()(int64_t i) const { return i / group_elements * channels + i % channels; }
};
struct Modulate {
  PerGroup factor;
  const float *x, *shift, *scale;
  __device__ float operator()(int64_t i) const {
    const int64_t at = factor(i);
    return x[i] * (1 + scale[at]) + shift[at];
  }
};
struct Gate {
  PerGroup factor;
  const float *x, *gate;
  __device__ float operator()(int64_t i) const { return x[i] * gate[factor(i)]; }
};

// A thread a pair: x [batch, tokens, heads, size], angles [tokens, size / 2].
__global__ void rotate_kernel(int64_t pairs, int64_t tokens, int64_t heads, int64_t half, const float* x,
                              const float* cosines, const float* sines, float* out) {
  const int64_t pair = global_index();
  if (pair >= pairs) return;
  const int64_t token = pair / (half * heads) % tokens, angle = token * half + pair % half;
  const float cosine = cosines[angle], sine = sines[angle], first = x[2 * pair], second = x[2 * pair + 1];
  out[2 * pair] = first * cosine - second * sine;
  out[2 * pair + 1] = second * cosine + first * sine;
}

/// Row numbers that travel as a kernel's argument: no upload, and nothing on the host that must outlive the call.
struct SomeRows {
  static constexpr int most = 240;
  int64_t index[most];
};

// A block a row.
template <class Element>
__global__ void gather_rows_kernel(SomeRows rows, int64_t columns, const Element* table, float* out) {
  const Element* from = table + rows.index[blockIdx.x] * columns;
  for (int64_t c = threadIdx.x; c < columns; c += blockDim.x) out[blockIdx.x * columns + c] = float(from[c]);
}

template <class Element>
void gather(cudaStream_t stream, View table, std::span<const int64_t> indices, View out) {
  const int64_t columns = table.shape.back();
  for (size_t first = 0; first < indices.size(); first += SomeRows::most) {
    const std::span part = indices.subspan(first, std::min(indices.size() - first, size_t(SomeRows::most)));
    SomeRows rows{};
    std::copy(part.begin(), part.end(), rows.index);
    launch(stream, "gather_rows", int64_t(part.size()), threads, 0, gather_rows_kernel<Element>, rows, columns,
           static_cast<const Element*>(table.data), floats(out) + int64_t(first) * columns);
  }
}

}  // namespace
}  // namespace cuda

void CudaBackend::activate(View x, Activation activation, View out) {
  cuda::for_each(stream(), "activate", out, cuda::Activate{activation, cuda::floats(x)});
}

void CudaBackend::add(View a, View b, View out) {
  cuda::for_each(stream(), "add", out, cuda::Add{cuda::floats(a), cuda::floats(b)});
}

void CudaBackend::multiply(View a, View b, View out) {
  cuda::for_each(stream(), "multiply", out, cuda::Multiply{cuda::floats(a), cuda::floats(b)});
}

void CudaBackend::combine(float a, View x, float b, View y, View out) {
  cuda::for_each(stream(), "combine", out, cuda::Combine{a, b, cuda::floats(x), cuda::floats(y)});
}

void CudaBackend::modulate(View x, View shift, View scale, View out) {
  cuda::for_each(stream(), "modulate", out,
                 cuda::Modulate{{x.shape[1] * x.shape[2], x.shape[2]}, cuda::floats(x), cuda::floats(shift), cuda::floats(scale)});
}

void CudaBackend::gate(View x, View gate, View out) {
  cuda::for_each(stream(), "gate", out, cuda::Gate{{x.shape[1] * x.shape[2], x.shape[2]}, cuda::floats(x), cuda::floats(gate)});
}

void CudaBackend::rotate(View x, View cosines, View sines, View out) {
  const int64_t pairs = x.size() / 2;
  cuda::launch(stream(), "rotate", pieces_of(pairs, cuda::threads), cuda::threads, 0, cuda::rotate_kernel, pairs, x.shape[1],
               x.shape[2], x.shape[3] / 2, cuda::floats(x), cuda::floats(cosines), cuda::floats(sines), cuda::floats(out));
}

void CudaBackend::gather_rows(View table, std::span<const int64_t> indices, View out) {
  if (table.dtype == DType::float32) cuda::gather<float>(stream(), table, indices, out);
  else cuda::gather<bfloat16>(stream(), table, indices, out);
}

}  // namespace pyracast
