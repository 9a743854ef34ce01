// `pyracast validate`: what generate would make of a manifest, and what it would leave out and why. No weight is read.
#include <cstdio>

#include "base/counted.hpp"
#include "dataset/dataset_status.hpp"
#include "dataset/manifest_check.hpp"
#include "jobs/generate.hpp"
#include "jobs/jobs.hpp"
#include "production/audit.hpp"
#include "production/sample_records.hpp"
#include "production/video_requests.hpp"
#include "runtime/device.hpp"

namespace pyracast {

namespace {

/// All settings of generate, so that its config file and command line serve here as well.
struct ValidateSettings {
  GenerateSettings generate;
  std::filesystem::path like;
  int64_t show = 20;
  bool json = false;

  template <class Visit>
  static void fields(Visit&& visit, ValidateSettings& s) {
    visit("Validate", "like", s.like, "folder of a dataset that was made with these settings: seconds are estimated by its pace");
    visit("Validate", "show", s.show, "refused rows that are shown");
    visit("Validate", "json", s.json, "as JSON");
    GenerateSettings::fields(visit, s.generate);
  }
};

/// Why no video can be made of these references, as far as a look at the folder tells; nothing where one can.
std::optional<std::string> missing_reference(const References& references, const std::filesystem::path& folder) {
  for (const std::string& file : references.files)
    if (!std::filesystem::is_regular_file(folder / file))
      return concat("reference_path names ", (folder / file).string(), ", which is no file that is there (relative names start from the manifest's "
                    "folder, or from --references)");
  return std::nullopt;
}

/// What the model has to say against a row. Only its configuration is read, and nothing where no place of it is given: then the
/// published one counts.
ManifestOptions options_of(const GenerateSettings& settings) {
  struct Model {
    std::unique_ptr<VideoModel> model;
    VideoRequests requests;
    explicit Model(const GenerateSettings& s) : model(find_model_to_ask(s.model)), requests(s, *model) {}
  };
  const auto asked = std::make_shared<Model>(settings);
  ManifestOptions options = manifest_options(settings, asked->requests);
  options.check = [asked, folder = folder_of_references(settings)](const Prompt& row) {
    auto refusal = asked->requests.refusal(row);
    return refusal ? refusal : missing_reference(asked->requests.references(asked->requests(row)), folder);
  };
  options.cost = [asked](const Prompt& row) { return asked->requests.cost(row); };   // which keeps the model alive
  return options;
}

/// Seconds of one team for a unit of cost, as another dataset of these settings took; nothing where none is given.
std::optional<double> seconds_a_cost(const std::filesystem::path& like) {
  if (like.empty()) return std::nullopt;
  double seconds = 0, cost = 0;
  for (const auto& [number, team] : StatusReader(like).read(0).teams) seconds += team.busy_seconds, cost += team.cost;
  require(cost > 0, like.string(), ": holds no sample of its latest run to estimate seconds by");
  return seconds / cost;
}

void print(const ManifestCheck& check, std::optional<double> seconds) {
  std::printf("%s, %s; %s with an equal one, %s refused\n", counted(check.prompts, "prompt").c_str(), counted(check.samples, "sample").c_str(),
              counted(check.merged, "row merges", "rows merge").c_str(), counted(check.rejected, "is", "are").c_str());
  for (const RejectedRow& row : check.first_rejected)
    std::printf("  line %lld: %s\n    %.120s\n", (long long)row.line, row.reason.c_str(), row.text.c_str());
  if (check.rejected > check.first_rejected.size())
    std::printf("  and %llu more (--show)\n", (unsigned long long)(check.rejected - check.first_rejected.size()));
  if (!check.refusal.empty()) std::printf("nothing would be made: %s\n", check.refusal.c_str());
  else std::printf("cost: %.4g pixels x steps\n", check.cost);
  if (check.refusal.empty() && seconds) std::printf("about %.3g hours of one team\n", *seconds / 3600);
}

Json json_of(const ManifestCheck& check, std::optional<double> seconds) {
  Json json{{"prompts", check.prompts}, {"samples", check.samples}, {"merged", check.merged}, {"rejected", check.rejected},
            {"cost", check.cost},
            {"team_seconds", seconds ? Json(*seconds) : Json()}, {"refusal", check.refusal}, {"rows", Json::array()}};
  for (const RejectedRow& row : check.first_rejected)
    json["rows"].push_back({{"line", row.line}, {"reason", row.reason}, {"text", row.text}});
  return json;
}

}  // namespace

int validate(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast validate --prompts FILE [settings of generate]\n\nEnds with 0: every row would be made; "
                "1: some rows are refused; 64: nothing would be made.\n\n%s", describe(settings_of<ValidateSettings>()).c_str());
    return 0;
  }
  const auto settings = read_config<ValidateSettings>(argc, argv);
  require(!settings.generate.prompts.empty(), "which manifest to check is not known: give --prompts FILE");
  check_values(settings.generate);
  require(settings.show >= 0, "show is ", settings.show, ", expected 0 or more");
  const ManifestCheck check = check_manifest(settings.generate.prompts.string(), options_of(settings.generate), size_t(settings.show));
  const auto pace = seconds_a_cost(settings.like);
  const auto seconds = pace ? std::optional(*pace * check.cost) : std::nullopt;
  if (settings.json) std::printf("%s\n", json_of(check, seconds).dump(1).c_str());
  else print(check, seconds);
  if (!check.refusal.empty()) return int(ExitCode::bad_input);
  return int(check.rejected ? ExitCode::check_failed : ExitCode::complete);
}

}  // namespace pyracast
