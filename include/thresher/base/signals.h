// Signals that ask for something, as counts: whoever watches them decides what to do.
#pragma once

#include <string>

namespace thresher::base {

struct Signals {
  int stops = 0;    // SIGTERM, SIGINT and SIGUSR1 received; several within half a second are one
  int last = 0;     // the number of the latest of them
  int queries = 0;  // SIGUSR2 received
};

// From now on these signals are counted and do nothing else, but for the third that asks for a stop: it ends the
// process like a signal that nobody catches.
void catch_signals();

Signals signals_so_far();

// "SIGTERM".
std::string signal_name(int number);

}  // namespace thresher::base
