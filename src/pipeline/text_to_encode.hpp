#pragma once
#include <compare>
#include <cstdint>
#include <string>

namespace pyracast {

/// What becomes of the padding behind a text.
enum class TextPadding {
  left_out,   ///< it is not encoded
  cut,        ///< it is encoded, as published, and the network is not given it
  masked,     ///< the network is given it, with a mask that leaves it no weight: what it holds decides nothing
  read        ///< the network reads it
};

/// A text as a family's text encoder is given it, cleaned and decorated, and what the network is given of it.
struct TextToEncode {
  std::string text;
  int64_t most = 0;   ///< tokens; the text is cut there, and padding goes up to there
  TextPadding padding = TextPadding::left_out;

  auto operator<=>(const TextToEncode&) const = default;

  bool encodes_padding() const { return padding != TextPadding::left_out; }
  /// Embeddings that the network is given, where `length` tokens count.
  int64_t given(int64_t length) const { return padding == TextPadding::masked || padding == TextPadding::read ? most : length; }
  /// The first ones of these that decide anything.
  int64_t decisive(int64_t length) const { return padding == TextPadding::read ? most : length; }
};

}  // namespace pyracast
