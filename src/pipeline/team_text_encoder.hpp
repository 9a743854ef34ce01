#pragma once
#include <map>
#include <optional>

#include "comm/communicator.hpp"
#include "models/t5.hpp"
#include "text/tokenizer.hpp"

namespace pyracast {

/// A text as the networks see it.
struct EncodedText {
  Tensor embedding;            ///< [1, tokens, width]
  std::vector<int64_t> mask;   ///< [tokens], 1 where a token counts
  int64_t length = 0;          ///< tokens that count; padding follows them
};

/// Encodes texts on a team's first rank, for all its ranks. What was asked for since the last keep_only() is not encoded again:
/// samples of a prompt follow one another.
class TeamTextEncoder {
 public:
  /// `encoder`: of the team's first rank alone. `width`: of its embeddings.
  TeamTextEncoder(Tokenizer tokenizer, std::optional<T5Encoder> encoder, int64_t width)
      : tokenizer_(std::move(tokenizer)), encoder_(std::move(encoder)), width_(width) {}

  /// `text` cut to `most` tokens. `padding`: the padding up to `most` is encoded as well; it changes no other embedding.
  EncodedText operator()(const std::string& text, int64_t most, bool padding, Backend& backend, Communicator& team);

  /// Forgets all other texts.
  void keep_only(const std::vector<std::string>& texts);

 private:
  Tokenizer tokenizer_;
  std::optional<T5Encoder> encoder_;
  int64_t width_;
  std::map<std::string, EncodedText> encoded_;
};

/// Reads a text encoder's folder and its tokenizer. `encodes`: on a team's first rank; elsewhere the weights stay unread.
/// Throws Error where the embeddings are not `width` wide: `taker` names the folder of the network that wants them so.
TeamTextEncoder open_text_encoder(const std::filesystem::path& folder, const std::filesystem::path& tokenizer, int64_t width,
                                  const std::filesystem::path& taker, Backend& backend, std::optional<DType> dtype, bool encodes);

/// A network from the folder that holds its config.json and weights.
template <class Network, class Config>
Network load_network(const std::filesystem::path& folder, Backend& backend, std::optional<DType> dtype) {
  const auto file = folder / "config.json";
  const Weights weights(backend, read_weights(folder), {dtype}, folder.string());
  Network network(weights, Config::from_json(read_json(file), file.string()));
  weights.finish();
  return network;
}

}  // namespace pyracast
