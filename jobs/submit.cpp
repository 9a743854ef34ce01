// `pyracast submit`: fills in a batch script for `pyracast generate`, from the scripts of slurm/, and prints or submits it.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>

#include "jobs/submit.hpp"
#include "base/file.hpp"
#include "jobs/generate.hpp"
#include "jobs/jobs.hpp"
#include "settings/job_settings.hpp"

namespace pyracast {

namespace {

namespace fs = std::filesystem;

/// The files of slurm/ by name, as they were when the program was built.
const std::map<std::string, std::string> batch_scripts{
#include "slurm_scripts.inc"
};

/// Seconds of a time limit in any of Slurm's notations.
int64_t seconds_of(const std::string& time) {
  long long a = 0, b = 0, c = 0, days = 0;
  int length = 0;
  const auto whole = [&](const char* form, auto... into) {
    length = 0;
    a = b = c = days = 0;
    return std::sscanf(time.c_str(), form, into..., &length) == int(sizeof...(into)) && size_t(length) == time.size() &&
           time.find_first_not_of("0123456789:-") == time.npos && time.front() != '-';
  };
  if (time.empty()) return 0;
  if (whole("%lld-%lld:%lld:%lld%n", &days, &a, &b, &c)) return ((days * 24 + a) * 60 + b) * 60 + c;
  if (whole("%lld-%lld:%lld%n", &days, &a, &b)) return ((days * 24 + a) * 60 + b) * 60;
  if (whole("%lld-%lld%n", &days, &a)) return (days * 24 + a) * 3600;
  if (whole("%lld:%lld:%lld%n", &a, &b, &c)) return (a * 60 + b) * 60 + c;
  if (whole("%lld:%lld%n", &a, &b)) return a * 60 + b;
  if (whole("%lld%n", &a)) return a * 60;
  fail("time is \"", time, "\", expected minutes, minutes:seconds, hours:minutes:seconds or days-hours[:minutes[:seconds]]");
}

/// The signal that the batch script sends the ranks when the end is near.
std::string early_signal(const GenerateSettings& generate) {
  for (const std::string& name : generate.walltime.stop_signals)
    if (name != "TERM") return name;
  fail("stop-signals names neither USR1 nor USR2: the ranks could not be told that their time is up");
}

void check_resources(const SubmitSettings& s) {
  for (const auto& [name, number] : {std::pair{"nodes", s.nodes}, {"tasks-per-node", s.tasks_per_node}, {"cpus-per-task", s.cpus_per_task}})
    require(number > 0, name, " is ", number, ", expected 1 or more");
  for (const auto& [name, number] : {std::pair{"gpus-per-task", s.gpus_per_task}, {"at-once", s.at_once}, {"max-restarts", s.max_restarts}})
    require(number >= 0, name, " is ", number, ", expected 0 or more");
  require(s.launcher == "srun" || s.launcher == "mpirun", "launcher is \"", s.launcher, "\", expected srun or mpirun");
  require(s.warning > 0, "warning is ", s.warning, ", expected 1 or more");
  const int64_t limit = seconds_of(s.time);
  require(s.time.empty() || limit > 2 * s.warning, "time is ", s.time, " (", limit, " s), of which the last ", s.warning,
          " s make no video (warning): give twice that at least, or less warning");
  for (const auto& [name, text] : {std::pair{"name", s.name}, {"partition", s.partition}, {"account", s.account}, {"qos", s.qos},
                                   {"memory", s.memory}, {"logs", s.logs.string()}, {"the working directory", fs::current_path().string()}})
    require(text.find_first_of(" \t\n\"'\\") == text.npos, name, " is \"", text, "\": spaces and quotes cannot stand there in a batch script");
  require(fs::is_directory(s.logs), "logs is ", s.logs.string(), ", which is no folder: Slurm makes none");
  for (const std::string& option : s.sbatch)
    require(option.starts_with("-") && option.find('\n') == option.npos, "sbatch holds \"", option, "\", expected options that begin with -");
}

void check_form(const SubmitSettings& s) {
  require(s.form == "job" || s.form == "array" || s.form == "chain", "form is \"", s.form, "\", expected job, array or chain");
  require(s.form == "array" ? s.parts > 0 : s.parts == 0, "parts is ", s.parts, ": an array needs 1 or more, another form has none");
  require(s.form == "array" || s.at_once == 0, "at-once is ", s.at_once, ": only an array's jobs run at once");
  require(s.form == "chain" ? s.links > 0 : s.links == 0, "links is ", s.links, ": a chain needs 1 or more, another form has none");
}

}  // namespace

std::string quoted(const std::string& text) {
  if (!text.empty() && text.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+%@") == text.npos)
    return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

std::vector<std::string> sbatch_options(const SubmitSettings& s) {
  check_resources(s);
  check_form(s);
  std::vector<std::string> options{"--job-name=" + s.name, concat("--nodes=", s.nodes), concat("--ntasks-per-node=", s.tasks_per_node),
                                   concat("--cpus-per-task=", s.cpus_per_task)};
  if (s.gpus_per_task > 0) options.push_back(concat("--gpus-per-task=", s.gpus_per_task));
  for (const auto& [name, text] : {std::pair{"time", s.time}, {"mem", s.memory}, {"partition", s.partition}, {"account", s.account}, {"qos", s.qos}})
    if (!text.empty()) options.push_back(concat("--", name, "=", text));
  if (s.form == "array") options.push_back(concat("--array=0-", s.parts - 1, s.at_once > 0 ? concat("%", s.at_once) : ""));
  options.push_back(s.form == "chain" ? "--no-requeue" : "--requeue");
  options.push_back("--open-mode=append");
  options.push_back(concat("--signal=B:USR1@", s.warning));
  options.push_back(concat("--output=", (fs::absolute(s.logs) / s.name).lexically_normal().string(),
                           s.form == "array" ? "-%A_%a.log" : "-%j.log"));
  options.push_back("--chdir=" + fs::current_path().string());
  options.insert(options.end(), s.sbatch.begin(), s.sbatch.end());
  return options;
}

namespace {

/// What can be seen of the job itself without its nodes.
void check_generate(const SubmitSettings& s, const GenerateSettings& generate) {
  require(!generate.prompts.empty() && generate.prompts != "-", "which prompts to make is not known: give --prompts FILE (behind --)");
  MappedFile{generate.prompts};
  require(!generate.output.empty(), "where to write is not known: give --output DIR (behind --)");
  check_values(generate);
  require(s.form != "array" || generate.part == "0/1", "part is ", generate.part, ": an array gives each job its own");
  const TeamSize team = generate.ranks_per_video;
  require(team.automatic() || (team > 0 && s.tasks_per_node % team == 0), "ranks-per-video is ",
          team, ", but tasks-per-node ", s.tasks_per_node, ": expected a divisor");
  require(!team.automatic() || !generate.machine.empty(),
          "ranks-per-video is auto, but what the machine takes is not known: give --machine FILE (behind --)");
  require((s.gpus_per_task > 0) == (generate.model.device == "cuda"), "gpus-per-task is ", s.gpus_per_task, ", but generate's device is ",
          generate.model.device, s.gpus_per_task > 0 ? ": give --device cuda (behind --)" : ": give --gpus-per-task 1");
  early_signal(generate);
}

/// The #SBATCH lines.
std::string header_of(const SubmitSettings& s) {
  std::string header;
  for (const std::string& option : sbatch_options(s)) header += "#SBATCH " + option + "\n";
  return header;
}

/// The script's words $1, $2 …: the program, an array's folder, and generate's settings as they were given.
std::string words_of(const SubmitSettings& s, const GenerateSettings& generate, const std::vector<std::string>& given) {
  std::string words = quoted(fs::read_symlink("/proc/self/exe").string());
  if (s.form == "array") words += " " + quoted(generate.output.string());
  for (size_t i = 0; i < given.size(); ++i) {
    if (s.form == "array" && (given[i] == "--output" || given[i].starts_with("--output="))) {
      i += given[i] == "--output";   // each part has a folder of its own
      continue;
    }
    words += " " + quoted(given[i]);
  }
  return words;
}

/// What slurm/'s script of that form does once it has read the functions.
std::string body_of(const std::string& form) {
  const std::string& script = batch_scripts.at(form == "job" ? "generate.sbatch" : concat("generate-", form, ".sbatch"));
  const size_t sourced = script.find("\n. \"");
  require(sourced != script.npos, "the batch script of the form ", form, " does not read functions.sh");
  return script.substr(script.find('\n', sourced + 1) + 1);
}

std::string script_of(const SubmitSettings& s, const GenerateSettings& generate, const std::vector<std::string>& given) {
  std::string script = "#!/usr/bin/env bash\n" + header_of(s) + "set -u\n";
  if (!s.setup.empty()) script += s.setup + "\n";
  script += concat("LAUNCHER=", s.launcher, " MAX_RESTARTS=", s.max_restarts, " WARNING=", s.warning,
                   " STOP_SIGNAL=", early_signal(generate), s.form == "array" ? concat(" PARTS=", s.parts) : "", "\n");
  script += "set -- " + words_of(s, generate, given) + "\n\n";
  return script + batch_scripts.at("functions.sh") + body_of(s.form);
}

/// The number that sbatch gives the job. `options`: further ones, quoted.
std::string submitted(const fs::path& script, const std::string& options) {
  const std::string command = "sbatch --parsable " + options + " " + quoted(script.string());
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  if (!pipe) throw Error(concat("sbatch cannot be started: ", reason_of(errno)), ExitCode::environment);
  std::string answer;
  for (int c; (c = std::fgetc(pipe)) != EOF;) answer += char(c);
  if (::pclose(pipe) != 0) throw Error("sbatch has refused the job; its reason stands above", ExitCode::environment);
  return answer.substr(0, answer.find_first_of(";\n"));   // number[;cluster]
}

void submit_script(const SubmitSettings& s, const std::string& script) {
  std::string name = (fs::temp_directory_path() / "pyracast-XXXXXX.sbatch").string();
  const int file = ::mkstemps(name.data(), 7);
  require(file >= 0, name, ": cannot be made: ", reason_of(errno));
  ::close(file);
  write_atomically(name, script);
  const std::unique_ptr<const std::string, void (*)(const std::string*)> removed(&name, [](const std::string* path) { fs::remove(*path); });
  std::string before;
  for (int link = 0; link < std::max(s.links, 1); ++link) {
    before = submitted(name, link > 0 ? "--dependency=afterany:" + before : "");
    std::printf("%s\n", before.c_str());
  }
}

}  // namespace

int submit(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--help") {
    std::printf("usage: pyracast submit [settings] -- SETTINGS OF GENERATE\n\nPrints a batch script for Slurm, or submits it (--submit).\n\n%s",
                describe(settings_of<SubmitSettings>()).c_str());
    return 0;
  }
  char** const separator = std::find_if(argv, argv + argc, [](const char* word) { return std::string_view(word) == "--"; });
  SubmitSettings settings = read_config<SubmitSettings>(int(separator - argv), argv);
  sbatch_options(settings);
  require(separator != argv + argc, "what to generate is not known: give the settings of generate behind --");
  const auto generate = read_config<GenerateSettings>(int(argv + argc - separator), separator);
  check_generate(settings, generate);
  // By its name the last link that is needed takes back those behind it: it must be this chain's alone.
  if (settings.form == "chain") settings.name += concat("-chain-", sha256(concat(generate.output.string(), ' ', ::getpid())).substr(0, 8));
  const std::string script = script_of(settings, generate, {separator + 1, argv + argc});
  if (settings.submit) submit_script(settings, script);
  else std::fputs(script.c_str(), stdout);
  return 0;
}

}  // namespace pyracast
