// Which addresses are everybody's.
#include "net/address.h"

#include <gtest/gtest.h>

namespace pyro {
namespace {

TEST(Address, Public) {
  for (const char* address :
       {"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1",
        "169.253.1.1", "192.0.1.1", "198.17.0.1", "198.20.0.1", "223.255.255.255",
        "2606:4700::1111", "2a00:1450::1", "::ffff:8.8.8.8", "64:ff9b::808:808",
        "2002:808:808::1"}) {
    EXPECT_TRUE(is_public(std::string(address))) << address;
  }
}

TEST(Address, NotPublic) {
  for (const char* address : {"0.0.0.0",
                              "10.0.0.1",
                              "100.64.0.1",
                              "100.127.255.255",
                              "127.0.0.1",
                              "127.255.255.254",
                              "169.254.169.254",
                              "172.16.0.1",
                              "172.31.255.255",
                              "192.0.0.1",
                              "192.168.1.1",
                              "198.18.0.1",
                              "198.19.255.255",
                              "224.0.0.1",
                              "240.0.0.1",
                              "255.255.255.255",
                              "::",
                              "::1",
                              "fe80::1",
                              "fc00::1",
                              "fd12::1",
                              "ff02::1",
                              "::ffff:127.0.0.1",
                              "::ffff:169.254.169.254",
                              "64:ff9b::a9fe:a9fe",
                              "64:ff9b::7f00:1",
                              "2002:7f00:1::1",
                              "2002:a00:1::1",
                              "2001::1",
                              "2001:db8::1",
                              "localhost",
                              "",
                              "1.1.1"}) {
    EXPECT_FALSE(is_public(std::string(address))) << address;
  }
}

}  // namespace
}  // namespace pyro
