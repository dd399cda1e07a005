// Classifies an image over HTTP.
//
// g++ -std=c++17 http_client.cpp -o http_client $(pkg-config --cflags --libs cpp-httplib)
// ./http_client IMAGE [SERVICE]    IMAGE: a file or an http(s) URL

#include <httplib.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

static const std::string kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static std::string to_base64(const std::string &data) {
  std::string text;
  for (size_t at = 0; at < data.size(); at += 3) {
    unsigned group = 0;
    for (size_t n = 0; n < 3; ++n) {
      group = group << 8 | (at + n < data.size() ? static_cast<unsigned char>(data[at + n]) : 0u);
    }
    for (size_t n = 0; n < 4; ++n) {
      text += at + n > data.size() ? '=' : kDigits[group >> (18 - 6 * n) & 63];
    }
  }
  return text;
}

static std::string from_base64(const std::string &text) {
  std::string data;
  unsigned bits = 0;
  int count = 0;
  for (char digit : text) {
    size_t value = kDigits.find(digit);
    if (value == std::string::npos) break;
    bits = bits << 6 | static_cast<unsigned>(value);
    if ((count += 6) >= 8) data += static_cast<char>(bits >> (count -= 8) & 255);
  }
  return data;
}

int main(int count, char **arguments) {
  std::string image = arguments[1];
  const std::string service = count > 2 ? arguments[2] : "http://localhost:8080";
  if (image.rfind("http://", 0) != 0 && image.rfind("https://", 0) != 0) {
    std::ifstream file(image, std::ios::binary);
    image = to_base64({std::istreambuf_iterator<char>(file), {}});
  }

  httplib::Client client(service);
  client.set_read_timeout(60);
  // Named twice, as the client in PaddleX's documentation does: it is sent twice then, too.
  // Where the worker asks for a token, add: {"Authorization", "Bearer " + token}
  const httplib::Headers headers = {{"Content-Type", "application/json"}};
  const nlohmann::json request = {{"image", image}, {"inferenceParams", {{"topK", 5}}}};
  auto response =
      client.Post("/image-classification", headers, request.dump(), "application/json");
  if (!response) {
    std::cerr << "no answer: " << httplib::to_string(response.error()) << "\n";
    return 1;
  }

  const auto answer = nlohmann::json::parse(response->body);
  if (answer["errorCode"] != 0) {
    std::cerr << answer["errorCode"] << ": " << answer["errorMsg"].get<std::string>() << "\n";
    return 1;
  }
  for (const auto &one : answer["result"]["categories"]) {
    std::printf("%.5f  %s\n", one["score"].get<double>(), one["name"].get<std::string>().c_str());
  }
  std::ofstream("classified.jpg", std::ios::binary) << from_base64(answer["result"]["image"]);
}
