// Does it pay to hide all-to-alls behind attention? Every rank holds some tokens of each frame; spatial attention needs
// whole frames. Timed in turns: one exchange there, attention, one exchange back; and the same in chunks of frames, where
// chunk c + 1 is on its way while chunk c is computed.
//   mpirun -n RANKS overlap_bench [HEIGHT WIDTH FRAMES REPEATS]
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "base/median.hpp"
#include "base/stopwatch.hpp"
#include "comm/ranks.hpp"
#include "comm/sequence_parallel.hpp"
#include "nn/layers.hpp"

namespace pyracast {
namespace {

constexpr int64_t hidden = 1152, heads = 16;   // STDiT3-XL/2

struct Attention {
  Linear qkv, proj;
  explicit Attention(const Weights& weights) : qkv(weights / "qkv", hidden, 3 * hidden), proj(weights / "proj", hidden, hidden) {}
  Tensor operator()(const Tensor& x) const {   // [frames, space, hidden]
    const int64_t n = x.dim(0), length = x.dim(1);
    const Tensor all = qkv(x).reshape({n, length, 3, heads, hidden / heads});
    const auto part = [&](int64_t i) { return slice(all, 2, i, i + 1).reshape({n, length, heads, hidden / heads}); };
    return proj(attention(part(0), part(1), part(2), 1 / std::sqrt(float(hidden / heads))).reshape(x.shape()));
  }
};

class Exchange {
 public:
  Exchange(const Ranks& ranks, const TokenParts& parts)
      : ranks_(ranks), frames_(parts.sizes(Axis::time)), space_(parts.sizes(Axis::space)), own_frames_(frames_[size_t(ranks.rank())]),
        own_space_(space_[size_t(ranks.rank())]), whole_space_(parts.space), all_frames_(parts.frames()) {}

  /// x [all frames, own space, hidden] through attention and back, in `chunks` parts.
  Tensor operator()(const Tensor& x, const Attention& attend, int chunks) const {
    std::vector<Chunk> on_the_way(static_cast<size_t>(chunks));
    const Tensor out(x.backend(), {all_frames_, own_space_, hidden});
    on_the_way[0] = there(x, 0, chunks);
    for (int c = 0; c < chunks; ++c) {
      if (c + 1 < chunks) on_the_way[size_t(c) + 1] = there(x, c + 1, chunks);
      Chunk& chunk = on_the_way[size_t(c)];
      check_mpi(MPI_Wait(&chunk.request, MPI_STATUS_IGNORE), "the way there");
      back(chunk, attend(side_by_side(chunk.buffer, chunk.frames)), out, c, chunks);
    }
    for (Chunk& chunk : on_the_way) check_mpi(MPI_Wait(&chunk.request, MPI_STATUS_IGNORE), "the way back");
    return out;
  }

 private:
  struct Chunk {
    Tensor buffer;
    int64_t frames = 0;
    MPI_Request request = MPI_REQUEST_NULL;
  };
  const Ranks& ranks_;
  std::vector<int64_t> frames_, space_;
  int64_t own_frames_, own_space_, whole_space_, all_frames_;

