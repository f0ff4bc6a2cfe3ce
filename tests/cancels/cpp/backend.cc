// The service that `cancels/run` calls, on C++ gRPC: bytes in, bytes out. Prints its address once it listens.

#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/grpcpp.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>

namespace {

using Clock = std::chrono::system_clock;

grpc::ByteBuffer Message() {
  grpc::Slice slice(std::string(1024, '\0'));
  return grpc::ByteBuffer(&slice, 1);
}

// Says that the call began, and when it learns that it was cancelled.
class Noted : public grpc::ServerGenericBidiReactor {
 public:
  explicit Noted(grpc::GenericCallbackServerContext* context) {
    auto entry = context->client_metadata().find("cancel-id");
    if (entry != context->client_metadata().end()) {
      id_.assign(entry->second.data(), entry->second.length());
    }
    std::printf("began %s\n", id_.c_str());
  }

  void OnCancel() override {
    auto now = Clock::now().time_since_epoch();
    auto nanos = std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
    std::printf("cancelled %s %lld\n", id_.c_str(), static_cast<long long>(nanos));
    Over();
  }

  void OnDone() override { delete this; }

 private:
  virtual void Over() { Finish(grpc::Status::CANCELLED); }

  std::string id_;
};

class Hang final : public Noted {
  using Noted::Noted;
};

// Sixteen messages at once, and then one every 50 ms.
class Stream final : public Noted {
 public:
  explicit Stream(grpc::GenericCallbackServerContext* context) : Noted(context) {
    message_ = Message();
    StartWrite(&message_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok || cancelled_) return End();
    if (++sent_ < 16) return StartWrite(&message_);
    alarm_.Set(Clock::now() + std::chrono::milliseconds(50), [this](bool rang) {
      if (rang && !cancelled_) return StartWrite(&message_);
      End();
    });
  }

 private:
  // The write or the alarm that is under way ends the call.
  void Over() override {
    cancelled_ = true;
  }

  void End() {
    if (!ended_.exchange(true)) Finish(grpc::Status::CANCELLED);
  }

  grpc::ByteBuffer message_;
  grpc::Alarm alarm_;
  int sent_ = 0;
  std::atomic<bool> cancelled_{false};
  std::atomic<bool> ended_{false};
};

class Echo final : public grpc::ServerGenericBidiReactor {
 public:
  Echo() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartWriteAndFinish(&message_, grpc::WriteOptions(), grpc::Status::OK);
  }
  void OnDone() override { delete this; }

 private:
  grpc::ByteBuffer message_;
};

class Service final : public grpc::CallbackGenericService {
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override {
    const std::string& method = context->method();
    if (method == "/cancels.Test/Hang") return new Hang(context);
    if (method == "/cancels.Test/Stream") return new Stream(context);
    return new Echo();
  }
};

}  // namespace

int main() {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Service service;
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterCallbackGenericService(&service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) return 1;
  std::printf("cpp listening on 127.0.0.1:%d\n", port);
  server->Wait();
}
