#include "dataset/manifest_reader.hpp"

#include <zlib.h>

#include "manifest_test.hpp"

namespace pyracast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

TEST(ManifestReader, ReadsAJsonObjectALine) {
  EXPECT_THAT(texts_of("{\"prompt\": \"a\"}\n{\"prompt\": \"b\\nc\"}\n", "x.jsonl"), ElementsAre("a", "b\nc"));
}

TEST(ManifestReader, ReadsAPromptALine) {
  EXPECT_THAT(texts_of("a cat, a dog\n{\"x\"\n \"quoted\"\n", "x.txt"),
              ElementsAre("a cat, a dog", "{\"x\"", " \"quoted\""));
}

TEST(ManifestReader, ReadsTablesWithQuotedCells) {
  const auto rows = rows_of("id,prompt,steps\n1,\"a, \"\"b\"\"\r\nc\",30\n2,he said \"hi\",\n", "x.csv");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].prompt->text, "a, \"b\"\r\nc");
  EXPECT_EQ(rows[0].prompt->steps, 30);
  EXPECT_EQ(rows[1].prompt->text, "he said \"hi\"");
  EXPECT_EQ(rows[1].prompt->id, "2");
  EXPECT_FALSE(rows[1].prompt->steps);
  EXPECT_EQ(rows[1].line, 4);
  EXPECT_THAT(texts_of("prompt\tfps\n\"a\tb\"\t8\nc, d\t\n", "x.tsv"), ElementsAre("a\tb", "c, d"));
}

TEST(ManifestReader, AcceptsByteOrderMarkCarriageReturnsBlankLinesAndNoLastLineBreak) {
  for (const std::string bom : {"", "\xEF\xBB\xBF"}) {
    EXPECT_THAT(texts_of(bom + "\r\n{\"prompt\": \"a\"}\r\n \r\n{\"prompt\": \"b\"}", "x.jsonl"),
                ElementsAre("a", "b"));
    EXPECT_THAT(texts_of(bom + "a\r\n\r\n\nb", "x.txt"), ElementsAre("a", "b"));
    EXPECT_THAT(texts_of(bom + "\nprompt,id\r\na,1\r\n\r\nb,2", "x.csv"), ElementsAre("a", "b"));
    EXPECT_THAT(texts_of(bom + "prompt\n\"a\"\n\"b\"", "x.csv"), ElementsAre("a", "b"));
  }
}

TEST(ManifestReader, KeepsLongPromptsAndUnicode) {
  const std::string text = [] {
    std::string grown;
    while (grown.size() < 100000) grown += "кот 🐈 猫 ";
    return grown;
  }();
  EXPECT_THAT(texts_of(text + "\n" + text, "x.txt"), ElementsAre(text, text));
  EXPECT_THAT(texts_of("prompt\n\"" + text + "\"\n", "x.csv"), ElementsAre(text));
  EXPECT_THAT(texts_of(Json{{"prompt", text}}.dump(), "x.jsonl"), ElementsAre(text));
}

TEST(ManifestReader, TellsTheFormatByContentWhereTheNameDoesNot) {
  const auto format = [](std::string_view content) { return ManifestReader(bytes_of(content), "-").format(); };
  EXPECT_EQ(format("\n  {\"prompt\": \"a\"}"), ManifestFormat::jsonl);
  EXPECT_EQ(format("id,prompt\n1,a"), ManifestFormat::csv);
  EXPECT_EQ(format("prompt\na"), ManifestFormat::tsv);
  EXPECT_EQ(format("id\tprompt\n1\ta"), ManifestFormat::tsv);
  EXPECT_EQ(format("a cat, prompt and quick\na"), ManifestFormat::text);
  EXPECT_EQ(format(""), ManifestFormat::text);
  EXPECT_THAT(error_of([&] { format("id,promt,steps\n1,a,2"); }), HasSubstr("unknown column \"promt\""));
}