  struct Part {
    std::vector<int> counts, starts;
  };
  /// Elements of chunk c of every rank's frames within an array [all frames, own space, hidden].
  Part in_frames(int c, int chunks) const {
    Part part;
    int64_t before = 0;
    for (const int64_t frames : frames_) {
      const int64_t begin = part_start(frames, c, chunks), end = part_start(frames, c + 1, chunks);
      part.counts.push_back(int((end - begin) * own_space_ * hidden));
      part.starts.push_back(int((before + begin) * own_space_ * hidden));
      before += frames;
    }
    return part;
  }
  /// Elements of `frames` whole frames, cut into the ranks' space.
  Part in_space(int64_t frames) const {
    Part part;
    int at = 0;
    for (const int64_t space : space_) {
      part.counts.push_back(int(frames * space * hidden));
      part.starts.push_back(at);
      at += part.counts.back();
    }
    return part;
  }
  Chunk there(const Tensor& x, int c, int chunks) const {
    Chunk chunk;
    chunk.frames = part_start(own_frames_, c + 1, chunks) - part_start(own_frames_, c, chunks);
    chunk.buffer = Tensor(x.backend(), {chunk.frames * whole_space_ * hidden});
    const Part from = in_frames(c, chunks), to = in_space(chunk.frames);
    check_mpi(MPI_Ialltoallv(x.view().data, from.counts.data(), from.starts.data(), MPI_FLOAT, chunk.buffer.view().data,
                             to.counts.data(), to.starts.data(), MPI_FLOAT, ranks_.world(), &chunk.request), "the way there");
    return chunk;
  }
  void back(Chunk& chunk, const Tensor& attended, const Tensor& out, int c, int chunks) const {
    std::vector<Tensor> parts;
    int64_t at = 0;
    for (const int64_t space : space_) {
      parts.push_back(slice(attended, 1, at, at + space).reshape({chunk.frames * space, hidden}));
      at += space;
    }
    chunk.buffer = concatenate(parts, 0);
    const Part from = in_space(chunk.frames), to = in_frames(c, chunks);
    check_mpi(MPI_Ialltoallv(chunk.buffer.view().data, from.counts.data(), from.starts.data(), MPI_FLOAT, out.view().data,
                             to.counts.data(), to.starts.data(), MPI_FLOAT, ranks_.world(), &chunk.request), "the way back");
  }
  Tensor side_by_side(const Tensor& arrived, int64_t frames) const {
    std::vector<Tensor> parts;
    int64_t at = 0;
    for (const int64_t space : space_) {
      parts.push_back(slice(arrived, 0, at, at + frames * space * hidden).reshape({frames, space, hidden}));
      at += frames * space * hidden;
    }
    return concatenate(parts, 1);
  }
};

int run(int argc, char** argv) {
  const Ranks ranks(argc, argv);
  const auto number = [&](int i, int64_t otherwise) { return argc > i ? std::stoll(argv[i]) : otherwise; };
  const int64_t height = number(1, 240), width = number(2, 426), frames = number(3, 51), repeats = number(4, 9);
  omp_set_num_threads(1);
  const auto backend = make_cpu_backend();
  const Attention attend(Weights::random(*backend, {DType::float32}));
  const TokenParts parts{2, frames / 17 * 5 + (frames % 17 + 3) / 4, ((height / 8 + 1) / 2) * ((width / 8 + 1) / 2), ranks.size()};
  const Exchange exchange(ranks, parts);
  const Tensor x = zeros(*backend, {parts.frames(), parts.sizes(Axis::space)[size_t(ranks.rank())], hidden});

  const std::vector<int> ways{1, 2, 4, 8};
  std::vector<std::vector<double>> seconds(ways.size());
  std::vector<double> compute;
  const Tensor own = zeros(*backend, {parts.sizes(Axis::time)[size_t(ranks.rank())], parts.space, hidden});
  const auto timed = [&](auto act) {
    check_mpi(MPI_Barrier(ranks.world()), "starting together");
    const Stopwatch time;
    act();
    double mine = time.seconds(), slowest = 0;
    check_mpi(MPI_Allreduce(&mine, &slowest, 1, MPI_DOUBLE, MPI_MAX, ranks.world()), "the slowest rank");
    return slowest;
  };
  for (int64_t repeat = 0; repeat < repeats; ++repeat) {
    for (size_t i = 0; i < ways.size(); ++i) seconds[i].push_back(timed([&] { exchange(x, attend, ways[i]); }));
    compute.push_back(timed([&] { attend(own); }));
  }
  if (ranks.rank() != 0) return 0;
  std::printf("%d ranks, %lld x %lld tokens, 1 thread a rank, %lld repeats in turns\n", ranks.size(), (long long)parts.frames(),
              (long long)parts.space, (long long)repeats);
  std::printf("attention alone     %8.3f s\n", median(compute));
  for (size_t i = 0; i < ways.size(); ++i) {
    std::vector<double> ratios;
    for (size_t r = 0; r < seconds[i].size(); ++r) ratios.push_back(seconds[i][r] / seconds[0][r]);
    std::printf("%d chunk%s           %8.3f s   %.3f of one chunk (%.3f to %.3f)\n", ways[i], ways[i] > 1 ? "s" : " ",
                median(seconds[i]), median(ratios), *std::min_element(ratios.begin(), ratios.end()),
                *std::max_element(ratios.begin(), ratios.end()));
  }
  return 0;
}

}  // namespace
}  // namespace pyracast

int main(int argc, char** argv) { return pyracast::run(argc, argv); }
