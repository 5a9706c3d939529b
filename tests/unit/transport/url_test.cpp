#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stratwire/transport/url.hpp>

namespace stratwire::transport {
namespace {

using testing::HasSubstr;
using testing::Not;

struct Good {
  std::string text;
  std::string host;
  std::uint16_t port;
  std::string target;
  std::string authority;
};

TEST(Url, TcpForms) {
  const std::vector<Good> table = {
      {"ws://localhost", "localhost", 80, "/", "localhost"},
      {"ws://localhost/", "localhost", 80, "/", "localhost"},
      {"ws://127.0.0.1:8080", "127.0.0.1", 8080, "/", "127.0.0.1:8080"},
      {"WS://Feed.Example.com:65535/a/b?c=d&e", "Feed.Example.com", 65535, "/a/b?c=d&e",
       "Feed.Example.com:65535"},
      {"ws://host?token=x", "host", 80, "/?token=x", "host"},
      {"ws://host:1?token=x:y/z", "host", 1, "/?token=x:y/z", "host:1"},
      {"ws://host/@user", "host", 80, "/@user", "host"},
      {"ws://[::1]", "::1", 80, "/", "[::1]"},
      {"ws://[fe80::1]:9000/x", "fe80::1", 9000, "/x", "[fe80::1]:9000"},
      {"ws://my_service.internal-1:80/", "my_service.internal-1", 80, "/", "my_service.internal-1"},
  };
  for (const Good& one : table) {
    SCOPED_TRACE(one.text);
    const auto url = Url::parse(one.text);
    ASSERT_TRUE(url.ok()) << url.error().text;
    EXPECT_EQ(url->kind, Url::Kind::tcp);
    EXPECT_EQ(url->host, one.host);
    EXPECT_EQ(url->port, one.port);
    EXPECT_EQ(url->target, one.target);
    EXPECT_EQ(url->authority(), one.authority);
    const auto again = Url::parse(url->to_string());
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, *url);
  }
}

TEST(Url, SocketFiles) {
  struct Case {
    std::string text;
    std::string path;
    std::string target;
  };
  for (const Case& one :
       {Case{"ws+unix:///run/feed.sock", "/run/feed.sock", "/"}, Case{"WS+Unix:///a:/", "/a", "/"},
        Case{"ws+unix:///run/feed.sock:/http/path?a=b:c", "/run/feed.sock", "/http/path?a=b:c"}}) {
    SCOPED_TRACE(one.text);
    const auto url = Url::parse(one.text);
    ASSERT_TRUE(url.ok()) << url.error().text;
    EXPECT_EQ(url->kind, Url::Kind::unix_socket);
    EXPECT_EQ(url->socket_path, one.path);
    EXPECT_EQ(url->target, one.target);
    EXPECT_EQ(url->authority(), "localhost");
    EXPECT_EQ(*Url::parse(url->to_string()), *url);
  }
}

TEST(Url, ErrorsNameTheInputAndTheCure) {
  struct Case {
    std::string text;
    Errc code;
    std::string input;
    std::string cure;
  };
  const std::string long_path(108, 'p');
  const std::vector<Case> table = {
      {"", Errc::invalid_url, "empty", "write ws://host:port"},
      {"localhost:80", Errc::invalid_url, "'localhost:80'", "no scheme; write ws://localhost:80"},
      {"localhost", Errc::invalid_url, "'localhost'", "write ws://localhost"},
      {"/run/feed.sock", Errc::invalid_url, "'/run/feed.sock'", "write ws+unix:///run/feed.sock"},
      {"host/x?u=http://y", Errc::invalid_url, "host/x", "no scheme"},
      {"://host", Errc::invalid_url, "'://host'", "write ws://host"},
      {"ws:/host", Errc::invalid_url, "'ws:/host'", "no scheme"},
      {"wss://host:1/x", Errc::unsupported_scheme, "'wss://host:1/x'", "write ws://host:1/x"},
      {"http://host:1", Errc::unsupported_scheme, "'http://host:1'", "write ws://host:1"},
      {"https://host", Errc::unsupported_scheme, "'https://host'", "write ws://host"},
      {"tcp://host", Errc::unsupported_scheme, "'tcp://host'", "write ws://host"},
      {"ws://", Errc::invalid_url, "'ws://'", "no host; write ws://host:port"},
      {"ws://:80", Errc::invalid_url, "'ws://:80'", "no host"},
      {"ws:///path", Errc::invalid_url, "'ws:///path'", "no host"},
      {"ws://host:", Errc::invalid_url, "'ws://host:'", "from 1 to 65535"},
      {"ws://host:0", Errc::invalid_url, "'0'", "from 1 to 65535"},
      {"ws://host:65536", Errc::invalid_url, "'65536'", "from 1 to 65535"},
      {"ws://host:80a", Errc::invalid_url, "'80a'", "from 1 to 65535"},
      {"ws://host:-1", Errc::invalid_url, "'-1'", "from 1 to 65535"},
      {"ws://host:99999999999999999999", Errc::invalid_url, "99999999999999999999", "65535"},
      {"ws://::1:80", Errc::invalid_url, "'ws://::1:80'", "brackets"},
      {"ws://[::1", Errc::invalid_url, "'ws://[::1'", "']'"},
      {"ws://[::g]", Errc::invalid_url, "'::g'", "write ws://[::1]:8080"},
      {"ws://[::1]x", Errc::invalid_url, "'ws://[::1]x'", "remove it"},
      {"ws://ho%41st", Errc::invalid_url, "'ws://ho%41st'", "letters"},
      {"ws://" + std::string(254, 'h'), Errc::invalid_url, "hhh", "at most 253"},
      {"ws://host/#part", Errc::invalid_url, "'ws://host/#part'", "remove '#'"},
      {"ws://host/a b", Errc::invalid_url, "'ws://host/a b'", "position 11"},
      {"ws://host/\r\nX: y", Errc::invalid_url, "\\x0d\\x0aX", "position 10"},
      {"ws://h\xc3\xb6st/", Errc::invalid_url, "h\\xc3\\xb6st", "xn--"},
      {"ws://host/" + std::string(kUrlBytesMax, 'x'), Errc::invalid_url, "xxx...", "4096"},
      {"ws+unix://run/feed.sock", Errc::invalid_url, "'ws+unix://run/feed.sock'", "absolute path"},
      {"ws+unix:///", Errc::invalid_url, "'ws+unix:///'", "ws+unix:///path/to.sock"},
      {"ws+unix:///a.sock?x=1", Errc::invalid_url, "a.sock?x=1", "'ws+unix:///a.sock:/?x=1'"},
      {"ws+unix:///a.sock:path", Errc::invalid_url, "'ws+unix:///a.sock:path'", "start with '/'"},
      {"ws+unix:///" + long_path, Errc::invalid_url, "ppp", "109 bytes; the system takes 107"},
  };
  for (const Case& one : table) {
    SCOPED_TRACE(one.text);
    const auto url = Url::parse(one.text);
    ASSERT_FALSE(url.ok());
    EXPECT_EQ(url.error().code, one.code) << to_string(url.error().code);
    EXPECT_THAT(url.error().text, HasSubstr(one.input));
    EXPECT_THAT(url.error().text, HasSubstr(one.cure));
  }
}

TEST(Url, LongestPathOfASocketFileIsTaken) {
  EXPECT_TRUE(Url::parse("ws+unix:///" + std::string(106, 'p')).ok());
}

TEST(Url, PasswordIsRefusedAndNotRepeated) {
  const auto url = Url::parse("ws://user:secret@host:80/");
  ASSERT_FALSE(url.ok());
  EXPECT_EQ(url.error().code, Errc::invalid_url);
  EXPECT_THAT(url.error().text, Not(HasSubstr("secret")));
  EXPECT_THAT(url.error().text, HasSubstr("@host:80/"));
}

}  // namespace
}  // namespace stratwire::transport
