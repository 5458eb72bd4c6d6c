#include "simulation/mistakes.h"

#include <utility>

namespace thresher::simulation {

class CarelessWriteFile final : public base::WriteFile {
 public:
  CarelessWriteFile(CarelessFiles& files, std::shared_ptr<base::WriteFile> file)
      : files_(files), file_(std::move(file)) {}
  void write_at(std::int64_t offset, std::span<const std::byte> bytes) override { file_->write_at(offset, bytes); }
  void resize(std::int64_t bytes) override { file_->resize(bytes); }
  void sync() override {
    if (files_.mistake_ == Mistake::no_sync) return;
    if (files_.mistake_ == Mistake::late_sync)
      files_.late_.push_back(file_);
    else
      file_->sync();
  }

 private:
  CarelessFiles& files_;
  std::shared_ptr<base::WriteFile> file_;
};

std::unique_ptr<base::WriteFile> CarelessFiles::create(const base::Path& path) {
  return std::make_unique<CarelessWriteFile>(*this, below_.create(path));
}

void CarelessFiles::sync_directory(const base::Path& directory) {
  if (mistake_ != Mistake::no_directory_sync) below_.sync_directory(directory);
  for (const auto& file : std::exchange(late_, {})) file->sync();
}

std::vector<bool> DoneList::begin(schedule::JobRecord& record, base::FileSystem& files, const store::Plan& plan) {
  record.settle(plan);
  done_.assign(static_cast<std::size_t>(plan.shard_count()), false);
  if (!files.exists(file_)) return done_;
  const std::string list = base::read_all(files, file_, 1 << 20);
  for (std::size_t shard = 0; shard < done_.size(); ++shard) done_[shard] = list.at(shard) == '1';
  return done_;
}

void DoneList::commit(schedule::JobRecord& record, base::FileSystem& files,
                      std::span<const schedule::CommittedPart> parts) {
  for (const auto& part : parts) done_[static_cast<std::size_t>(part.first)] = true;
  std::string list;
  for (const bool done : done_) list += done ? '1' : '0';
  base::write_atomically(files, file_, list);
  record.directory().commit(parts);
}

}  // namespace thresher::simulation
