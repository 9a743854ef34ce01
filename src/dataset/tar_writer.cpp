#include "dataset/tar_writer.hpp"

#include <archive.h>
#include <archive_entry.h>


#include "base/error.hpp"
#include "base/file.hpp"

namespace pyracast {

void TarWriter::Free::operator()(archive* a) const { archive_write_free(a); }

TarWriter::TarWriter(const std::filesystem::path& path)
    : path_(path), temporary_(path.string() + ".tmp"), archive_(archive_write_new()) {
  require(archive_ != nullptr, path.string(), ": libarchive gave no archive");
  check(archive_write_set_format_pax_restricted(archive_.get()), "choosing the format");   // plain ustar unless a name is too long
  check(archive_write_set_bytes_in_last_block(archive_.get(), 1), "choosing the size of blocks");
  check(archive_write_open_filename(archive_.get(), temporary_.c_str()), "opening");
}

TarWriter::~TarWriter() {
  archive_.reset();
  std::error_code ignored;
  std::filesystem::remove(temporary_, ignored);
}

void TarWriter::check(int result, const char* action) {
  if (result == ARCHIVE_OK) return;
  const char* text = archive_error_string(archive_.get());
  const int error = archive_errno(archive_.get());   // of the system where it is more than 0: a full disk is a "Write error"
  throw Error(concat(path_.string(), ": ", action, " failed: ", text ? text : "no reason given", error > 0 ? concat(": ", reason_of(error)) : ""),
              ExitCode::environment);
}

void TarWriter::add(const std::string& name, std::string_view content) {
  const std::unique_ptr<archive_entry, decltype(&archive_entry_free)> entry(archive_entry_new(), archive_entry_free);
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_size(entry.get(), int64_t(content.size()));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_mtime(entry.get(), 0, 0);
  check(archive_write_header(archive_.get(), entry.get()), "writing a header");
  const auto written = archive_write_data(archive_.get(), content.data(), content.size());
  check(written == la_ssize_t(content.size()) ? ARCHIVE_OK : ARCHIVE_FATAL, "writing");
}

void TarWriter::close() {
  check(archive_write_close(archive_.get()), "closing");
  publish(temporary_, path_);
}

}  // namespace pyracast
