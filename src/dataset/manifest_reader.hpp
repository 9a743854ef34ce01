#pragma once
#include <optional>

#include "dataset/manifest_text.hpp"
#include "dataset/prompt.hpp"

namespace pyracast {

/// How a manifest is written. jsonl: one object a line; csv and tsv: RFC 4180 with a header, quoted cells may hold line
/// breaks; text: a prompt a line.
enum class ManifestFormat { jsonl, csv, tsv, text };

/// One row as it stands in the manifest: a prompt, or the reason why it is none.
struct ManifestRow {
  int64_t line = 0;       ///< where it begins, counted from 1
  std::string_view text;  ///< as read, without the last line break; valid until the next row is read
  std::optional<Prompt> prompt;
  std::string reason;
};

/// Reads a manifest row by row, in memory that does not grow with it. A byte order mark, CRLF, blank lines and a
/// missing last line break are all accepted. A row that cannot be read is given with its reason and reading goes on
/// behind it; a table row whose quotes are wrong is given up as its first line.
class ManifestReader {
 public:
  /// `name` stands in messages; its ending (.jsonl, .ndjson, .csv, .tsv, .txt, each also with .gz) says the format.
  /// Without a known ending the first line that is not blank does: it begins with { - JSONL; split at tabs or commas it
  /// holds the column "prompt" or two other known columns - a table; anything else - plain text.
  /// Throws Error where a table's header is wrong: it would be wrong for every row.
  ManifestReader(ByteSource source, std::string name);

  ManifestFormat format() const { return format_; }

  /// The next row; nothing at the end. Throws Error where the source cannot be read.
  std::optional<ManifestRow> next();

 private:
  void read_header(char separator);
  ManifestRow next_line();
  ManifestRow next_record();

  TextWindow window_;
  std::string name_;
  ManifestFormat format_;
  bool rest_of_line_ = false;       // of the row given last is still to be passed
  std::vector<size_t> columns_;     // of a table: places in prompt_columns()
  std::vector<std::string> cells_;  // of the record at hand
};

}  // namespace pyracast
