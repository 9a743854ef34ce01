// `pyracast export`: the finished videos for a trainer, as tars or as a folder.
#include <cstdio>

#include "base/config.hpp"
#include "base/counted.hpp"
#include "dataset/export.hpp"
#include "jobs/jobs.hpp"
#include "runtime/step_lines.hpp"

namespace pyracast {

namespace {

struct ExportSettings {
  std::filesystem::path config, output, to;
  std::string format = "webdataset";
  int64_t tar_megabytes = 1000;
  bool partial = false, json = false;

  template <class Visit>
  static void fields(Visit&& visit, ExportSettings& s) {
    visit("Export", "config", s.config, "file of `key = value` settings");
    visit("Export", "output", s.output, "folder of the dataset");
    visit("Export", "to", s.to, "folder of the export: a new one, or one that this command began");
    visit("Export", "format", s.format, "webdataset (tars of .mp4, .json and .txt) or videofolder (Hugging Face, pandas)");
    visit("Export", "tar-megabytes", s.tar_megabytes, "size of a tar at most, in 10^6 bytes");
    visit("Export", "partial", s.partial, "end with 0 although samples are still to be made");
    visit("Export", "json", s.json, "the counts as JSON");
  }
};

}  // namespace

int export_videos(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast export --output DIR --to DIR [--format webdataset|videofolder]\n\n"
                "The same command continues after a kill, and takes in samples that were made later. Ends with 0; 75: what there is was exported,\n"
                "samples are still to be made; 4: a video is not what its shard says.\n\n%s", describe(settings_of<ExportSettings>()).c_str());
    return 0;
  }
  const auto settings = read_config<ExportSettings>(argc, argv);
  require(!settings.output.empty() && !settings.to.empty(), "what to export where is not known: give --output DIR and --to DIR");
  require(settings.format == "webdataset" || settings.format == "videofolder", "format is \"", settings.format,
          "\", expected webdataset or videofolder");
  constexpr int64_t most_megabytes = 1'000'000'000;
  require(settings.tar_megabytes > 0 && settings.tar_megabytes <= most_megabytes, "tar-megabytes is ", settings.tar_megabytes, ", expected 1 to ",
          most_megabytes);
  const ExportFormat format = settings.format == "webdataset" ? ExportFormat::webdataset : ExportFormat::videofolder;
  const Exported e = export_dataset({settings.output, settings.to, format, uint64_t(settings.tar_megabytes) * 1000000}, StepLines());
  const Json json{{"samples", e.samples}, {"files", e.files}, {"bytes", e.bytes}, {"written", e.written}, {"left", e.left},
                  {"missing_parts", e.missing_parts}, {"complete", e.complete()}};
  if (settings.json) std::printf("%s\n", json.dump(1).c_str());
  else std::printf("%s in %s, %s, in %s (%s written now)\n", counted(e.samples, "sample").c_str(), counted(e.files, "file").c_str(),
                   counted(e.bytes, "byte").c_str(), settings.to.c_str(), counted(e.written, "file was", "files were").c_str());
  if (e.before)
    std::fprintf(stderr, "pyracast: %s: held an export of %s, made before the others; this one took its place\n", settings.to.c_str(),
                 counted(e.before, "sample").c_str());
  if (e.left)
    std::fprintf(stderr, "pyracast: %s still to be made: end the generate of %s, then the same command exports %s too\n",
                 counted(e.left, "sample is", "samples are").c_str(), settings.output.c_str(), e.left == 1 ? "it" : "them");
  if (!e.missing_parts.empty())
    std::fprintf(stderr, "pyracast: not joined: part %s of the manifest; join it, then the same command exports it too\n",
                 setting_text(e.missing_parts).c_str());
  return int(e.complete() || settings.partial ? ExitCode::complete : ExitCode::more_to_do);
}

}  // namespace pyracast
