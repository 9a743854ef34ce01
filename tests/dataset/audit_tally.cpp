#include "dataset/audit_tally.hpp"

#include <gmock/gmock.h>

#include "whole_dataset.hpp"
#include "dataset/dataset_status.hpp"

namespace pyracast {
namespace {

SampleRecord audited(const std::string& id, SampleAudit audit, double psnr) {
  SampleRecord row;
  row.id = id;
  row.audit = int64_t(audit);
  row.audit_psnr = psnr;
  row.started = 100, row.ended = 110;
  row.audit_seconds = audit == SampleAudit::none ? 0 : 5;
  return row;
}

TEST(AuditTally, CountsAndSortsWhatWasCompared) {
  AuditTally tally;
  EXPECT_EQ(tally.share_of_time(), 0);
  tally.add(audited("a", SampleAudit::within, 40));
  tally.add(audited("b", SampleAudit::none, 0));
  tally.add(audited("c", SampleAudit::beyond, 20));
  tally.add(audited("d", SampleAudit::replaced, 30));
  tally.add(audited("e", SampleAudit::not_finite, 0));
  std::vector<std::string> order;
  for (const AuditedSample& sample : tally.worst_first()) order.push_back(sample.id);
  EXPECT_THAT(order, testing::ElementsAre("c", "d", "a"));
  EXPECT_EQ(tally.median_psnr(), 30);
  EXPECT_THAT(std::vector({tally.compared(), tally.audited(), tally.beyond(), tally.replaced(), tally.not_finite()}),
              testing::ElementsAre(3, 4, 2, 1, 1));
  EXPECT_EQ(tally.seconds(), 20);
  EXPECT_DOUBLE_EQ(tally.share_of_time(), 20 / 50.) << "50 seconds in all";
}

class StatusOfAudits : public WholeDataset {};

TEST_F(StatusOfAudits, CountsAJournalsAndAShardsSampleOnce) {
  write_manifest({"a", "b", "c", "d", "e", "f"});
  SampleRecord f = record("f", 0);
  f.pixels.reset();
  f.audit = int64_t(SampleAudit::beyond), f.audit_psnr = 21, f.audit_ssim = 0.5, f.audit_mse = 0.25;
  f.started = 1000, f.ended = 1010, f.audit_seconds = 6;
  JournalWriter(layout_.journal() / "team-0.journal", run_fingerprint).append(f);
  StatusReader reader(output_);
  const auto team = f.team;
  const double busy = reader.read(2000).teams.at(team).busy_seconds;
  put_shard({f});
  for (const bool fresh : {false, true}) {
    const DatasetStatus status = fresh ? StatusReader(output_).read(2000) : reader.read(2000);
    ASSERT_EQ(status.audit.compared(), 1u);
    const AuditedSample worst = status.audit.worst_first().front();
    EXPECT_EQ(std::tie(worst.id, worst.psnr, worst.ssim, worst.mse), std::tuple("f", 21.0, 0.5, 0.25));
    EXPECT_EQ(status.audit.beyond(), 1u);
    EXPECT_EQ(status.audit.seconds(), 6);
    EXPECT_EQ(status.teams.at(team).busy_seconds, busy);
  }
}

TEST_F(StatusOfAudits, LeaveThePaceOfTeamsAlone) {
  const DatasetStatus before = StatusReader(output_).read(2000);
  write_manifest({"a", "b", "c", "d", "e", "f"});
  SampleRecord f = record("f", 0);
  f.team = 0, f.host = "node-0";
  f.started = 1000, f.ended = 1012, f.audit_seconds = 10;   // as long as the team's others, but for the audit
  f.pixels.reset();
  put_shard({f});
  const DatasetStatus after = StatusReader(output_).read(2000);
  EXPECT_DOUBLE_EQ(after.teams.at(0).busy_seconds, before.teams.at(0).busy_seconds + 2);
}

}  // namespace
}  // namespace pyracast
