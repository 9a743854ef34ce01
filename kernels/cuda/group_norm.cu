// Sums are taken over pieces of fixed length and added up in a fixed order, in double, as on the CPU.
#include "kernels/cuda/cuda_backend.hpp"
#include "kernels/cuda/elements.cuh"
#include "kernels/cuda/scratch.hpp"

namespace pyracast {

namespace cuda {
namespace {

constexpr int threads = 256;

/// x [batch, positions, channels], cut into pieces of positions.
struct Pieces {
  int64_t positions, pieces, channels, groups;
};

/// How a block takes a piece: so many packs of n channels at a time, of so many positions each.
struct PieceSums {
  int packs, at_once, rows;
  constexpr PieceSums(int64_t channels, int n) : packs(int(channels) / n), at_once(packs < threads ? packs : threads), rows(threads / at_once) {}
  constexpr int at_work() const { return rows * at_once; }   // threads
};

// A block a piece: sums [batch][piece][2][channels] of x and of x^2. A thread adds up every `rows`-th position of a pack of channels, then
// the first thread of a pack what the others have.
template <int n, class T>
__global__ void piece_sums_kernel(Pieces s, const T* x, double* sums) {
  double* const of_rows = reinterpret_cast<double*>(shared_floats());   // [2][n][rows][at_once]: neighbouring threads meet no bank conflict
  const PieceSums by(s.channels, n);
  const int64_t piece = blockIdx.x, batch = piece / s.pieces;
  const int64_t first = piece % s.pieces * group_norm_piece;
  const int64_t last = first + group_norm_piece < s.positions ? first + group_norm_piece : s.positions;
  const int row = int(threadIdx.x) / by.at_once, place = int(threadIdx.x) % by.at_once;
  for (int pack = place; pack < by.packs; pack += threads) {   // once, where a pack has several rows
    double sum[n] = {}, square[n] = {};
    if (row < by.rows)
      for (int64_t i = first + row; i < last; i += by.rows) {
        const Pack<T, n> values = load<n>(x + (batch * s.positions + i) * s.channels + pack * n);
#pragma unroll
        for (int k = 0; k < n; ++k) {
          const double value = float(values.of[k]);
          sum[k] += value;
          square[k] += value * value;
        }
      }
    if (by.rows > 1) {
      double* const own = of_rows + row * by.at_once + place;
      if (row < by.rows)
        for (int k = 0; k < n; ++k) own[k * by.at_work()] = sum[k], own[(n + k) * by.at_work()] = square[k];
      __syncthreads();
    }
    if (row > 0) return;   // no thread comes to the barrier again
    for (int other = 1; other < by.rows; ++other)
      for (int k = 0; k < n; ++k) {
        sum[k] += of_rows[k * by.at_work() + other * by.at_once + place];
        square[k] += of_rows[(n + k) * by.at_work() + other * by.at_once + place];
      }
    double* const out = sums + piece * 2 * s.channels + pack * n;
    for (int k = 0; k < n; ++k) out[k] = sum[k], out[s.channels + k] = square[k];
  }
}

template <int n, class T>
void sum_pieces(cudaStream_t stream, const Pieces& s, int64_t batch, const T* x, double* sums) {
  const PieceSums by(s.channels, n);
  const size_t shared_bytes = by.rows > 1 ? size_t(by.at_work() * 2 * n) * sizeof(double) : 0;
  launch(stream, "group_norm", batch * s.pieces, threads, shared_bytes, piece_sums_kernel<n, T>, s, x, sums);
}

// A block a group of a batch entry: factors [batch][2][channels], by which x is scaled and shifted.
__global__ void group_factors_kernel(Pieces s, const double* sums, double epsilon, const float* weight, const float* bias,
                                     float* factors) {
  __shared__ double of_threads[2][threads];
  const int64_t batch = blockIdx.x / s.groups, group = blockIdx.x % s.groups, width = s.channels / s.groups;
  double sum = 0, square = 0;
  for (int64_t i = threadIdx.x; i < s.pieces * width; i += threads) {
    const int64_t at = (batch * s.pieces + i / width) * 2 * s.channels + group * width + i % width;
    sum += sums[at];
    square += sums[at + s.channels];
  }
  of_threads[0][threadIdx.x] = sum;
  of_threads[1][threadIdx.x] = square;
  for (int half = threads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (int(threadIdx.x) < half)
      for (int which = 0; which < 2; ++which) of_threads[which][threadIdx.x] += of_threads[which][threadIdx.x + half];
  }
  __syncthreads();
  const double count = double(s.positions * width), mean = of_threads[0][0] / count;
  const double variance = of_threads[1][0] / count - mean * mean;
  const double scale = 1 / sqrt((variance > 0 ? variance : 0) + epsilon);
  for (int64_t c = group * width + threadIdx.x; c < (group + 1) * width; c += threads) {
    factors[batch * 2 * s.channels + c] = float(scale * weight[c]);
    factors[(batch * 2 + 1) * s.channels + c] = float(bias[c] - mean * scale * weight[c]);
  }
}

struct ApplyFactors {
  Pieces s;
  const float* factors;
  Activation activation;
  template <int n>
  struct Factors {
    Pack<float, n> scale, shift;
  };
  template <int n>
  __device__ Factors<n> of_pack(int64_t i) const {
    const int64_t at = i / (s.positions * s.channels) * 2 * s.channels + i % s.channels;
    return {load<n>(factors + at), load<n>(factors + at + s.channels)};
  }
  template <int n>
  __device__ float operator()(const Factors<n>& by, int k, float x) const {
    return activated(activation, x * by.scale.of[k] + by.shift.of[k]);
  }
};

}  // namespace
}  // namespace cuda

void CudaBackend::group_norm(View x, int64_t groups, float epsilon, View weight, View bias, Activation activation,
                             View out) {
  using namespace cuda;
  const int64_t batch = x.shape[0];
  if (x.size() == 0) return;
  const Pieces s{x.shape[1], pieces_of(x.shape[1], group_norm_piece), x.shape[2], groups};
  const auto sums = allocate(group_norm_sums_bytes(batch, s.positions, s.channels)), factors = allocate(group_norm_factors_bytes(batch, s.channels));
  double* const sums_data = static_cast<double*>(sums.get());
  float* const factors_data = static_cast<float*>(factors.get());
  const cudaStream_t on = stream();
  with_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    constexpr int n = pack_elements<T>;
    if (in_packs(s.channels, n, x)) sum_pieces<n>(on, s, batch, elements<const T>(x), sums_data);
    else sum_pieces<1>(on, s, batch, elements<const T>(x), sums_data);
  });
  launch(on, "group_norm", batch * groups, threads, 0, group_factors_kernel, s, sums_data, double(epsilon), floats(weight),
         floats(bias), factors_data);
  map(on, "group_norm", out, s.channels, ApplyFactors{s, factors_data, activation}, x);
}

}  // namespace pyracast
