#include <boost/test/unit_test.hpp>
#include <exception>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "schedule/protocol.h"
#include "thresher/comm/mailbox.h"
#include "thresher/schedule/coordinator.h"

namespace base = thresher::base;
using namespace thresher::schedule;
using thresher::comm::Channel;
using thresher::comm::Mailbox;
using thresher::comm::Message;

namespace {

// A coordinator on its thread, as on rank zero, and this thread as its only worker.
class Session {
 public:
  Session(std::int64_t shards, CoordinatorHooks hooks)
      : mailbox_(thresher::comm::self_mailbox()),
        queue_(std::vector<bool>(static_cast<std::size_t>(shards)), 1),
        coordinator_(*mailbox_, 1, queue_, std::move(hooks), activity_),
        thread_([this] {
          try {
            coordinator_.run();
          } catch (...) {
            error_ = std::current_exception();
          }
        }) {}

  Lease lease() {
    mailbox_->post(0, Channel::coordinator, Kind::request, {});
    const Message message = mailbox_->take(Channel::lease);
    BOOST_TEST_REQUIRE(message.kind == static_cast<int>(Kind::lease));
    return unpack_message<Lease>(message.bytes);
  }
  void post_part(std::int64_t shard, const std::string& bytes) {
    mailbox_->post(0, Channel::coordinator, Kind::part, pack_message(PartHeader{shard, 10, 100, 1}, bytes));
  }
  Message credit() { return mailbox_->take(Channel::credit); }
  void post_settled(std::int64_t shard) {
    mailbox_->post(0, Channel::coordinator, Kind::settled, pack_message(PartHeader{shard, 10, 100, 1}));
  }

  // What run() threw, if anything.
  std::exception_ptr finish() {
    mailbox_->post(0, Channel::coordinator, Kind::finished, {});
    thread_.join();
    return error_;
  }

 private:
  std::unique_ptr<Mailbox> mailbox_;
  LeaseQueue queue_;
  base::Activity activity_;
  Coordinator coordinator_;
  std::exception_ptr error_;
  std::thread thread_;
};

base::Exit code_of(const std::exception_ptr& error) {
  try {
    if (error) std::rethrow_exception(error);
  } catch (const base::Error& caught) {
    return caught.code();
  }
  return base::Exit::ok;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(coordinator)

BOOST_AUTO_TEST_CASE(deals_every_shard_and_commits_every_part) {
  std::set<std::int64_t> written, committed;
  Advance last;
  Session session(37, {.commit =
                           [&](std::span<const CommittedPart> parts) {
                             for (const auto& [shard, part] : parts) {
                               BOOST_TEST(part == "part " + std::to_string(shard));
                               BOOST_TEST(written.insert(shard).second);
                             }
                           },
                       .committed = [&](std::int64_t shard) { BOOST_TEST(committed.insert(shard).second); },
                       .advanced = [&](const Advance& advance) { last = advance; }});
  for (Lease lease = session.lease(); lease.count > 0; lease = session.lease())
    for (std::int64_t shard = lease.first; shard < lease.first + lease.count; ++shard) {
      session.post_part(shard, "part " + std::to_string(shard));
      BOOST_TEST(session.credit().kind == static_cast<int>(Kind::committed));
    }
  BOOST_TEST((code_of(session.finish()) == base::Exit::ok));
  BOOST_TEST(written.size() == 37u);
  BOOST_TEST(committed == written, boost::test_tools::per_element());
  BOOST_TEST((last.shards == 37 && last.documents == 370 && last.tokens == 3700 && last.failures == 37));
}

BOOST_AUTO_TEST_CASE(parts_that_workers_commit_are_counted) {
  Advance last;
  Session session(5, {.commit = [](std::span<const CommittedPart>) { BOOST_ERROR("nothing was posted"); },
                      .committed = [](std::int64_t) {},
                      .advanced = [&](const Advance& advance) { last = advance; }});
  for (Lease lease = session.lease(); lease.count > 0; lease = session.lease())
    for (std::int64_t shard = lease.first; shard < lease.first + lease.count; ++shard) session.post_settled(shard);
  BOOST_TEST((code_of(session.finish()) == base::Exit::ok));
  BOOST_TEST(last.documents == 50);
}

BOOST_AUTO_TEST_CASE(a_failed_commit_ends_it) {
  Session session(4, {.commit = [](std::span<const CommittedPart>) { base::fail(base::Exit::io, "disk full"); },
                      .committed = [](std::int64_t) { BOOST_ERROR("nothing was committed"); },
                      .advanced = [](const Advance&) {}});
  session.post_part(session.lease().first, "x");
  BOOST_TEST((code_of(session.finish()) == base::Exit::io));
}

BOOST_AUTO_TEST_CASE(a_part_nobody_leased_is_a_bug) {
  Session session(4, {.commit = [](std::span<const CommittedPart>) {},
                      .committed = [](std::int64_t) {},
                      .advanced = [](const Advance&) {}});
  session.post_part(2, "x");
  BOOST_TEST((code_of(session.finish()) == base::Exit::internal));
}

BOOST_AUTO_TEST_SUITE_END()
