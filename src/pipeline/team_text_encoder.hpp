#pragma once
#include <functional>
#include <map>

#include "comm/communicator.hpp"
#include "models/t5.hpp"
#include "pipeline/stored_texts.hpp"
#include "text/tokenizer.hpp"

namespace pyracast {

/// A text as the networks see it.
struct EncodedText {
  Tensor embedding;            ///< [1, tokens, width]
  std::vector<int64_t> mask;   ///< [tokens], 1 where a token counts
  int64_t length = 0;          ///< tokens that count; padding follows them

  /// The embedding of those alone, in its memory: [1, length, width].
  Tensor counted() const { return first_of(embedding, {1, length, embedding.dim(2)}); }
};

/// Where a team's first rank has embeddings from. resident: from the encoder, which it holds. offload: from the encoder, which it reads
/// when a text is to be encoded, and drops. once: from files, in which they were stored before.
enum class TextEncoding { resident, offload, once };
struct TextSource {
  TextEncoding encoding = TextEncoding::resident;
  std::shared_ptr<const StoredTexts> stored = {};   ///< once; absent on a device that does not compute
};

/// A text encoder on disk.
struct TextEncoderFiles {
  std::filesystem::path encoder, tokenizer;
  int64_t width = 0;             ///< of the embeddings that the network wants
  std::filesystem::path taker;   ///< the network's folder
};

/// Gives a text's embeddings [1, tokens that the network is given, width] on a team's first rank.
using Embed = std::function<Tensor(const TextToEncode& text, const Tokenizer::Tokens& tokens)>;

/// What embeds with an encoder that is there.
Embed embed_with(T5Encoder encoder);

/// Encodes texts on a team's first rank, for all its ranks.
class TeamTextEncoder {
 public:
  /// `open`: of the team's first rank alone; gives what embeds, for as long as that is held. `width`: of the embeddings.
  TeamTextEncoder(Tokenizer tokenizer, int64_t width, std::function<Embed()> open)
      : tokenizer_(std::move(tokenizer)), width_(width), open_(std::move(open)) {}

  /// In the order of `texts`. Those of the call before are not encoded again, samples of a prompt follow one another; all others are forgotten.
  std::vector<EncodedText> operator()(std::span<const TextToEncode> texts, Backend& backend, Communicator& team);

 private:
  Tokenizer tokenizer_;
  int64_t width_;
  std::function<Embed()> open_;
  std::map<TextToEncode, EncodedText> encoded_;
};

/// Reads a text encoder's folder, as `source` says, and its tokenizer. `encodes`: on a team's first rank; elsewhere the weights stay unread.
/// Throws Error where the embeddings are not as wide as the network wants them.
TeamTextEncoder open_text_encoder(const TextEncoderFiles& files, Backend& backend, WeightStorage storage, const TextSource& source, bool encodes);

/// What is stored of a text: the embeddings [rows, width] that decide anything, as this encoder gives them alone.
HostTensor embedding_to_store(TeamTextEncoder& encoder, const TextToEncode& text, Backend& backend, Communicator& alone);

/// A network from the folder that holds its config.json and weights.
template <class Network, class Config>
Network load_network(const std::filesystem::path& folder, Backend& backend, WeightStorage storage) {
  const auto file = folder / "config.json";
  const Weights weights(backend, read_weights(folder), storage, folder.string());
  Network network(weights, Config::from_json(read_json(file), file.string()));
  weights.finish();
  return network;
}

}  // namespace pyracast
