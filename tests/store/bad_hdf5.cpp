#include "store/bad_hdf5.h"

#include <stdexcept>

namespace thresher::tests {
namespace {

template <class T>
T check(T result) {
  if (result < 0) throw std::runtime_error("an HDF5 call of the test failed");
  return result;
}

}  // namespace

CorpusMaker::CorpusMaker(const base::Path& path)
    : file_(check(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT))),
      intermediate_(check(H5Pcreate(H5P_LINK_CREATE))) {
  check(H5Pset_create_intermediate_group(intermediate_, 1));
}

CorpusMaker::~CorpusMaker() {
  H5Pclose(intermediate_);
  H5Fclose(file_);
}

void CorpusMaker::offsets(const std::vector<std::int64_t>& values) {
  dataset("/doc/offsets", H5T_NATIVE_INT64, {values.size()}, values.data());
}

void CorpusMaker::text(const std::string& bytes) {
  dataset("/doc/text", H5T_NATIVE_UINT8, {bytes.size()}, bytes.data());
}

void CorpusMaker::dataset(const std::string& name, hid_t type, const std::vector<hsize_t>& sizes, const void* data,
                          hid_t properties) {
  const hid_t space = check(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr));
  const hid_t dataset = check(H5Dcreate2(file_, name.c_str(), type, space, intermediate_, properties, H5P_DEFAULT));
  if (data) check(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data));
  H5Dclose(dataset);
  H5Sclose(space);
}

void CorpusMaker::attribute(const std::string& name, const std::string& value) {
  const hid_t type = check(H5Tcopy(H5T_C_S1)), space = check(H5Screate(H5S_SCALAR));
  check(H5Tset_size(type, value.size()));
  const hid_t attribute = check(H5Acreate2(file_, name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT));
  check(H5Awrite(attribute, type, value.data()));
  H5Aclose(attribute);
  H5Sclose(space);
  H5Tclose(type);
}

void CorpusMaker::attribute(const std::string& name, std::int64_t value) {
  const hid_t space = check(H5Screate(H5S_SCALAR));
  const hid_t attribute = check(H5Acreate2(file_, name.c_str(), H5T_NATIVE_INT64, space, H5P_DEFAULT, H5P_DEFAULT));
  check(H5Awrite(attribute, H5T_NATIVE_INT64, &value));
  H5Aclose(attribute);
  H5Sclose(space);
}

}  // namespace thresher::tests
