#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace pyracast {

/// T5's tokenizer: a SentencePiece unigram model with pad 0, eos 1 and unk 2, and <extra_id_k> above its pieces
/// (transformers' T5TokenizerFast with the published settings).
class Tokenizer {
 public:
  struct Tokens {
    std::vector<int64_t> ids;   ///< [max_length], padded with 0
    int64_t length = 0;         ///< tokens that count, the final eos among them
  };

  /// A SentencePiece model file, or the folder that holds one as spiece.model. tokenizer_config.json beside it says how
  /// many extra ids there are (100 where it is silent). Throws Error on a file that is not such a model.
  explicit Tokenizer(const std::filesystem::path& file_or_folder);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// The first max_length - 1 tokens of the text, eos, and padding up to max_length.
  Tokens encode(std::string_view text, int64_t max_length) const;

 private:
  std::unique_ptr<sentencepiece::SentencePieceProcessor> model_;
  std::vector<std::pair<std::string, int64_t>> special_;   ///< literal texts that stand for one id

  void append_pieces(std::string_view text, std::vector<int64_t>& ids) const;
};

}  // namespace pyracast
