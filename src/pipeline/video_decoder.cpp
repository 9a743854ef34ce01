#include "pipeline/video_decoder.hpp"

#include <algorithm>

#include "comm/gather.hpp"

namespace pyracast {

namespace {

/// Runs of `chunk` rows through `decode`, each on one rank of the team; the pictures of all on every rank.
template <class Decode>
Tensor decoded_in_runs(const Tensor& rows, int64_t chunk, Communicator& team, Decode decode) {
  const int64_t count = rows.dim(0), runs = (count + chunk - 1) / chunk;
  const auto first_row = [&](int rank) { return std::min(count, part_start(runs, rank, team.size()) * chunk); };
  std::vector<int64_t> sizes;
  for (int rank = 0; rank < team.size(); ++rank) sizes.push_back(first_row(rank + 1) - first_row(rank));
  std::vector<Tensor> parts;
  for (int64_t begin = first_row(team.rank()); begin < first_row(team.rank() + 1); begin += chunk)
    parts.push_back(decode(slice(rows, 0, begin, std::min(begin + chunk, count))));
  const Shape none{0, 1, 8 * rows.dim(2), 8 * rows.dim(3), 3};
  return gather(team, parts.empty() ? Tensor(rows.backend(), none) : concatenate(parts, 0), 0, sizes);
}

}  // namespace

Tensor VideoDecoder::operator()(const Tensor& latents, Communicator& team) const {
  require(!std::holds_alternative<std::monostate>(vae), "no VAE was loaded: latents cannot be decoded");
  const int64_t videos = latents.dim(0), frames = latents.dim(2);
  const Tensor z = permute(combine(float(1 / scaling_factor), latents, 0, latents), {0, 2, 3, 4, 1});
  if (const auto* causal = std::get_if<CausalVae>(&vae)) return causal->decode(z, tiling, team);
  const Tensor rows = z.reshape({videos * frames, 1, z.dim(2), z.dim(3), z.dim(4)});
  const auto* temporal = std::get_if<AutoencoderKlTemporalDecoder>(&vae);
  const Tensor pictures =
      temporal ? decoded_in_runs(rows, chunk, team, [&](const Tensor& run) { return temporal->decode_videos(run, run.dim(0)); })
               : decoded_in_runs(rows, 1, team, [&](const Tensor& frame) { return std::get<AutoencoderKl>(vae).decode(frame); });
  return pictures.reshape({videos, frames, pictures.dim(2), pictures.dim(3), 3});
}

std::vector<float> shown(const Tensor& pictures) {
  std::vector<float> values = pictures.to_host();
  for (float& value : values) value = std::clamp(value / 2 + 0.5f, 0.f, 1.f);
  return values;
}

}  // namespace pyracast