TEST(ManifestReader, RefusesWhatWouldBecomePromptsALineEach) {
  const auto message = [](std::string_view content, const char* name) { return error_of([&] { rows_of(content, name); }); };
  for (const char* const name : {"x.json", "x.jsonl", "-"}) {
    EXPECT_THAT(message("[\n  {\"prompt\": \"a\"}\n]", name), HasSubstr("is one JSON array, expected an object a line")) << name;
    EXPECT_THAT(message("[\"a\", \"b\"]", name), HasSubstr("jq -c '.[]'")) << name;
  }
  EXPECT_THAT(message("- prompt: a\n", "x.yaml"), HasSubstr("\".yaml\" tells no other format, expected .jsonl, .csv, .tsv, or .txt"));
  EXPECT_THAT(message("PAR1\n", "x.parquet"), HasSubstr("\".parquet\" tells no other format"));
  EXPECT_THAT(texts_of("[close up] a cat\n", "x.txt"), ElementsAre("[close up] a cat"));
  EXPECT_THAT(texts_of("[close up] a cat\n", "-"), ElementsAre("[close up] a cat"));
  EXPECT_THAT(texts_of("[\"a\", \"b\"]\n", "x.txt"), ElementsAre("[\"a\", \"b\"]"));
}

TEST(ManifestReader, FindsALineAsLongAsItsWindowAndLonger) {
  const std::string long_line(3 << 20, 'x');
  const auto rows = rows_of("a\n" + long_line + "\nb\n" + std::string(9 << 20, 'y') + "\nc\n", "x.txt");
  ASSERT_EQ(rows.size(), 5u);
  EXPECT_THAT(rows[1].reason, HasSubstr("prompt has 3145728 bytes, expected at most 1048576"));
  EXPECT_EQ(rows[2].prompt->text, "b");
  EXPECT_THAT(rows[3].reason, HasSubstr("the row is longer than"));
  EXPECT_EQ(rows[4].prompt->text, "c");
  EXPECT_EQ(rows[4].line, 5);
}

TEST(ManifestReader, RejectsInvalidUtf8AndReadsOn) {
  for (const std::string bad : {"\xFF", "\xC0\xAF", "\xED\xA0\x80", "\xF5\x80\x80\x80", "\xE2\x82", "\x80"}) {
    const auto expected = ElementsAre("a", "line 2: not valid UTF-8 at byte 2", "c");
    EXPECT_THAT(texts_of("a\nb" + bad + "\nc\n", "x.txt"), expected);
    EXPECT_THAT(texts_of("prompt\nb" + bad + "\nc\n", "x.csv"), ElementsAre("line 2: not valid UTF-8 at byte 2", "c"));
  }
  EXPECT_THAT(texts_of("{\"prompt\": \"\xFF\"}\n{\"prompt\": \"b\"}", "x.jsonl"),
              ElementsAre("line 1: not valid UTF-8 at byte 13", "b"));
}

TEST(ManifestReader, GivesUpOnlyTheFirstLineOfATableRowWithWrongQuotes) {
  EXPECT_THAT(texts_of("prompt\n\"a\" b\nc\n", "x.csv"),
              ElementsAre(StartsWith("line 2: text follows a closing"), "c"));
  EXPECT_THAT(texts_of("prompt\n\"a\nb\nc\n", "x.csv"),
              ElementsAre(StartsWith("line 2: a quote that opens"), "b", "c"));
  const std::string endless = "prompt\n\"a\n" + std::string(9 << 20, ' ') + "\nc\n";
  EXPECT_THAT(texts_of(endless, "x.csv"), ElementsAre(HasSubstr("is a quote not closed?"), "c"));
}

TEST(ManifestReader, RejectsATableRowWithTooManyOrTooFewCells) {
  EXPECT_THAT(texts_of("id,prompt\n1,a,b\n2\n3,c\n", "x.csv"),
              ElementsAre(StartsWith("line 2: the row has 3 cells, the header 2"),
                          StartsWith("line 3: the row has 1 cells, the header 2"), "c"));
}

TEST(ManifestReader, RefusesLinesThatEndInCarriageReturnsAlone) {
  EXPECT_THAT(error_of([] { rows_of("a\rb\rc", "x.txt"); }), HasSubstr("x.txt: its lines end in CR alone, expected LF or CR LF"));
  EXPECT_THAT(error_of([] { rows_of("id,prompt\r1,a\r", "x.csv"); }), HasSubstr("its lines end in CR alone"));
}

