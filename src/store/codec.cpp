#include "store/codec.h"

#include "store/hdf5_read.h"
#include "store/part_file.h"

namespace thresher::store {

std::optional<std::string> Codec::job_of(std::string_view part, const std::string& name) {
  return hdf5::InputFile(image_of(part), name).text_attribute("job");
}

Rows Codec::read(std::string_view part, const Columns& columns, const std::string& name) {
  return read_part(part, columns, name);
}

hdf5::Layout Codec::lay_out(const hdf5::FilePlan& plan) {
  return hdf5::lay_out(plan);
}

Codec& hdf5_codec() {
  static Codec codec;
  return codec;
}

}  // namespace thresher::store
