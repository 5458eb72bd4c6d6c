// The grid: which part of the work and of the model each rank has. Decided by pure functions; Grid adds the
// communicators.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "thresher/comm/comm.h"

namespace thresher::comm {

// The axes: copies of the model that split the corpus, stages of one copy that split its blocks, shards of one stage
// that split its matrices.
struct Layout {
  int data = 1;
  int stages = 1;
  int shards = 1;  // 1, 2, 4 or 8

  int ranks() const { return data * stages * shards; }
  // "dp=2,pp=2,tp=1".
  std::string text() const;
  // The axes in any order; those left out are 1. Throws base::Error (usage).
  static Layout parse(std::string_view text);
  bool operator==(const Layout&) const = default;
};

struct Place {
  int replica = 0;
  int stage = 0;
  int shard = 0;
  bool operator==(const Place&) const = default;
};

struct Placement {
  Layout layout;
  std::vector<Place> places;  // by world rank
  // Groups with ranks on more than one host: tensor groups by the place of their first shard, and replicas.
  std::vector<Place> split_groups;
  std::vector<int> split_replicas;

  int rank_of(Place place) const;
};

// Ranks in the order of (first appearance of their host, rank) fill shards first, then stages, then replicas: a tensor
// group lies inside a host wherever the hosts' rank counts allow. Rank 0 is always replica 0, stage 0, shard 0. `hosts`
// by world rank. Throws base::Error (usage) where the layout breaks a rule or its product is not the number of ranks.
Placement place_ranks(Layout layout, std::span<const std::string> hosts);

// rank -> host -> cores -> place as lines of text, one a rank, or one a host from 65 ranks on. `cores` by world rank,
// in the machine's own words ("0-3").
std::string map_text(const Placement& placement, std::span<const std::string> hosts,
                     std::span<const std::string> cores);

class Grid {
 public:
  // Collective over `world`. `hosts` by world rank, the same on all ranks. Throws as place_ranks does, on all ranks and
  // before anything is sent.
  Grid(Comm& world, Layout layout, std::span<const std::string> hosts);

  const Placement& placement() const { return placement_; }
  const Layout& layout() const { return placement_.layout; }
  Place place() const { return placement_.places[static_cast<std::size_t>(rank_)]; }
  // In `world`.
  int rank_of(Place place) const { return placement_.rank_of(place); }

  // Same replica and stage; rank = shard.
  Comm& tensor() const { return *tensor_; }
  // Same replica; rank = stage * shards + shard.
  Comm& replica() const { return *replica_; }
  // Same stage and shard; rank = replica.
  Comm& peers() const { return *peers_; }

 private:
  Placement placement_;
  int rank_;
  std::unique_ptr<Comm> tensor_, replica_, peers_;
};

}  // namespace thresher::comm
