#include <boost/test/unit_test.hpp>
#include <string>

#include "thresher/schedule/status.h"

namespace base = thresher::base;
using namespace thresher::schedule;

namespace {

Status status_of(State state) {
  Status status;
  status.state = state;
  status.exit_code = base::Exit::io;
  status.message = "disk \"full\"\n\xff";
  status.documents = 100;
  status.documents_done = 42;
  status.shards = 10;
  status.shards_done = 4;
  status.tokens = 12345;
  status.rejected = 3;
  status.nan = 2;
  status.tokens_per_second = 1.5;
  status.eta = 60;
  status.ranks = 2;
  status.layout = "dp=2,pp=1,tp=1";
  status.host = "n1";
  status.process = 17;
  status.started = "2026-01-31T23:59:58Z";
  status.heartbeats = {{0, 0, "reading"}, {1, 7.5, "computing"}};
  return status;
}

Look look_of(State state, base::Exit code, bool finished, bool at_work) {
  Look look;
  look.status = status_of(state);
  look.status->exit_code = code;
  look.count.finished = finished;
  look.at_work = at_work;
  return look;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(status)

BOOST_AUTO_TEST_CASE(comes_back_as_it_was_written) {
  for (int state = 0; state <= static_cast<int>(State::stopped); ++state) {
    const Status one = status_of(static_cast<State>(state));
    const Status read = parse_status(status_json(one), "x");
    BOOST_TEST((read.state == one.state));
    BOOST_TEST((read.exit_code == (is_over(one.state) ? one.exit_code : base::Exit::ok)));
    BOOST_TEST(status_json(read) == status_json(parse_status(status_json(read), "x")));
    BOOST_TEST((read.documents_done == 42 && read.nan == 2 && read.eta == 60.0 && read.heartbeats.size() == 2));
    BOOST_TEST(read.heartbeats[1].doing == "computing");
  }
}

BOOST_AUTO_TEST_CASE(what_is_no_status_is_refused) {
  const std::string whole = status_json(status_of(State::scoring));
  for (const std::string& text : {std::string(), std::string("[]"), std::string("{}"),
                                  whole.substr(0, whole.size() / 2), std::string(R"({"state": "asleep"})")}) {
    try {
      parse_status(text, "runs/one/status.json");
      BOOST_ERROR("was read: " << text);
    } catch (const base::Error& error) {
      BOOST_TEST((error.code() == base::Exit::data));
      BOOST_TEST(std::string(error.what()).starts_with("runs/one/status.json is no status"));
    }
  }
}

BOOST_AUTO_TEST_CASE(text_names_what_matters) {
  const std::string text = status_text(status_of(State::scoring));
  for (const char* part :
       {"scoring, 42.0 %: 42 of 100 documents, 4 of 10 shards", "12,345 tokens", "ETA 1 min", "3 rejected, 2 nan",
        "2 ranks (dp=2,pp=1,tp=1), rank 0 on n1, process 17", "the most silent rank: 1, heard 8 s before: computing"})
    BOOST_TEST(text.find(part) != std::string::npos, "'" << part << "' is not in\n" << text);
}

BOOST_AUTO_TEST_CASE(a_job_lives_while_it_writes_or_holds_the_lock) {
  const auto free = [] { return true; };
  const auto held = [] { return false; };
  const auto unasked = [] {
    BOOST_ERROR("the lock of a job that lives is left alone");
    return false;
  };
  const Status scoring = status_of(State::scoring);
  BOOST_TEST(is_at_work(scoring, 3, false, unasked));
  BOOST_TEST(!is_at_work(scoring, 3, true, free));
  BOOST_TEST(is_at_work(scoring, 3, true, held));
  BOOST_TEST(!is_at_work(scoring, 300, false, free));
  BOOST_TEST(is_at_work(scoring, 300, false, held));
  for (const State over : {State::done, State::failed, State::stopped})
    BOOST_TEST(!is_at_work(status_of(over), 0, false, unasked));
}

BOOST_AUTO_TEST_CASE(exit_codes_say_what_to_do) {
  using base::Exit;
  BOOST_TEST((look_of(State::done, Exit::ok, true, false).exit() == Exit::ok));
  BOOST_TEST((look_of(State::scoring, Exit::ok, true, true).exit() == Exit::unavailable));
  BOOST_TEST((look_of(State::scoring, Exit::ok, false, false).exit() == Exit::again));
  BOOST_TEST((look_of(State::stopped, Exit::again, false, false).exit() == Exit::again));
  BOOST_TEST((look_of(State::failed, Exit::io, false, false).exit() == Exit::again));
  BOOST_TEST((look_of(State::failed, Exit::data, false, false).exit() == Exit::data));
  BOOST_TEST((look_of(State::failed, Exit::config, true, false).exit() == Exit::ok));
  BOOST_TEST((Look().exit() == Exit::again));
}

BOOST_AUTO_TEST_SUITE_END()
