#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace pyracast {

/// Fills the front of a buffer and returns how many bytes it wrote; 0 at the end.
using ByteSource = std::function<size_t(std::span<char>)>;

/// The bytes of a file, or of standard input for "-"; gzip is recognised by its first bytes and unpacked. Throws Error
/// naming the file where it cannot be read or the gzip data are damaged or cut off.
ByteSource open_bytes(const std::string& path);

/// Whether the bytes can be had once only: of standard input ("-"), and of a pipe, as `<(zcat prompts.gz)` of a shell is one.
bool is_stream(const std::string& path);

/// The bytes of a text that must outlive the source.
ByteSource bytes_of(std::string_view text);

/// A source read through a window that holds as much as the caller asks to see at once.
class TextWindow {
 public:
  explicit TextWindow(ByteSource source) : source_(std::move(source)) {}

  /// What comes next, at least `wanted` bytes unless the source ends before. Valid until the next call.
  std::string_view ahead(size_t wanted);

  /// What comes next up to and without the line feed, at most `longest` bytes. Valid until the next call.
  std::string_view line(size_t longest);

  /// Moves on by so many of the bytes seen, counting lines.
  void skip(size_t bytes);

  /// Moves to the start of the next line.
  void skip_line();

  /// The line that comes next, counted from 1.
  int64_t line_number() const { return line_number_; }

 private:
  ByteSource source_;
  std::string buffer_;
  size_t position_ = 0;
  int64_t line_number_ = 1;
  bool ended_ = false;
};

/// How many bytes from the start are whole UTF-8 characters (no surrogates, no overlong forms): text.size() where all
/// of it is valid.
size_t valid_utf8_bytes(std::string_view text);

}  // namespace pyracast
