#include "dataset/manifest_text.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.hpp"

namespace pyracast {

namespace {

constexpr size_t least_chunk = 1 << 16;

/// A gzip file, of several members perhaps, or a plain one. zlib's own gzread() leaves out, without a word, what stands behind the last member.
class GzipFile {
 public:
  explicit GzipFile(const std::string& path)
      : name_(path == "-" ? "standard input" : path), descriptor_(path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    require(descriptor_ >= 0, name_, ": cannot be opened: ", reason_of(errno));
    constexpr int gzip_alone = 15 + 16;
    if (::inflateInit2(&stream_, gzip_alone) == Z_OK) return;
    ::close(descriptor_);
    fail(name_, ": cannot be read: zlib has no memory");
  }
  ~GzipFile() {
    ::inflateEnd(&stream_);
    ::close(descriptor_);
  }
  GzipFile(const GzipFile&) = delete;
  GzipFile& operator=(const GzipFile&) = delete;

  size_t read(std::span<char> into) {
    if (!is_gzip_) {
      constexpr std::string_view magic = "\x1F\x8B";
      while (stored_.size() < magic.size() && fill()) {}
      is_gzip_ = stored_.starts_with(magic);
    }
    if (*is_gzip_) return inflate(into);
    if (stored_.empty()) fill();
    const size_t count = stored_.copy(into.data(), into.size());
    stored_.remove_prefix(count);
    return count;
  }

 private:
  std::string name_;
  int descriptor_;
  z_stream stream_{};
  std::string buffer_ = std::string(1 << 18, '\0');
  std::string_view stored_;   ///< of buffer_: bytes of the file that are still to be taken
  std::optional<bool> is_gzip_;
  bool between_members_ = false;

  /// Reads on behind what is stored; false at the end of the file.
  bool fill() {
    const size_t kept = stored_.size();
    if (kept > 0) std::memmove(buffer_.data(), stored_.data(), kept);
    ssize_t count = 0;
    do count = ::read(descriptor_, buffer_.data() + kept, buffer_.size() - kept);
    while (count < 0 && errno == EINTR);
    require(count >= 0, name_, ": cannot be read to its end: ", reason_of(errno));
    stored_ = std::string_view(buffer_).substr(0, kept + size_t(count));
    return count > 0;
  }

  size_t inflate(std::span<char> into) {
    stream_.next_out = reinterpret_cast<Bytef*>(into.data());
    stream_.avail_out = uInt(into.size());
    while (stream_.avail_out == into.size()) {
      if (stored_.empty() && !fill()) {
        require(between_members_, name_, ": cannot be read to its end: its gzip data are cut off");
        break;
      }
      if (between_members_) {
        stored_.remove_prefix(std::min(stored_.find_first_not_of('\0'), stored_.size()));   // some tools fill up with zeros
        if (stored_.empty()) continue;
        require(stored_.front() == '\x1F', name_, ": cannot be read to its end: what stands behind its gzip data is no gzip; compress all of it");
        ::inflateReset(&stream_);
      }
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(stored_.data()));
      stream_.avail_in = uInt(stored_.size());
      const int code = ::inflate(&stream_, Z_NO_FLUSH);
      require(code == Z_OK || code == Z_STREAM_END || code == Z_BUF_ERROR, name_, ": cannot be read to its end: ",
              stream_.msg ? stream_.msg : "its gzip data are damaged");
      stored_.remove_prefix(stored_.size() - stream_.avail_in);
      between_members_ = code == Z_STREAM_END;
    }
    return into.size() - stream_.avail_out;
  }
};

}  // namespace

ByteSource open_bytes(const std::string& path) {
  return [file = std::make_shared<GzipFile>(path)](std::span<char> into) { return file->read(into); };
}

bool is_stream(const std::string& path) { return path == "-" || std::filesystem::is_other(path); }

ByteSource bytes_of(std::string_view text) {
  return [text](std::span<char> into) mutable {
    const size_t count = text.copy(into.data(), into.size());
    text.remove_prefix(count);
    return count;
  };
}

std::string_view TextWindow::ahead(size_t wanted) {
  while (buffer_.size() - position_ < wanted && !ended_) {
    buffer_.erase(0, std::exchange(position_, 0));
    const size_t kept = buffer_.size();
    // Doubled for a row that does not fit: who looks through it again and again does so a few times only.
    buffer_.resize(std::max(kept + std::max(kept, least_chunk), wanted));
    const size_t count = source_(std::span(buffer_).subspan(kept));
    buffer_.resize(kept + count);
    ended_ = count == 0;
  }
  return std::string_view(buffer_).substr(position_);
}

std::string_view TextWindow::line(size_t longest) {
  for (size_t wanted = 1, searched = 0;;) {
    const std::string_view seen = ahead(wanted);
    const size_t end = seen.find('\n', searched);
    if (end != seen.npos || seen.size() < wanted || seen.size() >= longest)
      return seen.substr(0, std::min({end, seen.size(), longest}));
    searched = seen.size();
    wanted = seen.size() + 1;
  }
}

void TextWindow::skip(size_t bytes) {
  const std::string_view passed = std::string_view(buffer_).substr(position_, bytes);
  line_number_ += std::count(passed.begin(), passed.end(), '\n');
  position_ += passed.size();
}

void TextWindow::skip_line() {
  for (std::string_view seen; !(seen = ahead(1)).empty();) {
    const size_t end = seen.find('\n');
    skip(end == seen.npos ? seen.size() : end + 1);
    if (end != seen.npos) return;
  }
}

size_t valid_utf8_bytes(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](size_t i, unsigned least = 0x80, unsigned most = 0xBF) {
    return byte(i) >= least && byte(i) <= most;
  };
  size_t i = 0;
  while (i < text.size()) {
    const unsigned lead = byte(i);
    // The second byte's range excludes overlong forms (E0, F0), surrogates (ED) and what is beyond U+10FFFF (F4).
    if (lead < 0x80)
      i += 1;
    else if (lead >= 0xC2 && lead <= 0xDF && follows(i + 1))
      i += 2;
    else if (lead >= 0xE0 && lead <= 0xEF && follows(i + 1, lead == 0xE0 ? 0xA0 : 0x80, lead == 0xED ? 0x9F : 0xBF) &&
             follows(i + 2))
      i += 3;
    else if (lead >= 0xF0 && lead <= 0xF4 && follows(i + 1, lead == 0xF0 ? 0x90 : 0x80, lead == 0xF4 ? 0x8F : 0xBF) &&
             follows(i + 2) && follows(i + 3))
      i += 4;
    else
      break;
  }
  return i;
}

}  // namespace pyracast
