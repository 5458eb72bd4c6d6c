#define BOOST_TEST_MODULE thresher
#include <boost/test/unit_test.hpp>