TEST(ManifestReader, RefusesAWrongHeader) {
  const auto message = [](std::string_view content) { return error_of([&] { rows_of(content, "x.csv"); }); };
  EXPECT_EQ(message("id,prompt,guidence\n"),
            "x.csv: line 1 (the header): unknown column \"guidence\"; the nearest known one is \"guidance\" (all: id, prompt, negative_prompt, seed, "
            "samples, width, height, resolution, aspect_ratio, frames, seconds, fps, steps, guidance, aesthetic, motion, camera, "
            "reference_path, mask_strategy)");
  EXPECT_THAT(message("prompt,id,prompt\n"), HasSubstr("the column \"prompt\" stands twice"));
  EXPECT_THAT(message("id,steps\n"), HasSubstr("has no column \"prompt\""));
  EXPECT_THAT(message("prompt,\"id\n"), HasSubstr("(the header): a quote that opens in this row is never closed"));
  EXPECT_THAT(message("prompt,\xFF\n"), HasSubstr("not valid UTF-8"));
  EXPECT_THAT(message(""), HasSubstr("is empty, expected a header"));
}

TEST(ManifestReader, RefusesUtf16) {
  EXPECT_THAT(error_of([] {
                rows_of(std::string_view("\xFF\xFE"
                                         "a\0",
                                         4),
                        "x.txt");
              }),
              HasSubstr("is UTF-16"));
}

class ManifestBytes : public ManifestTest {
 protected:
  std::string zipped(std::string_view content) const {
    const std::string path = (folder_ / "zipped").string();
    gzFile file = gzopen(path.c_str(), "wb");
    gzwrite(file, content.data(), unsigned(content.size()));
    gzclose(file);
    return read_file(path);
  }
  static std::vector<std::string> texts(const std::filesystem::path& path) {
    ManifestReader reader(open_bytes(path.string()), path.string());
    std::vector<std::string> found;
    while (const auto row = reader.next()) found.push_back(row->prompt->text);
    return found;
  }
};

TEST_F(ManifestBytes, UnpackGzipWhateverTheName) {
  const std::string gzip = zipped("{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n");
  EXPECT_THAT(texts(write("x.jsonl.gz", gzip)), ElementsAre("a", "b"));
  EXPECT_THAT(texts(write("x.jsonl", gzip)), ElementsAre("a", "b"));
  EXPECT_THAT(texts(write("x.jsonl.gz", "{\"prompt\": \"plain\"}")), ElementsAre("plain"));
}

TEST_F(ManifestBytes, AreThoseOfAllMembersOfAGzipFileAndNothingElseStandsBehindThem) {
  const std::string a = zipped("{\"prompt\": \"a\"}\n"), b = zipped("{\"prompt\": \"b\"}\n");
  EXPECT_THAT(texts(write("x.jsonl.gz", a + b)), ElementsAre("a", "b"));
  EXPECT_THAT(texts(write("x.jsonl.gz", a + std::string(512, '\0'))), ElementsAre("a"));
  EXPECT_THAT(error_of([&] { texts(write("x.jsonl.gz", a + "{\"prompt\": \"b\"}\n")); }),
              HasSubstr("x.jsonl.gz: cannot be read to its end: what stands behind its gzip data is no gzip"));
  EXPECT_THAT(error_of([&] { texts(write("x.jsonl.gz", a + b.substr(0, 9))); }), HasSubstr("its gzip data are cut off"));
}

TEST_F(ManifestBytes, RefuseDamagedAndCutOffGzip) {
  std::string many;
  for (int i = 0; i < 20000; ++i) many += std::to_string(i * 7919) + "\n";
  const std::string gzip = zipped(many);
  EXPECT_THAT(error_of([&] { texts(write("x.txt.gz", gzip.substr(0, gzip.size() / 2))); }),
              HasSubstr("x.txt.gz: cannot be read to its end"));
  std::string damaged = gzip;
  damaged[gzip.size() / 2] ^= 0x55;
  EXPECT_THAT(error_of([&] { texts(write("y.txt.gz", damaged)); }), HasSubstr("y.txt.gz: cannot be read to its end"));
}

TEST_F(ManifestBytes, RefuseWhatIsNoFile) {
  EXPECT_THAT(error_of([&] { texts(folder_ / "absent.txt"); }),
              HasSubstr("absent.txt: cannot be opened: No such file"));
  EXPECT_THAT(error_of([&] { texts(folder_); }), HasSubstr("Is a directory"));
}

}  // namespace
}  // namespace pyracast
